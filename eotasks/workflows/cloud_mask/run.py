"""Masks of several products, one after the other: what is done is kept, and a bad product does not stop the others."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal, Protocol

from eotasks.catalogue.discovery import several_products
from eotasks.clouds.detectors.registry import find_detector
from eotasks.errors import ConfigurationError, EOTasksError, ProductSkippedWarning, message_of, warn_caller
from eotasks.imagery.files.signing import Modifier, modifier_of
from eotasks.imagery.scene import Scene, open_scene
from eotasks.models.threads import resolve_threads
from eotasks.storage.lease import Lease, hold_lease
from eotasks.storage.place import Place, check_folder
from eotasks.workflows.cloud_mask.files import MaskFiles
from eotasks.workflows.product_masks.names import check_name, product_name, resolved
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.product import Shares, make_masks, refuse_product

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProductOutcome:
    """What became of one product."""

    name: str
    state: Literal["done", "kept", "failed"]
    """"kept": its results were complete before, nothing was done."""

    shares: Shares | None = None
    """None when it failed."""

    seconds: float = 0.0
    error: str | None = None
    """The message of the error, in one line."""


class Reporter(Protocol):
    """Told what goes on."""

    def begin(self, name: str) -> None:
        """A product is begun."""

    def strip(self, done: int, total: int) -> None:
        """Strips of the product that are done."""

    def end(self, outcome: ProductOutcome) -> None:
        """A product has ended, well or not."""


@dataclass(frozen=True)
class _Job:
    location: str
    name: str
    files: MaskFiles
    scene: Scene | None
    """None where the product cannot be opened; the error says why."""

    error: EOTasksError | OSError | None = None


class CloudMaskRun:
    """Products to mask, checked before any work is done.

    :param products: Paths or locations of products, as :func:`eotasks.imagery.scene.open_scene` takes them, and folders
        of products.
    :param out: Folder or ``s3://bucket/prefix`` that gets a folder for each.
    :param threads: Threads of the engine; None for the setting.
    :param overwrite: Make everything anew, and replace results of other settings.
    :param modifier: Signs the addresses of STAC items before they are read, as of `eotasks.imagery.scene.open_scene`.
    :raises ConfigurationError: two products of one name, results of other settings in the way, or a place that lies
        in a product.
    :raises ImageryError: a digital elevation model that is none.
    :raises EOTasksError: the first product's error when no product can be opened.
    """

    def __init__(
        self,
        products: Sequence[str | Path],
        out: str | Path | Place,
        options: CloudMaskOptions,
        *,
        threads: int | None = None,
        overwrite: bool = False,
        modifier: Modifier | str | None = None,
    ) -> None:
        self.out, self.options = Place(out), options
        if options.dem is not None:
            from eotasks.imagery.elevation import ElevationFile  # few runs have one

            ElevationFile(options.dem).check()
        self._threads = resolve_threads(threads)
        self._overwrite = overwrite
        self._jobs = _jobs(products, self.out, options, modifier_of(modifier))
        _check_place(self.out, self._jobs)
        _check_names(self._jobs)
        self._kept = {job.name for job in self._jobs if self._was_kept(job)}
        errors = [job.error for job in self._jobs if job.error is not None]
        if errors and len(errors) == len(self._jobs):
            raise errors[0]

    def __len__(self) -> int:
        """Number of products."""
        return len(self._jobs)

    def run(self, reporter: Reporter) -> list[ProductOutcome]:
        """Work through the products.

        :return: What became of each, in their order.
        """
        return [self._one(job, reporter) for job in self._jobs]

    def _one(self, job: _Job, reporter: Reporter) -> ProductOutcome:
        reporter.begin(job.name)
        started = time.perf_counter()
        try:
            outcome = self._masked(job, reporter)
        except Exception as error:
            LOGGER.info("%s failed", job.name, exc_info=True)
            outcome = ProductOutcome(job.name, "failed", None, time.perf_counter() - started, message_of(error))
        reporter.end(outcome)
        return outcome

    def _masked(self, job: _Job, reporter: Reporter) -> ProductOutcome:
        if job.error is not None:
            raise job.error
        assert job.scene is not None
        if job.name in self._kept:
            return ProductOutcome(job.name, "kept", job.files.shares())
        with hold_lease(job.files.place, "eotasks cloud-mask") as lease:
            if self._is_kept(job):  # by another run, in the meantime
                return ProductOutcome(job.name, "kept", job.files.shares())
            return self._made(job, job.scene, lease, reporter)

    def _made(self, job: _Job, scene: Scene, lease: Lease, reporter: Reporter) -> ProductOutcome:
        def advance(done: int, total: int) -> None:
            lease.check()
            reporter.strip(done, total)

        started = time.perf_counter()
        for_picture = scene.keeping() if self.options.quicklook else contextlib.nullcontext()
        with ThreadPoolExecutor(1) as helper, for_picture:
            helper.submit(_get_ready, self.options)
            masks = make_masks(scene, self.options, threads=self._threads, advance=advance)
        lease.check()
        job.files.write(scene, masks, self.options)
        return ProductOutcome(job.name, "done", masks.shares, time.perf_counter() - started)

    def _was_kept(self, job: _Job) -> bool:
        """The same before the run: only results of other settings end it, all else fails when it is its turn."""
        try:
            return self._is_kept(job)
        except ConfigurationError:
            raise
        except Exception:  # noqa: BLE001 - it is asked for again then
            return False

    def _is_kept(self, job: _Job) -> bool:
        """Whether nothing has to be made; refuses results of other settings."""
        if job.scene is None:
            return False
        state = job.files.state(job.scene, self.options, overwrite=self._overwrite)
        return state == "complete" and not self._overwrite


def _get_ready(options: CloudMaskOptions) -> None:
    """Load what comes after the reading while files are decoded, which the interpreter does not take part in."""
    if options.quicklook:
        import_module("eotasks.workflows.cloud_mask.quicklook")
    find_detector(options.detector).prepare()


def _jobs(
    products: Sequence[str | Path], out: Place, options: CloudMaskOptions, modifier: Modifier | None
) -> list[_Job]:
    """Products that are named, and those of folders, of which a second one of a name and a time is left out."""
    jobs: list[_Job] = []
    for given in products:
        inside = several_products([given])
        for product in inside:
            job = _job(os.fspath(product), out, options, modifier)
            same = [other for other in jobs if _are_same(job, other)]
            if same and len(inside) > 1:
                warn_caller(
                    f"{job.location} is left out: the same product as {same[0].location}.",
                    ProductSkippedWarning,
                )
                continue
            jobs.append(job)
    return jobs


def _are_same(one: _Job, other: _Job) -> bool:
    """Whether two jobs are of one product: names of folders repeat, as archive/2020/scene and archive/2021/scene."""
    if one.scene is None or other.scene is None:
        return False
    return one.name == other.name and one.scene.acquisition.time == other.scene.acquisition.time


def _job(location: str, out: Place, options: CloudMaskOptions, modifier: Modifier | None) -> _Job:
    try:
        scene = open_scene(location, modifier=modifier)
        refuse_product(scene, options)
        check_name(scene.name, location)
    except (EOTasksError, OSError) as error:
        name = product_name(location)
        return _Job(location, name, MaskFiles(out, name), None, error)
    return _Job(location, scene.name, MaskFiles(out.child(scene.name), scene.name), scene)


def _check_names(jobs: Sequence[_Job]) -> None:
    twice = [name for name, count in Counter(job.name for job in jobs if job.scene is not None).items() if count > 1]
    if twice:
        raise ConfigurationError(
            f"Two products are called {twice[0]}, their results would have one name: name each once, or run them into"
            " different --out."
        )


def _check_place(out: Place, jobs: Sequence[_Job]) -> None:
    """No results inside of a product, and a place that can take them.

    :raises ConfigurationError: they would lie in a product, or a file is in the way.
    :raises StorageError: on S3, when the bucket is absent or cannot be reached.
    """
    if not out.is_local:
        out.exists()
    for place in (out, *(job.files.place for job in jobs if job.scene is not None)):
        for job in jobs:
            if _is_within(place, job.location):
                raise ConfigurationError(
                    f"--out {out} would put results into the product {job.location}: give a folder outside of it."
                )
        if place.is_local:
            check_folder(place.local_path())


def _is_within(place: Place, product: str) -> bool:
    if "://" in product:
        return f"{place}/".startswith(f"{product.rstrip('/')}/")
    if not place.is_local:
        return False
    folder, path = place.local_path().resolve(), resolved(product)
    return folder == path or path in folder.parents
