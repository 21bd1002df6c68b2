from __future__ import annotations

import pytest
from eolearn.core import EONode, EOWorkflow

from eotasks.errors import BatchError, StorageError
from eotasks.workflows.batch.run import run_batch
from tests.builders.batch_tasks import CallTask, UnrebuildableTask
from tests.builders.batches import behaving


def test_a_lambda_is_named_before_work_starts_and_works_in_threads() -> None:
    node = EONode(CallTask(lambda: 1))
    with pytest.raises(BatchError, match=r"Task CallTask \(attribute function\) cannot go to a worker"):
        run_batch(EOWorkflow([node]), {"p": {}})
    assert run_batch(EOWorkflow([node]), {"p": {}}, executor="threads").exit_code == 0


def test_arguments_that_cannot_be_pickled_are_named() -> None:
    workflow, _ = behaving()
    with pytest.raises(BatchError, match="arguments of patch 'p' cannot go to a worker"):
        run_batch(workflow, {"p": {workflow.get_nodes()[0]: {"name": lambda: 1}}})


@pytest.mark.parametrize("error", [RuntimeError, StorageError])  # our own is an OSError, as those of connections are
def test_a_workflow_that_cannot_be_rebuilt_is_an_error_of_the_batch(error: type[Exception]) -> None:
    with pytest.raises(BatchError, match=r"cannot be rebuilt in a worker process .*made only where it was born"):
        run_batch(EOWorkflow([EONode(UnrebuildableTask(error))]), {"p": {}, "q": {}})
