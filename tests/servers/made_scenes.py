"""Scenes that are made: pixels as a function of place, band and date, for our own service instead of products."""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pystac
import shapely

from eotasks.catalogue.request import SearchRequest, as_geojson
from eotasks.service.contract.area import OutputArea
from eotasks.service.contract.data import DataRequest
from eotasks.service.errors import ProductError
from eotasks.service.evalscript.planes import Plane, SceneInfo, TileInfo
from eotasks.service.evalscript.setup import InputBand, Mosaicking
from eotasks.service.pixels.collections import collection_of, divisor_of
from eotasks.service.pixels.ground import grid_of, inside
from eotasks.service.pixels.reader import Found

PixelsOf = Callable[[str, np.ndarray, np.ndarray, int], np.ndarray]
"""Numbers of a band at some places (x, y in units of the request) on a day of the year."""


def value(band: str, x: np.ndarray, y: np.ndarray, day: int) -> np.ndarray:
    """DN of a band at a place and on a day of the year."""
    number = sum(ord(letter) for letter in band)
    return (1000 + number + day + ((x // 10) % 97) * 3 + ((y // 10) % 89) * 7).astype(np.uint16)


@dataclass
class MadeScenes:
    """What the service has, and what goes wrong with it next. It is changed while the service runs."""

    times: list[dt.datetime] = field(default_factory=list)
    cloudy: dict[dt.datetime, float] = field(default_factory=dict)
    """Percent; scenes of other times have no cloud."""

    places: dict[dt.datetime, tuple[float, float, float, float]] = field(default_factory=dict)
    """Where scenes are (west, south, east, north); those of other times are everywhere."""

    pixels: PixelsOf = value
    fails_at: set[dt.date] = field(default_factory=set)
    """Days whose product cannot be read."""

    fails_once_at: set[dt.date] = field(default_factory=set)
    """Days whose product cannot be read at the next time."""

    no_data_at: set[dt.date] = field(default_factory=set)
    """Days whose product has no pixel with data."""

    errors: deque[Exception] = field(default_factory=deque)
    """What the next requests for pixels and statistics end with, one each."""

    search_errors: deque[Exception] = field(default_factory=deque)
    """What the next searches of the catalogue end with."""


class MadeReader:
    """A `PixelReader` of made scenes."""

    def __init__(self, scenes: MadeScenes) -> None:
        self.scenes = scenes

    def check(self, data: DataRequest, bands: Sequence[InputBand]) -> None:
        collection_of(data.collection).checked(bands)
        if self.scenes.errors:
            raise self.scenes.errors.popleft()

    def find(self, data: DataRequest, area: OutputArea, mosaicking: Mosaicking) -> Found:
        clouds = self.scenes.cloudy
        times = [each for each in self.scenes.times if data.start <= each <= data.end]
        times = [each for each in times if clouds.get(each, 0) <= data.max_cloud_coverage]
        times.sort(reverse=data.order != "leastRecent")
        if data.order == "leastCC":
            times.sort(key=lambda each: clouds.get(each, 0))
        tiles = tuple(TileInfo(each, f"scene-{each:%Y%m%d}", clouds.get(each, 0)) for each in times)
        if mosaicking is Mosaicking.SIMPLE:
            return Found((SceneInfo(data.start, data.end, tiles),), (tiles,))
        return Found(
            tuple(SceneInfo(each.time, each.time, (each,)) for each in tiles), tuple((each,) for each in tiles)
        )

    def read(self, data: DataRequest, area: OutputArea, found: Found, bands: Sequence[InputBand]) -> tuple[Plane, ...]:
        left, bottom, right, top = area.bounds
        x = left + (np.arange(area.width) + 0.5) * (right - left) / area.width
        y = top - (np.arange(area.height) + 0.5) * (top - bottom) / area.height
        counts = inside(area, grid_of(area))
        planes = []
        for band, unit in collection_of(data.collection).checked(bands):
            values = np.stack([self._scene(band.name, x, y, tiles) for tiles in found.products])
            planes.append(Plane(band.name, values if counts is None else values * counts, divisor_of(unit)))
        return tuple(planes)

    def _scene(self, band: str, x: np.ndarray, y: np.ndarray, tiles: Sequence[TileInfo]) -> np.ndarray:
        is_mask = band in ("dataMask", "CLM", "CLP")
        if not tiles:
            return np.zeros((len(y), len(x)), np.uint8 if is_mask else np.uint16)
        day = tiles[0].time.date()
        if day in self.scenes.fails_at | self.scenes.fails_once_at:
            self.scenes.fails_once_at.discard(day)
            raise ProductError(f"Product {tiles[0].id} cannot be read: this day is lost.")
        if band == "dataMask" or day in self.scenes.no_data_at:
            there = day not in self.scenes.no_data_at
            return np.full((len(y), len(x)), there, np.uint8 if is_mask else np.uint16)
        values = self.scenes.pixels(band, x[np.newaxis], y[:, np.newaxis], day.timetuple().tm_yday)
        if not is_mask:
            return values
        return (values % (2 if band == "CLM" else 256)).astype(np.uint8)


class MadeProducts:
    """A `ProductSearch` of made scenes."""

    def __init__(self, scenes: MadeScenes) -> None:
        self.scenes = scenes

    def find(self, request: SearchRequest) -> list[pystac.Item]:
        if self.scenes.search_errors:
            raise self.scenes.search_errors.popleft()
        start, end = request.start or dt.datetime.min, request.end or dt.datetime.max  # noqa: DTZ901 - naive UTC
        most = 100 if request.max_cloud_cover is None else 100 * request.max_cloud_cover
        times = [each for each in sorted(self.scenes.times) if start <= each <= end]
        times = [each for each in times if self.scenes.cloudy.get(each, 0) <= most]
        if request.area is not None:
            times = [each for each in times if shapely.box(*self._place(each)).intersects(request.area)]
        return [self._item(each) for each in times][: request.limit]

    def _place(self, time: dt.datetime) -> tuple[float, float, float, float]:
        return self.scenes.places.get(time, (-180.0, -90.0, 180.0, 90.0))

    def _item(self, time: dt.datetime) -> pystac.Item:
        place = self._place(time)
        return pystac.Item(
            id=f"scene-{time:%Y%m%dT%H%M}",
            geometry=as_geojson(shapely.box(*place)),
            bbox=list(place),
            datetime=time.replace(tzinfo=dt.UTC),
            properties={"eo:cloud_cover": self.scenes.cloudy.get(time, 0.0)},
        )
