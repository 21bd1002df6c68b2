"""What web servers have answered this process: requests and bytes, for whoever measures what a piece of work costs."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Traffic:
    """Answers of servers."""

    requests: int = 0
    bytes: int = 0

    def __sub__(self, before: Traffic) -> Traffic:
        return Traffic(self.requests - before.requests, self.bytes - before.bytes)

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(self.requests + other.requests, self.bytes + other.bytes)


class TrafficCounter:
    """Counts answers, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._traffic = Traffic()

    @property
    def total(self) -> Traffic:
        """All so far."""
        return self._traffic

    def add(self, length: object) -> None:
        """One answer.

        :param length: Bytes of its content, as its header says; what is no number counts as none.
        """
        try:
            size = max(int(str(length)), 0)
        except ValueError:
            size = 0
        with self._lock:
            self._traffic += Traffic(1, size)

    def note(self, answer: Any, **_: object) -> None:
        """One answer of requests: a hook of its sessions. That to HEAD says a length, and has no content."""
        self.add(0 if getattr(answer.request, "method", None) == "HEAD" else answer.headers.get("Content-Length"))


WEB = TrafficCounter()
"""Of the sessions that read products and documents from the web."""
