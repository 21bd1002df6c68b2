"""Images of one place at several times, as statistics take them: what pixels show, and numbers of each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import FeatureError
from eotasks.models.clouds.mask_classes import SNOW, THIN_CLOUD
from eotasks.models.clouds.postprocess import CLEAR, CLOUD, NO_DATA
from eotasks.models.zonal import PixelState, PolygonPixels, frame_statistics


@dataclass(frozen=True)
class ZonalFrame:
    """An image at a time."""

    time: dt.datetime
    """UTC, naive."""

    values: NDArray[Any]
    """(h, w, quantities), any number."""

    states: NDArray[np.uint8]
    """(h, w) of ``PixelState``."""


@dataclass(frozen=True)
class ZonalBlock:
    """Statistics of polygons at some times."""

    times: tuple[dt.datetime, ...]
    """(t) UTC, naive."""

    values: NDArray[np.float64]
    """(polygons, t, quantities, 2, 6 + percentiles), as of `eotasks.models.zonal.FrameStatistics`."""

    parts: NDArray[np.float64]
    """(polygons, t, 4): sums of the parts of the pixels of each ``PixelState``."""


def pixel_states(
    is_data: NDArray[Any] | None, cloud_mask: NDArray[Any] | None, shadow: NDArray[Any] | None, shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    """What pixels show: no data before cloud, cloud before shadow.

    :param is_data: Boolean, or None where all pixels have data.
    :param cloud_mask: CLM: 0 clear, 1 cloud, 3 snow (clear), 4 thin cloud (cloud), 255 no data; 2 is shadow. Or
        boolean. None for no clouds.
    :param shadow: 0 none, 1 shadow, 255 no data; or boolean. None for no shadows.
    :param shape: Of all of them, and of the result.
    :raises FeatureError: when a mask has another shape or other values.
    """
    states = np.full(shape, PixelState.CLEAR, dtype=np.uint8)
    for name, mask, known in (
        ("IS_DATA", is_data, (0, 1)),
        ("SHADOW", shadow, (0, 1, NO_DATA)),
        ("CLM", cloud_mask, (CLEAR, CLOUD, 2, SNOW, THIN_CLOUD, NO_DATA)),
    ):
        if mask is None:
            continue
        if mask.shape != shape:
            raise FeatureError(
                f"{name} has the shape {mask.shape}, the bands have {shape}: give masks of these pixels."
            )
        if mask.dtype != bool and not np.isin(mask, known).all():
            odd = sorted(set(np.unique(mask).tolist()) - set(known))[:5]
            raise FeatureError(
                f"{name} holds {', '.join(map(str, odd))}; it may hold {', '.join(map(str, known))}, or be boolean."
            )
    if shadow is not None:
        states[shadow == 1] = PixelState.SHADOW
    if cloud_mask is not None:
        states[cloud_mask == 2] = PixelState.SHADOW
        states[(cloud_mask == CLOUD) | (cloud_mask == THIN_CLOUD)] = PixelState.CLOUD
    for mask, value in ((shadow, NO_DATA), (cloud_mask, NO_DATA), (is_data, 0)):
        if mask is not None:
            states[mask == value] = PixelState.NO_DATA
    return states


def blocks_of(
    frames: Iterable[ZonalFrame],
    polygons: PolygonPixels,
    *,
    percentiles: Sequence[float],
    most: int,
    beyond: NDArray[np.float64] | None = None,
) -> Iterator[ZonalBlock]:
    """Statistics of frames, some times together: what is in memory does not grow with their number.

    :param beyond: (polygons) pixels that lie outside of the frames: they have no data. None: there are none.
    :param most: Rows of polygon and time in a block, at most; one time has all polygons.
    """
    together = max(1, most // max(1, len(polygons)))
    times: list[dt.datetime] = []
    values: list[NDArray[np.float64]] = []
    parts: list[NDArray[np.float64]] = []
    for frame in frames:
        found = frame_statistics(frame.values, frame.states, polygons, percentiles=percentiles)
        times.append(frame.time)
        values.append(found.values)
        parts.append(found.parts if beyond is None else with_beyond(found.parts, beyond))
        if len(times) == together:
            yield ZonalBlock(tuple(times), np.stack(values, axis=1), np.stack(parts, axis=1))
            times, values, parts = [], [], []
    if times:
        yield ZonalBlock(tuple(times), np.stack(values, axis=1), np.stack(parts, axis=1))


def with_beyond(parts: NDArray[np.float64], beyond: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Sums of parts (n, 4), and among those without data what lies outside of the images.

    :param beyond: (n) or one number, in pixels.
    """
    result = parts.copy()
    result[:, PixelState.NO_DATA] += beyond
    return result
