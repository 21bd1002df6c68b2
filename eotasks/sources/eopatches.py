"""Existing EOPatches as a source: other people's names become the project's, nothing is written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from eolearn.core import EOPatch, EOTask, FeatureType
from numpy.typing import NDArray

from eotasks.eopatches.files import check_frames
from eotasks.eopatches.load import eopatch_version, list_eopatches, load_eopatch, own_name
from eotasks.errors import AreaError, ConfigurationError, FeatureError, TooFewFramesError
from eotasks.features import Feature, describe
from eotasks.models.scale_signs import refuse_other_scale
from eotasks.models.scales import (
    ProbabilityScale,
    ReflectanceScale,
    as_probability,
    as_reflectance,
    check_scale,
    warn_of_percent,
)
from eotasks.models.sentinel2 import BANDS
from eotasks.storage.place import Place, PlaceLike
from eotasks.times import naive_utc

_BOOLEAN_NAMES = frozenset({"IS_DATA", "IS_VALID"})
_CLASS_NAMES = frozenset({"LULC", "LULC_ERODED", "PREDICTION"})
_BANDS: Feature = (FeatureType.DATA, "BANDS")
_IS_DATA: Feature = (FeatureType.MASK, "IS_DATA")
_SIMULATED: Feature = (FeatureType.META_INFO, "SIMULATED")


class LoadEOPatchTask(EOTask):
    """Load features of an existing EOPatch under the project's names.

    A boolean CLM becomes uint8 (0 clear, 1 cloud), a CLP float32 0..1, IS_DATA and IS_VALID of 0 and 1 boolean, and
    labels uint8, and times naive UTC, so that the tasks after this one meet the project's conventions whoever wrote
    the patch. The meta information SIMULATED of a simulated patch comes along.
    """

    def __init__(
        self,
        folder: PlaceLike,
        features: Mapping[str, str],
        *,
        start: dt.date | None = None,
        end: dt.date | None = None,
        scales: Mapping[str, str] | None = None,
    ) -> None:
        """
        :param folder: Folder or ``s3://bucket/prefix`` of EOPatch folders, or one EOPatch folder. Never written to.
        :param features: The project's name -> ``"feature_type/NAME"`` in the EOPatch, such as
            ``{"NDVI": "data/NDVI", "CLM": "mask/CLM"}``. The feature type stays; BANDS become float32 reflectance, CLP
            float32 0..1, CLM uint8, IS_DATA bool, labels uint8.
        :param start: First time or day to keep; None keeps all from the beginning. A date means its whole day.
        :param end: Last time or day to keep; None keeps all to the end.
        :param scales: What the numbers of BANDS and CLP are, such as ``{"BANDS": "0..255", "CLP": "percent"}``
            (``eotasks.models.scales``). Of those not named the dtype says it: BANDS as float are reflectance, as
            integer DN; CLP as float is 0..1, as uint8 0..255.
        :raises ConfigurationError: when the mapping is empty, a scale is not known, an entry is no
            ``"feature_type/NAME"``, or the interval ends before it starts.
        """
        self.folder = Place(folder).location
        if not features:
            raise ConfigurationError("features={}: say what to load, such as {'NDVI': 'data/NDVI'}.")
        self.features: dict[str, Feature] = {
            name: _parse_source(name, source) for name, source in features.items() if _check_name(name)
        }
        self.scales = _checked_scales(scales or {}, self.features)
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
        :raises ReflectanceError: when BANDS are of another scale (the message names the divisor), or NaN where IS_DATA
            (if it is mapped) says that there is data.
        :warns ScaleWarning: when CLP is uint8 that ends at exactly 100, and its scale is not named.
        """
        place = Place(self.folder)
        wanted = list(dict.fromkeys(self.features.values()))
        stored = load_eopatch(place, name, features=wanted, optional=[_SIMULATED])
        where = f"EOPatch {place}" if name in (None, own_name(place)) else f"EOPatch {place}/{name}"
        check_frames(stored, where)
        if stored.bbox is None:
            raise FeatureError(f"{where}: no bounding box. Add bbox.geojson to it.")
        times = [naive_utc(time) for time in stored.timestamps or ()]
        temporal = any(feature_type.is_temporal() for feature_type, _ in wanted)
        kept = self._kept_frames(times, where) if temporal else None
        patch = EOPatch(bbox=stored.bbox, timestamps=None if kept is None else [times[index] for index in kept])
        for new_name, source in self.features.items():
            value = stored[source]
            if kept is not None and source[0].is_temporal():
                value = _select(value, source, kept, times, where)
            patch[source[0], new_name] = _by_convention(value, source[0], new_name, self.scales.get(new_name), where)
        if _BANDS in patch:
            patch[_BANDS] = _reflectance(patch, self.scales.get("BANDS"), where)
        if _SIMULATED in stored:
            patch[_SIMULATED] = stored[_SIMULATED]
        return patch

    def version(self, name: str | None = None) -> str:
        """A digest of the files that it reads of an EOPatch: another one says that they have been written since.

        :param name: As in `execute`.
        :raises StorageError: when there is no such EOPatch.
        """
        return eopatch_version(self.folder, name, features=[*dict.fromkeys(self.features.values()), _SIMULATED])

    def _kept_frames(self, timestamps: list[dt.datetime], where: str) -> NDArray[np.intp]:
        if not timestamps:
            raise FeatureError(f"{where}: features over time, but no timestamps. Add timestamps.json to it.")
        inside = [
            (self.start is None or time >= self.start) and (self.end is None or time <= self.end) for time in timestamps
        ]
        if not any(inside):
            raise TooFewFramesError(
                f"{where}: none of its {len(timestamps)} timestamps ({min(timestamps).date()} to"
                f" {max(timestamps).date()}) lies from {self.start or 'the beginning'} to {self.end or 'the end'}."
                " Change the interval."
            )
        return np.flatnonzero(inside)


