"""EOPatches as xarray datasets.

A dataset has the coordinates that rioxarray expects: ``time`` (UTC), ``y`` and ``x`` at pixel centres, the CRS and the
transform in ``spatial_ref``, and ``band`` from 1 or the names of the bands. Row 0 is north in both. What comes back
from `from_xarray` equals what went in, bit for bit.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from eolearn.core import EOPatch, FeatureType
from numpy.typing import NDArray
from sentinelhub.geometry import BBox

from eotasks.errors import FeatureError, GridError
from eotasks.features import Feature, describe
from eotasks.models.scales import unmasked
from eotasks.times import naive_utc
from eotasks.xarray.grid import EXTENT, ROWS_AND_COLUMNS
from eotasks.xarray.lazy import unloaded
from eotasks.xarray.notes import BAND_NAMES, META_INFO, NAME, TYPE, long_name
from eotasks.xarray.packages import xarray_package

if TYPE_CHECKING:
    import xarray

_RESERVED = frozenset({"time", "y", "x", "band", "spatial_ref"})


def to_xarray(eopatch: EOPatch, features: Sequence[Feature] | None = None) -> xarray.Dataset:
    """A dataset with a variable for each feature, under the feature's name.

    Images have the dimensions (time, y, x, band), without time where they have none, and without band where they have
    one band without a name. ``band`` is shared by all of them; where features have several numbers of bands, the
    dimensions are ``band_10``, ``band_3``, ... Bands are numbered from 1, or have the names that the meta information
    BAND_NAMES has for a feature, as `from_xarray` notes them: ``{"BANDS": ["B02", "B03"]}``; ``band_BANDS`` then, where
    not all share them. Scalars and labels have (time, NAME_value). Two features of one name become ``data_NAME`` and
    ``mask_NAME``. Meta information goes to an attribute, as JSON. The arrays are shared with the EOPatch, not copied;
    what `from_xarray` left with dask stays there.

    :param eopatch: An EOPatch with a bbox; all images have one height and width.
    :param features: Features as (type, name); None takes all of them.
    :raises FeatureError: a feature that is not there, or cannot go: vectors, meta information that JSON does not give
        back as it was, arrays of objects, frames without timestamps.
    :raises GridError: no bbox, images without pixels, or of several sizes: choose features of one.
    :raises MissingDependencyError: without xarray or rioxarray.
    """
    xarray = xarray_package()
    chosen = _chosen(eopatch, features)
    arrays = {feature: _array(eopatch, feature) for feature in chosen if feature[0] is not FeatureType.META_INFO}
    times = _times(eopatch, arrays)
    shape = _shape(arrays)
    names = _variable_names(arrays)
    labels = _labels(eopatch, arrays)
    bands = {
        labels.get(feature, (array.shape[-1],))
        for feature, array in arrays.items()
        if feature[0].is_image() and (array.shape[-1] != 1 or feature in labels)
    }
    variables: dict[str, Any] = {}
    coordinates: dict[str, Any] = {} if times is None else {"time": ("time", times)}
    for feature, array in arrays.items():
        dims = _dimensions(feature, array, several=len(bands) > 1, named=feature in labels)
        flat = feature[0].is_image() and len(dims) < array.ndim
        notes = {TYPE: feature[0].value, NAME: feature[1]}
        variables[names[feature]] = xarray.Variable(dims, array[..., 0] if flat else array, notes)
        if feature[0].is_image() and not flat:
            numbers = list(range(1, array.shape[-1] + 1))
            coordinates[dims[-1]] = dims[-1], np.array(labels.get(feature, numbers))
    dataset = xarray.Dataset(variables, coordinates)
    meta = {name: eopatch[kind, name] for kind, name in chosen if kind is FeatureType.META_INFO}
    if meta:
        dataset.attrs[META_INFO] = _as_json(meta)
    return _on_the_ground(dataset, _bbox(eopatch), shape)


def _chosen(eopatch: EOPatch, features: Sequence[Feature] | None) -> list[Feature]:
    there = eopatch.get_features()
    chosen = there if features is None else [(FeatureType(kind), name) for kind, name in features]
    for feature in chosen:
        if feature not in there:
            listing = ", ".join(sorted(describe(feature) for feature in there)) or "none"
            raise FeatureError(f"The EOPatch has no feature {describe(feature)}, there are: {listing}.")
        if feature[0].is_vector():
            raise FeatureError(
                f"Feature {describe(feature)} is a vector and cannot be in a dataset: name the features to take,"
                " without it."
            )
    return chosen


def _array(eopatch: EOPatch, feature: Feature) -> Any:
    lazy = unloaded(eopatch, feature)
    array = np.asarray(unmasked(eopatch[feature], describe(feature))) if lazy is None else lazy
    if array.dtype.hasobject:
        raise FeatureError(f"Feature {describe(feature)} is an array of Python objects: only numbers and texts can go.")
    return array


def _times(eopatch: EOPatch, arrays: dict[Feature, NDArray[Any]]) -> NDArray[np.datetime64] | None:
    timestamps = eopatch.timestamps
    for feature, array in arrays.items():
        if feature[0].is_temporal() and (timestamps is None or len(timestamps) != len(array)):
            known = "none" if timestamps is None else len(timestamps)
            raise FeatureError(f"Feature {describe(feature)} has {len(array)} frames, the timestamps are {known}.")
    if timestamps is None:
        return None
    timestamps = [naive_utc(timestamp) for timestamp in timestamps]  # xarray's times have no zone
    for timestamp in timestamps:
        if not 1678 <= timestamp.year < 2262:
            raise FeatureError(f"Timestamp {timestamp} is not between 1678 and 2261, where nanoseconds can tell it.")
    return np.array(timestamps, dtype="datetime64[us]").astype("datetime64[ns]")


def _shape(arrays: dict[Feature, NDArray[Any]]) -> tuple[int, int] | None:
    shapes = {feature: tuple(array.shape[-3:-1]) for feature, array in arrays.items() if feature[0].is_image()}
    if len(set(shapes.values())) > 1:
        listing = ", ".join(f"{describe(feature)} {shape[0]} x {shape[1]}" for feature, shape in shapes.items())
        raise GridError(f"One dataset has one grid, these features have several: {listing}. Name those of one grid.")
    for feature, shape in shapes.items():
        if not all(shape):
            raise GridError(f"Feature {describe(feature)} has {shape[0]} x {shape[1]} pixels: it lies nowhere.")
    return next(iter(shapes.values()), None)


def _variable_names(features: Iterable[Feature]) -> dict[Feature, str]:
    """The feature's name; with its type where it is taken, or means a dimension."""
    count = Counter(name for _, name in features)
    clear = {
        feature: feature[1] if count[feature[1]] == 1 and not _is_reserved(feature[1]) else long_name(feature)
        for feature in features
    }
    taken = [name for name, times in Counter(clear.values()).items() if times > 1]
    if taken:
        raise FeatureError(f"Two features would be the variable {taken[0]!r}: rename one, or take one of them.")
    return clear


