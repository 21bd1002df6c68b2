"""Searches in windows of time: whatever the windows, what is found is what is there, newest first and in pages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pystac
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eotasks.service.catalog.search as module
from eotasks.catalogue.request import SearchRequest
from eotasks.service.build import Catalogues, search_in
from eotasks.service.catalog.search import WindowedSearch, item_named, newest_first, page_of, search_of
from eotasks.service.contract.catalog import CatalogSearch
from eotasks.service.errors import RequestError, TooLargeError
from eotasks.service.pixels.collections import COLLECTIONS
from tests.builders.stac_items import make_item

OFFICIAL = "S2A_MSIL1C_20240501T100031_N0510_R122_T33UUU_20240501T121502"


class Listed:
    """A catalogue that is a list, and knows no names."""

    def __init__(self, items: list[pystac.Item]) -> None:
        self.items = sorted(items, key=lambda each: (each.datetime, each.id))
        self.asked: list[SearchRequest] = []

    def find(self, request: SearchRequest) -> list[Any]:
        self.asked.append(request)
        found = [
            item
            for item in self.items
            if item.datetime is not None
            and (request.start is None or item.datetime.replace(tzinfo=None) >= request.start)
            and (request.end is None or item.datetime.replace(tzinfo=None) <= request.end)
            and (request.level is None or item.properties["processing:level"] == request.level)
            and (
                request.max_cloud_cover is None
                or item.properties.get("eo:cloud_cover", 0) <= request.max_cloud_cover * 100
            )
        ]
        return found[: request.limit]


class Named(Listed):
    """One that knows its items by their ids, and how they lie in time."""

    def windows(self, request: SearchRequest, rows: int) -> tuple[list[dt.datetime], int]:
        times = [item.datetime.replace(tzinfo=None) for item in self.find(request) if item.datetime]
        return sorted(set(times[::rows])), 0

    def named(self, names: Collection[str], request: SearchRequest) -> list[Any]:
        self.asked.append(request)
        return [item for item in self.items if item.id in names]


def items_at(times: list[dt.datetime], **fields: Any) -> list[pystac.Item]:
    return [make_item(f"item-{number:03}", time=time.isoformat(), **fields) for number, time in enumerate(times)]


def search(catalogue: Listed, **fields: Any) -> tuple[list[Any], int | None]:
    asked = CatalogSearch.model_validate({"collections": ["sentinel-2-l1c"], **fields})
    page = page_of(search_of(asked), catalogue)
    found = page.found if "distinct" in fields else [item.id for item, _ in page.found]
    return found, page.next


TIMES = st.datetimes(dt.datetime.fromisoformat("2014-01-01"), dt.datetime.fromisoformat("2031-01-01"))
BOUNDS = st.none() | TIMES


@settings(max_examples=25)
@given(st.lists(TIMES, max_size=25), BOUNDS, BOUNDS, st.sampled_from([Listed, Named]))
def test_windows_leave_nothing_out_and_nothing_twice(
    times: list[dt.datetime], start: dt.datetime | None, end: dt.datetime | None, kind: type[Listed]
) -> None:
    catalogue = kind(items_at(times))
    if start is not None and end is not None and end < start:
        start, end = end, start
    request = SearchRequest(start=start, end=end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_READ_AT_ONCE", 3)
        if len({time.replace(microsecond=0) for time in times}) < len(times):
            return
        found = [item.id for item in newest_first(request, catalogue)]
    assert found == [item.id for item in reversed(catalogue.find(request))]


def test_pages_are_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_READ_AT_ONCE", 7)
    start = dt.datetime.fromisoformat("2024-01-01T10:00:00")
    catalogue = Listed(items_at([start + dt.timedelta(days=number % 20, seconds=number) for number in range(57)]))
    expected = [item.id for item in reversed(catalogue.items)]
    for limit in (1, 10, 19, 56, 57, 58, 100):
        found: list[str] = []
        following: int | None = 0
        while following is not None:
            page, following = search(catalogue, limit=limit, next=following)
            assert page
            found += page
        assert found == expected


def test_two_collections_in_one_order() -> None:
    start = dt.datetime.fromisoformat("2024-01-01T10:00:00")
    times = [start + dt.timedelta(days=number) for number in range(6)]
    items = items_at(times[::2]) + [
        make_item(f"l2a-{number}", time=time.isoformat(), level="L2A") for number, time in enumerate(times[1::2])
    ]
    both = ["sentinel-2-l1c", "sentinel-2-l2a", "sentinel-2-l1c"]
    found, _ = search(Listed(items), collections=both)
    assert found == ["l2a-2", "item-002", "l2a-1", "item-001", "l2a-0", "item-000"]
    assert search(Listed(items))[0] == ["item-002", "item-001", "item-000"]


def test_clouds_are_compared_exactly() -> None:
    items = [make_item(f"c{cover}", cloud=cover) for cover in (None, 0.0, 28.99, 29.0, 29.001, 100.0)]
    catalogue = Listed(items)
    for text, expected in (
        ("eo:cloud_cover <= 29", ["c0.0", "c28.99", "c29.0", "cNone"]),
        ("eo:cloud_cover < 29", ["c0.0", "c28.99", "cNone"]),
        ("eo:cloud_cover < 100", ["c0.0", "c28.99", "c29.0", "c29.001", "cNone"]),
        ("eo:cloud_cover <= 100", ["c0.0", "c100.0", "c28.99", "c29.0", "c29.001", "cNone"]),
        ("eo:cloud_cover > 29", ["c100.0", "c29.001"]),
        ("eo:cloud_cover = 29", ["c29.0"]),
        ("eo:cloud_cover < -5", ["cNone"]),
        ("eo:cloud_cover BETWEEN 28.99 AND 29.001", ["c28.99", "c29.0", "c29.001"]),
    ):
        assert sorted(search(catalogue, filter=text)[0]) == expected, text


def test_dates_each_once() -> None:
    times = ["2024-05-01T10:00:00", "2024-05-01T10:00:20", "2024-05-03T10:00:00", "2024-05-02T23:59:59.999"]
    catalogue = Listed(items_at(list(map(dt.datetime.fromisoformat, times))))
    assert search(catalogue, distinct="date") == (["2024-05-03", "2024-05-02", "2024-05-01"], None)
    assert search(catalogue, distinct="date", limit=2) == (["2024-05-03", "2024-05-02"], 2)
    assert search(catalogue, distinct="date", limit=2, next=2) == (["2024-05-01"], None)
    assert search(catalogue, distinct="platform") == (["sentinel-2a"], None)
    with pytest.raises(RequestError, match="distinct"):
        search(catalogue, distinct="datetime")


@pytest.mark.parametrize("kind", [Listed, Named])
def test_items_by_their_ids(kind: type[Listed]) -> None:
    official = make_item(OFFICIAL, time="2024-05-01T10:05:44.024")
    catalogue = kind([official, *items_at([dt.datetime.fromisoformat("2024-05-02")] * 3)])
    found, _ = search(catalogue, ids=[OFFICIAL, "item-001", "nothing"])
    assert found == ["item-001", OFFICIAL]
    assert search(catalogue, ids=[]) == ([], None)
    item = item_named(OFFICIAL, COLLECTIONS["sentinel-2-l1c"], catalogue)
    assert item is official
    assert item_named("nothing", COLLECTIONS["sentinel-2-l1c"], catalogue) is None
    assert item_named(OFFICIAL.replace("2024", "0001"), COLLECTIONS["sentinel-2-l1c"], catalogue) is None


@pytest.mark.parametrize("time", ["20209999T999999", "00010101T000000", "99991231T235959", "20240501T100060"])
def test_names_of_no_time_are_names_of_nothing(time: str) -> None:
    catalogue = Listed([make_item(OFFICIAL, time="2024-05-01T10:00:31")])
    name = OFFICIAL.replace("20240501T100031", time, 1)
    assert item_named(name, COLLECTIONS["sentinel-2-l1c"], catalogue) is None


def test_of_several_catalogues_each_is_asked_in_its_own_way() -> None:
    """One that knows no names is looked through in windows, never as a whole."""
    listed = Listed(items_at([dt.datetime.fromisoformat("2024-05-01T10:00:00")]))
    named = Named(items_at([dt.datetime.fromisoformat("2023-05-01T10:00:00")]))
    assert item_named("item-000", COLLECTIONS["sentinel-2-l1c"], Catalogues([listed, named])) is not None
    assert all(request.limit is not None and request.start is not None for request in listed.asked)


def test_an_official_name_is_searched_for_about_its_time() -> None:
    catalogue = Listed([make_item(OFFICIAL, time="2024-05-01T10:05:44")])
    assert item_named(OFFICIAL, COLLECTIONS["sentinel-2-l1c"], catalogue) is not None
    (request,) = catalogue.asked
    assert request.start is not None
    assert request.end is not None
    assert request.end - request.start == dt.timedelta(hours=6)


def test_more_products_than_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LOOKED_AT", 20)
    start = dt.datetime.fromisoformat("2024-01-01")
    catalogue = Listed(items_at([start + dt.timedelta(days=number) for number in range(30)]))
    with pytest.raises(TooLargeError, match="shorter time"):
        search(catalogue, limit=10, next=25)


def test_too_many_products_of_one_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_READ_AT_ONCE", 3)
    catalogue = Listed(items_at([dt.datetime.fromisoformat("2024-01-01")] * 5))
    with pytest.raises(TooLargeError):
        search(catalogue)


def test_the_first_page_of_a_long_time_reads_little() -> None:
    start = dt.datetime.fromisoformat("2016-01-01")
    catalogue = Listed(items_at([start + dt.timedelta(days=number * 5) for number in range(600)]))
    found, following = search(catalogue, bbox=[0, 0, 90, 80], datetime="../2024-01-01")
    assert (len(found), following) == (10, 10)
    assert len(catalogue.asked) == 1


def test_one_catalogue_of_ours_is_asked_itself(tmp_path: Path) -> None:
    one, other = (str(tmp_path / name) for name in ("a.parquet", "b.parquet"))
    assert isinstance(search_in([one]), WindowedSearch)
    assert isinstance(search_in([one, other]), Catalogues)
