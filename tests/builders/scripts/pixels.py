"""Pixels for evalscripts, without files."""

from __future__ import annotations

import datetime as dt

import numpy as np

from eotasks.service.evalscript.planes import Pixels, Plane, SceneInfo, SourcePixels, TileInfo

_FIRST = dt.datetime(2020, 5, 17, 10, 0, 31, tzinfo=dt.UTC).replace(tzinfo=None)


def script_pixels(height: int, width: int, *, bands: tuple[str, ...] = ("B04",), scenes: int = 1) -> Pixels:
    """One source; each scene a day later; values 0..9999 that differ from pixel to pixel, as reflectances / 1e4."""
    infos = tuple(
        SceneInfo(time, time, (TileInfo(time, f"S2A_{number}", 5.0),))
        for number, time in enumerate(_FIRST + dt.timedelta(day) for day in range(scenes))
    )
    planes = []
    for number, band in enumerate(bands):
        values = np.arange(scenes * height * width).reshape(scenes, height, width) * (2 * number + 1) % 10_000
        planes.append(Plane(band, values.astype(np.float32)))
    return Pixels(height, width, (SourcePixels(infos, tuple(planes)),))
