"""What an archive will cost: products counted, a few of them measured here, the rest multiplied. Nothing is written."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eotasks.catalogue.packages import require
from eotasks.catalogue.request import SearchRequest
from eotasks.catalogue.store import Catalogue
from eotasks.documents import first_problem, parse_json_object, parse_toml, refuse_many_values
from eotasks.errors import ConfigurationError, EOTasksError, ImageryError, message_of
from eotasks.imagery.files.signing import Modifier
from eotasks.limits import RECORD_BYTES
from eotasks.network.traffic import WEB, Traffic, TrafficCounter
from eotasks.reading import read_regular
from eotasks.storage.place import Place, PlaceLike
from eotasks.storage.temporary import temporary_folder
from eotasks.workflows.cloud_archive.done import names_there
from eotasks.workflows.cloud_archive.files import ArchivedFiles
from eotasks.workflows.cloud_archive.item import SourceFacts
from eotasks.workflows.cloud_archive.layout import catalogue_of_archive
from eotasks.workflows.cloud_archive.settings import ArchiveSettings, read_settings, refuse_other_settings
from eotasks.workflows.cloud_archive.source import Progress, Source, SourceProduct, level_of_detector
from eotasks.workflows.cloud_archive.windows import source_windows
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.product import make_masks, refuse_product

Model = TypeVar("Model", bound=BaseModel)
Element = TypeVar("Element")

MEASURED = 3
"""Products that are measured, after one that loads and compiles what a process needs."""

_HOUR = 3600.0
_GIGABYTE = 1e9


class Figures(BaseModel):
    """What one product takes, on one core: the mean of those that were measured, or figures of another machine."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seconds: float = Field(gt=0)
    """Wall clock, with one thread: waiting for disk and network is in it."""

    core_seconds: float = Field(ge=0)
    """Of processors."""

    bytes_read: float = Field(ge=0)
    bytes_written: float = Field(ge=0)
    requests: float = Field(ge=0)
    """To servers; 0 for products on disk."""

    peak_memory_mb: float | None = None
    """Of the whole process; None where nobody measured."""

    products: int = 0
    """How many were measured; 0 for figures of somebody else."""


class Prices(BaseModel):
    """What is paid for, in one currency. What is left out costs nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    currency: str = Field("USD", max_length=20)
    core_hour: float = Field(0, ge=0)
    gigabyte_read: float = Field(0, ge=0)
    """10^9 bytes; so below."""

    gigabyte_written: float = Field(0, ge=0)
    gigabyte_month: float = Field(0, ge=0)
    """For keeping the masks."""

    thousand_requests: float = Field(0, ge=0)


@dataclass(frozen=True)
class Plan:
    """What an archive will cost."""

    source: Source
    products: int
    """To mask: those of the source that the archive has not."""

    there: int
    """That the archive has."""

    figures: Figures
    workers: int
    prices: Prices | None = None
    failed: dict[str, str] = field(default_factory=dict)
    """Products that could not be measured, with the reason."""

    @property
    def bytes_read(self) -> float:
        """Of all."""
        return self.products * self.figures.bytes_read

    @property
    def bytes_written(self) -> float:
        """Of all."""
        return self.products * self.figures.bytes_written

    @property
    def requests(self) -> float:
        """Of all."""
        return self.products * self.figures.requests

    @property
    def core_hours(self) -> float:
        """Of processors, of all."""
        return self.products * self.figures.core_seconds / _HOUR

    @property
    def hours(self) -> float:
        """Wall clock, with as many workers of one core each; nobody waits for another, and disk and network are as fast
        for all of them as for one.
        """
        return self.products * self.figures.seconds / self.workers / _HOUR

    def cost(self) -> dict[str, float]:
        """By what is paid for, and "total"; keeping is by the month and not in the total. Empty without prices."""
        if self.prices is None:
            return {}
        prices = self.prices
        paid = {
            "core hours": self.core_hours * prices.core_hour,
            "reading": self.bytes_read / _GIGABYTE * prices.gigabyte_read,
            "writing": self.bytes_written / _GIGABYTE * prices.gigabyte_written,
            "requests": self.requests / 1000 * prices.thousand_requests,
        }
        keeping = self.bytes_written / _GIGABYTE * prices.gigabyte_month
        return {**paid, "total": sum(paid.values()), "a month of keeping": keeping}

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON. "figures" may be given to another plan as a file."""
        return {
            "products": self.products,
            "there": self.there,
            "left_out": len(self.source.replaced),
            "failed": {**self.source.failed, **self.failed},
            "figures": self.figures.model_dump(),
            "workers": self.workers,
            "bytes_read": self.bytes_read,
            "bytes_written": self.bytes_written,
            "requests": self.requests,
            "core_hours": self.core_hours,
            "hours": self.hours,
            "currency": None if self.prices is None else self.prices.currency,
            "cost": self.cost(),
        }


