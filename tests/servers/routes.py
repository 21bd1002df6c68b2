"""Routes of the service on loopback, with whatever renderer and catalogue a test gives them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse
from starlette.requests import Request
from starlette.responses import Response

from eotasks.catalogue.request import SearchRequest
from eotasks.service.errors import BusyError, ForbiddenError, ServiceError, UnauthorizedError
from eotasks.service.render import Renderer
from eotasks.service.services import ProductSearch, Services
from eotasks.service.settings import ServiceSettings
from eotasks.service.traffic.work import Work
from tests.builders.service.fake_renderer import FakeEngine, FakeReader, renderer_of

TOKEN = "token-of-the-tests"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


@dataclass
class OneClient:
    """Lets one client pass, by its token and with its scopes."""

    scopes: frozenset[str] = frozenset({"process", "statistics", "catalog"})
    asked: list[str] = field(default_factory=list)

    def requires(self, scope: str) -> Callable[[Request], Awaitable[str]]:
        async def client(request: Request) -> str:
            self.asked.append(scope)
            if request.headers.get("authorization") != f"Bearer {TOKEN}":
                raise UnauthorizedError("The request has no good token.")
            if scope not in self.scopes:
                raise ForbiddenError(f"The token has no scope {scope}.")
            return "client"

        return client


def application(routers: Sequence[Callable[[Services], APIRouter]], services: Services) -> FastAPI:
    """The routes, a token for everybody, and errors in the shape of the service."""
    app = FastAPI()
    for router in routers:
        app.include_router(router(services))

    @app.post("/token")
    async def token() -> dict[str, object]:
        return {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}

    @app.exception_handler(ServiceError)
    async def refused(_: Request, error: ServiceError) -> Response:
        content = {"status": error.status, "reason": "", "message": str(error), "code": error.code}
        headers = {"Retry-After": str(round(error.wait_s * 1000))} if isinstance(error, BusyError) else {}
        return JSONResponse({"error": content}, error.status, headers)

    return app


@dataclass
class Loopback:
    """Routes that are served."""

    url: str
    settings: ServiceSettings
    access: OneClient
    renderer: Renderer

    @property
    def engine(self) -> FakeEngine:
        """Of the renderer, where it is one of fakes."""
        assert isinstance(self.renderer.engine, FakeEngine)
        return self.renderer.engine

    @property
    def reader(self) -> FakeReader:
        """Of the renderer, where it is one of fakes."""
        assert isinstance(self.renderer.reader, FakeReader)
        return self.renderer.reader

    @classmethod
    @contextmanager
    def running(
        cls,
        routers: Sequence[Callable[[Services], APIRouter]],
        *,
        renderer: Renderer | None = None,
        search: ProductSearch | None = None,
        settings: ServiceSettings | None = None,
    ) -> Iterator[Loopback]:
        """Routes on a free port, as long as the block lasts."""
        renderer = renderer or renderer_of({}, [])
        settings = settings or ServiceSettings(base_url="https://masks.example.org")
        access = OneClient()
        work = Work(concurrent=settings.concurrent, waiting=settings.waiting, waiting_s=settings.waiting_s)
        services = Services(settings, renderer, search or NoProducts(), access, work)
        try:
            with serving(application(routers, services)) as url:
                yield cls(url, settings, access, renderer)
        finally:
            work.close()

    def post(self, path: str, document: Any) -> requests.Response:
        """A request with a good token."""
        return requests.post(f"{self.url}{path}", data=json.dumps(document), headers=HEADERS, timeout=60)

    def get(self, path: str, **parameters: Any) -> requests.Response:
        """A request with a good token."""
        return requests.get(f"{self.url}{path}", params=parameters, headers=HEADERS, timeout=60)


class NoProducts:
    """A catalogue of nothing."""

    def find(self, request: SearchRequest) -> list[Any]:
        return []


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """An application on a free port of loopback: its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start")
            time.sleep(0.005)
        (socket,) = server.servers[0].sockets
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
