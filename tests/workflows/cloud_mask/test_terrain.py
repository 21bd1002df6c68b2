"""`eotasks cloud-mask --shadows --dem`: terrain shade as a mask of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine

from eotasks.errors import ElevationWarning
from eotasks.imagery.elevation import ElevationFile
from eotasks.imagery.grid import Grid
from eotasks.models.clouds.shadows.terrain import terrain_shade
from eotasks.workflows.product_masks import terrain
from eotasks.workflows.product_masks.terrain import ProductTerrain
from tests.builders.command_line import command

SAMPLE = "T33UUU_20170216"
LEFT, TOP = 318_000, 5_834_000
SUN = (66.07, 163.24)
FAST = ("--styles", "--no-quicklook", "--resolution", "160")


def write_dem(path: Path, *, holes: bool = False) -> Path:
    """Hills of the sample and 12 km about it, on a grid of 60 m that its pixels of 60 m are on."""
    y, x = np.mgrid[:540, :660] * 60.0
    heights = 500 + 350 * np.sin(x / 900) * np.sin(y / 1100) + 60 * np.sin(x / 310 + y / 200)
    if holes:
        heights[240:260, 240:260] = -9999
    options = {"driver": "GTiff", "dtype": "float32", "count": 1, "crs": "EPSG:32633", "nodata": -9999}
    with rasterio.open(
        path, "w", height=540, width=660, transform=Affine(60, 0, LEFT, 0, -60, TOP), tiled=True, **options
    ) as file:
        file.write(heights.astype(np.float32), 1)
    return path


def read(folder: Path, kind: str) -> NDArray[np.uint8]:
    with rasterio.open(folder / SAMPLE / f"{SAMPLE}_{kind}.tif") as file:
        assert file.colorinterp[0].name == "palette"
        values: NDArray[np.uint8] = file.read(1)
        return values


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::eotasks.errors.ShadowWarning")
def test_terrain_shade_is_a_file_of_its_own(tmp_path: Path) -> None:
    dem, out = write_dem(tmp_path / "dem.tif"), tmp_path / "out"
    result = command("cloud-mask", "--shadows", "--dem", dem, "--out", out, *FAST)
    assert (result.code, "terrain shade apart" in result.out) == (0, True)
    shade, shadow = read(out, "TERRAIN_SHADE"), read(out, "SHADOW")
    assert set(np.unique(shade)) == {0, 1}
    assert not (shadow[shade == 1] == 1).any()
    grid = Grid("EPSG:32633", 330_000, 5_822_040, 160, *shade.shape)
    heights = ElevationFile(dem).read(grid, margin=1_600)
    expected = terrain_shade(heights, SUN, pixel_size=(160, 160))[10:-10, 10:-10]
    assert np.mean((shade == 1) != expected) < 0.005  # no hill shades farther than that
    record = json.loads((out / SAMPLE / f"{SAMPLE}.json").read_text())
    assert record["shares"]["terrain_shade"] == pytest.approx(np.mean(shade == 1))
    assert record["settings"]["dem"] == dem.name
    assert f"{np.mean(shade == 1):.1%}" in result.out
    assert (out / SAMPLE / f"{SAMPLE}_TERRAIN_SHADE.qml").exists()
    again = command("cloud-mask", "--shadows", "--dem", dem, "--out", out, *FAST)
    assert "kept" in again.out
    shutil.copy(write_dem(tmp_path / "other.tif", holes=True), dem)
    changed = command("cloud-mask", "--shadows", "--dem", dem, "--out", out, *FAST)
    assert "done" in changed.out  # another DEM at the same place
    assert "has no height for" in " ".join(changed.out.split())
    assert command("cloud-mask", "--shadows", "--out", out, *FAST).code == 2  # other settings


def test_what_is_no_dem_is_refused_before_any_work(tmp_path: Path) -> None:
    missing = command("cloud-mask", "--shadows", "--dem", tmp_path / "none.tif", "--out", tmp_path / "out")
    assert missing.code == 2
    assert "none.tif: missing, damaged or no GeoTIFF" in missing.err
    alone = command("cloud-mask", "--dem", tmp_path / "none.tif", "--out", tmp_path / "out")
    assert alone.code == 2
    assert "--shadows" in alone.err
    assert not (tmp_path / "out").exists()


def test_large_products_are_looked_at_in_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dem = write_dem(tmp_path / "dem.tif", holes=True)
    grid = Grid("EPSG:32633", 330_000, 5_822_040, 60, 127, 255)
    valid = np.ones(grid.shape, dtype=bool)
    with pytest.warns(ElevationWarning, match="has no height for"):
        whole = ProductTerrain(str(dem), grid, SUN, "P").shade(valid)
    monkeypatch.setattr(terrain, "_CELLS", 127 * 255 // 3)
    with pytest.warns(ElevationWarning, match="has no height for"):
        coarse = ProductTerrain(str(dem), grid, SUN, "P").shade(valid)
    assert coarse.shape == whole.shape
    assert np.mean(coarse != whole) < 0.06
