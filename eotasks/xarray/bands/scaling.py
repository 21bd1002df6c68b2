"""What the numbers of a band mean: reflectance = number * scale + offset, as the data says or the caller.

In this order: what the caller gives; the attributes ``scale_factor`` and ``add_offset`` of the variable (rioxarray,
netCDF, Zarr); STAC items (odc-stac loads numbers as they are stored, as floats too where an item does not say their
type; stackstac makes reflectance of floats); what stackstac notes beside the times of integers (``raster:bands``,
``earthsearch:boa_offset_applied``, ``s2:processing_baseline``); else the dtype: floats are reflectance, integers are
reflectance * 10000 without an offset. What contradicts itself is refused, and so are numbers that were scaled before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError, FeatureError, ReflectanceError
from eotasks.imagery.products.offsets import carries_offset
from eotasks.models.checks import check_number
from eotasks.models.sentinel2 import BASELINE_OFFSET, QUANTIFICATION
from eotasks.xarray.layout import Layout

if TYPE_CHECKING:
    import xarray

_WHOLE = 1e-6
"""How far from a whole number an offset in digital numbers may be, by rounding of what it is stated in."""

_NO_DATA_ATTRIBUTES = ("_FillValue", "missing_value", "nodata")
_SCALES = (1e-6, 1.0)
"""Of integers: the finest in use is 1/10000, and a scale above 1 is none."""

Numbers = float | NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Scaling:
    """What the numbers of one band mean."""

    scale: float
    """Reflectance of a unit."""

    offset: NDArray[np.float64]
    """(t,) reflectance that is added."""

    integer: bool
    """The dtype is one of integers."""

    stated: bool
    """A scale was stated, and not told by the dtype."""

    no_data: float | None
    """The value that stands for none, None where there is none but 0 and NaN."""

    @property
    def digital_offset(self) -> NDArray[np.int64] | None:
        """(t,) of integers that are reflectance * 10000 but for an offset: whole digital numbers to add; else None."""
        if not self.integer or abs(self.scale * QUANTIFICATION - 1) > _WHOLE:
            return None
        numbers = self.offset * QUANTIFICATION
        whole = np.rint(numbers)
        return whole.astype(np.int64) if bool(np.all(np.abs(numbers - whole) < 1e-3)) else None

    @property
    def zero_is_no_data(self) -> NDArray[np.bool_]:
        """(t,) frames of products with an offset, where 0 in a band is no data of that band."""
        return np.asarray((self.offset != 0) & self.integer)


def scaling_of(
    band: str,
    values: xarray.DataArray,
    layout: Layout,
    *,
    attributes: Mapping[Any, Any],
    scale: float | None,
    offset: float | xarray.DataArray | Sequence[float] | None,
    items: Mapping[str, tuple[float, NDArray[np.float64]]] | None,
) -> Scaling:
    """What the numbers of a band mean.

    :param values: The band.
    :param attributes: Of the variable, or of this band.
    :param scale: What the caller says, in place of all others.
    :param offset: The same, of all frames or of each.
    :param items: Scale and offsets (t,) by band, of STAC items.
    :raises ReflectanceError: a dtype that says nothing by itself.
    :raises FeatureError: attributes that are no numbers, or that contradict the STAC items.
    """
    where, frames = f"{layout.where}, {band}", layout.shape[0]
    integer = values.dtype.kind in "iu"
    if values.dtype.kind not in "iuf":
        raise ReflectanceError(f"{where}: dtype {values.dtype} is neither reflectance (float) nor DN (integer).")
    no_data = _no_data(attributes, where)
    said = _of_attributes(attributes, where)
    of_items = None if items is None else items.get(band)
    if integer or "spec" not in attributes:  # floats of stackstac are reflectance, those of odc-stac are as stored
        elsewhere = _of_coordinates(values, layout) if of_items is None and integer else of_items
        if said is not None and elsewhere is not None and scale is None and offset is None:
            _agree(said, elsewhere, where)
        said = elsewhere if said is None else said
    stated = said is not None or scale is not None
    if values.dtype.itemsize == 1 and not stated:
        raise ReflectanceError(
            f"{where}: dtype {values.dtype} is too coarse for digital numbers of reflectance * {QUANTIFICATION}: give"
            " the scale they were made with, such as scale=1/255."
        )
    factor, shift = said if said is not None else (1 / QUANTIFICATION if integer else 1.0, np.zeros(frames))
    if scale is not None:
        factor = check_number(scale, "scale", "reflectance of a unit", lowest=1e-9, highest=1e4)
    if offset is not None:
        shift = _given_offset(offset, layout)
    return Scaling(factor, np.broadcast_to(np.asarray(shift, np.float64), (frames,)), integer, stated, no_data)


def _agree(attributes: tuple[float, Numbers], items: tuple[float, Numbers], where: str) -> None:
    one, other = (np.asarray(offset, np.float64) for _, offset in (attributes, items))
    if abs(attributes[0] / items[0] - 1) > _WHOLE or np.abs(one - other).max(initial=0) > _WHOLE:
        raise FeatureError(
            f"{where}: the attributes say scale {attributes[0]:g} and offset {one.flat[0]:g}, the STAC items"
            f" {items[0]:g} and {', '.join(f'{each:g}' for each in np.unique(other))}: give scale= and offset= as they"
            " are."
        )


def _given_offset(offset: Any, layout: Layout) -> NDArray[np.float64]:
    values = np.asarray(getattr(offset, "values", offset), dtype=np.float64)
    if values.shape not in ((), (1,), (layout.shape[0],)) or not np.isfinite(values).all():
        raise ConfigurationError(
            f"offset has shape {values.shape} where one number or {layout.shape[0]} (one a frame) are due."
        )
    if np.abs(values).max(initial=0) > 1:
        raise ConfigurationError(
            f"offset={values.flat[0]:g} shifts reflectance by more than 1: give it as reflectance, -0.1 for the -1000"
            " of processing baseline 04.00 and later."
        )
    return np.broadcast_to(values, (layout.shape[0],))


def _of_attributes(attributes: Mapping[Any, Any], where: str) -> tuple[float, Numbers] | None:
    scale, offset = (attributes.get(name) for name in ("scale_factor", "add_offset"))
    if scale is None and offset is None:
        return None
    factor = 1.0 if scale is None else _number(scale, f"{where}: scale_factor")
    shift = 0.0 if offset is None else _number(offset, f"{where}: add_offset")
    if (factor, shift) == (1.0, 0.0):  # what GDAL says of rasters that say nothing
        return None
    if factor <= 0 or abs(shift) > 1:
        raise FeatureError(
            f"{where}: scale_factor {factor:g} and add_offset {shift:g} make no reflectance: give scale= and offset="
            " as they are, or drop the attributes."
        )
    return factor, shift


def _of_coordinates(values: xarray.DataArray, layout: Layout) -> tuple[float, NDArray[np.float64]] | None:
    """What stackstac keeps of items and assets, as coordinates of the times."""
    frames = layout.shape[0]
    removed = _beside_times("earthsearch:boa_offset_applied", values, layout)
    rasters = _beside_times("raster:bands", values, layout)
    baselines = _beside_times("s2:processing_baseline", values, layout)
    scale, offsets, known = 1 / QUANTIFICATION, np.zeros(frames), False
    for frame in range(frames):
        if removed is not None and removed[frame] is True:
            known = True
        elif rasters is not None and (said := _of_raster(rasters[frame])) is not None:
            scale, offsets[frame] = said
            known = True
        elif baselines is not None and _is_baseline(baselines[frame]):
            offsets[frame] = -BASELINE_OFFSET / QUANTIFICATION if carries_offset(str(baselines[frame])) else 0.0
            known = True
    return (scale, offsets) if known else None


def _beside_times(name: str, values: xarray.DataArray, layout: Layout) -> list[Any] | None:
    coordinate = values.coords.get(name)
    if coordinate is None or any(dim != layout.time for dim in coordinate.dims):
        return None
    entries = coordinate.values
    return [entries.item()] * layout.shape[0] if entries.ndim == 0 else list(entries.tolist())


def _of_raster(entry: Any) -> tuple[float, float] | None:
    if isinstance(entry, list | tuple) and entry:
        entry = entry[0]
    if not isinstance(entry, Mapping) or entry.get("scale") is None:
        return None
    scale, offset = entry["scale"], entry.get("offset") or 0.0
    try:
        factor, shift = float(scale), float(offset)
    except (TypeError, ValueError):
        return None
    return (factor, shift) if _SCALES[0] <= factor < _SCALES[1] and abs(shift) <= 1 else None


def _is_baseline(text: Any) -> bool:
    major, dot, minor = str(text).partition(".")
    return bool(dot) and major.isdigit() and minor.isdigit()


def _no_data(attributes: Mapping[Any, Any], where: str) -> float | None:
    for name in _NO_DATA_ATTRIBUTES:
        if attributes.get(name) is not None:
            value = _number(attributes[name], f"{where}: {name}", finite=False)
            return None if value == 0 or np.isnan(value) else value
    return None


def _number(value: Any, what: str, *, finite: bool = True) -> float:
    try:
        number = float(np.asarray(value).item())
    except (TypeError, ValueError) as error:
        raise FeatureError(f"{what} is {value!r:.60}, no number: mend or drop the attribute.") from error
    if finite and not np.isfinite(number):
        raise FeatureError(f"{what} is {number}, no number: mend or drop the attribute.")
    return number


def of_band(attributes: Mapping[Any, Any], position: int, count: int) -> dict[Any, Any]:
    """Attributes of one band of an array of several: rioxarray lists the scales and offsets of bands that differ."""
    own = dict(attributes)
    for listed, single in (("scales", "scale_factor"), ("offsets", "add_offset")):
        values = attributes.get(listed)
        if isinstance(values, Sequence) and not isinstance(values, str) and len(values) == count:
            own[single] = values[position]
    for name in ("scale_factor", "add_offset", *_NO_DATA_ATTRIBUTES):
        value = own.get(name)
        if isinstance(value, tuple | list | np.ndarray) and len(value) == count and count > 1:
            own[name] = value[position]
    return own
