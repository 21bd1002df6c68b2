"""EOPatches as xarray datasets and back: the bridge that eo-learn dropped.

A dataset has the coordinates that rioxarray expects: ``time`` (UTC), ``y`` and ``x`` at pixel centres, the CRS and the
transform in ``spatial_ref``, and ``band`` from 1. Row 0 is north in both. What comes back from `from_xarray` equals
what went in, bit for bit: the extent is noted in ``spatial_ref`` as it was, because arithmetic on pixel centres gives
it back nearly only.

Needs the extra ``eotasks[xarray]``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from eolearn.core import EOPatch, FeatureType
from numpy.typing import NDArray
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.documents import parse_json_object
from eotasks.errors import FeatureError, GridError, MissingDependencyError
from eotasks.extras import install_line
from eotasks.features import Feature, describe

if TYPE_CHECKING:
    import xarray

TYPE, NAME, META_INFO, EXTENT = "feature_type", "feature_name", "eotasks_meta_info", "eotasks_bbox"
"""Attributes: of a variable, of a variable, of a dataset, of ``spatial_ref``."""

WHOLE_PIXEL_TOLERANCE = 1e-3
"""How far, in pixels, coordinates may be from even steps, and from the noted extent."""

_RESERVED = frozenset({"time", "y", "x", "band", "spatial_ref"})
_ROWS_AND_COLUMNS = ("y", "x")


def to_xarray(eopatch: EOPatch, features: Sequence[Feature] | None = None) -> xarray.Dataset:
    """A dataset with a variable for each feature, under the feature's name.

    Images have the dimensions (time, y, x, band), without time where they have none, and without band where they have
    one band. ``band`` is shared by all of them; where features have several numbers of bands, the dimensions are
    ``band_10``, ``band_3``, ... Scalars and labels have (time, NAME_value). Two features of one name become
    ``data_NAME`` and ``mask_NAME``. Meta information goes to an attribute, as JSON. The arrays are shared with the
    EOPatch, not copied.

    :param eopatch: An EOPatch with a bbox; all images have one height and width.
    :param features: Features as (type, name); None takes all of them.
    :raises FeatureError: a feature that is not there, or cannot go: vectors, meta information that JSON does not give
        back as it was, arrays of objects, frames without timestamps.
    :raises GridError: no bbox, images without pixels, or of several sizes: choose features of one.
    :raises MissingDependencyError: without xarray or rioxarray.
    """
    xarray = _import()
    chosen = _chosen(eopatch, features)
    arrays = {feature: _array(eopatch, feature) for feature in chosen if feature[0] is not FeatureType.META_INFO}
    times = _times(eopatch, arrays)
    shape = _shape(arrays)
    names = _variable_names(arrays)
    bands = {array.shape[-1] for feature, array in arrays.items() if feature[0].is_image() and array.shape[-1] != 1}
    variables = {
        names[feature]: xarray.Variable(
            _dimensions(feature, array, several=len(bands) > 1),
            array[..., 0] if feature[0].is_image() and array.shape[-1] == 1 else array,
            {TYPE: feature[0].value, NAME: feature[1]},
        )
        for feature, array in arrays.items()
    }
    coordinates: dict[str, Any] = {} if times is None else {"time": ("time", times)}
    for variable in variables.values():
        coordinates |= {
            name: (name, np.arange(1, size + 1))
            for name, size in variable.sizes.items()
            if "x" in variable.sizes and name not in ("time", "y", "x")
        }
    dataset = xarray.Dataset(variables, coordinates)
    meta = {name: eopatch[kind, name] for kind, name in chosen if kind is FeatureType.META_INFO}
    if meta:
        dataset.attrs[META_INFO] = _as_json(meta)
    return _on_the_ground(dataset, _bbox(eopatch), shape)


def from_xarray(dataset: xarray.Dataset) -> EOPatch:
    """An EOPatch of a dataset, from `to_xarray` or any other on a regular grid with a CRS.

    A variable without a note of its feature type becomes DATA when it has floats, MASK when it has integers or
    booleans, and ``…_TIMELESS`` without time. Rows that go from south to north are turned round. A dataset that was
    cropped or thinned gets the extent of the pixels that are left. Arrays are copied.

    :param dataset: Dimensions time, y, x (or what rioxarray takes for them) and at most one other for each variable.
    :raises FeatureError: a variable whose dimensions fit no feature, or two that would have one name.
    :raises GridError: no CRS or one without an EPSG code, uneven or no coordinates.
    :raises MissingDependencyError: without xarray or rioxarray.
    """
    _import()
    layout = _layout(dataset)
    timestamps = _timestamps(dataset)
    eopatch = EOPatch(bbox=layout.bbox, timestamps=timestamps)
    for name, variable in dataset.data_vars.items():
        feature, array = _feature(name, variable, layout)
        if feature in eopatch:
            raise FeatureError(f"Variable {name!r} would be a second feature {describe(feature)}: rename one of them.")
        eopatch[feature] = array
    meta = dataset.attrs.get(META_INFO, "{}")
    for key, value in parse_json_object(str(meta), _no_meta).items():
        eopatch[FeatureType.META_INFO, key] = value
    return eopatch


def _no_meta(reason: str) -> FeatureError:
    return FeatureError(f"Attribute {META_INFO} is {reason}: write the dataset again, or remove the attribute.")


def _import() -> Any:
    try:
        import rioxarray  # noqa: F401  # adds `.rio` to datasets
        import xarray
    except ImportError as error:
        raise MissingDependencyError(f"xarray or rioxarray is not installed: {install_line('xarray')}") from error
    return xarray


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


def _array(eopatch: EOPatch, feature: Feature) -> NDArray[Any]:
    array = np.asarray(eopatch[feature])
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
    for timestamp in timestamps:
        if timestamp.tzinfo is not None:
            raise FeatureError(f"Timestamp {timestamp} has a time zone: times of EOPatches are UTC without one.")
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
        feature: feature[1] if count[feature[1]] == 1 and not _is_reserved(feature[1]) else _long_name(feature)
        for feature in features
    }
    taken = [name for name, times in Counter(clear.values()).items() if times > 1]
    if taken:
        raise FeatureError(f"Two features would be the variable {taken[0]!r}: rename one, or take one of them.")
    return clear


def _is_reserved(name: str) -> bool:
    return name in _RESERVED or name.startswith("band_") or name.endswith("_value")


def _long_name(feature: Feature) -> str:
    return f"{feature[0].value}_{feature[1]}"


def _dimensions(feature: Feature, array: NDArray[Any], *, several: bool) -> tuple[str, ...]:
    kind, name = feature
    time = ("time",) if kind.is_temporal() else ()
    if not kind.is_image():
        return (*time, f"{name}_value")
    count = array.shape[-1]
    if count == 1:
        return (*time, *_ROWS_AND_COLUMNS)
    return (*time, *_ROWS_AND_COLUMNS, f"band_{count}" if several else "band")


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


@dataclass(frozen=True)
class _Layout:
    """Where the values of a dataset lie."""

    bbox: BBox
    rows: Hashable
    columns: Hashable
    upwards: bool
    """Rows go from south to north."""


def _layout(dataset: xarray.Dataset) -> _Layout:
    crs = dataset.rio.crs
    code = None if crs is None else crs.to_epsg()
    if code is None:
        raise GridError(
            "The dataset has no CRS with an EPSG code: set it by dataset.rio.write_crs('EPSG:…'), or reproject it."
        )
    reference = dataset.coords.get(dataset.rio.grid_mapping)
    noted = None if reference is None else reference.attrs.get(EXTENT)
    rows, columns = _rows_and_columns(dataset)
    if rows not in dataset.dims or columns not in dataset.dims:
        if noted is None:
            raise GridError("The dataset has no y and x and no note of its extent: where it lies is not known.")
        return _Layout(BBox(tuple(noted), CRS(code)), rows, columns, upwards=False)
    steps = _noted_steps(dataset)
    left, right = _edges(dataset, columns, steps[0])
    first, last = _edges(dataset, rows, steps[1])
    if left > right:
        raise GridError(f"{columns!r} goes from east to west: sort it by dataset.sortby({columns!r}).")
    edges = (left, min(first, last), right, max(first, last))
    sizes = (dataset.sizes[columns], dataset.sizes[rows])
    return _Layout(BBox(_exact(edges, noted, sizes), CRS(code)), rows, columns, first < last)


def _rows_and_columns(dataset: xarray.Dataset) -> tuple[Hashable, Hashable]:
    from rioxarray.exceptions import MissingSpatialDimensionError

    try:
        return dataset.rio.y_dim, dataset.rio.x_dim
    except MissingSpatialDimensionError:
        return _ROWS_AND_COLUMNS


def _noted_steps(dataset: xarray.Dataset) -> tuple[float | None, float | None]:
    """Pixel sizes in x and y from the transform in ``spatial_ref``: one row or column shows none."""
    name = dataset.rio.grid_mapping
    text = dataset.coords[name].attrs.get("GeoTransform") if name in dataset.coords else None
    if text is None:
        return None, None
    numbers = [float(number) for number in str(text).split()]
    return numbers[1], numbers[5]


def _edges(dataset: xarray.Dataset, dimension: Hashable, noted: float | None) -> tuple[float, float]:
    """First and last edge along a dimension."""
    if dimension not in dataset.coords:
        raise GridError(f"Dimension {dimension!r} has no coordinates: give it those of the pixel centres.")
    centres = np.asarray(dataset.coords[dimension].values, dtype=np.float64)
    if centres.size == 0 or not np.isfinite(centres).all():
        raise GridError(f"Dimension {dimension!r} has no pixels, or coordinates that are no numbers.")
    if centres.size == 1 and noted is None:
        raise GridError(
            f"One pixel along {dimension!r} does not show its size: note it by dataset.rio.write_transform."
        )
    step = float(noted if centres.size == 1 else (centres[-1] - centres[0]) / (centres.size - 1))  # type: ignore[arg-type]
    even = centres[0] + step * np.arange(centres.size)
    if step == 0 or np.abs(even - centres).max() > WHOLE_PIXEL_TOLERANCE * abs(step):
        raise GridError(
            f"The coordinates along {dimension!r} have uneven steps: an EOPatch has square rows and columns."
        )
    return float(centres[0] - step / 2), float(centres[-1] + step / 2)


def _exact(
    edges: tuple[float, float, float, float], noted: Sequence[float] | None, sizes: tuple[int, int]
) -> tuple[float, float, float, float]:
    """The noted extent where the coordinates tell the same; else theirs, because the dataset was cropped or shifted."""
    if noted is None or len(noted) != 4:
        return edges
    left, bottom, right, top = (float(edge) for edge in noted)
    near_x, near_y = (WHOLE_PIXEL_TOLERANCE * (high - low) / size for low, high, size in
                      ((edges[0], edges[2], sizes[0]), (edges[1], edges[3], sizes[1])))  # fmt: skip
    same = (
        abs(left - edges[0]) <= near_x
        and abs(right - edges[2]) <= near_x
        and abs(bottom - edges[1]) <= near_y
        and abs(top - edges[3]) <= near_y
    )
    return (left, bottom, right, top) if same else edges


def _timestamps(dataset: xarray.Dataset) -> list[datetime] | None:
    if "time" not in dataset.dims and "time" not in dataset.coords:
        return None
    if "time" not in dataset.coords or not np.issubdtype(dataset["time"].dtype, np.datetime64):
        raise FeatureError("The dimension 'time' has no dates: give it coordinates of the kind datetime64.")
    times = np.atleast_1d(dataset["time"].values)
    if np.isnat(times).any():
        raise FeatureError("A time is NaT: every frame has a date.")
    exact = times.astype("datetime64[us]")
    if (exact.astype(times.dtype) != times).any():
        raise FeatureError(
            "Times are finer than microseconds, which the timestamps of an EOPatch cannot tell: round them."
        )
    return [
        datetime.fromtimestamp(0, UTC).replace(tzinfo=None) + (time - np.datetime64(0, "us")).item() for time in exact
    ]


def _feature(name: Hashable, variable: xarray.DataArray, layout: _Layout) -> tuple[Feature, NDArray[Any]]:
    """The feature that a variable is, and a copy of its values in the order of an EOPatch."""
    dims = list(variable.dims)
    on_ground = [dim for dim in (layout.rows, layout.columns) if dim in dims]
    others = [dim for dim in dims if dim not in ("time", *on_ground)]
    if len(on_ground) == 1 or len(others) > 1 or (not on_ground and not others):
        raise FeatureError(
            f"Variable {name!r} has the dimensions {', '.join(map(str, dims)) or 'none'}: a feature has both y and x"
            " or neither, and at most one other beside time."
        )
    time = ["time"] if "time" in dims else []
    ordered = variable.transpose(*time, *on_ground, *others)
    if on_ground and layout.upwards:
        ordered = ordered.isel({layout.rows: slice(None, None, -1)})
    array = np.array(ordered.values, order="C")
    if on_ground and not others:
        array = array[..., np.newaxis]
    kind = _feature_type(variable, array.dtype, temporal=bool(time), image=bool(on_ground))
    noted = variable.attrs.get(NAME)
    own = noted is not None and str(name) in (noted, _long_name((kind, noted)))
    return (kind, str(noted if own else name)), array


def _feature_type(variable: xarray.DataArray, dtype: np.dtype[Any], *, temporal: bool, image: bool) -> FeatureType:
    """The noted type where it still fits, else by the values: arithmetic may keep the note of what it began with."""
    discrete = np.issubdtype(dtype, np.integer) or dtype == np.bool_
    noted = variable.attrs.get(TYPE)
    fitting = [
        kind
        for kind in FeatureType
        if kind.is_array()
        and kind.is_temporal() is temporal
        and kind.is_image() is image
        and (discrete or not kind.is_discrete())
    ]
    for kind in fitting:
        if kind.value == noted:
            return kind
    return next(kind for kind in fitting if kind.is_discrete() is discrete)


__all__ = ["from_xarray", "to_xarray"]
