"""Which way, and how far, a shadow lies from its cloud in the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import FeatureError, GridError

NADIR = (0.0, 0.0)
"""View angles of a sensor straight above."""


def shadow_shift(
    sun: NDArray[np.floating] | tuple[float, float],
    view: NDArray[np.floating] | tuple[float, float] = NADIR,
    *,
    pixel_size: tuple[float, float],
    where: str = "the angles",
) -> NDArray[np.float64]:
    """Rows (down) and columns (right) from a cloud in the image to its shadow, per metre of cloud height.

    Over flat ground: the sun at zenith angle z throws the shadow of a cloud at height h to a distance of h tan z, away
    from the sun. A sensor that looks from the side sees the cloud itself displaced by h tan(view zenith), away from the
    sensor. Both azimuths point from the ground towards the sun or the sensor, as in the metadata of Sentinel-2, so the
    two displacements have opposite signs in either axis.

    :param sun: (..., 2) zenith and azimuth in degrees, azimuth clockwise from the grid's north.
    :param view: The same of the sensor.
    :param pixel_size: Metres (y, x) of a pixel.
    :return: float64 (..., 2), NaN where an angle is NaN.
    :raises FeatureError: arrays without two angles, or a zenith outside of 0 to below 90.
    :raises GridError: a pixel size that is none.
    """
    if not all(size > 0 for size in pixel_size):
        raise GridError(f"{where}: a pixel of {pixel_size} metres is none: give (y, x) above 0.")
    (sun_east, sun_north), (view_east, view_north) = (
        _displacement(angles, f"{where}, {name}") for angles, name in ((sun, "sun"), (view, "view"))
    )
    rows = (sun_north - view_north) / pixel_size[0]
    columns = (view_east - sun_east) / pixel_size[1]
    return np.stack(np.broadcast_arrays(rows, columns), axis=-1)


def mean_shift(shift: NDArray[np.float64], *, where: str = "the angles") -> NDArray[np.float64]:
    """The mean (2,) of a shift, or of a grid of them where it is known. Vectors are averaged, never angles.

    :raises FeatureError: when it is not known anywhere.
    """
    known = shift.reshape(-1, 2)
    known = known[np.isfinite(known).all(axis=1)]
    if not len(known):
        raise FeatureError(f"{where}: there are none but NaN. Fill the grid, or give the angles as two numbers.")
    return np.asarray(known.mean(axis=0))


def object_shifts(
    shift: NDArray[np.float64], labels: NDArray[np.int32], count: int, *, where: str = "the angles"
) -> NDArray[np.float64]:
    """The shift of every object: the mean over its pixels, or over the frame where a grid does not cover the object.

    :param shift: (2,), or (h, w, 2).
    :param labels: (h, w), 0 for none, 1..count.
    :return: float64 (count, 2).
    :raises FeatureError: when the angles are not known anywhere.
    """
    everywhere = mean_shift(shift, where=where)
    if shift.ndim == 1:
        return np.broadcast_to(everywhere, (count, 2)).copy()
    known = np.isfinite(shift).all(axis=-1) & (labels > 0)
    owners = labels[known]
    pixels = np.bincount(owners, minlength=count + 1)[1:]
    sums = [np.bincount(owners, weights=shift[known][:, axis], minlength=count + 1)[1:] for axis in (0, 1)]
    means = np.stack(sums, axis=1) / np.maximum(pixels, 1)[:, None]
    return np.where(pixels[:, None] > 0, means, everywhere)


def _displacement(
    angles: NDArray[np.floating] | tuple[float, float], where: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(east, north) towards the sun or the sensor, metres on the ground per metre of height."""
    values = np.asarray(angles, dtype=np.float64)
    if values.ndim < 1 or values.shape[-1] != 2:
        raise FeatureError(f"{where}: shape {values.shape} where (..., 2) is due: zenith and azimuth in degrees.")
    zenith, azimuth = values[..., 0], values[..., 1]
    outside = ~np.isnan(zenith) & ~((zenith >= 0) & (zenith < 90))
    if outside.any():
        raise FeatureError(
            f"{where}: zenith {zenith[outside].flat[0]:g} where 0 to below 90 degrees is due: zenith comes first, then"
            " azimuth; with the sun below the horizon there is no shadow."
        )
    reach = np.tan(np.radians(zenith))
    return reach * np.sin(np.radians(azimuth)), reach * np.cos(np.radians(azimuth))
