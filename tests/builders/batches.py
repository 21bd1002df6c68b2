"""Batches for tests, and what came of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from eolearn.core import EONode, EOWorkflow

from eotasks.errors import PatchFailedWarning
from eotasks.storage.place import Place
from eotasks.workflows.batch.manifest import Event, iter_events
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.batch.result import BatchResult
from eotasks.workflows.batch.run import run_batch
from tests.builders.batch_tasks import BehaveTask, FaultTask, HangTask, PassOnTask, WriteFactsTask

Arguments = Mapping[str, Mapping[EONode, Mapping[str, object]]]


def behaving(*names: str) -> tuple[EOWorkflow, Arguments]:
    """A batch whose patches do what their names say (`BehaveTask`)."""
    first = EONode(BehaveTask(), name="Behave")
    last = EONode(PassOnTask(), inputs=[first])
    return EOWorkflow([first, last]), {name: {first: {"name": name}} for name in names}


def faulty(*names: str, values: Mapping[str, object] | None = None) -> tuple[EOWorkflow, Arguments]:
    """A batch of patches that do what their names say (`FaultTask`).

    :param values: Further arguments of patches by their names.
    """
    node = EONode(FaultTask(), name="Fault")
    given = values or {}
    return EOWorkflow([node]), {name: {node: {"name": name, "value": given.get(name)}} for name in names}


def hanging(folder: Path, *names: str) -> tuple[EOWorkflow, Arguments]:
    """The same with `HangTask`."""
    node = EONode(HangTask(folder), name="Hang")
    return EOWorkflow([node]), {name: {node: {"name": name}} for name in names}


def facts_batch(folder: Path, count: int) -> tuple[EOWorkflow, Arguments]:
    """A batch whose patches ``p0``, ``p1``, ... write facts of their process (`WriteFactsTask`)."""
    node = EONode(WriteFactsTask(folder))
    return EOWorkflow([node]), {f"p{index}": {node: {"name": f"p{index}"}} for index in range(count)}


def facts(folder: Path) -> list[dict[str, object]]:
    """What the patches of `facts_batch` wrote."""
    return [json.loads(file.read_text()) for file in sorted(folder.glob("p*.json"))]


def states(result: BatchResult) -> dict[str, str]:
    """The state of each patch."""
    return {outcome.name: outcome.state for outcome in result.outcomes}


def run_failing_batch(workflow: EOWorkflow, patches: Arguments, **options: Any) -> BatchResult:
    """As `run_batch`, for batches of which some patches fail: it has to warn of them, once."""
    options.setdefault("progress", False)
    with pytest.warns(PatchFailedWarning) as caught:
        result = run_batch(workflow, patches, **options)
    failed = [outcome.name for outcome in result.failed]
    assert [str(warning.message).split("): ")[0] for warning in caught] == [
        f"{len(failed)} of {len(patches)} patches of batch {result.stage!r} failed ({', '.join(failed)}"
    ]
    return result


class StageOutcome(NamedTuple):
    """An outcome in a manifest, and the batch that it is of."""

    stage: str
    outcome: PatchOutcome


def manifest_outcomes(place: Place) -> list[StageOutcome]:
    """The outcomes in a manifest, in the order they were written."""
    return [StageOutcome(event.stage, event.outcome) for event in read_events(place) if event.outcome is not None]


def read_events(place: Place) -> list[Event]:
    """All lines of a manifest."""
    return list(iter_events(place))