def plan_archive(
    source: str | os.PathLike[str],
    options: CloudMaskOptions | None = None,
    *,
    request: SearchRequest | None = None,
    out: PlaceLike | None = None,
    workers: int = 1,
    measured: int = MEASURED,
    assume: Figures | None = None,
    prices: Prices | None = None,
    seed: int = 0,
    modifier: Modifier | str | None = None,
    on_source: Progress | None = None,
) -> Plan:
    """What the masks of a source will cost. Nothing is written but files of this machine that are gone at the end.

    :param source: As of :func:`eotasks.workflows.cloud_archive.build.build_archive`; so are options and request.
    :param out: The archive; what it has is not counted. None: everything is.
    :param workers: For the hours.
    :param measured: How many products are measured, chosen at random.
    :param assume: Figures to take instead of measuring.
    :param seed: Of the choice.
    :raises ConfigurationError: nothing is found, or the archive has other settings.
    :raises ImageryError: none of the products that were to be measured can be masked.
    """
    require(*Catalogue.packages)
    options = replace(options or CloudMaskOptions(resolution=160), quicklook=False, styles=False)
    if workers < 1 or measured < 1:
        raise ConfigurationError(f"workers={workers}, measured={measured}: give numbers of at least 1.")
    catalogue = None
    if out is not None:
        refuse_other_settings(Place(out), read_settings(Place(out)), ArchiveSettings.of(options))
        catalogue = catalogue_of_archive(Place(out))
        catalogue = catalogue if catalogue.exists() else None
    level = level_of_detector(options)
    found, there = Source(), 0
    left, others = (Sample[SourceProduct](measured + 1, seed) for _ in range(2))
    for window in source_windows(source, level, request or SearchRequest(), modifier=modifier, progress=on_source):
        known = set() if catalogue is None else names_there(catalogue, window)
        there += len(known)
        for name, product in window.products.items():
            (others if name in known else left).add(product)
        found.note(window)
    if not found.found:
        raise ConfigurationError(f"{source}: no {level} product of what was asked for: there is nothing to plan.")
    failed: dict[str, str] = {}
    figures = assume
    if figures is None:
        figures, failed = measure(left.chosen or others.chosen, options, measured, seed, modifier)
    return Plan(found, found.found - there, there, figures, workers, prices, failed)


class Sample(Generic[Element]):
    """Some of many, each as likely as the others, without keeping all (algorithm R; Vitter, 1985)."""

    def __init__(self, size: int, seed: int) -> None:
        self.chosen: list[Element] = []
        self._size, self._seen = size, 0
        self._chance = random.Random(seed)  # noqa: S311 - no secret

    def add(self, product: Element) -> None:
        """The next one."""
        self._seen += 1
        if len(self.chosen) < self._size:
            self.chosen.append(product)
            return
        place = self._chance.randrange(self._seen)
        if place < self._size:
            self.chosen[place] = product


