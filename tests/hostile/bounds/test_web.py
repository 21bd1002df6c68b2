"""Web servers and STAC APIs that lie: of sizes, of ranges, without end, slowly. Bytes, memory and time stay bounded."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import pytest

from eotasks.catalogue.api import StacApi
from eotasks.errors import ImageryError
from eotasks.imagery.files import http
from eotasks.imagery.files.origin import ALLOWED_HOSTS
from eotasks.limits import (
    ANSWER_BYTES,
    ANSWER_SECONDS,
    ITEM_ASSETS,
    METADATA_BYTES,
    SEARCH_BYTES,
    SEARCH_ITEMS,
    SEARCH_PAGES,
    SEARCH_SECONDS,
)
from tests.builders.stac_items import make_item
from tests.hostile.bounds.measured import measured
from tests.servers.lying import Bytes, LyingServer, dripping, endless, head

MEGABYTE = 1 << 20


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOWED_HOSTS, "127.0.0.1")


def once(*parts: bytes) -> Bytes:
    return lambda _: parts


def then(first: bytes, rest: Callable[[], Iterable[bytes]]) -> Bytes:
    def answer(_: str) -> Iterable[bytes]:
        yield first
        yield from rest()

    return answer


def zeros_packed() -> Iterable[bytes]:
    packer = zlib.compressobj(9, wbits=31)
    while True:
        yield packer.compress(b"\0" * (64 * MEGABYTE))


RANGES = {
    "endless": then(head("206 Partial Content"), endless),
    "longer than asked": once(head("206 Partial Content", Content_Length=1000), b"x" * 1000),
    "another range": once(head("206 Partial Content", Content_Length=22, Content_Range="bytes 50-71/100"), b"x" * 22),
    "packed": once(head("206 Partial Content", Content_Encoding="gzip"), gzip.compress(b"x" * 22)),
    "the whole file": then(head("200 OK"), endless),
    "shorter": once(head("206 Partial Content", Content_Length=5), b"x" * 5),
    "head without end": then(b"HTTP/1.1 206 Partial Content\r\n", lambda: (b"X-%d: y\r\n" % n for n in count())),
    "line without end": then(b"HTTP/1.1 206 ", endless),
    "continue without end": lambda _: endless(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "error without end": then(head("404 Not Found"), endless),
    "chunks without end": then(head("206 X", Transfer_Encoding="chunked"), lambda: endless(b"1;" + b"x" * 60000)),
}


@pytest.mark.parametrize("kind", RANGES)
def test_a_range_is_no_longer_than_asked(lying_server: LyingServer, kind: str) -> None:
    lying_server.answer = RANGES[kind]
    with pytest.raises(ImageryError):
        http.read_range(f"{lying_server.url}/a", 10, 32)
    assert lying_server.sent < 40 * MEGABYTE  # what was in buffers counts, too; three attempts


FILES = {
    "endless": then(head("200 OK"), endless),
    "a size beyond the bound": then(head("200 OK", Content_Length=10**12), endless),
    "a size that lies": then(head("200 OK", Content_Length=100, Transfer_Encoding="chunked"), endless),
    "packed without end": then(head("200 OK", Content_Encoding="gzip"), zeros_packed),
    "packed twice": once(head("200 OK", Content_Encoding="gzip, gzip"), gzip.compress(gzip.compress(b"x"))),
    "redirects without end": then(head("302 Found", Location="/a"), endless),
    "an error without end": then(head("500 Oh"), endless),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_read_up_to_its_bound(lying_server: LyingServer, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv(METADATA_BYTES.variable, "300000")
    lying_server.answer = FILES[kind]
    with pytest.raises(ImageryError) as caught:
        http.read(f"{lying_server.url}/a", METADATA_BYTES)
    assert lying_server.sent < 40 * MEGABYTE
    if kind in ("endless", "a size beyond the bound", "packed without end"):
        assert METADATA_BYTES.variable in str(caught.value)


@pytest.mark.parametrize("size", ["many", "-1", "²", "9" * 5000, "1e9", "10, 20"])
def test_sizes_that_are_no_numbers(lying_server: LyingServer, size: str) -> None:
    lying_server.answer = lambda _: [head("200 OK", Content_Length=size)]
    with pytest.raises(ImageryError):
        http.size_of(f"{lying_server.url}/a")
    lying_server.answer = lambda asked: (
        [head("405 No", Content_Length=0)]
        if asked.startswith("HEAD")
        else [head("206 Partial Content", Content_Range=f"bytes 0-0/{size}", Content_Length=1), b"x"]
    )
    with pytest.raises(ImageryError, match="does not say its size"):
        http.size_of(f"{lying_server.url}/a")


SLOW = {
    "body": then(head("206 Partial Content", Content_Length=10**6), lambda: dripping(b"x")),
    "head": lambda _: dripping(b"HTTP/1.1 206 Partial Content\r\nX-Header: "),
    "packed": then(head("206 Partial Content", Content_Encoding="gzip"), lambda: dripping(gzip.compress(b"x"))),
}


@pytest.mark.parametrize("kind", ["body", "head"])
def test_a_byte_at_a_time_has_an_end(lying_server: LyingServer, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv(ANSWER_SECONDS.variable, "1")
    lying_server.answer = SLOW[kind]
    with pytest.raises(ImageryError, match=ANSWER_SECONDS.variable):
        http.read_range(f"{lying_server.url}/a", 0, 10**6)


@pytest.mark.trial
def test_memory_of_what_lying_web_servers_send(lying_server: LyingServer) -> None:
    answers = {"endless": RANGES["endless"], "line": RANGES["line without end"], "packed": FILES["packed without end"],
               "whole": FILES["endless"], "chunks": RANGES["chunks without end"]}  # fmt: skip
    lying_server.answer = lambda asked: answers[asked.split("/")[1].split()[0]](asked)
    url = lying_server.url
    costs = measured(
        "from eotasks.imagery.files import http\nfrom eotasks.limits import METADATA_BYTES",
        {
            "endless": f"http.read_range('{url}/endless', 0, 22)",
            "line": f"http.read_range('{url}/line', 0, 22)",
            "chunks": f"http.read_range('{url}/chunks', 0, 22)",
            "whole": f"http.read('{url}/whole', METADATA_BYTES)",
            "packed": f"http.read('{url}/packed', METADATA_BYTES)",
        },
        EOTASKS_MAX_ATTEMPTS="3",
    )
    assert all(cost.outcome.startswith("ImageryError") for cost in costs.values())
    assert all(cost.megabytes < 300 for cost in costs.values())


class Api:
    """A STAC API whose pages a test decides."""

    def __init__(self, server: LyingServer, page: Callable[[int], dict[str, Any]]) -> None:
        self.page, self.pages = page, 0
        root = {
            "type": "Catalog", "id": "a", "description": "b", "stac_version": "1.0.0",
            "conformsTo": ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"],
            "links": [
                {"rel": "search", "href": f"{server.url}/search", "type": "application/geo+json", "method": "POST"}
            ],
        }  # fmt: skip

        def answer(asked: str) -> Iterable[bytes]:
            if "/search" in asked.partition("\r\n")[0]:
                self.pages += 1
                content = self.page(self.pages)
            else:
                content = root
            body = json.dumps(content).encode()
            return [head("200 OK", Content_Length=len(body), Content_Type="application/json"), body]

        server.answer = answer
        self.url = server.url

    def search(self) -> None:
        StacApi(self.url).search(bbox=(14, 48, 15, 49))


def items(number: int, count: int = 5) -> list[dict[str, Any]]:
    made = make_item("S2A_MSIL1C_20170216T102101_N0204_R065_T33UUU_20170216T102204").to_dict()
    return [{**made, "id": f"{number}-{index}"} for index in range(count)]


def page(server: LyingServer, number: int, following: str, **fields: Any) -> dict[str, Any]:
    link = {"rel": "next", "href": f"{server.url}/search?token={following}", "type": "application/geo+json"}
    return {"type": "FeatureCollection", "features": items(number), "links": [link], **fields}


def test_pages_of_an_api_have_an_end(lying_server: LyingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SEARCH_PAGES.variable, "8")
    api = Api(lying_server, lambda number: page(lying_server, number, str(number)))
    with pytest.raises(ImageryError, match=f"more than 8 search pages .{SEARCH_PAGES.variable}"):
        api.search()
    assert api.pages < 8
    monkeypatch.setenv(SEARCH_ITEMS.variable, "12")
    with pytest.raises(ImageryError, match=f"more than 12 search items .{SEARCH_ITEMS.variable}"):
        api.search()
    monkeypatch.delenv(SEARCH_ITEMS.variable)
    monkeypatch.setenv(SEARCH_BYTES.variable, "5000")
    with pytest.raises(ImageryError, match=SEARCH_BYTES.variable):
        api.search()


def test_pages_that_lead_to_themselves(lying_server: LyingServer) -> None:
    api = Api(lying_server, lambda number: page(lying_server, number, "same"))
    with pytest.raises(ImageryError, match="round in a circle"):
        api.search()
    assert api.pages < 4
    api = Api(lying_server, lambda number: page(lying_server, number, str(number % 3)))
    with pytest.raises(ImageryError, match="round in a circle"):
        api.search()


def test_a_search_has_an_end_in_time(lying_server: LyingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eotasks.catalogue.bounded_io.time.monotonic", iter(range(0, 10**6, 100)).__next__)
    monkeypatch.setenv(SEARCH_SECONDS.variable, "350")
    api = Api(lying_server, lambda number: page(lying_server, number, str(number)))
    with pytest.raises(ImageryError, match=SEARCH_SECONDS.variable):
        api.search()


def test_an_answer_of_an_api_without_end(lying_server: LyingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ANSWER_BYTES.variable, "100000")
    lying_server.answer = then(head("200 OK"), lambda: endless(b" " * MEGABYTE))
    with pytest.raises(ImageryError, match=ANSWER_BYTES.variable):
        StacApi(lying_server.url).search(bbox=(14, 48, 15, 49))
    lying_server.answer = then(head("404 No"), lambda: endless(b" " * MEGABYTE))
    with pytest.raises(ImageryError, match=ANSWER_BYTES.variable):
        StacApi(lying_server.url).search(bbox=(14, 48, 15, 49))
    assert lying_server.sent < 60 * MEGABYTE
    monkeypatch.setenv(ANSWER_SECONDS.variable, "1")
    lying_server.answer = then(head("200 OK"), lambda: dripping(b" "))
    with pytest.raises(ImageryError, match=ANSWER_SECONDS.variable):
        StacApi(lying_server.url).search(bbox=(14, 48, 15, 49))


@pytest.mark.parametrize("features", [["a"], [None], [[]], {"a": 1}, [{"type": "Feature", "assets": 5}]], ids=str)
def test_pages_that_hold_no_items(lying_server: LyingServer, features: Any) -> None:
    api = Api(lying_server, lambda number: page(lying_server, number, "", features=features, links=[]))
    with pytest.raises(ImageryError, match="none of its 1 items can be used"):
        api.search()


def test_assets_of_an_item_are_counted(lying_server: LyingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ITEM_ASSETS.variable, "50")
    many = items(1, 1)[0]
    many["assets"] = {f"a{index}": {"href": f"s3://b/{index}"} for index in range(51)}
    api = Api(lying_server, lambda number: page(lying_server, number, str(number), features=[many]))
    with pytest.raises(ImageryError, match=f"51, more than 50 item assets .{ITEM_ASSETS.variable}"):
        api.search()


def test_a_proxy_that_drips_has_an_end(lying_server: LyingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ANSWER_SECONDS.variable, "1")
    monkeypatch.setenv("http_proxy", lying_server.url)
    monkeypatch.setenv("no_proxy", "")
    lying_server.answer = SLOW["body"]
    with pytest.raises(ImageryError, match=ANSWER_SECONDS.variable):
        http.read_range("http://127.0.0.1:9/a", 0, 10**6)


@pytest.mark.parametrize("target", ["http://[::1", "//[zz]/", "http://\x80/"], ids=["open", "letters", "bytes"])
def test_a_redirect_to_what_is_no_address_is_named(lying_server: LyingServer, target: str) -> None:
    lying_server.answer = lambda _: [f"HTTP/1.1 302 Found\r\nLocation: {target}\r\n\r\n".encode("latin-1")]
    with pytest.raises(ImageryError, match="cannot be reached"):
        http.size_of(f"{lying_server.url}/a")
