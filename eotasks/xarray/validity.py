"""Usable pixels of xarray's bands and masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError, FeatureError
from eotasks.models.clouds.presets import check_choice
from eotasks.models.clouds.surface import SURFACE_BANDS, surface_masks
from eotasks.models.clouds.validity import Treatment
from eotasks.models.clouds.validity import valid_data as valid_pixels
from eotasks.models.sentinel2 import CLOUD_BANDS
from eotasks.xarray.bands.stack import Bands, band_stack, bands_in
from eotasks.xarray.beside import array_on, is_data_of
from eotasks.xarray.chunks.blocks import Reader, map_frames
from eotasks.xarray.chunks.overlap import map_with_neighbours
from eotasks.xarray.chunks.verdict import judged
from eotasks.xarray.layout import layout_of
from eotasks.xarray.packages import xarray_package

if TYPE_CHECKING:
    import xarray

ATTRIBUTES: dict[str, Any] = {"long_name": "valid data"}


def valid_data(
    data: xarray.Dataset | xarray.DataArray | None = None,
    cloud_masks: Sequence[xarray.DataArray] | xarray.DataArray = (),
    *,
    is_data: xarray.DataArray | None = None,
    snow: Treatment = "ignore",
    water: Treatment = "ignore",
    max_snow_swir: float | None = None,
    bands: Bands | None = None,
    scale: float | None = None,
    offset: float | Sequence[float] | xarray.DataArray | None = None,
    items: Iterable[Any] | None = None,
    check_bands: bool = True,
) -> xarray.DataArray:
    """Pixels with data that no mask calls cloud, with an eye to snow and water, as ``AddValidDataMaskTask`` tells them.

    Lazy where one of the inputs is dask's.

    :param data: Bands, as ``cloud_probability`` takes them, L1C or L2A: which pixels have data is told from all of the
        cloud model's that are there. None where ``is_data`` or the cloud masks say it.
    :param cloud_masks: Masks of what is not to be used, cloud and shadow: boolean, or 0 clear, 1 cloud, 255 no data.
    :param is_data: Boolean mask of the pixels with data, in place of what the bands tell.
    :param snow: "ignore" (no difference), "exclude" (never valid), or "keep" (valid though a mask calls it cloud);
        the latter two need B03, B08 and B11; with B04 surf and muddy water are no snow, without it they can be.
    :param water: The same for clear open water.
    :param max_snow_swir: Highest B11 reflectance of snow; None for no limit.
    :param bands: This and ``scale``, ``offset`` and ``items`` as ``cloud_probability`` takes them.
    :param check_bands: Whether frames are refused that are not what they are called, by all their chunks, where snow or
        water is looked for: another scale; with the cloud model's ten bands also an offset or another order.
    :return: boolean with the dimensions, coordinates, CRS and attributes of the data, or of the first mask.
    :raises ConfigurationError: nothing is given that says where there is data, or an unknown treatment.
    :raises FeatureError: masks that are none.
    :raises GridError: masks on other grids.
    :raises EOTasksError: and those of ``cloud_probability``.
    """
    xarray_package()
    masks: list[Any] = [cloud_masks] if hasattr(cloud_masks, "dims") else list(cloud_masks)
    check_choice(snow, Treatment, "snow")
    check_choice(water, Treatment, "water")
    surfaces = {snow, water} != {"ignore"}
    if data is None and surfaces:
        raise ConfigurationError(
            f"snow={snow!r}, water={water!r} need the bands {', '.join(SURFACE_BANDS)}: give data."
        )
    if data is None and is_data is None and not masks:
        raise ConfigurationError("neither data nor is_data nor cloud_masks are given: give one of them at least.")
    if data is not None:
        wanted = _wanted(data, bands, surfaces=surfaces)
        stack = band_stack(data, wanted, bands=bands, scale=scale, offset=offset, items=items)
        layout = stack.layout
        work = _Seen(stack.names, layout.where, tuple(layout.frame_names()), surfaces, max_snow_swir)
        # one array of bits: data, snow, water
        reader, present = Reader.of(stack, wanted), is_data_of(is_data, layout)
        seen = map_frames(work, stack, reader, is_data=present, dtype=np.uint8)
        if surfaces and check_bands:
            seen = judged(seen, stack, reader, is_data=present, cirrus=set(CLOUD_BANDS) <= set(wanted))
    else:
        first = is_data if is_data is not None else masks[0]
        layout = layout_of(first, first.attrs, "the mask" if first.name is None else str(first.name))
        present = is_data_of(is_data, layout)
        seen = present
        if seen is None and all(mask.dtype == bool for mask in masks):
            raise FeatureError(
                f"{layout.where}: boolean masks cannot say where there is no data. Give is_data, or a cloud mask of 0,"
                " 1 and 255."
            )
    arrays = [array_on(mask, layout, f"cloud_masks[{index}]") for index, mask in enumerate(masks)]
    combine = _Valid(snow, water, layout.where, seen is not None)
    inputs = (*(() if seen is None else (seen,)), *arrays)
    return layout.result(map_with_neighbours(combine, inputs, (0, 0), np.bool_), "IS_VALID", ATTRIBUTES)


def _wanted(data: xarray.Dataset | xarray.DataArray, bands: Bands | None, *, surfaces: bool) -> tuple[str, ...]:
    """The bands to look at: all of the cloud model's that are there, and those of the surfaces."""
    there = bands_in(data, bands)
    wanted = [band for band in there if band in CLOUD_BANDS or (surfaces and band in SURFACE_BANDS)]
    missing = [band for band in SURFACE_BANDS if surfaces and band not in there]
    return (*(wanted or there), *missing)  # what is missing is refused where the bands are found


@dataclass(frozen=True)
class _Seen:
    """Bits of a block: 1 data, 2 snow, 4 water."""

    names: tuple[str, ...]
    where: str
    frame_names: tuple[str, ...]
    surfaces: bool
    max_snow_swir: float | None

    def __call__(
        self, frames: NDArray[np.intp], bands: NDArray[Any], valid: NDArray[np.bool_] | None, *_: NDArray[Any]
    ) -> NDArray[np.uint8]:
        seen = np.ones(bands.shape[:3], dtype=np.uint8) if valid is None else valid.astype(np.uint8)
        if not self.surfaces:
            return seen
        for index, frame in enumerate(frames):
            where = f"{self.where}, {self.frame_names[frame]}"
            snow, water = surface_masks(
                bands[index],
                seen[index] == 1,
                self.names,
                max_snow_swir=self.max_snow_swir,
                check_bands=False,  # a block alone tells too little: see eotasks.xarray.chunks.verdict
                where=where,
            )
            seen[index] |= snow.astype(np.uint8) << 1 | water.astype(np.uint8) << 2
        return seen


@dataclass(frozen=True)
class _Valid:
    """Validity of a block."""

    snow: Treatment
    water: Treatment
    where: str
    told: bool

    def __call__(self, *blocks: NDArray[Any]) -> NDArray[np.bool_]:
        if self.told:
            bits, masks = blocks[0].astype(np.uint8), blocks[1:]
        else:
            telling = next(each for each in blocks if each.dtype != bool)
            bits, masks = (telling != 255).astype(np.uint8), blocks
        return valid_pixels(
            (bits & 1) != 0,
            masks,
            snow=(bits & 2) != 0,
            water=(bits & 4) != 0,
            snow_treatment=self.snow,
            water_treatment=self.water,
            where=self.where,
        )
