"""Existing EOPatches as a source: other people's names become the project's, nothing is written."""

from __future__ import annotations

import datetime as dt
import gzip
import re
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from eolearn.core import EOPatch, EOTask, FeatureType
from numpy.typing import NDArray
from sentinelhub.geometry import BBox

from eotasks.eopatches.marker import MARKER, check_sizes, parse_marker
from eotasks.eopatches.remote import at_hand, list_remote, own_name
from eotasks.errors import AreaError, ConfigurationError, FeatureError, StorageError, TooFewFramesError
from eotasks.features import Feature, describe
from eotasks.models.sentinel2 import as_reflectance
from eotasks.storage.location import is_s3
from eotasks.storage.place import Place

_PARTS = frozenset(feature_type.value for feature_type in FeatureType)
_ENDING = re.compile(r"\.(npy|npy\.gz|json|json\.gz|gpkg|gpkg\.gz|geojson|zarr|pkl|pkl\.gz)$")
_BOOLEAN_NAMES = frozenset({"IS_DATA", "IS_VALID"})
_CLASS_NAMES = frozenset({"LULC", "LULC_ERODED", "PREDICTION"})
_BANDS: Feature = (FeatureType.DATA, "BANDS")
_IS_DATA: Feature = (FeatureType.MASK, "IS_DATA")
_SIMULATED: Feature = (FeatureType.META_INFO, "SIMULATED")
_DAMAGE = (OSError, ValueError, EOFError, zlib.error)
"""What reading a damaged file raises."""


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


class LoadEOPatchTask(EOTask):
    """Load features of an existing EOPatch under the project's names.

    A boolean CLM becomes uint8 (0 clear, 1 cloud), a uint8 CLP float32 0..1, IS_DATA and IS_VALID boolean, and labels
    uint8, and times naive UTC, so that the tasks after this one meet the project's conventions whoever wrote the patch.
    The meta information SIMULATED of a simulated patch comes along.
    """

    def __init__(
        self,
        folder: str | Path | Place,
        features: Mapping[str, str],
        *,
        start: dt.date | None = None,
        end: dt.date | None = None,
    ) -> None:
        """
        :param folder: Folder or ``s3://bucket/prefix`` of EOPatch folders, or one EOPatch folder. Never written to.
        :param features: The project's name -> ``"feature_type/NAME"`` in the EOPatch, such as
            ``{"NDVI": "data/NDVI", "CLM": "mask/CLM"}``. The feature type stays; BANDS become float32 reflectance, CLP
            float32 0..1, CLM uint8, IS_DATA bool, labels uint8.
        :param start: First time or day to keep; None keeps all from the beginning. A date means its whole day.
        :param end: Last time or day to keep; None keeps all to the end.
        :raises ConfigurationError: when the mapping is empty or an entry is no ``"feature_type/NAME"``, or the
            interval ends before it starts.
        """
        self.folder = str(folder)
        if not features:
            raise ConfigurationError("features={}: say what to load, such as {'NDVI': 'data/NDVI'}.")
        self.features: dict[str, Feature] = {
            name: _parse_source(name, source) for name, source in features.items() if _check_name(name)
        }
        self.start = _first_moment(start)
        self.end = _last_moment(end)
        if self.start is not None and self.end is not None and self.end < self.start:
            raise ConfigurationError(f"end={end} lies before start={start}: exchange them.")

    def execute(self, *, name: str | None = None) -> EOPatch:
        """
        :param name: Folder of the EOPatch inside the folder; may be left out when that is itself an EOPatch.
        :raises StorageError: when there is no such EOPatch, or it cannot be read.
        :raises FeatureError: when it lacks a feature; the message lists what it has.
        :raises TooFewFramesError: when no timestamp lies inside the interval.
        :raises ReflectanceError: when BANDS hold digital numbers as floats, or NaN where IS_DATA (if it is mapped) says
            that there is data.
        """
        wanted = [describe(source) for source in (*self.features.values(), _SIMULATED)]
        with _patch_at_hand(self.folder, name, whole=wanted) as (folder, where):
            return self._loaded(_open(folder, where), where)

    def _loaded(self, stored: EOPatch, where: str) -> EOPatch:
        missing = [describe(source) for source in self.features.values() if source not in stored]
        if missing:
            raise FeatureError(
                f"EOPatch {where}: no {', '.join(missing)}, there are {', '.join(_names(stored)) or 'none'}."
                " Correct the mapping of features."
            )
        temporal = any(feature_type.is_temporal() for feature_type, _ in self.features.values())
        kept = self._kept_frames(stored, where) if temporal else None
        patch = EOPatch(bbox=_bbox_of(stored, where), timestamps=_at(stored.timestamps, kept))
        for new_name, source in self.features.items():
            value = _read(stored, source, where)
            if kept is not None and source[0].is_temporal():
                value = _select(value, source, kept, stored.timestamps or [], where)
            patch[source[0], new_name] = _by_convention(value, source[0], new_name, where)
        if _BANDS in patch:
            patch[_BANDS] = _reflectance(patch, where)
        if _SIMULATED in stored:
            patch[_SIMULATED] = _read(stored, _SIMULATED, where)
        return patch

    def _kept_frames(self, stored: EOPatch, where: str) -> NDArray[np.intp]:
        timestamps = stored.timestamps
        if not timestamps:
            raise FeatureError(f"EOPatch {where}: features over time, but no timestamps. Add timestamps.json to it.")
        inside = [
            (self.start is None or time >= self.start) and (self.end is None or time <= self.end) for time in timestamps
        ]
        if not any(inside):
            raise TooFewFramesError(
                f"EOPatch {where}: none of its {len(timestamps)} timestamps ({min(timestamps).date()} to"
                f" {max(timestamps).date()}) lies from {self.start or 'the beginning'} to {self.end or 'the end'}."
                " Change the interval."
            )
        return np.flatnonzero(inside)


