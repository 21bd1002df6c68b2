"""Saving an EOPatch where folders cannot be exchanged: on S3, and on disks that do not know how.

0. Where there is no EOPatch yet, ``bbox.geojson`` becomes a guard, no bounding box: other programs are refused, which
   would else find an EOPatch of nothing. Each writer has a guard of its own: of several first saves at once the next
   puts its guard in the place of the one before, and a save that fails removes its own alone, and only where none was.
   So a guard stays as long as a writer is at it.
1. The files are written to a generation, ``NAME/.gen-ID/``.
2. The marker is switched to it, under the condition that no other writer has switched it: from here on our readers
   read the generation.
3. The plain files are brought up to it. Meanwhile ``bbox.geojson`` is the guard, so that other programs are refused
   instead of reading half of one patch and half of another.
4. The marker says that the plain files are whole, and the generation is removed.

Between 2 and 4 a writer may die or stall. Whoever finds the marker switched by another takes it that the other is still
at it, and leaves the marker at the generation ("kept"), so that a file which the other one writes late harms no reader
of ours; `eotasks.eopatches.clean` ends that when the other one must be dead. And whoever finds its own marker replaced
when it is done brings up the files of the one that is there: the last to touch the plain files repairs them.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass

from eotasks.eopatches.files import EOPatchFolder
from eotasks.eopatches.marker import GENERATION, MARKER, Marker, parse_marker
from eotasks.eopatches.parts import TYPES, is_part
from eotasks.errors import StorageError
from eotasks.network.transfers import at_once
from eotasks.storage.place import Place

LOGGER = logging.getLogger(__name__)

BBOX = "bbox.geojson"

_GUARD_TYPE = "EOPatch that is being saved: load it by eotasks, or run 'eotasks clean' on the folder that it is in"
"""No geometry, so that eo-learn refuses to load and repeats it."""

_GUARD = re.compile(re.escape(json.dumps({"type": _GUARD_TYPE})[:-1].encode()) + rb'(, "save": "[0-9a-f]{0,12}")?\}')
_GUARD_BYTES = 256

_TRIES = 5


class ReplacedError(StorageError):
    """Another program has put something else in the place of an EOPatch while it was saved."""


@dataclass(frozen=True)
class Guard:
    """What a first save has put in the place of the bounding box (step 0)."""

    tag: str
    is_first: bool
    """Whether none was there: another writer that put one before may still be at it."""


def guard(patch: Place, save: str) -> Guard | None:
    """Puts the guard of a save where no bounding box is, or another save's guard (step 0); None where a box is.

    :param save: Makes it another one than that of any other save: 12 hexadecimal digits.
    :raises StorageError: when it cannot be written.
    """
    content = _guard_of(save)
    for _ in range(_TRIES):
        tag = patch.write_new(BBOX, content)
        if tag is not None:
            return Guard(tag, is_first=True)
        there = guard_tag(patch)
        if there is not None:
            try:
                return Guard(patch.write_if(BBOX, content, there), is_first=False)
            except StorageError:
                if guard_tag(patch) == there:
                    raise
                # Its writer has removed it, or yet another one was faster.
        elif patch.read_if_there(BBOX) is not None:
            return None
    raise StorageError(
        f"EOPatch {patch} is being saved by other runs again and again: let one of them end, then save it again."
    )


def remove_guard(patch: Place, put: Guard) -> None:
    """Removes the guard of a save that failed, unless it may be another one's.

    :raises StorageError: when it cannot be removed.
    """
    if put.is_first:
        patch.remove_if(BBOX, put.tag)


def guard_tag(patch: Place, size: int | None = None) -> str | None:
    """The tag of the guard in the place of the bounding box; None where none is.

    :param size: Of ``bbox.geojson``, where it is known: no guard is longer than some bytes.
    """
    if (patch.size(BBOX) if size is None else size) not in range(_GUARD_BYTES + 1):
        return None
    found = patch.read_if_there(BBOX)
    return found[1] if found is not None and _GUARD.fullmatch(found[0]) else None


def _guard_of(save: str) -> bytes:
    return json.dumps({"type": _GUARD_TYPE, "save": save}).encode()


def switch(patch: Place, marker: Marker, tag: str | None) -> str:
    """Makes a generation the current one (step 2); the tag of the marker.

    :raises StorageError: when another writer was faster, or as `Place.write_if`.
    """
    return patch.write_if(MARKER, marker.to_bytes(), tag)


def settle(patch: Place, marker: Marker, tag: str) -> None:
    """Brings the plain files up to the generation that this writer has switched to (steps 3 and 4).

    :param tag: Of the marker, as `switch` gave it.
    :raises ReplacedError: when the marker is gone.
    :raises StorageError: when a file cannot be written; our readers go on with the generation.
    """
    bring_up(patch, marker)
    settled = marker.settled()
    try:
        patch.write_if(MARKER, settled.to_bytes(), tag)
    except StorageError:
        there = patch.read_if_there(MARKER)
        if there is None:
            raise ReplacedError(
                f"EOPatch {patch} was removed or replaced by another program while it was saved: save it again."
            ) from None
        if there[1] == tag:
            raise
        if there[0] != settled.to_bytes():
            _repair(patch, there)
            return
        # It was written, and the answer was lost.
    if settled.state == "whole":
        _remove_generation(patch, marker)


def take_over(patch: Place, *, contested: bool) -> bool:
    """Ends a save whose writer died after the switch, or moves one of before version 2; whether there was one.

    :param contested: Whether the writer may still be at it.
    :raises StorageError: when a file of it is missing, or cannot be written.
    """
    there = patch.read_if_there(MARKER)
    marker = None if there is None else parse_marker(there[0], f"{patch}/{MARKER}")
    if there is None or marker is None or marker.generation is None:
        return False
    folder = EOPatchFolder(patch.child(marker.generation), f"EOPatch {patch}", marker.files, marker=marker)
    fault = folder.wrong_file()
    if fault is not None:
        raise folder.damaged(fault)
    claimed = marker.switching(marker.generation, contested=contested and marker.state != "old")
    settle(patch, claimed, switch(patch, claimed, there[1]))
    return True


def bring_up(patch: Place, marker: Marker) -> None:
    """Makes the plain files those of a generation (step 3)."""
    there = [entry for entry in patch.entries(folders=True) if not entry.path.startswith(GENERATION)]
    files = {entry.path for entry in there if entry.is_file}
    folders = {entry.path for entry in there if not entry.is_file}
    types = {path.partition("/")[0] for path in marker.files if "/" in path}
    stale = {path for path in files if is_part(path)} - marker.files.keys() - {BBOX}
    filled = {path.partition("/")[0] for path in files - stale} | types
    patch.write_bytes(BBOX, _guard_of(marker.save))
    if patch.is_local:
        _remove_links(patch, types)
    else:  # where fs-s3fs, and so eo-learn, does not see a folder without an object of its own
        at_once(patch.make_folder, sorted({"", *types} - folders))
    emptied = {f"{name}/" for name in TYPES if name in folders - filled}
    emptied |= {f"{path.rpartition('/')[0]}/" for path in stale if path.count("/") > 1}  # arrays of zarr
    patch.remove_files(stale | emptied)
    copied = sorted(path for path in marker.files if path != BBOX)
    at_once(lambda path: patch.copy(f"{marker.generation}/{path}", path), copied)
    if BBOX in marker.files:
        patch.copy(f"{marker.generation}/{BBOX}", BBOX)
    else:
        patch.remove_files([BBOX])


def _remove_generation(patch: Place, marker: Marker) -> None:
    """All that is in it is known, so on S3 it takes one request, without a listing."""
    types = {path.partition("/")[0] for path in marker.files if "/" in path}
    inside = [*marker.files, *(f"{name}/" for name in types), ""]
    patch.remove_files([f"{marker.generation}/{path}" for path in inside])


def _repair(patch: Place, there: tuple[bytes, str]) -> None:
    """What was just brought up may lie over the plain files of a newer save: brings them up again."""
    for _ in range(_TRIES):
        marker = parse_marker(there[0], f"{patch}/{MARKER}")
        if marker.generation is None:
            LOGGER.warning("EOPatch %s was saved by another run at the same time: check it, or save it again.", patch)
            return
        bring_up(patch, marker)
        now = patch.read_if_there(MARKER)
        if now is None or now[1] == there[1]:
            return
        there = now


def _remove_links(patch: Place, types: Iterable[str]) -> None:
    """What is written belongs into the folder, not to where a link in it leads."""
    for name in types:
        if patch.local_path(name).is_symlink():
            patch.remove(name)
