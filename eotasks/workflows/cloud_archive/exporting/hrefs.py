"""How the items of an exported catalogue lead to the masks."""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from eotasks.errors import ConfigurationError
from eotasks.storage.location import is_s3, is_web
from eotasks.storage.place import Place
from eotasks.text import has_secret


@dataclass(frozen=True)
class MaskHrefs:
    """Where masks are, as items and tables of an export say it.

    Items have relative hrefs unless absolute ones are asked for. A table has no place of its own that a relative href
    could begin at, so it has absolute ones in any case.
    """

    archive: Place
    out: Place
    absolute: bool = False
    """Whether items have absolute hrefs."""

    copied: bool = False
    """Whether masks are copied into the export, beside their items."""

    address: str | None = None
    """Where others reach what the masks lie in, the archive or the export of copies; None: where it is."""

    def of_item(self, name: str, home: str, item_folder: str) -> str:
        """The href of an image in an item.

        :param name: Of its file.
        :param home: The folder that it lies in, in the archive, or in the export where it is copied.
        :param item_folder: Of the item, in the export.
        """
        if self.absolute:
            return self.of_table(name, home)
        way = _relative(f"{self._root}/{home}", f"{self.out}/{item_folder}")
        return f"{way}/{name}"

    def of_table(self, name: str, home: str) -> str:
        """The same, absolute."""
        if self.address is None:
            return f"{self._root}/{home}/{name}"
        inside = f"{home}/{name}"
        return f"{self.address}/{quote(inside) if is_web(self.address) else inside}"

    @property
    def _root(self) -> Place:
        return self.out if self.copied else self.archive


def mask_hrefs(archive: Place, out: Place, *, absolute: bool, address: str | None, copy: bool) -> MaskHrefs:
    """How an export leads to the masks of an archive.

    :param address: Where others reach the masks, as `MaskHrefs.address`; hrefs are absolute then.
    :raises ConfigurationError: no relative href leads from one to the other, or the address is none.
    """
    if address is not None:
        absolute, address = True, address.rstrip("/")
        if not (is_web(address) or is_s3(address)):
            raise ConfigurationError(f"{address!r} is no address: it begins with https:// or s3://.")
        if has_secret(address) or "?" in address or "#" in address:
            raise ConfigurationError(
                "The address of the masks has a user, a password, a signature or a query in it, which a catalogue does"
                " not keep: give one without."
            )
    hrefs = MaskHrefs(archive, out, absolute, copy, address)
    if not absolute and not copy and not _is_reachable(archive, out):
        raise ConfigurationError(
            f"No relative path leads from {out} to the masks in {archive}: --absolute writes where they are, --copy"
            " puts them into the export."
        )
    return hrefs


def _is_reachable(archive: Place, out: Place) -> bool:
    """Whether a relative path from one place leads to the other, for those who follow links and those who do not."""
    if archive.is_local and out.is_local:
        there, here = Path(archive.location), Path(out.location)
        return (here / _relative(archive.location, out.location)).resolve() == there.resolve()
    if archive.is_local or out.is_local:
        return False
    return archive.location.split("/")[2] == out.location.split("/")[2]


def _relative(target: str, start: str) -> str:
    """A relative path between two locations on this machine, or in one bucket."""
    if is_s3(target):
        return posixpath.relpath(target.removeprefix("s3:/"), start.removeprefix("s3:/"))
    return os.path.relpath(target, start)