def list_eopatches(folder: str | Path | Place) -> list[str]:
    """Names of the EOPatches in a folder, sorted; its own name when it is itself one.

    :raises AreaError: when there is no such folder, or no EOPatch in it.
    """
    if is_s3(folder):
        return list_remote(Place(str(folder)), _are_of_eopatch)
    place = Path(str(folder))
    if not place.is_dir():
        raise AreaError(f"{place}: no such folder. Give the folder that holds the EOPatches.")
    if _is_eopatch(place):
        return [_own_name(place)]
    names = sorted(child.name for child in place.iterdir() if child.is_dir() and _is_eopatch(child))
    if not names:
        raise AreaError(f"{place}: no EOPatch in it. An EOPatch is a folder with bbox.geojson and folders of features.")
    return names


def eopatch_info(folder: str | Path | Place, name: str | None = None) -> EOPatchInfo:
    """Extent, shape, timestamps and features of an EOPatch; of arrays only a header is read.

    :param folder: Folder or ``s3://bucket/prefix`` of EOPatches, or one EOPatch.
    :param name: Name as :func:`list_eopatches` gives it.
    :raises StorageError: when there is no such EOPatch, or it cannot be read.
    :raises FeatureError: when it has no raster feature, or no bounding box.
    """
    rasters = [feature_type.value for feature_type in FeatureType if _has_pixels(feature_type)]
    with _patch_at_hand(folder, name, heads=rasters) as (local, where):
        return _info_of(local, where, name or _own_name(folder))


def _info_of(folder: Path, where: str, name: str) -> EOPatchInfo:
    stored = _open(folder, where)
    shapes = (_stored_shape(folder, feature, where) for feature in stored.get_features() if _has_pixels(feature[0]))
    shape = next((shape for shape in shapes if shape is not None), None)
    if shape is None:
        rasters = [feature for feature in stored.get_features() if _has_pixels(feature[0])]
        if not rasters:
            raise FeatureError(f"EOPatch {where}: no feature with pixels, there are {', '.join(_names(stored))}.")
        shape = _read(stored, rasters[0], where).shape
    height, width = shape[-3], shape[-2]
    return EOPatchInfo(
        name=name,
        bbox=_bbox_of(stored, where),
        shape=(height, width),
        timestamps=tuple(stored.timestamps or ()),
        features=tuple(_names(stored)),
    )


def _check_name(name: str) -> bool:
    if not name or "/" in name:
        raise ConfigurationError(f"features: {name!r} is no name of a feature, such as NDVI or CLM.")
    return True


def _parse_source(name: str, source: str) -> Feature:
    type_name, _, feature_name = str(source).partition("/")
    known = {feature_type.value: feature_type for feature_type in FeatureType if feature_type.value not in _NO_FEATURES}
    if type_name not in known or not feature_name:
        raise ConfigurationError(
            f"features: {name} = {source!r} is no 'feature_type/NAME'. The types are {', '.join(sorted(known))}."
        )
    return known[type_name], feature_name


_NO_FEATURES = frozenset({"bbox", "timestamps", "meta_info"})


def _first_moment(day: dt.date | None) -> dt.datetime | None:
    return _moment(day, dt.time.min)


