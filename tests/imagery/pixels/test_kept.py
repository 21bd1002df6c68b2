"""What is decoded for masks serves the picture, and changes nothing."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS

from eotasks.imagery.pixels import kept, window
from eotasks.imagery.pixels.raster import Pixels
from eotasks.imagery.scene import Scene, open_scene
from eotasks.sources.sample_files import sample_path
from eotasks.workflows.product_masks.reading import product_grid
from tests.builders.products import product


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


def test_a_file_with_levels_is_not_kept(decoded: list[str], tmp_path: Path) -> None:
    values = np.random.default_rng(7).integers(1, 9000, (640, 640)).astype(np.uint16)
    scene = Scene(product(tmp_path / "P", {"B02": values}))
    with scene.keeping():
        for _ in range(2):
            scene.read_masked(["B02"], product_grid(scene, 160))
    assert decoded == ["B02"] * 2, "the picture takes another level, and the memory is wanted"


def test_blocks_of_several_threads_keep_to_the_end_of_the_last(decoded: list[str]) -> None:
    scene = open_scene(sample_path())
    grid = product_grid(scene, 160)
    first, second = scene.keeping(), scene.keeping()
    first.__enter__()
    scene.read_masked(["B02"], grid)
    second.__enter__()
    first.__exit__(None, None, None)
    scene.read_masked(["B02"], grid)
    assert decoded == ["B02"]
    copied = pickle.loads(pickle.dumps(scene))
    second.__exit__(None, None, None)
    scene.read_masked(["B02"], grid)
    copied.read_masked(["B02"], grid)
    copied.read_masked(["B02"], grid)
    assert decoded == ["B02"] * 4, "nothing is kept behind the blocks, nor in another process"


def test_room_is_taken_once_for_what_two_threads_decode(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = Pixels(np.zeros((1, 10, 10), np.uint8), rasterio.Affine.identity(), CRS.from_epsg(32633))
    monkeypatch.setattr(kept, "KEPT_BYTES", 200)
    both = threading.Barrier(2, timeout=300)
    keeper = kept.KeptPixels()

    def decode() -> Pixels:
        both.wait()
        return replace(pixels)

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: keeper.read("a", decode), range(2))
    assert one is other
    assert keeper.read("b", lambda: pixels) is pixels
    assert keeper.read("b", lambda: replace(pixels)) is pixels, "there was room for two"
