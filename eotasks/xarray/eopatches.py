"""EOPatches of xarray datasets."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from eolearn.core import EOPatch, FeatureType
from numpy.typing import NDArray

from eotasks.documents import parse_json_object
from eotasks.errors import FeatureError
from eotasks.features import Feature, describe
from eotasks.xarray.grid import Ground, ground_of
from eotasks.xarray.notes import META_INFO, NAME, TYPE, long_name
from eotasks.xarray.packages import xarray_package

if TYPE_CHECKING:
    import xarray


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
    xarray_package()
    layout = ground_of(dataset)
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


def _feature(name: Hashable, variable: xarray.DataArray, layout: Ground) -> tuple[Feature, NDArray[Any]]:
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
    own = noted is not None and str(name) in (noted, long_name((kind, noted)))
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
