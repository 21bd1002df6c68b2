"""The masks of an archive, tile by tile and year by year, with the siblings that its catalogue has of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eotasks.catalogue.fields import time_of
from eotasks.catalogue.request import Level, SearchRequest
from eotasks.errors import ImageryError, message_of
from eotasks.imagery.mosaic import SAME_DATATAKE
from eotasks.storage.place import Place
from eotasks.workflows.cloud_archive.exporting.items import level_of_item, parsed_item
from eotasks.workflows.cloud_archive.files import ArchivedFiles
from eotasks.workflows.cloud_archive.item import files_of_item, parse_item, settings_of_item
from eotasks.workflows.cloud_archive.layout import MASKS, catalogue_of_archive, folder_below
from eotasks.workflows.cloud_archive.settings import ArchiveSettings

if TYPE_CHECKING:
    import pystac

LEVELS: tuple[Level, ...] = ("L1C", "L2A")

_TILE = re.compile(r"^\d{2}[A-Z]{3}$")
_ZONE = 3
"""Characters of a tile that name its zone and band."""


@dataclass(frozen=True)
class Group:
    """Masks of one tile and year."""

    tile: str
    year: str

    @property
    def folder(self) -> str:
        """Of the masks, in the archive."""
        return f"{MASKS}/{self.tile}/{self.year}"

    @property
    def is_tile(self) -> bool:
        """Whether it is of the military grid; what is not lies together in one folder."""
        return _TILE.match(self.tile) is not None

    @property
    def parts(self) -> list[str]:
        """Folders of its catalogue, inside of its collection."""
        return [self.tile[:_ZONE], self.tile, self.year] if self.is_tile else [self.tile, self.year]

    @property
    def inside(self) -> str:
        """The same as a path."""
        return "/".join(self.parts)


def groups_of(place: Place) -> Iterator[Group]:
    """Groups of an archive, in order of their tiles and years."""
    for tile in place.names(MASKS):
        for year in place.names(f"{MASKS}/{tile}"):
            if year.isdecimal() and place.is_folder(f"{MASKS}/{tile}/{year}"):
                yield Group(tile, year)


class ArchivedMasks:
    """Reads the masks of an archive; may be used by several threads.

    :param failed: Gets the names of products that cannot be shown, with the reason.
    """

    def __init__(self, place: Place, settings: ArchiveSettings, failed: dict[str, str]) -> None:
        self._place, self._settings, self._failed = place, settings.compared(), failed
        self._catalogue = catalogue_of_archive(place)
        summary = self._catalogue.summary() if self._catalogue.exists() else None
        self._levels: Mapping[str, int] = {} if summary is None else summary.levels
        self.rows = 0 if summary is None else summary.masks
        """Items of the catalogue that have masks."""

    def sizes(self, group: Group) -> dict[str, dict[str, int]]:
        """Bytes of the files of a group, by the name of their product and by their own."""
        sizes: dict[str, dict[str, int]] = {}
        for path, size in self._place.files(group.folder).items():
            name, inside, file = path.partition("/")
            if inside and "/" not in file:
                sizes.setdefault(name, {})[file] = size
        return dict(sorted(sizes.items()))

    def read(self, group: Group, name: str, sizes: Mapping[str, int]) -> pystac.Item | None:
        """The item beside the masks of a product; None where it cannot be shown.

        :param sizes: Bytes of what is in its folder.
        :raises StorageError: when it cannot be read.
        """
        files = ArchivedFiles(self._place.child(f"{group.folder}/{name}"), name)
        try:
            if files.item not in sizes:
                raise ImageryError(f"{files.where}: is not there. Repair the archive.")
            content = parse_item(files.place.read_bytes(files.item), files.where)
            if content["id"] != name:
                raise ImageryError(f"{files.where}: is of {content['id'][:100]!r}. Repair the archive.")
            if settings_of_item(content) != self._settings:
                raise ImageryError(f"{files.where}: made with other settings than the archive's. Repair the archive.")
            for file in files_of_item(content, files.where).values():
                if sizes.get(file.name) != file.size:
                    what = (
                        "is not there" if file.name not in sizes else f"{sizes[file.name]:,} bytes, not {file.size:,}"
                    )
                    raise ImageryError(f"{files.place}/{file.name}: {what}. Repair the archive.")
            item = parsed_item(content, files.where)
            level_of_item(item)
        except ImageryError as error:
            self._failed[name] = message_of(error)
            return None
        return item

    def siblings(self, group: Group, items: Sequence[pystac.Item]) -> dict[str, list[pystac.Item]]:
        """Rows of the catalogue of the other level with the masks of some products, by the names of these.

        :param items: Of a group, from :meth:`read`.
        """
        found: dict[str, dict[str, pystac.Item]] = {}
        names = {f"{group.folder}/{each.id}": each.id for each in items}
        for request in self._requests(group, items):
            for row in self._catalogue.find(request):
                name = names.get(folder_below(row.assets["CLM"].href) or "") if "CLM" in row.assets else None
                if name is not None and name != row.id:
                    found.setdefault(name, {})[row.id] = row
        return {name: list(rows.values()) for name, rows in found.items()}

    def _requests(self, group: Group, items: Sequence[pystac.Item]) -> Iterator[SearchRequest]:
        for own in sorted({level_of_item(each) for each in items}):
            times = [time_of(each) for each in items if level_of_item(each) == own]
            spans = [(min(times), max(times))] if group.is_tile else [(each, each) for each in sorted(set(times))]
            tile = group.tile if group.is_tile else None
            for level in LEVELS:
                if level != own and self._levels.get(level):
                    for first, last in spans:
                        yield SearchRequest(
                            tile=tile, level=level, start=first - SAME_DATATAKE, end=last + SAME_DATATAKE
                        )
