"""Statistics over polygons from Sentinel Hub's Statistical API, without downloading a pixel."""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import geopandas as gpd
from eolearn.core import EOPatch, EOTask, FeatureType
from sentinelhub.api.statistical import SentinelHubStatistical
from sentinelhub.config import SHConfig
from sentinelhub.constants import CRS
from sentinelhub.download.sentinelhub_statistical_client import SentinelHubStatisticalDownloadClient
from sentinelhub.exceptions import BaseSentinelHubException
from sentinelhub.geometry import BBox, Geometry
from sentinelhub.time_utils import parse_time_interval
from shapely.geometry.base import BaseGeometry

from eotasks.errors import ConfigurationError, FeatureError, GeometryError, GridError, ImageryError
from eotasks.features import Feature, feature_of
from eotasks.geometry.systems import crs_of
from eotasks.imagery.grid import parse_crs
from eotasks.models.sentinel2 import band_indices
from eotasks.sources.bbox import check_resolution
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
from eotasks.sources.sentinelhub.client import PatientRateLimit, forget, quiet_waiting
from eotasks.sources.sentinelhub.places import check_place, utm_zone
from eotasks.times import parse_time

LOGGER = logging.getLogger(__name__)

COLUMNS = (
    "polygon", "TIMESTAMP", "interval_end", "output", "band", "min", "max", "mean", "stDev",
    "sampleCount", "noDataCount",
)  # fmt: skip
"""Of the table, before those of percentiles (``p50``) and the geometry."""

_INTERVAL_ATTEMPTS = 3
_INTERVAL = re.compile(r"P(\d+)([DWMY])")


