"""What a source of pixels is to `eotasks water-level`, and the ground around a lake."""

from __future__ import annotations

import datetime as dt
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from eolearn.core import EOPatch, FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.errors import AreaError, GeometryError
from eotasks.features import Feature
from eotasks.geometry.antimeridian import unrolled
from eotasks.geometry.degrees import to_degrees
from eotasks.geometry.systems import utm_of
from eotasks.models.sentinel2 import BANDS as ALL_BANDS
from eotasks.sources.bbox import snap_bbox
from eotasks.water.outlines import ID
from eotasks.water.task import FRAME_MARGIN

BANDS: Feature = (FeatureType.DATA, "BANDS")
IS_DATA: Feature = (FeatureType.MASK, "IS_DATA")
CLM: Feature = (FeatureType.MASK, "CLM")
SHADOW: Feature = (FeatureType.MASK, "SHADOW")

UTM_SOUTH, UTM_NORTH = -80.0, 84.0
"""Degrees of latitude between which there are zones of UTM, in which Sentinel-2's products come."""

FINEST = 10.0
"""Metres: pixels of B03 and B08."""

SURROUNDINGS = 1000.0
"""Metres around a lake's frame that are read too, for the clouds that throw shadows into it."""

MOST_PIXELS = 5000
"""Of a side of a frame, as the Water Observatory has it: larger lakes are seen in coarser pixels."""


@dataclass(frozen=True)
class SourceRequest:
    """What of the command line is for the source."""

    location: str = ""
    """Of a source that has one: a folder, a file, an address."""

    start: dt.date | None = None
    end: dt.date | None = None
    resolution: float | None = None
    """Metres of a pixel; None for the finest that the size of the lake allows."""

    surroundings: float = SURROUNDINGS
    """Metres around the frame of a lake that are read too; 0 where shadows are not looked for."""

    seed: int = 42
    """Of simulated pixels."""

    bands: tuple[str, ...] | None = None
    """Names of the bands of EOPatches in their order; None for all 13."""


@dataclass(frozen=True, eq=False)
class Job:
    """Outlines whose pixels are loaded together."""

    name: str
    """For messages."""

    outlines: gpd.GeoDataFrame
    load: Callable[[], Iterator[EOPatch]]
    """EOPatches with BANDS, IS_DATA and, where the source has it, CLM: one, or several for parts of the time."""


class PixelSource(ABC):
    """A source: it knows lakes of its own, or takes the user's, and loads the pixels around them."""

    title: ClassVar[str]
    is_simulated: ClassVar[bool] = False
    attribution: ClassVar[str] = ""
    band_names: tuple[str, ...] = ALL_BANDS

    def own_outlines(self) -> gpd.GeoDataFrame | None:
        """Outlines that come with it; None where the user's are needed."""
        return None

    @abstractmethod
    def jobs(self, outlines: gpd.GeoDataFrame) -> Sequence[Job]:
        """What is to be loaded, each outline that is not empty and within reach in at least one of them.

        :raises EOTasksError: the source cannot be used at all.
        """

    def truth(self, eopatch: EOPatch) -> pd.DataFrame | None:  # noqa: ARG002 - those that know it use it
        """True levels of an EOPatch (columns id, TIMESTAMP, true_level, true_state); None where nobody knows them."""
        return None