def list_source_eopatches(folder: PlaceLike) -> list[str]:
    """Names of the EOPatches of a source, sorted; its own name when it is itself one.

    :raises AreaError: when there is no such folder, or no EOPatch in it.
    """
    place = Place(folder)
    if place.is_local and not place.local_path().is_dir():
        raise AreaError(f"{place}: no such folder. Give the folder that holds the EOPatches.")
    names = list_eopatches(place)
    if not names:
        raise AreaError(f"{place}: no EOPatch in it. An EOPatch is a folder with bbox.geojson and folders of features.")
    return names


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
    return naive_utc(day) if isinstance(day, dt.datetime) else dt.datetime.combine(day, time)


def _select(value: Any, feature: Feature, kept: NDArray[np.intp], timestamps: list[dt.datetime], where: str) -> Any:
    """The frames to keep of an array, or the rows with their timestamps of a vector."""
    if isinstance(value, np.ndarray):
        return value if len(kept) == len(timestamps) else value[kept]
    column = "TIMESTAMP"
    if column not in value:
        raise FeatureError(f"{where}: {describe(feature)} has no column {column}.")
    times = _naive_utc_column(value[column])
    return value.assign(**{column: times})[times.isin([timestamps[index] for index in kept])]


def _naive_utc_column(times: pd.Series[Any]) -> pd.Series[Any]:
    return times.dt.tz_convert(None) if isinstance(times.dtype, pd.DatetimeTZDtype) else times


def _by_convention(value: Any, feature_type: FeatureType, name: str, scale: Any, where: str) -> Any:
    """The project's dtypes, by the project's names."""
    if not isinstance(value, np.ndarray):
        return value
    if feature_type is FeatureType.MASK and name == "CLM":
        return _cloud_mask(value, where)
    if feature_type is FeatureType.DATA and name == "CLP":
        return _probability(value, scale, f"{where}: CLP")
    if feature_type is FeatureType.MASK and name in _BOOLEAN_NAMES:
        return _flags(value, name, where)
    if feature_type is FeatureType.MASK_TIMELESS and name in _CLASS_NAMES:
        return _labels(value, name, where)
    return value


