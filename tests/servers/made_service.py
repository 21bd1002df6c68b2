"""Our own service on loopback, with made scenes (`tests.servers.made_scenes`) in place of products: its APIs, tokens,
catalogue, statistics and engine are the ones that users have. What it is asked is written down.

What a service of ours never answers is a `Lie`: it goes out in place of an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import tempfile
from collections import deque
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from eotasks.service.app import create_app
from eotasks.service.auth import clients
from eotasks.service.evalscript.pool import EnginePool, JobLimits
from eotasks.service.evalscript.workers.places import Places
from eotasks.service.render import Renderer
from eotasks.service.settings import load_settings
from tests.servers.made_scenes import MadeProducts, MadeReader, MadeScenes
from tests.servers.service import served

PROCESS, STATISTICS, SEARCH = "/api/v1/process", "/api/v1/statistics", "/api/v1/catalog/1.0.0/search"
TOKEN = "/auth/realms/main/protocol/openid-connect/token"


@dataclass(frozen=True)
class Lie:
    """An answer that is none of our service's."""

    status: int | None = None
    """None to let the service answer, after the pause."""

    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    length: int | None = None
    """Bytes that are promised, where it is not as many as there are."""

    pause_s: float = 0.0


def rate_limited(retry_after: str) -> Lie:
    """429 with a waiting time as a proxy writes it."""
    return Lie(429, b'{"error": {"status": 429}}', ((b"retry-after", retry_after.encode()),))


def of_json(content: Any) -> Lie:
    """A whole answer of JSON."""
    return Lie(200, json.dumps(content).encode())


CUT_OFF = Lie(200, b"II*\0", length=100_000)
HALF_AN_ARCHIVE = Lie(200, b"\0" * 700)


@dataclass
class MadeService(MadeScenes):
    """The service: what it has, what it was asked, and what goes wrong next."""

    processes: list[dict[str, Any]] = field(default_factory=list)
    statistics: list[dict[str, Any]] = field(default_factory=list)
    searches: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    """Of requests of the Process API."""

    tokens: list[str] = field(default_factory=list)
    """That were given."""

    sent: list[int] = field(default_factory=list)
    """Bytes of each answer."""

    lies: deque[Lie] = field(default_factory=deque)
    """Instead of the next answers of the Process and Statistical API, one each."""

    search_lies: deque[Lie] = field(default_factory=deque)
    """Instead of the next answers of the catalogue."""

    url: str = ""
    client_id: str = ""
    client_secret: str = ""

    def reset(self) -> None:
        """As it was when it started; its address and its client stay."""
        fresh = MadeService(url=self.url, client_id=self.client_id, client_secret=self.client_secret)
        for each in fields(self):
            setattr(self, each.name, getattr(fresh, each.name))


class Watched:
    """ASGI middleware: writes down what the service is asked, and lies in its place."""

    def __init__(self, app: Any, service: MadeService) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
        lie = self._noted(scope, body)
        answer = bytearray()
        if lie is not None and lie.pause_s:
            with contextlib.suppress(TimeoutError):  # a client that has gone ends the pause
                await asyncio.wait_for(receive(), lie.pause_s)
        if lie is not None and lie.status is not None:
            await _tell(lie, partial(_counted, send, answer))
        else:
            await self._app(scope, _first(body, receive), partial(_counted, send, answer))
        self._service.sent.append(len(answer))
        if scope["path"] == TOKEN:
            with contextlib.suppress(ValueError, KeyError):
                self._service.tokens.append(json.loads(answer)["access_token"])

    def _noted(self, scope: MutableMapping[str, Any], body: bytes) -> Lie | None:
        service, path = self._service, scope["path"]
        if path == SEARCH:
            service.searches.append(json.loads(body))
            return service.search_lies.popleft() if service.search_lies else None
        if path not in (PROCESS, STATISTICS):
            return None
        (service.processes if path == PROCESS else service.statistics).append(json.loads(body))
        if path == PROCESS:
            service.headers.append({name.decode(): text.decode("latin-1") for name, text in scope["headers"]})
        return service.lies.popleft() if service.lies else None


async def _tell(lie: Lie, send: Any) -> None:
    length = len(lie.body) if lie.length is None else lie.length
    headers = [(b"content-length", str(length).encode()), *lie.headers]
    await send({"type": "http.response.start", "status": lie.status, "headers": headers})
    await send({"type": "http.response.body", "body": lie.body, "more_body": length != len(lie.body)})


async def _counted(send: Any, answer: bytearray, message: Any) -> None:
    if message["type"] == "http.response.body":
        answer += message.get("body", b"")
    await send(message)


def _first(body: bytes, receive: Any) -> Any:
    """`receive` that gives a body that was read."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Any:
        return left.pop() if left else await receive()

    return again


@contextlib.contextmanager
def running_made_service(folder: Path) -> Iterator[MadeService]:
    """The service on a free port, with one client and no scenes.

    :param folder: For its file of clients.
    """
    service = MadeService()
    settings = {"clients_file": folder / "clients.json", "waiting_s": 600}
    with socket.socket() as listening, EnginePool(Places(1, spares=0), jobs=JobLimits(base_s=60)) as engine:
        listening.bind(("127.0.0.1", 0))
        made = load_settings({**settings, "port": listening.getsockname()[1]})
        service.url = made.url
        with mock.patch.object(clients, "COST", 2):  # each test has a token of its own
            service.client_id, service.client_secret = clients.add_client(made.clients_file, "tests")
        engine.start()
        renderer = Renderer(engine, MadeReader(service), made.bytes_of_request)
        with served(Watched(create_app(made, renderer, MadeProducts(service)), service), listening):
            yield service


@pytest.fixture(scope="session")
def made_service_of_session() -> Iterator[MadeService]:
    with tempfile.TemporaryDirectory() as folder, running_made_service(Path(folder)) as service:
        yield service


@pytest.fixture
def made_service(made_service_of_session: MadeService) -> MadeService:
    """One service for all tests of a process; of each test before nothing is left."""
    made_service_of_session.reset()
    return made_service_of_session
