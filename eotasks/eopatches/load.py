"""Reading stored EOPatches, on disk and on S3: those that `eotasks.eopatches.save` has written, and plain folders.

Of a saved EOPatch the marker says what is whole. A plain EOPatch folder is what eo-learn and others write. What they
write over a saved one is noticed, and read as they left it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from eolearn.core import EOPatch, EOTask
from sentinelhub.geometry import BBox

from eotasks.eopatches.files import EOPatchFolder
from eotasks.eopatches.marker import MARKER, DamagedMarkerError, patch_folder, read_marker
from eotasks.eopatches.opening import names_in, open_eopatch, open_saved
from eotasks.eopatches.parts import looks_plain
from eotasks.errors import EOPatchChangedWarning, FeatureError, StorageError, warn_caller
from eotasks.features import IMAGES, Feature, describe
from eotasks.storage.place import Place, PlaceLike
from eotasks.times import naive_utc

LOGGER = logging.getLogger(__name__)

T = TypeVar("T")

_NAMED = 5
"""Names in a message."""

_LOOKED_AT = 50
"""Folders that are looked at for them: a batch may ask for thousands of patches that are absent."""


@dataclass(frozen=True)
class EOPatchInfo:
    """What is known of an EOPatch without reading its arrays."""

    name: str
    """Name of its folder."""

    bbox: BBox
    """Where it lies."""

    shape: tuple[int, int]
    """(height, width) in pixels."""

    timestamps: tuple[dt.datetime, ...]
    """Acquisition times, naive UTC, empty when it has none."""

    features: tuple[str, ...]
    """Its features as ``"feature_type/NAME"``."""


def load_eopatch(
    place: PlaceLike,
    name: str | None,
    *,
    features: Sequence[Feature] | None = None,
    optional: Collection[Feature] = (),
) -> EOPatch:
    """Loads an EOPatch into memory.

    Of one that eotasks saved, size and sha256 of each file that is read are checked first. A plain folder has none:
    there every file that is read has to open to its end, the bounding box has to be there, and the frames of all arrays
    that are read to agree with the timestamps. What is missing altogether nobody can see. Arrays of Python objects are
    never read.

    Features that another program has added to a saved EOPatch are read as those of a plain folder. A file that another
    program has written over is, too, with an `EOPatchChangedWarning`.

    :param name: Name of the EOPatch in the place; its own name, or None, when the place is itself an EOPatch.
    :param features: Features to load as (type, name); None loads all of them. Of others no file is read.
    :param optional: Features to load beside those when they are there.
    :raises StorageError: when the patch is absent, or a file is missing or damaged (it is named).
    :raises FeatureError: when a feature is not in the stored patch.
    :raises MissingDependencyError: when a feature is a zarr array and zarr is not installed.
    """
    return _read(Place(place), name, lambda folder: folder.read(features, optional=optional), listed=features is None)


def eopatch_info(place: PlaceLike, name: str | None = None) -> EOPatchInfo:
    """Extent, shape, timestamps and features of an EOPatch; of arrays only one header is read.

    :param place: A place of EOPatches, or one EOPatch.
    :param name: As in `load_eopatch`.
    :raises StorageError: when the patch is absent, a file of it is not there in its full size, or cannot be read.
    :raises FeatureError: when it has no raster feature, or no bounding box.
    """
    where = Place(place)
    return _read(where, name, lambda folder: _info(folder, name or own_name(where)), listed=True)


def feature_shape(place: PlaceLike, name: str | None, feature: Feature) -> tuple[int, ...] | None:
    """Shape of a feature of an EOPatch, from its header; None where there is no such feature, or it is no array.

    :param name: As in `load_eopatch`.
    :raises StorageError: when the patch is absent, or the file cannot be read.
    """

    def shape(folder: EOPatchFolder) -> tuple[int, ...] | None:
        return folder.shape(feature) if feature in folder.features else None

    return _read(Place(place), name, shape, listed=True)


def eopatch_version(place: PlaceLike, name: str | None = None, *, features: Sequence[Feature] | None = None) -> str:
    """A digest of what its files are: another one says that they have been written since.

    Of each file count its size and the time of its last change, and of a saved EOPatch the sha256 that its marker has.
    No array is read. Files that are written anew with what they had count as others too.

    :param place: A place of EOPatches, or one EOPatch.
    :param name: As in `load_eopatch`.
    :param features: Of these, with bounding box and timestamps, the files count, as far as they are there; None: all.
    :raises StorageError: when the patch is absent, or a file of it is not there.
    """
    return _read(Place(place), name, lambda folder: _version(folder, features), listed=True)


def is_complete(place: PlaceLike, name: str, *, features: Sequence[Feature] | None = None) -> bool:
    """Whether a patch was saved by eotasks and has all its files in their full size.

    Contents are not read (loading checks them). A plain EOPatch folder counts as incomplete: nothing says whether its
    writer came to the end. So does a feature that another program has put in place of a saved one, or added.

    :param features: Features that have to be among them, as (type, name).
    :raises StorageError: when the marker is from a newer version or cannot be read. One that is empty or damaged, as a
        power cut or a full disk leaves it, is logged: the patch is incomplete.
    """
    return complete_folder(Place(place), name, features=features) is not None


def complete_folder(place: Place, name: str, *, features: Sequence[Feature] | None = None) -> EOPatchFolder | None:
    """The files of a patch that is complete, as `is_complete` says; None when it is not."""
    patch = place.child(patch_folder(name))
    try:
        folder = open_saved(patch, listed=False)
        while folder is not None:
            if not folder.changed and all(map(folder.is_saved, features or ())) and folder.wrong_file() is None:
                return folder
            if read_marker(patch) == folder.marker:
                return None
            folder = open_saved(patch, listed=False)  # it was saved again while it was looked at
    except DamagedMarkerError as error:
        LOGGER.warning("EOPatch %r counts as incomplete: %s", name, error)
    return None


def list_eopatches(place: PlaceLike) -> list[str]:
    """Sorted names of the EOPatches of a place; its own name when it is itself one.

    They are the folders with a marker, and plain folders with a bounding box (or timestamps) and features.
    """
    place = Place(place)
    if place.is_local:
        if _is_eopatch(names_in(place)):
            return [own_name(place)]
        names = [name for name in names_in(place) if not name.startswith(".") and place.is_folder(name)]
        return [name for name in names if _is_eopatch(place.names(name))]
    # One listing of all objects costs a request for a thousand of them; asking for each patch costs two for each.
    below: dict[str, set[str]] = {}
    for path in place.files():
        name, _, inside = path.partition("/")
        below.setdefault(name, set()).add(inside.partition("/")[0])
    if _is_eopatch(below):
        return [own_name(place)]
    return sorted(name for name, names in below.items() if not name.startswith(".") and _is_eopatch(names))


def own_name(place: Place) -> str:
    """The name of a folder, also where its path is a link or ends in dots; of a prefix its last part."""
    return place.local_path().resolve().name if place.is_local else place.location.rpartition("/")[2]


class LoadSavedEOPatchTask(EOTask):
    """Loads a saved EOPatch, every file checked against its sha256.

    :param place: Where it lies: a `Place` or a location.
    :param features: Features to load as (type, name); None loads all of them.
    """

    def __init__(self, place: PlaceLike, *, features: Sequence[Feature] | None = None) -> None:
        self.place = Place(place)
        self.features = None if features is None else tuple(features)

    def execute(self, *, name: str) -> EOPatch:
        """Loads the EOPatch of that name."""
        return load_eopatch(self.place, name, features=self.features)


def _read(place: Place, name: str | None, read: Callable[[EOPatchFolder], T], *, listed: bool) -> T:
    """What is read of an EOPatch, all of it from one save.

    :param listed: As in `open_eopatch`.
    """
    for patch in _candidates(place, name):
        folder = open_eopatch(patch, listed=listed)
        while folder is not None:
            try:
                found = read(folder)
            except (StorageError, FeatureError):
                # What looks like damage is none when the patch was saved again while it was read; and what is asked for
                # may have been added by another program.
                now = open_eopatch(patch, listed=True)
                if now is None or (now.marker == folder.marker and folder.is_listed):
                    raise
                folder = now
                continue
            # What was read apart from its checksum, or has none, may be of a save that began meanwhile.
            if folder.is_verified or read_marker(patch) == folder.marker:
                if folder.changed:
                    _warn_of_changes(folder)
                return found
            folder = open_eopatch(patch, listed=listed)
    others = _some_eopatches(place)
    if name is None:
        raise StorageError(f"{place} is no EOPatch, the EOPatches in it are: {others}. Say which.")
    raise StorageError(f"EOPatch {name!r} in {place} is not there, the EOPatches there are: {others}.")


def _some_eopatches(place: Place) -> str:
    """For messages: a few of the EOPatches that there are, and how many folders."""
    if place.is_local and _is_eopatch(names_in(place)):
        return own_name(place)
    first, count = place.first_folders(_LOOKED_AT)
    found = [name for name, names in first.items() if _is_eopatch(names)]
    listed = ", ".join(found[:_NAMED]) or "none"
    if count is not None and count <= min(len(first), _NAMED):
        return listed
    return f"{listed}, ... ({f'{count:,} folders' if count is not None else 'many folders'} in all)"


def _candidates(place: Place, name: str | None) -> Iterator[Place]:
    """Where an EOPatch of a name may lie: in the place, or it is the place itself."""
    is_own = name is None or name == own_name(place)
    if name is not None and not (is_own and name.startswith(".")):  # a generation is an EOPatch too
        yield place.child(patch_folder(name))
    if is_own and _is_eopatch(names_in(place)):
        yield place


def _warn_of_changes(folder: EOPatchFolder) -> None:
    files = ", ".join(folder.changed[:_NAMED]) + (", ..." if len(folder.changed) > _NAMED else "")
    warn_caller(
        f"{folder.where}: another program has written {files} since eotasks saved it. It is read as a plain EOPatch,"
        " without checksums: save it by eotasks to have them again.",
        EOPatchChangedWarning,
    )


def _is_eopatch(names: Collection[str]) -> bool:
    return MARKER in names or looks_plain(names)


def _info(folder: EOPatchFolder, name: str) -> EOPatchInfo:
    folder.check_sizes()
    stored = folder.read([])
    if stored.bbox is None:
        raise FeatureError(f"{folder.where}: no bounding box. Add bbox.geojson to it.")
    features = tuple(sorted(map(describe, folder.features)))
    rasters = [feature for feature in folder.features if feature[0] in IMAGES]
    if not rasters:
        raise FeatureError(f"{folder.where}: no feature with pixels, there are {', '.join(features) or 'none'}.")
    shape = next((shape for shape in map(folder.shape, rasters) if shape is not None), None)
    if shape is None or len(shape) < 3:
        raise folder.damaged(f"the size of {describe(rasters[0])} is not known, it is no array of rows and columns")
    height, width = shape[-3:-1]
    timestamps = tuple(map(naive_utc, stored.timestamps or ()))
    return EOPatchInfo(name=name, bbox=stored.bbox, shape=(height, width), timestamps=timestamps, features=features)


def _version(folder: EOPatchFolder, features: Sequence[Feature] | None) -> str:
    place = folder.place
    wanted = folder.files if features is None else folder.paths_of(features)
    below = {} if place.is_local else {entry.path: (entry.size, entry.changed) for entry in place.entries()}
    facts = {}
    for path in sorted(wanted):
        size, changed = below[path] if path in below else place.extent(path)
        facts[path] = [folder.files[path].get("sha256"), size, changed.isoformat()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
