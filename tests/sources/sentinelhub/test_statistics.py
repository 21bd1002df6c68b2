"""Statistics by the real client, over HTTP on loopback."""

from __future__ import annotations

import datetime as dt
import logging
import pickle
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox
from shapely.geometry import Polygon, box

from eotasks.errors import BandError, ConfigurationError, CredentialsError, FeatureError, GridError, ImageryError
from eotasks.service.errors import BusyError, ProductError, RequestError
from eotasks.sources.sentinelhub import DownloadStatisticsTask
from tests.builders.inputs.sentinelhub import expected, spoil, write_profile
from tests.servers.made_service import Lie, MadeService, of_json, rate_limited

DAYS = [dt.datetime(2019, 6, day, 10, 10) for day in (1, 6, 11)]  # noqa: DTZ001 - naive UTC
JUNE = ("2019-06-01", "2019-06-11")
FIELDS = gpd.GeoDataFrame(
    {"name": ["a", "b"]},
    index=[7, 9],
    geometry=[box(330_000, 5_814_000, 330_100, 5_814_100), box(330_200, 5_814_000, 330_400, 5_814_100)],
    crs="EPSG:32633",
)


def reflectance(polygon: Polygon, day: dt.datetime) -> np.ndarray:
    """Of B04 at the pixels of a field."""
    return expected("B04", BBox(polygon.bounds, CRS("EPSG:32633")), day) / 10_000


MEANS = [reflectance(FIELDS.geometry.iloc[0], day).mean() for day in DAYS]


@pytest.fixture(autouse=True)
def three_days(service: MadeService) -> None:
    service.times = list(DAYS)


def test_rows_of_polygons_and_intervals(service: MadeService) -> None:
    task = pickle.loads(pickle.dumps(DownloadStatisticsTask(bands=["B04"], percentiles=[33, 2.5])))
    table = task.execute(polygons=FIELDS, time_interval=JUNE).vector["STATISTICS"]
    assert list(table["polygon"]) == [7, 7, 7, 9, 9, 9]
    assert [time.to_pydatetime() for time in table["TIMESTAMP"][:3]] == [day.replace(hour=0, minute=0) for day in DAYS]
    numbers = [reflectance(polygon, day) for polygon in FIELDS.geometry for day in DAYS]
    np.testing.assert_allclose(table["mean"], [each.mean() for each in numbers], atol=1e-7)
    np.testing.assert_allclose(table["max"], [each.max() for each in numbers], atol=1e-7)
    for name, percent in (("p33", 33), ("p2.5", 2.5)):
        bounds = [[np.percentile(each, percent + step) for step in (-1, 1)] for each in numbers]
        assert all(low <= found <= high for found, (low, high) in zip(table[name], bounds, strict=True))
    assert list(table["sampleCount"]) == [100] * 3 + [200] * 3
    assert set(table["noDataCount"]) == {0}
    assert table.crs == FIELDS.crs
    assert table.geometry.iloc[0].equals(FIELDS.geometry.iloc[0])


def test_request_by_the_wire_contract(service: MadeService) -> None:
    DownloadStatisticsTask(bands=["B04", "B08"], aggregation_interval="P10D", maxcc=0.29).execute(
        polygons=FIELDS.iloc[:1], time_interval=JUNE
    )
    (payload,) = service.statistics
    aggregation = payload["aggregation"]
    assert aggregation["timeRange"] == {"from": "2019-06-01T00:00:00Z", "to": "2019-06-12T00:00:00Z"}
    assert aggregation["aggregationInterval"] == {"of": "P10D", "lastIntervalBehavior": "SHORTEN"}
    assert (aggregation["resx"], aggregation["resy"]) == (10, 10)
    assert "dataMask" in aggregation["evalscript"]
    assert payload["input"]["bounds"]["properties"]["crs"].endswith("/32633")
    assert payload["input"]["bounds"]["geometry"]["type"] == "Polygon"
    assert payload["input"]["data"][0]["dataFilter"]["maxCloudCoverage"] == 29


def test_intervals_without_data_are_left_out(service: MadeService) -> None:
    service.no_data_at = {DAYS[1].date()}
    table = (
        DownloadStatisticsTask(bands=["B04"]).execute(polygons=FIELDS.iloc[:1], time_interval=JUNE).vector["STATISTICS"]
    )
    np.testing.assert_allclose(table["mean"], MEANS[::2], atol=1e-7)
    service.times = []
    table = DownloadStatisticsTask(bands=["B04"]).execute(polygons=FIELDS, time_interval=JUNE).vector["STATISTICS"]
    assert len(table) == 0
    assert "mean" in table.columns


def test_failed_intervals_are_asked_for_by_themselves(service: MadeService) -> None:
    service.fails_once_at = {DAYS[1].date()}
    table = (
        DownloadStatisticsTask(bands=["B04"]).execute(polygons=FIELDS.iloc[:1], time_interval=JUNE).vector["STATISTICS"]
    )
    np.testing.assert_allclose(table["mean"], MEANS, atol=1e-7)
    again = service.statistics[1]["aggregation"]["timeRange"]
    assert again == {"from": "2019-06-06T00:00:00Z", "to": "2019-06-07T00:00:00Z"}


