"""Memory of this process and of all that it has started, while something runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

import psutil

_SECONDS = 0.2


@dataclass
class Peak:
    """Megabytes."""

    together: float = 0.0
    """Of all processes: their own memory (USS), without what they share."""

    largest: float = 0.0
    """Of the one that had most."""


class Watch:
    """Looks five times a second; a context."""

    def __init__(self) -> None:
        self.peak = Peak()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self.peak

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(_SECONDS):
            sizes = list(_sizes())
            self.peak.together = max(self.peak.together, sum(sizes))
            self.peak.largest = max(self.peak.largest, max(sizes, default=0.0))


def _sizes() -> Iterator[float]:
    own = psutil.Process()
    for process in [own, *own.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            yield process.memory_full_info().uss / 1024**2
