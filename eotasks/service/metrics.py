"""Counts for Prometheus, of one process or of all that share a folder (PROMETHEUS_MULTIPROC_DIR)."""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from eotasks.storage.process import is_running

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Set before prometheus_client is imported, it has processes keep their counts in files of that folder."""

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """What is counted. Labels are of few values: paths of routes, methods, statuses."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "eotasks_requests", "Requests that were answered.", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "eotasks_request_seconds",
            "Seconds from the first byte of a request to the last of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._bytes = Counter("eotasks_answer_bytes", "Bytes of answers.", ["route"], registry=self._registry)
        self._under_way = Gauge(
            "eotasks_requests_under_way",
            "Requests that are not answered yet.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )

    def begin(self) -> None:
        """A request has come."""
        self._under_way.inc()

    def end(self, route: str, status: int, *, seconds: float, size: int) -> None:
        """It was answered."""
        self._under_way.dec()
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        self._bytes.labels(route).inc(size)

    def text(self) -> bytes:
        """All counts, as Prometheus reads them: those of all processes where they share a folder."""
        folder = os.environ.get(FOLDER_VARIABLE)
        if not folder:
            return generate_latest(self._registry)
        forget_dead(Path(folder))
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]  # half typed
        return generate_latest(shared)


def forget_dead(folder: Path) -> None:
    """Take away what processes that were killed had under way; what they have counted stays.

    :param folder: Of the counts: one file a process and kind, named by the process.
    """
    for path in folder.glob("gauge_live*_*.db"):
        number = path.stem.rpartition("_")[2]
        if number.isdigit() and not is_running(int(number)):
            path.unlink(missing_ok=True)  # others look at the same time
