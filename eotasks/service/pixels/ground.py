"""The ground of a request: its grid, how large its pixels are in metres, and which of them lie in the geometry."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.features import geometry_mask
from rasterio.warp import transform
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from eotasks.errors import WARNING_FILTERS, AreaError, ConfigurationError, EOTasksError, GridError, message_of
from eotasks.geometry.degrees import WGS84
from eotasks.imagery.files.gdal import GDAL_ERRORS
from eotasks.imagery.grid import Grid, parse_crs
from eotasks.imagery.pixels.places import Places
from eotasks.service.contract.area import OutputArea
from eotasks.service.errors import RequestError
from eotasks.service.pixels.blocks import Allowance

_RADIUS, _FLATTENING = 6_378_137.0, 1 / 298.257223563
"""Of WGS84: metres of the equator's radius."""

_SLACK = 1_000.0
"""Metres by which a search looks beyond the area: edges of footprints are straight in degrees and curved on the ground,
by 300 m on a tile."""

_ROUNDING = 1e-3
"""Share by which pixels may be wider than the limit: clients compute sizes in degrees."""


PLACES_BYTES = 128 << 20
"""Of the places of all pixels of a request that are kept, in the systems of its products: an image of 2500 x 2500 takes
100 MB in one."""
_PLACE_BYTES = 16
"""Of a pixel."""

_LARGE_PART = 0.25
"""Of a request's pixels, from which on all of them are found in a system rather than those of a product."""

_CELLS = 32
"""Along each side of a request, by which it is seen where a product may lie."""
_WIDE = 512
"""Pixels of a side, up to which all of a request is looked at for each product."""
_AROUND = 500.0
"""Metres around a product that kernels of its bands may reach."""


@dataclass(eq=False)
class Canvas:
    """The grid of a request, and what is the same for all its scenes. May be used by several threads."""

    grid: Grid
    inside: NDArray[np.bool_] | None
    """(h, w): pixels that count; None for all."""

    allowance: Allowance = field(default_factory=Allowance)
    """Of computing cloud masks, for all scenes together."""

    _places: OrderedDict[str, Places] = field(default_factory=OrderedDict)
    _cells: dict[str, _Cells] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def places(self, crs: CRS) -> Places:
        """The centres of its pixels in a coordinate system, found once."""
        key = crs.to_wkt()
        with self._lock:
            found = self._places.get(key)
            if found is None:
                found = self._places[key] = Places.of(self.grid, crs)
                while len(self._places) > 1 and len(self._places) * self._places_bytes > PLACES_BYTES:
                    self._places.popitem(last=False)
        return found

    @property
    def _places_bytes(self) -> int:
        return _PLACE_BYTES * self.grid.height * self.grid.width

    def places_of(
        self, rows: slice, columns: slice, window: tuple[slice, slice] | None = None
    ) -> Callable[[CRS], Places]:
        """The centres of some of its pixels, which are found by themselves where they are few of all, or all are too
        many to be kept.

        :param window: All rows and columns that are looked at, strip by strip; None for these.
        """
        seen = window or (rows, columns)
        count = len(range(self.grid.height)[seen[0]]) * len(range(self.grid.width)[seen[1]])
        if count >= _LARGE_PART * self.grid.height * self.grid.width and self._places_bytes <= PLACES_BYTES:
            return lambda crs: self.places(crs).part(rows, columns)
        known: dict[str, Places] = {}
        lock = Lock()

        def places(crs: CRS) -> Places:
            key = crs.to_wkt()
            with lock:
                if key not in known:
                    whole = self._places.get(key)
                    known[key] = (
                        Places.of(self.grid, crs, rows, columns) if whole is None else whole.part(rows, columns)
                    )
                return known[key]

        return places

    def window_under(self, product: Grid, window: tuple[slice, slice]) -> tuple[slice, slice] | None:
        """The part of a window in which pixels of a product may lie; None where none can.

        :param product: The ground of its pixels.
        """
        if max(self.grid.shape) <= _WIDE:
            return window
        crs = parse_crs(product.crs)
        key = crs.to_wkt()
        with self._lock:
            cells = self._cells.get(key)
            if cells is None:
                cells = self._cells[key] = _Cells.of(self.grid, crs)
        return cells.window_under(product.bounds, window)


