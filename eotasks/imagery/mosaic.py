"""One image from several scenes: the tiles of a day side by side, its orbits over each other."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS

from eotasks.errors import ConfigurationError
from eotasks.imagery.grid import Grid, parse_crs
from eotasks.imagery.pixels.resampling import ResamplingName, check_resampling
from eotasks.imagery.scene import Scene
from eotasks.models.sentinel2 import band_indices

MosaicOrder = Literal["mostRecent", "leastRecent", "leastCC"]
"""Which scene comes first: names as Sentinel Hub's mosaicking orders."""

NO_SCENE = -1

SAME_DATATAKE = dt.timedelta(hours=1)
"""A satellite sees a tile once an orbit, which takes 100 minutes: products nearer than this are of one acquisition.
Catalogues differ in what they call the time of a product, start of the datatake or of the tile."""

_EPOCH = dt.datetime(2015, 6, 23)  # noqa: DTZ001 - naive UTC, as all times of acquisitions


class Mosaic(NamedTuple):
    """What :func:`read_mosaic` gives."""

    dn: NDArray[np.uint16]
    """(h, w, bands): reflectance * 10000, each scene's own offset removed, 0 without data."""

    is_data: NDArray[np.bool_]
    """(h, w)."""

    which: NDArray[np.int16]
    """(h, w): position of the scene in the list given, -1 without data."""


def read_mosaic(
    scenes: Sequence[Scene],
    bands: Sequence[str],
    grid: Grid,
    *,
    order: MosaicOrder = "mostRecent",
    resampling: ResamplingName = "mean",
    threads: int | None = None,
) -> Mosaic:
    """Digital numbers of several scenes on one grid.

    The rule: scenes are put in an order, and a pixel takes all its bands from the first scene that has data there in
    every one of them; nothing is averaged. "mostRecent" puts later acquisitions first, "leastRecent" earlier ones,
    "leastCC" those whose metadata names less cloud (those that name none last), the later first where it is equal. At
    the same time (tiles of one datatake) a scene in the grid's own CRS comes before one that has to be warped, then
    one of a newer processing baseline, then one that was made later, then the names decide: the result does not depend
    on the order of the list. Scenes of one acquisition of a tile stand together, by the time of the earliest and the
    cloud of the newest of them.

    Scenes are read only where the ones before left holes. They may be in any CRS and of any baseline.

    :param scenes: Each with all the bands.
    :param bands: Names, such as ``["B04", "B08"]``.
    :param grid: Any grid.
    :param order: "mostRecent", "leastRecent" or "leastCC".
    :param resampling: As for :meth:`eotasks.imagery.scene.Scene.read`.
    :param threads: Files that are decoded at a time; None for the setting.
    :raises ConfigurationError: for an unknown order or method.
    :raises BandError: when a scene lacks a band.
    :raises ImageryError: when a file is damaged.
    """
    check_resampling(resampling)
    check_order(order)
    for scene in scenes:
        band_indices(bands, scene.bands, where=scene.location)
    result = Mosaic(
        np.zeros((*grid.shape, len(bands)), dtype=np.uint16),
        np.zeros(grid.shape, dtype=bool),
        np.full(grid.shape, NO_SCENE, dtype=np.int16),
    )
    for index in in_order(scenes, order, grid):
        window = holes(result.is_data)
        if window is None:
            break
        rows, columns = window
        part = grid.part(rows, columns)
        dn, is_data = scenes[index].read_masked(bands, part, resampling=resampling, threads=threads)
        new = is_data & ~result.is_data[rows, columns]
        result.dn[rows, columns][new] = dn[new]
        result.which[rows, columns][new] = index
        result.is_data[rows, columns] |= new
    return result


def check_order(order: str) -> None:
    """:raises ConfigurationError: for an order that does not exist, naming those that do."""
    if order not in get_args(MosaicOrder):
        raise ConfigurationError(f"order={order!r} is not known: use one of {', '.join(get_args(MosaicOrder))}.")


class Ranked(NamedTuple):
    """What the place of a scene in a mosaic follows from, read of the scene or of what a catalogue says of it."""

    name: str
    time: dt.datetime
    """UTC, naive."""

    satellite: str
    tile: str
    crs: CRS
    processing_baseline: str | None = None
    generation_time: dt.datetime | None = None
    """UTC, naive."""

    cloud_cover: float | None = None
    """In any unit, the same for all."""

    @classmethod
    def of(cls, scene: Scene) -> Ranked:
        """Of a scene."""
        facts = scene.acquisition
        return cls(
            scene.name, facts.time, facts.satellite, facts.tile, parse_crs(scene.crs), facts.processing_baseline,
            facts.generation_time, facts.cloud_cover,
        )  # fmt: skip


def in_order(scenes: Sequence[Scene], order: MosaicOrder, grid: Grid) -> list[int]:
    """Positions of scenes, the one that counts first at the front, by the rule of :func:`read_mosaic`."""
    return ranked([Ranked.of(scene) for scene in scenes], order, parse_crs(grid.crs))


def ranked(scenes: Sequence[Ranked], order: MosaicOrder, target: CRS) -> list[int]:
    """Positions of scenes as :func:`in_order` gives them, of none of which a file is opened.

    :param target: Of the grid of the mosaic.
    """
    first = _first_of_acquisitions(scenes)

    def age(index: int) -> tuple[tuple[int, ...], float]:
        facts = scenes[index]
        baseline = tuple(-int(part) for part in (facts.processing_baseline or "00.00").split("."))
        return baseline, 0.0 if facts.generation_time is None else -_seconds(facts.generation_time)

    newest: dict[int, int] = {}
    for index in sorted(range(len(scenes)), key=age):
        newest.setdefault(first[index], index)

    def rank(index: int) -> tuple[float, float, bool, tuple[int, ...], str, float]:
        facts = scenes[newest[first[index]]]
        cover = 0.0
        if order == "leastCC":
            cover = float("inf") if facts.cloud_cover is None else facts.cloud_cover
        seconds = _seconds(scenes[first[index]].time)
        late = seconds if order == "leastRecent" else -seconds
        baseline, made = age(index)
        return cover, late, scenes[index].crs != target, baseline, scenes[index].tile, made

    # Names of items end in a number that counts: of two products of an acquisition the later name is the newer.
    by_name = sorted(range(len(scenes)), key=lambda index: scenes[index].name, reverse=True)
    return sorted(by_name, key=rank)


def _seconds(time: dt.datetime) -> float:
    return (time - _EPOCH).total_seconds()


def _first_of_acquisitions(facts: Sequence[Ranked]) -> list[int]:
    """Of each scene the position of the earliest of its acquisition of its tile, which may be its own."""
    first = list(range(len(facts)))
    latest: dict[tuple[str, str], int] = {}
    for index in sorted(first, key=lambda index: facts[index].time):
        key = facts[index].satellite, facts[index].tile
        before = latest.get(key)
        if before is not None and facts[index].time - facts[before].time < SAME_DATATAKE:
            first[index] = before
        else:
            latest[key] = index
    return first


def holes(is_data: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """Rows and columns that hold all pixels without data; None when there are none."""
    rows, columns = np.flatnonzero(~is_data.all(axis=1)), np.flatnonzero(~is_data.all(axis=0))
    if not rows.size:
        return None
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
