"""Cloud masks of xarray's bands or probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError, FeatureError
from eotasks.models.clouds.postprocess import mask_of
from eotasks.models.clouds.presets import FROM_PRESET, FromPreset, MaskSettings, Preset, Smoothing, Unit, mask_settings
from eotasks.models.scales import ProbabilityScale, check_scale
from eotasks.models.scales import probability_scale as scale_of
from eotasks.models.sentinel2 import CLOUD_BANDS
from eotasks.xarray.bands.stack import Bands, band_stack, is_single
from eotasks.xarray.beside import is_data_of, mask_on
from eotasks.xarray.chunks.blocks import Reader
from eotasks.xarray.chunks.overlap import Reach, map_with_neighbours
from eotasks.xarray.chunks.percent import percent_noticed
from eotasks.xarray.chunks.verdict import judged
from eotasks.xarray.grid import pixel_size_of
from eotasks.xarray.layout import Layout, layout_of
from eotasks.xarray.packages import xarray_package
from eotasks.xarray.probability import probability_of

if TYPE_CHECKING:
    import xarray

ATTRIBUTES: dict[str, Any] = {
    "long_name": "cloud mask",
    "flag_values": [0, 1, 255],
    "flag_meanings": "clear cloud no_data",
    "nodata": 255,
}


def cloud_mask(
    data: xarray.Dataset | xarray.DataArray,
    *,
    bands: Bands | None = None,
    scale: float | None = None,
    offset: float | Sequence[float] | xarray.DataArray | None = None,
    items: Iterable[Any] | None = None,
    is_data: xarray.DataArray | None = None,
    probability_scale: ProbabilityScale | None = None,
    snow: xarray.DataArray | None = None,
    check_bands: bool | None = None,
    threads: int | None = None,
    preset: Preset = "eo-learn",
    threshold: float | FromPreset = FROM_PRESET,
    smoothing: Smoothing | FromPreset = FROM_PRESET,
    average_over: float | FromPreset | None = FROM_PRESET,
    sigma: float | FromPreset | None = FROM_PRESET,
    erosion_size: float | FromPreset | None = FROM_PRESET,
    dilation_size: float | FromPreset | None = FROM_PRESET,
    unit: Unit = "pixel",
) -> xarray.DataArray:
    """Cloud mask of L1C bands, or of a cloud probability: smooth, threshold, erode, dilate.

    The steps and presets are those of ``AddCloudMaskTask``. Lazy where the data is dask's: chunks get as many of their
    neighbours' pixels as the steps reach, and the mask is that of whole frames in every pixel. Chunks that are smaller
    than that, and 64 columns, are put together.

    :param data: Bands, as ``cloud_probability`` takes them; or its result, float 0..1 with NaN for no data (uint8
        0..255 with ``is_data``).
    :param bands: With bands: this and ``scale``, ``offset``, ``items``, ``check_bands`` (None is True) and ``threads``
        as ``cloud_probability`` takes them.
    :param is_data: Boolean DataArray (time, y, x) of the pixels with data, or None as in ``cloud_probability``.
    :param probability_scale: "0..1", "percent" or "0..255" of a cloud probability; None for what the dtype says.
    :param snow: Boolean DataArray of pixels that are snow, which have no say in the mask and come out clear.
    :param preset: "s2cloudless", "eo-learn", "sentinel-hub" or "gee": where settings that are not given come from.
    :param threshold: Smoothed probability strictly above which a pixel is cloud, 0..1.
    :param smoothing: "disk" or "gaussian".
    :param average_over: Radius of the averaging disk; None or 0 for none.
    :param sigma: Standard deviation of the Gaussian.
    :param erosion_size: Radius of the disk by which cloud shrinks; None or 0 for none.
    :param dilation_size: Radius of the disk by which cloud grows; None or 0 for none.
    :param unit: "pixel" or "metre", of radii and sigma; metres need coordinates and a CRS in metres.
    :return: uint8 with the data's dimensions, coordinates, CRS and attributes: 0 clear, 1 cloud, 255 no data.
    :raises ConfigurationError: an argument that is not usable, or is about bands where a probability is given.
    :raises FeatureError: no probability, or no mask.
    :raises EOTasksError: and those of ``cloud_probability``.
    :warns ScaleWarning: as ``AddCloudMaskTask``, once, however many chunks there are; for dask when it is computed.
    """
    xarray_package()
    settings = mask_settings(
        preset,
        threshold=threshold,
        smoothing=smoothing,
        average_over=average_over,
        sigma=sigma,
        erosion_size=erosion_size,
        dilation_size=dilation_size,
        unit=unit,
    )
    if is_single(data):
        given = {
            "bands": bands, "scale": scale, "offset": offset, "items": items, "check_bands": check_bands,
            "threads": threads,
        }  # fmt: skip
        unused = [name for name, value in given.items() if value is not None]
        if unused:
            raise ConfigurationError(
                f"{', '.join(unused)}: of use with bands, and a cloud probability is given, whose scale is"
                " probability_scale."
            )
        check_scale(probability_scale, ProbabilityScale, "probability_scale")
        return _of_probability(data, settings, is_data, snow, probability_scale)
    if probability_scale is not None:
        raise ConfigurationError("probability_scale: of use with a cloud probability, and bands are given.")
    stack = band_stack(data, CLOUD_BANDS, bands=bands, scale=scale, offset=offset, items=items)
    layout = stack.layout
    present = is_data_of(is_data, layout)
    probability = probability_of(stack, is_data=present, threads=threads)
    mask = _mask(probability, settings, layout, None, mask_on(snow, layout, "snow"))
    if check_bands is not False:
        mask = judged(mask, stack, Reader.of(stack, CLOUD_BANDS), is_data=present)
    return layout.result(mask, "CLM", ATTRIBUTES)


def _of_probability(
    data: xarray.DataArray,
    settings: MaskSettings,
    is_data: xarray.DataArray | None,
    snow: xarray.DataArray | None,
    scale: ProbabilityScale | None,
) -> xarray.DataArray:
    layout = layout_of(data, data.attrs, "the cloud probability" if data.name is None else str(data.name))
    present = is_data_of(is_data, layout)
    if data.dtype.kind != "f" and present is None:
        raise FeatureError(
            f"{layout.where}: {data.dtype} says 0 where there is no data as well as where it is clear: give is_data, or"
            " a probability of type float32."
        )
    snowy = mask_on(snow, layout, "snow")
    probability = layout.array(data)
    known = scale_of(probability.dtype, scale, where=layout.where)
    mask = _mask(probability, settings, layout, present, snowy, known)
    return layout.result(percent_noticed(mask, probability, present, scale, layout.where), "CLM", ATTRIBUTES)


def _mask(
    probability: Any,
    settings: MaskSettings,
    layout: Layout,
    is_data: Any | None,
    snow: Any | None,
    scale: ProbabilityScale | None = None,
) -> Any:
    """uint8 (t, h, w) of a probability (t, h, w), dask's or NumPy's."""
    size = None if settings.unit == "pixel" else pixel_size_of(layout, wanted_for="radius")
    others = [each for each in (is_data, snow) if each is not None]
    work = _Mask(settings, size, layout.where, is_data is not None, snow is not None, scale)
    return map_with_neighbours(work, (probability, *others), _reach(settings, size), np.uint8)


def _reach(settings: MaskSettings, size: tuple[float, float] | None) -> Reach:
    """Rows and columns from which a pixel takes part in the mask of another."""
    y, x = (size or (1.0, 1.0)) if settings.unit == "metre" else (1.0, 1.0)
    radii = (settings.average_over, settings.erosion_size, settings.dilation_size)
    # a Gaussian ends at four deviations, rounded to whole pixels
    gaussian = settings.sigma or 0.0
    rows, columns = (
        sum(int((radius or 0) / step + 0.5) for radius in radii)
        + (math.ceil(4 * gaussian / step) + 1 if gaussian else 0)
        for step in (y, x)
    )
    return rows, columns


@dataclass(frozen=True)
class _Mask:
    """The mask of a block."""

    settings: MaskSettings
    pixel_size: tuple[float, float] | None
    where: str
    with_data: bool
    with_snow: bool
    scale: ProbabilityScale | None

    def __call__(self, probability: NDArray[Any], *others: NDArray[np.bool_]) -> NDArray[np.uint8]:
        return mask_of(
            probability,
            self.settings,
            pixel_size=self.pixel_size,
            valid=others[0] if self.with_data else None,
            snow=others[-1] if self.with_snow else None,
            scale=self.scale,
            where=self.where,
        )
