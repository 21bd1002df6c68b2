"""Connections that do not stay open for who sends nothing, or takes nothing: uvicorn waits for both without end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from eotasks.service.answers import Answer, code_of_status, reason_of_status

LOGGER = logging.getLogger("eotasks.service")

HEAD_S = 30.0
"""Seconds in which the first line and the headers of a request have to arrive."""
TAKE_S = 20.0
"""Seconds in which a client has to take what was handed to its connection: a piece of an answer
(`eotasks.service.traffic.sending`), so 13 kB/s."""


class BoundedConnection(H11Protocol):
    """uvicorn's, which ends when the head of a request does not arrive in time, or an answer is not taken."""

    head_s = HEAD_S
    take_s = TAKE_S
    _late: asyncio.TimerHandle | None = None
    _full: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As uvicorn's, but for what is answered above `limit_concurrency`: an error in the shape of all others."""
        super().__init__(*args, **kwargs)
        most, self.limit_concurrency = self.limit_concurrency, None
        if most is not None:
            self.app = _UpTo(most, self.app, lambda: max(len(self.connections), len(self.tasks)))

    def connection_made(self, transport: Any) -> None:
        """A client has come."""
        super().connection_made(transport)
        # asyncio does so only for sockets that name their protocol, which accepted ones do as the listening one does.
        # Without it the second half of an answer waits up to 40 ms for the client to confirm the first.
        with contextlib.suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Of a request there is more."""
        super().data_received(data)
        if not self._is_between_requests():
            self._stop()
        elif self._late is None:
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, in the shape of all errors, and hang up."""
        headers, body = _error(400, msg)
        response = h11.Response(status_code=400, headers=headers, reason=reason_of_status(400).encode())
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._stop()
        self._taken()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client takes less than it is sent."""
        super().pause_writing()
        if self._full is None:
            self._full = self.loop.call_later(self.take_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It has taken most."""
        super().resume_writing()
        self._taken()

    def _is_between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait(self) -> None:
        self._late = self.loop.call_later(self.head_s, self._close)

    def _stop(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _taken(self) -> None:
        if self._full is not None:
            self._full.cancel()
            self._full = None

    def _close(self) -> None:
        self._late = None
        if self._is_between_requests() and not self.transport.is_closing():
            self.transport.close()


class _UpTo:
    """An application for so many connections; others are told to come back, and hung up on."""

    def __init__(self, most: int, app: Any, count: Callable[[], int]) -> None:
        """:param count: Connections that there are, with the one that asks."""
        self._most, self._app, self._count = most, app, count

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if self._count() < self._most:
            await self._app(scope, receive, send)
            return
        LOGGER.warning("a request was sent away: there are %d connections", self._count())
        headers, body = _error(503, "The service has too many connections: try again later.")
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _error(status: int, message: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body of an error that ends a connection."""
    body = json.dumps(Answer(status, code_of_status(status), message).content()).encode()
    length = str(len(body)).encode()
    return [(b"content-type", b"application/json"), (b"content-length", length), (b"connection", b"close")], body
