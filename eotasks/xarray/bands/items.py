"""What the STAC items that an array was loaded from say of its frames: the meaning of their numbers, and the sun."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import FeatureError, ImageryError
from eotasks.imagery.files.origin import UNKNOWN, Origin, origin_of
from eotasks.imagery.products.stac import numbers_of_item
from eotasks.times import naive_utc, parse_time
from eotasks.xarray.layout import Layout

_DAY = np.timedelta64(24, "h")
_CLOCKS = np.timedelta64(2, "s")
"""By which the times of a frame and of its item may differ: readers cut or round it."""


SUN_NAMES = (
    ("s2:mean_solar_zenith", "s2:mean_solar_azimuth", False),
    ("view:sun_elevation", "view:sun_azimuth", True),
)
"""Properties of items, and coordinates of stackstac: zenith or elevation, azimuth, and whether it is the elevation."""


@dataclass(frozen=True)
class _Item:
    name: str
    time: np.datetime64
    content: Mapping[str, Any]
    origin: Origin


def numbers_of_items(items: Iterable[Any], layout: Layout) -> dict[str, tuple[float, NDArray[np.float64]]]:
    """Scale, and offset (t,) as reflectance, of every band that all items have.

    A frame has the items whose time is its own (the nearest within two seconds), or follows it before the next frame,
    within a day: what odc-stac puts together carries the first time of its group (of a solar day, say). Items of frames
    that were dropped do no harm.

    :param items: pystac.Item, or items as JSON.
    :raises FeatureError: a frame without an item, or of items that differ in their numbers.
    :raises ImageryError: an item that does not say the offset of its numbers.
    """
    scales: dict[str, set[float]] = {}
    offsets: list[dict[str, float]] = []
    for members in _by_frame(items, layout):
        told = [(item, *numbers_of_item(item.content, item.origin)) for item in members]
        first, shifts, quantification = told[0]
        for item, others, other in told[1:]:
            if others != shifts or other != quantification:
                raise FeatureError(
                    f"{layout.where}: the STAC items {first.name} and {item.name} are of one frame and their numbers"
                    " have different offsets: load each by itself (groupby='id'), or bring them to reflectance first."
                )
        offsets.append({band: shift / quantification for band, shift in shifts.items()})
        for band in shifts:
            scales.setdefault(band, set()).add(1 / quantification)
    shared = [band for band in scales if all(band in each for each in offsets)]
    if any(len(scales[band]) > 1 for band in shared):
        raise FeatureError(f"{layout.where}: the STAC items have different scales. Bring them to reflectance first.")
    return {band: (scales[band].copy().pop(), np.array([each[band] for each in offsets])) for band in shared}


def sun_of_items(items: Iterable[Any], layout: Layout) -> NDArray[np.float64]:
    """Zenith and azimuth (t, 2) in degrees: the mean over the items of a frame, which are neighbours.

    :raises FeatureError: a frame without an item, or an item that does not say where the sun stands.
    """
    angles = np.empty((layout.shape[0], 2))
    for index, members in enumerate(_by_frame(items, layout)):
        angles[index] = _mean_sun([_sun(item, layout.where) for item in members])
    return angles


def _mean_sun(angles: list[tuple[float, float]]) -> tuple[float, float]:
    """Mean of zeniths and, as directions, of azimuths: that of 359 and 1 degrees is 0."""
    if len(set(angles)) == 1:
        return angles[0]
    zeniths, azimuths = np.array(angles).T
    radians = np.radians(azimuths)
    azimuth = np.degrees(np.arctan2(np.sin(radians).mean(), np.cos(radians).mean()))
    return float(zeniths.mean()), float(azimuth % 360)


def _sun(item: _Item, where: str) -> tuple[float, float]:
    properties = item.content.get("properties", {})
    for zenith, azimuth, turn in SUN_NAMES:
        if isinstance(properties.get(zenith), int | float) and isinstance(properties.get(azimuth), int | float):
            height = float(properties[zenith])
            return 90 - height if turn else height, float(properties[azimuth])
    raise FeatureError(
        f"{where}: STAC item {item.name} does not say where the sun stands (view:sun_elevation and view:sun_azimuth):"
        " give sun=(zenith, azimuth)."
    )


def _by_frame(items: Iterable[Any], layout: Layout) -> list[list[_Item]]:
    times = layout.times()
    if times is None:
        raise FeatureError(f"{layout.where} has no times, by which STAC items are told: give offset= and sun= instead.")
    known = sorted((_item(each) for each in items), key=lambda item: item.time)
    order = np.argsort(times, kind="stable")
    ascending = times[order]
    frames: list[list[_Item]] = [[] for _ in times]
    for item in known:
        distances = np.abs(ascending - item.time)
        after = int(np.argmin(distances)) if distances.size else -1
        if after < 0 or distances[after] > _CLOCKS:
            after = int(np.searchsorted(ascending, item.time, side="right")) - 1
        if after < 0 or item.time - ascending[after] > _DAY:
            continue
        for same in np.flatnonzero(times == ascending[after]):  # odc-stac by id: frames of one time
            frames[int(same)].append(item)
    for name, members in zip(layout.frame_names(), frames, strict=True):
        if not members:
            raise FeatureError(
                f"{layout.where}: none of the {len(known)} STAC items is of frame {name}: give those that it was loaded"
                " from."
            )
    return frames


def _item(item: Any) -> _Item:
    if isinstance(item, Mapping):
        content, origin = item, UNKNOWN
    elif hasattr(item, "to_dict") and hasattr(item, "get_self_href"):
        origin, own = origin_of(item), item.get_self_href()
        if origin == UNKNOWN and own:
            origin = Origin.of(own)
        content = item.to_dict(include_self_link=False, transform_hrefs=False)
    else:
        raise FeatureError(f"items holds a {type(item).__name__}: give pystac.Item, or items as JSON.")
    name, properties = str(content.get("id", "item"))[:100], content.get("properties")
    said = properties.get("datetime") or properties.get("start_datetime") if isinstance(properties, Mapping) else None
    try:
        time = parse_time(str(said)) if not isinstance(said, dt.datetime) else naive_utc(said)
    except ValueError as error:
        raise ImageryError(f"STAC item {name}: {str(said)[:40]!r} is no time. Search for it again.") from error
    return _Item(name, np.datetime64(time, "us").astype("datetime64[ns]"), content, origin)
