"""What is decoded for masks serves the picture, and changes nothing."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.transform import Affine

from eotasks.imagery.pixels import kept, window
from eotasks.imagery.pixels.raster import Pixels
from eotasks.imagery.scene import open_scene
from eotasks.sources.sample_files import sample_path
from eotasks.workflows.product_masks.product import product_grid


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are decoded."""
    found: list[str] = []

    def counting(files: Any, raster: Any, *arguments: Any, **options: Any) -> Any:
        found.append(raster.name.rpartition("_")[2].removesuffix(".jp2"))
        return decode_window(files, raster, *arguments, **options)

    decode_window = window.decode_window
    monkeypatch.setattr(window, "decode_window", counting)
    return found


def test_a_small_file_is_decoded_once(decoded: list[str]) -> None:
    scene = open_scene(sample_path())
    coarse, fine = product_grid(scene, 160), product_grid(scene, 20)
    first, second = scene.read_masked(["B02", "B04"], coarse), scene.preview(["B04", "B03", "B02"], fine)
    decoded.clear()
    with scene.keeping():
        again = scene.read_masked(["B02", "B04"], coarse), scene.preview(["B04", "B03", "B02"], fine)
    assert sorted(decoded) == ["B02", "B03", "B04"]
    for one, other in zip((first, second), again, strict=True):
        assert all(np.array_equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))
    decoded.clear()
    scene.preview(["B02"], fine)
    assert decoded == ["B02"]


def test_parts_and_what_has_no_room_are_decoded_anew(decoded: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    scene = open_scene(sample_path())
    grid = product_grid(scene, 160)
    part = replace(grid, height=5)
    with scene.keeping():
        expected = [scene.read_masked(["B02"], part) for _ in range(2)]
        assert np.array_equal(expected[0][0], scene.read_masked(["B02"], grid)[0][:5])
    assert decoded == ["B02"] * 3
    decoded.clear()
    monkeypatch.setattr(kept, "KEPT_BYTES", 1536 * 768 * 2)
    with scene.keeping():
        for _ in range(2):
            scene.read_masked(["B02", "B04"], grid, threads=1)
    assert decoded == ["B02", "B04", "B04"]


def test_what_is_kept_lasts_until_the_last_block_ends(decoded: list[str]) -> None:
    scene = open_scene(sample_path())
    grid = product_grid(scene, 160)
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(scene.keeping())
        second.enter_context(scene.keeping())
        scene.read_masked(["B02"], grid)
        first.close()
        scene.read_masked(["B02"], grid)
        assert decoded == ["B02"]
        assert len(pickle.dumps(scene._kept)) < 200
    scene.read_masked(["B02"], grid)
    assert decoded == ["B02"] * 2


def test_a_file_that_two_threads_decode_takes_room_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = Pixels(np.zeros((4, 8), np.uint16), Affine.identity(), CRS.from_epsg(32633))
    monkeypatch.setattr(kept, "KEPT_BYTES", 2 * pixels.values.nbytes)
    keeper, together = kept.KeptPixels(), threading.Barrier(2, timeout=20)

    def decode() -> Pixels:
        together.wait()
        return pixels

    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(keeper.read, "a", decode) for _ in range(2)]
        assert [job.result(20) for job in jobs] == [pixels] * 2
    assert keeper.read("b", lambda: pixels) is pixels
    assert keeper.read("b", lambda: None) is pixels
