"""Access by tokens of the Authorization header, and access for everybody at loopback."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import Request

from eotasks.service.auth.access import Scope
from eotasks.service.auth.clients import Clients
from eotasks.service.auth.tokens import TokenSigner
from eotasks.service.errors import ForbiddenError, UnauthorizedError
from eotasks.service.traffic.rate import Rate
from eotasks.service.traffic.state import CLIENT_STATE

OPEN_CLIENT = "open"
"""The client of an open service."""


_WITHOUT = "The request has no token: send one in the header Authorization, after the word Bearer and a space."
"""Not as it is written in a header, which is taken for a secret wherever it is printed."""


@dataclass(frozen=True)
class BearerAccess:
    """Lets those pass that have a good token, and still are clients."""

    signer: TokenSigner
    clients: Clients
    rate: Rate

    def requires(self, scope: Scope) -> Callable[[Request], Awaitable[str]]:
        """See `eotasks.service.auth.access.Access`."""

        async def check(request: Request) -> str:
            token = self.signer.read(bearer_token(request.headers.getlist("authorization")))
            client = self.clients.get(token.client)
            if client is None:
                raise UnauthorizedError("The client of the token is not known any more: ask who runs the service.")
            setattr(request.state, CLIENT_STATE, token.client)
            if scope not in token.scopes or scope not in client.scopes:
                raise ForbiddenError(f"The client may not use {scope!r}: ask who runs the service for this scope.")
            self.rate.take(token.client)
            return token.client

        return check


@dataclass(frozen=True)
class OpenAccess:
    """Lets everybody pass: at loopback only, which the settings see to."""

    rate: Rate

    def requires(self, scope: Scope) -> Callable[[Request], Awaitable[str]]:  # noqa: ARG002 - all may all
        """See `eotasks.service.auth.access.Access`."""

        async def check(request: Request) -> str:
            setattr(request.state, CLIENT_STATE, OPEN_CLIENT)
            self.rate.take(OPEN_CLIENT)
            return OPEN_CLIENT

        return check


def bearer_token(headers: list[str]) -> str:
    """The token of a request's Authorization headers; nowhere else is one looked for.

    :raises UnauthorizedError: when there is none.
    """
    if len(headers) != 1:
        raise UnauthorizedError(_WITHOUT)
    kind, _, token = headers[0].partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise UnauthorizedError(_WITHOUT)
    return token.strip()
