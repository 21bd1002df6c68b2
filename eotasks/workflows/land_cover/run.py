"""The whole example: the configured chain, the real acquisition beside a simulated year, one report."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from eotasks.errors import CredentialsError
from eotasks.models.sentinel2 import BANDS
from eotasks.storage.lease import Lease, hold_lease
from eotasks.storage.place import Place
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.land_cover.chain import MAP_FILE, Chain, Reporter
from eotasks.workflows.land_cover.claim import check_place
from eotasks.workflows.land_cover.config import (
    LandCoverConfig,
    SampleSource,
    SentinelHubSource,
    SimulatedSource,
    TimeConfig,
)
from eotasks.workflows.land_cover.plan import REVISIT_DAYS, Plan, make_plan
from eotasks.workflows.land_cover.preflight import check_credentials, check_inputs, check_labels_lie_here, check_output
from eotasks.workflows.land_cover.report.build import build_report
from eotasks.workflows.land_cover.report.notes import SIMULATED_NOTICE
from eotasks.workflows.land_cover.report.results import ChainResult

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

    failed: dict[str, PatchOutcome] = field(default_factory=dict)


class LandCoverExample:
    """A checked configuration, ready to run.

    :param overwrite: Whether results of an earlier run are removed first.
    :param retry_quarantined: Whether patches are tried again that cost an earlier run too many workers.
    :raises EOTasksError: for bad input, before any work starts.
    """

    def __init__(self, config: LandCoverConfig, *, overwrite: bool = False, retry_quarantined: bool = False) -> None:
        self.config = config
        self.configs = list(chain_configs(config))
        self.overwrite = overwrite
        self.retry_quarantined = retry_quarantined
        check_inputs(config)
        self.plans: list[Plan] = [make_plan(each) for _, each in self.configs]
        check_labels_lie_here(config, self.plans[0].patches)
        check_output(config)
        self.places = [Place(config.output.folder)]
        if len(self.configs) > 1:
            self.places.append(self.places[0].child(REAL_FOLDER))
        for place, (_, each) in zip(self.places, self.configs, strict=True):
            check_place(place, each, overwrite=overwrite)

    def describe(self) -> dict[str, str]:
        """What would be done, as rows of a table."""
        config, plan = self.config, self.plans[0]
        rows = {
            "source": config.source.kind,
            "patches": f"{len(plan.patches)} of {_side(plan)} at {config.area.resolution:g} m",
            "held out": ", ".join(sorted(plan.test))
            or f"a checkerboard of {config.validation.block_size} pixel blocks",
            "period": f"{config.time.start} to {config.time.end}",
            "dates": _dates(plan),
        }
        if isinstance(config.source, SentinelHubSource):
            rows["requests"] = f"about {plan.requests:,}, at most {config.source.max_threads} at a time in each worker"
            rows["download"] = f"about {_bytes(plan.download_bytes)}, {plan.processing_units:,.0f} processing units"
            rows["account"] = _account(config)
        else:
            rows["requests"] = "none, nothing is downloaded"
        rows["results"] = f"about {_bytes(plan.stored_bytes)} before compression, in {config.output.folder}"
        if len(self.configs) > 1:
            rows["beside it"] = (
                f"the real acquisition alone: {len(self.plans[1].patches)} patches, {_dates(self.plans[1])}"
            )
        return rows

    def run(self, reporter: Reporter) -> ExampleOutcome:
        """Run every chain, or what is missing of it, and write the report."""
        check_credentials(self.config)
        place = self.places[0]
        with hold_lease(place, "eotasks land-cover") as lease, _cluster(self.config, place):
            return self._run(place, _Checked(reporter, lease))

    def _run(self, place: Place, reporter: Reporter) -> ExampleOutcome:
        started = time.perf_counter()
        results: list[ChainResult] = []
        chains: list[Chain] = []
        for (name, config), plan, where in zip(self.configs, self.plans, self.places, strict=True):
            shown = _Named(reporter, name if len(self.configs) > 1 else "")
            chain = Chain(
                config, plan, where, name, shown, overwrite=self.overwrite, retry_quarantined=self.retry_quarantined
            )
            chains.append(chain)
            results.append(chain.run())
        with _report_stage(reporter):
            notices = [SIMULATED_NOTICE] if any(result.simulated for result in results) else []
            report = build_report(results, title=self.config.title, notices=notices)
            page = report.save(f"{place}/{REPORT_FILE}")
        return ExampleOutcome(
            title=self.config.title,
            report=page,
            map=f"{place}/{MAP_FILE}",
            columns=[result.name for result in results],
            rows=summary_rows(chains, results, time.perf_counter() - started),
            failed={
                f"{chain.name}: {name}" if len(chains) > 1 else name: outcome
                for chain in chains
                for name, outcome in chain.failed.items()
            },
        )


@contextmanager
def _cluster(config: LandCoverConfig, place: Place) -> Iterator[None]:
    """The Ray cluster of all batches of a run, where there is one.

    :raises ConfigurationError: when results go to a folder that the cluster's other machines do not have.
    """
    if config.run.executor != "ray":
        yield
        return
    from eotasks.workflows.batch.ray.cluster import check_reach, ray_cluster

    with ray_cluster(config.run.ray, cpus=(config.run.workers or 0) * (config.run.threads or 1) or None):
        if place.is_local:
            check_reach(place.local_path())
        yield


def chain_configs(config: LandCoverConfig) -> Iterator[tuple[str, LandCoverConfig]]:
    """(name, configuration) of each chain: the configured one, and the real acquisition beside a simulated year."""
    if isinstance(config.source, SampleSource):
        yield "Real acquisition", config
    elif isinstance(config.source, SimulatedSource):
        yield "Simulated year", config
        if config.source.real_acquisition:
            yield "Real acquisition", single_date(config)
    else:
        yield "Land cover", config


def single_date(config: LandCoverConfig) -> LandCoverConfig:
    """The configuration for the real acquisition beside a simulated year: nothing to filter or resample; all 13 bands
    make up for it.
    """
    valid = config.valid.model_copy(update={"min_valid_fraction": 0.0, "keep_at_least": None, "min_frames": 1})
    features = config.features.model_copy(update={"step_days": None, "bands": BANDS})
    update = {"source": SampleSource(), "valid": valid, "features": features, "time": TimeConfig()}
    return config.model_copy(update=update)


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


def _account(config: LandCoverConfig) -> str:
    try:
        check_credentials(config)
    except CredentialsError as error:
        return f"missing. {error}"
    return "credentials are there; the service has not been asked"


def _side(plan: Plan) -> str:
    sizes = {(patch.height, patch.width) for patch in plan.patches}
    return " or ".join(f"{height} x {width} pixels" for height, width in sorted(sizes)[:3])


def _dates(plan: Plan) -> str:
    if plan.times is None:
        return f"asked of the service when the run starts; about one every {REVISIT_DAYS} days is expected"
    listed = ", ".join(f"{time:%Y-%m-%d}" for time in plan.times[:6])
    more = f" and {len(plan.times) - 6} more" if len(plan.times) > 6 else ""
    return f"{len(plan.times)}: {listed}{more}"


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


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
