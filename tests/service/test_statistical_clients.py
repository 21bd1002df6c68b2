"""The Statistical API asked by clients as they are: sentinelhub's, its tables, its second tries, and our own task."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
from sentinelhub.api.statistical import SentinelHubStatistical
from sentinelhub.config import SHConfig
from sentinelhub.constants import CRS
from sentinelhub.data_collections import DataCollection
from sentinelhub.data_utils import get_failed_statistical_requests, statistical_to_dataframe
from sentinelhub.download.sentinelhub_client import SentinelHubDownloadClient
from sentinelhub.download.sentinelhub_statistical_client import SentinelHubStatisticalDownloadClient
from sentinelhub.geometry import BBox, Geometry
from shapely.geometry import Polygon, box

from eotasks.service.api import catalog, statistics
from eotasks.service.contract.area import OutputArea
from eotasks.service.errors import ScriptError, ScriptTimeoutError
from eotasks.sources.sentinelhub import DownloadStatisticsTask
from eotasks.sources.sentinelhub.statistics import band_script
from tests.builders.inputs.sentinelhub import write_profile
from tests.builders.service.fake_renderer import (
    FakeScript,
    Product,
    centres,
    days,
    inside_of,
    renderer_of,
    setup_of,
    value,
)
from tests.servers.routes import Loopback

UTM = CRS("32633")
BOX = BBox((330_000, 5_814_000, 330_400, 5_814_300), UTM)
FIELD = Geometry(Polygon([(330_000, 5_814_000), (330_400, 5_814_000), (330_000, 5_814_300)]), UTM)
JUNE = ("2019-06-01", "2019-06-16")
DAYS = (1, 6, 11, 16)
NDVI = "//VERSION=3 // ndvi"


def ndvi(bands: Any) -> Any:
    with np.errstate(invalid="ignore"):  # 0 / 0 outside of the polygon
        index = (bands["B08"] - bands["B04"]) / (bands["B08"] + bands["B04"])
    return {"default": [index], "dataMask": [bands["dataMask"]]}


SCRIPTS = {
    NDVI: FakeScript(setup_of(["B04", "B08", "dataMask"], {"default": ["B0"], "dataMask": ["B0"]}), ndvi),
    band_script(["B04", "B08"]): FakeScript(
        setup_of(["B04", "B08", "dataMask"], {"default": ["B04", "B08"], "dataMask": ["B0"]}),
        lambda bands: {"default": [bands["B04"], bands["B08"]], "dataMask": [bands["dataMask"]]},
    ),
}


@pytest.fixture(scope="module")
def running() -> Iterator[Loopback]:
    with Loopback.running([statistics.router, catalog.router], renderer=renderer_of(SCRIPTS, [])) as service:
        yield service


@pytest.fixture
def service(running: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Loopback]:
    running.engine.faults, running.engine.runs = {}, []
    running.reader.products = [Product(time) for time in days("2019-06-01", 4, step=5)]
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    SentinelHubDownloadClient.clear_cache()
    yield running
    SentinelHubDownloadClient.clear_cache()


@pytest.fixture
def config(service: Loopback) -> SHConfig:
    config = SHConfig(use_defaults=True)
    config.sh_base_url, config.sh_token_url = service.url, f"{service.url}/token"
    config.sh_client_id, config.sh_client_secret = "client", "secret"
    config.download_sleep_time = 0.01
    return config


def collection_at(service: Loopback) -> DataCollection:
    port = service.url.rpartition(":")[2]
    return DataCollection.SENTINEL2_L1C.define_from(f"L1C_S_{port}", service_url=service.url)


def asked(
    service: Loopback, config: SHConfig, *, interval: str = "P1D", time: tuple[str, str] = JUNE, **options: Any
) -> SentinelHubStatistical:
    if not options.keys() & {"bbox", "geometry"}:
        options["geometry"] = FIELD
    return SentinelHubStatistical(
        aggregation=SentinelHubStatistical.aggregation(
            evalscript=NDVI, time_interval=time, aggregation_interval=interval, resolution=(10, 10)
        ),
        input_data=[SentinelHubStatistical.input_data(collection_at(service), maxcc=0.8)],
        config=config,
        **options,
    )


def expected(band: str, day: int, area: OutputArea) -> np.ndarray:
    """Values of pixels inside, in double precision."""
    time = dt.datetime.fromisoformat(f"2019-06-{day:02}T10:10:00")
    return np.asarray(value(band, *centres(area), time)[inside_of(area)], dtype=np.float64)


AREA = OutputArea("EPSG:32633", tuple(BOX), 30, 40, FIELD.geometry)  # type: ignore[arg-type]  # four numbers


def expected_ndvi(day: int) -> np.ndarray:
    red, nir = expected("B04", day, AREA), expected("B08", day, AREA)
    return np.asarray((nir - red) / (nir + red), dtype=np.float32).astype(np.float64)


def test_the_client_and_its_table(service: Loopback, config: SHConfig) -> None:
    """The last day, which the client writes to 23:59:59, is among the intervals."""
    calculations = {
        "default": {
            "histograms": {"default": {"nBins": 4, "lowEdge": -1.0, "highEdge": 1.0}},
            "statistics": {"default": {"percentiles": {"k": [25, 50]}}},
        }
    }
    answer = asked(service, config, calculations=calculations).get_data()
    assert answer[0]["status"] == "OK"
    assert get_failed_statistical_requests(answer) == []
    table = statistical_to_dataframe(answer)
    assert [time.day for time in table["interval_from"]] == list(DAYS)
    for (_, row), day in zip(table.iterrows(), DAYS, strict=True):
        kept = expected_ndvi(day)
        assert row["default_B0_mean"] == kept.mean()
        assert row["default_B0_stDev"] == kept.std()
        assert row["default_B0_sampleCount"] == 1200
        assert row["default_B0_noDataCount"] == 1200 - kept.size
        assert row["default_B0_percentiles_50.0"] == np.percentile(kept, 50, method="inverted_cdf")
        assert row["default_B0_bins"] == [-1, -0.5, 0, 0.5, 1]
        assert row["default_B0_counts"] == np.histogram(kept, 4, (-1, 1))[0].tolist()


def test_a_box_in_degrees(service: Loopback, config: SHConfig) -> None:
    bbox = BBox((12.50, 52.44, 12.51, 52.45), CRS.WGS84)
    request = SentinelHubStatistical(
        aggregation=SentinelHubStatistical.aggregation(NDVI, JUNE, "P1W", size=(20, 30)),
        input_data=[SentinelHubStatistical.input_data(collection_at(service))],
        bbox=bbox,
        config=config,
    )
    (answer,) = request.get_data()
    assert [each["interval"]["from"][:10] for each in answer["data"]] == ["2019-06-01", "2019-06-08"]
    assert answer["geometryPixelCount"] == 600


def test_intervals_without_a_pixel_that_counts_are_not_in_the_table(service: Loopback, config: SHConfig) -> None:
    """They are in the answer, with NaN as a text: the client leaves out what has no data."""
    outside = Geometry(box(330_000, 5_814_000, 330_000.5, 5_814_000.5), UTM)
    (answer,) = asked(service, config, geometry=outside, bbox=BOX).get_data()
    assert answer["geometryPixelCount"] == 0
    assert [each["outputs"]["default"]["bands"]["B0"]["stats"]["mean"] for each in answer["data"]] == ["NaN"] * 4
    assert statistical_to_dataframe([answer]).drop(columns="identifier").empty


@pytest.mark.parametrize("fault", [ScriptError("now and then"), ScriptTimeoutError("late")], ids=["error", "time"])
def test_the_client_asks_again_for_intervals_that_failed(service: Loopback, config: SHConfig, fault: Exception) -> None:
    """It takes the first of each answer: that has to be the interval."""
    service.engine.faults = {dt.date(2019, 6, day): [fault] for day in (6, 16)}
    (answer,) = asked(service, config).get_data()
    table = statistical_to_dataframe([answer])
    assert [time.day for time in table["interval_from"]] == list(DAYS)
    assert list(table["default_B0_mean"]) == [expected_ndvi(day).mean() for day in DAYS]
    assert sorted(scene.date_from.day for scene in service.engine.runs) == [1, 6, 6, 11, 16, 16]


@pytest.mark.parametrize("interval", ["P10D", "P1M", "P5D"])
def test_longer_intervals_are_asked_for_again_as_they_are(service: Loopback, config: SHConfig, interval: str) -> None:
    service.engine.faults = {dt.date(2019, 6, 1): [ScriptError("once")], dt.date(2019, 6, 11): [ScriptError("once")]}
    calm = asked(service, config, interval=interval, time=("2019-06-01", "2019-06-30")).get_data()
    again = asked(service, config, interval=interval, time=("2019-06-01", "2019-06-30")).get_data()
    assert calm[0]["data"] == again[0]["data"]
    assert calm[0]["data"]


def test_what_fails_again_is_told(service: Loopback, config: SHConfig) -> None:
    service.engine.faults = {dt.date(2019, 6, 6): [ScriptError("always")] * 10}
    client = SentinelHubStatisticalDownloadClient(config=config, n_interval_retries=2)
    (answer,) = client.download(asked(service, config).download_list)
    assert answer["status"] == "PARTIAL"
    (failed,) = get_failed_statistical_requests([answer])
    assert failed["failed_intervals"] == [("2019-06-06T00:00:00Z", "2019-06-07T00:00:00Z")]


def test_our_task(service: Loopback, config: SHConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("sh_base_url", "sh_token_url", "sh_client_id", "sh_client_secret", "download_sleep_time")
    write_profile(tmp_path / "sentinelhub" / "config.toml", **{name: getattr(config, name) for name in names})
    monkeypatch.setenv("SH_PROFILE", "mine")
    service.engine.faults = {dt.date(2019, 6, 6): [ScriptError("once")]}
    polygons = gpd.GeoDataFrame({"name": ["a"]}, index=[7], geometry=[FIELD.geometry], crs="EPSG:32633")
    task = DownloadStatisticsTask(bands=["B04", "B08"], percentiles=[33, 2.5])
    table = task.execute(polygons=polygons, time_interval=JUNE).vector["STATISTICS"]
    assert [(time.day, band) for time, band in zip(table["TIMESTAMP"], table["band"], strict=True)] == [
        (day, band) for day in DAYS for band in ("B04", "B08")
    ]
    for _, row in table.iterrows():
        kept = expected(row["band"], row["TIMESTAMP"].day, AREA)
        assert row["mean"] == kept.mean()
        assert row["max"] == kept.max()
        assert row["p33"] == np.percentile(kept, 33, method="inverted_cdf")
        assert row["p2.5"] == np.percentile(kept, 2.5, method="inverted_cdf")
        assert (row["sampleCount"], row["noDataCount"]) == (1200, 1200 - kept.size)
    empty = task.execute(polygons=polygons, time_interval=("2018-06-01", "2018-06-30")).vector["STATISTICS"]
    assert len(empty) == 0
