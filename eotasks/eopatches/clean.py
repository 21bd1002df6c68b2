"""Removing what interrupted saves have left of EOPatches, and any writer of other files beside them.

Saved EOPatches whose files still are those of a generation become plain folders here: of an interrupted save to S3, or
of an eotasks that knew no others.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from eotasks.eopatches.files import sha256_of
from eotasks.eopatches.marker import GENERATION, LEFTOVER, MARKER, DamagedMarkerError, Marker, read_marker
from eotasks.eopatches.parts import TYPES, is_part
from eotasks.eopatches.switch import BBOX, guard_tag, take_over
from eotasks.errors import CredentialsError, EOTasksError, StorageError
from eotasks.storage.place import Place, PlaceLike
from eotasks.storage.store import Entry

LOGGER = logging.getLogger(__name__)

_UNFINISHED = re.compile(r"\.tmp-[0-9a-f]{32}-.+")


@dataclass(frozen=True)
class CleanResult:
    """What `clean` removed."""

    generations: int
    """Number of generations."""

    size: int
    """Bytes, of generations and of unfinished files."""

    unfinished: int = 0
    """Number of files and folders whose writer died, and of superseded folders that it had not removed yet."""

    uploads: int = 0
    """Number of uploads in parts to S3 that were never finished, whose bytes are not told."""

    moved: int = 0
    """Number of EOPatches that are plain folders now."""


def clean(place: PlaceLike, *, unfinished_after: timedelta = timedelta(hours=1)) -> CleanResult:
    """Removes superseded generations, and what writers that died have left behind; brings up plain files.

    A generation that is newer than the current one (or has no marker beside it) may belong to a running save: it is
    removed only when nothing in it changed for some time, by the clock of the store. Unfinished files, anywhere in the
    place, and uploads to S3 in parts too. A save that has switched the marker and not brought up the plain files is
    ended when that long ago; EOPatches of an eotasks that had generations alone at once. Where another program has
    written plain files over such a one since, nobody knows which are wanted: it is left as it is, and told.

    :param unfinished_after: How long an unfinished generation, file or upload has to lie still.
    """
    place = Place(place)
    # One listing of the place: asking for each patch would be five requests for each on S3.
    entries = [entry for entry in place.entries() if not {"", ".", ".."} & set(entry.path.split("/"))]
    deadline = place.now() - unfinished_after
    patches = _by_patch(entries)
    moved = sum(_take_over(place.child(name), patch, deadline) for name, patch in patches.items())
    guards = _remove_guards(place, patches, deadline)
    generations, unfinished, size = 0, len(guards), sum(entry.size for entry in guards.values())
    leftovers = _old_generations(place, patches, deadline) | _unfinished(entries, deadline)
    for path, entry in leftovers.items():
        place.remove(path)
        is_generation = path.rpartition("/")[2].startswith(GENERATION)
        generations, unfinished = generations + is_generation, unfinished + (not is_generation)
        size += entry.size
    filled = {entry.path.partition("/")[0] for entry in entries if entry.is_file or "/" in entry.path}
    empty = {entry.path for entry in entries if "/" not in entry.path} - filled
    for name in {path.partition("/")[0] for path in leftovers | guards if "/" in path} | empty:
        if not name.startswith("."):
            place.remove_empty(name)
    return CleanResult(generations, size, unfinished, _abort_uploads(place, deadline), moved)


def _take_over(patch: Place, there: dict[str, Entry], deadline: datetime) -> bool:
    """Makes a plain folder of an EOPatch whose files are those of a generation; whether it was one, and is none now."""
    if MARKER not in there or not any(LEFTOVER.fullmatch(name) and name.startswith(GENERATION) for name in there):
        return False
    try:
        marker = read_marker(patch)
    except DamagedMarkerError:  # told below
        return False
    if marker is None or marker.generation not in there:
        return False
    if marker.state != "old" and there[MARKER].changed > deadline:
        return False  # its writer may be at it
    try:
        foreign = None if marker.contested else _written_since(patch, marker, there[MARKER].changed)
        if foreign is None:
            taken = take_over(patch, contested=False)
            if taken:
                del there[marker.generation]
            return taken
    except (StorageError, CredentialsError) as error:
        LOGGER.warning("EOPatch %s is left as it is: %s", patch, error)
        return False
    LOGGER.warning(
        "EOPatch %s is left as it is: another program has written %s since eotasks saved it. Save it again, or"
        " delete %s to take what is there.",
        patch,
        foreign,
        MARKER,
    )
    return False


def _written_since(patch: Place, marker: Marker, saved: datetime) -> str | None:
    """A plain file that is newer than the marker, and neither of the save nor of one that is under way."""
    for entry in patch.entries():
        if not entry.is_file or not is_part(entry.path) or entry.changed <= saved:
            continue
        with patch.reading(entry.path) as file:
            tag = sha256_of(file)
        if tag == marker.files.get(entry.path, {}).get("sha256"):
            continue
        if entry.path != BBOX or guard_tag(patch, entry.size) is None:
            return entry.path
    return None


def _remove_guards(place: Place, patches: dict[str, dict[str, Entry]], deadline: datetime) -> dict[str, Entry]:
    """Removes the guards of first saves whose writers died, and gives them; one that a new save has put since stays."""
    found: dict[str, Entry] = {}
    for name, patch in patches.items():
        if MARKER not in patch and BBOX in patch:
            tag = _unfinished_guard(place.child(name), patch, deadline)
            if tag is not None and place.remove_if(f"{name}/{BBOX}", tag):
                found[f"{name}/{BBOX}"] = patch[BBOX]
    return found


def _old_generations(place: Place, patches: dict[str, dict[str, Entry]], deadline: datetime) -> dict[str, Entry]:
    """What only our writers leave in a patch's folder and its marker does not name."""
    found: dict[str, Entry] = {}
    for name, patch in patches.items():
        leftovers = [entry for entry in patch if LEFTOVER.fullmatch(entry)]
        if not leftovers:
            continue
        try:
            marker = read_marker(place.child(name))
        except DamagedMarkerError as error:
            LOGGER.warning("EOPatch %r is left as it is: %s", name, error)
            continue
        committed = patch[MARKER].changed if MARKER in patch else deadline
        for entry in leftovers:
            is_current = marker is not None and entry == marker.generation
            if not is_current and patch[entry].changed <= max(committed, deadline):
                found[f"{name}/{entry}"] = patch[entry]
    return found


