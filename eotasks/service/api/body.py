"""Bodies of requests: JSON within bounds, or a form with one, as a model."""

from __future__ import annotations

import asyncio
import re
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from eotasks.documents import first_problem, parse_json_object
from eotasks.service.errors import RequestError, TooLargeError
from eotasks.service.settings import ServiceSettings

Model = TypeVar("Model", bound=BaseModel)

_FORM = "multipart/form-data"
_MOST_PARTS = 20
_HEAD_BYTES = 1_000
"""Of a part of a form."""
_MOST_VALUES = 60_000
"""Of a document: a polygon of 20,000 corners has as many."""
_TEXTS = r'"(?:[^"\\]++|\\.)*+"?'
"""Of a JSON document, the last one without its end too; each character is looked at once."""


class SlowBodyError(RequestError):
    """A body that does not arrive."""

    status = 408


async def read_body(request: Request, model: type[Model], settings: ServiceSettings) -> Model:
    """The body of a request as a model. It is no longer than `settings.request_bytes`: the application looks.

    A form, as of `curl -F request=… -F evalscript=…`, is taken too: its parts but `request` are fields of that.

    :raises RequestError: for what is no JSON object, or does not fit the model: the first field, and why.
    """
    body, content_type = await raw_body(request, settings), request.headers.get("content-type", "")
    return await asyncio.to_thread(model_of, body, content_type, model)  # others are answered meanwhile


async def raw_body(request: Request, settings: ServiceSettings, *, most: int | None = None) -> bytes:
    """The bytes of a body.

    :param most: Of them, where that is less than `settings.request_bytes`: the rest of a longer one is not read.
    :raises SlowBodyError: when it does not arrive in time.
    :raises TooLargeError: when it has more.
    """
    try:
        async with asyncio.timeout(settings.body_s):
            if most is None:
                return await request.body()
            body = bytearray()
            async for part in request.stream():
                body += part
                if len(body) > most:
                    raise TooLargeError(f"The body of the request has more than the {most:,} bytes that are taken.")
            return bytes(body)
    except TimeoutError:
        raise SlowBodyError(
            f"The body of the request did not arrive within {settings.body_s:g} s: send it again."
        ) from None


def model_of(body: bytes, content_type: str, model: type[Model]) -> Model:
    """As :func:`read_body`, of bytes that are here."""
    form = _form(body, content_type) if content_type.lower().startswith(_FORM) else {"request": body}
    if "request" not in form:
        raise RequestError("The form has no part `request`: give one with the JSON of the request.")
    document = json_object(form.pop("request"))
    try:
        document |= {name: content.decode() for name, content in form.items()}
    except UnicodeDecodeError:
        raise RequestError("A part of the form is no UTF-8.") from None
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise RequestError(f"{_in_words(first_problem(error, 'request'))}.") from None


def json_object(content: bytes) -> dict[str, Any]:
    """A JSON object of a client, in a time that is short whatever it holds.

    :raises RequestError: when it is none, no UTF-8, or has too many values, which are counted before they are read.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise _refuse("no UTF-8") from None
    structure = re.sub(_TEXTS, "", text, flags=re.DOTALL)
    count = sum(map(structure.count, ",[{"))
    if count > _MOST_VALUES:
        raise _refuse(f"some {count:,} values, more than {_MOST_VALUES:,}")
    return parse_json_object(content, _refuse)


def described(model: type[BaseModel]) -> dict[str, Any]:
    """`openapi_extra` of a route whose body is a model: `eotasks.service.app` moves the parts to their place."""
    schema = model.model_json_schema(by_alias=True)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _form(body: bytes, content_type: str) -> dict[str, bytes]:
    """The parts of a form (RFC 7578) by their names; files count as text. In a time that grows with its length only."""
    found = re.search(r'boundary="?([^\s";,]{1,70})"?', content_type, re.IGNORECASE)
    if found is None:
        raise RequestError("The form does not say its boundary: send multipart/form-data with one, or JSON.")
    mark = b"--" + found[1].encode("latin-1")
    pieces = (b"\r\n" + body).split(b"\r\n" + mark, _MOST_PARTS + 2)
    if len(pieces) > _MOST_PARTS + 2:
        raise RequestError(f"The form has more than {_MOST_PARTS} parts.")
    parts = {}
    for piece in pieces[1:]:
        head, blank, content = piece.partition(b"\r\n\r\n")
        name = re.search(
            rb'content-disposition:[^\r\n]*[;\s]name="?([\w.-]{1,100})"?', head[:_HEAD_BYTES], re.IGNORECASE
        )
        if blank and name is not None:
            parts[name[1].decode()] = content
    return parts


def _in_words(problem: str) -> str:
    """Without words of Python's."""
    problem = problem.replace(": Value error, ", ": ")
    return re.sub(r"a valid dictionary or instance of \w+", "an object", problem)


def _refuse(reason: str) -> RequestError:
    return RequestError(f"The body of the request: {reason}. Send a JSON object.")
