"""Removing what repeated and interrupted saves have left of EOPatches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from eotasks.eopatches.marker import GENERATION, LEFTOVER, MARKER, read_marker
from eotasks.storage.place import Place
from eotasks.storage.store import Entry


@dataclass(frozen=True)
class CleanResult:
    """What `clean` removed."""

    generations: int
    """Number of generations."""

    size: int
    """Bytes."""


def clean(place: Place, *, unfinished_after: timedelta = timedelta(hours=1)) -> CleanResult:
    """Removes superseded generations, and what writers that died have left behind.

    A generation that is newer than the current one (or has no marker beside it) may belong to a running save: it is
    removed only when nothing in it changed for some time.

    :param unfinished_after: How long an unfinished generation has to lie still.
    """
    generations, size = 0, 0
    deadline = datetime.now(UTC) - unfinished_after
    # One listing of the place: asking for each patch would be five requests for each on S3.
    for name, patch in _by_patch(place).items():
        leftovers = [entry for entry in patch if LEFTOVER.fullmatch(entry)]
        alone = MARKER in patch and len(leftovers) == 1 and leftovers[0].startswith(GENERATION)
        if alone or (patch and not leftovers):
            continue  # just what the marker names, or nothing of ours
        marker = read_marker(place.child(name))
        committed = patch[MARKER].changed if MARKER in patch else deadline
        for entry in leftovers:
            if marker is not None and entry == marker.generation:
                continue
            if patch[entry].changed <= max(committed, deadline):
                place.remove(f"{name}/{entry}")
                generations += entry.startswith(GENERATION)
                size += patch[entry].size
        place.remove_empty(name)
    return CleanResult(generations, size)


def _by_patch(place: Place) -> dict[str, dict[str, Entry]]:
    """What lies directly in each patch's folder, with the bytes and the last change of all that is below it."""
    patches: dict[str, dict[str, Entry]] = {}
    for found in place.entries():
        name, _, inside = found.path.partition("/")
        if name.startswith(".") or (found.is_file and not inside):
            continue
        patch = patches.setdefault(name, {})
        if inside:
            entry = inside.partition("/")[0]
            before = patch.get(entry, Entry(entry, 0, found.changed, is_file=False))
            changed = max(before.changed, found.changed)
            patch[entry] = before._replace(size=before.size + found.size, changed=changed)
    return patches
