"""How many bands are fetched ahead of those that are decoded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from rasterio.crs import CRS
from rasterio.transform import Affine

from eotasks.imagery.files.protocol import RasterFile
from eotasks.imagery.grid import Grid
from eotasks.imagery.pixels.raster import Level, RasterInfo
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
