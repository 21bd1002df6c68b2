"""The marker of a saved EOPatch: what files it has, with size and sha256 of each, and where they are.

A saved EOPatch is a plain EOPatch folder ``NAME/`` with a marker ``NAME/_current.json``. While it is being saved where
folders cannot be exchanged (S3), the files are those of ``NAME/.gen-ID/`` until the plain ones have been brought up to
them. `eotasks.eopatches.save` writes the marker, in one operation; whoever reads EOPatches goes by it.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from eotasks.documents import parse_json_object
from eotasks.errors import StorageError, message_of
from eotasks.storage.place import Place
from eotasks.text import excerpt, refuse_name

MARKER = "_current.json"
MARKER_VERSION = 2
"""A marker of an older version stays readable; a newer one asks for an upgrade. Version 1 had generations alone, and no
plain files beside them."""

GENERATION = ".gen-"
"""Of folders of generations, before 12 hexadecimal digits."""

_GENERATION = re.compile(r"\.gen-[\w-]{1,64}", re.ASCII)

LEFTOVER = re.compile(r"\.gen-[0-9a-f]{12}|\.tmp-[0-9a-f]{32}-.+")
"""Names in a patch's folder that only our own writers give: what else starts like it is somebody's."""

State = Literal["whole", "switching", "kept", "old"]
"""Of a saved EOPatch:

- whole: its files are the plain ones, as they stay
- switching: they are those of a generation; the plain ones are being brought up to it, or their writer died
- kept: the same, and the plain ones have been brought up; but another writer may have been at them at the same time,
  so nobody goes by them until `eotasks.eopatches.clean` has brought them up again
- old: they are those of a generation alone, as before version 2
"""

FileFacts = dict[str, Any]
"""``size`` and ``sha256`` of a file; empty where nothing is known of it."""


@dataclass(frozen=True)
class Marker:
    """The content of a marker file."""

    generation: str | None
    """Folder of the files; None: they are the plain ones, in the folder of the EOPatch itself."""

    files: dict[str, FileFacts]
    """Facts of each file by its path inside that folder."""

    name: str | None = None
    """Of the EOPatch when it was saved; its folder may have got another one since."""

    state: State = "old"

    contested: bool = False
    """Whether another writer may have been at the plain files while this one was."""

    save: str = ""
    """Makes the marker of each save, and of each writer that takes one over, another one."""

    @classmethod
    def of_whole(cls, files: dict[str, FileFacts], name: str) -> Marker:
        """Of a new save whose files are the plain ones."""
        return cls(None, files, name, "whole", save=_new_id())

    def switching(self, generation: str, *, contested: bool) -> Marker:
        """As this one, of a generation that the plain files are now to be brought up to."""
        return replace(self, generation=generation, state="switching", contested=contested, save=_new_id())

    def settled(self) -> Marker:
        """As this one, when the plain files have been brought up."""
        return replace(self, state="kept") if self.contested else replace(self, generation=None, state="whole")

    def to_bytes(self) -> bytes:
        """The content of its file."""
        facts = {"generation": self.generation, "files": self.files, "name": self.name}
        if self.state == "old":
            content = {"version": 1, **facts}
        else:
            added = {"state": self.state, "contested": self.contested, "save": self.save}
            content = {"version": MARKER_VERSION, **facts, **added}
        return json.dumps(content, indent=1, sort_keys=True).encode()

    def is_of(self, patch: Place) -> bool:
        """Whether it is that of a folder, and not of another one that the disk takes for the same.

        Some disks (of macOS and Windows) know no difference between ``a`` and ``A``.
        """
        if self.name is None or not patch.is_local:
            return True
        folder = patch.local_path()
        if folder.name == self.name or folder.is_symlink():
            return True
        return any(same_text(folder.name, name) for name in os.listdir(folder.parent))  # noqa: PTH208  # names alone


class DamagedMarkerError(StorageError):
    """A marker that a power cut or a full disk has left: which generation was current is lost."""


def new_generation() -> str:
    """Name of the folder of a new generation."""
    return f"{GENERATION}{_new_id()}"


def patch_folder(name: str) -> str:
    """The folder of an EOPatch inside its place: its name.

    :raises StorageError: when the name cannot be that of a folder.
    """
    reason = refuse_name(name)
    if reason is not None:
        raise StorageError(f"{name!r} is no name of an EOPatch: use one that is that of a folder ({reason}).")
    return name


def read_marker(patch: Place) -> Marker | None:
    """The marker of an EOPatch; None when it has none, or the disk takes another EOPatch's folder for its own.

    :param patch: The folder of the EOPatch.
    :raises StorageError: when it cannot be read, or as `parse_marker`.
    """
    found = patch.read_if_there(MARKER)
    marker = None if found is None else parse_marker(found[0], f"{patch}/{MARKER}")
    return marker if marker is not None and marker.is_of(patch) else None


def parse_marker(content: bytes, where: str) -> Marker:
    """A marker from the content of its file.

    :param where: The file, for messages.
    :raises DamagedMarkerError: when it is empty or damaged, or names what is no generation.
    :raises StorageError: when it is of a newer version.
    """
    facts = parse_json_object(
        content, lambda reason: DamagedMarkerError(f"{where} is damaged: {reason}. Delete it and run the step again.")
    )
    try:
        version = int(facts["version"])
        if version > MARKER_VERSION:
            raise StorageError(
                f"{where} has version {excerpt(version)}, this eotasks reads up to {MARKER_VERSION}: upgrade eotasks."
            )
        files = {
            str(name): {"size": int(of["size"]), "sha256": str(of["sha256"])} for name, of in facts["files"].items()
        }
        state, generation = _state(facts, version)
        name = facts.get("name")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DamagedMarkerError(
            f"{where} is damaged ({message_of(error)}). Delete it and run the step again."
        ) from error
    if generation is not None and _GENERATION.fullmatch(generation) is None:
        raise DamagedMarkerError(
            f"{where} names {generation[:40]!r}, which is no generation. Delete it and run the step again."
        )
    contested, save = facts.get("contested") is True, facts.get("save")
    known = name if isinstance(name, str) else None
    return Marker(generation, files, known, state, contested, save if isinstance(save, str) else "")


def _state(facts: Mapping[str, Any], version: int) -> tuple[State, str | None]:
    if version < 2:
        return "old", str(facts["generation"])
    if facts["state"] == "whole":
        return "whole", None
    for state in ("switching", "kept"):
        if facts["state"] == state:
            return state, str(facts["generation"])
    raise ValueError(f"state {excerpt(facts['state'])}")


def same_text(first: str, second: str) -> bool:
    """Whether two names differ in nothing but how their accents are written, which some disks change."""
    return first == second or unicodedata.normalize("NFC", first) == unicodedata.normalize("NFC", second)


def _new_id() -> str:
    return uuid.uuid4().hex[:12]
