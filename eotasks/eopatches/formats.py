"""Files of features by their formats, as eo-learn writes them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import IO, Any

import geopandas as gpd
import pandas as pd
from eolearn.core import FeatureType
from eolearn.core.constants import TIMESTAMP_COLUMN
from eolearn.core.eodata_io import FeatureIO, FeatureIOGeoDf, FeatureIOJson, FeatureIONumpy, FeatureIOZarr
from fs.base import FS

from eotasks.eopatches.arrays import check_zarr, read_array
from eotasks.geometry.stored_systems import SQLITE, check_sqlite, check_sqlite_content
from eotasks.limits import VECTOR_BYTES
from eotasks.reading import read_stream


class _Polygons(FeatureIOGeoDf):
    """Vectors as eo-learn reads them, and those whose times are not all of one length.

    GDAL writes no fraction where it is 0, and eo-learn then refuses those that have one: nobody reads what it saved.
    """

    def _read_from_file(self, file: Any) -> gpd.GeoDataFrame:
        try:
            return super()._read_from_file(file)
        except ValueError:
            file.seek(0)
            frame = gpd.read_file(file)
            if TIMESTAMP_COLUMN not in frame or pd.api.types.is_datetime64_any_dtype(frame[TIMESTAMP_COLUMN]):
                raise
            frame[TIMESTAMP_COLUMN] = pd.to_datetime(frame[TIMESTAMP_COLUMN], format="ISO8601")
            return frame if frame.crs is None else frame.set_crs(_known_system(frame.crs), allow_override=True)


def with_whole_times(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Vectors whose times come back from a GeoPackage as they are: it keeps milliseconds, and eo-learn reads none where
    some have a fraction and others have not. Those are texts of one length there.
    """
    times = frame.get(TIMESTAMP_COLUMN)
    if times is None or not pd.api.types.is_datetime64_any_dtype(times) or not (times != times.dt.floor("s")).any():
        return frame
    texts = [None if pd.isna(time) else time.isoformat(timespec="microseconds") for time in times]
    return frame.assign(**{TIMESTAMP_COLUMN: texts})


def _known_system(crs: Any) -> Any:
    """As eo-learn gives it: by its EPSG code, where it has one."""
    code = crs.to_epsg()
    return crs if code is None else code


def is_json(path: str) -> bool:
    """Whether a file is JSON, packed or not."""
    return path.removesuffix(".gz").endswith("json")


def opened(file: Path) -> IO[bytes]:
    """A file to read, unpacked."""
    return gzip.open(file) if file.suffix == ".gz" else file.open("rb")  # type: ignore[return-value]  # is one to all


def stored(feature_type: FeatureType, folder: Path, path: str, filesystem: FS) -> FeatureIO[Any]:
    """A file of a feature as eo-learn keeps what is not read yet; arrays are read here.

    :raises ValueError: when it is of a format that none of this type has.
    """
    if feature_type.is_vector():
        with opened(folder / path) as stream:
            if stream.read(len(SQLITE)) != SQLITE:  # GDAL goes by the content, whatever a file is called
                raise ValueError("it is no GeoPackage")
            # Before GDAL, which hands what it says of coordinate systems to PROJ.
            if path.endswith(".gz"):
                check_sqlite_content(SQLITE + read_stream(stream, VECTOR_BYTES))
            else:
                check_sqlite(folder / path)
        return _Polygons(path, filesystem)
    if not feature_type.is_array():
        return FeatureIOJson(path, filesystem)
    if path.endswith(".zarr"):
        check_zarr(folder / path / ".zarray")
        return FeatureIOZarr(path, filesystem)
    array = FeatureIONumpy(path, filesystem)
    array.loaded_value = read_array(folder / path)
    return array