class DownloadStatisticsTask(EOTask):
    """Mean, spread and percentiles of bands or indices over polygons, for each interval of time.

    One request a polygon, by the sentinelhub client, which asks again for intervals that failed for a while. A pixel
    counts where the service has data and, with ``evalscript``, where its dataMask output is 1; the service takes pixels
    outside of the polygon for no data. Intervals without data are left out.

    Result: a vector feature, a row for each polygon, interval and band: ``polygon`` (index of the input), ``TIMESTAMP``
    (start of the interval), ``interval_end`` (exclusive), ``output``, ``band``, ``min``, ``max``, ``mean``, ``stDev``,
    ``sampleCount`` (pixels of the polygon's bounding box), ``noDataCount`` (of them without data or outside),
    percentiles as ``p33``, and the polygon.
    """

    def __init__(
        self,
        statistics_feature: Feature = (FeatureType.VECTOR, "STATISTICS"),
        *,
        bands: Sequence[str] | None = None,
        evalscript: str | None = None,
        resolution: float = 10,
        aggregation_interval: str = "P1D",
        percentiles: Sequence[float] = (),
        data_collection: str = "SENTINEL2_L1C",
        maxcc: float = 1.0,
        cache_folder: str | None = None,
        profile: str | None = None,
        max_threads: int | None = None,
    ) -> None:
        """
        :param statistics_feature: Vector feature for the table.
        :param bands: Names of bands whose reflectance is asked for; or give ``evalscript``.
        :param evalscript: Script of version 3 whose outputs are asked for; one of them is dataMask.
        :param resolution: Size of a pixel in metres.
        :param aggregation_interval: Length of an interval: ``"P1D"``, ``"P10D"``, ``"P1M"``; at least a day.
        :param percentiles: Per cent, 0 to 100; with ``evalscript`` those of its output ``default``.
        :param data_collection: Name of a sentinelhub DataCollection of Sentinel-2.
        :param maxcc: Greatest cloud coverage of a whole scene, 0..1, as its metadata says.
        :param cache_folder: Folder that keeps the service's answers; None keeps none.
        :param profile: Profile of the sentinelhub configuration; None for the default one.
        :param max_threads: Requests at a time; None for the client's default.
        :raises ConfigurationError: when an argument is not usable.
        :raises BandError: when the collection lacks a band.
        """
        self.statistics_feature = feature_of(statistics_feature, [FeatureType.VECTOR])
        collection = collection_named(data_collection)
        if (bands is None) == (evalscript is None):
            raise ConfigurationError("Give either bands=[...] or evalscript=...: what is to be summed up.")
        if bands is not None:
            if not bands or len(set(bands)) != len(bands):
                raise ConfigurationError(f"bands={list(bands)!r}: name at least one band, and each once.")
            band_indices(bands, [band.name for band in collection.bands], where=data_collection)
        check_resolution(resolution)
        match = _INTERVAL.fullmatch(str(aggregation_interval))
        if match is None or int(match.group(1)) < 1:
            raise ConfigurationError(
                f"aggregation_interval={aggregation_interval!r}: give whole days or more, such as 'P1D', 'P10D', 'P1M'."
            )
        for each in percentiles:
            check_number("percentiles", each, least=0, most=100)
        check_number("maxcc", maxcc, least=0, most=1)
        if max_threads is not None:
            check_count("max_threads", max_threads)
        self.bands = None if bands is None else tuple(bands)
        self.evalscript = evalscript
        self.resolution = float(resolution)
        self.aggregation_interval = aggregation_interval
        self.percentiles = tuple(percentiles)
        self.data_collection = data_collection
        self.maxcc = maxcc
        self.cache_folder = cache_folder
        self.profile = profile
        self.max_threads = max_threads

    def execute(
        self,
        eopatch: EOPatch | None = None,
        *,
        polygons: gpd.GeoDataFrame,
        time_interval: tuple[str | dt.date, str | dt.date],
    ) -> EOPatch:
        """
        :param eopatch: An EOPatch to add to; None makes a new one around the polygons.
        :param polygons: In a projected CRS; over the antimeridian in a UTM zone of either side.
        :param time_interval: First and last day, both counted in whole.
        :raises ConfigurationError: when the interval is no two days.
        :raises FeatureError: when there are no polygons.
        :raises GridError: when they are in degrees, without CRS, in metres that are not the ground's, or when one goes
            round the world or beyond the edge of its CRS, as what crosses the antimeridian does in EPSG:3857.
        :raises CredentialsError: when there are none, or the service refuses them.
        :raises ImageryError: when the service fails; the polygons are named.
        """
        start, end = whole_days(time_interval)
        _check_polygons(polygons)
        config = load_credentials(self.profile)
        keep_secrets_out_of_logs()
        requests = [self._request(config, shape, polygons.crs, start, end) for shape in polygons.geometry]
        with service_errors(config, "The statistics"):
            answers = StatisticalClient(config=config).fetch(requests, max_threads=self.max_threads)
        failed = {
            index: each for index, each in zip(polygons.index, answers, strict=True) if isinstance(each, Exception)
        }
        if failed:
            named = "; ".join(f"polygon {index} ({reason(error)})" for index, error in list(failed.items())[:5])
            raise ImageryError(
                f"{host(config.sh_base_url)}: statistics of {len(failed)} of {len(polygons)} polygons failed: {named}."
                " Check the account and the network, then run it again."
            )
        rows = [
            {"polygon": index, **row, "geometry": shape}
            for (index, shape), answer in zip(polygons.geometry.items(), answers, strict=True)
            for row in rows_of(answer, f"statistics of polygon {index}")
        ]
        table = gpd.GeoDataFrame(rows, columns=self._columns(), geometry="geometry", crs=polygons.crs)
        if eopatch is None:
            eopatch = EOPatch(bbox=BBox(tuple(polygons.total_bounds), CRS(polygons.crs)))
        eopatch[self.statistics_feature] = table
        return eopatch

    def _columns(self) -> list[str]:
        return [*COLUMNS, *(percentile_name(each) for each in self.percentiles), "geometry"]

    def _request(self, config: SHConfig, shape: BaseGeometry, crs: Any, start: dt.datetime, end: dt.datetime) -> Any:
        statistics = {"percentiles": {"k": list(self.percentiles)}} if self.percentiles else {}
        request = SentinelHubStatistical(
            aggregation=SentinelHubStatistical.aggregation(
                evalscript=self.evalscript or band_script(self.bands or ()),
                time_interval=(start, end),
                aggregation_interval=self.aggregation_interval,
                resolution=(self.resolution, self.resolution),
                other_args={"aggregationInterval": {"lastIntervalBehavior": "SHORTEN"}},
            ),
            input_data=[
                SentinelHubStatistical.input_data(
                    collection_at(self.data_collection, config.sh_base_url), maxcc=whole_percent(self.maxcc)
                )
            ],
            geometry=Geometry(shape, CRS(crs)),
            calculations={"default": {"statistics": {"default": statistics}}} if statistics else None,
            data_folder=self.cache_folder,
            config=config,
        )
        return request.download_list[0]


class StatisticalClient(SentinelHubStatisticalDownloadClient):
    """The client's own, with one failure costing no other answer, and damaged answers fetched again."""

    def __init__(self, **options: Any) -> None:
        super().__init__(n_interval_retries=_INTERVAL_ATTEMPTS, **options)
        self.rate_limit = PatientRateLimit(num_processes=self.config.number_of_download_processes)

    def fetch(self, requests: Sequence[Any], *, max_threads: int | None) -> list[Any]:
        with quiet_waiting():
            answers: list[Any] = self.download(requests, max_threads=max_threads)
        return answers

    def _single_download_decoded(self, request: Any) -> Any:
        damaged: Exception | None = None
        for _ in range(2):
            try:
                return super()._single_download_decoded(request)
            except (ValueError, KeyError, IndexError, TypeError, FileNotFoundError) as error:
                damaged = error
                LOGGER.info("Statistics were damaged (%s) and are fetched again.", type(error).__name__)
                forget(request)
            except (BaseSentinelHubException, OSError) as error:
                return error
        return damaged

    def _execute_single_stat_download(self, request: Any) -> dict[str, Any]:
        """One interval again. The client takes the first of the answer, whichever day that is."""
        interval = request.post_values["aggregation"]["timeRange"]
        for _ in range(self.n_interval_retries):
            entries = self._execute_download(request).decode()["data"]
            same = [each for each in entries if parse_time(each["interval"]["from"]) == parse_time(interval["from"])]
            info: dict[str, Any] = same[0] if same else {"interval": interval, "outputs": {}}
            if not self._has_retriable_error(info):
                break
        return info


