"""Bodies that arrive and are not answered yet: they are bounded, by client and together."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from eotasks.service.errors import BusyError
from eotasks.service.metrics import Metrics
from eotasks.service.settings import load_settings
from eotasks.service.traffic.frame import Frame, Message, Receive, Send
from eotasks.service.traffic.receiving import Receiving
from eotasks.service.traffic.sending import Sending
from eotasks.service.traffic.state import CLIENT_STATE
from tests.servers.service import running_service


def test_what_has_arrived_is_counted_by_client() -> None:
    receiving = Receiving(100)
    receiving.take("large", 90, own=0)  # one body is always taken
    receiving.take("large", 5, own=90)
    with pytest.raises(BusyError, match="95 bytes have arrived"):
        receiving.take("another", 6, own=0)
    receiving.take("another", 5, own=0)
    receiving.give_back("large", 95)
    receiving.take("another", 20, own=5)
    with pytest.raises(BusyError, match="25 bytes have arrived"):
        receiving.take("another", 1, own=0)
    receiving.take(None, 10, own=0)
    with pytest.raises(BusyError):
        receiving.take(None, 16, own=0)
    receiving.take("third", 25, own=0)
    for client, size in (("another", 25), (None, 10), ("third", 25)):
        receiving.give_back(client, size)
    assert receiving.size == 0


def test_bodies_of_one_client_leave_room_for_those_of_others() -> None:
    """Of 256 MB bodies may take 32, those of a client 8. Any number was taken of 2 MB each, for as long as the slowest
    of them took to arrive.
    """
    body = b" " * 1_999_999

    async def main() -> None:
        answer_them = asyncio.Event()

        async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
            scope["state"][CLIENT_STATE] = scope["whose"]
            assert (await receive())["body"] == body
            await answer_them.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        metrics = Metrics()
        frame = Frame(app, settings=load_settings({"memory_mb": 256}), metrics=metrics, sending=Sending(1 << 20))

        async def ask(whose: str | None) -> int:
            statuses: list[int] = []

            async def receive() -> Message:
                return {"type": "http.request", "body": body, "more_body": False}

            async def send(message: Message) -> None:
                statuses.extend([message["status"]] if "status" in message else [])

            scope = {"type": "http", "whose": whose, "headers": [], "method": "POST", "path": "/"}
            await frame(scope, receive, send)
            return statuses[0]

        first = [asyncio.create_task(ask(whose)) for whose in ["a"] * 4 + ["b"] * 4 + [None] * 4]
        while frame._receiving.size < 12 * len(body):
            await asyncio.sleep(0)
        assert [await ask(whose) for whose in ("a", "b", None)] == [429] * 3
        last = asyncio.create_task(ask("c"))
        answer_them.set()
        assert await asyncio.gather(*first, last) == [200] * 13
        assert await ask("a") == 200
        assert frame._receiving.size == 0

    asyncio.run(main())


def test_forms_for_a_token_are_not_read_beyond_what_one_has(tmp_path: Path) -> None:
    """Strangers send them. The rest is not waited for, whatever length is said."""
    with running_service(tmp_path) as service:
        with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=60) as connection:
            connection.sendall(b"POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1900000\r\n\r\n")
            connection.sendall(b"a" * 100_001)
            assert connection.recv(1_000).startswith(b"HTTP/1.1 400 ")
        assert service.token()
