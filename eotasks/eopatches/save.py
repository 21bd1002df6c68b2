"""EOPatches in storage that are either complete or absent.

An EOPatch named NAME is stored as::

    NAME/.gen-ID/         a normal EOPatch folder: one generation
    NAME/_current.json    which generation is current, with the size and sha256 of each of its files

The marker is written last and in one operation: a reader sees the old patch or the new one, never half of one.
Superseded generations stay until `clean` collects them, so that nobody loses a file that is being read.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from eolearn.core import EOPatch, EOTask

from eotasks.eopatches.files import (
    Feature,
    feature_of,
    fetch_eopatch,
    fetch_plain_eopatch,
    looks_plain,
    write_eopatch,
    write_folder,
)
from eotasks.eopatches.marker import GENERATION, LEFTOVER, MARKER, MARKER_VERSION, Marker, parse_marker
from eotasks.errors import CredentialsError, EOTasksError, FeatureError, StorageError
from eotasks.storage.place import Place
from eotasks.storage.store import Entry

__all__ = [
    "CleanResult",
    "LoadSavedEOPatchTask",
    "Place",
    "SaveEOPatchTask",
    "clean",
    "export_eopatch",
    "is_complete",
    "list_eopatches",
    "load_eopatch",
    "patch_folder",
    "save_eopatch",
]

LOGGER = logging.getLogger(__name__)


def save_eopatch(place: Place, name: str, eopatch: EOPatch, *, features: Sequence[Feature] | None = None) -> None:
    """Saves an EOPatch as a new generation and makes it the current one.

    Arrays go to ``.npy.gz`` (level 1, what eo-learn writes); bbox and timestamps always go along. When anything fails,
    the patch that was current stays so and what was written is removed. Of two runs that save the same patch at the
    same time one comes through whole, and the other is told.

    :param name: Name of the patch inside the place.
    :param features: Features to save as (type, name); None saves all of them.
    :raises FeatureError: when a feature is not in the EOPatch.
    :raises StorageError: when writing fails, or another run has saved the patch in the meantime.
    """
    chosen = _features_to_save(eopatch, name, features)
    folder = patch_folder(name)
    generation = f"{GENERATION}{uuid.uuid4().hex[:12]}"
    base = f"{folder}/{generation}"
    replaced = place.read_if_there(f"{folder}/{MARKER}")
    try:
        files = write_eopatch(eopatch, place, base, chosen)
        marker = {"version": MARKER_VERSION, "generation": generation, "files": files}
        content = json.dumps(marker, indent=1, sort_keys=True).encode()
        place.write_if(f"{folder}/{MARKER}", content, replaced[1] if replaced else None)
    except BaseException as error:
        saved = _discard(place, folder, generation)
        if saved and isinstance(error, StorageError):
            return  # the marker is there, only the server's answer was lost
        if isinstance(error, EOTasksError) or not isinstance(error, Exception):
            raise
        raise StorageError(
            f"EOPatch {name!r} could not be saved in {place} ({type(error).__name__}: {error})."
            " The patch that was there before is unchanged."
        ) from error


def load_eopatch(place: Place, name: str, *, features: Sequence[Feature] | None = None) -> EOPatch:
    """Loads the current generation of an EOPatch into memory, or a plain EOPatch folder of that name.

    Size and sha256 of each file that is read are checked first. A plain folder has none: there every file that is read
    has to open to its end, bbox and timestamps have to be there, and the times of all features to agree with them. What
    is missing altogether nobody can see.

    :param features: Features to load as (type, name); None loads all of them.
    :raises StorageError: when the patch is absent, or a file is missing or damaged (it is named).
    :raises FeatureError: when a feature is not in the stored patch.
    """
    folder = patch_folder(name)
    where = f"EOPatch {name!r} in {place}"
    marker = _read_marker(place, folder)
    while marker is not None:
        try:
            return fetch_eopatch(place, f"{folder}/{marker.generation}", marker.files, features, where)
        except StorageError:
            # What looks like damage is none when the patch was saved again and cleaned while it was read.
            now = _read_marker(place, folder)
            if now is None or now.generation == marker.generation:
                raise
            marker = now
    if _is_plain(place, folder):
        return fetch_plain_eopatch(place, folder, features, where)
    there = ", ".join(list_eopatches(place)) or "none"
    raise StorageError(f"{where} is not there, the EOPatches there are: {there}.")


def is_complete(place: Place, name: str, *, features: Sequence[Feature] | None = None) -> bool:
    """Whether a patch has a current generation with all its files in their full size.

    Contents are not read (loading checks them). A plain EOPatch folder counts as incomplete: nothing says whether its
    writer came to the end.

    :param features: Features that have to be among them, as (type, name).
    :raises StorageError: when the marker is damaged or from a newer version.
    """
    folder = patch_folder(name)
    marker = _read_marker(place, folder)
    if marker is None:
        return False
    stored = {feature_of(path) for path in marker.files}
    if not all((feature_type.value, feature) in stored for feature_type, feature in features or ()):
        return False
    there = place.files(f"{folder}/{marker.generation}")
    return all(there.get(path) == facts["size"] for path, facts in marker.files.items())


def list_eopatches(place: Place) -> list[str]:
    """Sorted names of the EOPatches of a place: the ones with a marker and plain folders."""
    if place.is_local:
        return [name for name in place.names() if not name.startswith(".") and _is_eopatch(place, name)]
    # One listing of all objects costs a request for a thousand of them; asking for each patch costs two for each.
    below: dict[str, set[str]] = {}
    for path in place.files():
        name, _, inside = path.partition("/")
        below.setdefault(name, set()).add(inside.partition("/")[0])
    return sorted(
        name for name, names in below.items() if not name.startswith(".") and (MARKER in names or looks_plain(names))
    )


def export_eopatch(place: Place, name: str, folder: str | Path, *, features: Sequence[Feature] | None = None) -> None:
    """Writes a stored EOPatch as a plain EOPatch folder, for any other program that reads EOPatches.

    :param folder: The folder to make; it must not exist or be empty.
    :raises StorageError: when there is something in it already, or as `load_eopatch`.
    """
    target = Path(folder)
    if target.exists() and any(target.iterdir()):
        raise StorageError(f"{target} is not empty: export EOPatch {name!r} to a new folder.")
    eopatch = load_eopatch(place, name, features=features)
    write_folder(eopatch, target, _features_to_save(eopatch, name, None))


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
        marker = _read_marker(place, name)
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


class SaveEOPatchTask(EOTask):
    """Saves the EOPatch that it gets, complete or not at all (eo-learn's SaveTask can leave half a patch).

    :param place: Where to save: a `Place` or a location.
    :param features: Features to save as (type, name); None saves all of them.
    """

    def __init__(self, place: Place | str | Path, *, features: Sequence[Feature] | None = None) -> None:
        self.place = place if isinstance(place, Place) else Place(place)
        self.features = None if features is None else tuple(features)

    def execute(self, eopatch: EOPatch, *, name: str) -> EOPatch:
        """Saves the EOPatch under a name and hands it on."""
        save_eopatch(self.place, name, eopatch, features=self.features)
        return eopatch


class LoadSavedEOPatchTask(EOTask):
    """Loads a saved EOPatch, every file checked against its sha256.

    :param place: Where it lies: a `Place` or a location.
    :param features: Features to load as (type, name); None loads all of them.
    """

    def __init__(self, place: Place | str | Path, *, features: Sequence[Feature] | None = None) -> None:
        self.place = place if isinstance(place, Place) else Place(place)
        self.features = None if features is None else tuple(features)

    def execute(self, *, name: str) -> EOPatch:
        """Loads the EOPatch of that name."""
        return load_eopatch(self.place, name, features=self.features)


def _features_to_save(eopatch: EOPatch, name: str, features: Sequence[Feature] | None) -> list[Feature]:
    there = list(eopatch.get_features())
    chosen = there if features is None else list(features)
    for feature_type, feature in chosen:
        if (feature_type, feature) not in there:
            raise FeatureError(
                f"EOPatch {name!r} has no feature {feature_type.value}/{feature}, there are: {_listing(there)}."
                " Add the step that makes it, or leave it out of the features to save."
            )
    return chosen


def _listing(features: Iterable[Feature]) -> str:
    return ", ".join(sorted(f"{feature_type.value}/{name}" for feature_type, name in features)) or "none"


def patch_folder(name: str) -> str:
    """The folder of an EOPatch inside its place: its name.

    :raises StorageError: when the name cannot be that of a folder.
    """
    if not name.strip() or "/" in name or name.startswith("."):
        raise StorageError(f"{name!r} is no name of an EOPatch: use one without '/' that does not start with a dot.")
    return name


def _read_marker(place: Place, folder: str) -> Marker | None:
    path = f"{folder}/{MARKER}"
    found = place.read_if_there(path)
    if found is None:
        return None
    return parse_marker(found[0], f"{place}/{path}")


def _is_eopatch(place: Place, name: str) -> bool:
    return place.exists(f"{name}/{MARKER}") or _is_plain(place, name)


def _is_plain(place: Place, folder: str) -> bool:
    return looks_plain(place.names(folder)) if place.is_folder(folder) else False


def _discard(place: Place, folder: str, generation: str) -> bool:
    """Removes what a failed save has written, unless the marker names it; whether it does.

    An interrupt, or a server that is lost, may come when the marker is written already. The error that is under way
    matters more than one from here.
    """
    try:
        marker = _read_marker(place, folder)
        if marker is not None and marker.generation == generation:
            return True
        place.remove(f"{folder}/{generation}")
        place.remove_empty(folder)
    except (StorageError, CredentialsError):
        LOGGER.warning("The unfinished %s/%s/%s is left behind; eotasks clean removes it.", place, folder, generation)
    return False
