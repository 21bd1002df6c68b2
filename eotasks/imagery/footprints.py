"""Footprints that others give, as WKB, GeoJSON or lists of corners: checked before GEOS gets them, in one form after.

GEOS and DuckDB go down a nested geometry by recursion, which ends the process where it is deep, and GEOS takes a minute
to repair a ring of 300 corners that crosses itself everywhere. The form is that of `eotasks.geometry.antimeridian`: cut
at the antimeridian, however it was written.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon, shape
from shapely.geometry.base import BaseGeometry

from eotasks.errors import GeometryError, ImageryError, reason_of
from eotasks.geometry import repair
from eotasks.geometry.antimeridian import normalised
from eotasks.limits import FOOTPRINT_CORNERS

_POLYGON, _MULTI_POLYGON = 3, 6
_HEIGHT, _MEASURE, _SYSTEM = 0x80000000, 0x40000000, 0x20000000
"""Flags of a WKB type: a third number, a fourth one, the code of a coordinate system."""


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
    except (ValueError, struct.error, shapely.errors.ShapelyError) as error:
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
    :raises struct.error: it is cut off.
    """
    if content is None:
        raise ValueError("there is none")
    _check_count((len(content) - 9) // 16)
    end = _end_of(content, 0, (_POLYGON, _MULTI_POLYGON))
    if end != len(content):
        raise ValueError(f"{len(content) - end} bytes too many")


def _end_of(content: bytes, start: int, kinds: tuple[int, ...]) -> int:
    """Where a geometry ends. Recursion is one level deep: parts of several polygons are polygons."""
    if content[start : start + 1] not in (b"\x00", b"\x01"):
        raise ValueError("it is no WKB")
    order = "<" if content[start] else ">"
    code, count = struct.unpack_from(f"{order}II", content, start + 1)
    at = start + 5
    if code & _SYSTEM:
        (count,) = struct.unpack_from(f"{order}I", content, at + 4)
        at += 4
    at += 4
    kind, axes = code & 0x1FFFFFFF, 2 + bool(code & _HEIGHT) + bool(code & _MEASURE)
    if axes == 2 and kind >= 1000:
        kind, axes = kind % 1000, {1: 3, 2: 3, 3: 4}.get(kind // 1000, 0)
    if kind not in kinds or not axes:
        raise ValueError(f"but WKB of type {code}")
    for _ in range(count):
        if kind == _MULTI_POLYGON:
            at = _end_of(content, at, (_POLYGON,))
        else:
            at += 4 + 8 * axes * struct.unpack_from(f"{order}I", content, at)[0]
        if at > len(content):
            raise ValueError("it is cut off")
    return at


def _check_count(count: int) -> None:
    if count > FOOTPRINT_CORNERS.value:
        raise ValueError(FOOTPRINT_CORNERS.excess(count))
