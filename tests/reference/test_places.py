"""Labels over the antimeridian are burnt on both sides of it, however they are written."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio.warp
import shapely

from eotasks.errors import ReferenceDataError
from eotasks.reference.labels import (
    LabelGrid,
    check_vector_labels,
    rasterize_polygons,
    read_polygons,
    vector_label_values,
)
from tests.builders.geometry.places import FORMS

FIJI = [(179.97, -16.83), (180.03, -16.83), (180.03, -16.77), (179.97, -16.77)]
PIXELS = 100


def grid_at(longitude: float, crs: str) -> LabelGrid:
    """100 x 100 pixels of 100 m."""
    (x,), (y,) = rasterio.warp.transform("EPSG:4326", crs, [longitude], [-16.8])
    left, bottom = round(x / 100) * 100 - 5_000, round(y / 100) * 100 - 5_000
    return LabelGrid(crs, (left, bottom, left + 10_000, bottom + 10_000), (PIXELS, PIXELS))


def inside(grid: LabelGrid) -> np.ndarray:
    """Pixels whose centres lie in the square."""
    left, _, _, top = grid.bounds
    x, y = np.meshgrid(left + 50 + 100 * np.arange(PIXELS), top - 50 - 100 * np.arange(PIXELS))
    longitude, latitude = map(np.array, rasterio.warp.transform(grid.crs, "EPSG:4326", x.ravel(), y.ravel()))
    found = (longitude % 360 > 179.97) & (longitude % 360 < 180.03) & (latitude > -16.83) & (latitude < -16.77)
    return found.reshape(x.shape)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("longitude", [179.96, 179.99, 180, -179.99, -179.96])
def test_burnt_on_both_sides(form: str, longitude: float, tmp_path: Path) -> None:
    far = shapely.box(20, -17, 21, -16)
    file = tmp_path / "labels.gpkg"
    gpd.GeoDataFrame({"id": [1, 2]}, geometry=[FORMS[form](FIJI), far], crs=4326).to_file(file, engine="pyogrio")
    grid = grid_at(longitude, "EPSG:32760" if longitude > 0 else "EPSG:32701")
    frame = read_polygons(file, grid, column="id")
    labels = rasterize_polygons(frame, frame["id"].to_numpy(), grid)
    expected = inside(grid)
    assert 0 < expected.mean() < 1
    assert ((labels == 1) != expected).mean() < 1e-3
    assert not (labels == 2).any()


def test_longitudes_from_0_to_360_far_from_the_antimeridian(tmp_path: Path) -> None:
    file = tmp_path / "labels.gpkg"
    there = [shapely.box(189.9, -17, 190.1, -16.6), shapely.box(10, -17, 11, -16)]
    gpd.GeoDataFrame({"id": [1, 2]}, geometry=there, crs=4326).to_file(file, engine="pyogrio")
    grid = grid_at(-170, "EPSG:32702")
    frame = read_polygons(file, grid, column="id")
    assert (rasterize_polygons(frame, frame["id"].to_numpy(), grid) == 1).all()


def test_labels_of_geoparquet_equal_those_of_a_geopackage(tmp_path: Path) -> None:
    """In its default system, OGC:CRS84; GDAL reads it only where it was built with it."""
    there = [shapely.box(14.0, 46.0, 14.05, 46.05), shapely.box(14.05, 46.0, 14.2, 46.02), shapely.box(20, 46, 21, 47)]
    frame = gpd.GeoDataFrame({"id": [1, 2, 3]}, geometry=there, crs="OGC:CRS84").rename_geometry("shape")
    frame.to_file(tmp_path / "labels.gpkg", engine="pyogrio")
    frame.to_parquet(tmp_path / "labels.parquet")
    (x,), (y,) = rasterio.warp.transform("EPSG:4326", "EPSG:32633", [14.05], [46.02])
    grid = LabelGrid("EPSG:32633", (x - 5_000, y - 5_000, x + 5_000, y + 5_000), (PIXELS, PIXELS))
    labels = []
    for file in (tmp_path / "labels.gpkg", tmp_path / "labels.parquet"):
        found = read_polygons(file, grid, column="id")
        assert sorted(found["id"]) == [1, 2]
        assert check_vector_labels(file, column="id", classes={1: 1, 2: 2, 3: 0}) == {0: 1, 1: 1, 2: 1}
        assert vector_label_values(file) == ("id", [1, 2, 3])
        labels.append(rasterize_polygons(found, found["id"].to_numpy(), grid))
    np.testing.assert_array_equal(*labels)
    with pytest.raises(ReferenceDataError, match="has no column 'ID'"):
        read_polygons(tmp_path / "labels.parquet", grid, column="ID")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    with pytest.raises(ReferenceDataError, match=r"cut\.parquet: cannot be read as GeoParquet"):
        read_polygons(tmp_path / "cut.parquet", grid, column="id")
