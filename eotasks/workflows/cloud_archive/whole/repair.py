"""Makes an archive whole: what `verify` finds is removed, catalogued, or made again from its source.

Some hundred products at a time: of the others only what is wrong with them is in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from eolearn.core import EONode, EOWorkflow

from eotasks.catalogue.fields import CLOUD_ASSETS
from eotasks.catalogue.request import SearchRequest
from eotasks.errors import EOTasksError, PatchFailedWarning, message_of
from eotasks.imagery.files.signing import Modifier
from eotasks.imagery.mosaic import SAME_DATATAKE
from eotasks.sources.frames import Candidate, candidates_of
from eotasks.sources.replacement import choose_products
from eotasks.storage.lease import hold_lease
from eotasks.storage.place import Place, PlaceLike
from eotasks.workflows.batch.run import run_batch
from eotasks.workflows.cloud_archive.build import without
from eotasks.workflows.cloud_archive.cataloguing import CatalogueWriter
from eotasks.workflows.cloud_archive.files import KINDS
from eotasks.workflows.cloud_archive.layout import catalogue_of_archive, folder_below
from eotasks.workflows.cloud_archive.settings import ArchiveSettings, options_of, require_settings
from eotasks.workflows.cloud_archive.source import Source, SourceProduct
from eotasks.workflows.cloud_archive.task import MakeMasksTask
from eotasks.workflows.cloud_archive.totals import begin_anew, end_anew
from eotasks.workflows.cloud_archive.whole.contents import folder_of_row, item_in, rows_of_folders
from eotasks.workflows.cloud_archive.whole.verify import Finding, Verification, products_of, source_of, verify_archive

if TYPE_CHECKING:
    import pystac

    from eotasks.workflows.batch.workers.kinds import ExecutorName

WHAT = "eotasks archive repair"
_RUN = "repair"
"""What `eotasks.workflows.cloud_archive.totals` notes of a run."""
STAGE = "repair"
"""Name of the batch that makes masks again."""

PORTION = 500
"""Products that are mended at a time."""


@dataclass(frozen=True)
class RepairResult:
    """What was done to an archive."""

    before: Verification
    made: tuple[str, ...] = ()
    """Names of products whose masks were made again."""

    catalogued: tuple[str, ...] = ()
    """Names of products whose masks the catalogue did not have."""

    removed: tuple[str, ...] = ()
    """Paths and rows that were of no use."""

    failed: Mapping[str, str] = field(default_factory=dict)
    """Names of products that have no masks now, with the reason: build the archive again."""


def repair_archive(
    place: PlaceLike,
    *,
    checksums: bool = True,
    sample: int = 0,
    seed: int = 0,
    source: str | os.PathLike[str] | None = None,
    executor: ExecutorName = "processes",
    workers: int | None = None,
    threads: int | None = None,
    modifier: Modifier | str | None = None,
    progress: bool = False,
) -> RepairResult:
    """Does what :func:`verify_archive` finds.

    Masks that are damaged are made again from the source that their item, or their row of the catalogue, names. Files
    without an item, and rows without masks whose source is not known, are removed; so are masks that those of a newer
    processing have replaced. Files that are nothing of an archive are left.

    :param source: Where products are, as of a build; None: where their items or the catalogue say.
    :raises ConfigurationError: a builder is at work, or masks cannot be made here as those of the archive were.
    :raises StorageError: there is no archive, another run has it, or it cannot be written.
    """
    place = Place(place)
    settings = require_settings(place)
    with hold_lease(place, WHAT) as lease:
        before = verify_archive(place, checksums=checksums, sample=sample, seed=seed, source=source, modifier=modifier)
        found: dict[str, list[Finding]] = {}
        for each in before.findings:
            if each.kind != "unknown file" or folder_below(f"{each.folder}/") == each.folder:
                found.setdefault(each.folder, []).append(each)
        given = products_of(source, settings, modifier, {folder.rpartition("/")[2] for folder in found})
        task = MakeMasksTask(place, options_of(settings), modifier=modifier, anew=True)
        options = {"executor": executor, "workers": workers, "threads": threads, "progress": progress}
        mender = _Mender(place, settings, task, given, lease.check, **options)
        for portion in _portions(found):
            mender.mend(portion)
        end_anew(place, _RUN)
    catalogued = tuple(name for name in mender.catalogued if name not in mender.failed)
    return RepairResult(before, tuple(mender.made), catalogued, tuple(mender.removed), mender.failed)


def _portions(found: Mapping[str, list[Finding]]) -> Iterator[dict[str, list[Finding]]]:
    folders = list(found)
    for start in range(0, len(folders), PORTION):
        yield {folder: found[folder] for folder in folders[start : start + PORTION]}


class _Mender:
    """Does what was found, a portion of the products after the other.

    :param task: Makes masks again.
    :param given: Products of a source that the user named, by name.
    :param check: Whether this run still has the archive.
    :param options: Of `run_batch`.
    """

    def __init__(
        self,
        place: Place,
        settings: ArchiveSettings,
        task: MakeMasksTask,
        given: Mapping[str, Candidate],
        check: Callable[[], None],
        **options: Any,
    ) -> None:
        self.made: list[str] = []
        self.catalogued: list[str] = []
        self.removed: list[str] = []
        self.failed: dict[str, str] = {}
        self._place, self._settings, self._task, self._given = place, settings, task, given
        self._check, self._options = check, options

    def mend(self, found: Mapping[str, Sequence[Finding]]) -> None:
        """Some products.

        :param found: What is wrong, by their folders.
        """
        plan = _Plan(self._place, found, self._given)
        plan.remove_files()
        gone = plan.remove_rows(plan.useless)
        writer = CatalogueWriter(self._place, plan.source(), {}, self._check)
        self.failed |= plan.failed
        made = self._make(plan) if plan.again else []
        for name in (*made, *plan.missing_rows):
            writer.take(name)
        writer.flush()
        self.failed |= writer.failed
        gone += plan.remove_rows({each.folder for each in plan.again.values() if each.name in self.failed})
        self.made += made
        self.catalogued += plan.missing_rows
        self.removed += [*plan.removed, *gone]

    def _make(self, plan: _Plan) -> list[str]:
        """Makes masks again; names of those that were made."""
        begin_anew(self._place, _RUN)  # a row says that masks are there, and they are being written
        node = EONode(self._task, name="masks")
        with without(PatchFailedWarning):
            result = run_batch(
                EOWorkflow([node]),
                {each.name: {node: each.arguments()} for each in plan.again.values()},
                place=self._place,
                stage=STAGE,
                configuration=self._settings.compared(),
                overwrite=True,
                **self._options,
            )
        self.failed |= {each.name: each.error or each.state for each in result.failed}
        return list(result.done)


class _Plan:
    """What is to be done about what was found.

    :param found: What is wrong, by the folders of products.
    :param given: Products of a source that the user named, by name.
    """

    def __init__(self, place: Place, found: Mapping[str, Sequence[Finding]], given: Mapping[str, Candidate]) -> None:
        self.again: dict[str, SourceProduct] = {}
        """Products whose masks are to be made again, by their folders."""
        self.missing_rows: dict[str, SourceProduct] = {}
        """Products that are to be catalogued, by name."""
        self.removed: list[str] = []
        self.failed: dict[str, str] = {}
        self._place, self._given = place, given
        self._catalogue = catalogue_of_archive(place)
        self._rows = rows_of_folders(self._catalogue, found.keys())
        self.useless: set[str] = set()
        """Folders without anything that can be kept."""
        for folder, findings in found.items():
            self._decide(folder, {each.kind for each in findings})
        self._leave_out_replaced()

    def _decide(self, folder: str, kinds: set[Any]) -> None:
        if kinds <= {"not catalogued", "unknown file"}:
            self._take(folder, self.missing_rows)
            return
        if folder_below(f"{folder}/") != folder or not self._take(folder, self.again):
            self.useless.add(folder)

    def _take(self, folder: str, where: dict[str, SourceProduct]) -> bool:
        """Puts a product where it belongs; whether its source is known."""
        name = folder.rpartition("/")[2]
        try:
            candidate = self._candidate(folder, name)
        except EOTasksError as error:
            self.failed[name] = message_of(error)
            return False
        if candidate is None:
            return False
        product = SourceProduct(candidate, folder)
        where[folder if where is self.again else name] = product
        return True

    def _candidate(self, folder: str, name: str) -> Candidate | None:
        if name in self._given:
            return self._given[name]
        item = self._item(folder)
        if item is not None:
            return source_of(self._place, folder, item)
        own = [row for row in self._rows.get(folder, ()) if row.id == name]
        return Candidate.of_item(own[0]) if own else None

    def _item(self, folder: str) -> Mapping[str, Any] | None:
        """The item beside the masks; None where there is none that can be read."""
        if folder_below(f"{folder}/") != folder:
            return None
        try:
            return item_in(self._place, folder)[0]
        except EOTasksError:
            return None

    def _leave_out_replaced(self) -> None:
        """Masks that were to be removed, since others have replaced them, when a builder was killed."""
        if not self.missing_rows or not self._catalogue.exists():
            return
        missing = [each.candidate for each in self.missing_rows.values()]
        around: dict[str, pystac.Item] = {}
        for tile in {each.tile for each in missing}:
            times = [each.time for each in missing if each.tile == tile]
            request = SearchRequest(tile=tile, start=min(times) - SAME_DATATAKE, end=max(times) + SAME_DATATAKE)
            around |= {row.id: row for row in self._catalogue.find(request) if "CLM" in row.assets}
        mine = {id(each.candidate.location): name for name, each in self.missing_rows.items()}
        choice = choose_products([*candidates_of(around.values()), *missing])
        for each in choice.replaced:
            name = mine.get(id(each.product.location))
            if name is not None and each.by.name != name:
                self.useless.add(self.missing_rows.pop(name).folder)

    def remove_files(self) -> None:
        """Removes what cannot be used, the item first."""
        for folder in sorted(self.useless):
            name = folder.rpartition("/")[2]
            files = self._place.files(folder)
            for file in (f"{name}.json", *(f"{name}_{kind}.tif{end}" for kind in KINDS for end in ("", ".aux.xml"))):
                if file in files:
                    self._place.remove(f"{folder}/{file}")
                    self.removed.append(f"{folder}/{file}")
            self._place.remove_empty(folder)

    def source(self) -> Source:
        """What is made again or catalogued, with the siblings that the catalogue has of it."""
        products = {each.name: each for each in (*self.again.values(), *self.missing_rows.values())}
        source = Source(products=products)
        for product in products.values():
            for row in self._rows.get(product.folder, ()):
                if row.id != product.name:
                    source.siblings.setdefault(product.name, []).append(Candidate.of_item(row))
                    source.items[row.id] = row
        return source

    def remove_rows(self, folders: Iterable[str]) -> list[str]:
        """Takes masks that are not there out of the catalogue; gives the names of its rows.

        :param folders: Of the masks.
        """
        rows = [row for folder in sorted(folders) for row in self._rows.get(folder, ())]
        if not rows:
            return []
        strays = []
        for row in rows:
            folder = folder_of_row(row.id, row.assets["CLM"].href)
            if row.id != folder.rpartition("/")[2]:  # a sibling stays, without masks
                for kind in CLOUD_ASSETS:
                    row.assets.pop(kind, None)
                strays.append(row)
        self._catalogue.add(strays, remove=[row.id for row in rows])
        return [row.id for row in rows]
