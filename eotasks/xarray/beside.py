"""Masks that are given beside bands or probabilities: on their grid, and boolean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eotasks.errors import FeatureError
from eotasks.xarray.layout import Layout

if TYPE_CHECKING:
    import xarray


def is_data_of(is_data: xarray.DataArray | None, layout: Layout) -> Any | None:
    """The mask of pixels with data (t, h, w), dask's or NumPy's."""
    return mask_on(is_data, layout, "is_data")


def mask_on(mask: xarray.DataArray | None, layout: Layout, name: str) -> Any | None:
    """A boolean mask (t, h, w) on the grid of the data.

    :raises FeatureError: no mask of booleans: 0, 1 and 255 of a cloud mask would be read the wrong way round.
    :raises GridError: another grid.
    """
    if mask is None:
        return None
    if not hasattr(mask, "dims") or getattr(getattr(mask, "dtype", None), "kind", "") != "b":
        raise FeatureError(
            f"{name} is {getattr(mask, 'dtype', type(mask).__name__)} where a boolean DataArray is due: compare it, as"
            " mask == 1."
        )
    return layout.array(layout.beside(mask, name))


def array_on(values: xarray.DataArray, layout: Layout, name: str) -> Any:
    """An array (t, h, w) on the grid of the data.

    :raises FeatureError: no DataArray.
    :raises GridError: another grid.
    """
    if not hasattr(values, "dims") or not hasattr(values, "dtype"):
        raise FeatureError(f"{name} is {type(values).__name__} where a DataArray is due.")
    return layout.array(layout.beside(values, name))
