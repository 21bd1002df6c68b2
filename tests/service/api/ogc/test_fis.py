"""FIS over HTTP on loopback: its parameters, its answers, and what is refused."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import requests

from eotasks.service.api.ogc import fis
from eotasks.service.contract.fis import fis_request
from eotasks.service.contract.layers import LAYERS
from eotasks.service.errors import RequestError, ScriptError, ScriptTimeoutError
from eotasks.service.statistics.channels import MASK_SCRIPT
from tests.builders.service.fake_renderer import FakeScript, Product, days, renderer_of, setup_of, value
from tests.servers.routes import HEADERS, Loopback

PATH = "/ogc/fis/an-instance"
BOX = (330_000.0, 5_814_000.0, 330_400.0, 5_814_300.0)
TRIANGLE = "POLYGON ((330000 5814000, 330400 5814000, 330000 5814300, 330000 5814000))"
INSIDE = np.add.outer(np.arange(29, -1, -1) / 30, np.arange(40) / 40) + 0.5 / 30 + 0.5 / 40 < 1
PLAIN = "return [B04, B08 / 2]; // a script"
FIELD = {"LAYER": "sentinel-2-l1c", "CRS": "EPSG:32633", "GEOMETRY": TRIANGLE, "TIME": "2019-06-01/2019-06-30"}

SCRIPTS = {
    LAYERS["NDVI"].script: FakeScript(
        setup_of(["B04", "dataMask"], {"default": ["B0"], "dataMask": ["B0"]}),
        lambda bands: {"default": [bands["B04"]], "dataMask": [bands["dataMask"]]},
    ),
    PLAIN: FakeScript(
        setup_of(["B04", "B08"], {"default": ["B0", "B1"]}),
        lambda bands: {"default": [bands["B04"], bands["B08"] / 2]},
    ),
    MASK_SCRIPT: FakeScript(
        setup_of(["dataMask"], {"dataMask": ["B0"]}), lambda bands: {"dataMask": [bands["dataMask"]]}
    ),
}


@pytest.fixture(scope="module")
def running() -> Iterator[Loopback]:
    renderer = renderer_of({text: script for text, script in SCRIPTS.items() if text is not None}, [])
    with Loopback.running([fis.router], renderer=renderer) as service:
        yield service


@pytest.fixture
def service(running: Loopback) -> Loopback:
    running.engine.faults = {}
    running.reader.products = [Product(time, 10.0 * number) for number, time in enumerate(days("2019-06-01", 3, 5))]
    return running


def pixels(band: str, day: int) -> np.ndarray:
    x = np.arange(BOX[0] + 5, BOX[2], 10)[np.newaxis]
    y = np.arange(BOX[3] - 5, BOX[1], -10)[:, np.newaxis]
    time = dt.datetime.fromisoformat(f"2019-06-{day:02}T10:10:00")
    return value(band, x, y, time).astype(np.float64)


def test_channels_and_days(service: Loopback) -> None:
    """A script of the older kind gives no mask: what lies outside of the polygon does not count all the same."""
    answer = service.get(PATH, **FIELD, EVALSCRIPT=PLAIN).json()
    assert list(answer) == ["C0", "C1"]
    for channel, band, factor in (("C0", "B04", 1), ("C1", "B08", 0.5)):
        assert [entry["date"] for entry in answer[channel]] == ["2019-06-11", "2019-06-06", "2019-06-01"]
        for entry, day in zip(answer[channel], (11, 6, 1), strict=True):
            kept = (pixels(band, day) * factor).astype(np.float32).astype(np.float64)[INSIDE]
            assert entry == {
                "date": f"2019-06-{day:02}",
                "basicStats": {"min": kept.min(), "max": kept.max(), "mean": kept.mean(), "stDev": kept.std()},
            }


def test_parameters_as_the_old_client_sent_them(service: Loopback) -> None:
    """In a body of JSON, in small letters, with those of pictures, and the script in base64."""
    expected = service.get(PATH, **FIELD, EVALSCRIPT=PLAIN).json()
    parameters = {
        "service": "FIS", "warnings": False, "maxcc": 100.0, "evalscript": base64.b64encode(PLAIN.encode()).decode(),
        "showlogo": "False", "crs": "EPSG:32633", "layer": "SENTINEL-2-L1C", "resolution": "10m",
        "time": "2019-06-01T00:00:00Z/2019-06-30T23:59:59Z", "geometry": TRIANGLE,
    }  # fmt: skip
    assert service.post(PATH, parameters).json() == expected
    assert service.get(PATH, **parameters).json() == expected
    form = requests.post(
        f"{service.url}{PATH}", data=parameters, headers={"Authorization": HEADERS["Authorization"]}, timeout=30
    )
    assert form.json() == expected


def test_a_layer_with_a_script_of_its_own(service: Loopback) -> None:
    box = {"LAYER": "ndvi", "CRS": "EPSG:32633", "BBOX": ",".join(map(str, BOX)), "TIME": "2019-06-06"}
    (entry,) = service.get(PATH, **box).json()["C0"]
    assert entry["basicStats"]["mean"] == pixels("B04", 6).mean()


def test_products_with_too_many_clouds(service: Loopback) -> None:
    answer = service.get(PATH, **FIELD, EVALSCRIPT=PLAIN, MAXCC="10").json()
    assert [entry["date"] for entry in answer["C0"]] == ["2019-06-06", "2019-06-01"]


def test_no_products(service: Loopback) -> None:
    field = {**FIELD, "TIME": "2018-06-01"}
    assert service.get(PATH, **field, EVALSCRIPT=PLAIN).json() == {"C0": [], "C1": []}


@pytest.mark.parametrize("kind", ["EQUIDISTANT", "equalfrequency"])
def test_histograms(service: Loopback, kind: str) -> None:
    answer = service.get(PATH, **FIELD, EVALSCRIPT=PLAIN, BINS="5", TYPE=kind).json()
    bins = answer["C0"][0]["histogram"]["bins"]
    kept = pixels("B04", 11)[INSIDE]
    assert sum(each["count"] for each in bins) == kept.size
    assert bins[0]["value"] == kept.min()
    if kind == "EQUIDISTANT":
        assert [each["count"] for each in bins] == np.histogram(kept, 5)[0].tolist()
    else:
        assert max(each["count"] for each in bins) - min(each["count"] for each in bins) < kept.size / 10


def test_one_pixel(service: Loopback) -> None:
    field = {**FIELD, "RESOLUTION": "500m", "BBOX": ",".join(map(str, BOX))}
    del field["GEOMETRY"]
    for kind in ("EQUIDISTANT", "EQUALFREQUENCY"):
        entry = service.get(PATH, **field, EVALSCRIPT=PLAIN, BINS="5", TYPE=kind).json()["C0"][0]
        assert entry["histogram"]["bins"] == [{"value": entry["basicStats"]["min"], "count": 1.0}]
        assert entry["basicStats"]["stDev"] == 0


def test_degrees_have_the_latitude_first() -> None:
    asked = fis_request(
        {"layer": "NDVI", "time": "2019-06-01", "crs": "EPSG:4326", "resolution": "10m",
         "geometry": "POLYGON ((52.4 12.5, 52.4 12.6, 52.5 12.6, 52.4 12.5))"}
    ).statistics  # fmt: skip
    assert asked.input.bounds.geometry is not None
    assert asked.input.bounds.geometry["coordinates"][0][0] == [12.5, 52.4]
    assert asked.aggregation.width == pytest.approx(680, abs=2)
    assert asked.aggregation.height == pytest.approx(1113, abs=2)
    other = fis_request(
        {"LAYER": "NDVI", "TIME": "2019-06-01", "CRS": "CRS:84", "BBOX": "12.5,52.4,12.6,52.5"}
    ).statistics
    assert other.input.bounds.bbox == [12.5, 52.4, 12.6, 52.5]


@pytest.mark.parametrize("code", ["EPSG:4258", "EPSG:4269", "EPSG:4326"])
def test_other_degrees_are_degrees_too(code: str) -> None:
    asked = fis_request(
        {"LAYER": "NDVI", "TIME": "2019-06-01", "CRS": code, "BBOX": "52.4,12.5,52.5,12.6", "RESOLUTION": "10m"}
    ).statistics
    assert asked.input.bounds.bbox == [12.5, 52.4, 12.6, 52.5]
    assert asked.aggregation.width == pytest.approx(680, abs=2)
    assert asked.aggregation.height == pytest.approx(1113, abs=2)
    with pytest.raises(RequestError, match="less than half a pixel"):
        fis_request(
            {"LAYER": "NDVI", "TIME": "2019-06-01", "CRS": code, "BBOX": "52.4,12.5,52.5,12.6", "RESOLUTION": "100000m"}
        )


@pytest.mark.parametrize("fault", [ScriptError("x is undefined"), ScriptTimeoutError("2 s")], ids=["error", "time"])
def test_a_day_that_fails(service: Loopback, fault: Exception) -> None:
    """An answer has no place to say so."""
    service.engine.faults[dt.date(2019, 6, 6)] = [fault]
    answer = service.get(PATH, **FIELD, EVALSCRIPT=PLAIN)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("2019-06-06")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"LAYER": None}, 400),
        ({"LAYER": "nothing"}, 404),
        ({"EVALSCRIPT": None}, 400),
        ({"EVALSCRIPT": "while(1){}"}, 400),
        ({"EVALSCRIPTURL": "http://127.0.0.1/x.js"}, 400),
        ({"TIME": None}, 400),
        ({"TIME": "yesterday"}, 400),
        ({"TIME": "2019-06-02/2019-06-01"}, 400),
        ({"TIME": "0001-01-01/9999-12-31"}, 413),
        ({"TIME": "a/b/c"}, 400),
        ({"GEOMETRY": None}, 400),
        ({"BBOX": "1,2,3,4"}, 400),
        ({"GEOMETRY": "POINT (1 2)"}, 400),
        ({"GEOMETRY": "POLYGON EMPTY"}, 400),
        ({"GEOMETRY": "POLYGON ((1 2, 3"}, 400),
        ({"GEOMETRY": "POLYGON ((0 0, 1 1, 0 0))"}, 400),
        ({"GEOMETRY": "POLYGON ((nan 0, 1 1, 0 1, nan 0))"}, 400),
        ({"GEOMETRY": "POLYGON (" + "(" * 5_000}, 400),
        ({"GEOMETRY": None, "BBOX": "1,2,3"}, 400),
        ({"GEOMETRY": None, "BBOX": "1,2,3,x"}, 400),
        ({"GEOMETRY": None, "BBOX": "3,2,1,4"}, 400),
        ({"GEOMETRY": None, "BBOX": "nan,2,1,4"}, 400),
        ({"CRS": "EPSG:1"}, 400),
        ({"CRS": "EPSG:4326"}, 400),
        ({"RESOLUTION": "0m"}, 400),
        ({"RESOLUTION": "-1m"}, 400),
        ({"RESOLUTION": "0.001m"}, 400),
        ({"RESOLUTION": "10 km"}, 400),
        ({"BINS": "0"}, 400),
        ({"BINS": "1000000"}, 400),
        ({"BINS": "5.5"}, 400),
        ({"BINS": "5", "TYPE": "STREAMING"}, 400),
        ({"MAXCC": "101"}, 400),
        ({"MAXCC": "nan"}, 400),
        ({"PRIORITY": "best"}, 400),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_refused(service: Loopback, changes: dict[str, Any], status: int) -> None:
    parameters = {**FIELD, "EVALSCRIPT": PLAIN, **changes}
    answer = service.post(PATH, {name: value for name, value in parameters.items() if value is not None})
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("body", [b"", b"[]", b'{"layer": {}}', b'{"layer": true}', b"\xff"], ids=repr)
def test_what_is_no_request(service: Loopback, body: bytes) -> None:
    assert requests.post(f"{service.url}{PATH}", data=body, headers=HEADERS, timeout=10).status_code == 400


def test_who_may_ask(service: Loopback) -> None:
    assert requests.get(f"{service.url}{PATH}", timeout=10).status_code == 401


def test_scripts_in_base64_are_told_from_plain_ones() -> None:
    def script(text: str) -> str | None:
        return fis_request({**FIELD, "EVALSCRIPT": text}).statistics.aggregation.evalscript

    packed = base64.urlsafe_b64encode(PLAIN.encode()).decode().rstrip("=")
    assert script(packed) == script(PLAIN) == PLAIN
    assert script("B04") == "B04"
    assert script("return") == "return"
    with pytest.raises(RequestError, match="characters"):
        script("x" * 1_000_001)
