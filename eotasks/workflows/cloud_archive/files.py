"""The files of one product in an archive: written whole, the item last; what lies there already is known by it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from eotasks.durable import TEMPORARY_PREFIX
from eotasks.errors import ImageryError
from eotasks.imagery.scene import Scene
from eotasks.storage.place import Place
from eotasks.workflows.cloud_archive.item import (
    SourceFacts,
    WrittenFile,
    checksum_of,
    encode_item,
    files_of_item,
    make_item,
    parse_item,
    settings_of_item,
)
from eotasks.workflows.cloud_archive.settings import ArchiveSettings
from eotasks.workflows.product_masks.images import image_kinds, product_tags, sun_angles, write_images
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.product import ProductMasks

KINDS = ("CLP", "CLM", "SHADOW")
_COMPANION = ".aux.xml"

_DECIMALS = 6
"""Of angles of the sun in tags: items have them with fewer digits than metadata, and the images are to be the same."""


@dataclass(frozen=True)
class ArchivedFiles:
    """Where the masks of one product lie."""

    place: Place
    """Their folder."""

    name: str
    """Of the product."""

    @property
    def item(self) -> str:
        """Name of the item."""
        return f"{self.name}.json"

    @property
    def where(self) -> str:
        """Location of the item, for messages."""
        return f"{self.place}/{self.item}"

    def file(self, kind: str) -> str:
        """Name of the file of "CLP", "CLM" or "SHADOW"."""
        return f"{self.name}_{kind}.tif"

    def read_item(self) -> dict[str, Any] | None:
        """The item; None where there is none.

        :raises ImageryError: when it is damaged.
        :raises StorageError: when it cannot be read.
        """
        found = self.place.read_if_there(self.item)
        return None if found is None else parse_item(found[0], self.where)

    def is_current(self, settings: ArchiveSettings, source: SourceFacts) -> bool:
        """Whether complete masks of this source, made with these settings, are there."""
        try:
            item = self.read_item()
            if item is None:
                return False
            files = files_of_item(item, self.where)
        except ImageryError:  # damaged: made anew
            return False
        if settings_of_item(item) != settings.compared() or not source.fits(item["properties"]):
            return False
        sizes = self.place.files()
        return all(sizes.get(file.name) == file.size for file in files.values())

    def write(self, scene: Scene, masks: ProductMasks, options: CloudMaskOptions, source: SourceFacts) -> None:
        """Write the masks, then their item. Until then no item is there, so that nobody takes a part for the whole.

        :raises ImageryError: when an address of the product may not be kept.
        :raises StorageError: when a file cannot be written.
        """
        kinds = image_kinds(options)
        self.place.remove(self.item)
        self._remove_unfinished()
        tags = product_tags(self.name, masks, options) | {"SOURCE": source.identity}
        for tag, angle in sun_angles(masks).items():
            if tag.upper() in tags:
                tags[tag.upper()] = str(round(angle, _DECIMALS))
        write_images({kind: f"{self.place}/{self.file(kind)}" for kind in kinds}, masks, options, tags)
        for kind in set(KINDS) - set(kinds):  # of other settings
            for name in (self.file(kind), f"{self.file(kind)}{_COMPANION}"):
                self.place.remove(name)
        files = {kind: self.written(self.file(kind)) for kind in kinds}
        self.place.write_bytes(self.item, encode_item(make_item(scene, masks, options, source, files)))

    def _remove_unfinished(self) -> None:
        """Removes what a worker that was killed has left: nobody else writes to this folder."""
        if self.place.is_local:  # a bucket shows no file before it is whole
            for name in self.place.names(""):
                if name.startswith(TEMPORARY_PREFIX):
                    self.place.remove(name)

    def written(self, name: str) -> WrittenFile:
        """Size and checksum of a file as it can be read.

        :raises StorageError: when it cannot be read.
        """
        with self.place.reading(name) as path, path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            return WrittenFile(name, file.tell(), checksum_of(found))
