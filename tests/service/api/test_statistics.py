"""The Statistical API over HTTP on loopback: answers against numpy, what is refused, and faults of single intervals."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import requests

from eotasks.errors import GridError, ImageryError
from eotasks.service.api import statistics
from eotasks.service.errors import BusyError, EngineError, RequestError, ScriptError, ScriptTimeoutError
from eotasks.service.evalscript.setup import SampleType
from tests.builders.service.fake_renderer import (
    FakeEngine,
    FakeReader,
    FakeScript,
    Product,
    days,
    renderer_of,
    setup_of,
    value,
)
from tests.builders.service.statistics_requests import BOX, CRS, HISTOGRAM, HOSTILE, changed, request
from tests.servers.routes import HEADERS, TOKEN, Loopback, OneClient

TRIANGLE = [[[330_000, 5_814_000], [330_400, 5_814_000], [330_000, 5_814_300], [330_000, 5_814_000]]]

RED = FakeScript(setup_of(["B04", "dataMask"], {"default": ["B0"], "dataMask": ["B0"]}),
                 lambda bands: {"default": [bands["B04"]], "dataMask": [bands["dataMask"]]})  # fmt: skip
BOTH = FakeScript(
    setup_of(
        ["B04", "B08", "dataMask"],
        {"bands": ["red", "nir"], "classes": ["B0"], "dataMask": ["bands", "classes"]},
        classes=SampleType.UINT8,
    ),
    lambda bands: {
        "bands": [bands["B04"], bands["B08"]],
        "classes": [bands["B04"] * 10],
        "dataMask": [bands["dataMask"], bands["B08"] > 0.5],
    },
)
UNMASKED = FakeScript(setup_of(["B04"], {"default": ["B0"]}), lambda bands: {"default": [bands["B04"]]})


@pytest.fixture(scope="module")
def running() -> Iterator[Loopback]:
    with Loopback.running([statistics.router], renderer=renderer_of({}, [])) as service:
        yield service


@pytest.fixture
def service(running: Loopback) -> Loopback:
    """Anew for each test but for its port."""
    running.access.scopes = OneClient().scopes
    engine, reader = running.engine, running.reader
    engine.scripts = {"red": RED, "both": BOTH, "unmasked": UNMASKED}
    engine.runs, engine.faults, engine.most_at_once = [], {}, 0
    reader.products = [Product(moment) for moment in days("2019-06-01", 4, step=5)]
    reader.searches, reader.most = [], 1_000
    return running


@pytest.fixture
def engine(service: Loopback) -> FakeEngine:
    return service.engine


@pytest.fixture
def reader(service: Loopback) -> FakeReader:
    return service.reader


def asked(service: Loopback, document: Any) -> Any:
    answer = service.post("/api/v1/statistics", document)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(service: Loopback, document: Any, status: int = 400) -> str:
    answer = service.post("/api/v1/statistics", document)
    assert answer.status_code == status, answer.text
    return str(answer.json()["error"]["message"])


def pixels(band: str, day: dt.date) -> np.ndarray:
    """(30, 40) of the box at 10 m, in double precision of what the engine gives."""
    x = np.arange(BOX[0] + 5, BOX[2], 10)[np.newaxis]
    y = np.arange(BOX[3] - 5, BOX[1], -10)[:, np.newaxis]
    return value(band, x, y, dt.datetime.combine(day, dt.time(10, 10))).astype(np.float64)


def test_each_acquisition_is_an_interval(service: Loopback, engine: FakeEngine) -> None:
    answer = asked(service, request())
    assert answer["status"] == "OK"
    assert answer["geometryPixelCount"] == 1200
    intervals = [(each["interval"]["from"], each["interval"]["to"]) for each in answer["data"]]
    assert intervals == [(f"2019-06-{day:02}T00:00:00Z", f"2019-06-{day + 1:02}T00:00:00Z") for day in (1, 6, 11, 16)]
    for each, day in zip(answer["data"], (1, 6, 11, 16), strict=True):
        expected = pixels("B04", dt.date(2019, 6, day))
        assert each["outputs"] == {
            "default": {
                "bands": {
                    "B0": {
                        "stats": {
                            "min": expected.min(), "max": expected.max(), "mean": expected.mean(),
                            "stDev": expected.std(), "sampleCount": 1200, "noDataCount": 0,
                        }
                    }
                }
            }
        }  # fmt: skip
    assert len(engine.runs) == 4


def test_pixels_outside_of_a_polygon_are_no_data(service: Loopback) -> None:
    document = request()
    document["input"]["bounds"] = {"geometry": {"type": "Polygon", "coordinates": TRIANGLE}, "properties": CRS}
    answer = asked(service, document)
    inside = np.add.outer(np.arange(29, -1, -1) / 30, np.arange(40) / 40) + 0.5 / 30 + 0.5 / 40 < 1
    stats = answer["data"][0]["outputs"]["default"]["bands"]["B0"]["stats"]
    assert answer["geometryPixelCount"] == inside.sum()
    assert (stats["sampleCount"], stats["noDataCount"]) == (1200, 1200 - inside.sum())
    assert stats["mean"] == pixels("B04", dt.date(2019, 6, 1))[inside].mean()


@pytest.mark.parametrize(
    ("resx", "resy", "expected"), [(10, 10, 1200), (10.0, 20.0, 600), (33.2, 33.2, 108), (500, 500, 1)]
)
def test_the_grid_is_the_extent_by_the_resolution(service: Loopback, resx: float, resy: float, expected: int) -> None:
    answer = asked(service, request(resx=resx, resy=resy))
    assert answer["data"][0]["outputs"]["default"]["bands"]["B0"]["stats"]["sampleCount"] == expected


def test_the_documented_sizes(service: Loopback) -> None:
    """3240 samples of 544 x 600 m, and 3036 of 332.8 x 923 m, at 10 m."""
    for bbox, expected in (
        ([414315, 4958219, 414859, 4958819], 3240),
        ([457813.834156, 5096313.767184, 458146.639373, 5097236.833044], 3036),
    ):
        document = request()
        document["input"]["bounds"]["bbox"] = bbox
        service.reader.products = [Product(moment, bounds=(-180, -90, 180, 90)) for moment in days("2019-06-01", 1)]
        answer = asked(service, document)
        assert answer["data"][0]["outputs"]["default"]["bands"]["B0"]["stats"]["sampleCount"] == expected


def test_width_and_height(service: Loopback) -> None:
    document = request(width=20, height=5)
    del document["aggregation"]["resx"], document["aggregation"]["resy"]
    assert asked(service, document)["geometryPixelCount"] == 100
    document["aggregation"]["resx"] = document["aggregation"]["resy"] = 10
    assert "one of the pairs" in refused(service, document)


def test_outputs_bands_masks_and_calculations(service: Loopback) -> None:
    """As the documentation's largest example: an output of its own, "default" for all others, a mask for each."""
    document = request("both")
    document["calculations"] = {
        "bands": {
            "histograms": {"nir": {"nBins": 3, "lowEdge": 0.0, "highEdge": 0.3}},
            "statistics": {"red": {"percentiles": {"k": [33, 66, 100]}}},
        },
        "default": {"histograms": {"default": {"bins": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}}},
    }
    outputs = asked(service, document)["data"][0]["outputs"]
    assert list(outputs) == ["bands", "classes"]
    red, nir = pixels("B04", dt.date(2019, 6, 1)), pixels("B08", dt.date(2019, 6, 1))
    told = outputs["bands"]["bands"]
    assert list(told) == ["red", "nir"]
    assert "histogram" not in told["red"]
    assert told["red"]["stats"]["percentiles"] == {
        f"{k:.1f}": np.percentile(red, k, method="inverted_cdf") for k in (33, 66, 100)
    }
    assert "percentiles" not in told["nir"]["stats"]
    histogram = told["nir"]["histogram"]
    assert [each["count"] for each in histogram["bins"]] == np.histogram(nir, 3, (0, 0.3))[0].tolist()
    assert histogram["overflowCount"] == (nir > 0.3).sum()
    assert told["nir"]["stats"]["noDataCount"] == 0
    classes = outputs["classes"]["bands"]["B0"]
    kept = np.rint(red.astype(np.float32).astype(np.float64) * 10)[nir > 0.5]
    assert classes["stats"]["noDataCount"] == 1200 - kept.size
    assert [each["count"] for each in classes["histogram"]["bins"]] == np.histogram(kept, range(11))[0].tolist()
    assert all(type(each["lowEdge"]) is int for each in classes["histogram"]["bins"])


