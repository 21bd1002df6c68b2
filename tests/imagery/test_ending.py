"""The end of a process waits for threads that are in GDAL."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from eotasks.errors import ImageryError
from eotasks.imagery import ending
from eotasks.imagery.files.gdal import RangedFile, RasterSource, _RasterStream
from eotasks.imagery.files.location import Version
from eotasks.imagery.files.protocol import RasterFile
from eotasks.imagery.pixels import raster
from tests import ROOT

ENDS = r"""
import sys, threading, time
from contextlib import contextmanager
from eotasks.imagery.files.gdal import RangedFile, RasterSource
from eotasks.imagery.files.protocol import RasterFile
from eotasks.imagery.pixels import raster

begun = threading.Event()

def fetch(start, stop):
    begun.set()
    return b"x" * (stop - start)

class Damaged(RasterSource):
    name = "a.jp2"
    def version(self): return ("1",)
    def _size(self): return 5000
    @contextmanager
    def _opened(self): yield RangedFile(5000, fetch)

class Files:
    location = "product"
    def raster_source(self, name): return Damaged()

def read():
    while True:
        try:
            with raster._opened(Files(), RasterFile("a.jp2", "JP2OpenJPEG"), None):
                pass
        except ImportError:
            raise
        except Exception:
            pass

class Last:
    def __del__(self, sleep=time.sleep):  # a shutdown that takes its time
        sleep(0.3)

last = Last()
for _ in range(24):
    threading.Thread(target=read, daemon=True).start()  # as those that read ahead
begun.wait()
time.sleep(0.1)
sys.setswitchinterval(10)  # those who want the interpreter have to wait for it
sys.exit(3)
"""
"""A program that ends with 3 while threads of it are in GDAL, which opens and closes files of ours."""


@pytest.mark.slow
def test_a_process_does_not_die_of_threads_that_read() -> None:
    """It ended with SIGABRT, and "terminate called without an active exception": GDAL closes files in destructors,
    which the end of a thread cannot go through.
    """
    ended = subprocess.run([sys.executable, "-c", ENDS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "terminate" not in ended.stderr
    assert ended.returncode == 3


def test_who_comes_late_does_not_come_in(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = ending._Gate()
    monkeypatch.setattr(ending, "_gate", gate)
    monkeypatch.setattr(ending, "WAIT_SECONDS", 0.05)
    begun, out, came = threading.Event(), threading.Event(), []

    def inside() -> None:
        with ending.in_gdal(), ending.in_gdal():
            came.append("first")
            begun.set()
            out.wait(20)
            with ending.in_gdal():  # who is inside already is not held
                came.append("again")

    first = threading.Thread(target=inside, daemon=True)
    first.start()
    assert begun.wait(20)
    assert not gate.close(0.01)
    assert ending.is_ending()

    def come() -> None:
        with pytest.raises(ImageryError, match="The process ends"), ending.in_gdal():
            came.append("late")
        came.append("refused")

    late = threading.Thread(target=come, daemon=True)
    late.start()
    out.set()
    first.join(20)
    assert gate.close(0.01)
    late.join(20)  # where the process waits for it all the same
    assert came == ["first", "again", "refused"]
    with ending.in_gdal():  # the main thread may, as of what else runs at the end
        pass


def test_what_gdal_asks_for_at_the_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Source:
        failure = None

    gate = ending._Gate()
    gate.close(0)
    monkeypatch.setattr(ending, "_gate", gate)
    stream = _RasterStream(Source(), None)  # type: ignore[arg-type]
    assert stream.read(10) == b""
    assert "process ends" in str(stream._source.failure)


@pytest.mark.parametrize("small", [False, True])
def test_gdal_reads_products_inside_alone(small: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are fetched part by part, and those that are fetched whole."""
    gate, seen = ending._Gate(), []
    monkeypatch.setattr(ending, "_gate", gate)

    class Absent(RasterSource):
        name = "a.jp2"

        def version(self) -> Version:
            return Version("1")

        def _size(self) -> int:
            seen.append(gate._inside)
            return 100

        @contextmanager
        def _opened(self) -> Iterator[RangedFile]:
            yield RangedFile(100, lambda start, stop: bytes(stop - start))

    class Files:
        location = "product"

        def raster_source(self, _: str) -> RasterSource:
            return Absent()

    content = b"x" * 100 if small else None
    with (
        pytest.raises(ImageryError, match="no JP2 image"),
        raster._opened(cast("Any", Files()), RasterFile("a.jp2", "JP2OpenJPEG"), None, content),
    ):
        pass
    assert small or set(seen) == {1}
    assert gate._inside == 0