def measure(
    products: Sequence[SourceProduct],
    options: CloudMaskOptions,
    number: int,
    seed: int = 0,
    modifier: Modifier | str | None = None,
) -> tuple[Figures, dict[str, str]]:
    """What a product takes, with one thread; and those that cannot be masked, with the reason.

    One product is masked before the others, where there is a further one, and does not count.

    :param number: How many products are measured, at most.
    :raises ImageryError: none of them can be masked.
    """
    chosen = random.Random(seed).sample(list(products), min(number + 1, len(products)))  # noqa: S311 - no secret
    failed: dict[str, str] = {}
    single: list[Figures] = []
    for product in chosen:
        try:
            single.append(_measure_one(product, options, modifier))
        except (EOTasksError, OSError) as error:
            failed[product.name] = message_of(error)
    if not single:
        raise ImageryError(f"None of {len(chosen)} products can be masked. {next(iter(failed.values()))}")
    warm = single[1:] or single

    def mean(name: str) -> float:
        return sum(float(getattr(each, name)) for each in warm) / len(warm)

    names = ("seconds", "core_seconds", "bytes_read", "bytes_written", "requests")
    peak = max(each.peak_memory_mb or 0.0 for each in single)
    return Figures(**{name: mean(name) for name in names}, peak_memory_mb=peak, products=len(warm)), failed


def _measure_one(product: SourceProduct, options: CloudMaskOptions, modifier: Modifier | str | None) -> Figures:
    process = psutil.Process()
    candidate = replace(product.candidate, modifier=modifier)
    with temporary_folder() as folder, counted() as traffic:
        read, began, used = _read_bytes(process), time.perf_counter(), time.process_time()
        scene = candidate.open()
        refuse_product(scene, options)
        masks = make_masks(scene, options, threads=1)
        from_disk = _read_bytes(process) - read
        ArchivedFiles(Place(folder), product.name).write(scene, masks, options, SourceFacts.of(scene))
        seconds, core_seconds = time.perf_counter() - began, time.process_time() - used
        far, written = traffic(), sum(Place(folder).files().values())
    memory = process.memory_info().rss / 1e6
    return Figures(
        seconds=max(seconds, 1e-9),
        core_seconds=core_seconds,
        bytes_read=far.bytes if far.requests else from_disk,
        bytes_written=written,
        requests=far.requests,
        peak_memory_mb=memory,
    )


def _read_bytes(process: psutil.Process) -> int:
    """Bytes that a process has read of files; 0 where the system does not say."""
    with contextlib.suppress(AttributeError, psutil.Error):
        return int(getattr(process.io_counters(), "read_chars", 0))
    return 0


@contextlib.contextmanager
def counted() -> Iterator[Callable[[], Traffic]]:
    """Counts what servers answer in a block, S3 and web; gives what tells how much it was so far."""
    before, buckets = WEB.total, TrafficCounter()

    def note(parsed: Mapping[str, Any], model: Any = None, **_: object) -> None:
        is_head = model is not None and model.name == "HeadObject"  # says how much there is, and brings nothing
        buckets.add(0 if is_head else parsed.get("ContentLength", 0))

    from eotasks.storage import s3

    events = s3.s3_client().meta.events
    events.register("after-call.s3", note)
    try:
        yield lambda: buckets.total + (WEB.total - before)
    finally:
        events.unregister("after-call.s3", note)


def read_figures(path: str | os.PathLike[str]) -> Figures:
    """Figures of a JSON file: those of `eotasks archive plan --json`, the whole of it or its "figures".

    :raises ConfigurationError: when it is none.
    """
    content = _document(path, parse_json_object)
    return _model(Figures, content.get("figures", content), path)


def read_prices(path: str | os.PathLike[str]) -> Prices:
    """Prices of a TOML file.

    :raises ConfigurationError: when it is none.
    """
    return _model(Prices, _document(path, parse_toml), path)


def _document(path: str | os.PathLike[str], parse: Any) -> dict[str, Any]:
    def refuse(reason: str) -> ConfigurationError:
        return ConfigurationError(f"{path}: {reason}.")

    try:
        content: dict[str, Any] = parse(read_regular(Path(path), RECORD_BYTES), refuse)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror or error}): check the path.") from error
    refuse_many_values(content, refuse)
    return content


def _model(kind: type[Model], content: object, path: str | os.PathLike[str]) -> Model:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        fields = ", ".join(kind.model_fields)
        raise ConfigurationError(f"{path}: {first_problem(error, 'the file')}. It may have {fields}.") from error