class LakeSource(PixelSource):
    """A source that loads the pixels around one lake after the other."""

    def jobs(self, outlines: gpd.GeoDataFrame) -> Sequence[Job]:
        return [Job(name_of(each), each, partial(self._load, each)) for each in single(self._reached(outlines))]

    def _reached(self, outlines: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
        """Outlines that it may have pixels of.

        :raises AreaError: there are none.
        """
        return outlines

    @abstractmethod
    def _load(self, outline: gpd.GeoDataFrame) -> Iterator[EOPatch]:
        """EOPatches around an outline (one row), as `Job.load`."""


def on_scene(outlines: gpd.GeoDataFrame, ground: BBox, title: str) -> gpd.GeoDataFrame:
    """Outlines that lie on the ground of a scene, at least in part.

    :raises AreaError: none does.
    """
    scene = gpd.GeoSeries([shapely.box(*ground)], crs=ground.crs.pyproj_crs())
    if len(outlines) and not shapely.area(outlines.geometry.to_numpy()).any():
        raise AreaError(f"None of the {len(outlines)} outlines has an area: give polygons, not points or lines.")
    found = outlines[outlines.to_crs(scene.crs).intersects(scene.iloc[0]).to_numpy()]
    if len(outlines) and not len(found):
        raise AreaError(
            f"None of the {len(outlines)} outlines lies on {title}, which is between {_degrees(scene)}; they are"
            f" between {_degrees(outlines.geometry)}. Check the place and the coordinate system."
        )
    return found


def _degrees(shapes: gpd.GeoSeries) -> str:
    west, south, east, north = shapes.to_crs("EPSG:4326").total_bounds
    return f"{west:.3f} and {east:.3f} degrees east, {south:.3f} and {north:.3f} north"


def lake_box(
    outline: gpd.GeoDataFrame, resolution: float | None, surroundings: float = 0, system: CRS | None = None
) -> tuple[BBox, float]:
    """The frame of an outline, a tenth of its size wider on each side, with its surroundings, in whole pixels; and the
    size of these.

    :param outline: One row, not empty.
    :param resolution: Metres; None for the finest multiple of 10 m that gives at most 5000 pixels a side.
    :param surroundings: Metres on each side.
    :param system: To be in; None for the UTM zone of the middle.
    :raises AreaError: it lies at no place on Earth, or where the system or UTM has no coordinates.
    """
    if system is None:
        system = _zone_of(outline)
    bounds = outline.to_crs(system.pyproj_crs()).total_bounds
    if not np.isfinite(bounds).all():
        raise AreaError(
            f"{name_of(outline)} lies where {system.ogc_string()} has no coordinates: it is far from there."
        )
    left, bottom, right, top = bounds
    across, up = FRAME_MARGIN * (right - left), FRAME_MARGIN * (top - bottom)
    box = shapely.box(left - across, bottom - up, right + across, top + up)
    size = resolution or frame_resolution(box.bounds)
    return snap_bbox(BBox(box.buffer(surroundings).bounds, system), size), size


def _zone_of(outline: gpd.GeoDataFrame) -> CRS:
    """The UTM zone of the middle of an outline."""
    try:
        west, south, east, north = unrolled(to_degrees(outline.geometry.iloc[0], outline.crs)).bounds
    except GeometryError as error:
        raise AreaError(f"{name_of(outline)}: {error}.") from error
    latitude = (south + north) / 2
    if not UTM_SOUTH <= latitude <= UTM_NORTH:
        raise AreaError(
            f"{name_of(outline)} lies at latitude {latitude:.1f}, beyond UTM, which ends at {UTM_SOUTH:g} and"
            f" {UTM_NORTH:g}: leave it out."
        )
    return utm_of((west + east) / 2, latitude)


def frame_resolution(bounds: tuple[float, float, float, float]) -> float:
    """Metres of a pixel: the finest multiple of 10 with at most 5000 pixels a side."""
    longest = max(bounds[2] - bounds[0], bounds[3] - bounds[1])
    return max(FINEST, FINEST * math.ceil(longest / MOST_PIXELS / FINEST))


def single(outlines: gpd.GeoDataFrame) -> Iterator[gpd.GeoDataFrame]:
    """The outlines one by one, without those that are empty."""
    for position in range(len(outlines)):
        row = outlines.iloc[position : position + 1]
        if not row.geometry.iloc[0].is_empty:
            yield row


def name_of(outline: gpd.GeoDataFrame) -> str:
    """Of one row, for messages."""
    return f"outline {outline[ID].iloc[0]}"
