"""S3 servers that lie: of sizes, of ranges, without end, slowly, of other content. All they cost stays bounded."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path

import pytest

from eotasks.errors import EOTasksError, ImageryError, StorageError
from eotasks.imagery.files.assets import read_document
from eotasks.imagery.files.bucket import BucketFiles
from eotasks.imagery.files.origin import UNKNOWN
from eotasks.limits import ANSWER_BYTES, ANSWER_SECONDS, LISTED_OBJECTS, METADATA_BYTES, RECORD_BYTES
from eotasks.storage import s3
from eotasks.storage.bucket import BucketStore
from eotasks.storage.place import Place
from tests.hostile.bounds.measured import measured
from tests.servers.lying import Bytes, LyingServer, dripping, endless, head

MEGABYTE = 1 << 20
DATE = "Thu, 16 Feb 2017 10:21:01 GMT"
OBJECT = {"ETag": '"a"', "Last_Modified": DATE}


@pytest.fixture
def server(lying_server: LyingServer, monkeypatch: pytest.MonkeyPatch) -> LyingServer:
    for name, value in environment(lying_server).items():
        monkeypatch.setenv(name, value)
    return lying_server


def environment(server: LyingServer) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": server.url, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "x",
        "AWS_MAX_ATTEMPTS": "2",
    }  # fmt: skip


def then(first: bytes, rest: Callable[[], Iterable[bytes]]) -> Bytes:
    def answer(_: str) -> Iterable[bytes]:
        yield first
        yield from rest()

    return answer


def listing(entries: str, token: str | None = None) -> bytes:
    more = (
        ""
        if token is None
        else f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
    )
    body = f'<?xml version="1.0"?><ListBucketResult><Name>b</Name>{more}{entries}</ListBucketResult>'.encode()
    return head(Content_Length=len(body), Content_Type="application/xml") + body


def entry(key: object, size: object = 5, changed: str = "2017-02-16T10:21:01Z") -> str:
    return f"<Contents><Key>{key}</Key><Size>{size}</Size><LastModified>{changed}</LastModified></Contents>"


OBJECTS = {
    "endless": then(head(**OBJECT), endless),
    "chunks without end": then(
        head(**OBJECT, Transfer_Encoding="chunked"), lambda: endless(b"100000\r\n" + b"x" * MEGABYTE + b"\r\n")
    ),
    "a size beyond the bound": then(head(**OBJECT, Content_Length=10**12), endless),
    "a size that is none": lambda _: [head(**OBJECT, Content_Length="many"), b"x"],
    "a size below 0": lambda _: [head(**OBJECT, Content_Length=-1), b"x"],
    "shorter": lambda _: [head(**OBJECT, Content_Length=100), b"x"],
    "no tag": lambda _: [head(Last_Modified=DATE, Content_Length=1), b"x"],
    "head without end": then(b"HTTP/1.1 200 OK\r\n", lambda: (b"X-%d: y\r\n" % n for n in count())),
    "an error without end": then(head("403 Forbidden"), endless),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", OBJECTS)
def test_an_object_is_read_up_to_its_bound(server: LyingServer, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv(METADATA_BYTES.variable, "100000")
    monkeypatch.setenv(RECORD_BYTES.variable, "100000")
    monkeypatch.setenv(ANSWER_BYTES.variable, "200000")
    server.answer = OBJECTS[kind]
    reads: list[Callable[[], object]] = [
        lambda: s3.read_tagged("s3://b/k"),
        lambda: read_document("s3://b/k.json", UNKNOWN),
        lambda: Place("s3://b/p").read_bytes("k"),
        lambda: Place("s3://b/p").read_if_there("k"),
    ]
    for read in reads:
        server.sent = 0
        with pytest.raises(EOTasksError) as caught:
            read()
        assert server.sent < 80 * MEGABYTE
        if kind in ("endless", "chunks without end", "a size beyond the bound"):
            assert "EOTASKS_MAX_" in str(caught.value)
        del caught
    gc.collect()  # botocore leaves the connection open of an answer that it does not understand


RANGES = {
    "the whole object": then(head(**OBJECT), endless),
    "more than asked": lambda _: [
        head("206 X", **OBJECT, Content_Length=1000, Content_Range="bytes 10-31/9"), b"x" * 1000,
    ],
    "endless": then(head("206 X", **OBJECT, Content_Range="bytes 10-31/9"), endless),
    "another range": lambda _: [head("206 X", **OBJECT, Content_Length=22, Content_Range="bytes 0-21/9"), b"x" * 22],
}  # fmt: skip


@pytest.mark.parametrize("kind", RANGES)
def test_a_range_is_no_longer_than_asked(server: LyingServer, kind: str) -> None:
    server.answer = RANGES[kind]
    with pytest.raises(StorageError, match=r"sends other bytes than 10 to 32"):
        s3.read_range("s3://b/k", 10, 32)
    assert server.sent < 80 * MEGABYTE


def test_ranges_of_two_versions_are_not_mixed(server: LyingServer, tmp_path: Path) -> None:
    numbers = count()

    def answer(asked: str) -> Iterable[bytes]:
        tag = f'"{next(numbers)}"'
        if "range:" not in asked.lower():
            return [head(ETag=tag, Last_Modified=DATE, Content_Length=20_000_000)]
        start = int(asked.lower().partition("range: bytes=")[2].partition("-")[0])
        size = min(s3.PART_BYTES, 20_000_000 - start)
        said = f"bytes {start}-{start + size - 1}/20000000"
        return [head("206 X", ETag=tag, Last_Modified=DATE, Content_Length=size, Content_Range=said), bytes(size)]

    server.answer = answer
    with pytest.raises(StorageError, match="changed while it was read"):
        s3.download_file("s3://b/k", tmp_path / "k")
    assert not list(tmp_path.iterdir())


def test_no_more_is_downloaded_than_the_disk_has_room_for(server: LyingServer, tmp_path: Path) -> None:
    server.answer = then(head(**OBJECT, Content_Length=10**17), endless)
    with pytest.raises(StorageError, match=r"has 100,000,000,000,000,000 bytes, .* has room for"):
        s3.download_file("s3://b/k", tmp_path / "k")
    server.answer = then(head(**OBJECT), endless)
    with pytest.raises(StorageError):
        s3.download_file("s3://b/k", tmp_path / "k")
    assert server.sent < 80 * MEGABYTE
    assert not list(tmp_path.iterdir())


def test_listings_have_an_end(server: LyingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LISTED_OBJECTS.variable, "5000")
    numbers = count()
    server.answer = lambda _: [listing("".join(entry(f"p/{next(numbers)}") for _ in range(100)), f"t{next(numbers)}")]
    with pytest.raises(StorageError, match=f"more than 5,000 listed objects .{LISTED_OBJECTS.variable}"):
        Place("s3://b/p").files()
    monkeypatch.setenv("EOTASKS_MAX_PRODUCT_FILES", "200")
    with pytest.raises(ImageryError, match="product files"):
        BucketFiles("s3://b/p").names()
    server.answer = lambda _: [listing("", f"t{next(numbers)}")]
    with pytest.raises(StorageError, match=LISTED_OBJECTS.variable):
        Place("s3://b/p").names()
    server.answer = lambda _: [listing(entry("p/a"), "same")]
    with pytest.raises(StorageError, match="same next token"):
        Place("s3://b/p").names()


@pytest.mark.parametrize(
    "answer",
    [entry("p/a", size="many"), entry("p/a", changed="soon"), "<Contents><Key>p/a</Key></Contents>",
     "<Contents><Size>1</Size></Contents>", entry("p/a", size="9" * 5000)],
    ids=["size", "time", "without size", "without name", "long size"],
)  # fmt: skip
def test_listings_of_what_is_none(server: LyingServer, answer: str) -> None:
    server.answer = lambda _: [listing(answer)]
    with pytest.raises(StorageError):
        Place("s3://b/p").files()


def test_a_listing_without_end(server: LyingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ANSWER_BYTES.variable, "100000")
    for first in (head(), head("500 X"), head("403 X"), head(Transfer_Encoding="chunked")):
        server.sent = 0
        server.answer = then(first, lambda: endless(b"10000\r\n" + b"x" * 65536 + b"\r\n"))
        with pytest.raises(StorageError, match=ANSWER_BYTES.variable):
            BucketStore("s3://b/p").names("")
        assert server.sent < 80 * MEGABYTE


@pytest.mark.parametrize("kind", ["body", "head", "listing"])
def test_a_byte_at_a_time_has_an_end(server: LyingServer, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv(ANSWER_SECONDS.variable, "1")
    answers: dict[str, Bytes] = {
        "body": then(head(**OBJECT, Content_Length=10**6), lambda: dripping(b"x")),
        "head": lambda _: dripping(b"HTTP/1.1 200 OK\r\nX-Header: "),
        "listing": then(head(), lambda: dripping(b"<a/>")),
    }
    server.answer = answers[kind]
    with pytest.raises(StorageError, match=ANSWER_SECONDS.variable):
        Place("s3://b/p").names() if kind == "listing" else s3.read_object("s3://b/k")


@pytest.mark.trial
def test_memory_of_what_lying_s3_servers_send(lying_server: LyingServer) -> None:
    numbers = count()
    answers = {
        "endless": OBJECTS["endless"], "chunks": OBJECTS["chunks without end"], "range": RANGES["endless"],
        "whole": RANGES["the whole object"], "error": OBJECTS["an error without end"],
    }  # fmt: skip

    def answer(asked: str) -> Iterable[bytes]:
        if "list-type" in asked:
            if "listing" in asked:
                return then(head(), endless)(asked)
            return [listing("".join(entry(f"{next(numbers)}") for _ in range(1000)), f"t{next(numbers)}")]
        if asked.startswith("HEAD"):
            return [head(**OBJECT, Content_Length=10**8)]
        return answers[asked.split("/")[2].split()[0].split("?")[0].removesuffix(".tif")](asked)

    lying_server.answer = answer
    costs = measured(
        "from eotasks.storage import s3\nfrom eotasks.storage.place import Place\nfrom pathlib import Path\n"
        "from eotasks.imagery.files.bucket import BucketFiles\nfrom eotasks.imagery.files.protocol import RasterFile\n"
        "from eotasks.imagery.pixels.raster import describe\n"
        "s3.s3_client()",
        {
            "endless": "Place('s3://b').read_bytes('endless')",
            "chunks": "Place('s3://b').read_bytes('chunks')",
            "range": "s3.read_range('s3://b/range', 10, 32)",
            "whole": "s3.read_range('s3://b/whole', 10, 32)",
            "error": "Place('s3://b').read_bytes('error')",
            "listing": "Place('s3://b/listing').names()",
            "pages": "Place('s3://b').files()",
            "raster": "describe(BucketFiles('s3://b'), RasterFile('range.tif', 'GTiff'))",
            "whole raster": "describe(BucketFiles('s3://b'), RasterFile('whole.tif', 'GTiff'))",
        },
        **environment(lying_server),
        **{LISTED_OBJECTS.variable: "20000"},
    )
    assert all(cost.outcome.startswith(("StorageError", "ImageryError")) for cost in costs.values())
    assert all(cost.megabytes < 300 for cost in costs.values())
