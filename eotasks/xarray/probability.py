"""Cloud probability of xarray's bands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eotasks.models.clouds.pixel import cloud_probability as pixel_probability
from eotasks.models.sentinel2 import CLOUD_BANDS
from eotasks.models.threads import resolve_threads
from eotasks.xarray.bands.stack import Bands, BandStack, band_stack
from eotasks.xarray.beside import is_data_of
from eotasks.xarray.chunks.blocks import Reader, map_frames
from eotasks.xarray.chunks.verdict import judged
from eotasks.xarray.packages import xarray_package

if TYPE_CHECKING:
    import xarray

ATTRIBUTES = {"long_name": "cloud probability", "units": "1", "valid_range": [0.0, 1.0]}


def cloud_probability(
    data: xarray.Dataset | xarray.DataArray,
    *,
    bands: Bands | None = None,
    scale: float | None = None,
    offset: float | Sequence[float] | xarray.DataArray | None = None,
    items: Iterable[Any] | None = None,
    is_data: xarray.DataArray | None = None,
    check_bands: bool = True,
    threads: int | None = None,
) -> xarray.DataArray:
    """Cloud probability of L1C bands: the single-scene model of s2cloudless 1.7.3, equal to its numbers.

    Lazy where the bands are dask's: nothing is read, and each chunk gives a chunk. Other variables and bands than the
    model's ten are left alone.

    :param data: A Dataset with a variable for each band, or a DataArray with a dimension of bands; beside it y, x and,
        or not, time, in any order. Bands are known by their codes or common names (``eotasks.xarray.bands.names``), an
        array without names by the number of its bands (13 of L1C, or the ten of the model).
    :param bands: Names that the data has for the bands, ``{"B02": "my_blue", ...}``; or, for a DataArray, the bands in
        their order.
    :param scale: Reflectance of a unit, in place of what the data says (``eotasks.xarray.bands.scaling``): floats are
        reflectance (1.0 = 100 %) and integers reflectance * 10000, unless attributes, STAC items or this say otherwise.
    :param offset: Reflectance that is added after that, of all frames or of each (t,): -0.1 for digital numbers of
        processing baseline 04.00 and later as they are in the products.
    :param items: The STAC items that the data was loaded from, which say both for each date.
    :param is_data: Boolean DataArray (time, y, x) of the pixels with data. None: all but those of 0 in every band, NaN
        or the stated value of no data in one, and, where there is an offset, 0 in one.
    :param check_bands: Whether frames are refused that are of another scale, carry an offset, had it removed twice, or
        have their bands in another order (``eotasks.models.clouds.plausibility``). All chunks of a frame take part in
        that, so that a part of a lazy result needs the bands of whole frames: crop the data, not the result, or leave
        the check out.
    :param threads: Threads of the engine for each chunk. None: one where the data is dask's, which has threads of its
        own, else the setting. The values do not depend on it.
    :return: float32 with the data's dimensions, coordinates, CRS and attributes; NaN where there is no data.
    :raises BandError: bands that the model needs are not there; L2A has no B10.
    :raises FeatureError: dimensions that are none of images, statements that contradict each other.
    :raises ReflectanceError: values that are no reflectance; where data is dask's, when it is computed.
    :raises GridError: a mask on another grid.
    :raises ConfigurationError: an argument that is not usable.
    :raises ImageryError: STAC items that do not say the offset of their numbers.
    :raises MissingDependencyError: without xarray, rioxarray or the cloud model.
    """
    xarray_package()
    stack = band_stack(data, CLOUD_BANDS, bands=bands, scale=scale, offset=offset, items=items)
    mask = is_data_of(is_data, stack.layout)
    probability = probability_of(stack, is_data=mask, threads=threads)
    if check_bands:
        probability = judged(probability, stack, Reader.of(stack, CLOUD_BANDS), is_data=mask)
    return stack.layout.result(probability, "CLP", ATTRIBUTES)


def probability_of(stack: BandStack, *, is_data: Any | None, threads: int | None) -> Any:
    """float32 (t, h, w), NaN where there is no data; the bands of frames are not judged here."""
    engines = 1 if threads is None and stack.lazy else threads
    if engines is not None:
        resolve_threads(engines)
    work = _Probability(stack.names, stack.layout.where, tuple(stack.layout.frame_names()), engines)
    return map_frames(work, stack, Reader.of(stack, CLOUD_BANDS), is_data=is_data, dtype=np.float32)


@dataclass(frozen=True)
class _Probability:
    """Probability of a block."""

    names: tuple[str, ...]
    where: str
    frame_names: tuple[str, ...]
    threads: int | None

    def __call__(
        self, frames: NDArray[np.intp], bands: NDArray[Any], valid: NDArray[np.bool_] | None
    ) -> NDArray[np.float32]:
        result = np.empty(bands.shape[:3], dtype=np.float32)
        for index, frame in enumerate(bands):
            seen = None if valid is None else valid[index]
            result[index] = pixel_probability(
                frame,
                valid=seen,
                bands=self.names,
                threads=self.threads,
                check_bands=False,  # a block alone tells too little: see eotasks.xarray.chunks.verdict
                where=f"{self.where}, {self.frame_names[frames[index]]}",
            )
            if seen is not None:
                result[index][~seen] = np.nan
        return result
