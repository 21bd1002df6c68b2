"""Patches of which something is done while their worker has the one before: it is theirs, and no patch is lost."""

from __future__ import annotations

import threading
import time
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from eolearn.core import EONode, EOWorkflow
from hypothesis import given
from hypothesis import strategies as st

from eotasks.errors import ReflectanceError, ScaleWarning
from eotasks.workflows.batch.ahead import Ahead, Prepared, prepares
from eotasks.workflows.batch.run import run_batch
from eotasks.workflows.batch.warned import kept_warnings, warnings_of_threads
from eotasks.workflows.batch.workers.job import PatchJob, PatchReport
from eotasks.workflows.batch.workers.queue import PatchQueue
from tests.builders.batch_tasks import PassOnTask, PreparingTask

NOW = datetime(2026, 11, 23)  # noqa: DTZ001  # eo-learn's times are naive
NOTHING: Any = None


def test_a_warning_is_of_the_patch_that_was_prepared() -> None:
    begin = threading.Event()

    def make() -> int:
        begin.wait(10)
        warnings.warn("careful", ScaleWarning, stacklevel=1)
        return 7

    with warnings_of_threads():
        made = Prepared(make)
        with kept_warnings() as of_another:
            begin.set()
            while made.runs:
                time.sleep(0.001)
        with kept_warnings() as own:
            assert made.result() == 7
    assert (of_another, own) == ([], ["ScaleWarning: careful"])


def test_a_worker_prepares_one_patch(tmp_path: Path) -> None:
    node, other = EONode(PreparingTask(tmp_path)), EONode(PassOnTask())
    assert not prepares(EOWorkflow([other]))
    assert prepares(EOWorkflow([node, other]))
    ahead = Ahead(EOWorkflow([node, other]))
    assert ahead.take(0) == {}
    ahead.begin(1, {node.uid: {"name": "a"}, other.uid: {}})
    prepared = ahead.take(1)
    assert prepared.keys() == {node.uid}
    assert prepared[node.uid].result() == "a"
    ahead.begin(2, {node.uid: {"name": "faulty"}})
    with pytest.raises(ReflectanceError, match="cannot be prepared"):
        ahead.take(2)[node.uid].result()
    ahead.begin(3, {node.uid: {"name": "b"}})
    assert ahead.take(4) == {}  # another worker has got 3


def test_nothing_more_is_prepared_while_something_is_that_nobody_wants(tmp_path: Path) -> None:
    task, waiting = PreparingTask(tmp_path), threading.Event()
    task.prepare = lambda *, name: waiting.wait(10) and name  # type: ignore[method-assign]
    node = EONode(task)
    ahead = Ahead(EOWorkflow([node]))
    ahead.begin(1, {node.uid: {"name": "a"}})
    assert ahead.take(2) == {}
    ahead.begin(3, {node.uid: {"name": "b"}})
    assert ahead.take(3) == {}
    waiting.set()
    assert ahead.take(1)[node.uid].result() == "a"  # it was lost by the other worker


@pytest.mark.slow
def test_worker_processes(tmp_path: Path) -> None:
    """What cannot be prepared fails by itself; what ends the worker that prepares it costs the patch beside it an
    attempt, and itself three.
    """
    node = EONode(PreparingTask(tmp_path), name="prepare")
    names = ["a", "b", "c", "warning", "deadly", "d", "e", "faulty", "f", "g"]
    with pytest.warns(ScaleWarning, match="prepared"), pytest.warns(Warning, match="2 of 10"):
        result = run_batch(
            EOWorkflow([node]), {name: {node: {"name": name}} for name in names}, workers=1, threads=1, progress=False
        )
    outcomes = {outcome.name: outcome for outcome in result.outcomes}
    bad = {name: outcome.state for name, outcome in outcomes.items() if outcome.state != "done"}
    assert bad == {"deadly": "quarantined", "faulty": "failed"}
    assert outcomes["faulty"].error == "faulty: cannot be prepared."
    assert {name: outcome.attempts for name, outcome in outcomes.items() if outcome.attempts > 1} == {
        "warning": 2,
        "deadly": 3,
    }
    assert [name for name, outcome in outcomes.items() if outcome.warnings] == ["warning"]
    told = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert all(text.startswith(name) for name, text in told.items())
    assert {name for name, text in told.items() if text.endswith("not prepared")} == {"a", "warning", "d"}


def test_reserved_patches() -> None:
    queue = PatchQueue(PatchJob(index, f"p{index}", NOTHING, {}) for index in range(5))
    first = queue.take("A")
    assert first is not None
    reserved = queue.reserve("A", first, spare=1)
    assert reserved is not None
    assert (reserved.index, reserved.attempt, len(queue)) == (1, 0, 5)
    other = queue.take("B")
    assert other is not None
    assert other.index == 2  # not the one of A
    assert queue.reserve("B", other, spare=2) is None  # 3 and 4 are for others
    queue.release("A", lost=True)
    assert queue.lose(first, RuntimeError("gone"), since=NOW) is None
    found = queue.reserve("B", other, spare=1)
    assert found is not None
    assert found.index == 3  # 1 may be why A has died
    queue.finish(PatchReport(other.index, NOTHING, {}))
    taken = [queue.take("C"), queue.take("C"), queue.take("C")]
    assert [job.index for job in taken if job is not None] == [1, 4, 0]
    assert taken[2] is not None
    assert queue.reserve("C", taken[2], spare=0) is None  # it has cost a worker: nothing beside it
    last = queue.take("D")  # nothing else waits
    assert last is not None
    assert last.index == 3


@given(st.data())
def test_each_patch_runs_to_its_end_once(data: st.DataObject) -> None:
    """Whatever workers do, and whenever they die."""
    count = data.draw(st.integers(1, 7))
    queue = PatchQueue(PatchJob(index, f"p{index}", NOTHING, {}) for index in range(count))
    running: dict[int, PatchJob] = {}
    ended: list[int] = []
    worker = 0
    while queue:
        worker = data.draw(st.sampled_from([*running, worker + 1]))
        job = running.pop(worker, None)
        if job is None:
            job = queue.take(worker)
            if job is not None:
                running[worker] = job
                reserved = queue.reserve(worker, job, spare=data.draw(st.integers(0, 2)))
                assert reserved is None or (reserved.attempt == 0 and job.attempt == 1)
        elif data.draw(st.booleans()):
            ended.append(queue.finish(PatchReport(job.index, NOTHING, {})).index)
            following = queue.take(worker)
            if following is not None:
                running[worker] = following
        else:
            queue.release(worker, lost=True)
            report = queue.lose(job, RuntimeError("gone"), since=NOW)
            ended += [] if report is None else [report.index]
    assert sorted(ended) == list(range(count))
