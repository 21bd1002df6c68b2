from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.transform import Affine

from eotasks.errors import ConfigurationError, FeatureError, GridError, ImageryError
from eotasks.imagery.elevation import ElevationFile
from eotasks.imagery.grid import Grid

GRID = Grid("EPSG:32633", 330_000, 5_822_000, 60, 40, 50)
STEP = 1 / 3600
"""Degrees, about 20 by 30 m there, as of Copernicus GLO-30."""


def write(path: Path, heights: NDArray[Any], **options: Any) -> Path:
    known: dict[str, Any] = {
        "driver": "GTiff",
        "height": heights.shape[-2],
        "width": heights.shape[-1],
        "count": 1 if heights.ndim == 2 else len(heights),
        "dtype": heights.dtype,
        "crs": "EPSG:4326",
        "transform": Affine(STEP, 0, 12.45, 0, -STEP, 52.56),
        "tiled": True,
        "blockxsize": 128,
        "blockysize": 128,
    }
    with rasterio.open(path, "w", **(known | options)) as file:
        file.write(heights, *([1] if heights.ndim == 2 else []))
    return path


def plane(longitude: Any, latitude: Any) -> Any:
    return 100 + 1000 * (longitude - 12.5) + 700 * (latitude - 52.5)


def dem(shape: tuple[int, int] = (400, 500)) -> NDArray[np.float32]:
    longitude, latitude = 12.45 + (np.arange(shape[1]) + 0.5) * STEP, 52.56 - (np.arange(shape[0]) + 0.5) * STEP
    return np.asarray(plane(longitude[None], latitude[:, None]), dtype=np.float32)


def expected(grid: Grid) -> NDArray[np.float64]:
    x, y = np.meshgrid(
        grid.left + (np.arange(grid.width) + 0.5) * grid.resolution,
        grid.top - (np.arange(grid.height) + 0.5) * grid.resolution,
    )
    longitude, latitude = Transformer.from_crs(grid.crs, 4326, always_xy=True).transform(x, y)
    return np.asarray(plane(longitude, latitude))


@pytest.mark.parametrize("resolution", [10, 60], ids=["finer grid", "coarser grid"])
def test_heights_come_to_the_grid(tmp_path: Path, resolution: float) -> None:
    grid = Grid(GRID.crs, GRID.left, GRID.top, resolution, 40, 50)
    heights = ElevationFile(write(tmp_path / "dem.tif", dem())).read(grid)
    assert heights.dtype == np.float32
    assert heights.shape == grid.shape
    # by area whole pixels of the file are taken: up to half a pixel of 0.5 m off
    assert np.abs(heights - expected(grid)).max() < (0.01 if resolution == 10 else 0.3)


def test_a_margin_is_read_too(tmp_path: Path) -> None:
    file = ElevationFile(write(tmp_path / "dem.tif", dem()))
    heights = file.read(GRID, margin=110)
    assert heights.shape == (44, 54)
    assert np.allclose(heights[2:-2, 2:-2], file.read(GRID), atol=0.05)
    assert np.isnan(file.read(GRID, margin=10_000)).any()  # no heights there, and no error


def test_a_dem_on_the_grid_itself_is_kept(tmp_path: Path) -> None:
    values = np.random.default_rng(1).uniform(0, 500, GRID.shape).astype(np.float32)
    path = write(tmp_path / "dem.tif", values, crs=GRID.crs, transform=GRID.transform, blockxsize=16, blockysize=16)
    assert np.array_equal(ElevationFile(str(path)).read(GRID), values)


@pytest.mark.parametrize("nodata", [-9999, None, float("nan")])
def test_voids_are_nan(tmp_path: Path, nodata: float | None) -> None:
    heights = dem()
    heights[140:160, 200:230] = np.nan if nodata is None else nodata
    found = ElevationFile(write(tmp_path / "dem.tif", heights, nodata=nodata)).read(GRID)
    assert 0 < np.isnan(found).mean() < 0.2
    known = ~np.isnan(found)
    assert np.abs(found - expected(GRID))[known].max() < 1


def test_whole_numbers_are_heights(tmp_path: Path) -> None:
    path = write(tmp_path / "dem.tif", np.rint(dem()).astype(np.int16), nodata=-32768)
    assert np.abs(ElevationFile(path).read(GRID) - expected(GRID)).max() < 1


def test_a_void_without_a_no_data_value_is_refused(tmp_path: Path) -> None:
    heights = dem()
    heights[140:180, 200:300] = -32768
    with pytest.raises(FeatureError, match=r"dem\.tif: -[\d.e+]+ is no height.*gdal_edit"):
        ElevationFile(write(tmp_path / "dem.tif", heights)).read(GRID)


