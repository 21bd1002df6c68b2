"""What became of each patch of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from eolearn.core import EOWorkflow
from eolearn.core.eoworkflow import WorkflowResults

from eotasks.errors import message_of
from eotasks.text import harmless

PatchState = Literal["done", "failed", "skipped", "quarantined"]


@dataclass(frozen=True)
class PatchOutcome:
    """What became of one patch."""

    name: str
    """Name of the patch."""

    state: PatchState
    """``skipped``: it was complete before, nothing ran. ``quarantined``: worker after worker was lost with it, so it is
    not tried any more."""

    attempts: int = 1
    """How often it was tried in this run; 0 when it was skipped."""

    seconds_by_step: Mapping[str, float] = field(default_factory=dict)
    """Wall clock seconds of each step that ran, in the order they ran."""

    peak_memory_mb_by_step: Mapping[str, float] = field(default_factory=dict)
    """Highest resident memory of the process during each step, in MB: all that it holds, not the step alone."""

    error_step: str | None = None
    """The step that failed; None when the patch did not fail, or its process was lost in a step that nobody knows."""

    error: str | None = None
    """The message of the error, in one line."""

    traceback: str | None = None
    """The stack of the error for whoever debugs it; kept in the patch's log, not in the manifest."""

    log: str | None = None
    """The last lines that were logged while the patch ran, when it did not end well; kept in the same log."""

    warnings: Sequence[str] = ()
    """What it warned of in a worker process, each once: "ScaleWarning: ..."."""

    @property
    def missing(self) -> bool:
        """Whether there are no results of it: it failed, or is quarantined."""
        return self.state in ("failed", "quarantined")

    @property
    def seconds(self) -> float:
        """Seconds of all steps together."""
        return sum(self.seconds_by_step.values())


def step_names(workflow: EOWorkflow) -> dict[str, str]:
    """Names of the steps by node uid, in the order of execution: the node's name, numbered where it comes again."""
    names: dict[str, str] = {}
    seen: dict[str, int] = {}
    for node in workflow.get_nodes():
        seen[node.get_name()] = seen.get(node.get_name(), 0) + 1
        names[node.uid] = (
            node.get_name() if seen[node.get_name()] == 1 else f"{node.get_name()}_{seen[node.get_name()]}"
        )
    return names


def outcome_of(
    name: str,
    results: WorkflowResults,
    steps: Mapping[str, str],
    peaks: Mapping[str, float],
    *,
    attempts: int = 1,
    quarantined: bool = False,
    error: str | None = None,
    log: str | None = None,
    warnings: Sequence[str] = (),
) -> PatchOutcome:
    """The outcome of an executed workflow.

    :param steps: Names of the steps by node uid.
    :param peaks: Peak memory in MB by node uid.
    :param attempts: How often the patch was tried.
    :param quarantined: Whether it has cost too many workers to be tried again.
    :param error: The message of its error in one line; None takes that of the exception.
    :param log: What was logged while it ran.
    :param warnings: What it warned of.
    """
    known = {uid: stats for uid, stats in results.stats.items() if uid in steps}
    seconds = {steps[uid]: (stats.end_time - stats.start_time).total_seconds() for uid, stats in known.items()}
    memory = {steps[uid]: peaks[uid] for uid in known if uid in peaks}
    outcome = PatchOutcome(
        name,
        "done",
        attempts=attempts,
        seconds_by_step=seconds,
        peak_memory_mb_by_step=memory,
        warnings=warnings,
    )
    if results.error_node_uid is None:
        return outcome
    failure = results.stats[results.error_node_uid].exception_info
    return replace(
        outcome,
        state="quarantined" if quarantined else "failed",
        error_step=steps.get(results.error_node_uid),
        error=error if error is not None else message_of(failure.exception) if failure else "",
        traceback=(harmless(failure.traceback, lines=True) or None) if failure else None,
        log=log,
    )
