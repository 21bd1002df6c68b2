"""The Catalog API over HTTP on loopback, by the unmodified client and by hand, over a catalogue of ours."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from sentinelhub.api.catalog import SentinelHubCatalog, get_available_timestamps
from sentinelhub.config import SHConfig
from sentinelhub.constants import CRS
from sentinelhub.data_collections import DataCollection
from sentinelhub.geometry import BBox, Geometry
from shapely.geometry import box

from eotasks.catalogue.store import Catalogue
from eotasks.limits import FOOTPRINT_CORNERS
from eotasks.service.api import catalog
from tests.builders.stac import validation
from tests.builders.stac_items import make_item
from tests.servers.routes import HEADERS, Loopback

ROOT = "https://masks.example.org/api/v1/catalog/1.0.0"
AREA = BBox((12.2, 52.2, 12.4, 52.4), CRS.WGS84)
YEAR = ("2024-01-01", "2024-12-31")
FAR = box(100, 10, 101, 11)


def name(day: int, level: str = "L1C") -> str:
    return f"S2A_MSI{level}_202405{day:02}T100031_N0510_R122_T33UUU_202405{day:02}T121502"


SAID: dict[str, Any] = {"sat:orbit_state": "ascending", "view:sun_elevation": 40.5}
ITEMS = [
    *(
        make_item(
            name(day),
            time=f"2024-05-{day:02}T10:05:44.024",
            cloud=float(day),
            **SAID,
        )
        for day in range(1, 26)
    ),
    make_item(name(3, "L2A"), time="2024-05-03T10:05:44.024", level="L2A", cloud=None),
    make_item("elsewhere", FAR, time="2024-05-03T03:00:00", cloud=0.0),
    make_item("a/b c#?", FAR, time="2023-05-03T03:00:00", cloud=100.0),
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    file = tmp_path_factory.mktemp("catalogue") / "products.parquet"
    catalogue = Catalogue(file)
    catalogue.add(ITEMS)
    with Loopback.running([catalog.router], search=catalogue) as running:
        yield running


@pytest.fixture
def config(service: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SHConfig:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    config = SHConfig(use_defaults=True)
    config.sh_base_url, config.sh_token_url = service.url, f"{service.url}/token"
    config.sh_client_id, config.sh_client_secret = "client", "secret"
    return config


@pytest.fixture
def client(config: SHConfig) -> SentinelHubCatalog:
    return SentinelHubCatalog(config=config)


def collection_at(service: Loopback) -> DataCollection:
    port = service.url.rpartition(":")[2]
    return DataCollection.SENTINEL2_L1C.define_from(f"L1C_{port}", service_url=service.url)


def posted(service: Loopback, **search: Any) -> Any:
    answer = service.post("/api/v1/catalog/1.0.0/search", {"collections": ["sentinel-2-l1c"], **search})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/geo+json"
    return answer.json()


def validate(content: dict[str, Any]) -> int:
    """By the schemas of the version of STAC that are here: what the service writes is the same in 1.0 and 1.1."""
    return validation.validate({**content, "stac_version": "1.1.0"})


def ids(answer: Any) -> list[str]:
    return [feature["id"] for feature in answer["features"]]


def test_the_client_reads_what_the_api_says_of_itself(client: SentinelHubCatalog) -> None:
    info = client.get_info()
    assert validate(info) == 1
    assert "https://api.stacspec.org/v1.0.0/item-search#filter" in client.get_conformance()["conformsTo"]
    collections = client.get_collections()
    assert [each["id"] for each in collections] == ["sentinel-2-l1c", "sentinel-2-l2a"]
    for each in collections:
        assert validate(each) >= 1
    assert client.get_collection(DataCollection.SENTINEL2_L2A) == collections[1]
    assert len(client.get_collection("sentinel-2-l1c")["summaries"]["eo:bands"]) == 13


def test_the_client_finds_a_feature(client: SentinelHubCatalog) -> None:
    feature = client.get_feature(DataCollection.SENTINEL2_L1C, name(7))
    assert feature["id"] == name(7)
    assert feature["properties"]["datetime"] == "2024-05-07T10:05:44.024000Z"
    assert validate(feature) >= 2


@pytest.mark.parametrize("limit", [7, 25, 100])
def test_the_client_collects_all_pages(client: SentinelHubCatalog, limit: int) -> None:
    found = client.search(DataCollection.SENTINEL2_L1C, bbox=AREA, time=YEAR, limit=limit)
    assert found.get_ids() == [name(day) for day in range(25, 0, -1)]
    assert found.get_timestamps()[0] == dt.datetime(2024, 5, 25, 10, 5, 44, 24_000, tzinfo=dt.UTC)
    assert found.get_geometries()[0].geometry.contains(AREA.geometry)


def test_the_client_filters_in_both_languages(client: SentinelHubCatalog) -> None:
    of_text = client.search(
        DataCollection.SENTINEL2_L1C, bbox=AREA, time=YEAR, limit=2, filter="eo:cloud_cover>3 AND eo:cloud_cover<8"
    )
    content = {
        "op": "and",
        "args": [
            {"op": ">", "args": [{"property": "eo:cloud_cover"}, 3]},
            {"op": "<", "args": [{"property": "eo:cloud_cover"}, 8]},
        ],
    }
    of_json = client.search(
        DataCollection.SENTINEL2_L1C, bbox=AREA, time=YEAR, limit=2, filter=content, filter_lang="cql2-json"
    )
    assert of_text.get_ids() == of_json.get_ids() == [name(day) for day in (7, 6, 5, 4)]


@pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning")
def test_the_client_searches_a_geometry_in_metres(client: SentinelHubCatalog) -> None:
    geometry = Geometry(AREA.geometry, CRS.WGS84).transform(CRS("32633"))
    found = client.search("sentinel-2-l1c", geometry=geometry, time=("2024-05-02", "2024-05-03"))
    assert found.get_ids() == [name(3), name(2)]


def test_the_client_asks_for_some_fields(client: SentinelHubCatalog) -> None:
    fields = {"include": ["id", "properties.datetime", "properties.eo:cloud_cover"], "exclude": ["links"]}
    (feature,) = client.search("sentinel-2-l1c", bbox=AREA, time=("2024-05-02", "2024-05-02"), fields=fields)
    assert feature == {
        "id": name(2),
        "properties": {"datetime": "2024-05-02T10:05:44.024000Z", "eo:cloud_cover": 2.0},
    }


def test_the_client_asks_for_dates(client: SentinelHubCatalog) -> None:
    found: list[Any] = list(client.search("sentinel-2-l1c", bbox=AREA, time=YEAR, distinct="date", limit=10))
    assert found == [f"2024-05-{day:02}" for day in range(25, 0, -1)]


def test_the_client_searches_for_ids(client: SentinelHubCatalog) -> None:
    found = client.search("sentinel-2-l1c", ids=[name(9), name(4), "nothing"])
    assert found.get_ids() == [name(9), name(4)]


def test_timestamps_of_eo_learn(service: Loopback, config: SHConfig) -> None:
    """With `maxcc` the client asks for strictly less cloud."""
    collection = collection_at(service)
    times = get_available_timestamps(AREA, YEAR, collection, maxcc=0.05, config=config)
    assert [time.day for time in times] == [1, 2, 3, 4]
    assert times[0] == dt.datetime(2024, 5, 1, 10, 5, 44, 24_000)  # noqa: DTZ001 - the client leaves out the zone


def test_an_answer_has_a_context(service: Loopback) -> None:
    answer = posted(service, bbox=[12.2, 52.2, 12.4, 52.4], limit=24)
    assert answer["context"] == {"limit": 24, "returned": 24, "next": 24}
    answer = posted(service, bbox=[12.2, 52.2, 12.4, 52.4], limit=24, next=24)
    assert answer["context"] == {"limit": 24, "returned": 1}
    answer = posted(service, bbox=[-12.2, 52.2, -12, 52.4])
    assert answer["context"] == {"limit": 10, "returned": 0}
    assert answer["features"] == []
    assert posted(service, limit=10_000)["context"]["limit"] == 100


def test_the_documented_rules_of_fields(service: Loopback) -> None:
    one = {"datetime": "2024-05-02", "bbox": [12.2, 52.2, 12.4, 52.4]}

    def keys(**search: Any) -> tuple[set[str], set[str]]:
        (feature,) = posted(service, **one, **search)["features"]
        return set(feature), set(feature.get("properties", {}))

    default = {"id", "type", "geometry", "bbox", "links", "assets", "properties"}
    whole, properties = keys()
    assert whole == default | {"collection", "stac_version", "stac_extensions"}
    assert {"datetime", "eo:cloud_cover", "platform", "sat:orbit_state"} <= properties
    assert keys(fields={}) == (default, {"datetime"})
    assert keys(fields={"include": None, "exclude": []}) == (default, {"datetime"})
    assert keys(fields={"include": ["properties.gsd"]}) == (default, {"datetime", "gsd"})
    assert keys(fields={"include": ["properties.nothing", "more"]}) == (default, {"datetime"})
    assert keys(fields={"exclude": ["properties.datetime"]}) == (default - {"properties"}, set())
    assert keys(fields={"exclude": ["links", "properties"]}) == (default - {"links", "properties"}, set())
    assert keys(fields={"include": ["properties"], "exclude": ["id"]}) == ({"properties"}, properties)
    assert keys(fields={"include": ["properties", "id"], "exclude": ["properties.gsd"]}) == (
        {"id", "properties"}, properties - {"gsd"},
    )  # fmt: skip


def test_a_search_behind_an_address(service: Loopback) -> None:
    """Pages are followed by their links."""
    path, found = "/api/v1/catalog/1.0.0/search", []
    answer = service.get(path, collections="sentinel-2-l1c", bbox="12.2,52.2,12.4,52.4", limit="10", fields="id")
    while True:
        assert answer.status_code == 200, answer.text
        found += ids(answer.json())
        following = [link["href"] for link in answer.json()["links"] if link["rel"] == "next"]
        if not following:
            break
        assert following[0].startswith(f"{ROOT}/search?")
        answer = service.get(following[0].replace("https://masks.example.org", ""))
    assert found == [name(day) for day in range(25, 0, -1)]
    answer = service.get(
        path, collections="sentinel-2-l1c", **{"filter": "eo:cloud_cover<3", "filter-lang": "cql2-text"}
    )
    assert ids(answer.json()) == ["elsewhere", name(2), name(1)]
    assert ids(service.get(path, collections="sentinel-2-l1c,sentinel-2-l2a", datetime="2024-05-03").json()) == [
        name(3, "L2A"), name(3), "elsewhere",
    ]  # fmt: skip


def test_items_of_a_collection(service: Loopback) -> None:
    path = "/api/v1/catalog/1.0.0/collections/sentinel-2-l2a/items"
    answer = service.get(path, datetime="2024-05-01/..").json()
    assert ids(answer) == [name(3, "L2A")]
    assert service.get(path, datetime="../2024-05-01").json()["features"] == []
    assert service.get(f"{path}/", limit="1", next="0").status_code == 200
    assert service.get(path, filter="eo:cloud_cover<1").status_code == 400


def test_ids_that_have_signs_of_addresses(service: Loopback) -> None:
    (feature,) = posted(service, ids=["a/b c#?"])["features"]
    (href,) = [link["href"] for link in feature["links"] if link["rel"] == "self"]
    assert service.get(href.removeprefix("https://masks.example.org")).json()["id"] == "a/b c#?"


def test_queryables(service: Loopback) -> None:
    content = service.get("/api/v1/catalog/1.0.0/collections/sentinel-2-l1c/queryables").json()
    assert content["properties"]["eo:cloud_cover"]["type"] == "number"


def test_answers_say_nothing_of_where_files_lie(service: Loopback) -> None:
    """And lead to the service only, by the address that clients know."""
    for answer in (
        posted(service, limit=100),
        service.get("/api/v1/catalog/1.0.0").json(),
        service.get("/api/v1/catalog/1.0.0/collections").json(),
    ):
        assert "/archive" not in json.dumps(answer)
        assert "127.0.0.1" not in json.dumps(answer)
        assert all(href.startswith(ROOT) for href in hrefs(answer))
    assert all(feature["assets"] == {} for feature in posted(service, limit=100)["features"])


def hrefs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "href")
        for value in node.values():
            yield from hrefs(value)
    if isinstance(node, list):
        for value in node:
            yield from hrefs(value)


def test_what_needs_no_token(service: Loopback) -> None:
    for path in ("", "/", "/conformance", "/conformance/"):
        assert requests.get(f"{service.url}/api/v1/catalog/1.0.0{path}", timeout=10).status_code == 200
    for path in ("/collections", "/collections/sentinel-2-l1c", "/collections/sentinel-2-l1c/items/x", "/search"):
        assert requests.get(f"{service.url}/api/v1/catalog/1.0.0{path}", timeout=10).status_code == 401
    assert requests.post(f"{service.url}/api/v1/catalog/1.0.0/search", json={}, timeout=10).status_code == 401


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/collections/landsat", 404),
        ("/collections/landsat/items", 404),
        ("/collections/landsat/items/x", 404),
        ("/collections/sentinel-2-l1c/items/nothing", 404),
        ("/collections/sentinel-2-l1c/items/..%2F..%2F..%2Fetc%2Fpasswd", 404),
        ("/collections/sentinel-2-l1c/items/%00", 404),
        (f"/collections/sentinel-2-l1c/items/{'x' * 5_000}", 404),
        ("/collections/sentinel-2-l1c/items?limit=x", 400),
        ("/search?collections=landsat", 400),
        ("/search", 400),
        ("/search?collections=sentinel-2-l1c&limit=0", 400),
        ("/search?collections=sentinel-2-l1c&bbox=1,2", 400),
        ("/search?collections=sentinel-2-l1c&query=1", 400),
        ("/nothing", 404),
    ],
)
def test_addresses_that_are_refused(service: Loopback, path: str, status: int) -> None:
    assert service.get(f"/api/v1/catalog/1.0.0{path}").status_code == status


def nested(levels: int) -> Any:
    node: Any = {"op": "<", "args": [{"property": "eo:cloud_cover"}, 80]}
    for _ in range(levels):
        node = {"op": "and", "args": [node]}
    return node


@pytest.mark.parametrize(
    "search",
    [
        {"collections": ["landsat"]},
        {"collections": []},
        {"datetime": "x"},
        {"datetime": "2024-05-02/2024-05-01"},
        {"bbox": [1, 2]},
        {"bbox": [13, 45, 14, 460]},
        {"intersects": {"type": "Polygon", "coordinates": [[[0, 0]] * 1_500]}},
        {"filter": "eo:cloud_cover < 80 OR eo:cloud_cover > 90"},
        {"filter": "(" * 3_000},
        {"filter": nested(30)},
        {"filter": nested(400)},
        {"filter": {"op": "<", "args": [{"property": "eo:cloud_cover"}, "80"]}},
        {"filter": "eo:cloud_cover < 80", "filter-lang": "cql2-json"},
        {"filter-lang": "sql"},
        {"filter-crs": "http://www.opengis.net/def/crs/EPSG/0/32633"},
        {"distinct": "geometry"},
        {"limit": 0},
        {"next": 10**9},
        {"next": "2"},
        {"ids": ["x"] * 1_000},
        {"fields": {"include": ["x"] * 1_000}},
        {"query": {"eo:cloud_cover": {"lt": 80}}},
    ],
    ids=lambda search: str(search)[:60],
)
def test_searches_that_are_refused(service: Loopback, search: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOOTPRINT_CORNERS.variable, "1000")
    answer = service.post("/api/v1/catalog/1.0.0/search", {"collections": ["sentinel-2-l1c"], **search})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == "COMMON_BAD_PAYLOAD"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"filter":' * 2_000, b"[" * 100_000, b"\xff"], ids=repr)
def test_what_is_no_search(service: Loopback, body: bytes) -> None:
    url = f"{service.url}/api/v1/catalog/1.0.0/search"
    assert requests.post(url, data=body, headers=HEADERS, timeout=30).status_code == 400
