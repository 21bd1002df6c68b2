"""What is fetched ahead of those that use it."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import rasterio

from eotasks.imagery.files.gdal import SETTINGS
from eotasks.imagery.pixels.threads import fetched_ahead, in_threads
from eotasks.models.threads import OPENJPEG_INLINE
from tests.builders.inputs.jp2 import Layout


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("ahead", [0, 1, 3, 20])
def test_each_is_fetched_once_and_used_in_order(threads: int, ahead: int) -> None:
    fetched: list[int] = []
    lock = threading.Lock()
    waiting = 0
    most = 0

    def fetch(item: int) -> int:
        nonlocal waiting, most
        with lock:
            fetched.append(item)
            waiting += 1
            most = max(most, waiting)
        return -item

    def use(item: int, found: int) -> tuple[int, int]:
        nonlocal waiting
        with lock:
            waiting -= 1
        return item, found

    assert fetched_ahead(fetch, use, range(12), threads, ahead) == [(item, -item) for item in range(12)]
    assert sorted(fetched) == list(range(12))
    assert most <= ahead + 2 * threads
    assert fetched_ahead(fetch, use, [], threads, ahead) == []


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_ends_all(threads: int) -> None:
    def fetch(item: int) -> int:
        if item == 2:
            raise ValueError("broken")
        return item

    with pytest.raises(ValueError, match="broken"):
        fetched_ahead(fetch, lambda item, _: item, range(100), threads, 2)


def test_threads_keep_the_order() -> None:
    assert in_threads(lambda item: item + 1, range(9), 3) == list(range(1, 10))


@pytest.mark.skipif(sys.platform != "linux", reason="a thread's switches are counted by Linux")
def test_openjpeg_decodes_in_the_thread_that_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    layout = Layout(height=512, width=512, tile=(64, 64))
    values = layout.write(tmp_path / "band.jp2")
    for name, value in OPENJPEG_INLINE.items():
        monkeypatch.setenv(name, value)
    with rasterio.Env(**SETTINGS), rasterio.open(tmp_path / "band.jp2") as source:
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        read = source.read()
        waited = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before
    assert np.array_equal(read, values)
    assert waited < 64  # once for each tile at least, where another thread has them
