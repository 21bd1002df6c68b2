"""Bands of a dataset as a feature of an EOPatch."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from eolearn.core import FeatureType
from numpy.typing import NDArray

from eotasks.errors import FeatureError
from eotasks.features import Feature
from eotasks.xarray.bands.names import band_of, label_of
from eotasks.xarray.bands.stack import Bands, band_stack, bands_in
from eotasks.xarray.chunks.blocks import Reader, map_frames
from eotasks.xarray.grid import Ground
from eotasks.xarray.layout import Layout, band_dimension
from eotasks.xarray.lazy import LazyFeature
from eotasks.xarray.notes import TYPE
from eotasks.xarray.packages import is_lazy

if TYPE_CHECKING:
    import xarray

IS_DATA: Feature = (FeatureType.MASK, "IS_DATA")
_IS_DATA_TIMELESS: Feature = (FeatureType.MASK_TIMELESS, "IS_DATA")


@dataclass(frozen=True)
class FeaturesOfBands:
    """What comes of bands."""

    features: Mapping[Feature, Any]
    names: Mapping[str, list[str]]
    """Of the bands, by the name of the feature."""

    variables: set[Hashable]
    """Those of the dataset that are done with."""


def bands_of(
    dataset: xarray.Dataset,
    target: Feature,
    *,
    bands: Bands | None,
    scale: float | None,
    offset: Any,
    items: Iterable[Any] | None,
) -> Iterator[FeaturesOfBands]:
    """The features of the bands of a dataset: of variables with the names of bands, else of each one that has several.

    Variables that `to_xarray` made are left alone.

    :param target: The feature of the bands; variables that have several keep their own name beside others.
    """
    numbers: dict[str, Any] = {"scale": scale, "offset": offset, "items": None if items is None else list(items)}
    free = {name: each for name, each in dataset.data_vars.items() if TYPE not in each.attrs}
    if isinstance(bands, Mapping) and all(label in free for label in bands.values()):
        single = list(bands.values())
    else:
        single = [
            name
            for name, each in free.items()
            if each.ndim in (2, 3) and each.dtype.kind in "iuf" and band_of(label_of(name, each.attrs))
        ]
    if single:
        part = dataset[single]
        chosen = bands if isinstance(bands, Mapping) else None
        wanted = bands_in(part, chosen)
        labels = _names_of_variables(part, wanted, chosen)
        yield _features(part, target, wanted, labels, {"bands": chosen, **numbers}, set(single))
        return
    stacked = [name for name, each in free.items() if _has_bands(each, bands)]
    for name in stacked:
        own = target if len(stacked) == 1 else (target[0], str(name))
        array = free[name]
        wanted = bands_in(array, bands)
        dimension = band_dimension(array)
        if dimension is not None and array.sizes[dimension] != len(wanted):
            raise FeatureError(
                f"Variable {name!r} has bands and others along {dimension!r}: select the bands, .sel({dimension}=...),"
                " and make a variable of the others."
            )
        found = [str(each) for each in array.coords[dimension].values.tolist()] if dimension in array.coords else []
        labels = found if any(band_of(each) for each in found) else list(wanted)
        yield _features(array, own, wanted, labels, {"bands": bands, **numbers}, {name})


def labels_of(variable: xarray.DataArray, ground: Ground) -> list[str] | None:
    """Texts along the dimension of an image beside time, y and x; None where there are none."""
    dims = [dim for dim in variable.dims if dim not in ("time", ground.rows, ground.columns)]
    if len(dims) != 1 or ground.rows not in variable.dims or dims[0] not in variable.coords:
        return None
    labels = variable.coords[dims[0]].values.tolist()
    return list(labels) if labels and all(isinstance(each, str) for each in labels) else None


def _names_of_variables(part: xarray.Dataset, wanted: tuple[str, ...], bands: Bands | None) -> list[str]:
    """The names that the data has for its bands."""
    if isinstance(bands, Mapping):
        return [str(bands[band]) for band in wanted]
    found: dict[str, tuple[int, str]] = {}
    for name, each in part.data_vars.items():
        meant = band_of(label_of(name, each.attrs))
        if meant is not None and (meant[0] not in found or meant[1] < found[meant[0]][0]):
            found[meant[0]] = meant[1], str(name) if band_of(name) else meant[0]
    return [found[band][1] for band in wanted]


def _has_bands(each: xarray.DataArray, bands: Bands | None) -> bool:
    dimension = band_dimension(each)
    if dimension is None or each.ndim not in (3, 4) or each.dtype.kind not in "iuf":
        return False
    labels = each.coords[dimension].values.tolist() if dimension in each.coords else []
    if any(isinstance(label, str) and band_of(label) for label in labels) or bands is not None:
        return True
    return each.dtype.kind in "iu" and each.dtype.itemsize > 1 and each.sizes[dimension] in (10, 13)


def _features(
    data: xarray.Dataset | xarray.DataArray,
    target: Feature,
    wanted: tuple[str, ...],
    labels: list[str],
    options: dict[str, Any],
    variables: set[Hashable],
) -> FeaturesOfBands:
    stack = band_stack(data, wanted, **options)
    reader = Reader.of(stack, wanted)
    columns = tuple(stack.names.index(band) for band in wanted)
    dtype = reader.dtype_of(np.result_type(*stack.arrays))
    values = map_frames(_Values(columns), stack, reader, is_data=None, dtype=dtype, channels=len(wanted))
    seen = map_frames(_Seen(), stack, reader, is_data=None, dtype=np.bool_, channels=1)
    timeless = _is_timeless(stack.layout)
    kind = FeatureType.DATA_TIMELESS if timeless else FeatureType.DATA
    mask = _IS_DATA_TIMELESS if timeless else IS_DATA
    features = {(kind, target[1]): _held(values, timeless), mask: _held(seen, timeless)}
    return FeaturesOfBands(features, {target[1]: labels}, variables)


def _is_timeless(layout: Layout) -> bool:
    return layout.time is None and "time" not in layout.like.coords


def _held(array: Any, timeless: bool) -> Any:
    part = array[0] if timeless else array
    return LazyFeature(part) if is_lazy(part) else np.ascontiguousarray(part)


@dataclass(frozen=True)
class _Values:
    """Bands of a block, 0 or NaN where there is no data."""

    columns: tuple[int, ...]

    def __call__(self, _: NDArray[np.intp], bands: NDArray[Any], valid: NDArray[np.bool_] | None) -> NDArray[Any]:
        in_order = self.columns == tuple(range(bands.shape[-1]))
        values = bands.copy() if in_order else np.ascontiguousarray(bands[..., self.columns])
        if valid is not None:
            values[~valid] = np.nan if values.dtype.kind == "f" else 0
        return values


@dataclass(frozen=True)
class _Seen:
    """Pixels with data of a block."""

    def __call__(self, _: NDArray[np.intp], bands: NDArray[Any], valid: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        return np.ones((*bands.shape[:3], 1), dtype=bool) if valid is None else valid[..., np.newaxis]
