"""Masks of several products, one after the other: what is done is kept, and a bad product does not stop the others."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from eotasks.imagery.scene import Scene, open_scene
from models.clouds.pixel import cloud_probability
from models.errors import ConfigurationError, EOTasksError
from models.sentinel2 import CLOUD_BANDS, QUANTIFICATION
from models.threads import resolve_threads
from workflows.cloud_mask.files import ProductFiles, product_name
from workflows.cloud_mask.options import CloudMaskOptions
from workflows.cloud_mask.product import Shares, make_masks
from workflows.places import check_folder

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
    name: str
    files: ProductFiles
    scene: Scene | None
    error: EOTasksError | OSError | None = None
    kept: bool = False


class CloudMaskRun:
    """Products to mask, checked before any work is done.

    :param products: Paths of products.
    :param out: Folder that gets a folder for each.
    :param threads: Threads of the engine; None for the setting.
    :param overwrite: Make everything anew, and replace results of other settings.
    :raises ConfigurationError: two products of one name, results of other settings in the way, or a place that lies
        in a product.
    :raises EOTasksError: the first product's error when no product can be opened.
    """

    def __init__(
        self,
        products: Sequence[str | Path],
        out: str | Path,
        options: CloudMaskOptions,
        *,
        threads: int | None = None,
        overwrite: bool = False,
    ) -> None:
        self.out, self.options = Path(out), options
        self._threads = resolve_threads(threads)
        paths = [Path(product) for product in products]
        _check_place(self.out, paths)
        _check_names(paths)
        self._jobs = [_job(path, self.out, options, overwrite) for path in paths]
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
        except (EOTasksError, OSError) as error:
            LOGGER.info("%s failed", job.name, exc_info=True)
            message = " ".join(str(error).split())
            outcome = ProductOutcome(job.name, "failed", None, time.perf_counter() - started, message)
        reporter.end(outcome)
        return outcome

    def _masked(self, job: _Job, reporter: Reporter) -> ProductOutcome:
        if job.error is not None:
            raise job.error
        if job.kept or job.scene is None:
            return ProductOutcome(job.name, "kept", job.files.shares())
        started = time.perf_counter()
        with ThreadPoolExecutor(1) as helper:
            helper.submit(_get_ready)
            masks = make_masks(job.scene, self.options, threads=self._threads, advance=reporter.strip)
        job.files.write(job.scene, masks, self.options)
        return ProductOutcome(job.name, "done", masks.shares, time.perf_counter() - started)


def _get_ready() -> None:
    """Load what comes after the reading while files are decoded, which the interpreter does not take part in."""
    import_module("workflows.cloud_mask.quicklook")
    cloud_probability(np.full((1, len(CLOUD_BANDS)), QUANTIFICATION, dtype=np.uint16), threads=1)


def _job(path: Path, out: Path, options: CloudMaskOptions, overwrite: bool) -> _Job:
    name = product_name(path)
    files = ProductFiles(out / name, name)
    try:
        scene = open_scene(path)
    except (EOTasksError, OSError) as error:
        return _Job(name, files, None, error)
    state = files.state(scene, options, overwrite=overwrite)
    return _Job(name, files, scene, kept=state == "complete" and not overwrite)


def _check_names(paths: Sequence[Path]) -> None:
    twice = [name for name, count in Counter(product_name(path) for path in paths).items() if count > 1]
    if twice:
        raise ConfigurationError(
            f"Two products are called {twice[0]}, their results would have one name: name each once, or run them into"
            " different --out."
        )


def _check_place(out: Path, paths: Sequence[Path]) -> None:
    products = [path.resolve() for path in paths]
    for place in (out, *(out / product_name(path) for path in paths)):
        resolved = place.resolve()
        for path, product in zip(paths, products, strict=True):
            if resolved == product or product in resolved.parents:
                raise ConfigurationError(
                    f"--out {out} would put results into the product {path}: give a folder outside of it."
                )
        check_folder(place)
