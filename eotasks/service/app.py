"""The application: endpoints, what is about them, and the one place where errors become answers."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from eotasks.errors import EOTasksError
from eotasks.service.answers import Answer, answer_of, code_of_status
from eotasks.service.api import catalog, page, process, statistics, status, tokens
from eotasks.service.api.ogc import fis
from eotasks.service.api.status import Health
from eotasks.service.auth.access import Access
from eotasks.service.auth.bearer import BearerAccess, OpenAccess
from eotasks.service.auth.clients import Clients, signing_key
from eotasks.service.auth.logins import Logins
from eotasks.service.auth.tokens import TokenSigner
from eotasks.service.metrics import Metrics
from eotasks.service.render import SERVICE_VERSION, Renderer
from eotasks.service.services import ProductSearch, Services
from eotasks.service.settings import LOOPBACK_ORIGINS, ServiceSettings
from eotasks.service.traffic.buckets import buckets_of_process
from eotasks.service.traffic.frame import Frame, log_error, number_of
from eotasks.service.traffic.rate import Rate
from eotasks.service.traffic.sending import Sending
from eotasks.service.traffic.work import Work
from eotasks.text import excerpt

LOGGER = logging.getLogger("eotasks.service")

END_S = 5.0
"""Seconds that threads have to end when the engine has."""

_LOOKUPS = 2
"""Searches of the catalogue that run at the same time: they take none of the memory for pixels."""

_APIS = (
    f"There are Process ({process.PATHS[0]}), Statistical ({statistics.PATHS[0]}), Catalog ({catalog.PATH}) and FIS"
    f" ({fis.PATH}), described at /docs; nothing is done in batches or asynchronously."
)

TITLE = "eotasks"
DESCRIPTION = "Bands, cloud masks and statistics of Sentinel-2, for clients that were written for Sentinel Hub."


def create_app(
    settings: ServiceSettings,
    renderer: Renderer,
    search: ProductSearch,
    *,
    health: Mapping[str, Health] | None = None,
    close: Callable[[], None] = lambda: None,
    leave: Callable[[], None] = lambda: None,
) -> FastAPI:
    """The application.

    :param renderer: Draws requests.
    :param search: Where products are listed.
    :param health: What its parts say of themselves in `/health`, by name.
    :param close: Ends what renderer and search have started, when the application ends: scripts that still run end too.
    :param leave: Called after that when requests do not end with it, as nobody waits for them any more.
    :raises ConfigurationError: when the file of clients or the key is damaged.
    """
    clients = Clients(settings.clients_file)
    signer = TokenSigner(_key(settings), settings.token_s)
    rate = _rate(settings)
    access: Access = OpenAccess(rate) if settings.open else BearerAccess(signer, clients, rate)
    work = Work(concurrent=settings.concurrent, waiting=settings.waiting, waiting_s=settings.waiting_s)
    lookups = Work(concurrent=_LOOKUPS, waiting=settings.waiting, waiting_s=settings.waiting_s)
    logins = Logins(clients, waiting_s=settings.waiting_s)
    sending = Sending(settings.bytes_of_answers)
    services = Services(settings, renderer, search, access, work, close, sending, lookups)
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            # First, as scripts that still run end with the engine. Nobody waits for them: their time is over.
            await asyncio.to_thread(close)
            for each in (work, lookups, logins):
                each.close()
            if not all(await asyncio.gather(work.ended(END_S), lookups.ended(END_S))):
                left = work.load[0] + lookups.load[0]
                LOGGER.warning("%d requests have not ended in time and are left", left)
                leave()

    app = FastAPI(
        title=TITLE,
        description=DESCRIPTION,
        version=SERVICE_VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        servers=[{"url": settings.url}],
    )
    app.include_router(tokens.router(settings, signer, logins))
    for each in (process, statistics, catalog, fis):
        app.include_router(each.router(services))
    app.include_router(status.router(work, lookups, metrics, health or {}))
    app.include_router(page.router(app.openapi))
    _answer_errors(app)
    _describe(app)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.sites,
        allow_origin_regex=LOOPBACK_ORIGINS if settings.open else None,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "Accept"],
        expose_headers=["Retry-After", "X-Request-Id"],
    )
    app.add_middleware(Frame, settings=settings, metrics=metrics, sending=sending)
    return app


def _rate(settings: ServiceSettings) -> Rate:
    """Of all processes together: where they share nothing (an operator has started them), each has its part."""
    shared = buckets_of_process() if settings.requests_per_minute else None
    parts = settings.workers if shared is None else 1
    return Rate(per_minute=settings.requests_per_minute / parts, burst=max(settings.burst // parts, 1), buckets=shared)


def _key(settings: ServiceSettings) -> str:
    if settings.token_key is not None:
        return settings.token_key.get_secret_value()
    if settings.open:
        return secrets.token_hex(32)  # tokens are given and never looked at: there is nothing to keep
    return signing_key(settings.key_file)


def _answer_errors(app: FastAPI) -> None:
    async def ours(request: Request, error: Exception) -> Response:
        log_error(error, number_of(request))
        return answer_of(error, number_of(request)).response()

    async def invalid(_: Request, error: Exception) -> Response:
        problem = error.errors()[0] if isinstance(error, RequestValidationError) else {}
        where = ".".join(map(str, problem.get("loc", ("request",))))
        return Answer(400, code_of_status(400), f"{where}: {problem.get('msg', 'not usable')}.").response()

    async def of_routes(request: Request, error: Exception) -> Response:
        code = error.status_code if isinstance(error, StarletteHTTPException) else 500
        texts = {
            404: f"There is nothing at {excerpt(request.url.path)}. {_APIS}",
            405: f"{request.method} is not for this address.",
        }
        answer = Answer(code, code_of_status(code), texts.get(code, "The request is not usable.")).response()
        for name, value in (getattr(error, "headers", None) or {}).items():
            answer.headers[name] = value
        return answer

    app.add_exception_handler(EOTasksError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(StarletteHTTPException, of_routes)
    app.add_exception_handler(HTTPException, of_routes)


def _describe(app: FastAPI) -> None:
    """Moves the parts of models from where pydantic puts them to where OpenAPI has them."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = plain()
            parts: dict[str, Any] = {}
            schema = _moved(schema, parts)
            schema.setdefault("components", {}).setdefault("schemas", {}).update(parts)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation has it


def _moved(node: Any, parts: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_moved(each, parts) for each in node]
    if not isinstance(node, dict):
        return node
    moved = {}
    for name, value in node.items():
        if name == "$defs":
            parts.update({each: _moved(schema, parts) for each, schema in value.items()})
        elif name == "$ref" and isinstance(value, str):
            moved[name] = value.replace("#/$defs/", "#/components/schemas/")
        else:
            moved[name] = _moved(value, parts)
    return moved