def test_an_interval_of_several_days_is_one_mosaic(service: Loopback, engine: FakeEngine, reader: FakeReader) -> None:
    answer = asked(service, request(aggregationInterval={"of": "P10D", "lastIntervalBehavior": "EXTEND"}))
    assert [each["interval"]["from"][:10] for each in answer["data"]] == ["2019-06-01", "2019-06-11"]
    assert [len(scene.tiles) for scene in sorted(engine.runs, key=lambda each: each.date_from)] == [2, 2]
    data = sorted((data.start, data.end, data.order) for data, _ in reader.searches[1:])
    assert data[0] == (
        dt.datetime.fromisoformat("2019-06-01"),
        dt.datetime.fromisoformat("2019-06-10T23:59:59.999999"),
        "leastRecent",
    )


def test_empty_intervals_cost_neither_a_script_nor_a_line(
    service: Loopback, engine: FakeEngine, reader: FakeReader
) -> None:
    document = request(timeRange={"from": "2019-06-02T00:00:00Z", "to": "2019-06-06T00:00:00Z"})
    assert asked(service, document) == {"data": [], "status": "OK", "geometryPixelCount": 1200}
    assert engine.runs == []
    assert len(reader.searches) == 1


@pytest.mark.parametrize(
    "end", ["2019-06-06T23:59:59Z", "2019-06-06T23:59:59.999Z", "2019-06-07T00:00:00Z", "2019-06-06"]
)
def test_the_last_day_counts_however_its_end_is_written(service: Loopback, end: str) -> None:
    answer = asked(service, request(timeRange={"from": "2019-06-01T00:00:00Z", "to": end}))
    assert [each["interval"]["to"] for each in answer["data"]] == ["2019-06-02T00:00:00Z", "2019-06-07T00:00:00Z"]