def test_the_answer_for_a_failed_interval_is_taken_by_its_day(service: MadeService) -> None:
    """The client takes the first of the answer: the wrong day of a full one, an IndexError of an empty one."""
    service.fails_at = {each.date() for each in DAYS[1:]}
    entry = {"outputs": {"default": {"bands": {"B04": {"stats": {**dict.fromkeys(STATS, 5.0), "noDataCount": 0.0}}}}}}

    days = [{"interval": {"from": f"{day:%Y-%m-%dT00:00:00Z}", "to": ""}, **entry} for day in DAYS[:1]]
    full = of_json({"data": days, "status": "OK"})
    service.lies.extend([Lie(), full, full])
    table = (
        DownloadStatisticsTask(bands=["B04"]).execute(polygons=FIELDS.iloc[:1], time_interval=JUNE).vector["STATISTICS"]
    )
    np.testing.assert_allclose(table["mean"], MEANS[:1], atol=1e-7)


STATS = ("min", "max", "mean", "stDev", "sampleCount")


@pytest.mark.parametrize(
    "fault", [BusyError("slow down", wait_s=0.01), rate_limited("0.01"), ProductError("later")], ids=repr
)
def test_temporary_faults_are_tried_again(service: MadeService, fault: Exception | Lie) -> None:
    spoil(service, fault)
    table = DownloadStatisticsTask(bands=["B04"]).execute(polygons=FIELDS, time_interval=JUNE).vector["STATISTICS"]
    assert len(table) == 6


def test_failed_polygons_are_named_and_the_others_are_kept(service: MadeService, tmp_path: Path) -> None:
    task = DownloadStatisticsTask(bands=["B04"], cache_folder=str(tmp_path / "kept"), max_threads=1)
    service.errors.append(RequestError("no such thing"))
    with pytest.raises(ImageryError, match=r"1 of 2 polygons failed: polygon 7 \(.*no such thing") as caught:
        task.execute(polygons=FIELDS, time_interval=JUNE)
    assert "\n" not in str(caught.value)
    assert len(service.statistics) == 2
    task.execute(polygons=FIELDS, time_interval=JUNE)
    assert len(service.statistics) == 3
    kept = min((tmp_path / "kept").glob("*/response.json"))
    kept.write_bytes(kept.read_bytes()[:50])
    assert len(task.execute(polygons=FIELDS, time_interval=JUNE).vector["STATISTICS"]) == 6
    assert len(service.statistics) == 4


def test_no_secret_is_logged(
    service: MadeService, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("requests_oauthlib", "oauthlib"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
    with caplog.at_level(logging.DEBUG):
        DownloadStatisticsTask(bands=["B04"]).execute(polygons=FIELDS, time_interval=JUNE)
    assert caplog.records
    assert service.client_secret not in caplog.text
    assert len(service.tokens) == 1
    assert service.tokens[0] not in caplog.text


def test_no_credentials(service: MadeService, home: Path) -> None:
    write_profile(home, sh_base_url=service.url)
    with pytest.raises(CredentialsError, match="needs an account"):
        DownloadStatisticsTask(bands=["B04"]).execute(polygons=FIELDS, time_interval=JUNE)
    assert service.tokens == []


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ConfigurationError, "either bands"),
        ({"bands": ["B04"], "evalscript": "//VERSION=3"}, ConfigurationError, "either bands"),
        ({"bands": ["B17"]}, BandError, "B17"),
        ({"bands": []}, ConfigurationError, "at least one"),
        ({"bands": ["B04"], "resolution": "10"}, ConfigurationError, "resolution='10'"),
        ({"bands": ["B04"], "aggregation_interval": "PT1H"}, ConfigurationError, "whole days"),
        ({"bands": ["B04"], "aggregation_interval": 1}, ConfigurationError, "whole days"),
        ({"bands": ["B04"], "percentiles": [101]}, ConfigurationError, "percentiles"),
        ({"bands": ["B04"], "percentiles": ["50"]}, ConfigurationError, "percentiles"),
        ({"bands": ["B04"], "maxcc": 80}, ConfigurationError, "maxcc=80"),
        ({"bands": ["B04"], "max_threads": 0}, ConfigurationError, "max_threads"),
    ],
)
def test_refused_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        DownloadStatisticsTask(**arguments)


@pytest.mark.parametrize(
    ("polygons", "interval", "error", "message"),
    [
        (FIELDS.iloc[:0], JUNE, FeatureError, "No polygons"),
        (FIELDS.to_crs(4326), JUNE, GridError, "degrees"),
        (gpd.GeoDataFrame(geometry=list(FIELDS.geometry)), JUNE, GridError, "without coordinate system"),
        (gpd.GeoDataFrame(geometry=[Polygon()], crs="EPSG:32633"), JUNE, FeatureError, "Polygon 0 is empty"),
        (FIELDS, ("2019-06-11", "2019-06-01"), ConfigurationError, "time_interval="),
        (FIELDS, "June", ConfigurationError, "time_interval="),
    ],
)
def test_refused_before_any_request(
    service: MadeService, polygons: gpd.GeoDataFrame, interval: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        DownloadStatisticsTask(bands=["B04"]).execute(polygons=polygons, time_interval=interval)
    assert service.tokens == []
