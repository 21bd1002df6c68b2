"""Areas, grids and vector files that no memory holds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox, Geometry

from eotasks.area import read_area, read_patch_grid, split_area
from eotasks.errors import AreaError, ConfigurationError, EOTasksError, GridError, ImageryError
from eotasks.export.cog import write_cog
from eotasks.export.mosaics import mosaic_cogs
from eotasks.imagery.grid import Grid
from eotasks.limits import (
    BLOCK_PIXELS,
    GRID_PIXELS,
    MOSAIC_PIXELS,
    PATCHES,
    VECTOR_BYTES,
    VECTOR_FEATURES,
)
from eotasks.reference.labels import LabelGrid, check_vector_labels, read_polygons
from eotasks.sources.scenes import LoadScenesTask


class TestGrids:
    """Pixels are counted before memory is taken for any."""

    BOX = BBox((400_000, 5_300_000, 500_000, 5_400_000), CRS("32633"))

    @pytest.mark.parametrize("resolution", [1e-9, 1e-3, 5e-324, 0.1])
    def test_of_scenes(self, resolution: float) -> None:
        task = LoadScenesTask(resolution=resolution, scenes=["/a"])
        with pytest.raises(GridError, match=rf"pixels, .*more than 500,000,000 grid pixels .{GRID_PIXELS.variable}"):
            task.execute(bbox=self.BOX)

    def test_of_anything(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(GridError, match=r"1,000,000 x 1,000,000 pixels"):
            Grid("EPSG:32633", 0, 0, 10, 10**6, 10**6)
        monkeypatch.setenv(GRID_PIXELS.variable, "100")
        assert Grid("EPSG:32633", 0, 0, 10, 10, 10).shape == (10, 10)
        with pytest.raises(GridError, match="more than 100 grid pixels"):
            Grid("EPSG:32633", 0, 0, 10, 10, 11)

    @pytest.mark.parametrize("grid", ["utm", "bbox"])
    def test_of_areas(self, grid: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        world = Geometry(shapely.box(-180, -80, 180, 80), CRS.WGS84)
        zone = Geometry(shapely.box(0, 0, 1e7, 1e7), CRS("32633"))
        for area in (world, zone) if grid == "utm" else (zone,):
            with pytest.raises(AreaError, match=rf"km: some .* more than 1,000,000 patches .{PATCHES.variable}"):
                split_area(area, patch_size=1000, resolution=10, grid=grid)
        for patch_size, resolution in ((1e6, 1e-9), (5000, 1e-3), (5000, 5e-324), (1e300, 10)):
            with pytest.raises(ConfigurationError, match=GRID_PIXELS.variable):
                split_area(zone, patch_size=patch_size, resolution=resolution, grid=grid)

    def test_of_mosaics(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for number, left in enumerate((0, 10**12)):
            bounds = (left, 0, left + 80, 80)
            write_cog(tmp_path / f"{number}.tif", np.ones((8, 8), np.uint8), bounds=bounds, crs="EPSG:32633")
        with pytest.raises(GridError, match=rf"8 x 100,000,000,008 pixels, more than .*{MOSAIC_PIXELS.variable}"):
            mosaic_cogs([tmp_path / "0.tif", tmp_path / "1.tif"], tmp_path / "out.tif")
        monkeypatch.setenv(BLOCK_PIXELS.variable, "50")
        with pytest.raises(ImageryError, match=BLOCK_PIXELS.variable):
            mosaic_cogs([tmp_path / "0.tif"], tmp_path / "out.tif")


def test_vector_files_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import geopandas as gpd

    file = tmp_path / "a.gpkg"
    shapes = [shapely.box(at, 0, at + 10, 10) for at in range(0, 100, 10)]
    gpd.GeoDataFrame({"a": range(10)}, geometry=shapes, crs=32633).to_file(file, engine="pyogrio")
    monkeypatch.setenv(VECTOR_FEATURES.variable, "9")
    reads: list[Callable[[], object]] = [
        lambda: read_area(file=file),
        lambda: read_patch_grid(file, 10),
        lambda: check_vector_labels(file, column="a"),
    ]
    for read in reads:
        with pytest.raises(EOTasksError, match=f"more than 9 vector features .{VECTOR_FEATURES.variable}"):
            read()
    monkeypatch.setenv(VECTOR_BYTES.variable, "1000")
    for read in reads:
        with pytest.raises(EOTasksError, match=VECTOR_BYTES.variable):
            read()


def test_small_vector_files_take_no_room_for_the_most_there_may_be(tmp_path: Path) -> None:
    import geopandas as gpd

    file = tmp_path / "a.gpkg"
    gpd.GeoDataFrame({"a": [1]}, geometry=[shapely.box(0, 0, 10, 10)], crs=32633).to_file(file, engine="pyogrio")
    grid = LabelGrid("EPSG:32633", (0, 0, 100, 100), (10, 10))
    reads: list[Callable[[], object]] = [
        lambda: read_area(file=file),
        lambda: read_patch_grid(file, 10),
        lambda: check_vector_labels(file, column="a"),
        lambda: read_polygons(file, grid, column="a"),
    ]
    for read in reads:
        read()
        tracemalloc.start()
        read()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 5_000_000
