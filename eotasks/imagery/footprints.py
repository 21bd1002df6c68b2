"""Footprints that others give, as WKB, GeoJSON or lists of corners: checked before GEOS gets them, in one form after.

GEOS and DuckDB go down a nested geometry by recursion, which ends the process where it is deep, and GEOS takes a minute
to repair a ring of 300 corners that crosses itself everywhere. The form is that of `eotasks.geometry.antimeridian`: cut
at the antimeridian, however it was written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon, shape
from shapely.geometry.base import BaseGeometry

from eotasks.errors import GeometryError, ImageryError, reason_of
from eotasks.geometry import repair, wkb
from eotasks.geometry.antimeridian import normalised
from eotasks.limits import FOOTPRINT_CORNERS


def from_wkb(content: bytes | None, where: str) -> BaseGeometry:
    """A polygon, or several, in degrees.

    :param content: WKB, also PostGIS' extended one.
    :param where: What it is of, for the message.
    :raises ImageryError: when it is anything else, cut off, too large, or at no place on Earth.
    """
    try:
        check_wkb(content)
        with np.errstate(invalid="ignore"):  # of NaN, which is refused
            return normalised(shapely.from_wkb(content))
    except (ValueError, shapely.errors.ShapelyError) as error:
        raise ImageryError(f"{where}: its place is no polygon ({reason_of(error)}). Write it again.") from error


def from_geojson(geometry: Any, where: str) -> BaseGeometry:
    """A polygon, or several; parameters and errors as :func:`from_wkb`."""
    try:
        kind, coordinates = geometry["type"], geometry["coordinates"]
        if kind not in ("Polygon", "MultiPolygon"):
            raise ValueError(f"but {str(kind)[:40]!r}")
        polygons = coordinates if kind == "MultiPolygon" else [coordinates]
        _check_count(sum(len(ring) + 1 for polygon in polygons for ring in polygon))
        with np.errstate(invalid="ignore"):  # of NaN, which is refused
            return normalised(shape({"type": kind, "coordinates": coordinates}))
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError, shapely.errors.ShapelyError) as error:
        raise ImageryError(f"{where}: its place is no polygon ({reason_of(error)}). Search for it again.") from error


def of_ring(corners: Sequence[tuple[float, float]] | NDArray[np.float64], where: str) -> BaseGeometry:
    """A polygon of one ring in degrees, which may cross itself (:func:`repaired`), or its parts over the antimeridian.

    :raises ImageryError: as :func:`from_wkb`.
    """
    try:
        if len(corners) < 4:
            raise ValueError(f"{len(corners)} corners")
        _check_count(len(corners))
        with np.errstate(invalid="ignore"):  # of NaN, which is refused
            return normalised(Polygon(corners))
    except (ValueError, TypeError, shapely.errors.ShapelyError) as error:
        raise ImageryError(f"{where}: its footprint is no polygon ({reason_of(error)}). Fetch it again.") from error


def repaired(area: BaseGeometry, where: str) -> BaseGeometry:
    """A valid geometry of the same ground.

    :raises ImageryError: when its rings cross themselves more often than any real one.
    """
    try:
        return repair.repaired(area)
    except GeometryError as error:
        raise ImageryError(f"{where}: {error}. Fetch it again.") from error


def check_wkb(content: bytes | None) -> None:
    """Refuse what is no complete polygon, or several of them, without building it.

    :raises ValueError: with the reason.
    """
    if content is None:
        raise ValueError("there is none")
    _check_count((len(content) - 9) // 16)
    wkb.check_wkb(content, (wkb.POLYGON, wkb.MULTI_POLYGON))


def _check_count(count: int) -> None:
    if count > FOOTPRINT_CORNERS.value:
        raise ValueError(FOOTPRINT_CORNERS.excess(count))
