"""What S3 servers refuse: each code and status has its own cure, and requester pays is named."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import rasterio
from botocore.awsrequest import AWSResponse

from eotasks.errors import ConfigurationError, CredentialsError, EOTasksError, StorageError
from eotasks.limits import RECORD_BYTES, REQUESTS
from eotasks.network.gate import GATE
from eotasks.storage import s3, s3_conditions
from eotasks.storage.place import Place
from tests.servers.requester_pays import RequesterPaysServer
from tests.servers.s3 import S3Server


class Body(io.BytesIO):
    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield self.read()


@contextlib.contextmanager
def answers(*found: tuple[int, str], **headers: str) -> Iterator[list[str]]:
    """Statuses and codes that requests are answered, one after the other; then the server itself is asked."""
    left, seen = list(found), []

    def answer(request: Any, **_: object) -> AWSResponse | None:
        seen.append(request.method)
        if not left:
            return None
        status, code = left.pop(0)
        body = b"" if request.method == "HEAD" else f"<Error><Code>{code}</Code></Error>".encode()
        return AWSResponse(request.url, status, headers, Body(body))

    events = s3.s3_client().meta.events
    events.register("before-send.s3", answer, unique_id="answers")
    try:
        yield seen
    finally:
        events.unregister("before-send.s3", unique_id="answers")


@pytest.fixture
def paying(paid_server: RequesterPaysServer, monkeypatch: pytest.MonkeyPatch) -> RequesterPaysServer:
    monkeypatch.setenv("AWS_REQUEST_PAYER", "requester")
    monkeypatch.setattr("eotasks.network.retries.FIRST_PAUSE", 0)
    paid_server.objects["file"] = b"0123456789"
    return paid_server


@pytest.mark.parametrize(
    ("status", "code", "kind", "cure"),
    [
        (403, "SignatureDoesNotMatch", CredentialsError, "AWS_SECRET_ACCESS_KEY is not the one of"),
        (403, "InvalidAccessKeyId", CredentialsError, "valid there"),
        (400, "ExpiredToken", CredentialsError, "have expired: renew"),
        (400, "AuthorizationHeaderMalformed", CredentialsError, "AWS_REGION"),
        (403, "RequestTimeTooSkewed", StorageError, "clocks"),
        (403, "AccessDenied", CredentialsError, "may read and write"),
        (401, "Unauthorized", CredentialsError, "may read and write"),
        (403, "InvalidObjectState", StorageError, "archive"),
        (404, "NoSuchKey", StorageError, "is not there"),
        (405, "MethodNotAllowed", StorageError, "does not allow this"),
        (409, "InvalidBucketState", StorageError, "Another request"),
        (412, "PreconditionFailed", StorageError, "another run"),
        (416, "InvalidRange", StorageError, "shorter than it was"),
        (507, "InsufficientStorage", StorageError, "no room left"),
    ],
)  # fmt: skip
def test_each_refusal_has_its_cure(
    paying: RequesterPaysServer, status: int, code: str, kind: type[EOTasksError], cure: str
) -> None:
    for call in (
        lambda: s3.read_object("s3://some-bucket/file"),
        lambda: s3.object_facts("s3://some-bucket/file"),
        lambda: s3.write_object("s3://some-bucket/file", b"x"),
    ):
        with answers(*[(status, code)] * 20), pytest.raises(kind, match=cure) as caught:
            call()
        assert "some-secret" not in str(caught.value)
        assert "s3://some-bucket/file" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "cure"),
    [(429, "TooManyRequests", "fewer workers"), (503, "SlowDown", "fewer workers"), (500, "InternalError", "fails"),
     (502, "BadGateway", "fails"), (504, "GatewayTimeout", "fails"), (408, "RequestTimeout", "RequestTimeout")],
)  # fmt: skip
def test_what_may_pass_is_asked_again_and_told(
    paying: RequesterPaysServer, monkeypatch: pytest.MonkeyPatch, status: int, code: str, cure: str
) -> None:
    with answers((status, code), (status, code)) as seen:
        assert s3.read_object("s3://some-bucket/file") == b"0123456789"
    assert len(seen) == 3
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "4")
    with answers(*[(status, code)] * 20) as seen, pytest.raises(StorageError, match=cure):
        s3.read_object("s3://some-bucket/file")
    assert len(seen) == 4
    assert s3.read_object("s3://some-bucket/file") == b"0123456789"


def test_a_time_that_the_server_names_is_waited_for(
    paying: RequesterPaysServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time.sleep", slept.append)
    with answers((503, "SlowDown"), **{"Retry-After": "7"}):
        assert s3.read_object("s3://some-bucket/file") == b"0123456789"
    assert sum(slept) == 7


def test_who_waits_lets_another_ask(paying: RequesterPaysServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUESTS.variable, "1")
    entered: list[float] = []

    def sleep(seconds: float) -> None:
        if seconds:
            entered.append(ThreadPoolExecutor(1).submit(enter, seconds).result(20))

    def enter(seconds: float) -> float:
        with GATE.passed():
            return seconds

    monkeypatch.setattr("eotasks.network.gate.time.sleep", sleep)
    with answers((503, "SlowDown"), (503, "SlowDown"), **{"Retry-After": "7"}), GATE.passed():
        assert s3.read_object("s3://some-bucket/file") == b"0123456789"
    assert entered == [7, 7]


def test_a_head_that_says_no_reason_is_asked_by_get(paying: RequesterPaysServer) -> None:
    with answers((403, ""), (403, "SignatureDoesNotMatch")) as seen, pytest.raises(CredentialsError, match="SECRET"):
        s3.object_facts("s3://some-bucket/file")
    assert seen == ["HEAD", "GET"]


def test_requester_pays_is_said_with_every_request(paying: RequesterPaysServer) -> None:
    place = Place("s3://some-bucket")
    assert place.names() == ["file"]
    assert place.exists("file")
    assert s3.read_range("s3://some-bucket/file", 2, 4) == b"23"
    s3.check_bucket("s3://some-bucket")
    s3.s3_resource().Object("some-bucket", "file").load()
    s3.write_object("s3://some-bucket/file", b"x")
    assert len(paying.asked) >= 6
    assert all(pays for _, pays in paying.asked)
    with rasterio.Env(**s3.gdal_environment()) as environment:
        assert environment.session.get_credential_options()["AWS_REQUEST_PAYER"] == "requester"


@pytest.mark.parametrize("bucket", ["sentinel-s2-l1c", "some-bucket"])
@pytest.mark.parametrize("anonymous", [False, True])
def test_requester_pays_is_named_where_it_is_missing(
    paid_server: RequesterPaysServer, monkeypatch: pytest.MonkeyPatch, bucket: str, anonymous: bool
) -> None:
    if anonymous:
        monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    for call in (
        lambda: s3.read_object(f"s3://{bucket}/file"),
        lambda: s3.object_facts(f"s3://{bucket}/file"),
        lambda: Place(f"s3://{bucket}/tiles").names(),
    ):
        with pytest.raises(CredentialsError, match="AWS_REQUEST_PAYER=requester") as caught:
            call()
        assert ("AWS_ACCESS_KEY_ID" in str(caught.value)) == anonymous
        assert ("is requester pays, who reads" in str(caught.value)) == (bucket == "sentinel-s2-l1c")


def test_who_pays_is_one_word(paid_server: RequesterPaysServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REQUEST_PAYER", "me")
    with pytest.raises(ConfigurationError, match="set it to requester"):
        s3.s3_client()


def test_large_objects_on_servers_without_conditional_writes(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A catalogue may be larger than a record."""
    monkeypatch.setattr(s3_conditions, "_WITHOUT", set())
    monkeypatch.setenv(RECORD_BYTES.variable, "1000")
    location, content = f"{s3_server.location()}/file", b"x" * 5_000

    with _without_conditions():
        tag = s3_conditions.write_if(location, content, None)
        later = s3_conditions.write_if(location, content + b"y", tag)
        with pytest.raises(StorageError, match="another run"):
            s3_conditions.write_if(location, content, tag)
        assert s3_conditions.remove_if(location, later)
    tag = s3_conditions.write_if(location, content, None)
    # The answer to a write was lost, and the write that was tried again met what it had written.
    assert s3_conditions.write_if(location, content, None) == tag
    with pytest.raises(StorageError, match="another run"):
        s3_conditions.write_if(location, b"z" * 5_000, None)


@contextlib.contextmanager
def _without_conditions() -> Iterator[None]:
    def refuse(request: Any, **_: object) -> AWSResponse | None:
        if not {"If-Match", "If-None-Match"} & {name.title() for name in request.headers}:
            return None
        return AWSResponse(request.url, 501, {}, Body(b"<Error><Code>NotImplemented</Code></Error>"))

    events = s3.s3_client().meta.events
    for operation in ("PutObject", "DeleteObject"):
        events.register(f"before-send.s3.{operation}", refuse, unique_id=f"without {operation}")
    try:
        yield
    finally:
        for operation in ("PutObject", "DeleteObject"):
            events.unregister(f"before-send.s3.{operation}", unique_id=f"without {operation}")
