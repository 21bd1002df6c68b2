"""Answers of servers, bounded in time and bytes from the first byte of their head to the last of their body.

A limit of time for the next bytes alone, as HTTP libraries have it, is met for ever by a server that sends one byte a
second, and what they read at once (heads, error pages, listings) has no bound of size at all. So bounds are kept where
bytes come in: by the sockets of connections that `bounded_pools` makes, for answers that are asked for in a block of
`answer_bounds`. Both libraries that ask servers here, requests and botocore, take their connections from urllib3.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import IO, Any

from eotasks.limits import ANSWER_SECONDS, Limit

HEAD_BYTES = 1 << 20
"""Of an answer beside its body."""

_Bounds = tuple[Limit, int, str]
_BOUNDS: ContextVar[_Bounds | None] = ContextVar("bounds of answers", default=None)


class ExcessError(OSError):
    """An answer went beyond its bounds. Libraries wrap it into errors of their own: see `excess_of`."""


@contextmanager
def answer_bounds(size: int, excess: str, seconds: Limit = ANSWER_SECONDS) -> Iterator[None]:
    """The bounds of answers that are asked for in this block and thread.

    :param size: Bytes of the body of each, as they come.
    :param excess: What to say of more.
    :param seconds: From the moment that an answer is waited for to its last byte.
    """
    token = _BOUNDS.set((seconds, size + HEAD_BYTES, excess))
    try:
        yield
    finally:
        _BOUNDS.reset(token)


def excess_of(error: BaseException | None) -> str | None:
    """What an error of a library says of an answer beyond its bounds; None when it is another error."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        inner = next((each for each in error.args if isinstance(each, BaseException)), None)
        for each in (error, inner, getattr(inner, "reason", None)):
            if isinstance(each, ExcessError):
                return str(each)
        error = error.__cause__ or error.__context__ or inner
    return None


def bounded_pools(pools: Mapping[str, Any]) -> dict[str, Any]:
    """Classes of connection pools, by scheme as ``urllib3.PoolManager`` has them, with connections that keep bounds."""
    return {
        scheme: type("BoundedPool", (pool,), {"ConnectionCls": _bounded(pool.ConnectionCls)})
        for scheme, pool in pools.items()
    }


def _bounded(connection: Any) -> Any:
    class BoundedConnection(connection):  # type: ignore[misc]  # a class of urllib3 or botocore
        sock: Any

        def connect(self) -> None:
            super().connect()
            self.sock = _Socket(self.sock)

    return BoundedConnection


class _Socket:
    """A socket whose reader keeps the bounds that hold when an answer begins."""

    def __init__(self, sock: Any) -> None:
        self._socket = sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def makefile(self, mode: str = "r", buffering: int | None = None, **options: Any) -> IO[Any]:
        bounds = _BOUNDS.get()
        if bounds is None or mode != "rb":
            opened: IO[Any] = self._socket.makefile(mode, buffering, **options)
            return opened
        reader = _Reader(self._socket, bounds)
        return reader if buffering == 0 else io.BufferedReader(reader)  # type: ignore[return-value]  # files both


class _Reader(io.RawIOBase):
    def __init__(self, sock: Any, bounds: _Bounds) -> None:
        self._socket, self._pause = sock, sock.gettimeout()
        self._raw = sock.makefile("rb", buffering=0)
        self._seconds, self._left, self._excess = bounds
        self._until = time.monotonic() + self._seconds.value

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        number: int = self._raw.fileno()
        return number

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise ExcessError(self._seconds.excess())
        self._socket.settimeout(left if self._pause is None else min(left, self._pause))
        try:
            count: int | None = self._raw.readinto(buffer)
        except TimeoutError as error:
            if time.monotonic() >= self._until:
                raise ExcessError(self._seconds.excess()) from error
            raise
        self._left -= count or 0
        if self._left < 0:
            raise ExcessError(self._excess)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
