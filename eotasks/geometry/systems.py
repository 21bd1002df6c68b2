"""Coordinate systems by what they are, whatever their spelling, and what their metres are on the ground."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyproj

from eotasks.errors import GridError
from eotasks.text import excerpt

if TYPE_CHECKING:
    from sentinelhub.constants import CRS

GROUND_TOLERANCE = 0.05
"""What a metre of a coordinate system may differ from one on the ground by. UTM zones and national systems stay below
0.01 within their area, LAEA Europe below 0.03; EPSG:3857 passes it at 18 degrees of latitude."""

_WITHOUT_CODE = (4326, 4258, 4269, 4267)
"""Geographic systems that files name without their code: OGC:CRS84, CRS83 and CRS27 differ in their axes only."""

_PROBE = 50.0
"""Half the length, in units of a system, that is measured on the ground."""

_GEODESIC = pyproj.Geod(ellps="WGS84")


def crs_of(value: Any) -> CRS:
    """Sentinelhub's CRS of a name, a code, or a pyproj CRS.

    What a file says without an EPSG code is compared with the systems that it may be: OGC:CRS84, PROJ strings and WKT
    of WGS 84 are EPSG:4326. Of a system with heights its horizontal part counts.

    :raises GridError: when it has no known EPSG code.
    """
    from sentinelhub.constants import CRS  # here: a third of a second that many who ask for degrees need not wait for

    if isinstance(value, CRS):
        return value
    try:
        code = _known(value if isinstance(value, pyproj.CRS) else _parsed(value))
        # By its code: sentinelhub warns of latitude-first axes.
        system: CRS = CRS(value if code is None and not isinstance(value, pyproj.CRS) else code)
        system.pyproj_crs()  # any number is taken until it is used
    except (ValueError, TypeError, pyproj.exceptions.CRSError) as error:
        name = value.name if isinstance(value, pyproj.CRS) else value
        raise GridError(
            f"The CRS {excerpt(name)} has no known EPSG code: use one that has, such as EPSG:32633 (reproject a file)."
        ) from error
    return system


def is_wgs84(system: Any) -> bool:
    """Whether a system is WGS 84 in degrees, in any spelling and order of axes.

    :param system: What pyproj takes.
    """
    return _epsg(horizontal_of(pyproj.CRS.from_user_input(system))) == 4326


def horizontal_of(system: pyproj.CRS) -> pyproj.CRS:
    """A system without its heights, and without a transformation to WGS 84 that changes nothing."""
    while system.is_compound or system.is_bound:
        inner = system.sub_crs_list[0] if system.is_compound else system.source_crs
        if inner is None or (system.is_bound and _shifts(system)):
            break
        system = inner
    return system.to_2d() if len(system.axis_info) > 2 else system


def in_metres(crs: CRS) -> bool:
    """Whether a system is projected and calls its units metres; see :func:`check_ground_metres` for what they are."""
    system = crs.pyproj_crs()
    return bool(system.is_projected and all(axis.unit_name == "metre" for axis in system.axis_info))


def in_degrees(crs: CRS) -> bool:
    """Whether a system has degrees of longitude and latitude, of whatever datum."""
    system = crs.pyproj_crs()
    return bool(system.is_geographic and all(axis.unit_name == "degree" for axis in system.axis_info))


def require_metres(crs: CRS, what: str) -> None:
    """:raises GridError: when a system is not in metres; see :func:`check_ground_metres` for what they are."""
    if not in_metres(crs):
        raise GridError(f"{what} is in {crs.ogc_string()}, which is not in metres: use a UTM zone, or grid 'utm'.")


def ground_scale(crs: Any, x: float, y: float) -> tuple[float, float]:
    """Metres on the ground of a unit along x and along y at a place; not finite where the system has none.

    Measured as geodesics on the ellipsoid of WGS 84, so that it is true of any projection and unit.

    :param crs: A projected system, as pyproj takes it.
    """
    xs, ys = (x - _PROBE, x + _PROBE, x, x), (y, y, y - _PROBE, y + _PROBE)
    longitude, latitude = _to_wgs84(crs).transform(xs, ys)
    if not all(math.isfinite(value) for value in (*longitude, *latitude)):
        return math.inf, math.inf
    _, _, metres = _GEODESIC.inv(longitude[::2], latitude[::2], longitude[1::2], latitude[1::2])
    return metres[0] / (2 * _PROBE), metres[1] / (2 * _PROBE)


def has_ground_metres(crs: CRS, bounds: Sequence[float]) -> bool:
    """Whether units of a projected system are metres of the ground at a place; parameters as below."""
    return _false_metres(crs, bounds) is None


def check_ground_metres(crs: CRS, bounds: Sequence[float], what: str, cure: str) -> None:
    """Refuse a system whose metres are not those of the ground, as those of EPSG:3857.

    :param bounds: (left, bottom, right, top) of the place, in units of the system.
    :param what: What lies there, for the message, such as "The area".
    :param cure: What to do, for the message.
    :raises GridError: when a unit differs by more than :data:`GROUND_TOLERANCE` from a metre in the middle or a corner.
    """
    found = _false_metres(crs, bounds)
    if found is not None:
        x, y, metres = found
        size = f"{metres:.2f} m on the ground" if math.isfinite(metres) else "at no place on Earth"
        raise GridError(
            f"{what} is in {crs.ogc_string()}, whose metres are not the ground's: at ({x:.10g}, {y:.10g}) one is"
            f" {size}. {cure}"
        )


def _false_metres(crs: CRS, bounds: Sequence[float]) -> tuple[float, float, float] | None:
    """A place where a unit is no metre of the ground, and what it is there."""
    left, bottom, right, top = bounds
    places = [((left + right) / 2, (bottom + top) / 2), *((x, y) for x in (left, right) for y in (bottom, top))]
    for x, y in places:
        for metres in ground_scale(crs.ogc_string(), x, y):
            if not abs(metres - 1) <= GROUND_TOLERANCE:
                return x, y, metres
    return None


def utm_of(longitude: float, latitude: float) -> CRS:
    """The UTM zone of a place, in degrees; longitudes may be beyond 180."""
    from sentinelhub.constants import CRS

    return CRS.get_utm_from_wgs84((longitude + 180) % 360 - 180, latitude)


def _parsed(value: Any) -> pyproj.CRS | None:
    """A system of a name or a code; None for what only sentinelhub may know."""
    text = str(value).strip()
    if text.isascii() and text.isdigit():
        return None
    try:
        return pyproj.CRS.from_user_input({"CRS84": "OGC:CRS84"}.get(text.upper(), text))
    except pyproj.exceptions.CRSError:
        return None


def _known(system: pyproj.CRS | None) -> int | None:
    return None if system is None else _epsg(horizontal_of(system))


def _epsg(system: pyproj.CRS) -> int | None:
    code = system.to_epsg()
    if code is None and system.is_geographic:
        code = next((each for each in _WITHOUT_CODE if system.equals(_standard(each), ignore_axis_order=True)), None)
    return None if code is None else int(code)


def _shifts(system: pyproj.CRS) -> bool:
    """Whether a bound system's own transformation to WGS 84 moves anything."""
    operation = system.coordinate_operation
    return operation is None or any(operation.towgs84) or not operation.towgs84


@lru_cache(maxsize=8)
def _standard(code: int) -> pyproj.CRS:
    return pyproj.CRS.from_epsg(code)


@lru_cache(maxsize=64)
def _to_wgs84(crs: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(crs, 4326, always_xy=True)