def rows_of(answer: Any, where: str) -> Iterator[dict[str, Any]]:
    """Rows of an answer of the Statistical API: one for each interval, output and band that has data.

    :raises ImageryError: when an interval failed, or the answer is none.
    """
    if not isinstance(answer, Mapping) or not isinstance(answer.get("data"), list):
        raise ImageryError(f"{where}: the service sent no statistics. Try again later.")
    for interval in answer["data"]:
        try:
            yield from list(_rows_of_interval(interval, where))
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise ImageryError(
                f"{where}: the service sent an interval that is none ({type(error).__name__}). Try again later."
            ) from error


def _rows_of_interval(interval: Any, where: str) -> Iterator[dict[str, Any]]:
    start, end = (parse_time(interval["interval"][key]) for key in ("from", "to"))
    if "error" in interval:
        kind = interval["error"].get("type", "unknown")
        raise ImageryError(f"{where}: the interval from {start:%Y-%m-%d} failed ({kind}). Try again later.")
    for output, content in interval.get("outputs", {}).items():
        for band, summary in content["bands"].items():
            stats = summary["stats"]
            if stats["sampleCount"] == stats["noDataCount"]:
                continue
            names = ("min", "max", "mean", "stDev", "sampleCount", "noDataCount")
            row = {"TIMESTAMP": start, "interval_end": end, "output": output, "band": band}
            row |= {name: stats[name] for name in names}
            row |= {percentile_name(float(k)): value for k, value in stats.get("percentiles", {}).items()}
            yield row


def percentile_name(percent: float) -> str:
    """Column of a percentile: ``p50``, ``p2.5``."""
    return f"p{percent:g}"


def whole_days(interval: tuple[str | dt.date, str | dt.date]) -> tuple[dt.datetime, dt.datetime]:
    """From the start of the first day to the end of the last, which is the start of the next.

    A last interval that ends at 23:59:59, as the client makes of a day, is not full for the service, which may drop it.

    :raises ConfigurationError: when these are no two days in order.
    """
    try:
        first, last = interval
        start, end = (time.date() for time in parse_time_interval((first, last)) if time is not None)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigurationError(
            f"time_interval={interval!r}: {str(error).rstrip('.')}. Give (first day, last day)."
        ) from error
    midnight = dt.time()
    return (
        dt.datetime.combine(start, midnight),
        dt.datetime.combine(end + dt.timedelta(days=1), midnight),
    )


def band_script(bands: Sequence[str]) -> str:
    """An evalscript whose output ``default`` has the reflectance of some bands, in their order."""
    inputs = ", ".join(f'"{band}"' for band in (*bands, "dataMask"))
    units = ", ".join(f'"{unit}"' for unit in (*["REFLECTANCE"] * len(bands), "DN"))
    names = ", ".join(f'"{band}"' for band in bands)
    values = ", ".join(f"sample.{band}" for band in bands)
    return f"""//VERSION=3
function setup() {{
  return {{
    input: [{{bands: [{inputs}], units: [{units}]}}],
    output: [{{id: "default", bands: [{names}], sampleType: "FLOAT32"}}, {{id: "dataMask", bands: 1}}]
  }};
}}
function evaluatePixel(sample) {{
  return {{default: [{values}], dataMask: [sample.dataMask]}};
}}
"""


def _check_polygons(polygons: gpd.GeoDataFrame) -> None:
    if not len(polygons):
        raise FeatureError("No polygons to sum up over: give a GeoDataFrame with at least one.")
    if polygons.crs is None:
        raise GridError("The polygons are without coordinate system: give them in the UTM zone of the place.")
    empty = [index for index, shape in polygons.geometry.items() if shape is None or shape.is_empty]
    if empty:
        raise FeatureError(f"Polygon {empty[0]} is empty: leave it out.")
    if parse_crs(polygons.crs.to_wkt()).is_geographic:
        raise GridError(f"The polygons are in degrees: give them in the UTM zone of the place{_zones_of(polygons)}.")
    system = crs_of(polygons.crs)
    for index, shape in polygons.geometry.items():
        check_place(shape, system, f"Polygon {index}")


def _zones_of(polygons: gpd.GeoDataFrame) -> str:
    """How polygons in degrees are brought to metres."""
    try:
        zones = {utm_zone(shape, polygons.crs.to_wkt()).ogc_string() for shape in polygons.geometry}
    except GeometryError as error:
        return f" ({error})"
    first = min(zones)
    if len(zones) == 1:
        return f", polygons.to_crs('{first}')"
    return f"; they lie in {some_of(sorted(zones))}, a call of the task each"
