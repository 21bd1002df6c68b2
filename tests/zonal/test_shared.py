"""Polygons over several images: the same numbers as on one image, whichever way it is cut."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pytest

from eotasks.imagery.grid import Grid
from eotasks.models.zonal import CLEAR_ROW, MEAN, PIXELS, PixelState
from eotasks.zonal.coverage import coverage_of
from eotasks.zonal.frames import ZonalBlock, ZonalFrame, blocks_of
from eotasks.zonal.polygons import Polygons, polygons_of
from eotasks.zonal.shared import Outlines, PieceKeeper, Pieces, joined_block, on_one_lattice, passes, shares_of
from tests.builders.zonal.patches import LEFT, SIZE, TOP, some_polygons

TIMES = [dt.datetime(2020, 5, day, 10) for day in (1, 6)]  # noqa: DTZ001
WHOLE = Grid("EPSG:32633", LEFT, TOP, SIZE, 30, 40)


def frames(grid: Grid, times: Sequence[dt.datetime] = TIMES) -> list[ZonalFrame]:
    """A part of one image, by its place alone."""
    row, column = round((TOP - grid.top) / SIZE), round((grid.left - LEFT) / SIZE)
    rows, columns = np.mgrid[row : row + grid.height, column : column + grid.width]
    found = []
    for number, time in enumerate(times):
        values = np.sin(rows * 7.0 + columns * 3.0 + number)[..., np.newaxis]
        found.append(ZonalFrame(time, values, ((rows * 5 + columns * 11 + number) % 4).astype(np.uint8)))
    return found


def pieces(polygons: Polygons, grid: Grid, given: Sequence[ZonalFrame]) -> Pieces:
    keeper = PieceKeeper(grid, coverage_of(polygons, grid))
    for frame in given:
        keeper.take(frame)
    found = keeper.pieces()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def polygons() -> Polygons:
    return polygons_of(some_polygons())


@pytest.fixture(scope="module")
def whole(polygons: Polygons) -> ZonalBlock:
    found = coverage_of(polygons, WHOLE)
    return next(blocks_of(frames(WHOLE), found.pixels, percentiles=(5,), most=10**6, beyond=found.beyond))


CUTS = {
    "beside": [(slice(0, 30), slice(0, 13)), (slice(0, 30), slice(13, 40))],
    "four": [(slice(r, r + 15), slice(c, c + 20)) for r in (0, 15) for c in (0, 20)],
    "overlapping": [(slice(0, 20), slice(0, 40)), (slice(10, 30), slice(0, 40))],
}


@pytest.mark.parametrize("cut", CUTS)
def test_the_whole_does_not_depend_on_the_cut(polygons: Polygons, whole: ZonalBlock, cut: str) -> None:
    grids = [WHOLE.part(*part) for part in CUTS[cut]]
    parts = [pieces(polygons, grid, frames(grid)) for grid in grids]
    outlines = Outlines(polygons, range(len(polygons)))
    for polygon in range(len(polygons)):
        joined = joined_block(polygon, parts, (5,), outlines)
        assert joined is not None
        np.testing.assert_allclose(joined.values[0], whole.values[polygon], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(joined.parts[0], whole.parts[polygon], rtol=1e-9, atol=1e-9)


def test_a_date_that_one_image_lacks_is_no_data_there(polygons: Polygons) -> None:
    left, right = (WHOLE.part(*part) for part in CUTS["beside"])
    parts = [pieces(polygons, left, frames(left)), pieces(polygons, right, frames(right, TIMES[:1]))]
    joined = joined_block(0, parts, (), Outlines(polygons, [0]))
    assert joined is not None
    assert joined.times == tuple(TIMES)
    lacking = coverage_of(polygons, right).pixels.areas[0]
    assert joined.parts[0, 1, PixelState.NO_DATA] >= lacking
    assert joined.parts[0].sum(axis=-1) == pytest.approx([some_polygons().area[0] / SIZE**2] * 2, rel=1e-6)


def test_of_two_lattices_the_one_with_most_counts(polygons: Polygons, whole: ZonalBlock) -> None:
    other = Grid("EPSG:32633", LEFT + 3, TOP, SIZE, 30, 12)
    assert not on_one_lattice(WHOLE, other)
    apart = [pieces(polygons, other, frames(other)), pieces(polygons, WHOLE, frames(WHOLE))]
    joined = joined_block(0, apart, (), Outlines(polygons, [0]))
    assert joined is not None
    assert joined.values[0, :, 0, CLEAR_ROW, MEAN] == pytest.approx(whole.values[0, :, 0, CLEAR_ROW, MEAN])
    assert joined.values[0, :, 0, CLEAR_ROW, PIXELS] == pytest.approx(whole.values[0, :, 0, CLEAR_ROW, PIXELS])
    assert joined_block(99, apart, (), Outlines(polygons, [99])) is None


def test_what_lies_beyond_all_images_has_no_data(polygons: Polygons) -> None:
    """In degrees too, where the polygon has to be moved: its whole area counts."""
    left, right = (WHOLE.part(*part) for part in CUTS["beside"])
    for given, near in ((polygons, 1e-9), (polygons_of(some_polygons().to_crs(4326)), 1e-4)):
        parts = [pieces(given, each, frames(each)) for each in (left, right)]
        outlines = Outlines(given, [0, 4])
        for polygon, most in ((0, 0.9), (4, 1.0)):
            joined = joined_block(polygon, parts, (), outlines)
            assert joined is not None
            area = some_polygons().area[polygon] / SIZE**2
            assert joined.parts[0].sum(axis=-1) == pytest.approx([area] * 2, rel=max(near, 1e-6))
            assert (joined.parts[0, :, PixelState.NO_DATA] < most * area).all()
        assert (joined.parts[0, :, PixelState.NO_DATA] > area * 55 / 97 * (1 - near)).all()


def test_who_has_what(polygons: Polygons) -> None:
    left, right = (WHOLE.part(*part) for part in CUTS["beside"])
    shares = shares_of(polygons, [left, right, left])
    names = some_polygons().name.to_numpy()
    assert [names[each.own].tolist() for each in shares] == [[], ["ring", "small"], []]
    assert [names[each.shared].tolist() for each in shares[:2]] == [["disk", "parts", "beside"], ["disk", "parts"]]
    assert shares[2].shared.tolist() == shares[0].shared.tolist()
    both = shares_of(polygons, [WHOLE, WHOLE.part(slice(0, 30), slice(13, 40))])
    assert names[both[0].own].tolist() == ["disk", "ring", "parts", "small"]
    assert names[both[1].own].tolist() == []


def test_times_of_one_pass_belong_together() -> None:
    start = TIMES[0]
    late, next_day = start + dt.timedelta(seconds=14), start + dt.timedelta(days=1)
    assert passes([[start, next_day], [late]]) == [(start, {0: 0, 1: 0}), (next_day, {0: 1})]
    assert passes([[start, late]]) == [(start, {0: 0}), (late, {0: 1})]