def test_cloudy_products_are_left_out(service: Loopback, reader: FakeReader) -> None:
    reader.products = [
        Product(moment, cover) for moment, cover in zip(days("2019-06-01", 2), (80.0, 81.0), strict=True)
    ]
    document = request()
    document["input"]["data"][0]["dataFilter"]["maxCloudCoverage"] = 80
    assert len(asked(service, document)["data"]) == 1


def test_more_products_than_a_search_may_find(service: Loopback, reader: FakeReader) -> None:
    """Halves of the time are searched, down to single intervals."""
    reader.most = 1
    assert len(asked(service, request())["data"]) == 4


def test_one_interval_with_more_products_than_one_request_may_find(service: Loopback, reader: FakeReader) -> None:
    reader.products = [*reader.products, Product(dt.datetime.fromisoformat("2019-06-06T10:11:00"))]
    reader.most = 1
    answer = asked(service, request())
    assert answer["status"] == "PARTIAL"
    assert [each.get("error", {}).get("type") for each in answer["data"]] == [None, "BAD_REQUEST", None, None]


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        (ScriptError("TypeError: x is undefined"), "EXECUTION_ERROR", "TypeError"),
        (ScriptTimeoutError("ended after 2 s"), "TIMEOUT", "2 s"),
        (RequestError("it cannot be"), "BAD_REQUEST", "cannot be"),
        (ImageryError("/srv/archive/B04.jp2 is damaged"), "EXECUTION_ERROR", "could not be read"),
        (GridError("/srv/archive/B04.jp2 has no grid"), "BAD_REQUEST", "… has no grid"),
        (ValueError("of /srv/archive"), "EXECUTION_ERROR", "could not be read"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_faults_of_one_interval(
    service: Loopback, engine: FakeEngine, fault: Exception, kind: str, message: str
) -> None:
    engine.faults[dt.date(2019, 6, 6)] = [fault]
    answer = asked(service, request())
    assert answer["status"] == "PARTIAL"
    assert [each.get("error", {}).get("type") for each in answer["data"]] == [None, kind, None, None]
    assert message in answer["data"][1]["error"]["message"]
    assert "/srv" not in str(answer)


def test_a_script_that_never_works_is_not_run_on_all_intervals(service: Loopback, engine: FakeEngine) -> None:
    service.reader.products = [Product(moment) for moment in days("2019-06-01", 25)]
    for moment in days("2019-06-01", 25):
        engine.faults[moment.date()] = [ScriptError("no")] * 10
    answer = asked(service, request())
    assert answer["status"] == "FAILED"
    assert {each["error"]["type"] for each in answer["data"]} == {"EXECUTION_ERROR"}
    assert len(answer["data"]) == 25
    assert len(engine.runs) <= 5


def test_a_script_whose_time_is_over_is_not_run_on_other_intervals(service: Loopback, engine: FakeEngine) -> None:
    service.reader.products = [Product(moment) for moment in days("2019-06-01", 25)]
    for moment in days("2019-06-01", 25):
        engine.faults[moment.date()] = [ScriptTimeoutError("ended after 2 s")] * 10
    answer = asked(service, request())
    assert answer["status"] == "FAILED"
    assert {each["error"]["type"] for each in answer["data"]} == {"TIMEOUT"}
    assert len(engine.runs) <= service.settings.engine_workers + 1


def test_who_hangs_up_is_not_worked_for(service: Loopback, engine: FakeEngine) -> None:
    service.reader.products = [Product(moment) for moment in days("2019-06-01", 25)]
    waiting = threading.Event()

    def draw(bands: Any) -> Any:
        waiting.wait(10)
        return RED.draw(bands)

    engine.scripts["red"] = FakeScript(RED.setup, draw)
    with pytest.raises(requests.Timeout):
        requests.post(f"{service.url}/api/v1/statistics", json=request(), headers=HEADERS, timeout=(5, 0.3))
    time.sleep(0.1)  # until the server knows
    waiting.set()
    deadline = time.monotonic() + 10
    while (engine.at_once or not engine.runs) and time.monotonic() < deadline:
        time.sleep(0.01)
    asked(service, request(timeRange={"from": "2018-06-01", "to": "2018-06-30"}))
    assert len(engine.runs) <= service.settings.engine_workers


def test_busy_workers_are_waited_for(service: Loopback, engine: FakeEngine) -> None:
    engine.faults[dt.date(2019, 6, 6)] = [BusyError("later", wait_s=0.01)] * 3
    assert asked(service, request())["status"] == "OK"


def test_an_engine_that_does_not_work(service: Loopback, engine: FakeEngine) -> None:
    engine.faults[dt.date(2019, 6, 6)] = [EngineError("no worker starts")]
    assert "no worker" in refused(service, request(), 503)


def test_intervals_are_drawn_some_at_a_time(service: Loopback, engine: FakeEngine) -> None:
    service.reader.products = [Product(moment) for moment in days("2019-06-01", 25)]
    assert len(asked(service, request())["data"]) == 25
    assert engine.most_at_once <= service.settings.engine_workers


def test_the_newer_address_and_a_form(service: Loopback) -> None:
    expected = asked(service, request())
    assert service.post("/statistics/v1", request()).json() == expected
    document = request()
    form = {"evalscript": (None, document["aggregation"].pop("evalscript")), "request": (None, json.dumps(document))}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = requests.post(f"{service.url}/api/v1/statistics", files=form, headers=headers, timeout=10)
    assert answer.status_code == 200, answer.text
    assert answer.json() == expected


def test_who_may_ask(service: Loopback) -> None:
    url = f"{service.url}/api/v1/statistics"
    assert requests.post(url, json=request(), timeout=10).status_code == 401
    service.access.scopes = frozenset({"process"})
    assert service.post("/api/v1/statistics", request()).status_code == 403


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_refused(service: Loopback, engine: FakeEngine, name: str) -> None:
    path, content, message, status = HOSTILE[name]
    assert message in refused(service, changed(path, content), status)
    assert engine.runs == []


def test_all_pixels_together_have_a_bound(service: Loopback, engine: FakeEngine) -> None:
    service.reader.products = [Product(moment) for moment in days("2018-01-01", 700)]
    document = request(width=2500, height=2500, timeRange={"from": "2018-01-01", "to": "2020-01-01"})
    del document["aggregation"]["resx"], document["aggregation"]["resy"]
    assert "pixels" in refused(service, document, 413)
    assert engine.runs == []


def test_the_answer_has_a_bound(service: Loopback, engine: FakeEngine) -> None:
    service.reader.products = [Product(moment) for moment in days("2018-01-01", 700)]
    document = changed(f"{HISTOGRAM}.nBins", 10_000)
    document["aggregation"]["timeRange"] = {"from": "2018-01-01", "to": "2020-01-01"}
    assert "bins and percentiles" in refused(service, document, 413)
    assert engine.runs == []


@pytest.mark.parametrize("corners", [4_000, 6_000])
def test_a_polygon_of_many_corners(service: Loopback, corners: int) -> None:
    angles = np.linspace(0, 2 * np.pi, corners)
    ring = np.column_stack([330_200 + 150 * np.cos(angles), 5_814_150 + 150 * np.sin(angles)]).tolist()
    document = request()
    document["input"]["bounds"] = {
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}, "properties": CRS,
    }  # fmt: skip
    if corners == 4_000:
        assert len(asked(service, document)["data"]) == 4
    else:
        assert "5,000" in refused(service, document)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b"\xff\xfe", b'{"input":' * 5_000, b"[" * 100_000, b'{"a":1e999}'], ids=repr
)
def test_what_is_no_request(service: Loopback, body: bytes) -> None:
    answer = requests.post(
        f"{service.url}/api/v1/statistics", data=body, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30
    )
    assert answer.status_code == 400


