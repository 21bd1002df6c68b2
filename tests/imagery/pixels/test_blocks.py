"""Blocks that are kept give the pixels of the files. All pixels are made up."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rasterio.windows import Window

from eotasks.errors import ImageryError
from eotasks.imagery.files.folder import FolderFiles
from eotasks.imagery.files.protocol import RasterFile
from eotasks.imagery.grid import Grid
from eotasks.imagery.pixels.blocks import SQUARE, DecodedBlocks
from eotasks.imagery.pixels.raster import describe
from eotasks.imagery.pixels.seen import SeenGround
from eotasks.imagery.pixels.window import Sampling
from eotasks.imagery.scene import Scene
from tests.builders.products import LEFT, TOP, UTM, product, write_cog, write_jp2

VALUES = np.random.default_rng(3).integers(1, 9000, (1300, 1100)).astype(np.uint16)


def keeper() -> tuple[Callable[[Hashable, Callable[[], NDArray[Any]]], NDArray[Any]], dict[Hashable, NDArray[Any]]]:
    kept: dict[Hashable, NDArray[Any]] = {}

    def keep(key: Hashable, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        if key not in kept:
            kept[key] = make()
        return kept[key]

    return keep, kept


@pytest.mark.parametrize("kind", ["JP2OpenJPEG", "GTiff"])
def test_windows_are_put_together_of_blocks(tmp_path: Path, kind: str) -> None:
    name = "B02.jp2" if kind == "JP2OpenJPEG" else "B02.tif"
    if kind == "JP2OpenJPEG":
        write_jp2(tmp_path / name, VALUES, 10, tile=1024)
    else:
        write_cog(tmp_path / name, VALUES, 10)
    files, raster = FolderFiles(tmp_path), RasterFile(name, kind)  # type: ignore[arg-type]  # one of the two
    info = describe(files, raster)
    keep, kept = keeper()
    blocks = DecodedBlocks(keep, "P", keep_square=keeper()[0])
    for window in (Window(3, 5, 100, 200), Window(900, 1000, 200, 300), Window(0, 0, 1100, 1300)):
        assert blocks.takes(info, info.full, window)
        pixels = blocks.window(files, raster, info, info.full, window)
        rows, columns = window.toslices()
        np.testing.assert_array_equal(pixels.values, VALUES[rows, columns])
        assert (pixels.transform.c, pixels.transform.f) == (LEFT + window.col_off * 10, TOP - window.row_off * 10)
    (tmp_path / name).unlink()
    again = blocks.window(files, raster, info, info.full, Window(50, 60, 700, 800))
    np.testing.assert_array_equal(again.values, VALUES[60:860, 50:750])
    assert sum(each.nbytes for each in kept.values()) == VALUES.nbytes
    with pytest.raises(ImageryError, match="B02"):
        DecodedBlocks(keep, "Q", keep_square=keep).window(files, raster, info, info.full, Window(0, 0, 9, 9))


def test_squares_under_small_windows_are_kept_without_their_blocks(tmp_path: Path) -> None:
    write_jp2(tmp_path / "B02.jp2", VALUES, 10, tile=1024)
    files, raster = FolderFiles(tmp_path), RasterFile("B02.jp2", "JP2OpenJPEG")
    info = describe(files, raster)
    (keep, kept), (keep_square, squares) = keeper(), keeper()
    blocks = DecodedBlocks(keep, "P", keep_square=keep_square)

    def look(window: Window) -> None:
        rows, columns = window.toslices()
        found = blocks.window(files, raster, info, info.full, window)
        np.testing.assert_array_equal(found.values, VALUES[rows, columns])
        assert (found.transform.c, found.transform.f) == (LEFT + window.col_off * 10, TOP - window.row_off * 10)

    small = [Window(3, 5, 100, 200), Window(1000, 1000, 90, 60), Window(1050, 1250, 50, 50)]
    for window in small:
        look(window)
    assert all(square.base is None and square.size <= SQUARE * SQUARE for square in squares.values())
    number = len(squares)
    decoded: list[Hashable] = []

    def keep_nothing(key: Hashable, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        decoded.append(key)
        return make()

    without_room = DecodedBlocks(keep_nothing, "P", keep_square=keep_nothing)
    without_room.window(files, raster, info, info.full, small[0])
    assert len(decoded) == 3, "one block and two squares"
    look(Window(0, 0, 800, 900))
    assert len(squares) == number, "large windows take nothing from small ones"
    kept.clear()  # as if the blocks of others had pushed them out
    (tmp_path / "B02.jp2").unlink()
    for window in (*small, Window(10, 100, 100, 100)):
        look(window)
    with pytest.raises(ImageryError, match="B02"):
        look(Window(400, 400, 10, 10))


@pytest.mark.parametrize(("method", "size"), [("nearest", 10), ("cubic", 25), ("bilinear", 7)])
def test_a_scene_reads_the_same_with_them(tmp_path: Path, method: str, size: int) -> None:
    footprint = np.ones((1300, 1100), np.uint8)
    footprint[:, 700:] = 0
    scene = Scene(
        product(tmp_path / "P", {"B02": VALUES}, tile=1024, footprints={"B02": footprint}, offsets={"B02": -1000})
    )
    blocks, seen = DecodedBlocks(keeper()[0], "P", keep_square=keeper()[0]), SeenGround()
    for left, top in ((1000, 1000), (5000, 3000), (6_500, 9_000), (9_000, 9_000)):
        grid = Grid(UTM, LEFT + left, TOP - top, size, 150, 170)
        sampling = Sampling(method)  # type: ignore[arg-type]  # a name of one
        plain, kept = scene.window(grid, sampling), scene.window(grid, sampling, seen=seen, blocks=blocks)
        found = []
        for window in (plain, kept):
            window.decode(["B02"])
            found.append(window.resampled("B02", window.valid(["B02"])["B02"]))
        np.testing.assert_array_equal(found[0], found[1])
        assert np.isfinite(found[0]).any() == (left < 7000)
