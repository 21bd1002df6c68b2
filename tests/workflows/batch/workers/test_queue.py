from __future__ import annotations

from datetime import datetime

import pytest
from eolearn.core.eoexecution import _ProcessingData
from eolearn.core.eoworkflow import EOWorkflow, WorkflowResults
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.errors import BatchError
from eotasks.workflows.batch.workers.job import PatchJob, PatchReport
from eotasks.workflows.batch.workers.queue import MAX_LOST_WORKERS, MAX_LOST_WORKERS_IF_COMMON, PatchQueue

NOW = datetime(2026, 11, 23)  # noqa: DTZ001  # eo-learn's times are naive
DEATH = BatchError("The worker process ended (SIGKILL).")
DATA = _ProcessingData(
    workflow=EOWorkflow([]),
    workflow_kwargs={},
    pickled_filesystem=b"",
    log_path=None,
    filter_logs_by_thread=False,
    logs_filter=None,
    logs_handler_factory=lambda path: None,  # type: ignore[arg-type,return-value]  # never called
    raise_on_temporal_mismatch=False,
)


def jobs(count: int) -> list[PatchJob]:
    return [PatchJob(index, f"p{index}", DATA, {}) for index in range(count)]


def ended(index: int) -> PatchReport:
    return PatchReport(index, WorkflowResults({}, NOW, NOW, {}), {})


def taken(queue: PatchQueue) -> PatchJob:
    job = queue.take()
    assert job is not None
    return job


def lose(queue: PatchQueue, job: PatchJob) -> PatchReport | None:
    return queue.lose(job, DEATH, since=NOW)


def test_patches_come_in_order_and_are_counted() -> None:
    started: list[tuple[str, int]] = []
    queue = PatchQueue(jobs(2), on_start=lambda job: started.append((job.name, job.attempt)))
    first, second = taken(queue), taken(queue)
    assert queue.take() is None
    assert started == [("p0", 1), ("p1", 1)]
    assert (len(queue), queue.waiting, [job.name for job in queue.running]) == (2, [], ["p0", "p1"])
    assert queue.finish(ended(second.index)).attempts == 1
    assert queue.finish(ended(first.index)).attempts == 1
    assert not queue


def test_a_lost_patch_comes_again_after_the_others() -> None:
    lost: list[tuple[str, int]] = []
    queue = PatchQueue(jobs(3), on_lost=lambda job, report: lost.append((job.name, report.attempts)))
    assert lose(queue, taken(queue)) is None
    assert lost == [("p0", 1)]
    assert [taken(queue).name for _ in range(3)] == ["p1", "p2", "p0"]
    assert queue.finish(ended(0)).attempts == 2


def test_three_deaths_quarantine_and_the_report_tells_of_the_last() -> None:
    queue = PatchQueue(jobs(1))
    assert lose(queue, taken(queue)) is None
    assert lose(queue, taken(queue)) is None
    report = queue.lose(taken(queue), DEATH, since=NOW, uid="node", step="Load")
    assert report is not None
    assert (report.quarantined, report.attempts) == (True, 3)
    assert report.results.stats["node"].exception_info.exception is DEATH  # type: ignore[union-attr]
    assert not queue


def test_a_patch_that_was_put_back_is_next_and_has_lost_nothing() -> None:
    queue = PatchQueue(jobs(2))
    queue.put_back(taken(queue))
    again = taken(queue)
    assert (again.name, again.attempt) == ("p0", 1)


def storm(count: int, *, survivors: int) -> PatchQueue:
    """A queue of so many patches that each lost a worker; some of them have ended since. The first one waits."""
    queue = PatchQueue(jobs(count))
    for job in [taken(queue) for _ in range(count)]:
        assert lose(queue, job) is None
    first, *others = [taken(queue) for _ in range(count)]
    for job in others[:survivors]:
        queue.finish(ended(job.index))
    for job in reversed([first, *others[survivors:]]):
        queue.put_back(job)
    return queue


def deaths_until_quarantine(queue: PatchQueue, *, caused_by_patch: bool = False) -> int:
    """Loses the patches that are left, the first one again and again."""
    while True:
        job = taken(queue)
        if job.index:
            queue.finish(ended(job.index))
            continue
        report = queue.lose(job, DEATH, since=NOW, caused_by_patch=caused_by_patch)
        if report is not None:
            assert report.quarantined
            return report.attempts


def test_where_workers_die_under_everyone_three_deaths_prove_nothing() -> None:
    assert deaths_until_quarantine(storm(5, survivors=1)) == MAX_LOST_WORKERS_IF_COMMON


def test_few_flaky_patches_are_no_storm() -> None:
    assert deaths_until_quarantine(storm(4, survivors=3)) == MAX_LOST_WORKERS


def test_where_everyone_dies_and_nobody_ends_three_are_enough() -> None:
    queue = PatchQueue(jobs(8))
    attempts = []
    while queue:
        report = lose(queue, taken(queue))
        attempts += [report.attempts] if report is not None else []
    assert attempts == [MAX_LOST_WORKERS] * 8


def test_what_is_certain_counts_in_a_storm_too() -> None:
    assert (
        deaths_until_quarantine(storm(9, survivors=8), caused_by_patch=True) == MAX_LOST_WORKERS + 1
    )  # one was the storm's


def test_crashes_are_no_storm() -> None:
    queue = PatchQueue(jobs(9))
    for job in [taken(queue) for _ in range(9)]:
        assert queue.lose(job, DEATH, since=NOW, caused_by_patch=True) is None
    for _ in range(8):
        job = taken(queue)
        if job.index:
            queue.finish(ended(job.index))
        else:
            queue.put_back(job)
            break
    assert deaths_until_quarantine(queue) == MAX_LOST_WORKERS


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 12),
    workers=st.integers(1, 4),
    deaths=st.lists(st.booleans(), max_size=120),
    poison=st.sets(st.integers(0, 11), max_size=3),
)
def test_every_patch_ends_once_whatever_dies(count: int, workers: int, deaths: list[bool], poison: set[int]) -> None:
    queue = PatchQueue(jobs(count))
    coming = iter(deaths)
    running: list[PatchJob] = []
    reports: list[PatchReport] = []
    while queue:
        while len(running) < workers and (job := queue.take()) is not None:
            running.append(job)
        job = running.pop(0)
        dies = job.index in poison or next(coming, False)
        report = lose(queue, job) if dies else queue.finish(ended(job.index))
        reports += [report] if report is not None else []
    assert sorted(report.index for report in reports) == list(range(count))
    for report in reports:
        if report.index in poison:
            assert report.quarantined
        assert report.attempts <= MAX_LOST_WORKERS_IF_COMMON
        assert not report.quarantined or report.attempts >= MAX_LOST_WORKERS


@pytest.mark.parametrize("deaths", [0, 1, 2])
def test_fewer_deaths_never_quarantine(deaths: int) -> None:
    queue = PatchQueue(jobs(1))
    for _ in range(deaths):
        assert lose(queue, taken(queue)) is None
    assert queue.finish(ended(taken(queue).index)).attempts == deaths + 1
