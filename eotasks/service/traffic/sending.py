"""Answers on their way: what is drawn waits in memory until its client has taken it, for which there is a bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from eotasks.service.errors import BusyError

PIECE_BYTES = 256 * 1024
"""Of an answer that are handed to a connection at once; what is shorter is not counted."""

_CLIENTS_PART = 4
"""A client has a quarter of the bound, so that one that takes nothing does not stop the others."""
_COME_BACK_S = 2.0


class Sending:
    """Bytes of answers that have been drawn and not been taken. Changed by the event loop, asked by any thread."""

    def __init__(self, most: int) -> None:
        """:param most: Bytes above which nothing more is drawn."""
        self._most, self._total = most, 0
        self._of_client: Counter[str] = Counter()

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._total

    def check(self, client: str | None = None) -> None:
        """Whether an answer may be drawn, as there is room for it.

        :raises BusyError: when too much waits to be taken, by this client or by all.
        """
        if client is not None and self._of_client[client] * _CLIENTS_PART > self._most:
            raise BusyError(
                f"You have not taken {self._of_client[client]:,} bytes of answers yet: read them, and try again.",
                wait_s=_COME_BACK_S,
            )
        if self._total > self._most:
            raise BusyError(
                f"Clients have not taken {self._total:,} bytes of answers yet: try again in {_COME_BACK_S:.0f} s.",
                wait_s=_COME_BACK_S,
            )

    @contextmanager
    def of(self, client: str | None, size: int) -> Iterator[None]:
        """While an answer is sent."""
        name = client or ""
        self._total += size
        self._of_client[name] += size
        try:
            yield
        finally:
            self._total -= size
            self._of_client[name] -= size
            if self._of_client[name] <= 0:
                del self._of_client[name]
