"""Acquisitions of a place as frames: which scenes belong together, and what their mosaic says besides the bands."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from eotasks.errors import ImageryError, ProductSkippedWarning, warn_caller
from eotasks.imagery.files.assets import AssetFiles
from eotasks.imagery.files.origin import Origin, origin_of
from eotasks.imagery.files.protocol import RasterFile
from eotasks.imagery.files.signing import Modifier
from eotasks.imagery.footprints import from_geojson, repaired
from eotasks.imagery.grid import Grid
from eotasks.imagery.mosaic import NO_SCENE
from eotasks.imagery.pixels.raster import MASK_TYPES, describe, pixel_sides_in, read_window
from eotasks.imagery.pixels.resampling import ResamplingName, resample
from eotasks.imagery.scene import Scene, open_scene
from eotasks.models.clouds.mask_classes import without_classes

if TYPE_CHECKING:
    import pystac

    from eotasks.catalogue.brief.items import BriefItem
    from eotasks.catalogue.request import SearchRequest

OPENERS = 8
"""Products that are opened at a time: their metadata is small, and waiting for it takes most of the time."""

NO_MASK = 255
"""No data in files of CLP, CLM and SHADOW."""

_NAMED = 5

Angles = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Zenith and azimuth (clockwise from north), each (h, w), in degrees."""


@dataclass(frozen=True)
class Candidate:
    """A product that may be read; nothing of it is open."""

    name: str
    location: Any = field(repr=False)
    """What `open_scene` takes."""

    time: dt.datetime
    """UTC, naive."""

    satellite: str | None = None
    tile: str | None = None
    baseline: str | None = None
    datastrip: str | None = None
    """Identifier of the strip of one reception that it is cut from; None where nobody says."""

    generation: str = ""
    """When it was made, as text that sorts."""

    level: str | None = None
    cloud_cover: float | None = None
    """Of the whole scene, 0..1."""

    masks: Mapping[str, str] = field(default_factory=dict)
    """Files of "CLP", "CLM" and "SHADOW"."""

    origin: Origin | None = field(default=None, repr=False, compare=False)
    """Who named the location and the masks; None for the user himself."""

    modifier: Modifier | str | None = field(default=None, repr=False, compare=False)
    """Signs the addresses of an item that the user named himself."""

    footprint: BaseGeometry | None = field(default=None, repr=False, compare=False)
    """Where it has data, in degrees (longitude first), as its metadata says; None when nothing does."""

    @classmethod
    def of_scene(
        cls,
        location: Any,
        scene: Scene,
        masks: Mapping[str, str] | None = None,
        modifier: Modifier | str | None = None,
    ) -> Candidate:
        """From a scene that was opened for its metadata."""
        from eotasks.catalogue.items import footprint_of

        facts = scene.acquisition
        grids = {} if facts.footprint else {band: scene.grid_of(band) for band in scene.bands[:1]}
        return cls(
            name=scene.name,
            location=location,
            time=facts.time,
            satellite=facts.satellite,
            tile=facts.tile,
            baseline=facts.processing_baseline,
            datastrip=facts.datastrip,
            generation="" if facts.generation_time is None else facts.generation_time.isoformat(),
            level=facts.level,
            cloud_cover=None if facts.cloud_cover is None else facts.cloud_cover / 100,
            masks=masks or {},
            modifier=modifier,
            footprint=footprint_of(facts, grids),
        )

    @classmethod
    def of_item(cls, item: pystac.Item) -> Candidate:
        """From an item of a catalogue or a STAC API.

        :raises ImageryError: when what it says cannot be used.
        """
        return cls._of_fields(item, _footprint_of(item))

    @classmethod
    def of_brief(cls, item: BriefItem) -> Candidate:
        """From a brief item of a catalogue; one without the product's own place has the brief item for its location.

        :raises ImageryError: when what it says cannot be used.
        """
        if item.fault is not None:
            raise ImageryError(item.fault)
        return cls._of_fields(item, item.footprint)

    @classmethod
    def _of_fields(cls, item: Any, footprint: BaseGeometry | None) -> Candidate:
        from eotasks.catalogue import fields

        return cls(
            name=item.id,
            location=fields.location_of(item),
            time=fields.time_of(item),
            satellite=fields.satellite_of(item),
            tile=fields.tile_of_item(item),
            baseline=fields.baseline_of(item),
            datastrip=fields.datastrip_of(item),
            generation=fields.generation_of(item),
            level=fields.level_of(item),
            cloud_cover=fields.cloud_cover_of(item),
            masks={key: item.assets[key].href for key in fields.CLOUD_ASSETS if key in item.assets},
            origin=origin_of(item),
            footprint=footprint,
        )

    def open(self) -> Scene:
        """Its scene."""
        return open_scene(self.location, origin=self.origin, modifier=self.modifier)


