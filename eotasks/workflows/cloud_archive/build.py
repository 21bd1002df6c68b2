"""Building an archive: what its source has and it has not, in one batch, under one lease."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eolearn.core import EONode, EOWorkflow

from eotasks.catalogue.packages import require
from eotasks.catalogue.request import Level, SearchRequest
from eotasks.catalogue.store import Catalogue
from eotasks.errors import ConfigurationError, PatchFailedWarning
from eotasks.imagery.files.signing import Modifier, modifier_of
from eotasks.storage.lease import hold_lease
from eotasks.storage.place import Place, PlaceLike, check_folder
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.batch.result import BatchResult
from eotasks.workflows.batch.run import run_batch
from eotasks.workflows.batch.trim import trim_manifest
from eotasks.workflows.cloud_archive.cataloguing import CatalogueWriter
from eotasks.workflows.cloud_archive.done import ArchiveState
from eotasks.workflows.cloud_archive.item import digest
from eotasks.workflows.cloud_archive.layout import STAGE
from eotasks.workflows.cloud_archive.settings import ArchiveSettings, read_settings, refuse_other_settings
from eotasks.workflows.cloud_archive.source import Source, level_of_detector
from eotasks.workflows.cloud_archive.task import MakeMasksTask
from eotasks.workflows.cloud_archive.totals import BuildTotals, begin_anew, end_anew, remove_totals, runs_anew
from eotasks.workflows.cloud_archive.windows import source_windows
from eotasks.workflows.product_masks.options import CloudMaskOptions

if TYPE_CHECKING:
    from eotasks.workflows.batch.workers.kinds import ExecutorName

BATCH = 20_000
"""Products that are made at a time: what is kept of them in memory until their batch ends is some kilobytes each."""

WHAT = "eotasks archive build"
"""What a lease says is running."""


@dataclass(frozen=True)
class BuildResult:
    """What came of a build."""

    place: Place
    source: Source
    """What was found: without products and siblings, which are counted only."""

    batch: BatchResult | None = None
    """The last one, of some thousand products; None where no product was left to mask."""

    done: list[str] = field(default_factory=list)
    """Names of products whose masks were made, or found to be those of another run."""

    kept: list[str] = field(default_factory=list)
    """Names of products whose masks were there."""

    missing: dict[str, str] = field(default_factory=dict)
    """Names of products whose masks could not be made, with the reason."""

    uncatalogued: Mapping[str, str] = field(default_factory=dict)
    """Names of products whose items cannot be kept in the catalogue, with the reason."""

    removed: tuple[str, ...] = ()
    """Names of products whose masks were replaced by those of a newer processing."""

    seconds: float = 0.0
    """Wall clock of all batches."""

    @property
    def failed(self) -> dict[str, str]:
        """Every product without masks, or without a row in the catalogue, with the reason."""
        return {**self.source.failed, **self.missing, **self.uncatalogued}


def build_archive(
    source: str | os.PathLike[str],
    out: PlaceLike,
    options: CloudMaskOptions | None = None,
    *,
    request: SearchRequest | None = None,
    executor: ExecutorName = "processes",
    ray: str | None = None,
    workers: int | None = None,
    threads: int | None = None,
    patch_timeout: float | None = None,
    modifier: Modifier | str | None = None,
    overwrite: bool = False,
    retry_quarantined: bool = False,
    on_source: Callable[[int, int], None] | None = None,
    progress: bool = False,
) -> BuildResult:
    """Makes the masks of all products of a source that an archive has not, and catalogues them.

    Run again it takes new products, those that failed, and those that were processed anew, whose older masks it
    removes. It may be killed at any moment: what a worker has finished stays, the rest is made by the next call.

    :param source: A catalogue (``.parquet``), the address of a STAC API, a folder, or ``s3://bucket/prefix``.
    :param out: The archive: a folder or ``s3://bucket/prefix``.
    :param options: How masks are made; None: at 160 m by s2cloudless, with its usual settings. Pictures and styles
        are not made.
    :param request: Which products of the source; None for all.
    :param executor: As of `run_batch`.
    :param ray: Address of the cluster for the executor "ray": ``auto``, ``HOST:PORT`` or ``local``.
    :param workers: Products at a time; None finds out by memory.
    :param threads: Threads of the engines in each worker; None shares the cores.
    :param patch_timeout: Seconds that a product may take.
    :param modifier: Signs the addresses of STAC items before they are read.
    :param overwrite: Make everything anew, also where other settings were used.
    :param retry_quarantined: Try products again that have cost three workers.
    :param on_source: Is told how many products of a folder have been looked at, of how many.
    :param progress: Whether stderr shows how far it is.
    :raises ConfigurationError: other settings than those of the archive, a place inside of a product, nothing found.
    :raises StorageError: the place cannot be written, or another builder has it.
    :raises MissingDependencyError: the extra of the catalogue is not installed.
    :warns EOTasksWarning: what products warned of, once for each kind.
    """
    require(*Catalogue.packages)
    options = replace(options or CloudMaskOptions(resolution=160), quicklook=False, styles=False)
    place, settings, request = Place(out), ArchiveSettings.of(options), request or SearchRequest()
    modifier_of(modifier)
    check_place(place)
    level = level_of_detector(options)
    if not overwrite:
        refuse_other_settings(place, read_settings(place), settings)
    task = MakeMasksTask(place, options, modifier=modifier, anew=overwrite)
    with hold_lease(place, WHAT) as lease, _cluster(executor, ray, place):
        builder = _Builder(
            place,
            settings,
            level,
            task,
            lease.check,
            run=_run_of(source, request),
            overwrite=overwrite,
            executor=executor,
            workers=workers,
            threads=threads,
            patch_timeout=patch_timeout,
            retry_quarantined=retry_quarantined,
            progress=progress,
        )
        for window in source_windows(source, level, request, modifier=modifier, progress=on_source):
            refuse_inside(place, window)
            builder.take(window)
        result = builder.finish()
    if not (result.source.found or result.source.failed):
        raise ConfigurationError(
            f"{source}: no {level} product of what was asked for: check --time, --bbox and --max-cloud-cover."
        )
    return result


def _run_of(source: PlaceLike, request: SearchRequest) -> str:
    area = None if request.area is None else request.area.wkb_hex
    facts = [request.start, request.end, request.max_cloud_cover, request.level, request.tile, request.limit]
    return digest([str(source), area, *(None if fact is None else str(fact) for fact in facts)])


class _Builder:
    """Takes the products of a source as they are found, and makes the masks of some thousand at a time.

    :param check: Whether this run still has the archive.
    :param run: What this run takes, the same for another one that takes the same.
    :param options: Of `run_batch`.
    """

    def __init__(
        self,
        place: Place,
        settings: ArchiveSettings,
        level: Level,
        task: MakeMasksTask,
        check: Callable[[], None],
        *,
        run: str,
        overwrite: bool,
        **options: Any,
    ) -> None:
        self._place, self._settings, self._task, self._check = place, settings, task, check
        self._overwrite, self._options = overwrite, options
        self._run, self._anew = run, overwrite or bool(runs_anew(place))
        self._state = ArchiveState(place, settings, level)
        self._result = BuildResult(place, Source())
        self._waiting = Source()
        self._uncatalogued: set[str] = set()
        self._superseded: dict[str, dict[str, str]] = {}

    def take(self, window: Source) -> None:
        """The next products: those that are done are left, the others are made as soon as there are enough."""
        self._result.source.note(window)
        if not window.products:
            return
        self._settings.write(self._place)
        if self._overwrite:
            begin_anew(self._place, self._run)
        looked = self._state.look(window)
        todo = list(window.products) if self._anew else looked.todo
        if not self._anew:
            self._result.kept.extend(looked.kept)
        self._waiting.add(window.part(todo))
        self._uncatalogued |= looked.uncatalogued
        self._superseded |= looked.superseded
        names = list(self._waiting.products)
        while len(names) >= BATCH:
            self._make(self._waiting.part(names[:BATCH]))
            names = names[BATCH:]
            self._waiting = self._waiting.part(names)

    def finish(self) -> BuildResult:
        """Makes what waits; what came of all."""
        if self._waiting.products:
            self._make(self._waiting)
        if self._anew and not (self._result.missing or self._result.uncatalogued):
            end_anew(self._place, self._run)
        return self._result

    def _write_totals(self, part: Source) -> None:
        """Notes how far it is before a batch, where it is one of several."""
        known = self._result
        expected = known.source.expected
        if expected > len(part.products):
            counts = {"kept": len(known.kept), "done": len(known.done), "failed": len(known.missing)}
            BuildTotals(products=expected, **counts).write(self._place)
        elif not known.done:
            remove_totals(self._place)

    def _make(self, part: Source) -> None:
        superseded = {name: self._superseded.pop(name) for name in part.products if name in self._superseded}
        again = self._uncatalogued & part.products.keys()
        self._uncatalogued -= again
        if self._anew:  # each is looked at
            again = set(part.products)
        writer = CatalogueWriter(self._place, part, superseded, self._check, self._state.made_of)

        def finish(outcome: PatchOutcome) -> None:
            if outcome.state in ("done", "skipped"):  # of the latter the catalogue does not have all yet
                writer.take(outcome.name)

        trim_manifest(self._place, STAGE)
        self._write_totals(part)
        node = EONode(self._task, name="masks")
        try:
            with without(PatchFailedWarning):
                batch = run_batch(
                    EOWorkflow([node]),
                    {name: {node: product.arguments()} for name, product in part.products.items()},
                    place=self._place,
                    stage=STAGE,
                    again=again,
                    configuration=self._settings.compared(),
                    overwrite=self._overwrite,
                    on_progress=finish,
                    **self._options,
                )
        finally:
            writer.flush()
        before = self._result
        self._result = replace(
            before,
            batch=batch,
            done=before.done + batch.done,
            kept=before.kept + batch.skipped,
            missing=before.missing | {each.name: each.error or each.state for each in batch.failed},
            uncatalogued={**before.uncatalogued, **writer.failed},
            removed=(*before.removed, *writer.removed),
            seconds=before.seconds + batch.seconds,
        )


@contextlib.contextmanager
def _cluster(executor: ExecutorName, address: str | None, place: Place) -> Iterator[None]:
    """The Ray cluster of a build, where there is one.

    :raises ConfigurationError: the archive is a folder that the cluster's other machines do not have.
    """
    if executor != "ray":
        yield
        return
    from eotasks.workflows.batch.ray.cluster import check_reach, ray_cluster

    with ray_cluster(address):
        if place.is_local:
            check_reach(place.local_path())
        yield


def check_place(place: Place) -> None:
    """Refuse a place that cannot be an archive, before any work.

    :raises ConfigurationError: a file is in the way.
    :raises StorageError: when its bucket is absent or cannot be reached.
    """
    if place.is_local:
        check_folder(place.local_path())
    else:
        place.exists()


def refuse_inside(place: Place, found: Source) -> None:
    """Refuse an archive inside of one of its products.

    :raises ConfigurationError: names the product.
    """
    own = f"{Path(place.location).resolve() if place.is_local else place.location}/"
    for product in found.products.values():
        location = product.candidate.location
        if not isinstance(location, str):
            continue
        other = location if "://" in location else str(Path(location).resolve())
        if own.startswith(f"{other.rstrip('/')}/"):
            raise ConfigurationError(
                f"--out {place} would put masks into the product {location}: give a folder outside of it."
            )


@contextlib.contextmanager
def without(category: type[Warning]) -> Iterator[None]:
    """Leaves out warnings of a category in a block: the result says the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category)
        yield
