"""Requests as clients write them, and as they should not."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from eotasks.service.api.body import model_of
from eotasks.service.contract.request import Input, ProcessRequest, TimeRange, data_of, end_of, time_of, time_range_of
from eotasks.service.errors import NotFoundError, RequestError
from tests.servers.service import request

DAY = {"from": "2024-06-01T00:00:00Z", "to": "2024-06-02T23:59:59Z"}


def parsed(content: Any) -> ProcessRequest:
    return model_of(json.dumps(content).encode(), "application/json", ProcessRequest)


def entry(**changes: Any) -> dict[str, Any]:
    return {"type": "sentinel-2-l1c", "dataFilter": {"timeRange": DAY}, **changes}


def data(*entries: dict[str, Any]) -> Any:
    content = {"bounds": {"bbox": [0, 0, 1, 1]}, "data": list(entries)}
    return data_of(model_of(json.dumps(content).encode(), "", Input).data)


def test_defaults_are_those_of_the_documentation() -> None:
    [one] = data(entry())
    assert (one.max_cloud_coverage, one.order, one.upsampling, one.downsampling) == (
        100,
        "mostRecent",
        "NEAREST",
        "NEAREST",
    )
    assert one.harmonize
    assert (one.start.isoformat(), one.end.isoformat()) == (
        "2024-06-01T00:00:00",
        "2024-06-02T23:59:59.999999",
    )


def test_all_that_can_be_said() -> None:
    filtered = {
        "timeRange": DAY,
        "maxCloudCoverage": 80,
        "mosaickingOrder": "LEASTCC",
        "previewMode": "EXTENDED_PREVIEW",
    }
    processing = {"upsampling": "bicubic", "downsampling": "BILINEAR", "harmonizeValues": False}
    [one, other] = data(entry(id="a", dataFilter=filtered, processing=processing), entry(id="b", processing=None))
    assert (one.max_cloud_coverage, one.order, one.upsampling, one.downsampling) == (
        80,
        "leastCC",
        "BICUBIC",
        "BILINEAR",
    )
    assert (one.harmonize, one.id, other.id) == (False, "a", "b")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (entry(dataFilter={"timerange": DAY}), "did you mean 'timeRange'?"),
        (entry(dataFilter={"timeRange": {"from": DAY["from"]}}), "to: Field required"),
        (entry(dataFilter={"timeRange": {**DAY, "from": "yesterday"}}), "'yesterday'"),
        (entry(dataFilter={"timeRange": {**DAY, "from": 20240601}}), "valid string"),
        (entry(dataFilter={"timeRange": {**DAY, "from": "2024-07-01T00:00:00Z"}}), "before `from`"),
        (entry(dataFilter={"timeRange": DAY, "maxCloudCoverage": 101}), "less than or equal to 100"),
        (entry(dataFilter={"timeRange": DAY, "maxCloudCoverage": "80"}), "maxCloudCoverage"),
        (entry(dataFilter={"timeRange": DAY, "maxCloudCoverage": float("nan")}), "maxCloudCoverage"),
        (entry(dataFilter={"timeRange": DAY, "mosaickingOrder": "first"}), "mostRecent"),
        (entry(processing={"upsampling": "LANCZOS"}), "BICUBIC"),
        (entry(processing={"harmonizeValues": "yes"}), "harmonizeValues"),
        (entry(processing={"orthorectify": True}), "unknown orthorectify"),
        (entry(type=None), "type"),
        (entry(id="x" * 201), "id"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value,
)
def test_refused(content: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError) as error:
        data(content)
    assert said in str(error.value)


def test_two_of_one_id() -> None:
    with pytest.raises(RequestError, match="same id"):
        data(entry(id="a"), entry(id="a"))
    with pytest.raises(RequestError, match="data"):
        data()
    with pytest.raises(RequestError, match="at most 10"):
        data(*[entry(id=str(number)) for number in range(11)])


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-06-01T00:00:00Z", "2024-06-01T00:00:00"),
        ("2024-06-01T00:00:00.123Z", "2024-06-01T00:00:00.123000"),
        ("2024-06-01T02:00:00+02:00", "2024-06-01T00:00:00"),
        ("2024-06-01T00:00:00", "2024-06-01T00:00:00"),
        ("2024-06-01", "2024-06-01T00:00:00"),
    ],
)
def test_times(text: str, time: str) -> None:
    assert time_of(text, "from") == dt.datetime.fromisoformat(time)


def test_a_day_is_all_of_it_at_the_end() -> None:
    assert time_of("2024-06-01", "to", last=True).isoformat() == "2024-06-01T23:59:59.999999"


@pytest.mark.parametrize(
    "text", ["T23:59:59Z", "T23:59:59", " 23:59:59", "T235959Z", "T23:59:59+00:00", "", "T21:59:59-02"]
)
def test_what_ends_at_a_whole_second_has_all_of_it(text: str) -> None:
    """Products have times of milliseconds: one of 23:59:59.463 is of that day."""
    assert end_of(f"9999-12-31{text}", "to") == dt.datetime.fromisoformat("9999-12-31T23:59:59.999999")
    exact = time_range_of(
        TimeRange.model_validate({"from": "2024-06-01", "to": "2024-06-01T10:00:00Z"}), "x", includes_last=False
    )
    assert exact[1] == dt.datetime.fromisoformat("2024-06-01T10:00:00")


@pytest.mark.parametrize("text", ["2024-06-01T10:00:00.000Z", "2024-06-01T10:00Z", "2024-06-01T12:00:00.0+02:00"])
def test_what_ends_elsewhere_ends_there(text: str) -> None:
    assert end_of(text, "to") == dt.datetime.fromisoformat("2024-06-01T10:00:00")


@given(st.text(max_size=60))
def test_any_time(text: str) -> None:
    try:
        zone = time_of(text, "from").tzinfo
    except RequestError:
        zone = None
    assert zone is None


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "9" * 10_000])
def test_times_of_no_year(text: str) -> None:
    with pytest.raises(RequestError, match="no time"):
        time_of(text, "from")


def test_whole_numbers_as_javascript_may_write_them() -> None:
    assert parsed(request(output={"width": 512.0})).output.width == 512
    for width in (512.5, "512", True, [512]):
        with pytest.raises(RequestError, match=r"output\.width"):
            parsed(request(output={"width": width}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(st.data())
def test_anything_anywhere(data: st.DataObject) -> None:
    """One value of a good request is something else: it is refused with a message, or taken."""
    content: Any = json.loads(json.dumps(request()))
    node = content
    while True:
        key = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans()):
            node[key] = data.draw(JSON)
            break
        node = node[key]
    message = "taken"
    try:
        data_of(parsed(content).input.data)
    except (RequestError, NotFoundError) as error:
        message = str(error)
    assert 0 < len(message) < 1500


TIMES = {"timeRange": {"from": "2024-06-01T00:00:00Z", "to": "2024-06-02T00:00:00Z"}}


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "dem", "dataFilter": {"demInstance": "COPERNICUS_30"}},
        {"type": "dem"},
        {
            "type": "sentinel-1-grd",
            "dataFilter": {**TIMES, "acquisitionMode": "IW"},
            "processing": {"orthorectify": True},
        },
        {"type": "landsat-ot-l1", "dataFilter": TIMES},
        {"type": "byoc-1a2b", "dataFilter": TIMES},
        {"type": "CUSTOM", "collectionId": "1a2b", "dataFilter": TIMES},
    ],
    ids=lambda entry: entry["type"],
)
def test_other_collections_are_none_of_ours_whatever_else_they_say(entry: dict[str, Any]) -> None:
    """And not told that a field is wrong, which is right for the collection."""
    content: Any = json.loads(json.dumps(request()))
    content["input"]["data"] = [entry]
    with pytest.raises(NotFoundError, match=rf"'{entry['type']}' is not served.*sentinel-2-l1c, sentinel-2-l2a"):
        parsed(content)
