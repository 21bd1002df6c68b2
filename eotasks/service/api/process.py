"""The Process API: images by an evalscript."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from eotasks.service.api.body import described, read_body
from eotasks.service.contract.area import OutputArea
from eotasks.service.contract.ground import area_of
from eotasks.service.contract.request import Format, ProcessRequest, ResponseEntry, data_of
from eotasks.service.encode import SUFFIXES, USER_DATA, Part, accepted, check_format, encode, encode_json, together
from eotasks.service.errors import RequestError, ScriptError, TooLargeError
from eotasks.service.evalscript.setup import SampleType, Setup
from eotasks.service.render import Rendered, RenderRequest
from eotasks.service.services import Services
from eotasks.service.traffic.state import CLIENT_STATE

PATHS = ("/api/v1/process", "/process/v1")
"""Where clients ask, and where newer documentation has it."""

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The image, or an archive of several.",
        "content": {media_type: {} for media_type in (*SUFFIXES, "application/x-tar")},
    },
    **{
        status: {"description": text}
        for status, text in (
            (400, "A request or a script that cannot be served as it is."),
            (401, "No token, or one that is not good."),
            (403, "A token without the scope `process`."),
            (404, "No such collection."),
            (413, "More bytes, pixels or scenes than are served."),
            (429, "Too many requests; Retry-After says for how many milliseconds."),
        )
    },
}


def router(services: Services) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["Process"], dependencies=[Depends(services.access.requires("process"))])

    async def process(request: Request) -> Response:
        """Images of a place and a time, as an evalscript draws them."""
        asked = await read_body(request, ProcessRequest, services.settings)
        accept = request.headers.get("accept", "*/*")
        services.sending.check(getattr(request.state, CLIENT_STATE, None))
        media_type, content = await services.work_for(request).run(lambda: draw(services, asked, accept))
        return Response(content, media_type=media_type)

    for number, path in enumerate(PATHS):
        routes.add_api_route(
            path,
            process,
            methods=["POST"],
            response_class=Response,
            openapi_extra=described(ProcessRequest),
            responses=_ANSWERS,
            include_in_schema=number == 0,
        )
    return routes


def draw(services: Services, asked: ProcessRequest, accept: str) -> tuple[str, bytes]:
    """The answer to a request: media type and content.

    :param accept: Its header.
    :raises ServiceError: see `eotasks.service.render.Renderer`.
    """
    services.sending.check()  # once more: the request may have waited
    check_script(asked.evalscript, services.settings.script_bytes)
    output = asked.output
    area = area_of(
        asked.input.bounds,
        width=output.width,
        height=output.height,
        resx=output.resx,
        resy=output.resy,
        max_side=services.settings.max_side,
    )
    formats = formats_of(output.responses, accept)
    request = RenderRequest(
        asked.evalscript, area, data_of(asked.input.data), check=lambda setup: check_outputs(setup, formats)
    )
    rendered = services.renderer.render(request)
    return together([_part(name, form, rendered, area) for name, form in formats.items()], accept)


def check_script(script: str, most: int) -> None:
    """:raises RequestError: for no script; TooLargeError for one of more bytes than are taken."""
    size = len(script.encode(errors="replace"))
    if not script.strip():
        raise RequestError("evalscript is empty: give a script.")
    if size > most:
        raise TooLargeError(f"The evalscript has {size:,} bytes, more than the {most:,} that are taken.")


def formats_of(responses: Sequence[ResponseEntry], accept: str) -> dict[str, Format]:
    """The format of each output that is asked for. What the request does not say, its Accept header does.

    :raises RequestError: when one output is asked for twice.
    """
    entries = list(responses) or [ResponseEntry()]
    names = [entry.identifier for entry in entries]
    if len(set(names)) < len(names):
        raise RequestError("output.responses: an identifier comes twice. Give each output once.")
    by_header = next((Format(type=name) for name in accepted(accept) if name in SUFFIXES), Format())  # type: ignore[arg-type]
    return {entry.identifier: entry.format or _default(entry.identifier, by_header) for entry in entries}


def check_outputs(setup: Setup, formats: dict[str, Format]) -> None:
    """Refuse outputs that a script does not have, and formats that an output cannot have.

    :raises RequestError: says which there are.
    """
    outputs = {output.id: output for output in setup.outputs}
    for name, form in formats.items():
        if name in outputs:
            output = outputs[name]
            sample_type = SampleType.UINT8 if output.sample_type == SampleType.AUTO else output.sample_type
            # The hook sets the number of bands later.
            bands = 1 if "updateOutput" in setup.hooks else len(output.bands)
            check_format(name, form.type, sample_type.lower(), bands)
        elif name != USER_DATA:
            raise RequestError(
                f"output.responses: the script has no output {name!r}. It has {', '.join(map(repr, outputs))}; a script"
                f" that sets outputMetadata.userData gives {USER_DATA!r} too."
            )
        elif form.type != "application/json":
            raise RequestError(f"output.responses: {USER_DATA!r} is application/json only.")


def _default(identifier: str, by_header: Format) -> Format:
    if identifier == USER_DATA:
        return Format(type="application/json")
    return by_header if by_header.type != "application/json" else Format()


def _part(name: str, form: Format, rendered: Rendered, area: OutputArea) -> Part:
    outputs = {output.id: output for output in rendered.setup.outputs}
    if name not in outputs:
        if name != USER_DATA or form.type != "application/json":
            raise ScriptError(
                f"The evalscript declared an output {name!r} when it was asked first, and has none when it draws: let"
                " `setup` say the same each time."
            )
        return Part(name, form.type, encode_json({} if rendered.user_data is None else rendered.user_data))
    image = rendered.images[name]
    check_format(name, form.type, image.dtype.name, image.shape[-1])
    return Part(name, form.type, encode(image, form.type, area, nodata=outputs[name].nodata, quality=form.quality))
