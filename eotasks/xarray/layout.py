"""The dimensions of bands and masks, and what of their coordinates and attributes a result keeps."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import FeatureError, GridError

if TYPE_CHECKING:
    import xarray

_TIMES = ("time", "t")
_ROWS = ("y", "latitude", "lat")
_COLUMNS = ("x", "longitude", "lon")
_STANDARD_ROWS = ("projection_y_coordinate", "latitude", "grid_latitude")
_STANDARD_COLUMNS = ("projection_x_coordinate", "longitude", "grid_longitude")
"""Names of the CF conventions, of the coordinates and not of the dimensions."""

_OF_VALUES = frozenset({
    "scale_factor", "add_offset", "_FillValue", "missing_value", "nodata", "_Unsigned", "valid_range", "valid_min",
    "valid_max", "actual_range", "units", "long_name", "standard_name", "description", "common_name", "title",
    "flag_values", "flag_masks", "flag_meanings", "cell_methods", "ancillary_variables", "scales", "offsets",
    "feature_type", "feature_name", "coordinates",
})  # fmt: skip
"""Attributes that are about the values of a band, and not true of what is made of them."""


@dataclass(frozen=True)
class Layout:
    """The frames of an array: where its dimensions are, and what goes with them."""

    like: xarray.DataArray
    """One band of the data, never looked at but for its coordinates."""

    time: Hashable | None
    rows: Hashable
    columns: Hashable
    attributes: Mapping[Any, Any]
    """Of the result."""

    where: str
    """What the data is, for messages."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(frames, height, width)."""
        frames = 1 if self.time is None else self.like.sizes[self.time]
        return frames, self.like.sizes[self.rows], self.like.sizes[self.columns]

    @property
    def dims(self) -> tuple[Hashable, ...]:
        """The dimensions of a frame in the order of arrays here."""
        return (*(() if self.time is None else (self.time,)), self.rows, self.columns)

    def array(self, values: xarray.DataArray, *last: Hashable) -> Any:
        """The array (t, h, w, ...) of values on this grid, dask's or NumPy's, without a copy."""
        array = values.transpose(*self.dims, *last).data
        return array if self.time is not None else array[np.newaxis]

    def times(self) -> NDArray[np.datetime64] | None:
        """Dates (t,) in UTC, None where there are none."""
        coordinate = None if self.time is None else self.like.coords.get(self.time)
        if coordinate is None:
            dates = [each for each in self.like.coords.values() if each.ndim == 0 and each.dtype.kind == "M"]
            coordinate = dates[0] if self.time is None and len(dates) == 1 else None
        if coordinate is None or coordinate.dtype.kind != "M":
            return None
        return np.atleast_1d(coordinate.values).astype("datetime64[ns]")

    def frame_names(self) -> list[str]:
        """What messages call the frames: their times, or their numbers."""
        times = self.times()
        if times is None:
            return [f"frame {index}" for index in range(self.shape[0])]
        return [f"{np.datetime_as_string(time, unit='m')}" for time in times]

    def result(self, array: Any, name: str, attributes: Mapping[str, Any]) -> xarray.DataArray:
        """A DataArray of an array (t, h, w), with the dimensions in the order of the data."""
        import xarray

        values = array if self.time is not None else array[0]
        made = xarray.DataArray(
            values, coords=self.like.coords, dims=self.dims, name=name, attrs={**self.attributes, **attributes}
        ).transpose(*self.like.dims)
        grid_mapping = self.like.encoding.get("grid_mapping")
        if grid_mapping is not None and "grid_mapping" not in made.attrs:
            made.encoding["grid_mapping"] = grid_mapping
        return made

    def beside(self, other: xarray.DataArray, what: str) -> xarray.DataArray:
        """Another array on this very grid: the same sizes and, where both have them, the same coordinates.

        :raises FeatureError: other dimensions.
        :raises GridError: another grid or other times.
        """
        if set(other.dims) != set(self.dims):
            raise FeatureError(
                f"{what} has the dimensions {names_of(other.dims)}, {self.where} {names_of(self.dims)}: give it those."
            )
        for dim in self.dims:
            own, theirs = self.like.coords.get(dim), other.coords.get(dim)
            same = self.like.sizes[dim] == other.sizes[dim]
            if same and own is not None and theirs is not None:
                same = bool(np.array_equal(own.values, theirs.values))
            if not same:
                raise GridError(
                    f"{what} has other {dim!r} than {self.where} ({other.sizes[dim]} and {self.like.sizes[dim]} of"
                    " them): bring both to one grid and one time axis."
                )
        return other


