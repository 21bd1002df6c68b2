"""What lies beside a land-cover configuration: labels, areas and EOPatches, as a case of a table wants them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import rasterio
from eolearn.core import FeatureType
from numpy.typing import NDArray
from shapely.geometry import box

from tests.builders.command_line import SAMPLE, Sections, change_feature, merged, write_eopatches

UTM = "EPSG:32633"
INSIDE = box(336_400, 5_816_280, 338_960, 5_818_840)

Prepare = Callable[[Path], None]


def nothing(folder: Path) -> None:
    """No file beside the configuration."""


def write_labels(folder: Path, *, crs: str | None = UTM, geometry: object = INSIDE) -> None:
    write_vectors(folder / "labels.gpkg", gpd.GeoDataFrame({"lulcid": [3], "geometry": [geometry]}, crs=crs))


def write_area(folder: Path, *, crs: str | None = UTM, geometries: tuple[object, ...] = (INSIDE,)) -> None:
    write_vectors(folder / "area.gpkg", gpd.GeoDataFrame({"geometry": list(geometries)}, geometry="geometry", crs=crs))


def write_vectors(path: Path, frame: gpd.GeoDataFrame) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="'crs' was not provided")
        pyogrio.write_dataframe(frame, path, geometry_type="Polygon")


def labels_raster(crs: str | None, left: float) -> Prepare:
    def prepare(folder: Path) -> None:
        transform = rasterio.Affine(20, 0, left, 0, -20, 5_820_000)
        with rasterio.open(
            folder / "labels.tif", "w", driver="GTiff", width=200, height=200, count=1, dtype="uint8", crs=crs,
            transform=transform,
        ) as target:  # fmt: skip
            target.write(np.ones((1, 200, 200), dtype=np.uint8))

    return prepare


def eopatches(*, bands: bool = False, feature: str = "", change: Callable[..., object] | None = None) -> Prepare:
    def prepare(folder: Path) -> None:
        place = write_eopatches(folder / "eopatches", bands=bands)
        if change is not None:
            kind, _, name = feature.partition("/")
            change_feature(place, FeatureType(kind), name, change)

    return prepare


def with_nan(bands: NDArray[np.float32]) -> NDArray[np.float32]:
    changed = bands.copy()
    changed[2, 3, 4, 5] = np.nan
    return changed


SERVICE: Sections = {
    **merged(SAMPLE, {"source": {"kind": "sentinelhub"}, "clouds": {"method": "source", "resolution": None}}),
    "reference": {"kind": "vector", "path": "labels.gpkg"},
}
