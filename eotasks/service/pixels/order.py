"""The order of products in a mosaic, and the scenes that a script sees of them."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import shapely
from rasterio.crs import CRS
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from eotasks.geometry.antimeridian import bounds_of, box_of
from eotasks.imagery.grid import parse_crs
from eotasks.imagery.mosaic import MosaicOrder, Ranked, ranked
from eotasks.service.contract.data import DataRequest
from eotasks.service.errors import TooLargeError
from eotasks.service.evalscript.planes import SceneInfo, TileInfo
from eotasks.service.evalscript.setup import Mosaicking
from eotasks.sources.frames import Candidate
from eotasks.sources.replacement import Choice
from eotasks.times import naive_utc

_TILE = re.compile(r"(\d{2})([C-HJ-NP-X])[A-HJ-NP-Z]{2}")
_FIRST_NORTHERN = "N"
MOST_CORNERS = 200_000
"""Of the footprints that a script is told: one has some dozen."""

_DECIMALS = 9
_DEGREES = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
"""Longitude first."""


@dataclass(frozen=True)
class SceneProducts:
    """What one scene is read from."""

    candidates: tuple[Candidate, ...]
    """The first has its say first."""

    replaced: Choice
    """Products that these stand for: needed where metadata said too much of them."""

    masked: Mapping[str, Candidate]
    """By the names of products: whose files of CLP, CLM and SHADOW are theirs."""


CrsOf = Callable[[Candidate], str]
"""Opens a product to see the coordinate system of its bands."""


def mosaic_order(candidates: Sequence[Candidate], order: MosaicOrder, crs: str, crs_of: CrsOf) -> list[Candidate]:
    """Products in the order of a mosaic, by the rule of :func:`eotasks.imagery.mosaic.read_mosaic`.

    :param crs: Of the mosaic's grid.
    :param crs_of: For products whose tile is not known.
    """
    facts = [_ranked(each, index, crs_of) for index, each in enumerate(candidates)]
    return [candidates[index] for index in ranked(facts, order, parse_crs(crs))]


def utm_of(tile: str | None) -> CRS | None:
    """The coordinate system of a tile of the military grid; None of what is none."""
    found = None if tile is None else _TILE.fullmatch(tile)
    if found is None or not 1 <= int(found[1]) <= 60:
        return None
    return CRS.from_epsg((32600 if found[2] >= _FIRST_NORTHERN else 32700) + int(found[1]))


def scenes_of(
    ordered: Sequence[Candidate],
    choice: Choice,
    masked: Mapping[str, Candidate],
    mosaicking: Mosaicking,
    data: DataRequest,
) -> tuple[tuple[SceneInfo, ...], tuple[SceneProducts, ...]]:
    """The scenes of some products: one of all (SIMPLE), one a day of UTC (ORBIT), or one each (TILE).

    Days stand in the order of their first products.
    """
    if mosaicking is Mosaicking.SIMPLE:
        groups = [list(ordered)]
        spans = [(data.start, data.end)]
    elif mosaicking is Mosaicking.ORBIT:
        days: dict[dt.date, list[Candidate]] = {}
        for each in ordered:
            days.setdefault(each.time.date(), []).append(each)
        groups = list(days.values())
        spans = [(dt.datetime.combine(day, dt.time.min), dt.datetime.combine(day, dt.time(23, 59, 59))) for day in days]
    else:
        groups = [[each] for each in ordered]
        spans = [(each.time, each.time) for each in ordered]
    scenes = [
        SceneInfo(first, last, tuple(tile_info(each) for each in group))
        for group, (first, last) in zip(groups, spans, strict=True)
    ]
    return tuple(scenes), tuple(SceneProducts(tuple(group), _own(choice, group), masked) for group in groups)


def tile_info(candidate: Candidate) -> TileInfo:
    """What a script is told of a product."""
    cover = candidate.cloud_cover
    percent = None if cover is None else round(cover * 100, _DECIMALS)
    return TileInfo(candidate.time, candidate.name, percent, candidate.footprint)


def with_bounds(scenes: Sequence[SceneInfo]) -> tuple[SceneInfo, ...]:
    """The same, with what a script is told of where each product has data, which asks for the metadata "bounds":
    `dataGeometry` and the box around it, `dataEnvelope`, as GeoJSON in degrees. Of a product that does not say where it
    has data there is neither.

    :raises TooLargeError: when they have more corners than a script is told.
    """
    corners = sum(int(shapely.get_num_coordinates(tile.footprint)) for scene in scenes for tile in scene.tiles)
    if corners > MOST_CORNERS:
        raise TooLargeError(
            f"The footprints of these products have {corners:,} corners, more than the {MOST_CORNERS:,} that a script"
            ' is told: ask for a shorter time, or leave out metadata: ["bounds"].'
        )
    return tuple(
        replace(scene, tiles=tuple(replace(tile, bounds=_bounds(tile.footprint)) for tile in scene.tiles))
        for scene in scenes
    )


def _bounds(footprint: BaseGeometry | None) -> str | None:
    if footprint is None or footprint.is_empty:
        return None
    told = {"dataGeometry": footprint, "dataEnvelope": box_of(*bounds_of(footprint))}
    return json.dumps({name: {**mapping(shape), "crs": _DEGREES} for name, shape in told.items()})


def _own(choice: Choice, group: Sequence[Candidate]) -> Choice:
    """Those of the products left out that stand for others of a group."""
    names = {each.name for each in group}
    return Choice((), tuple(each for each in choice.replaced if each.by.name in names))


def _ranked(candidate: Candidate, index: int, crs_of: CrsOf) -> Ranked:
    crs = utm_of(candidate.tile)
    return Ranked(
        candidate.name,
        candidate.time,
        candidate.satellite or f"?{index}",  # of an acquisition that nobody else is of
        candidate.tile or "",
        parse_crs(crs_of(candidate)) if crs is None else crs,
        candidate.baseline,
        _moment(candidate.generation),
        candidate.cloud_cover,
    )


def _moment(text: str) -> dt.datetime | None:
    try:
        return naive_utc(dt.datetime.fromisoformat(text)) if text else None
    except ValueError:
        return None