def _checked_scales(scales: Mapping[str, str], features: Mapping[str, Feature]) -> dict[str, str]:
    for name, scale in scales.items():
        if name not in ("BANDS", "CLP") or name not in features:
            there = [each for each in ("BANDS", "CLP") if each in features]
            raise ConfigurationError(
                f"scales: {name!r} has no scale here: they are of {' and '.join(there) or 'BANDS and CLP'}."
            )
        check_scale(scale, ReflectanceScale if name == "BANDS" else ProbabilityScale, f"scales[{name!r}]")
    return dict(scales)


def _probability(values: NDArray[Any], scale: ProbabilityScale | None, where: str) -> NDArray[np.float32]:
    """CLP as float32 0..1, NaN where it was."""
    missing = np.isnan(values) if values.dtype.kind == "f" else None
    warn_of_percent(values, scale=scale, where=where)
    probability = as_probability(values, None if missing is None else ~missing, scale=scale, where=where)
    return probability if missing is None else np.where(missing, np.float32(np.nan), probability)


def _flags(values: NDArray[Any], name: str, where: str) -> NDArray[np.bool_]:
    """A mask of data as booleans; one of 0 and 1 says so by the name that it is mapped to."""
    if values.dtype != bool and not np.isin(values, (0, 1)).all():
        unknown = sorted(set(np.unique(values).tolist()) - {0, 1})
        raise FeatureError(
            f"{where}: {name} holds {', '.join(map(str, unknown[:5]))}, a mask of data holds 0 and 1 or booleans. Map a"
            f" cloud mask to CLM, or make booleans of it first."
        )
    return values.astype(bool)


def _reflectance(patch: EOPatch, scale: Any, where: str) -> NDArray[np.float32]:
    """BANDS as float32 reflectance, checked frame by frame."""
    bands = patch[_BANDS]
    masked = _IS_DATA in patch
    names = BANDS if bands.shape[-1] == len(BANDS) else tuple(map(str, range(bands.shape[-1])))
    moments = [f"{time:%Y-%m-%d}" for time in patch.timestamps or ()]
    refuse_other_scale(
        bands,
        patch[_IS_DATA][..., 0] if masked else None,
        names=names,
        scale=scale,
        frame_names=moments,
        where=f"{where}: {describe(_BANDS)}",
    )
    result = bands if bands.dtype == np.float32 and scale is None else np.empty(bands.shape, dtype=np.float32)
    for index, time in enumerate(patch.timestamps or ()):
        valid = patch[_IS_DATA][index] if masked else np.isfinite(bands[index])
        frame = f"{where}: {describe(_BANDS)} of {time:%Y-%m-%d}"
        result[index] = as_reflectance(bands[index], valid, scale=scale, where=frame)
    return result


def _cloud_mask(mask: NDArray[Any], where: str) -> NDArray[np.uint8]:
    if mask.dtype == bool:
        return mask.astype(np.uint8)
    unknown = set(np.unique(mask).tolist()) - {0, 1, 255}
    if unknown:
        raise FeatureError(
            f"{where}: CLM holds {', '.join(map(str, sorted(unknown)[:5]))}, a cloud mask holds 0 clear, 1"
            " cloud, 255 no data. Map another feature to CLM."
        )
    return mask.astype(np.uint8)


def _labels(labels: NDArray[Any], name: str, where: str) -> NDArray[np.uint8]:
    if labels.dtype.kind not in "iub" or labels.min(initial=0) < 0 or labels.max(initial=0) > np.iinfo(np.uint8).max:
        raise FeatureError(
            f"{where}: {name} holds {labels.dtype} values that are no class numbers from 0 (none) to 255."
        )
    return labels.astype(np.uint8)
