"""What became of each patch of a batch, and the manifest that keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from eolearn.core import EOWorkflow
from eolearn.core.eoworkflow import WorkflowResults

from models.errors import EOTasksError, StorageError
from workflows.places import Place

MANIFEST = "manifest.jsonl"
MANIFEST_VERSION = 1
"""Lines of an older version stay readable; a newer one asks for an upgrade."""


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
    """The stack of the error for whoever debugs it; not kept in the manifest."""

    @property
    def seconds(self) -> float:
        """Seconds of all steps together."""
        return sum(self.seconds_by_step.values())


@dataclass(frozen=True)
class ManifestLine:
    """One line of the manifest: an outcome, its stage, and when it was written."""

    stage: str
    """Name of the batch, such as ``features``."""

    finished: datetime
    """UTC."""

    outcome: PatchOutcome


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
) -> PatchOutcome:
    """The outcome of an executed workflow.

    :param steps: Names of the steps by node uid.
    :param peaks: Peak memory in MB by node uid.
    :param attempts: How often the patch was tried.
    :param quarantined: Whether it has cost too many workers to be tried again.
    """
    known = {uid: stats for uid, stats in results.stats.items() if uid in steps}
    seconds = {steps[uid]: (stats.end_time - stats.start_time).total_seconds() for uid, stats in known.items()}
    memory = {steps[uid]: peaks[uid] for uid in known if uid in peaks}
    outcome = PatchOutcome(name, "done", attempts=attempts, seconds_by_step=seconds, peak_memory_mb_by_step=memory)
    if results.error_node_uid is None:
        return outcome
    failure = results.stats[results.error_node_uid].exception_info
    return replace(
        outcome,
        state="quarantined" if quarantined else "failed",
        error_step=steps.get(results.error_node_uid),
        error=one_line(failure.exception) if failure else "",
        traceback=(failure.traceback or None) if failure else None,
    )


def one_line(error: BaseException) -> str:
    """The message of an error in one line; the type goes before it unless it is one of the project's own."""
    text = " ".join(str(error).split())
    if isinstance(error, EOTasksError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def append_manifest(place: Place, stage: str, outcome: PatchOutcome) -> None:
    """Adds an outcome to ``manifest.jsonl`` of a place, as one line.

    :raises StorageError: when it cannot be written.
    """
    content = asdict(outcome)
    del content["traceback"]
    line = {
        "version": MANIFEST_VERSION,
        "stage": stage,
        "finished": datetime.now(UTC).isoformat(timespec="milliseconds"),
        **content,
    }
    place.append_line(MANIFEST, json.dumps(line, ensure_ascii=False))


def read_manifest(place: Place) -> list[ManifestLine]:
    """The lines of a manifest in the order they were written; none when there is no manifest.

    A line that a killed writer left unfinished is passed over.

    :raises StorageError: when a line is from a newer version.
    """
    if not place.exists(MANIFEST):
        return []
    lines = place.read_bytes(MANIFEST).decode(errors="replace").splitlines()
    parsed = (_parse(line, f"{place}/{MANIFEST}, line {number}") for number, line in enumerate(lines, start=1))
    return [line for line in parsed if line is not None]


def _parse(line: str, where: str) -> ManifestLine | None:
    try:
        content: dict[str, Any] = json.loads(line)
        version = int(content.pop("version"))
        if version > MANIFEST_VERSION:
            raise StorageError(
                f"{where} has version {version}, this eotasks reads up to {MANIFEST_VERSION}: upgrade eotasks."
            )
        stage, finished = str(content.pop("stage")), datetime.fromisoformat(content.pop("finished"))
        return ManifestLine(stage, finished, PatchOutcome(**content))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
