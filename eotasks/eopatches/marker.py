"""The marker of a saved EOPatch: which of its generations is current, and what files that has.

A saved EOPatch is ``NAME/.gen-ID/``, a normal EOPatch folder, and ``NAME/_current.json``, the marker, which is written
last and in one operation. `eotasks.eopatches.save` writes it; whoever reads EOPatches goes by it.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from typing import Any

from eotasks.documents import parse_json_object
from eotasks.errors import StorageError
from eotasks.storage.place import Place
from eotasks.text import reason_of, shown

MARKER = "_current.json"
MARKER_VERSION = 1
"""A marker of an older version stays readable; a newer one asks for an upgrade."""

GENERATION = ".gen-"
"""Of folders of generations, before 12 hexadecimal digits."""

_GENERATION = re.compile(r"\.gen-[\w-]{1,64}", re.ASCII)

LEFTOVER = re.compile(r"\.gen-[0-9a-f]{12}|\.tmp-[0-9a-f]{32}-.+")
"""Names in a patch's folder that only our own writers give: what else starts like it is somebody's."""

FileFacts = dict[str, Any]
"""``size`` and ``sha256`` of a file; empty where nothing is known of it."""


@dataclass(frozen=True)
class Marker:
    """The content of a marker file."""

    generation: str
    """Folder of the current generation."""

    files: dict[str, FileFacts]
    """Facts of each file by its path inside the generation."""

    def to_bytes(self) -> bytes:
        """The content of its file."""
        content = {"version": MARKER_VERSION, "generation": self.generation, "files": self.files}
        return json.dumps(content, indent=1, sort_keys=True).encode()


def new_generation() -> str:
    """Name of the folder of a new generation."""
    return f"{GENERATION}{uuid.uuid4().hex[:12]}"


def patch_folder(name: str) -> str:
    """The folder of an EOPatch inside its place: its name.

    :raises StorageError: when the name cannot be that of a folder.
    """
    if not name.strip() or "/" in name or name.startswith("."):
        raise StorageError(f"{name!r} is no name of an EOPatch: use one without '/' that does not start with a dot.")
    return name


def read_marker(patch: Place) -> Marker | None:
    """The marker of an EOPatch; None when it has none.

    :param patch: The folder of the EOPatch.
    :raises StorageError: when it cannot be read, or as `parse_marker`.
    """
    found = patch.read_if_there(MARKER)
    return None if found is None else parse_marker(found[0], f"{patch}/{MARKER}")


def parse_marker(content: bytes, where: str) -> Marker:
    """A marker from the content of its file.

    :param where: The file, for messages.
    :raises StorageError: when it is damaged, of a newer version, or names what is no generation.
    """
    facts = parse_json_object(
        content, lambda reason: StorageError(f"{where} is damaged: {reason}. Delete it and run the step again.")
    )
    try:
        version = int(facts["version"])
        if version > MARKER_VERSION:
            raise StorageError(
                f"{where} has version {shown(version)}, this eotasks reads up to {MARKER_VERSION}: upgrade eotasks."
            )
        files = {
            str(name): {"size": int(of["size"]), "sha256": str(of["sha256"])} for name, of in facts["files"].items()
        }
        generation = str(facts["generation"])
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise StorageError(
            f"{where} is damaged ({type(error).__name__}: {reason_of(error)}). Delete it and run the step again."
        ) from error
    if _GENERATION.fullmatch(generation) is None:
        raise StorageError(
            f"{where} names {generation[:40]!r}, which is no generation. Delete it and run the step again."
        )
    return Marker(generation, files)