@dataclass(frozen=True, eq=False)
class _Cells:
    """Parts of a grid, and between which coordinates of another system each lies."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    """Pixels at which they begin, and the end of the last one."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    """(2, n, m): x and y; NaN of those that are of no place."""

    @classmethod
    def of(cls, grid: Grid, crs: CRS) -> _Cells:
        rows, columns = (np.unique(np.linspace(0, length, _CELLS + 1).round().astype(np.intp)) for length in grid.shape)
        x, y = np.meshgrid(grid.left + _halved(columns) * grid.across, grid.top - _halved(rows) * grid.down)
        try:
            found = transform(parse_crs(grid.crs), crs, x.ravel(), y.ravel())
        except GDAL_ERRORS as error:
            raise AreaError(f"Extent {grid.bounds} ({grid.crs}) cannot be expressed in {crs}: too far away.") from error
        there = np.array(found, dtype=np.float64).reshape(2, *x.shape)
        there[~np.isfinite(there)] = np.nan
        height, width = 2 * len(rows) - 3, 2 * len(columns) - 3
        points = np.stack(
            [
                there[:, down : height + down : 2, across : width + across : 2]
                for down in range(3)
                for across in range(3)
            ]
        )
        low, high = points.min(axis=0), points.max(axis=0)
        # Edges are curved there, by more than a cell of few rows is high: their middles are looked at, too, and between
        # those they leave the chord by a quarter of what they do between the corners.
        around = (high - low) / 2
        return cls(rows, columns, low - around, high + around)

    def window_under(
        self, bounds: tuple[float, float, float, float], window: tuple[slice, slice]
    ) -> tuple[slice, slice] | None:
        """As of `Canvas`."""
        left, bottom, right, top = bounds
        beside = (self.high[0] < left - _AROUND) | (self.low[0] > right + _AROUND)
        beside |= (self.high[1] < bottom - _AROUND) | (self.low[1] > top + _AROUND)
        rows, columns = np.flatnonzero(~beside.all(axis=1)), np.flatnonzero(~beside.all(axis=0))
        if not rows.size:
            return None
        spans = (self.rows[rows[0]], self.rows[rows[-1] + 1]), (self.columns[columns[0]], self.columns[columns[-1] + 1])
        ends = self.rows[-1], self.columns[-1]
        found = [
            slice(max(first, range(end)[whole].start), min(last, range(end)[whole].stop))
            for (first, last), whole, end in zip(spans, window, ends, strict=True)
        ]
        return (found[0], found[1]) if all(each.start < each.stop for each in found) else None


def _halved(edges: NDArray[np.intp]) -> NDArray[np.float64]:
    """With the middle between each two."""
    return np.interp(np.arange(2 * len(edges) - 1) / 2, np.arange(len(edges)), edges)


def grid_of(area: OutputArea) -> Grid:
    """The grid of an area, of pixels that need not be squares.

    :raises RequestError: when there is no such grid.
    """
    across, down = area.pixel_size
    left, _, _, top = area.bounds
    try:
        return Grid(area.crs, left, top, across, area.height, area.width, pixel_height=down)
    except GridError as error:
        raise RequestError(message_of(error)) from error


def check_metres(size: tuple[float, float], limit: float, collection: str) -> None:
    """Refuse pixels that are wider than what is served.

    :param size: Of :func:`metres_of`.
    :raises RequestError: says the limit.
    """
    widest = max(size)
    if not widest <= limit * (1 + _ROUNDING):
        raise RequestError(
            f"Pixels of {widest:,.0f} m are wider than the {limit:,.0f} m that {collection} is served at. Ask for a"
            " smaller area, or for more pixels."
        )


def metres_of(area: OutputArea) -> tuple[float, float]:
    """Width and height of the pixel in the middle of an area, in metres: as they are in a zone of UTM, else measured on
    the ellipsoid.

    :raises RequestError: when its middle is of no place on Earth.
    """
    system = _system_of(area)
    left, bottom, right, top = area.bounds
    found = _metres(system, area.pixel_size, (left + right) / 2, (bottom + top) / 2)
    if found is None:
        raise RequestError(
            f"The area {area.bounds} in {area.crs} is of no place on Earth: check its coordinate system."
        )
    return found


def metres_at(area: OutputArea, place: tuple[float, float], crs: CRS) -> tuple[float, float]:
    """The same of a pixel at a place, which is the same whatever else an area has.

    :param place: In its own system, such as the middle of a product; one that cannot be expressed in that of the area
        is that of the area's middle.
    """
    system = _system_of(area)
    if is_utm(system):
        return area.pixel_size
    try:
        (x,), (y,) = transform(crs, system, [place[0]], [place[1]])[:2]
    except GDAL_ERRORS:
        x = y = math.inf
    found = _metres(system, area.pixel_size, x, y) if math.isfinite(x) and math.isfinite(y) else None
    return metres_of(area) if found is None else found


def _system_of(area: OutputArea) -> CRS:
    try:
        return parse_crs(area.crs)
    except GridError as error:
        raise RequestError(message_of(error)) from error


def _metres(system: CRS, size: tuple[float, float], x: float, y: float) -> tuple[float, float] | None:
    """Of a pixel around a place; None where that is none on Earth."""
    across, down = size
    if is_utm(system):
        return size
    try:
        longitudes, latitudes = transform(
            system, WGS84, [x - across / 2, x + across / 2, x, x], [y, y, y - down / 2, y + down / 2]
        )
    except GDAL_ERRORS:
        return None
    if not np.isfinite([*longitudes, *latitudes]).all():
        return None
    return (
        _distance(longitudes[0], latitudes[0], longitudes[1], latitudes[1]),
        _distance(longitudes[2], latitudes[2], longitudes[3], latitudes[3]),
    )


def is_utm(system: CRS) -> bool:
    """Whether a coordinate system is a zone of UTM on WGS84, in whose metres products are."""
    code = system.to_epsg()
    return code is not None and (32601 <= code <= 32660 or 32701 <= code <= 32760)


def _distance(west: float, south: float, east: float, north: float) -> float:
    """Metres between two near places, by the radii of curvature between them."""
    latitude = math.radians((south + north) / 2)
    squared = _FLATTENING * (2 - _FLATTENING)
    bend = 1 - squared * math.sin(latitude) ** 2
    meridian, prime = _RADIUS * (1 - squared) / bend**1.5, _RADIUS / math.sqrt(bend)
    turn = math.radians((east - west + 180) % 360 - 180)
    return math.hypot(turn * prime * math.cos(latitude), math.radians(north - south) * meridian)


def wanted(area: OutputArea) -> BaseGeometry:
    """What counts of an area, in its units: the geometry as far as it lies in the extent."""
    extent = box(*area.bounds)
    if area.geometry is None:
        return extent
    return shapely.intersection(shapely.make_valid(area.geometry), extent)


def around(area: OutputArea) -> BaseGeometry:
    """What a search looks for: the extent of what counts, and a little beyond it; in units of the area."""
    left, bottom, right, top = wanted(area).bounds
    system = parse_crs(area.crs)
    unit = system.units_factor[1]  # metres, as of a foot, or radians, as of a grad
    if not system.is_geographic:
        slack = _SLACK / unit
        return box(left - slack, bottom - slack, right + slack, top + slack)
    pole, down = math.pi / 2 / unit, _SLACK / _RADIUS / unit
    across = down / max(math.cos(max(abs(bottom), abs(top)) * unit), 0.01)
    return box(left - across, max(bottom - down, -pole), right + across, min(top + down, pole))


def searched(geometry: BaseGeometry, crs: str) -> BaseGeometry:
    """A geometry in degrees, as searches take it.

    :raises RequestError: when it is of no place on Earth.
    """
    from eotasks.catalogue.request import area_of

    try:
        found = area_of(None, geometry, crs)
    except (AreaError, GridError, ConfigurationError, EOTasksError) as error:
        raise RequestError(message_of(error)) from error
    assert found is not None  # a geometry was given
    return found


def inside(area: OutputArea, grid: Grid) -> NDArray[np.bool_] | None:
    """(h, w): pixels whose centre lies in the geometry; None where there is none, and all do."""
    if area.geometry is None:
        return None
    shapes: list[Any] = [part for part in _polygons(area.geometry) if not part.is_empty]
    if not shapes:
        return np.zeros(grid.shape, dtype=bool)
    with WARNING_FILTERS:
        found: NDArray[np.bool_] = geometry_mask(shapes, out_shape=grid.shape, transform=grid.transform, invert=True)
    return None if found.all() else found


def _polygons(geometry: BaseGeometry) -> list[BaseGeometry]:
    valid = geometry if geometry.is_valid else shapely.make_valid(geometry)
    return [part for part in shapely.get_parts(valid).tolist() if part.area > 0]
