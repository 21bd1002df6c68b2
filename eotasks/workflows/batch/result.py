"""What became of a batch, and how it is told on one screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from eotasks.errors import EOTasksWarning
from eotasks.storage.place import Place
from eotasks.text import harmless, shortened
from eotasks.workflows.batch.log_files import log_folder, log_path
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.batch.progress import step_costs
from eotasks.workflows.batch.warned import warning_class
from eotasks.workflows.report.units import duration, memory

_NAMED = 5
"""Patches that a warning names."""
_FAILURES = 8
"""That the summary has in full."""
_STEPS = 5
_CHARACTERS = 200
"""Of the reason of a failure."""


@dataclass(frozen=True, repr=False)
class BatchResult:
    """What became of a batch. As a text, and in a notebook, it is a summary of one screen."""

    stage: str
    """Name of the batch."""

    outcomes: Sequence[PatchOutcome]
    """One for each patch, in the order they were given in."""

    seconds: float
    """Wall clock of the whole batch."""

    workers: int
    """Patches that ran at the same time."""

    threads: int
    """Threads of each engine in a worker."""

    note: str = ""
    """Why so many workers; empty when they were asked for."""

    place: Place | None = None
    """Where manifest and logs are; None keeps none."""

    @property
    def done(self) -> list[str]:
        """Names of the patches that ran and came through."""
        return [outcome.name for outcome in self.outcomes if outcome.state == "done"]

    @property
    def failed(self) -> list[PatchOutcome]:
        """Outcomes of the patches whose results are missing: failed and quarantined."""
        return [outcome for outcome in self.outcomes if outcome.missing]

    @property
    def skipped(self) -> list[str]:
        """Names of the patches that were complete before."""
        return [outcome.name for outcome in self.outcomes if outcome.state == "skipped"]

    @property
    def quarantined(self) -> list[str]:
        """Names of the patches that cost too many workers to be tried again."""
        return [outcome.name for outcome in self.outcomes if outcome.state == "quarantined"]

    @property
    def exit_code(self) -> int:
        """0 when nothing failed, otherwise 1."""
        return 1 if self.failed else 0

    @property
    def logs(self) -> str | None:
        """The folder or prefix with a log of each patch that failed; None where no place keeps any."""
        return None if self.place is None else f"{self.place}/{log_folder(self.stage)}"

    def log_of(self, name: str) -> str | None:
        """Where the log of a patch is that failed; None where no place keeps any."""
        return None if self.place is None else f"{self.place}/{log_path(self.stage, name)}"

    def __repr__(self) -> str:
        return f"<{harmless(self._heading())}>"

    def __str__(self) -> str:
        rows = list(self._rows())
        width = max((len(label) for label, _ in rows), default=0) + 2
        lines = [self._heading(), *(f"{label:<{width}}{text}" for label, text in rows)]
        return "\n".join(harmless(line) for line in lines)

    def _repr_html_(self) -> str:
        """For notebooks; every name and message is a text of others."""
        cell = 'style="text-align:left;vertical-align:top;overflow-wrap:anywhere"'
        rows = "".join(
            f"<tr><th {cell}>{escape(label)}</th><td {cell}>{escape(harmless(text))}</td></tr>"
            for label, text in self._rows()
        )
        return f"<table><caption {cell}><b>{escape(harmless(self._heading()))}</b></caption>{rows}</table>"

    def failure_message(self) -> str:
        """What a warning or an error says of the patches that failed: their names, the first reason, and the logs."""
        failed = self.failed
        names = ", ".join(outcome.name for outcome in failed[:_NAMED]) + ", …" * (len(failed) > _NAMED)
        where = "result.failed has the errors" if self.logs is None else f"logs are in {self.logs}"
        return (
            f"{len(failed)} of {len(self.outcomes)} patches of batch {self.stage!r} failed ({names}): {where}."
            f" First {_reason(failed[0])}"
        )

    def warning_messages(self) -> Iterator[tuple[str, type[EOTasksWarning]]]:
        """What patches warned of in worker processes: the first of each kind, and how many more warned so."""
        for kind, warned in self._warned().items():
            name, text = warned[0]
            more = "" if len(warned) == 1 else f" (and {len(warned) - 1} more patches of batch {self.stage!r})"
            yield f"Patch {name}{more}: {text}", warning_class(kind)

    def _warned(self) -> dict[str, list[tuple[str, str]]]:
        """By kind, the patches that warned so, each with the first text."""
        kinds: dict[str, dict[str, str]] = {}
        for outcome in self.outcomes:
            for warning in outcome.warnings:
                kind, _, text = warning.partition(": ")
                kinds.setdefault(kind, {}).setdefault(outcome.name, text)
        return {kind: [*texts.items()] for kind, texts in kinds.items()}

    def _heading(self) -> str:
        missing = f", {len(self.failed)} missing" if self.failed else ""
        complete = len(self.outcomes) - len(self.failed)
        return (
            f"Batch {self.stage!r}: {complete} of {len(self.outcomes)} patches complete{missing},"
            f" {duration(self.seconds)}"
        )

    def _rows(self) -> Iterator[tuple[str, str]]:
        ran = len(self.done)
        counts = {
            "done": ran,
            "complete before": len(self.skipped),
            "failed": len(self.failed) - len(self.quarantined),
            "quarantined": len(self.quarantined),
        }
        yield "patches", ", ".join(f"{count:,} {state}" for state, count in counts.items() if count) or "none"
        if ran:
            yield "workers", f"{self.workers}, with {self.threads} thread{'s' * (self.threads != 1)} each"
        costs = step_costs(self.outcomes)
        for cost in costs[:_STEPS]:
            peak = "" if cost.peak_memory_mb is None else f", peak {memory(cost.peak_memory_mb)}"
            mean, slowest = duration(cost.seconds / cost.patches), duration(cost.longest)
            yield "step", f"{cost.step}: {mean} a patch, slowest {slowest}{peak}"
        if len(costs) > _STEPS:
            yield "step", f"and {len(costs) - _STEPS} quicker ones"
        for kind, warned in self._warned().items():
            name, text = warned[0]
            count = f"{len(warned)} patch{'es' * (len(warned) > 1)}"
            yield "warned", f"{kind}, {count}, first {name}: {shortened(text, _CHARACTERS)}"
        yield from self._failure_rows()

    def _failure_rows(self) -> Iterator[tuple[str, str]]:
        failed = self.failed
        if not failed:
            return
        for outcome in failed[:_FAILURES]:
            yield outcome.state, _reason(outcome)
        if len(failed) > _FAILURES:
            yield "failed", f"and {len(failed) - _FAILURES} more, all in result.failed"
        yield "logs", self.logs or "none: give run_batch a place; result.failed has the errors and stacks"
        if self.place is not None:
            yield "next", f"the same call runs what is missing; eotasks status {self.place} --report report.html"


def _reason(outcome: PatchOutcome) -> str:
    step = "" if outcome.error_step is None else f", step {outcome.error_step}"
    return f"{outcome.name}{step}: {shortened(outcome.error or 'no reason is known', _CHARACTERS)}"
