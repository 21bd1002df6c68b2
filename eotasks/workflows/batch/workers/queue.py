"""Which patch is next, and what a lost worker costs: the same for worker processes, threads and Ray.

A pool takes a job when it has a worker free, and says how it ended: ``finish`` with the report that came back,
``lose`` when the worker is gone. A lost patch goes to the end of the queue, so that the others come first,
until it has cost three workers; then it is quarantined. It cannot lose more than that, and the batch loses nothing.

Workers are also lost for reasons that no patch causes: preempted machines, an administrator who ends processes, a chaos
trial. Where that happens often, a patch that is well loses three in a row sooner or later. So a loss that the patch has
not certainly caused counts for less when it is one of many: once several other patches have lost workers too, and one
of them has ended well after all, a patch gets up to ten attempts. Another attempt costs the start of a worker, a wrong
quarantine costs the patch.

A worker may be told which patch it will get next, to prepare it (`eotasks.workflows.batch.ahead`): that one is reserved
for it, and goes to another worker only where nothing else waits. It is not begun by that. What has cost a worker, or
was being prepared by one that is gone, is prepared no more, and nothing is prepared beside it: each answers for itself.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from datetime import datetime

from eotasks.workflows.batch.workers.job import PatchJob, PatchReport, lost_report

LOGGER = logging.getLogger(__name__)

MAX_LOST_WORKERS = 3
"""Workers that a patch may cost before it is quarantined."""

MAX_LOST_WORKERS_IF_COMMON = 10
"""The same where workers die under patches that are well too."""

_OTHERS = 4
"""Other patches that have lost a worker for no reason of their own, before losses count as the machine's."""


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
        self._caused: Counter[int] = Counter()
        self._uncertain: Counter[int] = Counter()
        self._recovered = 0
        self._reserved: dict[Hashable, int] = {}
        self._suspects: set[int] = set()

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

    def take(self, worker: Hashable = None) -> PatchJob | None:
        """The next patch, for a worker that is free: the one that is reserved for it, else one that is not, else any.

        :param worker: Which one; None for one that nothing was reserved for.
        :return: None when none waits.
        """
        if not self._waiting:
            return None
        own = self._reserved.pop(worker, None)
        waiting = self._first(lambda job: job.index == own) if own is not None else None
        if waiting is None:
            others = set(self._reserved.values())
            waiting = self._first(lambda job: job.index not in others) if others else None
        if waiting is None:
            waiting = self._waiting[0]
        self._waiting.remove(waiting)  # one of the first
        job = replace(waiting, attempt=waiting.attempt + 1)
        self._running[job.index] = job
        if self._on_start is not None:
            self._on_start(job)
        return job

    def reserve(self, worker: Hashable, job: PatchJob, *, spare: int) -> PatchJob | None:
        """The patch that a worker will get after the one that it has now, and may prepare meanwhile.

        :param job: What it has now.
        :param spare: How many others have to be left for the other workers.
        :return: None where it is not to prepare any.
        """
        taken = set(self._reserved.values())
        if job.attempt > 1 or len(self._waiting) - len(taken) <= spare:
            return None
        found = self._first(lambda each: not each.attempt and each.index not in taken | self._suspects)
        if found is not None:
            self._reserved[worker] = found.index
        return found

    def release(self, worker: Hashable, *, lost: bool) -> None:
        """A worker will take no more patches.

        :param lost: It died: what it prepared may be the reason.
        """
        index = self._reserved.pop(worker, None)
        if index is not None and lost:
            self._suspects.add(index)

    def _first(self, fits: Callable[[PatchJob], bool]) -> PatchJob | None:
        return next((job for job in self._waiting if fits(job)), None)

    def put_back(self, job: PatchJob) -> None:
        """A patch that was taken and never began (its worker was gone before): it is next, at no cost."""
        del self._running[job.index]
        self._waiting.appendleft(replace(job, attempt=job.attempt - 1))

    def finish(self, report: PatchReport) -> PatchReport:
        """The report of a patch that ended, well or with an error of its own."""
        job = self._running.pop(report.index)
        self._recovered += self._uncertain[job.index] > 0
        return replace(report, attempts=job.attempt)

    def lose(
        self,
        job: PatchJob,
        error: Exception,
        *,
        since: datetime,
        uid: str | None = None,
        step: str = "unknown",
        caused_by_patch: bool = False,
    ) -> PatchReport | None:
        """A patch whose worker is gone: it waits again, or it is quarantined.

        :param job: What `take` gave.
        :param error: What is known of the loss.
        :param since: When the step, or the patch, began.
        :param uid: The node that ran; None when nobody knows.
        :param step: Its name.
        :param caused_by_patch: The patch itself has certainly ended the worker, by a crash or by taking all memory.
        :return: The report of a patch that is quarantined; None when it will run again.
        """
        del self._running[job.index]
        report = replace(lost_report(job, error, since, uid=uid, step=step), attempts=job.attempt)
        losses = self._caused if caused_by_patch else self._uncertain
        losses[job.index] += 1
        if self._is_given_up(job.index):
            LOGGER.warning("Patch %s is quarantined: %d workers were lost with it. %s", job.name, job.attempt, error)
            return replace(report, quarantined=True)
        LOGGER.warning("Patch %s, step %s, attempt %d: %s It runs again.", job.name, step, job.attempt, error)
        self._waiting.append(job)
        if self._on_lost is not None:
            self._on_lost(job, report)
        return None

    def _is_given_up(self, index: int) -> bool:
        losses = self._caused[index] + self._uncertain[index]
        if self._caused[index] >= MAX_LOST_WORKERS or losses >= MAX_LOST_WORKERS_IF_COMMON:
            return True
        others = sum(count > 0 for other, count in self._uncertain.items() if other != index)
        return losses >= MAX_LOST_WORKERS and not (others >= _OTHERS and self._recovered)
