"""Answers of APIs and catalogues of others: one item that is none never ends the others."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from eotasks.catalogue import Catalogue, StacApi
from eotasks.catalogue.fields import level_of
from eotasks.catalogue.table import table_of
from eotasks.errors import (
    ImageryError,
    ProductSkippedWarning,
)
from eotasks.sources.frames import Candidate, candidates_of
from tests.builders.stac_items import make_item
from tests.hostile.refusals import OUTSIDE, refuses


@pytest.mark.parametrize(
    "changed",
    [
        {"geometry": {"type": "Polygon"}}, {"geometry": []}, {"geometry": {"type": "Nothing", "coordinates": []}},
        {"geometry": {"type": "Polygon", "coordinates": [[["x", None]]]}}, {"properties": None}, {"properties": []},
        {"assets": []}, {"links": None}, {"id": []}, {"stac_version": {}}, {"properties": {"datetime": "never"}},
        {"properties": {"datetime": OUTSIDE[0]}}, {"properties": {"datetime": None}}, {"type": "Nothing"},
        {"properties": {"datetime": "2024-05-01T10:00:00Z", "eo:cloud_cover": "many"}},
    ],
    ids=str,
)  # fmt: skip
def test_items_of_an_api_that_are_none(changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Pystac and shapely raise whatever they stumble over; a search refuses the answer by name."""
    answer_with(monkeypatch, make_item("a").to_dict() | changed)
    with pytest.raises(ImageryError):
        StacApi("https://a.example").search(bbox=(12, 52, 13, 53), max_cloud_cover=0.5)


POINT = {"type": "Point", "coordinates": [12.5, 52.5]}


