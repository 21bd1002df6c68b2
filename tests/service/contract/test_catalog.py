"""Searches as they are written: times, places, and parameters of an address."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from pydantic import ValidationError

from eotasks.service.contract.catalog import CatalogSearch, place_of, search_document, times_of
from eotasks.service.errors import RequestError

DAY = dt.datetime.fromisoformat("2019-06-01")
LAST = dt.timedelta(microseconds=999_999)


def time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        (None, None, None),
        ("2019-06-01T00:00:00Z/2019-06-05T23:59:59Z", DAY, time("2019-06-05T23:59:59") + LAST),
        ("2019-06-01/2019-06-05", DAY, time("2019-06-05T23:59:59.999999")),
        ("2019-06-01T02:00:00+02:00/..", DAY, None),
        ("../2019-06-01T00:00:00Z", None, DAY + LAST),
        ("../2019-06-01T00:00:00.000Z", None, DAY),
        ("2019-06-01T00:00:00Z/", DAY, None),
        ("../..", None, None),
        ("2019-06-01", DAY, time("2019-06-01T23:59:59.999999")),
        ("2019-06-01T10:10:05Z", time("2019-06-01T10:10:05"), time("2019-06-01T10:10:05") + LAST),
        ("2019-06-01T10:10:05.024Z", time("2019-06-01T10:10:05.024"), time("2019-06-01T10:10:05.024")),
    ],
)
def test_times(text: str | None, start: dt.datetime | None, end: dt.datetime | None) -> None:
    assert times_of(text) == (start, end)


@pytest.mark.parametrize(
    "text", ["", "x", "2019-06-02/2019-06-01", "2019-06-01/2019-06-02/2019-06-03", "..", "2019-13-01", "2019-06-01/x"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(RequestError, match="datetime"):
        times_of(text)


def search(**fields: Any) -> CatalogSearch:
    return CatalogSearch.model_validate({"collections": ["sentinel-2-l1c"], **fields})


RING = [[13, 45], [14, 45], [14, 46], [13, 46], [13, 45]]
BOW_TIE = [[13, 45], [14, 46], [14, 45], [13, 46], [13, 45]]


@pytest.mark.parametrize(
    ("fields", "bounds"),
    [
        ({"bbox": [13, 45, 14, 46]}, (13, 45, 14, 46)),
        ({"bbox": [13, 45, 0, 14, 46, 500]}, (13, 45, 14, 46)),
        ({"intersects": {"type": "Point", "coordinates": [13, 45, 7]}}, (13, 45, 13, 45)),
        ({"intersects": {"type": "LineString", "coordinates": [[13, 45], [14, 46]]}}, (13, 45, 14, 46)),
        ({"intersects": {"type": "Polygon", "coordinates": [RING]}}, (13, 45, 14, 46)),
        ({"intersects": {"type": "Polygon", "coordinates": [BOW_TIE]}}, (13, 45, 14, 46)),
        ({"intersects": {"type": "MultiPolygon", "coordinates": [[RING]]}}, (13, 45, 14, 46)),
        ({"bbox": [170, -50, -170, -40]}, (-180, -50, 180, -40)),
    ],
)
def test_places(fields: dict[str, Any], bounds: tuple[float, ...]) -> None:
    place = place_of(search(**fields))
    assert place is not None
    assert place.bounds == bounds
    assert place.is_valid


def test_no_place() -> None:
    assert place_of(search()) is None


ZIGZAG = [[13 + (step * 7919 % 1000) / 1000, 45 + (step * 104729 % 997) / 1000] for step in range(3_000)]


@pytest.mark.parametrize(
    "fields",
    [
        {"bbox": [13, 45, 14, 46], "intersects": {"type": "Point", "coordinates": [13, 45]}},
        {"bbox": []},
        {"bbox": [13, 45, 14]},
        {"bbox": [13, 46, 14, 45]},
        {"bbox": [13, 45, 14, float("nan")]},
        {"bbox": [13, 45, 14, float("inf")]},
        {"bbox": [13, 45, 14, 10**400]},
        {"bbox": [13, 45, 14, 460]},
        {"bbox": [500_000, 5_000_000, 600_000, 5_100_000]},
        {"intersects": {}},
        {"intersects": {"type": "Point"}},
        {"intersects": {"type": ["Point"], "coordinates": [1, 2]}},
        {"intersects": {"type": "Point", "coordinates": [1]}},
        {"intersects": {"type": "Point", "coordinates": ["1", "2"]}},
        {"intersects": {"type": "Point", "coordinates": [True, False]}},
        {"intersects": {"type": "Point", "coordinates": [1, float("nan")]}},
        {"intersects": {"type": "Point", "coordinates": [1, 200]}},
        {"intersects": {"type": "Polygon", "coordinates": []}},
        {"intersects": {"type": "Polygon", "coordinates": [[]]}},
        {"intersects": {"type": "Polygon", "coordinates": [[[13, 45], [14, 45]]]}},
        {"intersects": {"type": "Polygon", "coordinates": [RING, {"a": 1}]}},
        {"intersects": {"type": "Polygon", "coordinates": [[[[13, 45]]]]}},
        {"intersects": {"type": "Polygon", "coordinates": [[*ZIGZAG, ZIGZAG[0]]]}},
        {"intersects": {"type": "MultiPoint", "coordinates": [[13, 45]] * 100_001}},
        {"intersects": {"type": "GeometryCollection", "geometries": []}},
        {"intersects": {"type": "Feature", "geometry": {"type": "Point", "coordinates": [13, 45]}}},
    ],
    ids=lambda fields: str(fields)[:60],
)
def test_what_is_no_place(fields: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=r"bbox|intersects"):
        place_of(search(**fields))


def test_parameters_of_an_address() -> None:
    document = search_document(
        {
            "collections": "sentinel-2-l1c,sentinel-2-l2a", "bbox": "13,45,14,46", "limit": "5", "next": "10",
            "ids": "a,b", "fields": "id,+type,-geometry", "filter": '{"op": "<", "args": []}',
            "filter-lang": "cql2-json", "datetime": "2019-06-01", "intersects": '{"type": "Point"}',
        }
    )  # fmt: skip
    assert document == {
        "collections": ["sentinel-2-l1c", "sentinel-2-l2a"], "bbox": [13, 45, 14, 46], "limit": 5, "next": 10,
        "ids": ["a", "b"], "fields": {"include": ["id", "type"], "exclude": ["geometry"]},
        "filter": {"op": "<", "args": []}, "filter-lang": "cql2-json", "datetime": "2019-06-01",
        "intersects": {"type": "Point"},
    }  # fmt: skip
    CatalogSearch.model_validate(document)


@pytest.mark.parametrize(
    "parameters",
    [{"limit": "x"}, {"bbox": "1,2,3,x"}, {"bbox": ""}, {"intersects": "["}, {"intersects": "[]"}],
    ids=str,
)
def test_parameters_that_are_refused(parameters: dict[str, str]) -> None:
    with pytest.raises(RequestError):
        search_document(parameters)


@pytest.mark.parametrize(
    "fields",
    [
        {"collections": []}, {"collections": "sentinel-2-l1c"}, {"collections": [1]}, {"limit": 0}, {"limit": -1},
        {"limit": 2.5}, {"limit": "5"}, {"limit": float("inf")}, {"next": -1}, {"next": 10**9}, {"next": "abc"},
        {"query": {}}, {"sortby": []}, {"ids": ["a"] * 501}, {"ids": [1]}, {"fields": []},
        {"fields": {"include": "id"}}, {"filter": 5}, {"filter": []}, {"distinct": 5}, {"datetime": 2019},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_search(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        search(**fields)
