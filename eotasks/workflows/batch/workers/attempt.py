"""A patch that a worker has: which step it is in and since when, what was logged, and how long it may take."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from eotasks.errors import BatchError
from eotasks.workflows.batch.workers.job import LOG_LINES, PatchJob, PatchReport, log_line
from eotasks.workflows.batch.workers.queue import PatchQueue

LOGGER = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""Between two looks at workers that say nothing."""

_SLOW_SECONDS = 120.0
_SLOW_FACTOR = 10.0
"""A step is slow when it has taken so many times as long as the slowest that has ended, and longer than two minutes."""


class Attempt:
    """One attempt at a patch, as the parent of its worker sees it.

    :param job: The patch.
    """

    def __init__(self, job: PatchJob) -> None:
        self.job = job
        self.began = self.step_began = time.monotonic()
        self.node: str | None = None
        """The node that runs; None before the first."""
        self.warned: str | None = None
        """The node that a warning was given of."""
        self._since = datetime.now()  # noqa: DTZ005  # eo-learn's times are naive
        self._log: deque[str] = deque(maxlen=LOG_LINES)

    def begin_step(self, uid: str) -> None:
        """A node begins."""
        self.node, self.step_began, self._since = uid, time.monotonic(), datetime.now()  # noqa: DTZ005  # the same

    def keep_log(self, record: logging.LogRecord) -> None:
        """Keeps a line of its log."""
        self._log.append(log_line(record))

    def lose(
        self, queue: PatchQueue, error: BatchError, steps: Mapping[str, str], *, caused_by_patch: bool = False
    ) -> PatchReport | None:
        """Its worker is gone: as `PatchQueue.lose`.

        :param steps: Names of the steps by node uid.
        """
        step = steps.get(self.node, "unknown") if self.node else "before the first"
        report = queue.lose(
            self.job, error, since=self._since, uid=self.node, step=step, caused_by_patch=caused_by_patch
        )
        return None if report is None else replace(report, log="\n".join(self._log))


class StepWatch:
    """Watches how long patches and their steps take.

    :param steps: Names of the steps by node uid.
    :param patch_timeout: Seconds that a patch may take; None for any time.
    """

    def __init__(self, steps: Mapping[str, str], patch_timeout: float | None) -> None:
        self.patch_timeout = patch_timeout
        self._steps = steps
        self._slowest: dict[str, float] = {}

    def seconds_to_wait(self, attempts: list[Attempt]) -> float:
        """How long a pool may wait for messages before it looks after its workers."""
        if self.patch_timeout is None or not attempts:
            return LOOK_SECONDS
        left = min(attempt.began for attempt in attempts) + self.patch_timeout - time.monotonic()
        return max(0.0, min(LOOK_SECONDS, left))

    def end(self, report: PatchReport) -> None:
        """A patch has ended."""
        for uid, stats in report.results.stats.items():
            seconds = (stats.end_time - stats.start_time).total_seconds()
            self._slowest[uid] = max(seconds, self._slowest.get(uid, 0.0))

    def overdue(self, attempt: Attempt) -> BatchError | None:
        """Why a worker has to be ended, if it has; warns of a step far slower than those of the others."""
        now = time.monotonic()
        if self.patch_timeout is not None and now - attempt.began >= self.patch_timeout:
            return BatchError(
                f"It took more than {self.patch_timeout:g} s, and its worker was ended: look why this step hangs, or"
                " raise patch_timeout."
            )
        seconds, slowest = now - attempt.step_began, self._slowest.get(attempt.node or "")
        is_slow = slowest is not None and seconds > max(_SLOW_SECONDS, _SLOW_FACTOR * slowest)
        if is_slow and attempt.warned != attempt.node:
            attempt.warned = attempt.node
            LOGGER.warning(
                "Patch %s has been in step %s for %.0f s, other patches took %.1f s at most: with patch_timeout it"
                " would be ended.", attempt.job.name, self._steps.get(attempt.node or ""), seconds, slowest,
            )  # fmt: skip
        return None


def hand_on(record: logging.LogRecord) -> None:
    """Gives a record of a worker to this process's handlers; what those raise is no reason to end the batch."""
    with contextlib.suppress(Exception):
        logging.getLogger(record.name).handle(record)
