"""`eotasks.network.retries`: what is asked again, how often, and with which pauses."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st
from requests.exceptions import ConnectionError as RequestsConnectionError

from eotasks.limits import ATTEMPTS
from eotasks.network.retries import (
    LONGEST_PAUSE,
    LONGEST_WAIT,
    PATIENCE,
    PassingFailure,
    is_passing,
    is_passing_error,
    pause_before,
    persistently,
    seconds_asked,
)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses that were made; the clock goes on by them alone."""
    found: list[float] = []
    monkeypatch.setattr("eotasks.network.retries.time.sleep", found.append)
    monkeypatch.setattr("eotasks.network.retries.time.monotonic", lambda: sum(found))
    return found


def failing(times: int, **details: float) -> Callable[[], int]:
    """What fails so often, then says how often it was asked."""
    asked = 0

    def ask() -> int:
        nonlocal asked
        asked += 1
        if asked <= times:
            raise PassingFailure("the server answers 503", **details)  # type: ignore[arg-type]
        return asked

    return ask


def test_what_works_is_asked_once(slept: list[float]) -> None:
    assert persistently(failing(0), "file") == 1
    assert slept == []


def test_a_failure_of_seconds_costs_seconds(slept: list[float]) -> None:
    assert persistently(failing(3), "file") == 4
    assert sum(slept) < 2


def test_what_stays_is_given_up_after_half_a_minute(slept: list[float]) -> None:
    with pytest.raises(PassingFailure, match="503") as caught:
        persistently(failing(1_000), "file")
    assert len(slept) == ATTEMPTS.value - 1
    assert 18 < sum(slept) < 40
    assert caught.value.asked.startswith(f"asked {ATTEMPTS.value} times in ")


def test_the_number_of_tries_is_the_users(slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ATTEMPTS.variable, "2")
    with pytest.raises(PassingFailure):
        persistently(failing(2), "file")
    assert persistently(failing(1), "file") == 2


def test_other_errors_are_not_asked_again(slept: list[float]) -> None:
    def ask() -> None:
        raise ValueError("no passing failure")

    with pytest.raises(ValueError, match="no passing"):
        persistently(ask, "file")
    assert slept == []


def test_a_time_that_the_server_names_is_waited_for_up_to_a_bound(slept: list[float]) -> None:
    assert persistently(failing(1, wait=3), "file") == 2
    assert slept == [3]
    slept.clear()
    assert persistently(failing(2, wait=86_400), "file") == 3
    assert slept == [LONGEST_WAIT] * 2


def test_none_begins_after_the_patience_has_gone(slept: list[float]) -> None:
    with pytest.raises(PassingFailure):
        persistently(failing(1_000, wait=86_400), "file")
    assert sum(slept) <= PATIENCE


@given(
    tries=st.integers(1, 200),
    passed=st.floats(0, 1e6),
    wait=st.none() | st.floats(0, 1e9),
    attempts=st.integers(1, 300),
)
def test_pauses(tries: int, passed: float, wait: float | None, attempts: int) -> None:
    pause = pause_before(tries, passed, wait=wait, attempts=attempts)
    if tries >= attempts:
        assert pause is None
    elif tries == 1 or passed + max(LONGEST_PAUSE, LONGEST_WAIT) <= PATIENCE:
        assert pause is not None
    if pause is not None:
        assert min(wait or 0, LONGEST_WAIT) <= pause <= max(LONGEST_PAUSE, LONGEST_WAIT)
        assert tries == 1 or passed + pause <= PATIENCE


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 509, 520, 529])
def test_statuses_that_pass(status: int) -> None:
    assert is_passing(status)


@pytest.mark.parametrize("status", [200, 206, 301, 304, 400, 401, 403, 404, 409, 410, 416, 451, 501, 505])
def test_statuses_that_stay(status: int) -> None:
    assert not is_passing(status)


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (ConnectionRefusedError(111, "refused"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), True),
        (socket.gaierror(socket.EAI_NONAME, "not known"), False),
        (http.client.RemoteDisconnected(), True),
        (http.client.BadStatusLine("x"), False),
        (http.client.LineTooLong("header line"), False),
        (RequestsConnectionError(caused(OSError("x"), socket.gaierror(socket.EAI_NONAME, "not known"))), False),
        (RequestsConnectionError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"), False),
        (EndpointConnectionError(endpoint_url="x", error=ConnectionRefusedError(111, "refused")), True),
        (EndpointConnectionError(endpoint_url="x", error=socket.gaierror(socket.EAI_NONAME, "not known")), False),
    ],
    ids=[
        "refused", "reset", "silent", "name not now", "no such name", "hung up", "no HTTP", "endless line",
        "no such name, wrapped", "certificate", "refused, botocore", "no such name, botocore",
    ],
)  # fmt: skip
def test_errors_of_connections(error: Exception, passes: bool) -> None:
    assert is_passing_error(error) == passes


def test_seconds_asked() -> None:
    assert seconds_asked("120") == 120
    assert seconds_asked(None) is None
    for nonsense in ("", "soon", "-1", "²", "9" * 50, "1e3"):
        assert seconds_asked(nonsense) is None
    later = seconds_asked(format_datetime(datetime.now(UTC) + timedelta(seconds=50), usegmt=True))
    assert later is not None
    assert 40 < later <= 50
    assert seconds_asked(format_datetime(datetime(2001, 1, 1, tzinfo=UTC), usegmt=True)) == 0
