"""Tokens for clients that show their secret: OAuth 2.0, client credentials (RFC 6749, section 4.4)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from eotasks.service.api.body import raw_body
from eotasks.service.auth.access import SCOPES
from eotasks.service.auth.bearer import OPEN_CLIENT
from eotasks.service.auth.logins import Logins
from eotasks.service.auth.tokens import TokenSigner
from eotasks.service.errors import BusyError, TooLargeError
from eotasks.service.settings import ServiceSettings

PATHS = (
    "/auth/realms/main/protocol/openid-connect/token",
    "/oauth/token",
    "/api/v1/oauth/token",
)
"""Where Sentinel Hub has it, and where it had it before."""

_GRANT = "client_credentials"
_MOST_FIELDS = 20
_MOST_BYTES = 100_000
"""Of a form: it is read before it is known whose it is."""
_FORM = {
    "type": "object",
    "required": ["grant_type"],
    "properties": {
        "grant_type": {"type": "string", "enum": [_GRANT]},
        "client_id": {"type": "string"},
        "client_secret": {"type": "string"},
    },
}
_DESCRIBED = {"requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": _FORM}}}}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    400: {"description": "Not a request for a token."},
    401: {"description": "No such client, or another secret."},
    503: {"description": "Too many requests for tokens wait."},
}


def router(settings: ServiceSettings, signer: TokenSigner, logins: Logins) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["Token"])

    async def token(request: Request) -> Response:
        """A token for the id and the secret of a client, in the form or as HTTP basic authorisation."""
        try:
            form = _form(await raw_body(request, settings, most=_MOST_BYTES))
        except TooLargeError:
            form = None
        if form is None or form.get("grant_type") != _GRANT:
            return _refused(400, "unsupported_grant_type", f"grant_type has to be {_GRANT}, in a form (urlencoded).")
        client_id, secret = _credentials(form, request.headers.get("authorization", ""))
        if not client_id or not secret:
            return _refused(401, "invalid_client", "client_id and client_secret are missing.")
        if settings.open:
            return _granted(signer.make(OPEN_CLIENT, SCOPES), signer)
        try:
            client = await logins.client(client_id, secret, request.client.host if request.client else "")
        except BusyError:  # 429 ends clients here, after 503 they try again
            return _refused(503, "temporarily_unavailable", "Too many requests for tokens wait: try again.")
        if client is None:
            return _refused(401, "invalid_client", "The client is not known, or its secret is another.")
        return _granted(signer.make(client_id, client.scopes), signer)

    for number, path in enumerate(PATHS):
        routes.add_api_route(
            path,
            token,
            methods=["POST"],
            openapi_extra=_DESCRIBED,
            responses=_ANSWERS,
            include_in_schema=number == 0,
        )
    return routes


def _granted(token: str, signer: TokenSigner) -> Response:
    content = {"access_token": token, "expires_in": signer.lifetime_s, "token_type": "Bearer"}
    return JSONResponse(content, headers={"Cache-Control": "no-store"})


def _refused(status: int, error: str, description: str) -> Response:
    headers = {"Cache-Control": "no-store"} | ({"WWW-Authenticate": "Basic"} if status == 401 else {})
    return JSONResponse({"error": error, "error_description": description}, status, headers)


def _form(body: bytes) -> dict[str, str] | None:
    """The fields of a form; None for what is none."""
    try:
        return dict(parse_qsl(body.decode(), strict_parsing=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        return None


def _credentials(form: Mapping[str, str], authorization: str) -> tuple[str, str]:
    """Id and secret: of the header, where there is one, else of the form."""
    kind, _, encoded = authorization.partition(" ")
    if kind.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        client_id, _, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return unquote_plus(client_id), unquote_plus(secret)
