"""Bodies of requests: JSON within bounds, or a form with one, as a model."""

from __future__ import annotations

import asyncio
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from eotasks.documents import first_problem, parse_json_object, refuse_many_values
from eotasks.service.errors import RequestError
from eotasks.service.settings import ServiceSettings

Model = TypeVar("Model", bound=BaseModel)

_FORM = "multipart/form-data"


class SlowBodyError(RequestError):
    """A body that does not arrive."""

    status = 408


async def read_body(request: Request, model: type[Model], settings: ServiceSettings) -> Model:
    """The body of a request as a model. It is no longer than `settings.request_bytes`: the application looks.

    A form, as of `curl -F request=… -F evalscript=…`, is taken too: its parts but `request` are fields of that.

    :raises RequestError: for what is no JSON object, or does not fit the model: the first field, and why.
    """
    return model_of(await raw_body(request, settings), request.headers.get("content-type", ""), model)


async def raw_body(request: Request, settings: ServiceSettings) -> bytes:
    """The bytes of a body.

    :raises SlowBodyError: when it does not arrive in time.
    """
    try:
        async with asyncio.timeout(settings.body_s):
            return await request.body()
    except TimeoutError:
        raise SlowBodyError(
            f"The body of the request did not arrive within {settings.body_s:g} s: send it again."
        ) from None


def model_of(body: bytes, content_type: str, model: type[Model]) -> Model:
    """As :func:`read_body`, of bytes that are here."""
    form = _form(body, content_type) if content_type.lower().startswith(_FORM) else {"request": body}
    if "request" not in form:
        raise RequestError("The form has no part `request`: give one with the JSON of the request.")
    document = parse_json_object(form.pop("request"), _refuse)
    try:
        document |= {name: content.decode() for name, content in form.items()}
    except UnicodeDecodeError:
        raise RequestError("A part of the form is no UTF-8.") from None
    refuse_many_values(document, _refuse)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise RequestError(f"{first_problem(error, 'request').replace(': Value error, ', ': ')}.") from None


def described(model: type[BaseModel]) -> dict[str, Any]:
    """`openapi_extra` of a route whose body is a model: `eotasks.service.app` moves the parts to their place."""
    schema = model.model_json_schema(by_alias=True)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _form(body: bytes, content_type: str) -> dict[str, bytes]:
    """The parts of a form by their names; files count as text."""
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + body
    )
    if not message.is_multipart():
        raise RequestError("The form has no parts: send `multipart/form-data` with its boundary, or JSON.")
    parts = {}
    for part in message.iter_parts():
        name, content = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            parts[name] = content
    return parts


def _refuse(reason: str) -> RequestError:
    return RequestError(f"The body of the request: {reason}. Send a JSON object.")
