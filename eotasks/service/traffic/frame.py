"""What is about every request: its number, bounds of its body, the log, the counts, and an answer to any error."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect

from eotasks.service.answers import Answer, answer_of, code_of_status, is_ours
from eotasks.service.errors import ForbiddenError, TooLargeError
from eotasks.service.metrics import Metrics
from eotasks.service.settings import ServiceSettings, lets_in
from eotasks.service.traffic.log import FIELDS, REQUESTS
from eotasks.service.traffic.receiving import Receiving
from eotasks.service.traffic.sending import PIECE_BYTES, Sending
from eotasks.service.traffic.state import CLIENT_STATE, NUMBER_STATE

LOGGER = logging.getLogger("eotasks.service")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_GONE = 499
"""Status in the log of requests whose client did not wait."""
_OTHER = "other"
_HEADERS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))


class Frame:
    """ASGI middleware, the outermost of the application."""

    def __init__(self, app: App, *, settings: ServiceSettings, metrics: Metrics, sending: Sending) -> None:
        self._app, self._settings, self._metrics, self._sending = app, settings, metrics, sending
        self._receiving = Receiving(settings.bytes_of_bodies)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._settings.request_bytes, self._sending, self._receiving)
        self._metrics.begin()
        try:
            self._check(scope)
            await self._app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.status = exchange.status or _GONE
        except asyncio.CancelledError:  # the time that requests have at the end of the service is over
            await exchange.answer(Answer(503, code_of_status(503), "The service ends: try again later."))
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, a client is answered and the log has it
            log_error(error, exchange.number)
            await exchange.answer(answer_of(error, exchange.number))
        finally:
            exchange.give_back()
            self._end(exchange, scope)

    def _check(self, scope: MutableMapping[str, Any]) -> None:
        if not lets_in(self._settings, scope["headers"]):
            raise ForbiddenError(
                "An open service is asked by the names of loopback only, such as 127.0.0.1, and by no pages but those"
                " of loopback and of its cors_origins."
            )

    def _end(self, exchange: _Exchange, scope: MutableMapping[str, Any]) -> None:
        seconds, status = time.monotonic() - exchange.start, exchange.status or 500
        route = getattr(scope.get("route"), "path", _OTHER)
        self._metrics.end(route, status, seconds=seconds, size=exchange.size)
        fields = {
            "request": exchange.number,
            "client": scope["state"].get(CLIENT_STATE),
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "ms": round(seconds * 1000, 1),
            "received": exchange.received,
            "sent": exchange.size,
        }
        REQUESTS.info("request", extra={FIELDS: fields})


class _Exchange:
    """One request and its answer."""

    def __init__(
        self,
        scope: MutableMapping[str, Any],
        receive: Receive,
        send: Send,
        most: int,
        sending: Sending,
        receiving: Receiving,
    ) -> None:
        self.number, self.start = uuid.uuid4().hex, time.monotonic()
        self.status = self.size = self.received = 0
        self._scope, self._receive, self._send, self._most, self._sending = scope, receive, send, most, sending
        self._receiving, self._counted = receiving, Counter[str | None]()
        scope.setdefault("state", {})[NUMBER_STATE] = self.number

    async def receive(self) -> Message:
        """A part of the body.

        :raises TooLargeError: when its length is too much, whatever the header says of it.
        :raises BusyError: when bodies of other requests leave no room for it.
        """
        message = await self._receive()
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self.received += size
            if self.received > self._most:
                raise TooLargeError(f"The body of the request has more than the {self._most:,} bytes that are taken.")
            client = self._scope["state"].get(CLIENT_STATE)
            self._receiving.take(client, size, own=self._counted[client])
            self._counted[client] += size
        return message

    async def send(self, message: Message) -> None:
        """A part of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), *_HEADERS, (b"x-request-id", self.number.encode())]
            message = {**message, "headers": headers}
        body = message.get("body", b"") if message["type"] == "http.response.body" else b""
        self.size += len(body)
        if len(body) <= PIECE_BYTES:
            await self._send(message)
            return
        with self._sending.of(self._scope["state"].get(CLIENT_STATE), len(body)):
            for start in range(0, len(body), PIECE_BYTES):
                end = start + PIECE_BYTES
                more = end < len(body) or message.get("more_body", False)
                await self._send({**message, "body": body[start:end], "more_body": more})

    def give_back(self) -> None:
        """Of its body nothing is needed any more."""
        for client, size in self._counted.items():
            self._receiving.give_back(client, size)
        self._counted.clear()

    async def answer(self, answer: Answer) -> None:
        """An answer, unless another has begun."""
        if not self.status:
            await answer.response()(self._scope, self.receive, self.send)


def number_of(request: Request) -> str:
    """The number of a request, by which the log has it."""
    return str(getattr(request.state, NUMBER_STATE, ""))


def log_error(error: BaseException, number: str) -> None:
    """Of faults of the service the log has the stack; what a client did wrong is in the line of its request."""
    if is_ours(error):
        LOGGER.error("a request failed", exc_info=error, extra={FIELDS: {"request": number}})