def test_a_dem_of_elsewhere_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "dem.tif", dem(), transform=Affine(STEP, 0, 20, 0, -STEP, 10))
    with pytest.raises(GridError, match=r"dem\.tif: has no height within"):
        ElevationFile(path).read(GRID)


def test_ground_of_the_file_without_any_height_is_unknown(tmp_path: Path) -> None:
    assert np.isnan(
        ElevationFile(write(tmp_path / "sea.tif", np.full_like(dem(), -9999), nodata=-9999)).read(GRID)
    ).all()


def test_what_a_band_of_a_mask_hides_is_unknown(tmp_path: Path) -> None:
    path = write(tmp_path / "dem.tif", dem())
    shown = np.full((400, 500), 255, dtype=np.uint8)
    shown[150:170, 200:260] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(shown)
    heights = ElevationFile(path).read(GRID)
    marked = np.where(shown == 0, np.float32(-9999), dem())
    expected = ElevationFile(write(tmp_path / "marked.tif", marked, nodata=-9999)).read(GRID)
    assert np.isnan(heights).any()
    assert np.isfinite(heights).any()
    assert np.mean(np.isnan(heights) == np.isnan(expected)) > 0.99
    elsewhere = replace(GRID, left=GRID.left + 200_000)
    with pytest.raises(GridError, match="has no height within"):
        ElevationFile(path).read(elsewhere)


def test_scale_offset_and_unit_of_a_file_count(tmp_path: Path) -> None:
    path = write(tmp_path / "dem.tif", np.rint(dem() * 10 + 50).astype(np.int16))
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets, file.units = (0.1,), (-5.0,), ("m",)
    plain = ElevationFile(write(tmp_path / "plain.tif", dem())).read(GRID)
    assert np.abs(ElevationFile(path).read(GRID) - plain).max() < 0.2
    with rasterio.open(path, "r+") as file:
        file.units = ("ft",)
    with pytest.raises(ImageryError, match=r"heights in 'ft' where metres are due"):
        ElevationFile(path).check()


def test_a_dem_of_the_web_is_read_by_its_blocks(web_folder: tuple[Path, str]) -> None:
    root, url = web_folder
    write(root / "dem.tif", dem((1200, 1200)))
    file = ElevationFile(f"{url}/dem.tif?sig=SECRET")
    assert "SECRET" not in file.name
    assert np.array_equal(file.read(GRID), ElevationFile(root / "dem.tif").read(GRID))
    assert file.fingerprint()[0] == (root / "dem.tif").stat().st_size
    with pytest.raises(ImageryError, match=r"none\.tif") as caught:
        ElevationFile(f"{url}/none.tif?sig=SECRET").read(GRID)
    assert "SECRET" not in str(caught.value)


def test_what_is_no_dem_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageryError, match=r"none\.tif: missing, damaged or no GeoTIFF"):
        ElevationFile(tmp_path / "none.tif").check()
    (tmp_path / "text.tif").write_text("heights")
    with pytest.raises(ImageryError, match=r"text\.tif: missing, damaged or no GeoTIFF"):
        ElevationFile(tmp_path / "text.tif").read(GRID)
    with pytest.raises(ImageryError, match="3 bands of float32"):
        ElevationFile(write(tmp_path / "picture.tif", np.stack([dem()] * 3))).read(GRID)
    with pytest.raises(ImageryError, match="no place on the ground"):
        ElevationFile(write(tmp_path / "nowhere.tif", dem(), crs=None)).read(GRID)
    with pytest.raises(ConfigurationError, match="no location"):
        ElevationFile(" ")


def test_a_driver_of_another_format_does_not_open_it(tmp_path: Path) -> None:
    write(tmp_path / "dem.tif", dem())
    vrt = tmp_path / "other.tif"
    vrt.write_text(
        '<VRTDataset rasterXSize="500" rasterYSize="400"><VRTRasterBand dataType="Float32" band="1"><SimpleSource>'
        f"<SourceFilename>{tmp_path}/dem.tif</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(ImageryError, match="no GeoTIFF"):
        ElevationFile(vrt).read(GRID)


def test_a_change_is_known_by_its_fingerprint(tmp_path: Path) -> None:
    path = write(tmp_path / "dem.tif", dem())
    size, _ = ElevationFile(path).fingerprint()
    assert size == path.stat().st_size
    with pytest.raises(ImageryError):
        ElevationFile(tmp_path / "none.tif").fingerprint()
