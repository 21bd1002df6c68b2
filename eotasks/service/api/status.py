"""Whether the service is well, and what it has done: for those who run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from eotasks.service.metrics import Metrics
from eotasks.service.render import SERVICE_VERSION
from eotasks.service.traffic.work import Work

Health = Callable[[], Mapping[str, Any]]
"""What a part of the service says of its health: "ok" is False when it does not work."""


class LoadAnswer(BaseModel):
    """What is done and what waits for it, in the process that answers."""

    running: int
    waiting: int

    @classmethod
    def of(cls, work: Work) -> LoadAnswer:
        """That of threads."""
        running, waiting = work.load
        return cls(running=running, waiting=waiting)


class HealthAnswer(BaseModel):
    """Whether the service works, and what its parts say of themselves."""

    model_config = ConfigDict(extra="allow")

    status: Literal["ok", "failing"]
    version: str
    requests: LoadAnswer = Field(description="For pixels.")
    lookups: LoadAnswer = Field(description="For what only looks into a catalogue.")


_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": HealthAnswer, "description": "All parts work."},
    503: {"model": HealthAnswer, "description": "A part does not work: `ok` of it is false."},
}


def router(work: Work, lookups: Work, metrics: Metrics, parts: Mapping[str, Health]) -> APIRouter:
    """:param parts: By name, such as "engine"."""
    routes = APIRouter(tags=["Status"])

    @routes.get("/health", responses=_ANSWERS)
    def health() -> Response:
        """Whether the service works: 200, or 503 when a part of it does not."""
        told = {name: dict(ask()) for name, ask in parts.items()}
        well = all(part.get("ok", True) for part in told.values())
        content = HealthAnswer(
            status="ok" if well else "failing",
            version=SERVICE_VERSION,
            requests=LoadAnswer.of(work),
            lookups=LoadAnswer.of(lookups),
            **told,
        )
        return JSONResponse(content.model_dump(), 200 if well else 503, headers={"Cache-Control": "no-store"})

    @routes.get("/metrics", response_class=Response)
    def counts() -> Response:
        """Counts for Prometheus."""
        return Response(metrics.text(), media_type=metrics.content_type)

    return routes