def _footprint_of(item: pystac.Item) -> BaseGeometry | None:
    """Valid also where an item has rings that cross themselves, which GEOS compares with no other."""
    if item.geometry is None:
        return None
    where = f"STAC item {item.id!r}"
    return repaired(from_geojson(item.geometry, where), where)


def open_candidates(
    locations: Sequence[Any],
    masks: Mapping[str, Mapping[str, str]] | None = None,
    modifier: Modifier | str | None = None,
) -> list[Candidate]:
    """Products of a list; the metadata of each is read, no pixel.

    :param locations: Whatever `open_scene` reads, and folders of it.
    :param masks: Files of "CLP", "CLM" and "SHADOW", by the product's name.
    :param modifier: Signs the addresses of STAC items, as of `open_scene`.
    :raises ImageryError: when one is missing, damaged, or no product.
    """
    from eotasks.catalogue.discovery import several_products

    locations = several_products(locations)
    with ThreadPoolExecutor(OPENERS) as pool:
        scenes = list(pool.map(partial(open_scene, modifier=modifier), locations))
    named = masks or {}
    return [
        Candidate.of_scene(location, scene, named.get(scene.name), modifier)
        for location, scene in zip(locations, scenes, strict=True)
    ]


def candidates_of(items: Iterable[pystac.Item]) -> list[Candidate]:
    """Products of items that a search found.

    :raises ImageryError: when none of them can be used.
    :warns ProductSkippedWarning: when some cannot; it names them.
    """
    found: list[Candidate] = []
    errors: list[ImageryError] = []
    for item in items:
        try:
            found.append(Candidate.of_item(item))
        except ImageryError as error:
            errors.append(error)
    if errors and not found:
        raise errors[0]
    if errors:
        warn_caller(
            f"{len(errors)} items are left out: {some_of([str(error) for error in errors])}",
            ProductSkippedWarning,
        )
    return found


def meets(candidate: Candidate, request: SearchRequest) -> bool:
    """Whether a search of a catalogue with the product would find it. Those that do not say their cloud, their level or
    their place are found.
    """
    cover, most = candidate.cloud_cover, request.max_cloud_cover
    return (
        (request.level is None or candidate.level in (request.level, None))
        and (request.tile is None or candidate.tile == request.tile)
        and (cover is None or most is None or cover <= most)
        and (request.start is None or candidate.time >= request.start)
        and (request.end is None or candidate.time <= request.end)
        and (
            request.area is None
            or candidate.footprint is None
            or bool(shapely.intersects(candidate.footprint, request.area))
        )
    )


def some_of(names: Sequence[str]) -> str:
    """The first few names of many, for a message."""
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def group_frames(candidates: Sequence[Candidate], time_difference: dt.timedelta) -> list[list[Candidate]]:
    """Candidates (ordered by time) that make one frame each.

    A frame begins with the first product that is further than the difference from the beginning of the one before; so
    tiles of a datatake, and of neighbouring orbits when the difference is longer than an orbit, come together.
    """
    frames: list[list[Candidate]] = []
    for candidate in candidates:
        if frames and candidate.time - frames[-1][0].time <= time_difference:
            frames[-1].append(candidate)
        else:
            frames.append([candidate])
    return frames


