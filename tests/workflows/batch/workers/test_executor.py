from __future__ import annotations

from pathlib import Path

import pytest
from eolearn.core import EONode

from eotasks.errors import BatchError, ConfigurationError
from eotasks.workflows.batch.run import run_batch
from eotasks.workflows.batch.workers.executor import WorkerExecutor
from tests.builders.batch_tasks import BehaveTask
from tests.builders.batches import behaving, facts, facts_batch


def test_the_executor_is_an_eoexecutor_that_takes_a_generator(tmp_path: Path) -> None:
    workflow, patches = facts_batch(tmp_path, 3)
    kwargs = ({node: dict(values) for node, values in of.items()} for of in patches.values())
    executor = WorkerExecutor(
        workflow, kwargs, execution_names=list(patches), save_logs=True, logs_folder=str(tmp_path / "logs")
    )
    results = executor.run(workers=2)
    assert len(results) == len(facts(tmp_path)) == 3
    assert executor.get_successful_executions() == [0, 1, 2]
    assert sorted(executor.outcomes) == ["p0", "p1", "p2"]
    assert len(list((tmp_path / "logs").rglob("*.log"))) == 3


def test_arguments_for_a_foreign_node_are_refused() -> None:
    foreign = EONode(BehaveTask())
    with pytest.raises(BatchError, match="BehaveTask, which is not part of the workflow"):
        run_batch(behaving("a")[0], {"p": {foreign: {"name": "a"}}})


def test_it_runs_nothing_on_ray() -> None:
    workflow, _ = behaving("a")
    with pytest.raises(ConfigurationError, match="RayWorkerExecutor"):
        WorkerExecutor(workflow, [{}], executor="ray").run(workers=1)
