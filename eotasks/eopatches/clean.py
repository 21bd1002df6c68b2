"""Removing what repeated and interrupted saves have left of EOPatches, and any writer of other files beside them."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from eotasks.eopatches.marker import GENERATION, LEFTOVER, MARKER, DamagedMarkerError, read_marker
from eotasks.errors import EOTasksError
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
    """Number of files and folders whose writer died."""

    uploads: int = 0
    """Number of uploads in parts to S3 that were never finished, whose bytes are not told."""


def clean(place: PlaceLike, *, unfinished_after: timedelta = timedelta(hours=1)) -> CleanResult:
    """Removes superseded generations, and what writers that died have left behind.

    A generation that is newer than the current one (or has no marker beside it) may belong to a running save: it is
    removed only when nothing in it changed for some time, by the clock of the store. Unfinished files, anywhere in the
    place, and uploads to S3 in parts too.

    :param unfinished_after: How long an unfinished generation, file or upload has to lie still.
    """
    place = Place(place)
    # One listing of the place: asking for each patch would be five requests for each on S3.
    entries = [entry for entry in place.entries() if not {"", ".", ".."} & set(entry.path.split("/"))]
    deadline = place.now() - unfinished_after
    generations, unfinished, size = 0, 0, 0
    leftovers = _old_generations(place, entries, deadline) | _unfinished(entries, deadline)
    for path, entry in leftovers.items():
        place.remove(path)
        is_generation = path.rpartition("/")[2].startswith(GENERATION)
        generations, unfinished = generations + is_generation, unfinished + (not is_generation)
        size += entry.size
    filled = {entry.path.partition("/")[0] for entry in entries if entry.is_file or "/" in entry.path}
    empty = {entry.path for entry in entries if "/" not in entry.path} - filled
    for name in {path.partition("/")[0] for path in leftovers if "/" in path} | empty:
        if not name.startswith("."):
            place.remove_empty(name)
    return CleanResult(generations, size, unfinished, _abort_uploads(place, deadline))


def _old_generations(place: Place, entries: list[Entry], deadline: datetime) -> dict[str, Entry]:
    """What only our writers leave in a patch's folder and its marker does not name."""
    found: dict[str, Entry] = {}
    for name, patch in _by_patch(entries).items():
        leftovers = [entry for entry in patch if LEFTOVER.fullmatch(entry)]
        alone = MARKER in patch and len(leftovers) == 1 and leftovers[0].startswith(GENERATION)
        if alone or not leftovers:
            continue  # just what the marker names, or nothing of ours
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
