"""The marker of a saved EOPatch: which of its generations is current, and what files that has.

A saved EOPatch is ``NAME/.gen-ID/``, a normal EOPatch folder, and ``NAME/_current.json``, the marker, which is written
last and in one operation. `eotasks.eopatches.save` writes it; whoever reads EOPatches goes by it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eotasks.errors import StorageError

MARKER = "_current.json"
MARKER_VERSION = 1
"""A marker of an older version stays readable; a newer one asks for an upgrade."""

GENERATION = ".gen-"
"""Of folders of generations, before 12 hexadecimal digits."""

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


def parse_marker(content: bytes, where: str) -> Marker:
    """A marker from the content of its file.

    :param where: The file, for messages.
    :raises StorageError: when it is damaged, of a newer version, or names what is no generation.
    """
    try:
        facts = json.loads(content)
        version = int(facts["version"])
        if version > MARKER_VERSION:
            raise StorageError(
                f"{where} has version {version}, this eotasks reads up to {MARKER_VERSION}: upgrade eotasks."
            )
        files = {
            str(name): {"size": int(of["size"]), "sha256": str(of["sha256"])} for name, of in facts["files"].items()
        }
        generation = str(facts["generation"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"{where} is damaged ({error!r}). Delete it and run the step again.") from error
    if "/" in generation or not generation.startswith(GENERATION):
        raise StorageError(f"{where} names {generation!r}, which is no generation. Delete it and run the step again.")
    return Marker(generation, files)


def check_sizes(marker: Marker, sizes: Mapping[str, int], where: str) -> None:
    """Refuse a generation whose files are not all there in their full size. Contents are not read.

    :param sizes: Bytes of the files in the generation, by path.
    :raises StorageError: naming a file that is missing or of another size.
    """
    for path, facts in marker.files.items():
        if sizes.get(path) != facts["size"]:
            found = "is missing" if path not in sizes else f"has {sizes[path]} bytes instead of {facts['size']}"
            raise StorageError(f"{where}: file {path} {found}. The patch is damaged: delete it and run its step again.")
