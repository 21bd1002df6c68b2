"""Building an archive: what its source has and it has not, in one batch, under one lease."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eolearn.core import EONode, EOWorkflow

from eotasks.catalogue.packages import require
from eotasks.catalogue.request import SearchRequest
from eotasks.catalogue.store import Catalogue
from eotasks.errors import ConfigurationError, PatchFailedWarning
from eotasks.imagery.files.signing import Modifier, modifier_of
from eotasks.sources.replacement import choose_products
from eotasks.storage.lease import hold_lease
from eotasks.storage.place import Place, PlaceLike, check_folder
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.batch.result import BatchResult
from eotasks.workflows.batch.run import run_batch
from eotasks.workflows.cloud_archive.cataloguing import CatalogueWriter
from eotasks.workflows.cloud_archive.layout import STAGE, catalogue_of_archive, folder_in
from eotasks.workflows.cloud_archive.settings import ArchiveSettings, read_settings, refuse_other_settings
from eotasks.workflows.cloud_archive.source import Source, archived, level_of_detector, read_source
from eotasks.workflows.cloud_archive.task import MakeMasksTask
from eotasks.workflows.product_masks.options import CloudMaskOptions

if TYPE_CHECKING:
    from eotasks.workflows.batch.workers.kinds import ExecutorName

LOGGER = logging.getLogger(__name__)

WHAT = "eotasks archive build"
"""What a lease says is running."""


@dataclass(frozen=True)
class BuildResult:
    """What came of a build."""

    place: Place
    source: Source
    batch: BatchResult | None
    """None where no product was left to mask."""

    uncatalogued: Mapping[str, str] = field(default_factory=dict)
    """Names of products whose items cannot be kept in the catalogue, with the reason."""

    removed: tuple[str, ...] = ()
    """Names of products whose masks were replaced by those of a newer processing."""

    @property
    def done(self) -> list[str]:
        """Names of products whose masks were made, or found to be those of another run."""
        return [] if self.batch is None else self.batch.done

    @property
    def kept(self) -> list[str]:
        """Names of products whose masks were there."""
        return [] if self.batch is None else self.batch.skipped

    @property
    def failed(self) -> dict[str, str]:
        """Every product without masks, or without a row in the catalogue, with the reason."""
        outcomes = [] if self.batch is None else self.batch.failed
        missing = {each.name: each.error or each.state for each in outcomes}
        return {**self.source.failed, **missing, **self.uncatalogued}


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
    with hold_lease(place, WHAT) as lease:
        found = read_source(source, level, request, modifier=modifier, progress=on_source)
        refuse_inside(place, found)
        if not found.products:
            if not found.failed:
                raise ConfigurationError(
                    f"{source}: no {level} product of what was asked for: check --time, --bbox and --max-cloud-cover."
                )
            return BuildResult(place, found, None)
        settings.write(place)
        catalogue = catalogue_of_archive(place)
        catalogued = set(catalogue.masks()) if catalogue.exists() else set()
        superseded = _superseded(place, catalogue, found, level)
        writer = CatalogueWriter(place, found, superseded, lease.check)

        def finish(outcome: PatchOutcome) -> None:
            later = {each.name for each in found.siblings.get(outcome.name, ())} - catalogued
            if outcome.state == "done" or (outcome.state == "skipped" and later):  # a sibling came after its masks
                writer.take(outcome.name)

        node = EONode(MakeMasksTask(place, options, modifier=modifier, anew=overwrite), name="masks")
        try:
            with _cluster(executor, ray, place), without(PatchFailedWarning):
                result = run_batch(
                    EOWorkflow([node]),
                    {name: {node: product.arguments()} for name, product in found.products.items()},
                    executor=executor,
                    workers=workers,
                    threads=threads,
                    patch_timeout=patch_timeout,
                    place=place,
                    stage=STAGE,
                    again=found.products.keys() - catalogued,
                    configuration=settings.compared(),
                    retry_quarantined=retry_quarantined,
                    overwrite=overwrite,
                    on_progress=finish,
                    progress=progress,
                )
        finally:
            writer.flush()
    return BuildResult(place, found, result, writer.failed, tuple(writer.removed))


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


def _superseded(place: Place, catalogue: Catalogue, found: Source, level: Any) -> dict[str, dict[str, str]]:
    """Masks in the archive that those of products of the source replace: name of the product -> names and folders."""
    there = [each for each in archived(catalogue, found.products.values(), level) if each.name not in found.products]
    mine = {id(each.candidate.location): each for each in found.products.values()}
    old = {id(each.location): each for each in there}
    choice = choose_products([*there, *(each.candidate for each in found.products.values())])
    superseded: dict[str, dict[str, str]] = {}
    for each in choice.replaced:
        before, by = old.get(id(each.product.location)), mine.get(id(each.by.location))
        if before is not None and by is not None and "CLM" in before.masks:
            folder = folder_in(place, before.masks["CLM"])
            if folder is not None:
                superseded.setdefault(by.name, {})[before.name] = folder
    return superseded


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
