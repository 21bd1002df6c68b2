"""One chain from pixels to a validated map: observe every patch, train, validate, map, mosaic, collect."""

from __future__ import annotations

import json
import logging
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Protocol

from eolearn.core import EONode, EOWorkflow

from eotasks.area import Patch, save_patch_grid
from eotasks.eopatches.load import load_eopatch
from eotasks.eopatches.save import complete_save
from eotasks.errors import BatchError, GridError, ModelError, TooFewFramesError
from eotasks.export.mosaics import mosaic_cogs_by_crs
from eotasks.export.styles import class_style, write_style
from eotasks.models.landcover.areas import AreaEstimates, areas_of
from eotasks.models.landcover.training import LandCoverModel
from eotasks.storage.place import Place
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.batch.run import run_batch
from eotasks.workflows.batch.workers.memory import MemoryMonitor
from eotasks.workflows.land_cover.claim import claim_place, note_versions, outdated_patches, remove_results
from eotasks.workflows.land_cover.config import LandCoverConfig
from eotasks.workflows.land_cover.config_file import render_toml
from eotasks.workflows.land_cover.features import ResolvedFeatures
from eotasks.workflows.land_cover.mapping import MapWorkflow, map_workflow
from eotasks.workflows.land_cover.observe import ObserveWorkflow, observe_workflow
from eotasks.workflows.land_cover.plan import Plan, make_plan, seed_splits
from eotasks.workflows.land_cover.report import collect
from eotasks.workflows.land_cover.report.notes import provenance, reasons, split_note
from eotasks.workflows.land_cover.report.results import ChainResult, PatchArea, RunInfo, Stage
from eotasks.workflows.land_cover.training import (
    Samples,
    Trained,
    load_samples,
    train_and_validate,
    trained_before,
    training_key,
)

LOGGER = logging.getLogger(__name__)

METRICS_FILE = "metrics.json"
MODEL_MARKER = "model.sha256"
MAP_FILE = "land_cover.tif"
PATCHES_FILE = "patches.gpkg"
PACKAGES = ("eotasks", "eo-learn", "sentinelhub", "lightgbm", "numpy", "scikit-image", "rasterio")


class Reporter(Protocol):
    """Receives the progress of a run."""

    def begin(self, stage: str, total: int) -> None:
        """A stage of so many parts begins."""

    def advance(self, outcome: PatchOutcome | None = None) -> None:
        """One part is done; a patch brings its outcome."""

    def end(self) -> None:
        """The stage is over."""


@dataclass(frozen=True)
class PreparedChain:
    """A chain that is ready to run: what follows from its configuration, worked out once."""

    name: str
    config: LandCoverConfig
    resolved: ResolvedFeatures
    place: Place
    observe: ObserveWorkflow
    mapping: MapWorkflow
    plan: Plan

    @classmethod
    def of(cls, name: str, config: LandCoverConfig, resolved: ResolvedFeatures, place: Place) -> PreparedChain:
        """Make both workflows and the plan. Writes nothing.

        :raises EOTasksError: a task refuses its parameters, or the plan cannot be made.
        """
        observe = observe_workflow(config, resolved, place)  # what its tasks refuse is told before anything is read
        mapping = map_workflow(config, resolved, place, observe.features)
        plan = make_plan(config, resolved)
        if plan.absent:
            config = config.model_copy(update={"source": config.source.without(plan.absent)})
            resolved = ResolvedFeatures.of(config)
            observe = observe_workflow(config, resolved, place)
            mapping = map_workflow(config, resolved, place, observe.features)
        return cls(name, config, resolved, place, observe, mapping, plan)


