"""Answers that nobody takes: they are bounded, and their connections end."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from eotasks.service.errors import BusyError
from eotasks.service.metrics import Metrics
from eotasks.service.settings import load_settings
from eotasks.service.traffic.connection import BoundedConnection
from eotasks.service.traffic.frame import Frame, Receive, Send
from eotasks.service.traffic.sending import Sending
from tests.servers.service import request, running_service, served

CONTENT = bytes(range(256)) * (1 << 16)
"""16 MB: more than the buffers of the kernel take."""


def test_what_waits_is_counted_by_client() -> None:
    sending = Sending(100)
    with sending.of("slow", 30):
        with pytest.raises(BusyError, match="You have not taken 30 bytes"):
            sending.check("slow")
        sending.check("another")
        sending.check()
        with sending.of("third", 80), pytest.raises(BusyError, match="Clients have not taken 110 bytes"):
            sending.check("another")
    sending.check("slow")
    assert sending.size == 0


async def large(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """An application that gives it."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(CONTENT))]})
    await send({"type": "http.response.body", "body": CONTENT})


def test_who_takes_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedConnection, "take_s", 0.3)
    sending = Sending(1 << 20)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        address = listening.getsockname()
        with served(Frame(large, settings=load_settings(), metrics=Metrics(), sending=sending), listening):
            url = f"http://127.0.0.1:{address[1]}/"
            assert requests.get(url, timeout=60).content == CONTENT
            with socket.create_connection(address, timeout=60) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                while not sending.size:
                    time.sleep(0.001)
                with pytest.raises(BusyError):
                    sending.check()
                while sending.size:
                    time.sleep(0.01)
                taken = 0
                with suppress(ConnectionResetError):
                    while part := connection.recv(1 << 20):
                        taken += len(part)
            assert taken < len(CONTENT)
            assert requests.get(url, timeout=60).content == CONTENT


def test_nothing_more_is_drawn_while_too_much_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_service(tmp_path, open=True) as service:
        monkeypatch.setattr(Sending, "check", refuse)
        answer = service.post("/api/v1/process", request(), token="")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "2000")
        assert requests.get(f"{service.url}/health", timeout=60).status_code == 200


def refuse(_: Sending, client: str | None = None) -> None:
    raise BusyError(f"Too much waits for {client}.", wait_s=2)


def test_no_delay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    made = BoundedConnection.connection_made

    def watched(self: BoundedConnection, transport: object) -> None:
        made(self, transport)
        seen.append(self.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(BoundedConnection, "connection_made", watched)
    with running_service(tmp_path, open=True) as service:
        requests.get(f"{service.url}/health", timeout=60)
    assert seen
    assert all(seen)
