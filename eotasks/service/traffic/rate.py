"""How often a client may ask: a bucket of tokens for each, filled at a constant rate."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from eotasks.service.errors import BusyError

_MOST_CLIENTS = 10_000
"""Buckets that are kept; of others the one that was not used for longest goes, which is full again by then."""


class Rate:
    """Requests of each client in a time. May be used by several threads."""

    def __init__(self, *, per_minute: float, burst: int, now: Callable[[], float] = time.monotonic) -> None:
        """
        :param per_minute: Requests of a client in a minute; 0 for any number.
        :param burst: Requests that it may send at once.
        :param now: Seconds of a clock that never goes back.
        """
        self._per_s, self._burst, self._now = per_minute / 60, float(burst), now
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> None:
        """Count a request.

        :raises BusyError: when there were too many; it says how long the client has to wait for its turn.
        """
        if not self._per_s:
            return
        with self._lock:
            now = self._now()
            left, before = self._buckets.pop(client, (self._burst, now))
            left = min(self._burst, left + (now - before) * self._per_s)
            self._buckets[client] = (left - 1 if left >= 1 else left, now)
            if len(self._buckets) > _MOST_CLIENTS:
                self._buckets.popitem(last=False)
        if left < 1:
            wait_s = (1 - left) / self._per_s
            raise BusyError(
                f"You have sent more than {self._per_s * 60:g} requests a minute: try again in {wait_s:.1f} s.",
                wait_s=wait_s,
            )
