"""How often a client may ask: a bucket of tokens for each, filled at a constant rate."""

from __future__ import annotations

import time
from collections.abc import Callable

from eotasks.service.errors import BusyError
from eotasks.service.traffic.buckets import Bucket, Buckets, OwnBuckets


class Rate:
    """Requests of each client in a time. May be used by several threads."""

    def __init__(
        self,
        *,
        per_minute: float,
        burst: int,
        now: Callable[[], float] = time.monotonic,
        buckets: Buckets | None = None,
    ) -> None:
        """
        :param per_minute: Requests of a client in a minute; 0 for any number.
        :param burst: Requests that it may send at once.
        :param now: Seconds of a clock that never goes back.
        :param buckets: Where it is kept what clients have left; None for in this process alone.
        """
        self._per_s, self._burst, self._now = per_minute / 60, float(burst), now
        self._buckets: Buckets = OwnBuckets() if buckets is None else buckets

    def take(self, client: str) -> None:
        """Count a request.

        :raises BusyError: when there were too many; it says how long the client has to wait for its turn.
        """
        if not self._per_s:
            return
        had = self._burst

        def step(bucket: Bucket | None) -> Bucket:
            nonlocal had
            now = self._now()
            had = self._filled(bucket, now)
            return Bucket(had - 1 if had >= 1 else had, now)

        self._buckets.change(client, step)
        if had < 1:
            wait_s = (1 - had) / self._per_s
            raise BusyError(
                f"You have sent more than {self._per_s * 60:g} requests a minute: try again in {wait_s:.1f} s.",
                wait_s=wait_s,
            )

    def _filled(self, bucket: Bucket | None, now: float) -> float:
        # Whoever wrote it may have been killed in the middle: then it says what cannot be, and is full.
        if bucket is None or not (0 <= bucket.left <= self._burst and bucket.at <= now):
            return self._burst
        return min(self._burst, bucket.left + (now - bucket.at) * self._per_s)
