"""The Statistical API: what a script draws over a polygon, interval after interval, as numbers."""

from __future__ import annotations

import json

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from eotasks.service.api.body import described, read_body
from eotasks.service.contract.statistics import StatisticsRequest
from eotasks.service.services import Services
from eotasks.service.statistics.plan import call_of
from eotasks.service.statistics.run import statistics_of

PATHS = ("/api/v1/statistics", "/statistics/v1")
"""The address of the client, and a newer one of the original."""


def router(services: Services) -> APIRouter:
    """Its routes."""
    routes = APIRouter(dependencies=[Depends(services.access.requires("statistics"))], tags=["Statistical"])

    async def statistics(request: Request) -> Response:
        asked = await read_body(request, StatisticsRequest, services.settings)
        work = services.work_for(request)
        call = await work.run(lambda: call_of(asked, max_side=services.settings.max_side))
        answer = await statistics_of(
            call,
            services.renderer,
            work,
            at_once=services.settings.engine_workers,
            is_gone=request.is_disconnected,
        )
        content = await work.run(lambda: json.dumps(answer, allow_nan=False).encode())
        return Response(content, media_type="application/json")

    for path in PATHS:
        routes.add_api_route(
            path,
            statistics,
            methods=["POST"],
            summary="Statistics of an area for each interval of time",
            openapi_extra=described(StatisticsRequest),
            operation_id=f"statistics{path.replace('/', '_')}",
        )
    return routes