def _last_moment(day: dt.date | None) -> dt.datetime | None:
    return _moment(day, dt.time.max)


def _moment(day: dt.date | None, time: dt.time) -> dt.datetime | None:
    if day is None:
        return None
    return _naive_utc(day) if isinstance(day, dt.datetime) else dt.datetime.combine(day, time)


def _naive_utc(time: dt.datetime) -> dt.datetime:
    return (time.astimezone(dt.UTC) if time.tzinfo else time).replace(tzinfo=None)


def _is_eopatch(folder: Path) -> bool:
    return _are_of_eopatch([entry.name for entry in folder.iterdir()])


def _are_of_eopatch(names: Collection[str]) -> bool:
    """Whether there is a marker, or a bounding box and something else of an EOPatch."""
    if MARKER in names:
        return True
    entries = {_ENDING.sub("", name) for name in names if not name.startswith(".")}
    return bool(entries & {"bbox", "timestamps"}) and bool(entries & (_PARTS - {"bbox", "timestamps"}))


def _own_name(folder: str | Path | Place) -> str:
    return own_name(Place(str(folder))) if is_s3(folder) else Path(str(folder)).resolve().name


@contextmanager
def _patch_at_hand(
    folder: str | Path | Place, name: str | None, *, whole: Sequence[str] = (), heads: Sequence[str] = ()
) -> Iterator[tuple[Path, str]]:
    """Where a patch is read on this machine, and its name in messages. On S3 only what is asked for is copied."""
    if not is_s3(folder):
        local = _patch_folder(Path(str(folder)), name)
        yield local, str(local)
        return
    place = Place(str(folder))
    names = list_remote(place, _are_of_eopatch) if name is None else [name]
    if name is None and names != [own_name(place)]:
        raise StorageError(f"{place}: no EOPatch there. In {place}: {', '.join(names[:10])}.")
    if name is not None and (name in ("", ".", "..") or "/" in name):
        raise StorageError(f"EOPatch name {name!r} leads out of {place}. Give the plain name of a folder in it.")
    if name is not None and not (name == own_name(place) and _are_of_eopatch(place.names())):
        place = place.child(name)
        if not _are_of_eopatch(place.names()):
            there = ", ".join(list_remote(Place(str(folder)), _are_of_eopatch)[:10])
            raise StorageError(f"{place}: no EOPatch there. In {folder}: {there}.")
    with at_hand(place, MARKER, whole=whole, heads=heads) as copy:
        yield copy, str(place)


def _patch_folder(folder: Path, name: str | None) -> Path:
    """Where a patch's features lie, its current generation when it has any."""
    place = folder
    if name is not None and not (name == _own_name(folder) and folder.is_dir() and _is_eopatch(folder)):
        place = folder / name
        if Path(name).name != name or name == "..":
            raise StorageError(f"EOPatch name {name!r} leads out of {folder}. Give the plain name of a folder in it.")
    if not place.is_dir() or not _is_eopatch(place):
        there = ", ".join(list_eopatches(folder)[:10]) if folder.is_dir() else "no such folder"
        raise StorageError(f"{place}: no EOPatch there. In {folder}: {there}.")
    return _current_generation(place)


def _current_generation(place: Path) -> Path:
    path = place / MARKER
    if not path.is_file():
        return place
    try:
        marker = parse_marker(path.read_bytes(), str(path))
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror}). Check its rights.") from error
    generation = place / marker.generation
    there = {file.relative_to(generation).as_posix(): file.stat().st_size for file in generation.rglob("*")}
    check_sizes(marker, there, f"EOPatch {place}")
    return generation


def _open(folder: Path, where: str) -> EOPatch:
    """An EOPatch that reads a feature when it is asked for, its timestamps naive UTC."""
    try:
        stored = EOPatch.load(str(folder), lazy_loading=True)
    except (*_DAMAGE, KeyError) as error:
        raise StorageError(f"EOPatch {where}: cannot be read ({error}). Write it again.") from error
    if stored.timestamps is not None:
        stored.timestamps = [_naive_utc(time) for time in stored.timestamps]
    return stored


def _read(stored: EOPatch, feature: Feature, where: str) -> Any:
    try:
        return stored[feature]
    except _DAMAGE as error:
        raise StorageError(f"EOPatch {where}: {describe(feature)} cannot be read ({error}). Write it again.") from error


def _bbox_of(stored: EOPatch, where: str) -> BBox:
    if stored.bbox is None:
        raise FeatureError(f"EOPatch {where}: no bounding box. Add bbox.geojson to it.")
    return stored.bbox