def _unfinished_guard(patch: Place, there: dict[str, Entry], deadline: datetime) -> str | None:
    """Tag of the guard, where nothing is there but it and generations of first saves whose writers died."""
    parts = {name for name in there if is_part(name) or name in TYPES}
    changed = max(there[name].changed for name in there if name in parts or LEFTOVER.fullmatch(name))
    return guard_tag(patch, there[BBOX].size) if parts == {BBOX} and changed <= deadline else None


def _by_patch(entries: list[Entry]) -> dict[str, dict[str, Entry]]:
    """What lies directly in each patch's folder, with the bytes and the last change of all that is below it."""
    patches: dict[str, dict[str, Entry]] = {}
    for found in entries:
        name, _, inside = found.path.partition("/")
        if inside and not name.startswith("."):
            _add(patches.setdefault(name, {}), inside.partition("/")[0], found)
    return patches


def _unfinished(entries: list[Entry], deadline: datetime) -> dict[str, Entry]:
    """Files and folders anywhere whose writer died: under the name that they have while they are written."""
    found: dict[str, Entry] = {}
    for entry in entries:
        parts = entry.path.split("/")
        depth = next((depth for depth, part in enumerate(parts) if _UNFINISHED.fullmatch(part)), None)
        if depth is not None:
            _add(found, "/".join(parts[: depth + 1]), entry)
    return {path: entry for path, entry in found.items() if entry.changed <= deadline}


def _add(sums: dict[str, Entry], path: str, entry: Entry) -> None:
    before = sums.get(path, Entry(path, 0, entry.changed, is_file=False))
    sums[path] = before._replace(size=before.size + entry.size, changed=max(before.changed, entry.changed))


def _abort_uploads(place: Place, deadline: datetime) -> int:
    try:
        return place.abort_uploads(deadline)
    except EOTasksError as error:  # not every server knows them, and not everyone may ask for them
        LOGGER.warning("Unfinished uploads of %s are not cleaned: %s", place, error)
        return 0
