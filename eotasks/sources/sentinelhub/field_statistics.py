"""Field statistics from Sentinel Hub's Statistical API: the table that images give, and no pixel is downloaded.

A request for each polygon, by the unmodified client. What differs from statistics of images at home:

- A pixel counts whole, where its middle lies in the polygon, and not by the part that the polygon covers; so the pixels
  and their area are whole numbers. A polygon in which no middle lies has the pixel of a point of it.
- Percentiles and the median are values that occur (the inverse of the distribution), not interpolated between them.
- A row is of a day (its midnight, UTC), not of an acquisition.

The grid of a polygon lies on whole multiples of the resolution in its UTM zone, as the pixels of Sentinel-2 do, so that
pixels are those of the products and not something between them.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from sentinelhub.api.statistical import SentinelHubStatistical
from sentinelhub.config import SHConfig
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox, Geometry

from eotasks.errors import ConfigurationError, GeometryError, GridError, ImageryError, message_of
from eotasks.models.zonal import (
    ALL_ROW,
    CLEAR_ROW,
    FIXED,
    MAX,
    MEAN,
    MEDIAN,
    MIN,
    PIXELS,
    STD,
    PixelState,
    check_percentiles,
)
from eotasks.sources.bbox import check_resolution
from eotasks.sources.field_windows import zoned
from eotasks.sources.frames import some_of
from eotasks.sources.sentinelhub.account import (
    collection_at,
    collection_named,
    host,
    keep_secrets_out_of_logs,
    load_credentials,
    reason,
    service_errors,
)
from eotasks.sources.sentinelhub.checks import check_count, check_number, whole_percent
from eotasks.sources.sentinelhub.field_script import CLOUD, SHADOW, Clouds, field_script, output_name
from eotasks.sources.sentinelhub.statistics import StatisticalClient, whole_days
from eotasks.times import parse_time
from eotasks.zonal.frames import ZonalBlock
from eotasks.zonal.polygons import Polygons
from eotasks.zonal.quantities import Quantity, resolved
from eotasks.zonal.table import joined, long_table, rows_without_numbers
from eotasks.zonal.vocabulary import ID, Over, Status

MOST_SIDE = 2_500
"""Rows and columns that a request may have."""

_MOST_CORNERS = 1_500
_TOGETHER = 200
"""Requests whose answers are in memory at a time."""

_SIMPLIFIED = 0.05
"""Of a pixel, by which outlines of too many corners may move."""


@dataclass(frozen=True)
class _Asked:
    """A polygon as it is asked for."""

    index: int
    """Among all polygons."""

    shape: Any
    """In its UTM zone."""

    crs: CRS
    box: tuple[float, float, float, float]
    """On whole pixels."""

    area: int
    """Pixels whose middle lies in the shape."""


class FieldStatisticsRequest:
    """What is asked of the Statistical API for every polygon."""

    def __init__(
        self,
        quantities: Sequence[Quantity],
        *,
        clouds: Clouds = "CLM",
        percentiles: Sequence[float] = (),
        resolution: float = 10,
        data_collection: str = "SENTINEL2_L1C",
        maxcc: float = 1.0,
        profile: str | None = None,
        cache_folder: str | None = None,
        max_threads: int | None = None,
    ) -> None:
        """
        :param quantities: Bands and indices (`eotasks.zonal.quantities.quantities_of`).
        :param clouds: What says clouds and shadows: "CLM" (no shadows are told), "CLM+SHADOW" (a service of eotasks),
            "SCL" of L2A, or "none".
        :param percentiles: 0..100, beside the median.
        :param resolution: Metres of a pixel.
        :param data_collection: Name of a sentinelhub DataCollection of Sentinel-2.
        :param maxcc: Greatest cloud coverage of a whole scene, 0..1, as its metadata says.
        :param profile: Profile of the sentinelhub configuration; None for the default one.
        :param cache_folder: Folder that keeps the service's answers; None keeps none.
        :param max_threads: Requests at a time; None for the client's default.
        :raises ConfigurationError: when an argument is not usable.
        :raises BandError: when the collection lacks a band.
        """
        collection = collection_named(data_collection)
        if clouds not in get_args(Clouds):
            raise ConfigurationError(f"clouds={clouds!r} is not known: use one of {', '.join(get_args(Clouds))}.")
        if clouds == "SCL" and "L2A" not in data_collection:
            raise ConfigurationError("clouds='SCL' is of L2A: ask for data_collection='SENTINEL2_L2A'.")
        there = [band.name for band in collection.bands]
        self.quantities = resolved(quantities, there, where=data_collection)
        check_resolution(resolution)
        check_number("maxcc", maxcc, least=0, most=1)
        if max_threads is not None:
            check_count("max_threads", max_threads)
        self.percentiles = check_percentiles(percentiles)
        self.resolution = float(resolution)
        self.data_collection = data_collection
        self.maxcc = maxcc
        self.profile = profile
        self.cache_folder = cache_folder
        self.max_threads = max_threads
        self.script = field_script(self.quantities, clouds)

    def statistics(self, polygons: Polygons, time_interval: tuple[str | dt.date, str | dt.date]) -> pd.DataFrame:
        """The whole table in long form; see `tables`."""
        return joined(list(self.tables(polygons, time_interval)))

    def tables(
        self,
        polygons: Polygons,
        time_interval: tuple[str | dt.date, str | dt.date],
        *,
        key: str = ID,
        advance: Callable[[int, int], None] | None = None,
        fail: Callable[[int, str], None] | None = None,
    ) -> Iterator[pd.DataFrame]:
        """The table in long form, some polygons after the others.

        :param time_interval: First and last day, both counted in whole.
        :param key: Column that says the polygon: ID has its id, `eotasks.zonal.table.POLYGON` its index.
        :param advance: Is told how many polygons are done, of how many.
        :param fail: Is told the index of a polygon that failed, and why: it has rows of `Status.FAILED`, and the others
            go on. Where all fail that are asked for together, nothing more is asked.
        :raises ConfigurationError: when the interval is no two days.
        :raises GridError: when a polygon is larger than a request may be.
        :raises GeometryError: when one lies at no place, or has too many corners.
        :raises CredentialsError: when there are none, or the service refuses them.
        :raises ImageryError: when the service fails; the polygons are named. With ``fail`` only when all of those fail
            that are asked for first.
        """
        start, end = whole_days(time_interval)
        asked = self._asked(polygons)
        config = load_credentials(self.profile)
        keep_secrets_out_of_logs()
        names = [each.name for each in self.quantities]
        ids = polygons.ids if key == ID else np.arange(len(polygons))
        odd = np.setdiff1d(np.arange(len(polygons)), np.array([each.index for each in asked], dtype=np.intp))
        if odd.size:
            states = [polygons.unseen_state(int(index)) for index in odd]
            yield rows_without_numbers(ids[odd], states, names, self.percentiles, key=key)
        client = StatisticalClient(config=config)
        for first in range(0, len(asked), _TOGETHER):
            part = asked[first : first + _TOGETHER]
            requests = [self._request(config, each, start, end) for each in part]
            with service_errors(config, "The statistics"):
                answers = client.fetch(requests, max_threads=self.max_threads)
            lost = [isinstance(answer, Exception) for answer in answers]
            if (any(lost) and fail is None) or (all(lost) and not first):
                self._refuse_failed(config, polygons, part, answers)
            tables = [
                self._table(each, answer, polygons, ids, key, fail) for each, answer in zip(part, answers, strict=True)
            ]
            yield joined(tables)
            if advance is not None:
                advance(first + len(part), len(asked))
            if all(lost) and fail is not None:  # of a service that is down nothing more is asked
                others = np.array([each.index for each in asked[first + len(part) :]], dtype=np.intp)
                for index in others.tolist():
                    fail(index, "not asked for, as all statistics before it failed")
                yield rows_without_numbers(
                    ids[others], [Status.FAILED] * len(others), names, self.percentiles, key=key
                )  # fmt: skip
                return

    def _table(
        self,
        asked: _Asked,
        answer: Any,
        polygons: Polygons,
        ids: NDArray[Any],
        key: str,
        fail: Callable[[int, str], None] | None,
    ) -> pd.DataFrame:
        """Rows of a polygon; without numbers where it has none, or where it failed and somebody is told."""
        status = Status.OUTSIDE
        names, own = [each.name for each in self.quantities], ids[[asked.index]]
        try:
            if isinstance(answer, Exception):
                raise ImageryError(f"statistics of polygon {polygons.ids[asked.index]}: {reason(answer)}")
            block = self._block(asked, answer, f"statistics of polygon {polygons.ids[asked.index]}")
            if block.times:
                return long_table(own, block, names, self.percentiles, key=key)
        except ImageryError as error:
            if fail is None:
                raise
            status = Status.FAILED
            fail(asked.index, message_of(error))
        return rows_without_numbers(own, [status], names, self.percentiles, key=key)

    def _refuse_failed(self, config: SHConfig, polygons: Polygons, part: Sequence[_Asked], answers: list[Any]) -> None:
        failed = [
            f"{polygons.ids[each.index]} ({reason(answer)})"
            for each, answer in zip(part, answers, strict=True)
            if isinstance(answer, Exception)
        ]
        raise ImageryError(
            f"{host(config.sh_base_url)}: statistics of {len(failed)} of {len(part)} polygons failed:"
            f" {some_of(failed)}. Check the account and the network, then run it again."
        )

    def _asked(self, polygons: Polygons) -> list[_Asked]:
        """Polygons on whole pixels of their UTM zones, zone by zone; refused before anything is asked for."""
        found = [
            _on_pixels(int(index), shape, CRS(zone), self.resolution, f"Polygon {polygons.ids[index]}")
            for zone, (indices, shapes) in zoned(polygons).items()
            for index, shape in zip(indices, shapes, strict=True)
        ]
        return sorted(found, key=lambda each: each.index)

    def _request(self, config: SHConfig, asked: _Asked, start: dt.datetime, end: dt.datetime) -> Any:
        outputs = [
            output_name(over, number) for over in Over for number in range(len(self.quantities))
        ]  # fmt: skip
        wanted = {"statistics": {"default": {"percentiles": {"k": [50.0, *self.percentiles]}}}}
        request = SentinelHubStatistical(
            aggregation=SentinelHubStatistical.aggregation(
                evalscript=self.script,
                time_interval=(start, end),
                aggregation_interval="P1D",
                resolution=(self.resolution, self.resolution),
                other_args={"aggregationInterval": {"lastIntervalBehavior": "SHORTEN"}},
            ),
            input_data=[
                SentinelHubStatistical.input_data(
                    collection_at(self.data_collection, config.sh_base_url), maxcc=whole_percent(self.maxcc)
                )
            ],
            bbox=BBox(asked.box, asked.crs),
            geometry=Geometry(asked.shape, asked.crs),
            calculations=dict.fromkeys(outputs, wanted) | {name: {} for name in (CLOUD, SHADOW)},
            data_folder=self.cache_folder,
            config=config,
        )
        return request.download_list[0]

    def _block(self, asked: _Asked, answer: Any, where: str) -> ZonalBlock:
        if not isinstance(answer, Mapping) or not isinstance(answer.get("data"), list):
            raise ImageryError(f"{where}: the service sent no statistics. Try again later.")
        days = [day for day in answer["data"] if not _is_empty(day)]
        values = np.full((1, len(days), len(self.quantities), 2, FIXED + len(self.percentiles)), np.nan)
        parts = np.zeros((1, len(days), len(PixelState)))
        times = []
        for number, day in enumerate(days):
            try:
                time = parse_time(day["interval"]["from"])
                if "error" in day:
                    kind = day["error"].get("type", "unknown")
                    raise ImageryError(f"{where}: the day {time:%Y-%m-%d} failed ({kind}). Try again later.")
                self._fill(day["outputs"], values[0, number])
                parts[0, number] = _parts(day["outputs"], asked.area)
            except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
                raise ImageryError(
                    f"{where}: the service sent a day that is none ({type(error).__name__}). Try again later."
                ) from error
            times.append(time)
        order = np.argsort(np.array(times, dtype="datetime64[us]"), kind="stable")
        return ZonalBlock(tuple(times[each] for each in order), values[:, order], parts[:, order])

    def _fill(self, outputs: Mapping[str, Any], values: NDArray[np.float64]) -> None:
        """:param values: (quantities, 2, 6 + percentiles) of a day."""
        for number in range(len(self.quantities)):
            for row, over in ((CLEAR_ROW, Over.CLEAR), (ALL_ROW, Over.ALL)):
                stats = _stats(outputs, output_name(over, number))
                found = values[number, row]
                found[PIXELS] = _counted(stats)
                if not found[PIXELS]:
                    continue
                for place, name in ((MEAN, "mean"), (STD, "stDev"), (MIN, "min"), (MAX, "max")):
                    found[place] = float(stats[name])
                ranks = {float(key): float(value) for key, value in stats["percentiles"].items()}
                found[MEDIAN] = ranks[50.0]
                found[FIXED:] = [ranks[each] for each in self.percentiles]


def _is_empty(day: Any) -> bool:
    """Whether a day says that it has nothing, as services do of days without products."""
    return isinstance(day, Mapping) and "error" not in day and day.get("outputs") == {}


def _parts(outputs: Mapping[str, Any], area: int) -> NDArray[np.float64]:
    """Pixels of each ``PixelState``."""
    parts = np.zeros(len(PixelState))
    seen = 0.0
    for state, name in ((PixelState.CLOUD, CLOUD), (PixelState.SHADOW, SHADOW)):
        stats = _stats(outputs, name)
        seen = _counted(stats)
        parts[state] = float(stats["mean"]) * seen if seen else 0.0
    parts[PixelState.CLEAR] = seen - parts[PixelState.CLOUD] - parts[PixelState.SHADOW]
    parts[PixelState.NO_DATA] = max(area - seen, 0.0)
    return parts


def _stats(outputs: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    (band,) = outputs[name]["bands"].values()
    stats: Mapping[str, Any] = band["stats"]
    return stats


def _counted(stats: Mapping[str, Any]) -> float:
    count = float(stats["sampleCount"]) - float(stats["noDataCount"])
    if not 0 <= count < math.inf:
        raise ValueError(f"{count} pixels")
    return count


def _on_pixels(index: int, shape: Any, crs: CRS, resolution: float, where: str) -> _Asked:
    """A polygon on the whole pixels around it."""
    left, bottom, right, top = (float(each) for each in shapely.bounds(shape))
    west, south = (math.floor(each / resolution + 1e-6) * resolution for each in (left, bottom))
    east, north = (math.ceil(each / resolution - 1e-6) * resolution for each in (right, top))
    columns, rows = max(round((east - west) / resolution), 1), max(round((north - south) / resolution), 1)
    if max(columns, rows) > MOST_SIDE:
        raise GridError(
            f"{where} is {columns:,} x {rows:,} pixels of {resolution:g} m, a request may have {MOST_SIDE:,} on a side:"
            " ask for larger pixels, or cut it."
        )
    box = (west, north - rows * resolution, west + columns * resolution, north)
    if shapely.get_num_coordinates(shape) > _MOST_CORNERS:
        shape = _simplified(shape, resolution, where)
    x = west + (np.arange(columns) + 0.5) * resolution
    y = north - (np.arange(rows) + 0.5) * resolution
    area = int(np.count_nonzero(shapely.contains_xy(shape, *(each.ravel() for each in np.meshgrid(x, y)))))
    if not area:  # smaller than a pixel, or between the middles of some
        point = shape.representative_point()
        column = min(max(int((point.x - west) / resolution), 0), columns - 1)
        row = min(max(int((north - point.y) / resolution), 0), rows - 1)
        box = (
            west + column * resolution, north - (row + 1) * resolution,
            west + (column + 1) * resolution, north - row * resolution,
        )  # fmt: skip
        shape, area = shapely.box(*box), 1
    return _Asked(index, shape, crs, box, area)


def _simplified(shape: Any, resolution: float, where: str) -> Any:
    """With fewer corners, by a twentieth of a pixel at most: services take no outline of any length.

    :raises GeometryError: when that does not do.
    """
    simple = shapely.simplify(shape, _SIMPLIFIED * resolution)
    if shapely.get_num_coordinates(simple) > _MOST_CORNERS:
        raise GeometryError(
            f"{where} has {shapely.get_num_coordinates(shape):,} corners, and {_MOST_CORNERS:,} are not enough for it:"
            " simplify it, or cut it."
        )
    return simple
