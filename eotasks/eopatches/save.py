"""EOPatches in storage that are either complete or absent, and plain EOPatches for any other program.

An EOPatch named NAME is stored as a plain EOPatch folder with a marker::

    NAME/bbox.geojson, NAME/timestamps.json, NAME/data/BANDS.npy.gz, ...
    NAME/_current.json    size and sha256 of each of these files

On a disk a save puts the new folder in the place of the old one in one operation (`eotasks.eopatches.swap`), so a
reader of any program finds the old patch or the new one. On S3, and on disks that cannot exchange folders, the files
are written beside first (`eotasks.eopatches.switch`): our readers find the old patch or the new one at any moment,
other programs when no save is under way.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from eolearn.core import EOPatch, EOTask, FeatureType
from fs.errors import FSError

from eotasks.durable import atomic_folder, make_folder, temporary_beside
from eotasks.eopatches.arrays import NUMBERS
from eotasks.eopatches.files import write_eopatch, write_folder
from eotasks.eopatches.load import complete_folder, load_eopatch
from eotasks.eopatches.marker import (
    GENERATION,
    MARKER,
    DamagedMarkerError,
    Marker,
    new_generation,
    parse_marker,
    patch_folder,
    read_marker,
)
from eotasks.eopatches.swap import check_exchange, put_in_place, remove_superseded
from eotasks.eopatches.switch import Guard, ReplacedError, guard, remove_guard, settle, switch, take_over
from eotasks.errors import CredentialsError, EOTasksError, FeatureError, StorageError
from eotasks.features import Feature, describe
from eotasks.storage.exchange import ExchangeUnsupportedError
from eotasks.storage.place import Place, PlaceLike

LOGGER = logging.getLogger(__name__)


def save_eopatch(place: PlaceLike, name: str, eopatch: EOPatch, *, features: Sequence[Feature] | None = None) -> None:
    """Saves an EOPatch in the place of the one that was there.

    Arrays go to ``.npy.gz`` (level 1, what eo-learn writes); bbox and timestamps always go along. Features that are not
    saved are not there afterwards. When anything fails, the patch that was there stays and what was written is removed.
    Of two runs that save the same patch at the same time one comes through whole, and the other is told.

    :param name: Name of the patch inside the place.
    :param features: Features to save as (type, name); None saves all of them.
    :raises FeatureError: when a feature is not in the EOPatch, holds Python objects, or has a name that differs from
        another's in the case of its letters alone.
    :raises StorageError: when writing fails, or another run has saved the patch in the meantime.
    """
    place = Place(place)
    chosen = _features_to_save(eopatch, name, features)
    _refuse_one_file_for_two(chosen, f"EOPatch {name!r}")
    patch = place.child(patch_folder(name))
    replaced = patch.read_if_there(MARKER)
    if replaced is not None:
        _check_is_own(patch, name, replaced[0])
    save = _Save(place, name, patch, eopatch, chosen, replaced)
    if patch.is_local:
        try:
            save.by_swap()
            return
        except ExchangeUnsupportedError:
            LOGGER.debug("%s cannot exchange folders.", place)
    save.by_switch()


def complete_save(place: Place, name: str, *, features: Sequence[Feature] | None = None) -> bool:
    """Whether a patch is complete, as `is_complete` says, for a run that goes on with what another one has left.

    A save whose writer died when our readers had the new patch already, and others did not yet, is ended.

    :param features: Features that have to be among them, as (type, name).
    :raises StorageError: as `is_complete`.
    """
    folder = complete_folder(place, name, features=features)
    if folder is not None and folder.marker is not None and folder.marker.state == "switching":
        try:
            take_over(place.child(name), contested=True)
        except (StorageError, CredentialsError) as error:  # such as one who may only read
            LOGGER.warning("What other programs read of EOPatch %r in %s is not up to it: %s", name, place, error)
    return folder is not None


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
            files = write_folder(eopatch, temporary, _features_to_save(eopatch, name, None))
            _check_each_has_a_file(eopatch.get_features(), files, target)
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
    :raises FeatureError: when the names of two of the features differ in the case of their letters alone.
    """

    def __init__(self, place: PlaceLike, *, features: Sequence[Feature] | None = None) -> None:
        self.place = Place(place)
        self.features = None if features is None else tuple(features)
        _refuse_one_file_for_two(self.features or (), "The features to save")

    def execute(self, eopatch: EOPatch, *, name: str) -> EOPatch:
        """Saves the EOPatch under a name and hands it on."""
        save_eopatch(self.place, name, eopatch, features=self.features)
        return eopatch


