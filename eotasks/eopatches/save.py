"""EOPatches in storage that are either complete or absent.

An EOPatch named NAME is stored as::

    NAME/.gen-ID/         a normal EOPatch folder: one generation
    NAME/_current.json    which generation is current, with the size and sha256 of each of its files

The marker is written last and in one operation: a reader sees the old patch or the new one, never half of one.
Superseded generations stay until `eotasks.eopatches.clean` collects them, so that nobody loses a file that is being
read.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from eolearn.core import EOPatch, EOTask
from fs.errors import FSError

from eotasks.durable import atomic_folder, make_folder
from eotasks.eopatches.arrays import NUMBERS
from eotasks.eopatches.files import write_eopatch, write_folder
from eotasks.eopatches.load import load_eopatch
from eotasks.eopatches.marker import (
    MARKER,
    DamagedMarkerError,
    Marker,
    new_generation,
    parse_marker,
    patch_folder,
    read_marker,
)
from eotasks.errors import CredentialsError, EOTasksError, FeatureError, StorageError
from eotasks.features import Feature, describe
from eotasks.storage.place import Place, PlaceLike

LOGGER = logging.getLogger(__name__)


def save_eopatch(place: PlaceLike, name: str, eopatch: EOPatch, *, features: Sequence[Feature] | None = None) -> None:
    """Saves an EOPatch as a new generation and makes it the current one.

    Arrays go to ``.npy.gz`` (level 1, what eo-learn writes); bbox and timestamps always go along. When anything fails,
    the patch that was current stays so and what was written is removed. Of two runs that save the same patch at the
    same time one comes through whole, and the other is told.

    :param name: Name of the patch inside the place.
    :param features: Features to save as (type, name); None saves all of them.
    :raises FeatureError: when a feature is not in the EOPatch, or holds Python objects.
    :raises StorageError: when writing fails, or another run has saved the patch in the meantime.
    """
    place = Place(place)
    chosen = _features_to_save(eopatch, name, features)
    patch = place.child(patch_folder(name))
    generation = new_generation()
    replaced = patch.read_if_there(MARKER)
    if replaced is not None:
        _check_is_own(patch, name, replaced[0])
    try:
        files = write_eopatch(eopatch, patch.child(generation), chosen)
        patch.write_if(MARKER, Marker(generation, files, name).to_bytes(), replaced[1] if replaced else None)
    except BaseException as error:
        saved = _discard(place, name, generation)
        if saved and isinstance(error, StorageError):
            # The marker is there: the server's answer was lost, or the disk failed behind the rename.
            LOGGER.warning("EOPatch %r is saved in %s, but not without a fault: %s", name, place, error)
            return
        if isinstance(error, EOTasksError) or not isinstance(error, Exception):
            raise
        raise StorageError(
            f"EOPatch {name!r} could not be saved in {place} ({type(error).__name__}: {error})."
            " The patch that was there before is unchanged."
        ) from error


def export_eopatch(
    place: PlaceLike, name: str, folder: str | Path, *, features: Sequence[Feature] | None = None
) -> None:
    """Writes a stored EOPatch as a plain EOPatch folder, for any other program that reads EOPatches.

    :param folder: The folder to make; it must not exist or be empty.
    :raises StorageError: when there is something in it already, or as `load_eopatch`.
    """
    target = Path(folder)
    if target.exists() and any(target.iterdir()):
        raise StorageError(f"{target} is not empty: export EOPatch {name!r} to a new folder.")
    eopatch = load_eopatch(place, name, features=features)
    try:
        make_folder(target.parent)
        with atomic_folder(target) as temporary:
            write_folder(eopatch, temporary, _features_to_save(eopatch, name, None))
    except (OSError, FSError) as error:
        if isinstance(error, EOTasksError):
            raise
        raise StorageError(
            f"EOPatch {name!r} cannot be written to {target} ({error}): check its rights and the space, or give another"
            " folder."
        ) from error


class SaveEOPatchTask(EOTask):
    """Saves the EOPatch that it gets, complete or not at all (eo-learn's SaveTask can leave half a patch).

    :param place: Where to save: a `Place` or a location.
    :param features: Features to save as (type, name); None saves all of them.
    """

    def __init__(self, place: PlaceLike, *, features: Sequence[Feature] | None = None) -> None:
        self.place = Place(place)
        self.features = None if features is None else tuple(features)

    def execute(self, eopatch: EOPatch, *, name: str) -> EOPatch:
        """Saves the EOPatch under a name and hands it on."""
        save_eopatch(self.place, name, eopatch, features=self.features)
        return eopatch


def _check_is_own(patch: Place, name: str, content: bytes) -> None:
    try:
        marker = parse_marker(content, f"{patch}/{MARKER}")
    except DamagedMarkerError:  # saving the patch again is the cure
        return
    if not marker.is_of(patch):
        raise StorageError(
            f"EOPatches {marker.name!r} and {name!r} have the same folder on the disk of {patch}: give one of them a"
            " name that differs in more than capitals."
        )


def _features_to_save(eopatch: EOPatch, name: str, features: Sequence[Feature] | None) -> list[Feature]:
    there = list(eopatch.get_features())
    chosen = there if features is None else [(feature_type, key) for feature_type, key in features]
    for feature in chosen:
        if feature not in there:
            raise FeatureError(
                f"EOPatch {name!r} has no feature {describe(feature)}, there are: {_listing(there)}."
                " Add the step that makes it, or leave it out of the features to save."
            )
        value = eopatch[feature]
        if isinstance(value, np.ndarray) and value.dtype.kind not in NUMBERS:
            raise FeatureError(
                f"EOPatch {name!r}: feature {describe(feature)} holds values of type {value.dtype}, which are never"
                " read again, as they can run any program: make it numbers, or leave it out of the features to save."
            )
    return chosen


def _listing(features: Iterable[Feature]) -> str:
    return ", ".join(sorted(describe(feature) for feature in features)) or "none"


def _discard(place: Place, name: str, generation: str) -> bool:
    """Removes what a failed save has written, unless the marker names it; whether it does.

    An interrupt, or a server that is lost, may come when the marker is written already. The error that is under way
    matters more than one from here.
    """
    try:
        marker = read_marker(place.child(name))
        if marker is not None and marker.generation == generation:
            return True
        place.remove(f"{name}/{generation}")
        place.remove_empty(name)
    except (StorageError, CredentialsError):
        LOGGER.warning("The unfinished %s/%s/%s is left behind; eotasks clean removes it.", place, name, generation)
    return False
