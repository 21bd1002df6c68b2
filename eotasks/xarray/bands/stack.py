"""The bands of a Dataset or DataArray, found by their names and ready to be read block by block."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from eotasks.errors import BandError, FeatureError, ReflectanceError
from eotasks.models.band_sets import band_names
from eotasks.models.clouds.pixel import cloud_band_indices
from eotasks.models.sentinel2 import CLOUD_BANDS, band_indices
from eotasks.xarray.bands.items import numbers_of_items
from eotasks.xarray.bands.names import band_of, bands_among, label_of, listed, named_bands
from eotasks.xarray.bands.scaling import Scaling, of_band, scaling_of
from eotasks.xarray.layout import Layout, band_dimension, layout_of
from eotasks.xarray.packages import is_lazy

if TYPE_CHECKING:
    import xarray

Bands = Mapping[str, Hashable] | Sequence[str]
"""Names that the data has for bands, by band; or, for an array that has no names, the bands in their order."""

_ALSO_BANDS = ("common_name", "name", "title")
"""Coordinates beside those of the band dimension that may name bands."""


@dataclass(frozen=True)
class BandStack:
    """Bands of one grid."""

    layout: Layout
    names: tuple[str, ...]
    """Of the bands of the arrays, in order."""

    arrays: tuple[Any, ...]
    """One (t, h, w) a band; or a single one (t, h, w, bands)."""

    scalings: tuple[Scaling, ...]
    """Of each band."""

    @property
    def lazy(self) -> bool:
        """Whether it is an array of dask."""
        return any(map(is_lazy, self.arrays))


@dataclass(frozen=True)
class _Found:
    """Bands by their names, before anything is chosen of them."""

    layout: Layout
    variables: Mapping[str, xarray.DataArray]
    attributes: Mapping[str, Mapping[Any, Any]]
    whole: tuple[xarray.DataArray, Hashable, tuple[str, ...]] | None
    """The array with all bands, its dimension of bands, and what they are; None where each is a variable."""


def band_stack(
    data: xarray.Dataset | xarray.DataArray,
    wanted: Sequence[str],
    *,
    bands: Bands | None = None,
    scale: float | None = None,
    offset: Any = None,
    items: Iterable[Any] | None = None,
) -> BandStack:
    """The wanted bands of some data.

    :raises BandError: a band is missing, or two could be it.
    :raises FeatureError: no bands at all, dimensions that are none of a time series of images, or attributes that
        contradict each other.
    :raises ReflectanceError: a dtype that is no number.
    :raises ImageryError: STAC items that do not say the offset of their numbers.
    """
    found = _found(data, bands)
    layout = found.layout
    names = tuple(found.variables)
    if set(wanted) == set(CLOUD_BANDS):
        cloud_band_indices(len(names), names, where=layout.where)
    else:
        band_indices(wanted, names, where=layout.where)
    numbers = None if items is None else numbers_of_items(items, layout)
    scalings = {
        band: scaling_of(
            band,
            found.variables[band],
            layout,
            attributes=found.attributes[band],
            scale=scale,
            offset=offset,
            items=numbers,
        )
        for band in wanted
    }
    whole = None if found.whole is None else _whole(found.whole, layout)
    if whole is not None and found.whole is not None:
        order = found.whole[2]
        return BandStack(layout, order, (whole,), tuple(scalings.get(band, scalings[wanted[0]]) for band in order))
    arrays = tuple(layout.array(found.variables[band]) for band in wanted)
    return BandStack(layout, tuple(wanted), _alike(arrays), tuple(scalings[band] for band in wanted))


def bands_in(data: xarray.Dataset | xarray.DataArray, bands: Bands | None = None) -> tuple[str, ...]:
    """The bands that are found in some data: those of an array in its order.

    :raises BandError: none, or two that could be one.
    """
    return tuple(_found(data, bands).variables)


def is_single(data: xarray.Dataset | xarray.DataArray) -> TypeGuard[xarray.DataArray]:
    """Whether data is one image a frame: an array without a dimension beside time, y and x."""
    import xarray

    return isinstance(data, xarray.DataArray) and band_dimension(data) is None


def _whole(whole: tuple[xarray.DataArray, Hashable, tuple[str, ...]], layout: Layout) -> Any:
    """The array (t, h, w, bands) as it is, where no chunk has to be put together for it; else None."""
    data, dimension, _ = whole
    if is_lazy(data.data) and len(data.chunksizes[dimension]) > 1:
        return None
    return layout.array(data, dimension)


def _alike(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    lazy = next((array for array in arrays if is_lazy(array)), None)
    if lazy is None:
        return arrays
    import dask.array

    return tuple(
        each if is_lazy(each) else dask.array.from_array(np.asarray(each), chunks=lazy.chunks) for each in arrays
    )


def _found(data: xarray.Dataset | xarray.DataArray, bands: Bands | None) -> _Found:
    import xarray

    if isinstance(data, xarray.Dataset):
        return _of_dataset(data, bands)
    if isinstance(data, xarray.DataArray):
        return _of_array(data, bands, dict(data.attrs), "the bands" if data.name is None else str(data.name))
    raise FeatureError(f"{type(data).__name__} is neither a Dataset nor a DataArray of xarray: give one of them.")


def _of_dataset(data: xarray.Dataset, bands: Bands | None) -> _Found:
    where = "the dataset"
    images = {name: each for name, each in data.data_vars.items() if each.ndim in (2, 3) and each.dtype.kind in "iufb"}
    labels = list(images)
    if isinstance(bands, Mapping):
        positions = named_bands(bands, labels, where=where)
    else:
        positions = bands_among([label_of(name, images[name].attrs) for name in labels], where=where)
    if not positions:
        stacked = [name for name, each in data.data_vars.items() if _has_bands(each)]
        if len(stacked) == 1:
            return _of_array(data[stacked[0]], bands, {**data.attrs, **data[stacked[0]].attrs}, str(stacked[0]))
        raise BandError(
            f"{where}: no variable has the name of a band, there are {listed(list(data.data_vars))}. Name those of the"
            " bands, bands={'B01': ..., 'B02': ...}."
        )
    if bands is not None and not isinstance(bands, Mapping):
        raise BandError(f"{where}: its bands are variables: name them by bands={{'B01': ..., 'B02': ...}}.")
    variables = {band: images[labels[position]] for band, position in positions.items()}
    first = next(iter(variables.values()))
    for band, each in variables.items():
        if set(each.dims) != set(first.dims):
            raise FeatureError(f"{where}: {band} has other dimensions than the first band. Bring all to one grid.")
    kept = {**data.attrs, **{key: first.attrs[key] for key in ("grid_mapping", "crs") if key in first.attrs}}
    layout = layout_of(first, kept, where, data.data_vars)
    return _Found(layout, variables, {band: each.attrs for band, each in variables.items()}, None)


def _has_bands(each: xarray.DataArray) -> bool:
    if each.dtype.kind not in "iuf" or each.ndim not in (3, 4):
        return False
    dimension = band_dimension(each)
    return dimension is not None and _names_along(each, dimension, None, dict(each.attrs)) is not None


def _of_array(data: xarray.DataArray, bands: Bands | None, attributes: dict[Any, Any], where: str) -> _Found:
    dimension = band_dimension(data)
    if dimension is None:
        raise FeatureError(
            f"{where} has the dimensions {', '.join(map(str, data.dims))}: one of bands is due beside y, x and time."
            " Give a Dataset with a variable for each band, or stack them by .to_array('band')."
        )
    if data.dtype.kind not in "iuf":
        raise ReflectanceError(f"{where}: dtype {data.dtype} is neither reflectance (float) nor DN (integer).")
    count = data.sizes[dimension]
    named = _names_along(data, dimension, bands, attributes)
    if named is None:
        band_names(count, None, where=where)  # says what is known by its number
        named = []
    order = tuple(band or f"#{position}" for position, band in enumerate(named))
    variables = {
        band: data.isel({dimension: position}, drop=True) for position, band in enumerate(named) if band is not None
    }
    positions = {band: position for position, band in enumerate(named) if band is not None}
    layout = layout_of(data.isel({dimension: 0}, drop=True), attributes, where)
    own = {band: of_band(attributes, position, count) for band, position in positions.items()}
    return _Found(layout, variables, own, (data, dimension, order))


def _names_along(
    data: xarray.DataArray, dimension: Hashable, bands: Bands | None, attributes: Mapping[Any, Any]
) -> list[str | None] | None:
    """The band of every position along a dimension, None for what is none; None when nothing tells."""
    count = data.sizes[dimension]
    where = "the bands" if data.name is None else str(data.name)
    labels = list(data.coords[dimension].values.tolist()) if dimension in data.coords else []
    if isinstance(bands, Mapping):
        return _in_order(named_bands(bands, labels, where=where), count)
    if bands is not None:
        return list(band_names(count, bands, where=where))
    described = attributes.get("long_name", attributes.get("descriptions"))
    several: list[list[object]] = [labels]
    several += [
        list(data.coords[name].values.tolist())
        for name in _ALSO_BANDS
        if name in data.coords and data.coords[name].dims == (dimension,)
    ]
    if isinstance(described, Sequence) and not isinstance(described, str) and len(described) == count:
        several.append(list(described))
    for each in several:
        if any(isinstance(label, str) and band_of(label) for label in each):
            return _in_order(bands_among(each, where=where), count)
    known = count in (13, len(CLOUD_BANDS)) and not any(isinstance(label, str) for label in labels)
    return list(band_names(count, None, where=where)) if known else None


def _in_order(positions: Mapping[str, int], count: int) -> list[str | None]:
    order: list[str | None] = [None] * count
    for band, position in positions.items():
        order[position] = band
    return order
