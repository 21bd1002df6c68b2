"""The end of a process waits for threads that are in GDAL."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from eotasks.imagery import ending
from tests import ROOT

ENDS = r"""
import sys, threading, time
from contextlib import contextmanager
from eotasks.imagery.files.gdal import RangedFile, RasterSource
from eotasks.imagery.files.protocol import RasterFile
from eotasks.imagery.pixels import raster

content, asked = open(sys.argv[1], "rb").read(), threading.Event()

def fetch(start, stop):
    asked.set()
    time.sleep(0.4)
    return content[start:stop]

class Slow(RasterSource):
    name = "a.jp2"
    def version(self): return ("1",)
    def _size(self): return len(content)
    @contextmanager
    def _opened(self): yield RangedFile(len(content), fetch)

class Files:
    location = "product"
    def raster_source(self, name): return Slow()

def read():
    with raster._opened(Files(), RasterFile("a.jp2", "JP2OpenJPEG"), None) as source:
        source.read()

threading.Thread(target=read, daemon=True).start()  # as those that read ahead
asked.wait()
sys.exit(3)
"""
"""A program that ends with 3 while a thread of it is in GDAL, which waits for a part of a file."""


def test_a_process_does_not_die_of_a_thread_that_reads(tmp_path: Path) -> None:
    """It ended with SIGABRT, and "terminate called without an active exception"."""
    from tests.builders.inputs.jp2 import SMALL

    SMALL.write(tmp_path / "a.jp2")
    ended = subprocess.run(
        [sys.executable, "-c", ENDS, str(tmp_path / "a.jp2")], cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert "terminate" not in ended.stderr
    assert ended.returncode == 3


def test_who_comes_late_does_not_come_in(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = ending._Gate()
    monkeypatch.setattr(ending, "_gate", gate)
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
        with ending.in_gdal():
            came.append("late")

    late = threading.Thread(target=come, daemon=True)
    late.start()
    out.set()
    first.join(20)
    assert gate.close(0.01)
    late.join(0.05)
    assert came == ["first", "again"]
    with ending.in_gdal():  # the main thread may, as of what else runs at the end
        pass


def test_what_gdal_asks_for_at_the_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from eotasks.imagery.files.gdal import _RasterStream

    class Source:
        failure = None

    gate = ending._Gate()
    gate.close(0)
    monkeypatch.setattr(ending, "_gate", gate)
    stream = _RasterStream(Source(), None)  # type: ignore[arg-type]
    assert stream.read(10) == b""
    assert "process ends" in str(stream._source.failure)
