"""How a batch stands, from its manifest: while it runs, after it has ended, and when it was cut short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from eotasks.errors import StorageError
from eotasks.storage.place import Place, PlaceLike
from eotasks.storage.process import ProcessIdentity
from eotasks.text import did_you_mean
from eotasks.workflows.batch.manifest import MANIFEST, Event, iter_events
from eotasks.workflows.batch.outcomes import PatchOutcome

RunState = Literal["running", "complete", "interrupted", "stopped", "gone", "unknown"]
"""``stopped``: by an error of the batch. ``gone``: its process ended and wrote no end. ``unknown``: it runs on another
machine or in another container and has written nothing for long."""

_SILENT_SECONDS = 600.0
_RECENT_SECONDS = 600.0
"""The rate is that of the last ten minutes, when there are enough patches in them."""
_RECENT_PATCHES = 10

_MOST = 2**53
"""Whole numbers from here on are no float, as rates and times are."""


@dataclass(frozen=True)
class RunningPatch:
    """A patch that a worker has."""

    name: str
    """Its name."""

    attempt: int
    """Which attempt this is, counted from 1."""

    seconds: float
    """How long it has been running."""


@dataclass(frozen=True)
class StepCost:
    """What a step has cost over the patches of a run."""

    step: str
    """Its name."""

    patches: int
    """Patches in which it ran."""

    seconds: float
    """Summed over the patches."""

    longest: float
    """Seconds of the slowest patch."""

    peak_memory_mb: float | None
    """Greatest memory of a worker while it ran; None when nobody measured."""


@dataclass(frozen=True)
class StageProgress:
    """How one batch of a place stands."""

    stage: str
    """Its name."""

    state: RunState
    """Of its last run."""

    patches: int
    """All of the batch."""

    outcomes: Sequence[PatchOutcome]
    """Of the patches that the last run has an outcome of."""

    running: Sequence[RunningPatch]
    """Patches that workers have."""

    interrupted: Sequence[str]
    """Patches that were running when the batch was stopped or went; they run again with the next call."""

    lost_workers: int
    """Attempts of this run that cost a worker, those of quarantined patches included."""

    started: datetime
    """When the last run began, in UTC."""

    seconds: float
    """How long the last run has taken so far, or took."""

    executor: str = ""
    """``processes``, ``threads``, ``ray`` or ``serial``; empty where the first line is damaged."""

    rate: float | None = None
    """Patches per second lately; None before the first."""

    remaining_seconds: float | None = None
    """Until it is done at this rate; None when that is not known."""

    steps: Sequence[StepCost] = field(default_factory=tuple)
    """The slowest first."""

    def count(self, state: str) -> int:
        """Patches in a state of `PatchOutcome`."""
        return sum(outcome.state == state for outcome in self.outcomes)

    @property
    def waiting(self) -> int:
        """Patches without a line in the last run."""
        return max(0, self.patches - len(self.outcomes) - len(self.running) - len(self.interrupted))

    @property
    def missing(self) -> list[PatchOutcome]:
        """Outcomes of the patches that failed or are quarantined."""
        return [outcome for outcome in self.outcomes if outcome.missing]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON: seconds, MB, times as text."""
        states = ("done", "failed", "skipped", "quarantined")
        content = {key: value for key, value in asdict(self).items() if key != "outcomes"}
        outcomes = [
            {key: value for key, value in asdict(outcome).items() if key not in ("traceback", "log")}
            for outcome in self.outcomes
        ]
        counts = {state: self.count(state) for state in states} | {
            "running": len(self.running), "interrupted": len(self.interrupted), "waiting": self.waiting,
        }  # fmt: skip
        return content | {"started": self.started.isoformat(), "counts": counts, "outcomes": outcomes}


def read_progress(place: PlaceLike, *, stage: str | None = None) -> list[StageProgress]:
    """How the batches of a place stand, in the order in which they first began.

    :param stage: Only the one of this name.
    :raises StorageError: when no batch was run there, none of this name, or the manifest is of a newer version.
    """
    place = Place(place)
    by_stage: dict[str, list[Event]] = {}
    for event in iter_events(place):
        add_to_last_run(by_stage.setdefault(event.stage, []), event)
    if not by_stage:
        raise StorageError(f"{place} has no {MANIFEST}: name the folder or prefix that a batch was given as its place.")
    if stage is not None and stage not in by_stage:
        raise StorageError(
            f"{place} has no batch {stage!r}{did_you_mean(stage, by_stage)}: it has {', '.join(map(repr, by_stage))}."
        )
    return [_progress(name, run) for name, run in by_stage.items() if stage in (None, name)]


