"""Which products stand for others: those that show the same pixels, and no others.

The ground segment often delivers one tile of one datatake in two products, each with the pixels of another reception
of the satellite: they complete each other. And it processes archives anew: products of a newer baseline repeat older
ones. Names, tile and time are the same in both cases.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import geometry_mask
from rasterio.warp import transform
from shapely.geometry.base import BaseGeometry

from eotasks.errors import WARNING_FILTERS, ProductSkippedWarning, warn_caller
from eotasks.geometry.degrees import WGS84
from eotasks.imagery.grid import Grid, parse_crs
from eotasks.imagery.mosaic import SAME_DATATAKE
from eotasks.sources.frames import Candidate, some_of

_AGREE = 0.02
"""Share of the ground of two footprints that only one of them has, at most, where they agree: processings differ in
how they draw an edge."""

_EDGE, _EDGE_SHARE = 500.0, 0.05
"""Metres inside a footprint from where on a hole is none of its edge, whose lines are straight in degrees; at most this
share of the side of a square of the same area."""


@dataclass(frozen=True)
class Replaced:
    """A product that is left out, and why."""

    product: Candidate
    by: Candidate
    reason: str

    def __str__(self) -> str:
        own, other = (f"{each.name} (baseline {each.baseline})" for each in (self.product, self.by))
        return f"{own} for {other}: {self.reason}"


@dataclass(frozen=True)
class Choice:
    """Products to read, and those that they stand for."""

    products: tuple[Candidate, ...]
    """Ordered by time; those of one acquisition of a tile have one time here, the earliest."""

    replaced: tuple[Replaced, ...] = ()

    lost: tuple[Replaced, ...] = ()
    """Products without masks that are wanted: they are left out with pixels that no other product has."""

    def warn(self) -> None:
        """:warns ProductSkippedWarning: names the products that are left out, with the reason."""
        if self.lost:
            warn_caller(
                f"{len(self.lost)} products are left out for lack of masks, with ground that no other product shows:"
                f" {some_of([each.product.name for each in self.lost])}. Make their masks with eotasks cloud-mask.",
                ProductSkippedWarning,
            )
        if self.replaced:
            warn_caller(
                f"{len(self.replaced)} products are left out, others show the same pixels:"
                f" {some_of([str(each) for each in self.replaced])}.",
                ProductSkippedWarning,
            )


def choose_products(candidates: Iterable[Candidate]) -> Choice:
    """Leave out products of which another shows the same pixels.

    Of two products of one acquisition of a tile (one satellite, within an hour), the older one is left out where they
    are one product in two places, or of the same datastrip, or of different processing baselines with footprints that
    agree. All others contribute: nobody knows that they show the same pixels. The newer one is that of the newer
    baseline, then the one that was made later, then the name decides.
    """
    chosen: list[Candidate] = []
    left_out: list[Replaced] = []
    for group in _acquisitions(candidates):
        kept: list[Candidate] = []
        for candidate in sorted(group, key=newest, reverse=True):
            for better in kept:
                reason = same_pixels(candidate, better)
                if reason is not None:
                    left_out.append(Replaced(candidate, better, reason))
                    break
            else:
                kept.append(candidate)
        time = min(each.time for each in group)
        chosen += kept if len(kept) == 1 else [replace(each, time=time) for each in kept]
    order = sorted(chosen, key=lambda each: (each.time, each.name))
    return Choice(tuple(order), tuple(sorted(left_out, key=lambda each: (each.product.time, each.product.name))))


def newest(candidate: Candidate) -> tuple[str, str, str]:
    """Sorts products of one acquisition, the newest last."""
    return candidate.baseline or "", candidate.generation, candidate.name


def same_pixels(one: Candidate, other: Candidate) -> str | None:
    """Why two products of one acquisition of a tile show the same pixels; None where nobody knows that they do."""
    if one.footprint is not None and other.footprint is not None:
        try:
            alone = shapely.symmetric_difference(one.footprint, other.footprint).area
        except shapely.errors.ShapelyError:  # a place that cannot be compared says nothing
            return None
        agree = bool(alone <= _AGREE * max(one.footprint.area, other.footprint.area))
        if not agree:
            return None
    else:
        agree = False
    if one.name == other.name:
        return "the same product"
    if one.datastrip is not None and one.datastrip == other.datastrip:
        return "the same datastrip"
    processed_anew = None not in (one.baseline, other.baseline) and one.baseline != other.baseline
    return "the same ground in a newer processing" if processed_anew and agree else None


def still_needed(replaced: Sequence[Replaced], is_data: NDArray[np.bool_], grid: Grid) -> list[Replaced]:
    """Products left out without which there are holes where they should have data: metadata said too much.

    :param is_data: Boolean (h, w): where the other products have data.
    :param grid: Of the mask.
    """
    if is_data.all():
        return []
    return [each for each in replaced if (_inside(each.product.footprint, grid) & ~is_data).any()]


def _acquisitions(candidates: Iterable[Candidate]) -> list[list[Candidate]]:
    """Products of one acquisition of a tile together; those that do not say their tile or satellite alone."""
    known: dict[tuple[str, str], list[list[Candidate]]] = {}
    alone: list[list[Candidate]] = []
    for candidate in sorted(candidates, key=lambda each: (each.time, each.name)):
        if candidate.tile is None or candidate.satellite is None:
            alone.append([candidate])
            continue
        groups = known.setdefault((candidate.satellite, candidate.tile), [])
        if groups and candidate.time - groups[-1][0].time < SAME_DATATAKE:
            groups[-1].append(candidate)
        else:
            groups.append([candidate])
    return alone + [group for groups in known.values() for group in groups]


def _inside(footprint: BaseGeometry | None, grid: Grid) -> NDArray[np.bool_]:
    """Pixels of a grid that lie in a footprint, away from its edges; all where it is not known."""
    if footprint is None:
        return np.ones(grid.shape, dtype=bool)
    target = parse_crs(grid.crs)

    def to_grid(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(transform(WGS84, target, points[:, 0], points[:, 1]))

    area = shapely.transform(footprint, to_grid)
    if not np.isfinite(shapely.get_coordinates(area)).all():  # of the other side of the Earth
        return np.zeros(grid.shape, dtype=bool)
    area = shapely.buffer(shapely.make_valid(area), -min(_EDGE, _EDGE_SHARE * area.area**0.5))
    if area.is_empty:
        return np.zeros(grid.shape, dtype=bool)
    with WARNING_FILTERS:
        inside: NDArray[np.bool_] = geometry_mask([area], out_shape=grid.shape, transform=grid.transform, invert=True)
    return inside