def _is_reserved(name: str) -> bool:
    return name in _RESERVED or name.startswith("band_") or name.endswith("_value")


def _labels(eopatch: EOPatch, arrays: dict[Feature, NDArray[Any]]) -> dict[Feature, tuple[str, ...]]:
    """Names of the bands of features, where they are noted and fit."""
    noted = eopatch.meta_info[BAND_NAMES] if BAND_NAMES in eopatch.meta_info else {}  # noqa: SIM401 - no plain dict
    if not isinstance(noted, dict):
        return {}
    labels = {}
    for feature, array in arrays.items():
        names = noted.get(feature[1]) if feature[0].is_image() and not feature[0].is_discrete() else None
        if isinstance(names, list) and len(names) == array.shape[-1] and len({*map(str, names)}) == len(names):
            labels[feature] = tuple(map(str, names))
    return labels


def _dimensions(feature: Feature, array: NDArray[Any], *, several: bool, named: bool) -> tuple[str, ...]:
    kind, name = feature
    time = ("time",) if kind.is_temporal() else ()
    if not kind.is_image():
        return (*time, f"{name}_value")
    count = array.shape[-1]
    if count == 1 and not named:
        return (*time, *ROWS_AND_COLUMNS)
    several_names = f"band_{name}" if named else f"band_{count}"
    return (*time, *ROWS_AND_COLUMNS, several_names if several else "band")


def _as_json(meta: dict[str, Any]) -> str:
    for name, value in meta.items():
        try:
            same = json.loads(json.dumps(value, allow_nan=False)) == value and not _is_more_than_json(value)
        except (TypeError, ValueError):
            same = False
        if not same:
            raise FeatureError(
                f"Meta information {name!r} does not come back from JSON as it is: name the features to take,"
                " without it."
            )
    return json.dumps(meta)


def _is_more_than_json(value: Any) -> bool:
    """Whether a value only equals its image in JSON: keys that are no texts, subclasses of numbers, of lists."""
    if type(value) is dict:
        return any(type(key) is not str or _is_more_than_json(entry) for key, entry in value.items())
    if type(value) is list:
        return any(_is_more_than_json(entry) for entry in value)
    return type(value) not in (str, int, float, bool, type(None))


def _bbox(eopatch: EOPatch) -> BBox:
    if eopatch.bbox is None:
        raise GridError("The EOPatch has no bbox: set eopatch.bbox to where it lies.")
    return eopatch.bbox


def _on_the_ground(dataset: xarray.Dataset, bbox: BBox, shape: tuple[int, int] | None) -> xarray.Dataset:
    from rasterio.transform import Affine

    dataset.rio.write_crs(bbox.crs.pyproj_crs().to_wkt(), inplace=True)  # else it copies the arrays
    if shape is not None:
        (left, bottom, right, top), (height, width) = tuple(bbox), shape
        step_x, step_y = (right - left) / width, (top - bottom) / height
        y = top - (np.arange(height) + 0.5) * step_y
        x = left + (np.arange(width) + 0.5) * step_x
        dataset = dataset.assign_coords(
            y=("y", y, {"axis": "Y", "long_name": "y coordinate of pixel centre"}),
            x=("x", x, {"axis": "X", "long_name": "x coordinate of pixel centre"}),
        )
        dataset.rio.write_transform(Affine(step_x, 0.0, left, 0.0, -step_y, top), inplace=True)
    dataset["spatial_ref"].attrs[EXTENT] = [float(edge) for edge in bbox]
    return dataset
