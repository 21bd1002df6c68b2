"""Where the sun stood over the frames: as the caller says, the data, its STAC items, or place and time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyproj
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError, FeatureError
from eotasks.models.sun import sun_position
from eotasks.xarray.bands.items import SUN_NAMES, sun_of_items
from eotasks.xarray.grid import place_of
from eotasks.xarray.layout import Layout


def angles_of(given: Any, layout: Layout, name: str) -> NDArray[np.float64]:
    """Zenith and azimuth (t, 2) in degrees from what the caller gives: two numbers, or two a frame.

    :raises ConfigurationError: something else.
    """
    values = np.asarray(getattr(given, "values", given), dtype=np.float64)
    frames = layout.shape[0]
    if values.shape not in ((2,), (frames, 2)):
        raise ConfigurationError(
            f"{name} has shape {values.shape} where (2,), or ({frames}, 2) with two a frame, is due: zenith and azimuth"
            " in degrees."
        )
    if (values[..., 0] < 0).any() or (values[..., 0] >= 90).any() or (np.abs(values[..., 1]) > 360).any():
        raise ConfigurationError(
            f"{name} holds a zenith outside of 0 to below 90 degrees, or an azimuth beyond 360: zenith comes first."
        )
    return np.array(np.broadcast_to(values, (frames, 2)))


def sun_of(sun: Any | None, items: Iterable[Any] | None, layout: Layout) -> NDArray[np.float64]:
    """Zenith and azimuth (t, 2) of the sun: given, of the items, beside the times, or computed; in this order.

    :raises ConfigurationError: angles that are none.
    :raises FeatureError: items that do not say it, no times, or the sun below the horizon.
    :raises GridError: data without a place.
    """
    if sun is not None:
        return angles_of(sun, layout, "sun")
    if items is not None:
        return sun_of_items(items, layout)
    beside = _beside_times(layout)
    return _computed(layout) if beside is None else beside


def _beside_times(layout: Layout) -> NDArray[np.float64] | None:
    for first, second, turn in SUN_NAMES:
        pair = [layout.like.coords.get(name) for name in (first, second)]
        if any(each is None or each.dtype.kind not in "if" for each in pair):
            continue
        if any(dim != layout.time for each in pair if each is not None for dim in each.dims):
            continue
        height, azimuth = (
            np.broadcast_to(np.asarray(each.values, np.float64), layout.shape[:1]) for each in pair if each is not None
        )
        return np.stack([90 - height if turn else height, azimuth], axis=-1)
    return None


def _computed(layout: Layout) -> NDArray[np.float64]:
    """By the time of each frame, over the middle of the data; azimuths from the grid's north."""
    times = layout.times()
    if times is None:
        raise FeatureError(f"{layout.where} has no times, so the sun is not known: give sun=(zenith, azimuth).")
    bbox = place_of(layout).bbox
    crs = bbox.crs.pyproj_crs()
    middle = (bbox.min_x + bbox.max_x) / 2, (bbox.min_y + bbox.max_y) / 2
    longitude, latitude = pyproj.Transformer.from_crs(crs, 4326, always_xy=True).transform(*middle)
    turned = pyproj.Proj(crs).get_factors(longitude, latitude).meridian_convergence if crs.is_projected else 0.0
    angles = np.empty((len(times), 2))
    for index, time in enumerate(times):
        moment: dt.datetime = time.astype("datetime64[us]").item()
        if moment.time() == dt.time(0):
            raise FeatureError(
                f"{layout.where}: {moment:%Y-%m-%d} is a date without a time of day, so the sun is not known: give"
                " sun=(zenith, azimuth), one pair or one a frame, or the STAC items."
            )
        zenith, azimuth = sun_position(moment, latitude, longitude)
        if zenith >= 90:
            raise FeatureError(
                f"{layout.where}: the sun is below the horizon at {moment:%Y-%m-%dT%H:%M} UTC: the times are not those"
                " of the acquisitions. Give sun=(zenith, azimuth)."
            )
        angles[index] = zenith, azimuth - turned
    return angles