@dataclass(frozen=True)
class _Save:
    """One save of one EOPatch."""

    place: Place
    name: str
    patch: Place
    eopatch: EOPatch
    features: list[Feature]

    replaced: tuple[bytes, str] | None
    """Content and tag of the marker that was there when it began."""

    def by_swap(self) -> None:
        """Exchanges the folder on a disk.

        :raises ExchangeUnsupportedError: when the disk cannot; nothing has happened.
        """
        target = Path(os.path.realpath(self.patch.local_path()))
        new, marker = temporary_beside(target), None
        try:
            make_folder(target.parent)
            check_exchange(target)
            marker = Marker.of_whole(write_eopatch(self.eopatch, Place(new), self.features), self.name)
            Place(new).write_bytes(MARKER, marker.to_bytes())
            put_in_place(new, target, self._tag)
        except ExchangeUnsupportedError:
            raise
        except BaseException as error:
            if marker is None or not isinstance(error, (StorageError, OSError)) or not self._is_there(marker):
                self._raise_failure(error)
                raise
            LOGGER.warning("EOPatch %r is saved in %s, but not without a fault: %s", self.name, self.place, error)
        finally:
            remove_superseded(new)

    def by_switch(self) -> None:
        """Writes a generation, switches the marker to it, and brings up the plain files."""
        generation, marker, tag, guarded = new_generation(), None, None, None
        try:
            guarded = guard(self.patch, generation.removeprefix(GENERATION)) if self.replaced is None else None
            files = write_eopatch(self.eopatch, self.patch.child(generation), self.features)
            marker = Marker.of_whole(files, self.name).switching(generation, contested=self._is_contested())
            tag = switch(self.patch, marker, self._tag)
        except BaseException as error:
            there = _discard(self.place, self.name, generation, guarded)
            if there is None or not isinstance(error, StorageError):
                self._raise_failure(error)
                raise
            # The marker is there: the server's answer was lost.
            LOGGER.warning("EOPatch %r is saved in %s, but not without a fault: %s", self.name, self.place, error)
            tag = there
        assert marker is not None
        try:
            settle(self.patch, marker, tag)
        except ReplacedError:
            raise
        except (StorageError, CredentialsError) as error:
            LOGGER.warning(
                "EOPatch %r is saved in %s; what other programs read of it is not up to it until eotasks clean: %s",
                self.name,
                self.place,
                error,
            )

    @property
    def _tag(self) -> str | None:
        return self.replaced[1] if self.replaced else None

    def _is_contested(self) -> bool:
        """Whether another writer may be at the plain files."""
        if self.replaced is None:
            return False
        try:
            return parse_marker(self.replaced[0], str(self.patch)).state in ("switching", "kept")
        except DamagedMarkerError:
            return True

    def _is_there(self, marker: Marker) -> bool:
        with contextlib.suppress(StorageError):
            return read_marker(self.patch) == marker
        return False

    def _raise_failure(self, error: BaseException) -> None:
        """Of errors that do not say by themselves what has failed."""
        if isinstance(error, Exception) and not isinstance(error, EOTasksError):
            raise StorageError(
                f"EOPatch {self.name!r} could not be saved in {self.place} ({type(error).__name__}: {error})."
                " The patch that was there before is unchanged."
            ) from error


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
        if np.ma.is_masked(value):
            raise FeatureError(
                f"EOPatch {name!r}: feature {describe(feature)} is a masked array, whose mask would be lost: make a"
                " mask of data of it (IS_DATA), or NaN (array.astype('float32').filled(np.nan))."
            )
        if isinstance(value, np.ndarray) and value.dtype.kind not in NUMBERS:
            raise FeatureError(
                f"EOPatch {name!r}: feature {describe(feature)} holds values of type {value.dtype}, which are never"
                " read again, as they can run any program: make it numbers, or leave it out of the features to save."
            )
    return chosen


def _refuse_one_file_for_two(features: Iterable[Feature], where: str) -> None:
    for other, feature in _twins(features):
        raise FeatureError(
            f"{where}: {describe(other)} and {describe(feature)} differ in the case of their letters alone, which many"
            " disks take for one file: rename one of them."
        )


def _check_each_has_a_file(features: Iterable[Feature], files: Iterable[str], target: Path) -> None:
    """What was saved before such names were refused, or by others, goes to any disk that tells them apart.

    :param files: What there is after writing, by the names that the disk gives them.
    """
    names = list(files)
    for pair in _twins(features):
        starts = [f"{feature_type.value}/{key}." for feature_type, key in pair]
        if not all(any(name.startswith(start) for name in names) for start in starts):
            raise StorageError(
                f"{target}: its disk takes {describe(pair[0])} and {describe(pair[1])} for one file. Export to a disk"
                " that tells capitals from small letters, or one of them at a time with features."
            )


def _twins(features: Iterable[Feature]) -> Iterator[tuple[Feature, Feature]]:
    """Pairs of features whose names differ in the case of their letters alone."""
    seen: dict[tuple[FeatureType, str], Feature] = {}
    for feature_type, key in features:
        other = seen.setdefault((feature_type, str(key).lower()), (feature_type, key))
        if other[1] != key:
            yield other, (feature_type, key)


def _listing(features: Iterable[Feature]) -> str:
    return ", ".join(sorted(describe(feature) for feature in features)) or "none"


def _discard(place: Place, name: str, generation: str, guarded: Guard | None) -> str | None:
    """Removes what a failed save has written, unless the marker names it: then gives the marker's tag.

    :param guarded: The guard, where this save has put one.

    An interrupt, or a server that is lost, may come when the marker is written already. The error that is under way
    matters more than one from here.
    """
    try:
        there = place.child(name).read_if_there(MARKER)
        if there is not None and parse_marker(there[0], name).generation == generation:
            return there[1]
        place.remove(f"{name}/{generation}")
        if there is None and guarded is not None:
            remove_guard(place.child(name), guarded)
        place.remove_empty(name)
    except DamagedMarkerError:
        place.remove(f"{name}/{generation}")
    except (StorageError, CredentialsError):
        LOGGER.warning("The unfinished %s/%s/%s is left behind; eotasks clean removes it.", place, name, generation)
    return None
