"""Who may do what: a dependency of routes that looks at the token of a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, Protocol, get_args

from fastapi import Request

Scope = Literal["process", "statistics", "catalog"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


class Access(Protocol):
    """Lets requests pass, or does not."""

    def requires(self, scope: Scope) -> Callable[[Request], Awaitable[str]]:
        """A dependency of routes (`fastapi.Depends`): gives the id of the client, and counts its requests.

        It raises UnauthorizedError without a good token, ForbiddenError without the scope, BusyError when the client
        asks too often.
        """
        ...
