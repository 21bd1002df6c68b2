"""Who sends nothing, or half of a head, does not keep a connection."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from eotasks.service.traffic.connection import BoundedConnection
from tests.servers.service import Running, running_service

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