def layout_of(
    like: xarray.DataArray, attributes: Mapping[Any, Any], where: str, others: Mapping[Hashable, Any] | None = None
) -> Layout:
    """The layout of one band, or of a mask.

    :param like: Dimensions time (or none), y, x as `rows_and_columns_of` knows them, in any order.
    :param attributes: Of what it is part of; those about values are left out of results.
    :param others: Variables beside it in a dataset, among which the one with its CRS may be.
    :raises FeatureError: other dimensions.
    """
    time = time_of(like)
    rows, columns = rows_and_columns_of(like)
    if rows is None or columns is None or len(like.dims) != 2 + (time is not None):
        raise FeatureError(
            f"{where} has the dimensions {names_of(like.dims)} where y, x and at most time and band are due: rename"
            " them, give the coordinates of rows and columns the attributes axis='Y' and axis='X', or select what is to"
            " be worked on."
        )
    kept = {key: value for key, value in attributes.items() if key not in _OF_VALUES}
    mapping = like.attrs.get("grid_mapping", like.encoding.get("grid_mapping"))
    if mapping is not None:
        if "grid_mapping" in like.attrs:
            kept["grid_mapping"] = mapping
        if others is not None and mapping in others and mapping not in like.coords:
            like = like.assign_coords({mapping: others[mapping].reset_coords(drop=True)})
    return Layout(like, time, rows, columns, kept, where)


def time_of(data: xarray.DataArray | xarray.Dataset) -> Hashable | None:
    """The dimension of time: that of dates, or the one that is called so."""
    dated = [dim for dim in data.dims if dim in data.coords and data.coords[dim].dtype.kind == "M"]
    return dated[0] if len(dated) == 1 else next((dim for dim in data.dims if str(dim).lower() in _TIMES), None)


def rows_and_columns_of(data: xarray.DataArray | xarray.Dataset) -> tuple[Hashable | None, Hashable | None]:
    """The dimensions of rows and columns: by their names (y, latitude, lat; in capitals too), else by what the
    attributes of their coordinates say in the terms of the CF conventions (``axis``, ``standard_name``).

    :return: None for what nothing, or more than one dimension, says.
    """
    time = time_of(data)
    rows = _one_of(data, _ROWS, "Y", _STANDARD_ROWS, time)
    columns = _one_of(data, _COLUMNS, "X", _STANDARD_COLUMNS, time)
    return rows, None if columns == rows else columns


def _one_of(
    data: xarray.DataArray | xarray.Dataset,
    names: tuple[str, ...],
    axis: str,
    standard_names: tuple[str, ...],
    time: Hashable | None,
) -> Hashable | None:
    named = [dim for dim in data.dims if str(dim).lower() in names]
    if named:
        return named[0]
    said = {dim: data.coords[dim].attrs for dim in data.dims if dim in data.coords and dim != time}
    for key, values in (("axis", (axis,)), ("standard_name", standard_names)):
        found = [dim for dim, attributes in said.items() if attributes.get(key) in values]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def band_dimension(data: xarray.DataArray) -> Hashable | None:
    """The one dimension beside time, y and x; None where there is none or more than one."""
    known = {time_of(data), *rows_and_columns_of(data)}
    rest = [dim for dim in data.dims if dim not in known]
    return rest[0] if len(rest) == 1 else None


def names_of(dims: tuple[Hashable, ...]) -> str:
    """Dimensions as messages list them."""
    return ", ".join(map(str, dims)) or "none"
