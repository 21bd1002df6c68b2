"""Cloud shadows by projection: the dark ground within reach of a cloud, away from the sun."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from eotasks.models.checks import check_number
from eotasks.models.clouds.shadows.geometric import Reason
from eotasks.models.clouds.shadows.light import Light

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ProjectionMethod:
    """Shadow is dark ground within a fixed distance of a cloud, away from the sun.

    Method and defaults: Google Earth Engine community tutorial "Sentinel-2 Cloud Masking with s2cloudless" (2020). It
    needs no height of the clouds and knows none: whatever is dark within the distance is shadow, and the shadow of a
    high cloud under a low sun lies beyond it.
    """

    distance: float = 1000
    """Metres on the ground within which shadow is looked for."""

    dark_nir: float = 0.15
    """B08 reflectance below which ground is dark."""

    erosion: float = 40
    """Metres by which cloud and shadow together shrink, so that specks vanish (2 pixels of 20 m in the tutorial)."""

    dilation: float = 100
    """Metres by which they grow after that (5 pixels of 20 m)."""

    def __post_init__(self) -> None:
        check_number(self.distance, "distance", "distance in metres", lowest=0, highest=1e5)
        check_number(self.dark_nir, "dark_nir", "reflectance", lowest=0, highest=1)
        for name in ("erosion", "dilation"):
            check_number(getattr(self, name), name, "radius in metres", lowest=0, highest=1e4)


def projected_shadow(
    light: Light,
    cloud: Mask,
    shift: NDArray[np.float64],
    *,
    pixel_size: tuple[float, float],
    method: ProjectionMethod,
) -> Mask:
    """Shadow of one frame by projection.

    Other than in the tutorial, the direction is followed pixel by pixel (there on a grid of 100 m), "not water" is
    judged from the spectrum, and the result is the shadow alone: clouds take part in shrinking and growing, and are
    taken out after it.

    :param cloud: (h, w) boolean.
    :param shift: (2,) rows and columns to a shadow, per metre of height.
    :param pixel_size: Metres (y, x).
    :return: (h, w) boolean, False on clouds and where there is no data.
    """
    dark = (light.nir < method.dark_nir) & ~light.black
    return dark_in_reach(dark, light.valid, cloud, shift, pixel_size=pixel_size, method=method)


def dark_in_reach(
    dark: Mask,
    valid: Mask,
    cloud: Mask,
    shift: NDArray[np.float64],
    *,
    pixel_size: tuple[float, float],
    method: ProjectionMethod,
) -> Mask:
    """The same where it is known which pixels are dark and no water, and which have data; (h, w) each."""
    dark = dark & valid & ~cloud
    shadow = dark & _swept(cloud, _reach(shift, method.distance, pixel_size))
    # a gap takes part as shadow does, as the world beyond the image: it must not eat what lies beside it
    kept = _filtered(cv2.erode, cloud | shadow | ~valid, method.erosion, pixel_size) & shadow
    grown = _filtered(cv2.dilate, kept, method.dilation, pixel_size)
    return np.asarray(grown & ~cloud & valid)


def untold(*, clouds: bool, moves: bool, ground: bool) -> Reason | None:
    """Why the projection can tell no shadow of a frame.

    :param clouds: Whether it has any, on valid data.
    :param moves: Whether shadows lie elsewhere than their clouds.
    :param ground: Whether there is ground beside the clouds that is no water.
    """
    if not clouds:
        return None
    if not moves:
        return "sun"
    return None if ground else "ground"


def rows_in_reach(shift: NDArray[np.float64], *, pixel_size: tuple[float, float], method: ProjectionMethod) -> int:
    """Rows about a pixel that decide on it."""
    rows, _ = _reach(shift, method.distance, pixel_size)
    return math.ceil(abs(rows)) + math.ceil((method.erosion + method.dilation) / pixel_size[0]) + 2


def _reach(shift: NDArray[np.float64], distance: float, pixel_size: tuple[float, float]) -> tuple[float, float]:
    """(rows, columns) of the farthest shadow."""
    length = math.hypot(shift[0] * pixel_size[0], shift[1] * pixel_size[1])
    if length == 0:
        return 0.0, 0.0
    return float(shift[0] * distance / length), float(shift[1] * distance / length)


def _swept(mask: Mask, reach: tuple[float, float]) -> Mask:
    """The mask and all that it passes on its way by (rows, columns)."""
    steps = np.linspace(0, 1, 2 * math.ceil(max(map(abs, reach))) + 1)
    rows, columns = (np.rint(steps * way).astype(int) for way in reach)
    kernel = np.zeros((np.ptp(rows) + 1, np.ptp(columns) + 1), dtype=np.uint8)
    # a pixel is reached from where the cloud was before, hence the signs
    kernel[rows.max() - rows, columns.max() - columns] = 1
    anchor = (int(columns.max()), int(rows.max()))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel, anchor=anchor), dtype=bool)


def _filtered(operation: Callable[..., Any], mask: Mask, radius: float, pixel_size: tuple[float, float]) -> Mask:
    """Erosion or dilation by a disk in metres; what lies outside of the image takes no part."""
    rows, columns = (int(radius / size + 1e-6) for size in pixel_size)
    y, x = np.ogrid[-rows : rows + 1, -columns : columns + 1]
    disk = np.hypot(y * pixel_size[0], x * pixel_size[1]) <= radius + 1e-6
    return np.asarray(operation(mask.astype(np.uint8), disk.astype(np.uint8)), dtype=bool)