def test_ndvi_and_the_cloudy_fraction_of_a_field_for_each_acquisition(service: Loopback, engine: FakeEngine) -> None:
    """What FIS was asked for, in one call; pixels of a mask without data (CLM 255) do not count."""

    def draw(bands: Any) -> Any:
        clm = np.rint(bands["CLM"] * 10_000) % 3
        clm[clm == 2] = 255
        with np.errstate(invalid="ignore"):  # 0 / 0 outside of the polygon
            ndvi = (bands["B08"] - bands["B04"]) / (bands["B08"] + bands["B04"])
        return {
            "ndvi": [ndvi],
            "cloud": [clm == 1],
            "dataMask": [bands["dataMask"] * (clm == 0), bands["dataMask"] * (clm != 255)],
        }

    bands = ["B04", "B08", "CLM", "dataMask"]
    outputs = {"ndvi": ["B0"], "cloud": ["B0"], "dataMask": ["ndvi", "cloud"]}
    engine.scripts["field"] = FakeScript(setup_of(bands, outputs), draw)
    document = request("field")
    document["input"]["bounds"] = {"geometry": {"type": "Polygon", "coordinates": TRIANGLE}, "properties": CRS}
    answer = asked(service, document)
    inside = np.add.outer(np.arange(29, -1, -1) / 30, np.arange(40) / 40) + 0.5 / 30 + 0.5 / 40 < 1
    for each, day in zip(answer["data"], (1, 6, 11, 16), strict=True):
        date = dt.date(2019, 6, day)
        clm = np.rint(pixels("CLM", date) * 10_000) % 3
        red, nir = pixels("B04", date), pixels("B08", date)
        ndvi = ((nir - red) / (nir + red)).astype(np.float32).astype(np.float64)
        told = {name: each["outputs"][name]["bands"]["B0"]["stats"] for name in ("ndvi", "cloud")}
        assert told["ndvi"]["mean"] == ndvi[inside & (clm == 0)].mean()
        assert told["cloud"]["mean"] == (clm == 1)[inside & (clm != 2)].mean()
        assert told["cloud"]["noDataCount"] == 1200 - (inside & (clm != 2)).sum()
