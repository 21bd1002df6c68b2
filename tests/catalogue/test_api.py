"""A STAC API on loopback, asked by the real client: the same objects as from a catalogue."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eotasks.catalogue import Catalogue, StacApi, catalogue_of
from eotasks.catalogue.request import SearchRequest
from eotasks.errors import ConfigurationError, ImageryError
from tests.builders.stac_items import footprint, make_item
from tests.servers.stac import StacServer


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eotasks.network.retries.FIRST_PAUSE", 0)


@pytest.fixture
def server() -> Iterator[StacServer]:
    items = [
        make_item("A", time="2024-05-03T10:00:00"),
        make_item("B", cloud=90),
        make_item("C", footprint(20, 40), tile="34TDK"),
        make_item("D", level="L2A", cloud=None),
        make_item("E", time="2024-05-02T10:00:00", cloud=None),
    ]
    made = []
    for item in items:
        level = str(item.properties["processing:level"]).lower()
        made.append({**item.to_dict(include_self_link=False), "collection": f"sentinel-2-{level}"})
    running = StacServer(made)
    running.thread.start()
    yield running
    running.close()


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"bbox": (12, 52, 13, 53)},
        {"bbox": (330_000, 5_814_360, 345_360, 5_822_040), "crs": "EPSG:32633", "level": "L1C"},
        {"max_cloud_cover": 0.5},
        {"tile": "34TDK"},
        {"time_interval": ("2024-05-02", "2024-05-03")},
        {"time_interval": ("2024-05-02", None), "limit": 1},
    ],
    ids=str,
)
def test_the_same_as_a_catalogue(server: StacServer, tmp_path: Path, arguments: dict[str, Any]) -> None:
    catalogue = Catalogue(tmp_path / "c.parquet")
    api = StacApi(server.url)
    ours = [make_item(each["id"]).from_dict({**each, "links": []}) for each in server.items]
    for item in ours:
        item.collection_id = None
    catalogue.add(ours)
    expected = catalogue.search(**arguments)
    found = api.search(**arguments)
    assert [item.id for item in found] == [item.id for item in expected]
    for theirs, own in zip(found, expected, strict=True):
        assert type(theirs) is type(own)
        assert theirs.properties == own.properties
        assert theirs.geometry == own.geometry
        assert {key: asset.href for key, asset in theirs.assets.items()} == {
            key: asset.href for key, asset in own.assets.items()
        }


@pytest.mark.parametrize(
    "url", ["https://earth-search.aws.element84.com/v1/", "HTTPS://Earth-Search.aws.element84.com/v1"]
)
def test_of_earth_search_the_collection_that_agrees_with_itself(url: str) -> None:
    for level, names in (("L2A", ["sentinel-2-c1-l2a"]), ("L1C", ["sentinel-2-l1c"])):
        assert list(StacApi(url)._collections(SearchRequest.of(level=level))) == names
    assert list(StacApi(url)._collections(SearchRequest.of())) == ["sentinel-2-l1c", "sentinel-2-c1-l2a"]
    assert list(StacApi(url, collections=["mine"])._collections(SearchRequest.of(level="L2A"))) == ["mine"]


def test_the_server_is_asked_for_area_time_and_collection(server: StacServer) -> None:
    StacApi(server.url).search(bbox=(12, 52, 13, 53), time_interval=("2024-05-01", "2024-05-31"), level="L2A")
    query = server.requests[0]
    assert query["collections"] == ["sentinel-2-l2a"]
    assert query["datetime"].startswith("2024-05-01T00:00:00Z/2024-05-31T23:59:59")
    assert query["intersects"]["type"] == "Polygon"


def test_pages_are_followed(server: StacServer) -> None:
    assert len(StacApi(server.url).search()) == 5
    assert len(server.requests) == 3


def test_another_collection(server: StacServer) -> None:
    server.items = [{**each, "collection": "mine"} for each in server.items]
    assert StacApi(server.url).search() == []
    assert len(pickle.loads(pickle.dumps(StacApi(server.url, collections=["mine"]))).search()) == 5


def test_failures_are_told_without_the_token(server: StacServer) -> None:
    server.status = 500
    with pytest.raises(ImageryError, match=r"STAC API http://127.0.0.1:\d+.* failed") as caught:
        StacApi(f"{server.url}?token=secret").search()
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_api(server: StacServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "answer", lambda *_: {"hello": "world"})
    with pytest.raises(ImageryError, match="as no STAC API"):
        StacApi(server.url).search()


def test_nobody_answers() -> None:
    with pytest.raises(ImageryError, match="Check its address"):
        StacApi("http://127.0.0.1:9").search()


@pytest.mark.parametrize("url", ["ftp://example.org", "https://user:word@example.org", "https://"])
def test_refused_addresses(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        StacApi(url)
    assert "word" not in str(caught.value)


def test_one_word_says_which(tmp_path: Path) -> None:
    assert isinstance(catalogue_of("https://example.org/v1"), StacApi)
    catalogue = catalogue_of(tmp_path / "c.parquet")
    assert isinstance(catalogue, Catalogue)
    assert catalogue_of(catalogue) is catalogue
    for address in ("https://example.org/c.parquet", "http://example.org/C.GeoParquet?token=secret"):
        with pytest.raises(ConfigurationError, match="is the file of a catalogue, and no STAC API: download") as caught:
            catalogue_of(address)
        assert "secret" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="collections"):
        StacApi("https://example.org", collections="sentinel-2-l1c")