@dataclass
class Chain:
    """A run of one chain: what it has cost so far, and which patches failed."""

    prepared: PreparedChain
    reporter: Reporter
    overwrite: bool = False
    retry_quarantined: bool = False
    stages: list[Stage] = field(default_factory=list)
    failed: dict[str, PatchOutcome] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    @property
    def name(self) -> str:
        """Heading of its part of the report."""
        return self.prepared.name

    @property
    def config(self) -> LandCoverConfig:
        """Its configuration."""
        return self.prepared.config

    @property
    def plan(self) -> Plan:
        """What it does."""
        return self.prepared.plan

    @property
    def place(self) -> Place:
        """Where its results lie."""
        return self.prepared.place

    @property
    def patches(self) -> list[Patch]:
        """Patches that have not failed."""
        return [patch for patch in self.plan.patches if patch.name not in self.failed]

    def run(self) -> ChainResult:
        """Run the chain, or what of it is not complete yet.

        :raises ConfigurationError: the place holds results of another configuration.
        :raises EOTasksError: nothing can be made of what the patches gave; a failure of single patches is not raised
            but kept in :attr:`failed`.
        """
        fresh = claim_place(self.place, self.config, read=self.plan.fingerprints, overwrite=self.overwrite)
        self._remove_outdated(fresh=fresh)
        try:
            self._observe()
            samples = load_samples(self.prepared.observe.features, self.patches)
        except (BatchError, GridError, ModelError):
            # What gives not one sample needs another configuration, which these remains would refuse; but what was
            # downloaded stays.
            if fresh and not self.config.source.is_downloaded:
                remove_results(self.place)
            raise
        trained = self._train(samples)
        self._map(trained.model)
        return self._collect(trained)

    def _remove_outdated(self, *, fresh: bool) -> None:
        """Removes what was made of inputs that have been written since, so that none of it counts as done.

        A run that is killed meanwhile is repeated: what the results are made of is noted when the old ones are gone.

        :param fresh: Whether there are no results at all.
        """
        versions, observe, mapping = self.plan.versions, self.prepared.observe, self.prepared.mapping
        if not versions:
            return
        outdated = outdated_patches(self.place, versions)
        for name in () if fresh else outdated:
            for place in (observe.features, observe.observed, mapping.predictions):
                place.remove(name)
            for path in mapping.map_paths(name):
                mapping.maps.remove(path)
        if outdated and not fresh:
            LOGGER.info("%d patches are made anew: what they are read from was written since.", len(outdated))
        if outdated or fresh:
            note_versions(self.place, versions)

    def _observe(self) -> None:
        steps = self.prepared.observe
        self._batch(
            "observe",
            steps.workflow,
            {patch.name: steps.arguments(patch) for patch in self.plan.patches},
            lambda name: complete_save(steps.observed, name) and complete_save(steps.features, name),
        )

    def _train(self, samples: Samples) -> Trained:
        config, resolved, place = self.config, self.prepared.resolved, self.prepared.mapping.model
        splits = seed_splits(config.validation, self.plan.patches)
        with self._stage("train and validate", len(splits)):
            key = training_key(samples, config, resolved, splits)
            trained = trained_before(place, key, resolved)
            if trained is not None:
                LOGGER.info(
                    "The model in %s is used again: samples, settings and code are those that made it (remove this"
                    " folder to train anew).",
                    place,
                )
                for _ in splits:
                    self.reporter.advance()
                return trained
            for item in train_and_validate(samples, config, resolved, splits):
                if isinstance(item, Trained):
                    trained = item
                else:
                    self.reporter.advance()
        assert trained is not None
        trained.save(place, key)
        return trained

    def _map(self, model: LandCoverModel) -> None:
        steps = self.prepared.mapping
        marker = f"{model.card.sha256}{steps.clip and f' clipped to {steps.clip}'}".encode()
        if not steps.predictions.exists(MODEL_MARKER) or steps.predictions.read_bytes(MODEL_MARKER) != marker:
            for outdated in (steps.predictions, steps.maps):  # none of the old maps may count as done
                for name in outdated.names():
                    outdated.remove(name)
            steps.predictions.write_bytes(MODEL_MARKER, marker)
        exported = steps.maps.files()  # one listing: on S3 every question is a request
        self._batch(
            "map",
            steps.workflow,
            {patch.name: steps.arguments(patch) for patch in self.patches},
            lambda name: set(steps.map_paths(name)) <= exported.keys() and complete_save(steps.predictions, name),
        )
        with self._stage("mosaic", 1):
            mosaics = mosaic_cogs_by_crs(
                [f"{steps.maps}/{steps.map_paths(patch.name)[0]}" for patch in self.patches],
                f"{self.place}/{MAP_FILE}",
            )
            if self.config.output.styles:
                for mosaic in mosaics.values():
                    write_style(mosaic, class_style(self.prepared.resolved.classes))
            self.reporter.advance()

    def _batch(
        self,
        stage: str,
        workflow: EOWorkflow,
        arguments: Mapping[str, Mapping[EONode, Mapping[str, object]]],
        done: Callable[[str], bool],
    ) -> None:
        started = time.perf_counter()
        self.reporter.begin(stage, len(arguments))
        run = self.config.run
        with MemoryMonitor() as monitor:
            result = run_batch(
                workflow,
                arguments,
                executor=run.executor,
                workers=run.workers,
                threads=run.threads,
                patch_timeout=run.patch_timeout,
                place=self.place,
                stage=stage,
                skip=done,
                retry_quarantined=self.retry_quarantined,
                on_progress=self.reporter.advance,
                progress=False,
            )
        self.reporter.end()
        outcomes = list(result.outcomes)
        self.stages.append(
            Stage(stage, time.perf_counter() - started, outcomes, result.workers, peak_memory_mb=monitor.peak_mb)
        )
        failures = {outcome.name: outcome for outcome in result.failed}
        self.failed |= failures
        if failures and len(failures) == len(outcomes):
            first = next(iter(failures.values()))
            raise BatchError(
                f"All {len(outcomes)} patches failed. {first.name}, step {first.error_step!r}: {first.error}"
            )

    @contextmanager
    def _stage(self, name: str, total: int) -> Iterator[None]:
        started = time.perf_counter()
        self.reporter.begin(name, total)
        with MemoryMonitor() as monitor:
            yield
        self.reporter.end()
        self.stages.append(Stage(name, time.perf_counter() - started, peak_memory_mb=monitor.peak_mb))

    def _collect(self, trained: Trained) -> ChainResult:
        config, resolved, patches = self.config, self.prepared.resolved, self.patches
        observed, features = self.prepared.observe.observed, self.prepared.observe.features
        predictions, resolution = self.prepared.mapping.predictions, config.area.resolution
        mosaicked = same_crs(patches)
        with self._stage("collect pictures", 1):
            frames = collect.frames_of(observed, patches, config.valid)
            if not frames:
                raise TooFewFramesError("No patch has a frame: check time.start and time.end against the source.")
            date = collect.picture_time(frames, config.time)
            maps = collect.observation_maps(observed, mosaicked, resolved, resolution, date)
            predicted, pixels = collect.prediction_maps(predictions, patches, resolution)
            held_out = [patch for patch in mosaicked if self.plan.role(patch.name) == "test"] or mosaicked
            dates = load_eopatch(features, patches[0].name, features=[]).timestamps or []
            ndvi = None
            if config.features.step_days is not None:
                ndvi = collect.ndvi_of_a_meadow(observed, features, mosaicked, resolved)
            importance = collect.importance(trained, features, mosaicked, resolved, resolution, dates)
            window = collect.inspection(observed, predictions, held_out, resolved, resolution, date)
            self.reporter.advance()
        areas = areas_of(trained.validation.matrix, pixels, pixel_area=resolution**2, classes=resolved.classes)
        self._write_metrics(trained, areas)
        return ChainResult(
            name=self.name,
            simulated=config.source.is_simulated,
            source_note=config.source.note(config),
            classes=resolved.classes,
            crs=f"EPSG:{patches[0].bbox.crs.epsg}",
            resolution=resolution,
            provenance=provenance(config),
            facts=self._facts(),
            outline=self.plan.outline,
            patches=[self._patch_area(patch) for patch in same_crs(self.plan.patches)],
            maps={**maps, **predicted},
            frames=frames,
            min_valid_fraction=config.valid.min_valid_fraction or None,
            ndvi_series=ndvi,
            train_counts=trained.train_counts,
            test_counts=trained.test_counts,
            validation=trained.validation,
            split_note=split_note(config.validation, self.plan),
            seeds=trained.seeds,
            roc=trained.roc,
            importance=importance,
            areas=areas,
            inspection=window,
            run=self._run_info(),
            reasons=reasons(config, resolved, self.plan),
        )

    def _write_metrics(self, trained: Trained, areas: AreaEstimates) -> None:
        """Everything that was measured about the map, and nothing about the run: the same seed gives the same bytes."""
        metrics = {
            "version": 1,
            "simulated": self.config.source.is_simulated,
            "validation": trained.validation.to_dict(),
            "seeds": trained.seeds.to_dict(),
            "areas": areas.to_dict(),
            "training_samples": {str(key): value for key, value in trained.train_counts.items()},
        }
        self.place.write_bytes(METRICS_FILE, (json.dumps(metrics, indent=2, allow_nan=False) + "\n").encode())
        with self.place.writing(PATCHES_FILE) as file:
            save_patch_grid(self.plan.patches, file)

    def _patch_area(self, patch: Patch) -> PatchArea:
        left, bottom, right, top = patch.bbox
        role = self.plan.role(patch.name)
        return PatchArea(patch.name, (left, bottom, right, top), role, failed=patch.name in self.failed)

    def _facts(self) -> dict[str, str]:
        config, plan = self.config, self.plan
        facts = {"Seed": str(config.seed), "Period": f"{config.time.start} to {config.time.end}"}
        if plan.times and len(plan.times) > 1:
            facts["Acquisitions"] = f"{len(plan.times)}, {plan.times[0]:%Y-%m-%d} to {plan.times[-1]:%Y-%m-%d}"
        facts["Patches"] = f"{len(plan.patches)}, {len(self.failed)} failed"
        return facts

    def _run_info(self) -> RunInfo:
        return RunInfo(
            stages=tuple(self.stages),
            seconds=time.perf_counter() - self.started,
            peak_memory_mb=max((stage.peak_memory_mb or 0 for stage in self.stages), default=None),
            memory_note="All processes together; on Linux the proportional set size, shared pages counted once.",
            versions={"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
            configuration=render_toml(self.config),
        )


def same_crs(patches: Sequence[Patch]) -> list[Patch]:
    """Patches in the coordinate system of the first one: pictures show one UTM zone."""
    return [patch for patch in patches if patch.bbox.crs == patches[0].bbox.crs]
