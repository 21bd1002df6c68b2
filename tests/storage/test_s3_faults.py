"""Servers that throttle, refuse, break off or know less than AWS, and credentials that change in a long run.

The server is a real one; single answers of it are replaced on their way to the client.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.endpoint
import pytest
from botocore.awsrequest import AWSResponse

from eotasks.errors import ConfigurationError, CredentialsError, StorageError
from eotasks.storage import s3, s3_conditions, s3_connection
from eotasks.storage.lease import LEASE_FILE, hold_lease
from eotasks.storage.place import Place
from tests.servers.s3 import ACCESS_KEY, SECRET_KEY, S3Server


@pytest.fixture
def place(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(botocore.endpoint.time, "sleep", lambda _: None)  # between tries
    monkeypatch.setattr(s3_conditions, "_WITHOUT", set())
    return Place(s3_server.location())


class Raw(io.BytesIO):
    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield self.read()


@contextlib.contextmanager
def answering(operation: str, status: int, code: str, *, times: int = 1, only: str = "") -> Iterator[list[str]]:
    """Has the server answer an error, some times, to requests of one operation.

    :param only: A header that the request has to have.
    """
    seen: list[str] = []

    def answer(request: Any, **_: object) -> AWSResponse | None:
        if len(seen) >= times or (only and only not in request.headers):
            return None
        seen.append(request.url)
        body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        return AWSResponse(request.url, status, {"Date": "Sun, 29 Nov 2026 22:00:00 GMT"}, Raw(body))

    events = s3.s3_client().meta.events
    events.register(f"before-send.s3.{operation}", answer, unique_id="answering")
    try:
        yield seen
    finally:
        events.unregister(f"before-send.s3.{operation}", unique_id="answering")


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (500, "InternalError"), (400, "RequestTimeout")])
def test_throttling_and_hiccups_are_waited_for(place: Place, status: int, code: str) -> None:
    with answering("PutObject", status, code, times=4) as seen:
        place.write_bytes("a", b"1")
    assert len(seen) == 4
    assert place.read_bytes("a") == b"1"


def test_a_server_that_never_stops_throttling_is_told(place: Place) -> None:
    with answering("PutObject", 503, "SlowDown", times=99), pytest.raises(StorageError, match=r"SlowDown \(503\)"):
        place.write_bytes("a", b"1")


def test_clocks_that_differ_are_no_wrong_credentials(place: Place) -> None:
    with (
        answering("PutObject", 403, "RequestTimeTooSkewed"),
        pytest.raises(StorageError, match=r"clocks of this machine and of .* differ by too much .* set this one's"),
    ):
        place.write_bytes("a", b"1")


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidAccessKeyId", "TokenRefreshRequired"])
def test_credentials_that_have_expired_are_told(place: Place, code: str) -> None:
    with answering("PutObject", 400, code), pytest.raises(CredentialsError, match=rf"refuses the credentials \({code}"):
        place.write_if("a", b"1", None)
    assert place.names() == []


def test_a_request_that_met_another_one_under_way_is_tried_again(place: Place) -> None:
    """AWS answers 409 to a conditional write that met one that may yet change nothing."""
    with answering("PutObject", 409, "ConditionalRequestConflict", times=2) as seen:
        tag = place.write_if("a", b"1", None)
    with answering("PutObject", 409, "ConditionalRequestConflict", times=2):
        place.write_if("a", b"2", tag)
    assert len(seen) == 2
    assert place.read_bytes("a") == b"2"
    with (
        answering("PutObject", 409, "ConditionalRequestConflict", times=9),
        pytest.raises(StorageError, match="another"),
    ):
        place.write_if("a", b"3", place.read_tagged("a")[1])


def test_servers_without_conditional_writes_take_them_compared(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(answering("DeleteObject", 501, "NotImplemented", times=99, only="If-Match"))
        events = s3.s3_client().meta.events
        events.register("before-send.s3.PutObject", _without_conditions, unique_id="without")
        stack.callback(events.unregister, "before-send.s3.PutObject", unique_id="without")
        tag = place.write_if("a", b"1", None)
        second = place.write_if("a", b"2", tag)
        for stale in (None, tag):
            with pytest.raises(StorageError, match="was written by another run in the meantime"):
                place.write_if("a", b"3", stale)
        assert not place.remove_if("a", tag)
        assert place.read_tagged("a") == (b"2", second)
        assert place.remove_if("a", second)
        with hold_lease(place, "x"), pytest.raises(StorageError, match="in use"), hold_lease(place, "y"):
            pytest.fail("two runs in one place")
        assert not place.exists(LEASE_FILE)
    assert caplog.text.count("knows no conditional writes") == 1


def _without_conditions(request: Any, **_: object) -> AWSResponse | None:
    if not {"If-Match", "If-None-Match"} & set(request.headers):
        return None
    return AWSResponse(request.url, 501, {}, Raw(b"<Error><Code>NotImplemented</Code></Error>"))


CREDENTIALS = f"[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"


@pytest.fixture
def files(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Credentials and configuration come from files of this folder."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("config", "credentials"):
        (tmp_path / name).write_text("[default]\n" if name == "config" else CREDENTIALS)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    place.write_bytes("a", b"1")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "half"),
    [("credentials", ""), ("credentials", "[default]\naws_access_key_id = a\n"), ("credentials", "[def"),
     ("config", "[default]\nendpoint_url = htt\n"), ("config", "[default\n"), ("credentials", None)],
    ids=["empty", "half", "cut", "endpoint", "cut config", "absent"],
)  # fmt: skip
def test_files_that_are_written_in_two_steps_stop_nobody(
    place: Place, files: Path, name: str, half: str | None
) -> None:
    whole = (files / name).read_text()
    if half is None:
        (files / name).unlink()
    else:
        (files / name).write_text(half)
    place.write_bytes("a", b"2")
    assert not s3.s3_settings().anonymous
    (files / name).write_text(whole + "\n")
    place.write_bytes("a", b"3")
    assert place.read_bytes("a") == b"3"


def test_new_credentials_are_taken_at_once(place: Place, files: Path) -> None:
    (files / "credentials").write_text(CREDENTIALS.replace(SECRET_KEY, "another-secret"))
    with pytest.raises(CredentialsError, match="refuses"):
        place.write_bytes("a", b"2")


def test_files_that_stay_broken_are_told(place: Place, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    (files / "config").write_text("[default]\nendpoint_url = http://127.0.0.1:1\n")
    s3.s3_settings()
    (files / "config").write_text("[default]\nendpoint_url = htt\n")
    s3.s3_settings()
    now = time.monotonic()
    monkeypatch.setattr(s3_connection.time, "monotonic", lambda: now + s3_connection.REWRITE_SECONDS + 1)
    with pytest.raises(ConfigurationError, match="is no URL"):
        s3.s3_settings()


def test_anonymous_on_purpose_is_anonymous(place: Place, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    assert s3.s3_settings().anonymous
