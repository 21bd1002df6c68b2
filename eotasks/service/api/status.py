"""Whether the service is well, and what it has done: for those who run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from eotasks.service.metrics import Metrics
from eotasks.service.render import SERVICE_VERSION
from eotasks.service.traffic.work import Work

Health = Callable[[], Mapping[str, Any]]
"""What a part of the service says of its health: "ok" is False when it does not work."""


def router(work: Work, metrics: Metrics, parts: Mapping[str, Health]) -> APIRouter:
    """:param parts: By name, such as "engine"."""
    routes = APIRouter(tags=["Status"])

    @routes.get("/health")
    def health() -> Response:
        """Whether the service works: 200, or 503 when a part of it does not."""
        told = {name: dict(ask()) for name, ask in parts.items()}
        well = all(part.get("ok", True) for part in told.values())
        running, waiting = work.load
        content = {
            "status": "ok" if well else "failing",
            "version": SERVICE_VERSION,
            "requests": {"running": running, "waiting": waiting},
            **told,
        }
        return JSONResponse(content, 200 if well else 503, headers={"Cache-Control": "no-store"})

    @routes.get("/metrics", response_class=Response)
    def counts() -> Response:
        """Counts for Prometheus."""
        return Response(metrics.text(), media_type=metrics.content_type)

    return routes
