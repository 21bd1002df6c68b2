"""Files of features by their formats, as eo-learn writes them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import IO, Any

from eolearn.core import FeatureType
from eolearn.core.eodata_io import FeatureIO, FeatureIOGeoDf, FeatureIOJson, FeatureIONumpy, FeatureIOZarr
from fs.base import FS

from eotasks.eopatches.arrays import check_zarr, read_array

_GEOPACKAGE = b"SQLite format 3\0"


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
            if stream.read(len(_GEOPACKAGE)) != _GEOPACKAGE:  # GDAL goes by the content, whatever a file is called
                raise ValueError("it is no GeoPackage")
        return FeatureIOGeoDf(path, filesystem)
    if not feature_type.is_array():
        return FeatureIOJson(path, filesystem)
    if path.endswith(".zarr"):
        check_zarr(folder / path / ".zarray")
        return FeatureIOZarr(path, filesystem)
    array = FeatureIONumpy(path, filesystem)
    array.loaded_value = read_array(folder / path)
    return array
