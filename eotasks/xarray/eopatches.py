"""EOPatches of xarray datasets."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from eolearn.core import EOPatch, FeatureType

from eotasks.documents import parse_json_object
from eotasks.errors import FeatureError
from eotasks.features import Feature, describe, feature_of
from eotasks.xarray.bands.names import band_of, label_of
from eotasks.xarray.bands.stack import Bands
from eotasks.xarray.features import IS_DATA, bands_of, labels_of
from eotasks.xarray.grid import Ground, ground_of, with_usual_names
from eotasks.xarray.layout import rows_and_columns_of, time_of
from eotasks.xarray.lazy import LazyFeature
from eotasks.xarray.notes import BAND_NAMES, META_INFO, NAME, TYPE, long_name
from eotasks.xarray.packages import is_lazy, xarray_package

if TYPE_CHECKING:
    import xarray

_OF_BANDS = (FeatureType.DATA, FeatureType.DATA_TIMELESS)


def from_xarray(
    data: xarray.Dataset | xarray.DataArray,
    *,
    bands_feature: Feature | None = (FeatureType.DATA, "BANDS"),
    bands: Bands | None = None,
    scale: float | None = None,
    offset: float | Sequence[float] | xarray.DataArray | None = None,
    items: Iterable[Any] | None = None,
) -> EOPatch:
    """An EOPatch of a dataset, from `to_xarray` or any other on a regular grid with a CRS.

    Variables that have the names of bands become one feature of type DATA, in the order B01 to B12, of which the tasks
    know 13 and the cloud model's ten by their number; so does a variable or DataArray with a dimension of bands. They
    are reflectance, or integers of reflectance * 10000 without an offset: what scales and offsets say is done. A mask
    IS_DATA of the pixels with data comes with them, where none is there, and what has none is 0, or NaN as floats. The
    names are kept in the meta information BAND_NAMES.

    Another variable without a note of its feature type becomes DATA when it has floats, MASK when it has integers or
    booleans, and ``…_TIMELESS`` without time. Rows that go from south to north are turned round. A dataset that was
    cropped or thinned gets the extent of the pixels that are left. Arrays of NumPy are copied. Those of dask stay with
    it until a feature is looked at, as eo-learn does with saved ones; most tasks look at whole features.

    :param data: Dimensions time, y, x by their usual names and at most one other for each variable.
    :param bands_feature: Where the bands go. None leaves each variable by itself and as it is, bands as DATA.
    :param bands: This and ``scale``, ``offset`` and ``items`` as ``cloud_probability`` takes them.
    :raises FeatureError: a variable whose dimensions fit no feature, or two that would have one name; statements on
        offsets that contradict each other.
    :raises GridError: no CRS or one without an EPSG code, uneven or no coordinates.
    :raises ConfigurationError: a wrong feature.
    :raises EOTasksError: and those of ``cloud_probability`` on bands and STAC items.
    :raises MissingDependencyError: without xarray or rioxarray.
    """
    xarray_package()
    target = None if bands_feature is None else feature_of(bands_feature, _OF_BANDS)
    dataset = _as_dataset(data)
    ground = ground_of(dataset)
    if ground.upwards:
        dataset = dataset.isel({ground.rows: slice(None, None, -1)})
    names: dict[str, list[str]] = {}
    features: dict[Feature, Any] = {}
    taken: set[Hashable] = set()
    if target is not None:
        for of_bands in bands_of(dataset, target, bands=bands, scale=scale, offset=offset, items=items):
            features |= of_bands.features
            names |= of_bands.names
            taken |= of_bands.variables
    for name, variable in dataset.data_vars.items():
        if name in taken:
            continue
        feature, array = _feature(name, variable, ground)
        if feature in features and feature != IS_DATA:
            raise FeatureError(f"Variable {name!r} would be a second feature {describe(feature)}: rename one of them.")
        features[feature] = array
        labels = labels_of(variable, ground)
        if labels is not None and not feature[0].is_discrete():
            names[feature[1]] = labels
    eopatch = EOPatch(bbox=ground.bbox, timestamps=_timestamps(dataset))
    for feature, array in features.items():
        eopatch[feature] = array
    meta = dataset.attrs.get(META_INFO, "{}")
    for key, value in parse_json_object(str(meta), _no_meta).items():
        eopatch[FeatureType.META_INFO, key] = value
    if names:
        noted = eopatch.meta_info.get(BAND_NAMES)
        eopatch[FeatureType.META_INFO, BAND_NAMES] = {**(noted if isinstance(noted, dict) else {}), **names}
    return eopatch


def _as_dataset(data: xarray.Dataset | xarray.DataArray) -> xarray.Dataset:
    """A dataset with the usual names of dimensions, and its CRS among the coordinates."""
    import xarray

    if isinstance(data, xarray.DataArray):
        dataset = data.to_dataset(name="BANDS" if data.name is None else data.name)
    elif isinstance(data, xarray.Dataset):
        dataset = data
    else:
        raise FeatureError(f"{type(data).__name__} is neither a Dataset nor a DataArray of xarray: give one of them.")
    mappings = {
        each.attrs.get("grid_mapping", each.encoding.get("grid_mapping")) for each in dataset.data_vars.values()
    }
    dataset = dataset.set_coords([name for name in mappings if name in dataset.data_vars])
    time = time_of(dataset)
    dataset = with_usual_names(dataset, *rows_and_columns_of(dataset))
    if time is not None and time != "time" and "time" not in dataset.variables:
        dataset = dataset.rename({time: "time"})
    return dataset


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


def _feature(name: Hashable, variable: xarray.DataArray, ground: Ground) -> tuple[Feature, Any]:
    """The feature that a variable is, and a copy of its values in the order of an EOPatch, or a lazy feature."""
    dims = list(variable.dims)
    on_ground = [dim for dim in (ground.rows, ground.columns) if dim in dims]
    others = [dim for dim in dims if dim not in ("time", *on_ground)]
    if len(on_ground) == 1 or len(others) > 1 or (not on_ground and not others):
        raise FeatureError(
            f"Variable {name!r} has the dimensions {', '.join(map(str, dims)) or 'none'}: a feature has both y and x"
            " or neither, and at most one other beside time."
        )
    time = ["time"] if "time" in dims else []
    ordered = variable.transpose(*time, *on_ground, *others)
    flat = bool(on_ground) and not others
    kind = _feature_type(name, variable, ordered.dtype, temporal=bool(time), image=bool(on_ground))
    noted = variable.attrs.get(NAME)
    own = noted is not None and str(name) in (noted, long_name((kind, noted)))
    array: Any
    if is_lazy(ordered.data):
        array = LazyFeature(ordered.data[..., np.newaxis] if flat else ordered.data)
    else:
        array = np.array(ordered.values, order="C")
        array = array[..., np.newaxis] if flat else array
    return (kind, str(noted if own else name)), array


def _feature_type(
    name: Hashable, variable: xarray.DataArray, dtype: np.dtype[Any], *, temporal: bool, image: bool
) -> FeatureType:
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
    masks = discrete and not (image and dtype.itemsize > 1 and band_of(label_of(name, variable.attrs)))
    return next(kind for kind in fitting if kind.is_discrete() is masks)
