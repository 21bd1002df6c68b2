"""Who sends nothing, or half of a head, does not keep a connection."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from eotasks.service.traffic.connection import BoundedConnection
from tests.servers.service import FakeEngine, Running, request, running_service

HEALTH = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_service(tmp_path_factory.mktemp("service"), open=True) as running:
        yield running


def test_heads_that_do_not_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedConnection, "head_s", 0.2)
    with running_service(tmp_path, open=True) as service:
        host, _, port = service.url.removeprefix("http://").partition(":")
        for first in (b"", b"GET /health", HEALTH + b"\r\n" + HEALTH):
            with socket.create_connection((host, int(port)), timeout=60) as connection:
                if first:
                    connection.sendall(first)
                answer = b""
                while part := connection.recv(10_000):  # ends when the service closes
                    answer += part
                assert answer.count(b"HTTP/1.1 200") == first.count(b"\r\n\r\n")
        with requests.Session() as session:
            assert [session.get(f"{service.url}/health", timeout=60).status_code for _ in range(3)] == [200] * 3


@pytest.mark.parametrize(
    "head",
    [
        b"POST /api/v1/process HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\r\n\r\n",
    ],
    ids=["no length", "no host", "TLS"],
)
def test_what_is_no_http(service: Running, head: bytes) -> None:
    host, _, port = service.url.removeprefix("http://").partition(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(head)
        while part := connection.recv(10_000):
            answer += part
    first, _, body = answer.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 400 Bad Request")
    error = json.loads(body)["error"]
    assert (error["status"], error["reason"], error["code"]) == (400, "Bad Request", "COMMON_BAD_PAYLOAD")


def test_above_the_number_of_connections_the_answer_is_an_error_as_all_others(tmp_path: Path) -> None:
    with running_service(tmp_path, open=True, most=3) as service:
        host, _, port = service.url.removeprefix("http://").partition(":")
        with requests.Session() as first:
            assert first.get(f"{service.url}/health", timeout=60).status_code == 200
            with (
                socket.create_connection((host, int(port)), timeout=60),
                socket.create_connection((host, int(port)), timeout=60),
            ):
                answer = first.get(f"{service.url}/health", timeout=60)
                while answer.status_code == 200:  # until both are seen
                    answer = first.get(f"{service.url}/health", timeout=60)
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/json"
            assert answer.headers["connection"] == "close"
            error = answer.json()["error"]
            assert (error["status"], error["reason"], error["code"]) == (503, "Service Unavailable", "COMMON_EXCEPTION")
            while answer.status_code == 503:  # until both are gone
                answer = first.get(f"{service.url}/health", timeout=60)
            assert answer.status_code == 200


def test_requests_that_the_end_cuts_off_are_answered_as_all_others(tmp_path: Path) -> None:
    started, go_on = threading.Event(), threading.Event()
    found: list[requests.Response] = []

    def wait() -> None:
        started.set()
        go_on.wait(60)

    engine = FakeEngine(before=wait, close=go_on.set)
    with running_service(tmp_path, open=True, engine=engine, shutdown_s=1) as service:
        thread = threading.Thread(target=lambda: found.append(service.post("/api/v1/process", request(), token="")))
        thread.start()
        assert started.wait(60)
    thread.join()
    assert found[0].status_code == 503
    assert found[0].json()["error"]["message"] == "The service ends: try again later."
