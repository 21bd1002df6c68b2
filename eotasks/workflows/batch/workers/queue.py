"""Which patch is next, and what a lost worker costs: the same for worker processes, threads and Ray.

A backend takes a job when it has a worker free, and says what became of it: ``finish`` with the report that came back,
``lose`` when the worker went with the patch. A lost patch goes to the end of the queue, so that the others come first,
until it has cost three workers; then it is quarantined. It cannot lose more than that, and the batch loses nothing.

Workers are also lost for reasons that no patch is guilty of: preempted machines, an impatient administrator, a chaos
trial. Where that happens often, three deaths in a row meet an innocent patch sooner or later. So a death that is
not certain to be the patch's own doing counts for less when it is one of many: once several other patches have lost
workers too, and one of them has ended well after all, a patch gets up to ten attempts. Another attempt costs the start
of a worker, a wrong quarantine costs the patch.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from eotasks.workflows.batch.workers.job import PatchJob, PatchReport, lost_report

LOGGER = logging.getLogger(__name__)

DEATHS = 3
"""Workers that a patch may cost before it is quarantined."""

MOST_DEATHS = 10
"""The same where workers die under patches that are well too."""

_OTHERS = 4
"""Other patches that have lost a worker for no reason of their own, before deaths count as the machine's."""


class PatchQueue:
    """The patches of a batch: waiting, running, and how many workers each has cost.

    Not safe between threads: the one thread that hands out the work owns it.

    :param jobs: The patches in the order in which they are to begin.
    :param on_start: Told each job as it is taken, its ``attempt`` counted.
    :param on_lost: Told each job whose worker is gone and that will run again, with the report of the loss.
    """

    def __init__(
        self,
        jobs: Iterable[PatchJob],
        *,
        on_start: Callable[[PatchJob], None] | None = None,
        on_lost: Callable[[PatchJob, PatchReport], None] | None = None,
    ) -> None:
        self._waiting = deque(jobs)
        self._running: dict[int, PatchJob] = {}
        self._on_start = on_start
        self._on_lost = on_lost
        self._own_deaths: Counter[int] = Counter()
        self._other_deaths: Counter[int] = Counter()
        self._survivors = 0

    def __len__(self) -> int:
        """Patches that wait or run."""
        return len(self._waiting) + len(self._running)

    @property
    def waiting(self) -> list[PatchJob]:
        """Patches that no worker has, the next one first."""
        return list(self._waiting)

    @property
    def running(self) -> list[PatchJob]:
        """Patches that a worker has, in the order in which they were taken."""
        return list(self._running.values())

    def take(self) -> PatchJob | None:
        """The next patch, for a worker that is free; None when none waits."""
        if not self._waiting:
            return None
        waiting = self._waiting.popleft()
        job = replace(waiting, attempt=waiting.attempt + 1)
        self._running[job.index] = job
        if self._on_start is not None:
            self._on_start(job)
        return job

    def put_back(self, job: PatchJob) -> None:
        """A patch that was taken and never began (its worker was gone before): it is next, at no cost."""
        del self._running[job.index]
        self._waiting.appendleft(replace(job, attempt=job.attempt - 1))

    def finish(self, report: PatchReport) -> PatchReport:
        """The report of a patch that ended, well or with an error of its own."""
        job = self._running.pop(report.index)
        self._survivors += self._other_deaths[job.index] > 0
        return replace(report, attempts=job.attempt)

    def lose(
        self,
        job: PatchJob,
        error: Exception,
        *,
        since: datetime,
        uid: str | None = None,
        step: str = "unknown",
        own_doing: bool = False,
    ) -> PatchReport | None:
        """A patch whose worker is gone: it waits again, or it is quarantined.

        :param job: What `take` gave.
        :param error: What is known of the death.
        :param since: When the step, or the patch, began.
        :param uid: The node that ran; None when nobody knows.
        :param step: Its name.
        :param own_doing: It is certain that the patch itself ended the worker, by a crash or by taking all memory.
        :return: The report of a patch that is quarantined; None when it will run again.
        """
        del self._running[job.index]
        report = replace(lost_report(job, error, since, uid=uid, step=step), attempts=job.attempt)
        deaths = self._own_deaths if own_doing else self._other_deaths
        deaths[job.index] += 1
        if self._is_culprit(job.index):
            LOGGER.warning("Patch %s is quarantined: %d workers were lost with it. %s", job.name, job.attempt, error)
            return replace(report, quarantined=True)
        LOGGER.warning("Patch %s, step %s, attempt %d: %s It runs again.", job.name, step, job.attempt, error)
        self._waiting.append(job)
        if self._on_lost is not None:
            self._on_lost(job, report)
        return None

    def _is_culprit(self, index: int) -> bool:
        deaths = self._own_deaths[index] + self._other_deaths[index]
        if self._own_deaths[index] >= DEATHS or deaths >= MOST_DEATHS:
            return True
        others = sum(count > 0 for other, count in self._other_deaths.items() if other != index)
        return deaths >= DEATHS and not (others >= _OTHERS and self._survivors)
