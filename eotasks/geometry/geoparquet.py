"""Polygons in GeoParquet, which GDAL reads only where it was built with it: pyogrio's own is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd

from eotasks.documents import parse_json_object
from eotasks.errors import GeometryError, reason_of
from eotasks.extras import OptionalPackages
from eotasks.limits import VECTOR_BYTES, VECTOR_FEATURES
from eotasks.reading import check_regular

_PACKAGES = OptionalPackages("zonal", "Files of GeoParquet need")
_ENDINGS = (".parquet", ".geoparquet", ".pq")
_GEO = b"geo"


@dataclass(frozen=True)
class GeoParquet:
    """What the footer of a file says."""

    count: int
    """Of its rows."""

    columns: tuple[str, ...]
    """Without geometries."""

    geometry: str
    """The column of the geometries that count."""


def is_geoparquet(path: str | Path) -> bool:
    """Whether a file is one, by its name."""
    return str(path).lower().endswith(_ENDINGS)


def describe_geoparquet(path: str | Path) -> GeoParquet:
    """The columns of a file; no geometry is read.

    :raises GeometryError: it is damaged, too large, or no GeoParquet; says what, but not of which file.
    :raises MissingDependencyError: pyarrow is not installed.
    """
    parquet = _PACKAGES.package("pyarrow.parquet")
    try:
        check_regular(path, VECTOR_BYTES)
        footer = parquet.read_metadata(path)
        geo = (footer.metadata or {}).get(_GEO)
        if geo is None:
            raise ValueError("it has no geometries: a table, and no GeoParquet")
        facts = parse_json_object(geo, ValueError)
        geometries, primary = dict(facts["columns"]), str(facts["primary_column"])
        names = footer.schema.to_arrow_schema().names
    except (OSError, ValueError, KeyError, TypeError) as error:  # what pyarrow raises are kinds of these
        reason = error.strerror if isinstance(error, OSError) and error.strerror else reason_of(error)
        raise GeometryError(f"cannot be read as GeoParquet ({reason})") from error
    if footer.num_rows > VECTOR_FEATURES.value:
        raise GeometryError(f"{VECTOR_FEATURES.excess(footer.num_rows)}")
    return GeoParquet(footer.num_rows, tuple(name for name in names if name not in geometries), primary)


def read_geoparquet(path: str | Path, columns: Sequence[str] | None = None) -> gpd.GeoDataFrame:
    """A file with its geometries, in longitude and latitude (OGC:CRS84) where it does not say its system.

    :param columns: Those to read, where they are there; None for all.
    :raises GeometryError: as `describe_geoparquet`.
    :raises MissingDependencyError: pyarrow is not installed.
    """
    there = describe_geoparquet(path)
    wanted = None if columns is None else [*(name for name in columns if name in there.columns), there.geometry]
    try:
        return gpd.read_parquet(path, columns=wanted)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GeometryError(f"cannot be read as GeoParquet ({reason_of(error)})") from error


def values_of(path: str | Path, column: str) -> Any:
    """The values of one column, without the geometries.

    :raises GeometryError: as `describe_geoparquet`.
    :raises MissingDependencyError: pyarrow is not installed.
    """
    describe_geoparquet(path)
    parquet = _PACKAGES.package("pyarrow.parquet")
    try:
        return parquet.read_table(path, columns=[column]).to_pandas()[column]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GeometryError(f"cannot be read as GeoParquet ({reason_of(error)})") from error