def _progress(stage: str, run: Sequence[Event]) -> StageProgress:
    facts = run[0].facts if run[0].kind == "batch" else {}
    outcomes = {event.outcome.name: event.outcome for event in run if event.outcome is not None}
    state = run_state(run)
    now = datetime.now(UTC) if state == "running" else run[-1].at
    open_patches = _open(run, now)
    running = open_patches if state in ("running", "unknown") else []
    cut = [event.name for event in run if event.kind == "interrupted" and event.name is not None]
    cut += [patch.name for patch in open_patches if state not in ("running", "unknown") and patch.name not in cut]
    patches = max(_count(facts.get("patches"), 0), len(outcomes) + len(running) + len(cut))
    rate = _rate(run, now)
    left = patches - len(outcomes)
    return StageProgress(
        stage=stage,
        state=state,
        patches=patches,
        outcomes=list(outcomes.values()),
        running=running,
        interrupted=cut,
        lost_workers=sum(event.kind == "lost" for event in run)
        + sum(outcome.state == "quarantined" and outcome.attempts > 0 for outcome in outcomes.values()),
        started=run[0].at,
        seconds=(now - run[0].at).total_seconds(),
        executor=str(facts.get("executor", "")),
        rate=rate,
        remaining_seconds=left / rate if rate and state == "running" else None,
        steps=step_costs(list(outcomes.values())),
    )


def add_to_last_run(run: list[Event], event: Event) -> None:
    """Takes the next line of a batch: those of the run that began last are kept, and of one without a beginning all."""
    if event.kind == "batch":
        run.clear()
    if not run or run[0].kind != "batch" or event.run == run[0].run:
        run.append(event)


def _count(value: object, default: int) -> int:
    """A count of the manifest; the default where it is none, or of more than there can be."""
    return value if isinstance(value, int) and 0 <= value < _MOST else default


def run_state(run: Sequence[Event]) -> RunState:
    """How a run stands by its lines, and by whether its process is there.

    :param run: As `add_to_last_run` keeps it, not empty.
    """
    end = next((event for event in reversed(run) if event.kind == "end"), None)
    if end is not None:
        state = end.facts.get("state")
        return state if state in ("complete", "interrupted", "stopped") else "unknown"
    process = ProcessIdentity.parse(run[0].facts.get("process"))
    if process is None:
        return "unknown"
    state = process.state()
    if state == "unknown":
        return "running" if (datetime.now(UTC) - run[-1].at).total_seconds() < _SILENT_SECONDS else "unknown"
    return "running" if state == "alive" else "gone"


def _open(run: Sequence[Event], now: datetime) -> list[RunningPatch]:
    """Patches that began and have no line since."""
    begun: dict[str, Event] = {}
    for event in run:
        if event.name is None:
            continue
        begun.pop(event.name, None)
        if event.kind == "running":
            begun[event.name] = event
    return [
        RunningPatch(name, _count(event.facts.get("attempts"), 1), (now - event.at).total_seconds())
        for name, event in begun.items()
    ]


def _rate(run: Sequence[Event], now: datetime) -> float | None:
    """Patches that ended, per second: of the last minutes where there are enough, else of the whole run."""
    ends = [event.at for event in run if event.outcome is not None and event.outcome.attempts > 0]
    since = max(run[0].at, now - timedelta(seconds=_RECENT_SECONDS))
    recent = [at for at in ends if at >= since]
    if len(recent) < _RECENT_PATCHES:
        since, recent = run[0].at, ends
    seconds = (now - since).total_seconds()
    return len(recent) / seconds if recent and seconds > 0 else None


def step_costs(outcomes: Sequence[PatchOutcome]) -> list[StepCost]:
    """Sums up the steps of patches, the one that took most time first."""
    costs = []
    for step in dict.fromkeys(step for outcome in outcomes for step in outcome.seconds_by_step):
        seconds = [outcome.seconds_by_step[step] for outcome in outcomes if step in outcome.seconds_by_step]
        peaks = [outcome.peak_memory_mb_by_step.get(step, 0.0) for outcome in outcomes]
        costs.append(StepCost(step, len(seconds), sum(seconds), max(seconds), max(peaks, default=0.0) or None))
    return sorted(costs, key=lambda cost: -cost.seconds)
