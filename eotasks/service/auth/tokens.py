"""Tokens: signed, so that processes need nothing in common but the key."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import jwt

from eotasks.service.auth.access import SCOPES, Scope
from eotasks.service.errors import UnauthorizedError

_ALGORITHM = "HS256"
"""The only one that is taken, whatever a token says of itself."""
_AUDIENCE = "eotasks"
_LONGEST = 4096
_CLAIMS = ["exp", "iat", "aud", "sub", "scope"]


@dataclass(frozen=True)
class Token:
    """What a good token says."""

    client: str
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class TokenSigner:
    """Makes tokens and knows its own."""

    key: str
    lifetime_s: int
    now: Callable[[], float] = time.time

    def __repr__(self) -> str:
        return f"TokenSigner(lifetime_s={self.lifetime_s})"

    def make(self, client: str, scopes: tuple[Scope, ...] = SCOPES) -> str:
        """A token for a client."""
        now = int(self.now())
        claims = {
            "sub": client,
            "azp": client,
            "aud": _AUDIENCE,
            "scope": " ".join(scopes),
            "iat": now,
            "exp": now + self.lifetime_s,
            "jti": uuid.uuid4().hex,
        }
        return jwt.encode(claims, self.key, algorithm=_ALGORITHM)

    def read(self, token: str) -> Token:
        """What a token says.

        :raises UnauthorizedError: when it has expired, or was not made here.
        """
        try:
            if len(token) > _LONGEST:
                raise jwt.InvalidTokenError
            claims = jwt.decode(
                token,
                self.key,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                options={"require": _CLAIMS, "verify_exp": False, "verify_iat": False},  # by our clock, below
            )
            expires = int(claims["exp"])
            client, scopes = str(claims["sub"]), str(claims["scope"])
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, RecursionError):
            raise UnauthorizedError("The token is none of this service: ask for one at its token address.") from None
        if not self.now() < expires:
            raise UnauthorizedError("The token has expired: ask for a new one at the service's token address.")
        return Token(client, tuple(scopes.split()))