def _names(stored: EOPatch) -> list[str]:
    return sorted(describe(feature) for feature in stored.get_features())


def _has_pixels(feature_type: FeatureType) -> bool:
    return feature_type.is_array() and feature_type.is_spatial()


def _stored_shape(folder: Path, feature: Feature, where: str) -> tuple[int, ...] | None:
    """Shape in the header of an array's file, None where it is no npy file."""
    base = folder / feature[0].value / feature[1]
    for ending, opener in ((".npy", open), (".npy.gz", gzip.open)):
        file = base.with_name(base.name + ending)
        if not file.is_file():
            continue
        try:
            with opener(file, "rb") as stream:
                version = np.lib.format.read_magic(stream)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape: tuple[int, ...] = read(stream)[0]
        except _DAMAGE as error:
            relative = file.relative_to(folder).as_posix()
            raise StorageError(f"{where}/{relative}: damaged ({error}). Write the EOPatch again.") from error
        return shape
    return None


def _at(timestamps: list[dt.datetime] | None, kept: NDArray[np.intp] | None) -> list[dt.datetime] | None:
    if timestamps is None or kept is None:
        return None
    return [timestamps[index] for index in kept]


def _select(value: Any, feature: Feature, kept: NDArray[np.intp], timestamps: list[dt.datetime], where: str) -> Any:
    """The frames to keep of an array, or the rows with their timestamps of a vector."""
    if isinstance(value, np.ndarray):
        if len(value) != len(timestamps):
            raise FeatureError(
                f"EOPatch {where}: {describe(feature)} has {len(value)} frames for {len(timestamps)} timestamps."
                " Write it again."
            )
        return value if len(kept) == len(timestamps) else value[kept]
    column = "TIMESTAMP"
    if column not in value:
        raise FeatureError(f"EOPatch {where}: {describe(feature)} has no column {column}.")
    times = _naive_utc_column(value[column])
    return value.assign(**{column: times})[times.isin([timestamps[index] for index in kept])]


def _naive_utc_column(times: pd.Series[Any]) -> pd.Series[Any]:
    return times.dt.tz_convert(None) if isinstance(times.dtype, pd.DatetimeTZDtype) else times


def _by_convention(value: Any, feature_type: FeatureType, name: str, where: str) -> Any:
    """The project's dtypes, by the project's names."""
    if not isinstance(value, np.ndarray):
        return value
    if feature_type is FeatureType.MASK and name == "CLM":
        return _cloud_mask(value, where)
    if feature_type is FeatureType.DATA and name == "CLP" and value.dtype == np.uint8:
        return value.astype(np.float32) / np.float32(255)
    if feature_type is FeatureType.MASK and name in _BOOLEAN_NAMES:
        return value.astype(bool)
    if feature_type is FeatureType.MASK_TIMELESS and name in _CLASS_NAMES:
        return _labels(value, name, where)
    return value


def _reflectance(patch: EOPatch, where: str) -> NDArray[np.float32]:
    """BANDS as float32 reflectance, checked frame by frame; digital numbers are integers."""
    bands = patch[_BANDS]
    masked = _IS_DATA in patch
    result = bands if bands.dtype == np.float32 else np.empty(bands.shape, dtype=np.float32)
    for index, time in enumerate(patch.timestamps or ()):
        valid = patch[_IS_DATA][index] if masked else np.isfinite(bands[index])
        where = f"EOPatch {where}: {describe(_BANDS)} of {time:%Y-%m-%d}"
        result[index] = as_reflectance(bands[index], valid, where=where)
    return result


def _cloud_mask(mask: NDArray[Any], where: str) -> NDArray[np.uint8]:
    if mask.dtype == bool:
        return mask.astype(np.uint8)
    unknown = set(np.unique(mask).tolist()) - {0, 1, 255}
    if unknown:
        raise FeatureError(
            f"EOPatch {where}: CLM holds {', '.join(map(str, sorted(unknown)[:5]))}, a cloud mask holds 0 clear, 1"
            " cloud, 255 no data. Map another feature to CLM."
        )
    return mask.astype(np.uint8)


def _labels(labels: NDArray[Any], name: str, where: str) -> NDArray[np.uint8]:
    if labels.dtype.kind not in "iub" or labels.min(initial=0) < 0 or labels.max(initial=0) > np.iinfo(np.uint8).max:
        raise FeatureError(
            f"EOPatch {where}: {name} holds {labels.dtype} values that are no class numbers from 0 (none) to 255."
        )
    return labels.astype(np.uint8)
