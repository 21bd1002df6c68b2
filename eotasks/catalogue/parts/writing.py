"""Adding items to a catalogue in parts: a small new part, and of many small ones larger ones."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING

from eotasks.catalogue.packages import package
from eotasks.catalogue.parts.folder import ROWS_OF_PART, PartsFolder
from eotasks.catalogue.parts.ids import digests_of, may_have
from eotasks.catalogue.parts.manifest import Manifest, Part
from eotasks.catalogue.parts.merging import CatalogueUpdate, baselines, update_of, without
from eotasks.errors import StorageError

if TYPE_CHECKING:
    import pyarrow as pa

LOGGER = logging.getLogger(__name__)

WRITERS = 20
"""How often an addition is made again when another writer was faster: each time one of them comes through."""

KEEP_SECONDS = 3600
"""How long files stay that the catalogue has no more: whoever reads them ends before."""

_FANOUT = 8
"""So many parts of one size are made one of the next."""


def add_items(folder: PartsFolder, new: pa.Table, *, remove: Collection[str] = ()) -> CatalogueUpdate:
    """Adds items, and takes some out, in one operation.

    :param new: Items, each id once.
    :param remove: Ids that are taken out; those given are added all the same.
    :raises StorageError: when it cannot be written, or too many others write.
    """
    given = baselines(new)
    wanted = digests_of({*given, *remove})
    for _ in range(WRITERS):
        found = folder.manifest()
        manifest, tag = found or (Manifest(), None)
        parts = [
            part
            for part, digests in zip(manifest.parts, folder.digests(manifest.parts), strict=True)
            if may_have(digests, wanted)
        ]
        there = {part: baselines(folder.table(part, columns=["id", "s2:processing_baseline"])) for part in parts}
        taken = frozenset(remove)
        before: dict[str, str] = {}
        for names in there.values():
            for name in given.keys() & names.keys() - taken:
                before[name] = max(before.get(name, ""), names[name])
        update = update_of(before, given)
        gone = taken | set(update.replaced)
        touched = [part for part in parts if not gone.isdisjoint(there[part])]
        come = without(new, update.kept)
        if found is not None and not touched and not come.num_rows:
            return update
        written = folder.write_all(come, tag)
        for part in touched:
            written += folder.write_all(without(folder.table(part), gone), tag)
        if exchange(folder, manifest, tag, touched, written):
            merge_small(folder)
            return update
    raise StorageError(f"{folder.place}: {WRITERS} times another writer was faster: add the items again.")


def exchange(
    folder: PartsFolder, manifest: Manifest, tag: str | None, gone: Collection[Part], new: Collection[Part]
) -> bool:
    """Puts parts in the place of others; whether no other writer was faster. Files that nobody reads go.

    :param manifest: The present one.
    :param tag: Of it.
    """
    now = int(folder.place.now().timestamp()) if gone or manifest.retired else 0
    after = manifest.exchanged(gone, new, now)
    old = [each for each in manifest.retired if each.at <= now - KEEP_SECONDS]
    after = Manifest(after.parts, tuple(each for each in after.retired if each not in old), after.generation)
    if not folder.exchange(after, tag):
        folder.discard(new)
        return False
    folder.forget(gone)
    folder.remove([each.name for each in old])
    return True


def merge_small(folder: PartsFolder) -> None:
    """Of many parts of one size makes one of the next; leaves it to the next addition where another writer is faster.

    So a catalogue has few parts, and each item is written a few times, however it grows.
    """
    while True:
        found = folder.manifest()
        group = None if found is None else small_parts(found[0])
        if found is None or not group:
            return
        arrow = package("pyarrow")
        table = arrow.concat_tables([folder.table(part) for part in group])
        if not exchange(folder, *found, group, folder.write_all(table, found[1])):
            return


def small_parts(manifest: Manifest) -> list[Part]:
    """Parts that are to be made one: enough of one size; none where there are not."""
    sizes: dict[int, list[Part]] = {}
    for part in manifest.parts:
        if part.rows < ROWS_OF_PART // 2:
            sizes.setdefault(_size(part.rows), []).append(part)
    return next((group for _, group in sorted(sizes.items()) if len(group) >= _FANOUT), [])


def _size(rows: int) -> int:
    """0, 1, 2 … for parts of some hundred items, and of eight times as many each."""
    size = 0
    while rows >= 512:
        rows, size = rows // _FANOUT, size + 1
    return size