@pytest.mark.parametrize(
    "changed",
    [
        {"geometry": POINT}, {"geometry": {"type": "Polygon"}}, {"properties": {"datetime": OUTSIDE[0]}},
        {"properties": {"datetime": None}}, {"properties": []}, {"assets": []}, {"assets": ["a"]}, {"assets": "a"},
        {"assets": 5}, {"collection": 5}, {"type": "Collection"}, {"links": ["a"]}, {"stac_version": 1},
        {"properties": {"datetime": "2024-05-01T10:00:00Z", "eo:cloud_cover": "many"}},
    ],
    ids=str,
)  # fmt: skip
def test_one_bad_item_of_an_api_leaves_the_others(changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    bad = {**make_item("bad").to_dict(), **changed}
    for features in ([bad, make_item("sound").to_dict()], [make_item("sound").to_dict(), bad]):
        answer_with(monkeypatch, *features)
        with pytest.warns(ProductSkippedWarning, match=r"a\.example: 1 items are left out. STAC item 'bad'.* .{9}"):
            found = StacApi("https://a.example").search(bbox=(12, 52, 13, 53), max_cloud_cover=0.5)
        assert [each.id for each in found] == ["sound"]


@pytest.mark.parametrize("feature", [5, None, "a", [], {"id": 5}, {}], ids=str)
def test_features_of_an_api_that_are_no_items(feature: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    named = {**make_item("a").to_dict(), **feature} if isinstance(feature, dict) and feature else feature
    answer_with(monkeypatch, named, make_item("sound").to_dict())
    with pytest.warns(ProductSkippedWarning, match="1 items are left out"):
        assert [each.id for each in StacApi("https://a.example").search()] == ["sound"]


def test_many_bad_items_of_an_api_are_named_in_few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = [{**make_item(f"bad {number}").to_dict(), "geometry": POINT} for number in range(100)]
    answer_with(monkeypatch, *bad, make_item("sound").to_dict())
    with pytest.warns(ProductSkippedWarning, match=r"100 items .*'bad 4'.* And 95 more\.") as caught:
        assert len(StacApi("https://a.example").search()) == 1
    assert len(str(caught[0].message)) < 3000


def test_one_bad_candidate_leaves_the_others() -> None:
    """Of any catalogue: what it found becomes products that may be read."""
    bad = make_item("bad")
    bad.properties["eo:cloud_cover"] = "many"
    with pytest.warns(ProductSkippedWarning, match="1 items are left out: STAC item 'bad': eo:cloud_cover is 'many'"):
        assert [each.name for each in candidates_of([bad, make_item("sound")])] == ["sound"]
    refuses(lambda: candidates_of([bad]), "'bad'", "many")


def answer_with(monkeypatch: pytest.MonkeyPatch, *features: Any) -> None:
    """A STAC API at https://a.example whose one page these are."""
    search = {"rel": "search", "type": "application/geo+json", "href": "https://a.example/search", "method": "POST"}
    landing = {
        "type": "Catalog", "stac_version": "1.0.0", "id": "a", "description": "a", "links": [search],
        "conformsTo": [f"https://api.stacspec.org/v1.0.0/{part}" for part in ("core", "item-search")],
    }  # fmt: skip
    page = {"type": "FeatureCollection", "features": features, "links": []}

    def send(_: object, request: requests.PreparedRequest, **__: object) -> requests.Response:
        answer = requests.Response()
        answer.status_code, answer.encoding = 200, "utf-8"
        answer.raw = io.BytesIO(json.dumps(page if "search" in str(request.url) else landing).encode())
        return answer

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)


COLUMNS_OF_OTHERS: dict[str, Any] = {
    "assets": ["a", ["a"], 5, {"B02": "a"}, {"B02": {"title": "no href"}}],
    "links": [["a"], "a", 5],
    "stac_version": [5, b"1"],
    "type": ["Collection", "Catalog", 5],
    "collection": [5, 1.5, ["a"]],
    "id": [5, b"a"],
    "stac_extensions": ["a", [5], 5],
    "bbox": ["a", 5, {"xmin": 1.0}],
    "geometry": ["a", 5, b"", b"\x01\x01\x00\x00\x00"],
    "datetime": ["a", "0001-01-01T00:00:00+14:00", 5, b"a"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, each) for name, values in COLUMNS_OF_OTHERS.items() for each in values], ids=str
)
def test_columns_of_catalogues_of_others(name: str, value: Any, tmp_path: Path) -> None:
    """A search gives items that can be used, or an error that names the catalogue."""
    catalogue = with_column(tmp_path, name, value)
    for arguments in ({}, {"bbox": (12, 52, 13, 53), "max_cloud_cover": 0.5, "level": "L1C", "tile": "33UUU"}):
        try:
            found = catalogue.search(**arguments)
        except ImageryError as error:
            assert "theirs.parquet" in str(error)  # noqa: PT017 - items are as good as an error
        else:
            for each in found:
                json.dumps(each.to_dict())
                with contextlib.suppress(ImageryError):
                    Candidate.of_item(each)


@pytest.mark.parametrize(
    ("name", "value"), [("assets", "a"), ("links", ["a"]), ("stac_version", 5), ("type", "Collection"), ("id", 5)]
)
def test_rows_of_a_catalogue_that_are_no_items(name: str, value: Any, tmp_path: Path) -> None:
    refuses(with_column(tmp_path, name, value).search, "theirs.parquet: a row is no STAC item")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"a\xff", "a\\xff"), (Decimal("1.50"), "1.50"), (dt.date(2024, 5, 1), "2024-05-01"),
        (dt.time(1, 2), "01:02:00"), (dt.timedelta(1), "1 day, 0:00:00"), ({"a": [b"b"]}, {"a": ["b"]}),
    ],
    ids=str,
)  # fmt: skip
def test_values_of_catalogues_that_json_does_not_have(value: Any, text: object, tmp_path: Path) -> None:
    (found,) = with_column(tmp_path, "other", value).search()
    assert json.loads(json.dumps(found.to_dict()))["properties"]["other"] == text


def test_collections_that_are_no_names() -> None:
    numbered = make_item("a")
    numbered.properties = {}
    numbered.collection_id = 5  # type: ignore[assignment]
    assert level_of(numbered) is None


def with_column(folder: Path, name: str, value: Any) -> Catalogue:
    """A catalogue of one row that says something else in one column."""
    import pyarrow as pa
    from pyarrow import parquet

    (row,) = table_of([make_item("a")]).to_pylist()
    parquet.write_table(pa.Table.from_pylist([row | {name: value}]), folder / "theirs.parquet")
    return Catalogue(folder / "theirs.parquet")
