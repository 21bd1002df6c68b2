"""How an area is cut into requests, and what they cost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise

from sentinelhub.geometry import BBox

from eotasks.errors import GridError
from eotasks.models.sentinel2 import CLOUD_BANDS as MODEL_BANDS
from eotasks.sources.bbox import grid_of_bbox
from eotasks.sources.sentinelhub.clouds import coarse_area

MAX_PIXELS = 2500
"""Rows or columns that the Process API returns at most."""

MAX_PARTS = 400
"""Requests that one acquisition is cut into at most: 50 000 pixels a side."""

CLOUD_BANDS = ("CLM", "CLP")

_SHORTEST = dt.timedelta(seconds=1)
_MOMENT = dt.timedelta(milliseconds=1)
"""Times of acquisitions are not finer."""


@dataclass(frozen=True)
class Part:
    """A part of an area that one request returns."""

    rows: slice
    columns: slice
    bbox: BBox

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels, as the service has it."""
        return self.columns.stop - self.columns.start, self.rows.stop - self.rows.start


@dataclass(frozen=True)
class RequestPlan:
    """What a download will cost."""

    requests: int
    """Requests: one an acquisition and part of the area, and one of the catalogue."""

    bytes: int
    """Uncompressed size of the answers: an upper bound of what is transferred."""

    processing_units: float
    """What the service charges."""


def split(bbox: BBox, shape: tuple[int, int]) -> list[Part]:
    """An area in parts that a request may have: about equal, of whole pixels, from north to south and west to east.

    :param shape: (rows, columns) of the whole area.
    :raises GridError: when these would be more than `MAX_PARTS`.
    """
    height, width = shape
    rows, columns = _edges(height), _edges(width)
    if (len(rows) - 1) * (len(columns) - 1) > MAX_PARTS:
        raise GridError(
            f"Bounding box {tuple(bbox)}: {height} x {width} pixels are more than {MAX_PARTS} requests of {MAX_PIXELS}"
            " a side. Use smaller patches or a coarser resolution."
        )
    left, bottom, right, top = bbox
    across, down = (right - left) / width, (top - bottom) / height
    return [
        Part(
            slice(first, last),
            slice(start, stop),
            BBox((left + start * across, top - last * down, left + stop * across, top - first * down), bbox.crs),
        )
        for first, last in pairwise(rows)
        for start, stop in pairwise(columns)
    ]


def _edges(pixels: int) -> list[int]:
    parts = -(-pixels // MAX_PIXELS)
    return [index * pixels // parts for index in range(parts + 1)]


def windows(dates: Sequence[dt.datetime], difference: dt.timedelta) -> list[tuple[dt.datetime, dt.datetime]]:
    """The interval of each frame: from its date on, as long as acquisitions count as one, and before the next date.

    No two of different dates share a moment, so that no acquisition is in two frames, and none is before its frame's
    date. (eo-learn asks for the difference on both sides of a date: its issue 503.)

    :param dates: Times of the frames, UTC, in any order.
    :param difference: Acquisitions no further than this from the first of them make one frame; a second at least, to
        which catalogues round.
    """
    later = dict(pairwise(sorted(set(dates))))
    found = []
    for date in dates:
        end = date + max(difference, _SHORTEST)
        if date in later:
            end = min(end, max(later[date] - _MOMENT, date))
        found.append((date, end))
    return found


def request_plan(
    bbox: BBox,
    resolution: float,
    bands: Sequence[str],
    frames: int,
    *,
    clouds: bool = False,
    own_clouds: bool = True,
    months: int = 12,
) -> RequestPlan:
    """What the download of one bounding box will cost.

    Processing units by the rules of the Copernicus Data Space documentation, page "Processing Unit definition": area
    over 512 x 512 pixels (at least 0.01), times input bands over 3 (the data mask is free), times 1 for 16 bits; at
    least 0.005 a request. The search in the catalogue costs 0.01 a month (boxes up to 10 000 km2), at most 1.

    :param bbox: In a projected CRS.
    :param resolution: Metres.
    :param bands: Names of the bands.
    :param frames: Number of acquisitions expected.
    :param clouds: Whether CLM and CLP are wanted too.
    :param own_clouds: Whether the service has them; otherwise ten bands at 160 m are downloaded besides.
    :param months: Length of the time interval.
    :raises GridError: when the box is no whole number of pixels, or too large to be cut into requests.
    """
    served = len(CLOUD_BANDS) if clouds and own_clouds else 0
    shape = grid_of_bbox(bbox, resolution).shape
    frame = _frame_cost(split(bbox, shape), 2 * len(bands) + 1 + served, len(bands) + served)
    if clouds and not own_clouds:
        coarse, coarse_shape = coarse_area(bbox)
        besides = _frame_cost(split(coarse, coarse_shape), 2 * len(MODEL_BANDS) + 1, len(MODEL_BANDS))
        frame = RequestPlan(*(first + second for first, second in zip(astuple(frame), astuple(besides), strict=True)))
    return RequestPlan(
        requests=frames * frame.requests + 1,
        bytes=frames * frame.bytes,
        processing_units=frames * frame.processing_units + min(0.01 * max(months, 1), 1.0),
    )


def _frame_cost(parts: Sequence[Part], pixel_bytes: int, inputs: int) -> RequestPlan:
    """What one acquisition costs."""
    pixels = [part.size[0] * part.size[1] for part in parts]
    units = sum(max(max(count / 512**2, 0.01) * inputs / 3, 0.005) for count in pixels)
    return RequestPlan(len(parts), sum(pixels) * pixel_bytes, units)
