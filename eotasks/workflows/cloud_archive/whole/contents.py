"""What lies in an archive and in its catalogue, a part after the other."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from eotasks.catalogue.brief.summary import MaskRow
from eotasks.catalogue.request import SearchRequest
from eotasks.catalogue.store import Catalogue
from eotasks.storage.place import Place
from eotasks.workflows.cloud_archive.item import WrittenFile, files_of_item, parse_item
from eotasks.workflows.cloud_archive.layout import catalogue_of_archive, folder_below, folder_in
from eotasks.workflows.cloud_archive.windows import Names

if TYPE_CHECKING:
    import pystac

_INSIDE = 2
"""Folders between that of a tile and the files of a product: its year, and its own."""

_READ = 500
"""Rows that are read at a time."""


class CatalogueRows:
    """Which masks the catalogue of an archive has, by digests of their items and folders."""

    def __init__(self, place: Place) -> None:
        self.products = 0
        """Rows of products that were masked themselves."""
        self._place, self._catalogue = place, catalogue_of_archive(place)
        self._there = Names()
        self._exists = self._catalogue.exists()
        if self._exists:
            self._catalogue.each_mask(self._begin)

    def _begin(self) -> Callable[[Sequence[MaskRow]], None]:
        self.products, self._there = 0, Names()
        return self._take

    def _take(self, rows: Sequence[MaskRow]) -> None:
        folders = {row.id: folder_in(self._place, row.href) for row in rows}
        self._there.add(joined(folder, name) for name, folder in folders.items() if folder is not None)
        self.products += sum(name == (folder or "").rpartition("/")[2] for name, folder in folders.items())

    def having(self, items: Mapping[str, str]) -> set[str]:
        """Of some folders those whose masks the catalogue has for the item of an id.

        :param items: Ids by folder.
        """
        found = self._there.those({joined(folder, name) for folder, name in items.items()})
        return {folder for folder, name in items.items() if joined(folder, name) in found}

    def each(self, take: Callable[[Sequence[MaskRow]], None]) -> None:
        """Tells of all rows with masks, some after the others; of some twice, where parts were exchanged meanwhile."""
        if self._exists:
            self._catalogue.each_mask(lambda: take)


def rows_of_folders(catalogue: Catalogue, folders: Collection[str]) -> dict[str, list[pystac.Item]]:
    """Rows of a catalogue with masks in some folders, by these.

    :param folders: As of :func:`folder_of_row`.
    """
    rows: list[MaskRow] = []

    def begin() -> Callable[[Sequence[MaskRow]], None]:
        rows.clear()
        return lambda found: rows.extend(row for row in found if folder_of_row(row.id, row.href) in folders)

    if not folders or not catalogue.exists():
        return {}
    catalogue.each_mask(begin)
    rows.sort(key=lambda row: "" if row.time is None else row.time.isoformat())  # those without a time first
    found: dict[str, list[pystac.Item]] = {}
    for start in range(0, len(rows), _READ):
        part = rows[start : start + _READ]
        first, last = part[0].time, part[-1].time
        span = SearchRequest() if first is None else SearchRequest(start=first, end=last)
        for row in catalogue.named({each.id for each in part}, span):
            if "CLM" in row.assets:
                found.setdefault(folder_of_row(row.id, row.assets["CLM"].href), []).append(row)
    return found


def folder_of_row(name: str, href: str) -> str:
    """The folder of the masks that a row names, in whichever archive; the id of the row where there is none.

    :param href: Of CLM.
    """
    return folder_below(href) or name


def joined(folder: str, name: str) -> str:
    """A folder and the id of an item as one text."""
    return f"{folder}\n{name}"


def item_in(place: Place, folder: str) -> tuple[dict[str, Any], dict[str, WrittenFile]]:
    """The item beside the masks of a product, and the files that it names.

    :raises ImageryError: when it is none.
    :raises StorageError: when it cannot be read.
    """
    path = f"{folder}/{folder.rpartition('/')[2]}.json"
    item = parse_item(place.read_bytes(path), path)
    return item, files_of_item(item, path)


def by_folder(place: Place, tile: str) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Sizes of files of a tile by the folder of their product and by their names; and paths that lie elsewhere there.

    :param tile: Its folder; what is none is a path that lies elsewhere, and a link is not followed.
    """
    if place.is_local and (place.local_path(tile).is_symlink() or place.local_path(tile).is_file()):
        return {}, [tile] if place.local_path(tile).is_file() else []
    folders: dict[str, dict[str, int]] = {}
    strange = []
    files = place.files(tile)
    for path, size in files.items():
        folder, _, name = path.rpartition("/")
        if folder.count("/") == _INSIDE - 1:
            folders.setdefault(f"{tile}/{folder}", {})[name] = size
        else:
            strange.append(f"{tile}/{path}")
    if not files and place.size(tile) is not None:
        strange.append(tile)
    return dict(sorted(folders.items())), strange
