"""FIS, the older service of zonal statistics: `/ogc/fis/{instance}`, by GET and by POST."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from eotasks.service.api.body import json_object, raw_body
from eotasks.service.contract.fis import fis_request
from eotasks.service.errors import RequestError
from eotasks.service.services import Services
from eotasks.service.statistics.channels import channels_of
from eotasks.service.statistics.plan import call_of

PATH = "/ogc/fis/{instance}"

_MOST_PARAMETERS = 100
_PARAMETERS = {
    "LAYER": "A layer: NDVI, CLOUDS, BANDS-S2-L1C, ...; or a collection, with EVALSCRIPT.",
    "TIME": "A day, or two with / between them.",
    "GEOMETRY": "POLYGON or MULTIPOLYGON in WKT; in EPSG codes of degrees the latitude comes first.",
    "BBOX": "Four numbers, instead of GEOMETRY.",
    "CRS": "Such as EPSG:32633; EPSG:3857 without it.",
    "RESOLUTION": "Size of a pixel, such as 10m.",
    "BINS": "Bins of histograms; none without it.",
    "TYPE": "EQUIDISTANT or EQUALFREQUENCY.",
    "MAXCC": "Clouds of a product in percent, at most.",
    "EVALSCRIPT": "A script, as it is or in base64.",
}


def router(services: Services) -> APIRouter:
    """Its routes."""
    routes = APIRouter(dependencies=[Depends(services.access.requires("statistics"))], tags=["FIS"])

    async def answered(request: Request, parameters: dict[str, Any]) -> Response:
        def check() -> Any:
            asked = fis_request(parameters)
            return asked, call_of(asked.statistics, max_side=services.settings.max_side)

        work = services.work_for(request)
        asked, call = await work.run(check)
        channels = await channels_of(
            asked,
            call,
            services.renderer,
            work,
            at_once=services.settings.engine_workers,
            is_gone=request.is_disconnected,
        )
        content = await work.run(lambda: json.dumps(channels, allow_nan=False).encode())
        return Response(content, media_type="application/json")

    async def by_address(instance: str, request: Request) -> Response:  # noqa: ARG001 - any is as good
        return await answered(request, dict(request.query_params))

    async def by_body(instance: str, request: Request) -> Response:  # noqa: ARG001 - any is as good
        body = await raw_body(request, services.settings)
        parameters = await asyncio.to_thread(_parameters, body, request.headers.get("content-type", ""))
        return await answered(request, {**request.query_params, **parameters})

    described = [
        {"name": name, "in": "query", "required": name in ("LAYER", "TIME"), "description": text,
         "schema": {"type": "string"}}
        for name, text in _PARAMETERS.items()
    ]  # fmt: skip
    schema = {
        "type": "object",
        "properties": {name.lower(): {"type": "string", "description": text} for name, text in _PARAMETERS.items()},
        "required": ["layer", "time"],
    }
    routes.add_api_route(
        PATH,
        by_address,
        methods=["GET"],
        summary="Statistics of an area for each day",
        openapi_extra={"parameters": described},
        operation_id="fis_by_address",
    )
    routes.add_api_route(
        PATH,
        by_body,
        methods=["POST"],
        summary="Statistics of an area for each day",
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}},
        operation_id="fis",
    )
    return routes


def _parameters(body: bytes, content_type: str) -> dict[str, Any]:
    """Those of a body: JSON, or a form as an address has it."""
    if "x-www-form-urlencoded" not in content_type.lower():
        return json_object(body)
    try:
        return dict(parse_qsl(body.decode(), strict_parsing=True, max_num_fields=_MOST_PARAMETERS))
    except ValueError:
        raise RequestError("The body is no form: send NAME=VALUE, joined by &.") from None
