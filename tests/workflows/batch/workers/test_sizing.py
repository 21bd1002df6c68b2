from __future__ import annotations

import itertools
import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest
from eolearn.core import EONode, EOWorkflow

from eotasks.errors import ConfigurationError
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.batch.run import run_batch
from eotasks.workflows.batch.workers import sizing
from eotasks.workflows.batch.workers.executor import WorkerExecutor
from eotasks.workflows.batch.workers.sizing import MachineCapacity, Sizing, free_memory_mb
from tests.builders.batch_tasks import AllocateTask, CallTask
from tests.builders.batches import behaving, facts, facts_batch, run_failing_batch


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight cores and 1000 MB free."""
    monkeypatch.setattr(sizing, "available_cores", lambda: 8)
    monkeypatch.setattr(sizing, "free_memory_mb", lambda: 1000.0)


def outcome(peak: float, state: str = "done") -> PatchOutcome:
    return PatchOutcome("p", state, peak_memory_mb_by_step={"Load": peak / 2, "Save": peak})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("peak", "jobs", "threads", "expected"),
    [
        (50, 100, None, (8, 1)),
        (100, 100, None, (8, 1)),
        (101, 100, None, (7, 1)),
        (200, 100, None, (4, 2)),
        (500, 100, None, (1, 8)),
        (5000, 100, None, (1, 8)),
        (200, 3, None, (3, 2)),
        (200, 100, 3, (4, 3)),
    ],
)
@pytest.mark.usefixtures("machine")
def test_as_many_as_fit_into_80_percent_of_free_memory(
    peak: float, jobs: int, threads: int | None, expected: tuple[int, int]
) -> None:
    size = Sizing(MachineCapacity(jobs, threads)).observe(outcome(peak))
    assert size is not None
    assert (size.workers, size.threads) == expected
    assert f"a patch alone took {peak:,} MB, 1,000 MB were free" in size.note
    assert ("memory" in size.note) == (0.8 * 1000 / peak < min(8, jobs))


@pytest.mark.usefixtures("machine")
def test_a_patch_that_fails_early_says_little() -> None:
    several = Sizing(MachineCapacity(100))
    assert several.observe(outcome(10, "failed")) is None
    size = several.observe(outcome(400))
    assert size is not None
    assert size.workers == 2
    hopeless = Sizing(MachineCapacity(100))
    assert [hopeless.observe(outcome(400, "failed")) for _ in range(2)] == [None, None]
    assert hopeless.observe(outcome(10, "failed")) is not None


@pytest.mark.usefixtures("machine")
def test_one_patch_needs_no_measure() -> None:
    assert Sizing(MachineCapacity(1)).size is not None
    assert Sizing(MachineCapacity(100)).size is None
    assert Sizing(MachineCapacity(100)).trial.threads == 1


def test_limits_of_containers_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "_CGROUP", tmp_path)
    free = free_memory_mb()
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1048576\n")
    assert free_memory_mb() == pytest.approx(free, rel=0.5)
    (tmp_path / "memory.max").write_text(f"{11 * 1024**2}\n")
    assert free_memory_mb() == 10.0
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory/memory.limit_in_bytes").write_text(f"{5 * 1024**2}\n")
    (tmp_path / "memory/memory.usage_in_bytes").write_text(f"{6 * 1024**2}\n")
    assert free_memory_mb() == 0.0


@pytest.mark.parametrize("workers", [None, "auto"])
def test_the_first_patch_runs_alone_then_come_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sizing, "available_cores", lambda: 3)
    workflow, patches = facts_batch(tmp_path, 12)
    with caplog.at_level(logging.INFO, logger="eotasks.workflows.batch.workers.executor"):
        result = run_batch(workflow, patches, workers=workers)  # type: ignore[arg-type]  # parametrised text
    assert (result.workers, result.threads, result.exit_code) == (3, 1, 0)
    assert result.note.startswith("3 workers (3 cores): a patch alone took ")
    assert result.note in caplog.text
    assert 1 <= len({one["pid"] for one in facts(tmp_path)}) <= 3


def test_little_memory_means_one_worker_with_all_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "available_cores", lambda: 4)
    monkeypatch.setattr(sizing, "free_memory_mb", lambda: 60.0)
    workflow, patches = facts_batch(tmp_path, 3)
    result = run_batch(workflow, patches)
    assert (result.workers, result.threads) == (1, 4)
    assert "memory sets the limit" in result.note
    threads = [one["environment"]["EOTASKS_NUM_THREADS"] for one in facts(tmp_path)]  # type: ignore[index]
    assert threads == ["1", "4", "4"], "the first as beside the others, then a worker with all cores"


def test_a_first_patch_that_kills_its_worker_does_not_set_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "available_cores", lambda: 2)
    workflow, patches = behaving("killed", "a", "b", "c")
    result = run_failing_batch(workflow, patches)
    assert (result.done, result.quarantined, result.workers) == (["a", "b", "c"], ["killed"], 2)


def test_nothing_ends_well_and_all_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "available_cores", lambda: 2)
    workflow, patches = behaving("killed", "exit")
    result = run_failing_batch(workflow, patches)
    assert (result.quarantined, result.workers) == (["killed", "exit"], 1)
    assert "one by one" in result.note


def test_memory_of_the_patch_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "available_cores", lambda: 2)
    monkeypatch.setattr(sizing, "free_memory_mb", lambda: 700.0)
    node = EONode(AllocateTask(300))
    assert run_batch(EOWorkflow([node]), {"a": {}, "b": {}, "c": {}}).workers == 1


def test_words_for_workers_are_checked() -> None:
    workflow, patches = behaving("a")
    with pytest.raises(ConfigurationError, match=r"workers='many'.*'auto'"):
        run_batch(workflow, patches, workers="many")  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.usefixtures("machine")
def test_patches_that_grow_after_the_trial_get_fewer_workers() -> None:
    several = Sizing(MachineCapacity(100))
    assert several.grow(outcome(400)) is None, "there is no size yet"
    several.observe(outcome(100))
    sizes = [several.grow(outcome(peak)) for peak in (100, 119, 200, 90, 210, 500, 900)]
    assert [size and (size.workers, size.threads) for size in sizes] == [None, None, (4, 2), None, None, (1, 8), None]


def test_a_batch_has_fewer_workers_when_its_patches_grow(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sizing, "available_cores", lambda: 3)
    node = EONode(CallTask(os.getpid))
    executor = WorkerExecutor(EOWorkflow([node]), [{}] * 6)
    outcome = executor._outcome
    peaks = iter([100.0, 100.0, 500.0])
    monkeypatch.setattr(sizing, "free_memory_mb", lambda: 1000.0)
    monkeypatch.setattr(
        executor, "_outcome", lambda report: replace(outcome(report), peak_memory_mb_by_step={"x": next(peaks, 500.0)})
    )
    with caplog.at_level(logging.WARNING):
        assert len(executor.run(workers=None)) == 6
    assert executor.size is not None
    assert executor.size.workers == 1
    assert "A patch took more memory than those before. 1 workers (memory sets the limit)" in caplog.text


def test_a_worker_killed_for_lack_of_memory_is_not_replaced_where_their_number_was_chosen(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kills = itertools.count()
    monkeypatch.setattr("eotasks.workflows.batch.workers.pool.oom_kills", lambda: next(kills))  # one more at each look
    monkeypatch.setattr(sizing, "available_cores", lambda: 2)
    monkeypatch.setattr(sizing, "free_memory_mb", lambda: 1e6)
    workflow, patches = behaving("a", "killed", "b")
    with caplog.at_level(logging.WARNING):
        result = run_failing_batch(workflow, patches)
    assert (result.quarantined, result.done) == (["killed"], ["a", "b"])
    assert caplog.messages.count("Memory has run out: the batch goes on with 1 workers.") == 1
