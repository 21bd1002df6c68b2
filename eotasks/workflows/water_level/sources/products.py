"""Sentinel-2 L1C products as a source: a folder of them or one, a catalogue, or a STAC API."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import geopandas as gpd
from eolearn.core import EOPatch

from eotasks.errors import AreaError, TooFewFramesError
from eotasks.sources.scenes import LoadScenesTask
from eotasks.storage.location import is_s3
from eotasks.workflows.water_level.sources.base import (
    BANDS,
    FINEST,
    IS_DATA,
    LakeSource,
    PixelSource,
    SourceRequest,
    lake_box,
)

MOST_CLOUD = 0.5
"""Share of cloud in a whole product from which it is not read, as the Water Observatory has it."""

_BYTES_OF_PART = 1_000_000_000
_BYTES_OF_PIXEL = 13 * 2
_DAYS_BETWEEN = 2.5


class ProductsSource(LakeSource):
    """Products, read by window, in parts of the time that memory holds."""

    title: ClassVar[str] = "Sentinel-2 products"
    attribution: ClassVar[str] = "Contains modified Copernicus Sentinel data."

    def __init__(self, request: SourceRequest) -> None:
        self._request = request
        self._tasks: dict[float, LoadScenesTask] = {}

    def prepare(self) -> None:
        """Opens the products, or asks the catalogue.

        :raises EOTasksError: they cannot be used.
        """
        self._task(self._request.resolution or FINEST).prepare()

    def _load(self, outline: gpd.GeoDataFrame) -> Iterator[EOPatch]:
        box, size = lake_box(outline, self._request.resolution, self._request.surroundings)
        task = self._task(size)
        pixels = (box.max_x - box.min_x) * (box.max_y - box.min_y) / size**2
        found, missing = 0, None
        for interval in self._parts(pixels):
            try:
                patch = task.execute(bbox=box, time_interval=interval)
            except TooFewFramesError as error:
                missing = error
                continue
            found += 1
            yield patch
        if not found and missing is not None:
            raise missing

    def _task(self, resolution: float) -> LoadScenesTask:
        """One for all lakes of a size of pixels: it opens its products once."""
        if resolution not in self._tasks:
            self._tasks[resolution] = self._new_task(resolution)
        return self._tasks[resolution]

    def _new_task(self, resolution: float) -> LoadScenesTask:
        place = self._request.location
        is_file = re.search(r"\.(json|zip|SAFE)/?(\?|$)", place, re.IGNORECASE)
        searched = place.lower().endswith(".parquet") or (place.startswith(("http://", "https://")) and not is_file)
        return LoadScenesTask(
            BANDS,
            IS_DATA,
            catalogue=place if searched else None,
            scenes=None if searched else [place],
            resolution=resolution,
            dtype="dn",
            maxcc=MOST_CLOUD,
            snap=True,
        )

    def _parts(self, pixels: float) -> Iterator[tuple[dt.date | None, dt.date | None] | None]:
        """Intervals whose frames fit into memory; one for all where an end of the time is open."""
        start, end = self._request.start, self._request.end
        if start is None or end is None:
            yield None if start is None and end is None else (start, end)
            return
        days = max(1, int(_BYTES_OF_PART / (pixels * _BYTES_OF_PIXEL) * _DAYS_BETWEEN))
        first = start
        while first <= end:
            yield first, min(first + dt.timedelta(days=days - 1), end)
            first += dt.timedelta(days=days)


def open_source(request: SourceRequest) -> PixelSource:
    """The source.

    :raises AreaError: nothing is there.
    :raises EOTasksError: what is there is no product, no catalogue, or does not answer.
    """
    place = request.location
    if "://" not in place and not is_s3(place) and not Path(place).exists():
        raise AreaError(
            f"--products {place}: nothing is there. Give a folder of products, one of them, or a catalogue."
        )
    source = ProductsSource(request)
    source.prepare()
    return source
