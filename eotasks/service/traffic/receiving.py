"""Bodies of requests on their way: what has arrived stays in memory until its request is answered, for which there is a
bound.
"""

from __future__ import annotations

from collections import Counter

from eotasks.service.errors import BusyError

_CLIENTS_PART = 4
"""A client has a quarter of the bound, and so have all strangers together: those who ask for tokens."""
_COME_BACK_S = 2.0


class Receiving:
    """Bytes of bodies of requests that are not answered yet. Changed by the event loop alone."""

    def __init__(self, most: int) -> None:
        """:param most: Bytes above which nothing more is taken; one body always is."""
        self._most, self._total = most, 0
        self._of_client: Counter[str] = Counter()

    @property
    def size(self) -> int:
        """Bytes that have arrived."""
        return self._total

    def take(self, client: str | None, size: int, *, own: int) -> None:
        """Count a part of a body.

        :param client: Whose request it is; None for a stranger's.
        :param own: Bytes of the same body that were counted before.
        :raises BusyError: when other bodies leave no room for it: of this client, or of all. It is not counted.
        """
        name = client or ""
        for others, most in (
            (self._of_client[name] - own, self._most // _CLIENTS_PART),
            (self._total - own, self._most),
        ):
            if others > 0 and others + own + size > most:
                raise BusyError(
                    f"Bodies of {others:,} bytes have arrived of requests that are not answered yet: try again in"
                    f" {_COME_BACK_S:.0f} s.",
                    wait_s=_COME_BACK_S,
                )
        self._total += size
        self._of_client[name] += size

    def give_back(self, client: str | None, size: int) -> None:
        """The request is answered.

        :param size: All that was counted of it.
        """
        name = client or ""
        self._total -= size
        self._of_client[name] -= size
        if self._of_client[name] <= 0:
            del self._of_client[name]
