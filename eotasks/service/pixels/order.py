"""The order of products in a mosaic, and the scenes that a script sees of them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rasterio.crs import CRS

from eotasks.imagery.grid import parse_crs
from eotasks.imagery.mosaic import MosaicOrder, Ranked, ranked
from eotasks.service.contract.data import DataRequest
from eotasks.service.evalscript.planes import SceneInfo, TileInfo
from eotasks.service.evalscript.setup import Mosaicking
from eotasks.sources.frames import Candidate
from eotasks.sources.replacement import Choice
from eotasks.times import naive_utc

_TILE = re.compile(r"(\d{2})([C-HJ-NP-X])[A-HJ-NP-Z]{2}")
_FIRST_NORTHERN = "N"
_DECIMALS = 9


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
    return TileInfo(candidate.time, candidate.name, None if cover is None else round(cover * 100, _DECIMALS))


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