def angles_of(
    scenes: Sequence[Scene], which: NDArray[np.int16], grid: Grid, read: Callable[[Scene, Grid], Angles]
) -> Angles:
    """Directions over a mosaic: each pixel those of the scene that it was taken from, NaN without data.

    :param read: Gives zenith and azimuth of a scene on a grid, as `Scene.sun_angles` does.
    """
    zenith = np.full(grid.shape, np.nan, dtype=np.float32)
    azimuth = np.full(grid.shape, np.nan, dtype=np.float32)
    for index in _used(which):
        own = which == index
        angles = read(scenes[index], grid)
        zenith[own], azimuth[own] = angles[0][own], angles[1][own]
    return zenith, azimuth


def mean_direction(angles: Angles) -> tuple[float, float]:
    """Mean of directions by their unit vectors, so that 359 and 1 degrees are north; NaN where there are none.

    :return: Zenith, and azimuth 0..360, in degrees.
    """
    zenith, azimuth = (
        np.deg2rad(each[np.isfinite(angles[0]) & np.isfinite(angles[1])], dtype=np.float64) for each in angles
    )
    if not zenith.size:
        return float("nan"), float("nan")
    east = float(np.mean(np.sin(zenith) * np.sin(azimuth)))
    north = float(np.mean(np.sin(zenith) * np.cos(azimuth)))
    up = float(np.mean(np.cos(zenith)))
    return float(np.rad2deg(np.arctan2(np.hypot(east, north), up))), float(np.rad2deg(np.arctan2(east, north)) % 360)


def classification_of(scenes: Sequence[Scene], which: NDArray[np.int16], grid: Grid) -> NDArray[np.uint8]:
    """Scene classification (SCL) over a mosaic, 0 without data.

    :raises ImageryError: when a scene has none.
    """
    classes = np.zeros(grid.shape, dtype=np.uint8)
    for index in _used(which):
        own = which == index
        classes[own] = scenes[index].scene_classification(grid)[own]
    return classes


def mask_of(kind: str, candidates: Sequence[Candidate], which: NDArray[np.int16], grid: Grid) -> NDArray[np.uint8]:
    """CLP, CLM or SHADOW as stored over a mosaic, at the centres of the grid's pixels, 255 without data.

    CLM comes as 0 clear and 1 cloud: snow and thin cloud, where its files have them, are folded into these.

    :param kind: "CLP", "CLM" or "SHADOW".
    :raises ImageryError: when the file of a scene that was used cannot be read.
    """
    values = np.full(grid.shape, NO_MASK, dtype=np.uint8)
    for index in _used(which):
        own = which == index
        near = stored_mask(candidates[index], kind, grid)
        values[own] = np.where(np.isfinite(near), near, NO_MASK).astype(np.uint8)[own]
    return without_classes(values) if kind == "CLM" else values


def stored_mask(
    candidate: Candidate, kind: str, grid: Grid, *, method: ResamplingName = "nearest"
) -> NDArray[np.float32]:
    """The numbers of a product's file of CLP, CLM or SHADOW on a grid.

    :param kind: "CLP", "CLM" or "SHADOW", of which there is a file.
    :param method: "nearest": those under the centres of pixels. "bilinear", "cubic": interpolated between pixels with
        data.
    :return: float32 (h, w), NaN without data and outside.
    :raises ImageryError: when it cannot be read, or lies where it may not.
    """
    files, raster = mask_file(candidate, kind)
    info = describe(files, raster, MASK_TYPES)
    pixels = read_window(files, raster, info, info.full, grid, margin=2)
    if pixels is None:
        return np.full(grid.shape, np.nan, dtype=np.float32)
    valid = np.isfinite(pixels.values) & (pixels.values != NO_MASK)
    sides = pixel_sides_in(grid, info.crs, info.middle)
    return resample(pixels.values, pixels.transform, pixels.crs, grid, valid=valid, method=method, sides=sides)


def mask_file(candidate: Candidate, kind: str) -> tuple[AssetFiles, RasterFile]:
    """A product's file of CLP, CLM or SHADOW.

    :raises ImageryError: when it lies where it may not.
    """
    location, origin = candidate.masks[kind], candidate.origin
    if origin is not None:
        location = origin.resolved(location)
    return AssetFiles(candidate.name, {kind: location}, origin or Origin.of(location)), RasterFile(kind, "GTiff")


def _used(which: NDArray[np.int16]) -> list[int]:
    return [int(index) for index in np.unique(which) if index != NO_SCENE]
