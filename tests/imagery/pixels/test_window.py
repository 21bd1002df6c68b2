"""How many bands are fetched ahead of those that are decoded."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.transform import Affine

from eotasks.imagery.files.protocol import RasterFile
from eotasks.imagery.grid import Grid
from eotasks.imagery.pixels.raster import Level, Pixels, RasterInfo
from eotasks.imagery.pixels.window import Sampling, Window

INFO = RasterInfo(
    CRS.from_epsg(32633), (Level(None, Affine(10, 0, 300_000, 0, -10, 5_900_000), 1000, 1000),), 1, wavelet=True
)


@pytest.mark.parametrize(
    ("far", "grid", "expected"),
    [
        (True, Grid("EPSG:32633", 300_000, 5_900_000, 10, 1000, 1000), 8),
        (True, Grid("EPSG:32633", 200_000, 6_000_000, 10, 20_000, 20_000), 8),  # reaches far beyond the file
        (True, Grid("EPSG:32633", 0, 0, 10, 10, 10), 8),  # does not meet it
        (False, Grid("EPSG:32633", 300_000, 5_900_000, 10, 1000, 1000), 0),
    ],
)
def test_bands_are_fetched_ahead_as_the_file_needs_memory(far: bool, grid: Grid, expected: int) -> None:
    product: Any = SimpleNamespace(
        files=SimpleNamespace(is_far=lambda _: far), bands={"B02": RasterFile("a.jp2", "JP2OpenJPEG")}
    )
    assert Window(product, {"B02": INFO}, grid, Sampling("mean"), 2)._ahead(["B02"]) == expected


def test_as_many_are_fetched_ahead_as_their_level_allows() -> None:
    """The level goes by the shorter side of a pixel, so memory does."""
    tile = replace(INFO, levels=(replace(INFO.full, height=10_980, width=10_980),))
    product: Any = SimpleNamespace(
        files=SimpleNamespace(is_far=lambda _: True), bands={"B02": RasterFile("a.jp2", "JP2OpenJPEG")}
    )
    wide = Grid("EPSG:32633", 300_000, 5_900_000, 80, 5490, 1372, pixel_height=20)
    assert Window(product, {"B02": tile}, wide, Sampling("fast"), 2)._ahead(["B02"]) == 1


class NoIteration(dict[str, Any]):
    """As a dictionary that other threads add to."""

    def __iter__(self) -> Any:
        raise RuntimeError("dictionary changed size during iteration")


def test_a_full_band_needs_none_of_those_that_are_being_decoded() -> None:
    product: Any = SimpleNamespace(
        bands={"B02": RasterFile("a.jp2", "JP2OpenJPEG")},
        footprints={},
        acquisition=SimpleNamespace(offset_of=lambda _: 0),
    )
    grid = Grid("EPSG:32633", 300_000, 5_900_000, 10, 4, 4)
    window = Window(product, {"B02": INFO}, grid, Sampling("mean"), 2)
    window._pixels = NoIteration(B02=Pixels(np.ones((4, 4), np.uint16), INFO.full.transform, INFO.crs))
    assert window.is_full("B02")
    assert window.valid(["B02"]) == {"B02": None}
