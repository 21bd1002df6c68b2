"""Cloud probability of one frame, at its own or at a coarser resolution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import GridError
from eotasks.models.clouds.pixel import cloud_band_indices, cloud_probability
from eotasks.models.clouds.plausibility import refuse_implausible
from eotasks.models.clouds.resampling import Sampling, Upsampling, cell_factor, from_resolution, to_resolution
from eotasks.models.scales import ReflectanceScale, as_reflectance, is_said_by_dtype


def frame_probability(
    bands: NDArray[np.generic],
    valid: NDArray[np.bool_] | None = None,
    *,
    names: Sequence[str] | None = None,
    pixel_size: tuple[float, float] | None = None,
    resolution: float | None = None,
    sampling: Sampling = "mean",
    upsampling: Upsampling = "bilinear",
    scale: ReflectanceScale | None = None,
    check_bands: bool = True,
    threads: int | None = None,
    where: str = "the bands",
) -> NDArray[np.float32]:
    """Cloud probability of the pixels of one frame.

    With a resolution the bands are brought to cells of that size, the probability is computed there and brought back:
    at 160 m on 10 m pixels that is 256 times less work, and misses small clouds.

    :param bands: Array (h, w, bands): float reflectance, integer DN, or of the named scale.
    :param valid: Boolean array (h, w), or None when every pixel is valid.
    :param names: Names of the bands, or None to tell by count (10 or 13).
    :param pixel_size: (y, x) metres, needed with a resolution.
    :param resolution: Metres of a cell, or None for the pixels themselves.
    :param sampling: How bands come to the cells, "mean" or "nearest".
    :param upsampling: How probability comes back, "bilinear" or "nearest".
    :param scale: What the numbers are (``eotasks.models.scales``), None for what the dtype says.
    :param check_bands: Whether another scale, a baseline offset and another order of the bands are refused
        (``eotasks.models.clouds.plausibility``); False for callers that have looked at the whole series.
    :return: float32 (h, w), 0..1, 0 where not valid.
    :raises EOTasksError: BandError, ReflectanceError, GridError or MissingDependencyError of the steps.
    """
    if resolution is not None and pixel_size is None:
        raise GridError(f"{where}: a resolution in metres needs the size of a pixel: give pixel_size.")
    factor = (1.0, 1.0)
    if resolution is not None and pixel_size is not None:
        factor = (
            cell_factor(pixel_size[0], resolution, where=where),
            cell_factor(pixel_size[1], resolution, where=where),
        )
    if resolution is None or pixel_size is None or factor == (1.0, 1.0):
        return cloud_probability(
            bands, valid=valid, bands=names, scale=scale, check_bands=check_bands, threads=threads, where=where
        )
    indices = cloud_band_indices(bands.shape[-1], names, where=where)
    if check_bands:
        seen = None if valid is None else valid[np.newaxis]
        refuse_implausible(bands[np.newaxis], seen, bands=names, scale=scale, frame_names=[where], where=where)
    chosen = bands if indices == list(range(bands.shape[-1])) else bands[..., indices]
    if not is_said_by_dtype(chosen.dtype, scale):
        inside = None if valid is None else valid[..., np.newaxis]
        chosen = as_reflectance(chosen, inside, scale=scale, where=where)
    cells, cells_valid = to_resolution(
        chosen, valid, pixel_size=pixel_size, resolution=resolution, sampling=sampling, where=where
    )
    coarse = cloud_probability(cells, valid=cells_valid, check_bands=False, threads=threads, where=where)
    shape = (bands.shape[0], bands.shape[1])
    fine = from_resolution(coarse, shape, factor=factor, valid=cells_valid, method=upsampling)
    return fine if valid is None else np.where(valid, fine, np.float32(0))
