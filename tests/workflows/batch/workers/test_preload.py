"""The fork server loads a module by name, and passes over one that it cannot find."""

from __future__ import annotations

import multiprocessing
import sys

import pytest
from eolearn.core import EONode, EOWorkflow

from eotasks.errors import BatchError
from eotasks.workflows.batch.run import run_batch
from tests.builders.batch_tasks import CallTask

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="there is no fork server"),
]


def check_preloaded() -> None:
    if "eotasks.workflows.batch.workers.preload" not in sys.modules:
        raise BatchError("The fork server has not loaded it.")


def test_workers_have_what_the_fork_server_loaded() -> None:
    assert run_batch(EOWorkflow([EONode(CallTask(check_preloaded))]), {"p": {}}, workers=1).done == ["p"]
