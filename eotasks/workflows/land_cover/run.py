"""The whole example: the configured chain, the real acquisition beside a simulated year, one report."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from eotasks.storage.lease import Lease, hold_lease
from eotasks.storage.place import Place
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.batch.workers.kinds import require_ray
from eotasks.workflows.land_cover.chain import MAP_FILE, Chain, PreparedChain, Reporter
from eotasks.workflows.land_cover.claim import check_place, inputs_of
from eotasks.workflows.land_cover.config import LandCoverConfig
from eotasks.workflows.land_cover.features import ResolvedFeatures
from eotasks.workflows.land_cover.plan import Plan, make_plan
from eotasks.workflows.land_cover.preflight import check_inputs, check_labels_lie_here, check_output
from eotasks.workflows.land_cover.problems import Causes
from eotasks.workflows.land_cover.report.build import better_than_simulated, build_report
from eotasks.workflows.land_cover.report.notes import SIMULATED_NOTICE
from eotasks.workflows.land_cover.report.results import ChainResult
from eotasks.workflows.land_cover.sections import RunConfig
from eotasks.workflows.land_cover.sources.base import REVISIT_DAYS
from eotasks.workflows.report.units import size

REPORT_FILE = "report.html"
REAL_FOLDER = "real"


@dataclass(frozen=True)
class ExampleOutcome:
    """What a run leaves: the report, the map, a summary of one screen, and the patches that failed."""

    title: str
    report: str
    """Path or S3 location of the HTML page."""

    map: str
    """Path or S3 location of the map of all patches."""

    columns: list[str]
    """Names of the chains."""

    rows: list[tuple[str, list[str]]]
    """(what, a value per chain)."""

    note: str = ""
    """What has to be known to compare the columns."""

    failed: dict[str, PatchOutcome] = field(default_factory=dict)


class LandCoverExample:
    """A checked configuration, ready to run.

    :param overwrite: Whether results of an earlier run are removed first.
    :param retry_quarantined: Whether patches are tried again that cost an earlier run too many workers.
    :raises EOTasksError: for bad input, before any work starts.
    """

    def __init__(self, config: LandCoverConfig, *, overwrite: bool = False, retry_quarantined: bool = False) -> None:
        self.config = config
        self.overwrite = overwrite
        self.retry_quarantined = retry_quarantined
        configs = [(name, each, ResolvedFeatures.of(each)) for name, each in chain_configs(config)]
        causes = Causes()
        with causes.noted():
            self.place = Place(config.output.folder)
            check_output(self.place, inputs_of(config))
        if config.run.executor == "ray":
            with causes.noted():
                require_ray()
        if not check_inputs(config, configs[0][2], causes):
            causes.refuse()
        if causes.errors:  # with the plan, which is made where the inputs are sound
            with causes.noted():
                make_plan(config, configs[0][2])
            causes.refuse()
        places = [self.place, self.place.child(REAL_FOLDER)][: len(configs)]
        self.chains = [
            PreparedChain.of(name, each, resolved, place)
            for (name, each, resolved), place in zip(configs, places, strict=True)
        ]
        check_labels_lie_here(config.reference, self.chains[0].plan.patches)
        for chain in self.chains:
            check_place(chain.place, chain.config, read=chain.plan.fingerprints, overwrite=overwrite)

    def describe(self) -> dict[str, str]:
        """What would be done, as rows of a table."""
        config, plan = self.config, self.chains[0].plan
        rows = {
            "source": config.source.kind,
            "patches": f"{len(plan.patches)} of {_side(plan)} at {config.area.resolution:g} m",
            "held out": ", ".join(sorted(plan.test))
            or f"a checkerboard of {config.validation.block_size} pixel blocks",
            "period": f"{config.time.start} to {config.time.end}",
            "dates": _dates(plan),
        }
        rows |= config.source.describe(plan.cost)
        rows["results"] = f"about {size(plan.stored_bytes)} before compression, in {config.output.folder}"
        for beside in self.chains[1:]:
            rows["beside it"] = (
                f"the {beside.name.lower()} alone: {len(beside.plan.patches)} patches, {_dates(beside.plan)}"
            )
        return rows

    def run(self, reporter: Reporter) -> ExampleOutcome:
        """Run every chain, or what is missing of it, and write the report."""
        self.config.source.check_credentials()
        with hold_lease(self.place, "eotasks land-cover") as lease, _cluster(self.config.run, self.place):
            return self._run(_Checked(reporter, lease))

    def _run(self, reporter: Reporter) -> ExampleOutcome:
        started = time.perf_counter()
        results: list[ChainResult] = []
        chains: list[Chain] = []
        for prepared in self.chains:
            named = _Named(reporter, prepared.name if len(self.chains) > 1 else "")
            chain = Chain(prepared, named, overwrite=self.overwrite, retry_quarantined=self.retry_quarantined)
            chains.append(chain)
            results.append(chain.run())
        with _report_stage(reporter):
            notices = [SIMULATED_NOTICE] if any(result.simulated for result in results) else []
            report = build_report(results, title=self.config.title, notices=notices)
            page = report.save(f"{self.place}/{REPORT_FILE}")
        return ExampleOutcome(
            title=self.config.title,
            report=page,
            map=f"{self.place}/{MAP_FILE}",
            columns=[result.name for result in results],
            rows=summary_rows(chains, results, time.perf_counter() - started),
            note=better_than_simulated(results),
            failed={
                f"{chain.name}: {name}" if len(chains) > 1 else name: outcome
                for chain in chains
                for name, outcome in chain.failed.items()
            },
        )


@contextmanager
def _cluster(run: RunConfig, place: Place) -> Iterator[None]:
    """The Ray cluster of all batches of a run, where there is one.

    :raises ConfigurationError: when results go to a folder that the cluster's other machines do not have.
    """
    if run.executor != "ray":
        yield
        return
    from eotasks.workflows.batch.ray.cluster import check_reach, ray_cluster

    with ray_cluster(run.ray, cpus=(run.workers or 0) * (run.threads or 1) or None):
        if place.is_local:
            check_reach(place.local_path())
        yield


def chain_configs(config: LandCoverConfig) -> Iterator[tuple[str, LandCoverConfig]]:
    """(name, configuration) of each chain: the configured one, and the one that its source runs beside it."""
    yield config.source.title, config
    companion = config.source.companion(config)
    if companion is not None:
        yield companion.title, config.model_copy(update=dict(companion.changes))


def summary_rows(chains: list[Chain], results: list[ChainResult], seconds: float) -> list[tuple[str, list[str]]]:
    """The rows of the summary."""

    def row(label: str, of: list[str]) -> tuple[str, list[str]]:
        return label, of

    validations = [result.validation for result in results]
    spreads = [result.seeds for result in results]
    rows = [
        row("spectral values", ["simulated" if result.simulated else "real" for result in results]),
        row("patches", [_patches(chain) for chain in chains]),
        row("overall accuracy", [f"{v.overall_accuracy:.3f}" if v else "-" for v in validations]),
        row("  of the majority class", [f"{v.baseline_accuracy:.3f}" if v else "-" for v in validations]),
        row("macro F1", [f"{v.macro_f1:.3f}" if v else "-" for v in validations]),
    ]
    for label, metric in (("accuracy", "overall_accuracy"), ("macro F1", "macro_f1")):
        values = [
            f"{s.metrics[metric].mean:.3f} ± {s.metrics[metric].std:.3f}" if s and len(s.seeds) > 1 else "-"
            for s in spreads
        ]
        rows.append(row(f"{label}, {len(chains[0].config.validation.seeds)} seeds", values))
    infos = [result.run for result in results]
    rows.append(row("seconds", [f"{info.seconds:.0f}" if info and info.seconds else "-" for info in infos]))
    rows.append(
        row(
            "peak memory, MB", [f"{info.peak_memory_mb:.0f}" if info and info.peak_memory_mb else "-" for info in infos]
        )
    )
    rows.append(row("whole run, seconds", [f"{seconds:.0f}", *[""] * (len(results) - 1)]))
    return rows


def _patches(chain: Chain) -> str:
    total, failed = len(chain.plan.patches), len(chain.failed)
    notes = [f"{failed} failed"] if failed else []
    complete = sum(outcome.state == "skipped" for stage in chain.stages[:1] for outcome in stage.outcomes)
    if complete:
        notes.append(f"{complete} complete before")
    return f"{total}" + (f" ({', '.join(notes)})" if notes else "")


def _side(plan: Plan) -> str:
    sizes = {(patch.height, patch.width) for patch in plan.patches}
    return " or ".join(f"{height} x {width} pixels" for height, width in sorted(sizes)[:3])


def _dates(plan: Plan) -> str:
    if plan.times is None:
        return f"asked of the service when the run starts; about one every {REVISIT_DAYS} days is expected"
    listed = ", ".join(f"{time:%Y-%m-%d}" for time in plan.times[:6])
    more = f" and {len(plan.times) - 6} more" if len(plan.times) > 6 else ""
    return f"{len(plan.times)}: {listed}{more}"


@contextmanager
def _report_stage(reporter: Reporter) -> Iterator[None]:
    reporter.begin("report", 1)
    yield
    reporter.advance()
    reporter.end()


class _Checked:
    """A reporter that stops a run whose place another one has taken over."""

    def __init__(self, reporter: Reporter, lease: Lease) -> None:
        self._reporter, self._lease = reporter, lease

    def begin(self, stage: str, total: int) -> None:
        self._lease.check()
        self._reporter.begin(stage, total)

    def advance(self, outcome: PatchOutcome | None = None) -> None:
        self._lease.check()
        self._reporter.advance(outcome)

    def end(self) -> None:
        self._reporter.end()


class _Named:
    """A reporter that puts the chain's name before each stage."""

    def __init__(self, reporter: Reporter, name: str) -> None:
        self._reporter, self._name = reporter, name

    def begin(self, stage: str, total: int) -> None:
        self._reporter.begin(f"{self._name}: {stage}" if self._name else stage, total)

    def advance(self, outcome: PatchOutcome | None = None) -> None:
        self._reporter.advance(outcome)

    def end(self) -> None:
        self._reporter.end()
