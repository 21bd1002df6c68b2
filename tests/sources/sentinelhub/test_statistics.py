"""Statistics by the real client, over HTTP on loopback."""

from __future__ import annotations

import datetime as dt
import json
import logging
import pickle
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
from shapely.geometry import Polygon, box

from eotasks.errors import BandError, ConfigurationError, CredentialsError, FeatureError, GridError, ImageryError
from eotasks.sources.sentinelhub import DownloadStatisticsTask
from tests.builders.inputs.sentinelhub import write_profile
from tests.servers.sentinelhub import CLIENT_SECRET, TOKEN, Service, rate_limited, server_error

DAYS = [dt.datetime(2019, 6, day, 10, 10) for day in (1, 6, 11)]  # noqa: DTZ001 - naive UTC
JUNE = ("2019-06-01", "2019-06-11")
FIELDS = gpd.GeoDataFrame(
    {"name": ["a", "b"]},
    index=[7, 9],
    geometry=[box(330_000, 5_814_000, 330_100, 5_814_100), box(330_200, 5_814_000, 330_400, 5_814_100)],
    crs="EPSG:32633",
)


@pytest.fixture(autouse=True)
def three_days(service: Service) -> None:
    service.times = list(DAYS)


def test_rows_of_polygons_and_intervals(service: Service) -> None:
    task = pickle.loads(pickle.dumps(DownloadStatisticsTask(bands=["B04"], percentiles=[33, 2.5])))
    table = task.execute(polygons=FIELDS, time_interval=JUNE).vector["STATISTICS"]
    assert list(table["polygon"]) == [7, 7, 7, 9, 9, 9]
    assert [time.to_pydatetime() for time in table["TIMESTAMP"][:3]] == [day.replace(hour=0, minute=0) for day in DAYS]
    assert list(table["mean"][:3]) == [152.0, 157.0, 162.0]
    assert list(table["max"][:3]) == [304.0, 314.0, 324.0]
    assert set(table["sampleCount"]) == {100}
    assert set(table["noDataCount"]) == {20}
    assert list(table["p33"]) == list(table["p2.5"]) == list(table["mean"])
    assert table.crs == FIELDS.crs
    assert table.geometry.iloc[0].equals(FIELDS.geometry.iloc[0])


def test_request_by_the_wire_contract(service: Service) -> None:
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


def test_intervals_without_data_are_left_out(service: Service) -> None:
    service.cloudy = {DAYS[1]: 100}
    table = (
        DownloadStatisticsTask(bands=["B04"]).execute(polygons=FIELDS.iloc[:1], time_interval=JUNE).vector["STATISTICS"]
    )
    assert list(table["mean"]) == [152.0, 162.0]
    service.times = []
    table = DownloadStatisticsTask(bands=["B04"]).execute(polygons=FIELDS, time_interval=JUNE).vector["STATISTICS"]
    assert len(table) == 0
    assert "mean" in table.columns


def test_failed_intervals_are_asked_for_by_themselves(service: Service) -> None:
    service.failed_intervals = {"2019-06-06"}
    table = (
        DownloadStatisticsTask(bands=["B04"]).execute(polygons=FIELDS.iloc[:1], time_interval=JUNE).vector["STATISTICS"]
    )
    assert list(table["mean"]) == [152.0, 157.0, 162.0]
    again = service.statistics[1]["aggregation"]["timeRange"]
    assert again == {"from": "2019-06-06T00:00:00Z", "to": "2019-06-07T00:00:00Z"}


def test_the_answer_for_a_failed_interval_is_taken_by_its_day(service: Service) -> None:
    """The client takes the first of the answer: the wrong day of a full one, an IndexError of an empty one."""
    service.failed_intervals = {"2019-06-06", "2019-06-11"}
    entry = {"outputs": {"default": {"bands": {"B04": {"stats": {**dict.fromkeys(STATS, 5.0), "noDataCount": 0.0}}}}}}

    def full(handler: Any) -> bool:
        days = [{"interval": {"from": f"{day:%Y-%m-%dT00:00:00Z}", "to": ""}, **entry} for day in DAYS[:1]]
        handler.send(200, json.dumps({"data": days, "status": "OK"}).encode())
        return True

    service.faults.extend([lambda handler: False, full, full])
    table = (
        DownloadStatisticsTask(bands=["B04"]).execute(polygons=FIELDS.iloc[:1], time_interval=JUNE).vector["STATISTICS"]
    )
    assert list(table["mean"]) == [152.0]


STATS = ("min", "max", "mean", "stDev", "sampleCount")


@pytest.mark.parametrize("fault", [rate_limited("10"), rate_limited("0.01"), server_error])
def test_temporary_faults_are_tried_again(service: Service, fault: Any) -> None:
    service.faults.append(fault)
    table = DownloadStatisticsTask(bands=["B04"]).execute(polygons=FIELDS, time_interval=JUNE).vector["STATISTICS"]
    assert len(table) == 6


def test_failed_polygons_are_named_and_the_others_are_kept(service: Service, tmp_path: Path) -> None:
    task = DownloadStatisticsTask(bands=["B04"], cache_folder=str(tmp_path / "kept"), max_threads=1)

    def refused(handler: Any) -> bool:
        handler.error(400, "COMMON_BAD_PAYLOAD", "no such thing")
        return True

    service.faults.append(refused)
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
    service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("requests_oauthlib", "oauthlib"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
    with caplog.at_level(logging.DEBUG):
        DownloadStatisticsTask(bands=["B04"]).execute(polygons=FIELDS, time_interval=JUNE)
    assert caplog.records
    assert CLIENT_SECRET not in caplog.text
    assert TOKEN not in caplog.text


def test_no_credentials(service: Service, home: Path) -> None:
    write_profile(home, sh_base_url=service.url)
    with pytest.raises(CredentialsError, match="needs an account"):
        DownloadStatisticsTask(bands=["B04"]).execute(polygons=FIELDS, time_interval=JUNE)
    assert service.tokens == 0


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
    service: Service, polygons: gpd.GeoDataFrame, interval: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        DownloadStatisticsTask(bands=["B04"]).execute(polygons=polygons, time_interval=interval)
    assert service.tokens == 0
