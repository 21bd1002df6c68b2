"""Extents: what is connected with the outline, what stands too high, and what is too long to keep."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from eotasks.models.water.extent import (
    outline_pixels,
    shortened_extent,
    water_extent,
    without_high_ground,
)
from tests.builders.water import lakes as builders


def test_water_that_meets_the_outline_counts_whole_and_other_water_does_not() -> None:
    water = builders.disk(100)
    water |= builders.disk(60, builders.CENTRE[0] + 130)  # grown together with the lake, partly beyond the outline
    beside = builders.disk(30, builders.CENTRE[0] - 250)
    extent = water_extent(water | beside, builders.outline(100), builders.TRANSFORM)
    assert extent.area == np.count_nonzero(water) * builders.PIXEL**2
    assert extent.is_valid


def test_pixels_that_share_a_corner_only_are_not_connected() -> None:
    water = np.zeros((60, 60), dtype=bool)
    water[30, 30] = water[31, 31] = True
    point = shapely.Point(builders.LEFT + 305, builders.TOP - 305).buffer(1)
    assert water_extent(water, point, builders.TRANSFORM).area == builders.PIXEL**2


def test_no_water_is_an_empty_extent() -> None:
    nothing = np.zeros((60, 60), dtype=bool)
    assert water_extent(nothing, builders.outline(), builders.TRANSFORM).is_empty
    assert water_extent(builders.disk(30, builders.LEFT), builders.outline(50), builders.TRANSFORM).is_empty


def test_an_outline_smaller_than_a_pixel_has_one() -> None:
    tiny = shapely.box(builders.LEFT + 301, builders.TOP - 304, builders.LEFT + 303, builders.TOP - 302)
    assert np.argwhere(outline_pixels(tiny, (60, 60), builders.TRANSFORM)).tolist() == [[30, 30]]


def test_high_ground_outside_of_the_outline_is_no_water() -> None:
    inside = builders.disk(100)
    water = builders.disk(150)
    elevation = np.where(builders.disk(120), 100.0, 115.0)
    before = water.copy()
    kept = without_high_ground(water, inside, elevation)
    np.testing.assert_array_equal(kept, builders.disk(120))  # 15 m above is too high
    np.testing.assert_array_equal(without_high_ground(water, inside, elevation - (elevation > 110) * 0.1), water)
    np.testing.assert_array_equal(water, before)


def test_high_ground_inside_of_the_outline_and_unknown_heights_take_nothing_away() -> None:
    inside = builders.disk(100)
    elevation = np.where(builders.disk(20), 900.0, 0.0)
    np.testing.assert_array_equal(without_high_ground(inside, inside, elevation), inside)
    np.testing.assert_array_equal(without_high_ground(inside, inside, np.full(inside.shape, np.nan)), inside)


def ragged(count: int) -> shapely.Geometry:
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    radius = 180 + 10 * np.cos(count / 4 * angle)
    return shapely.Polygon(
        np.stack([builders.CENTRE[0] + radius * np.cos(angle), builders.CENTRE[1] + radius * np.sin(angle)], axis=1)
    )


def test_long_extents_are_simplified_within_the_bound() -> None:
    extent, box = ragged(4000), shapely.box(0, 0, 1, 1)
    most = 100 * len(box.wkt)
    assert len(extent.wkt) > most
    short = shortened_extent(extent, box, 1.0)
    assert 0 < len(short.wkt) <= most
    assert short.area == pytest.approx(extent.area, rel=0.02)
    assert shortened_extent(builders.outline(), box, 1.0) is not None
    same = shapely.box(0, 0, 5, 5)
    assert shortened_extent(same, box, 1.0) is same


def test_thousands_of_ponds_keep_the_largest() -> None:
    ponds = [shapely.box(x * 10, y * 10, x * 10 + 4, y * 10 + 4) for x in range(40) for y in range(40)]
    lake = shapely.box(-900, 0, -100, 900)
    short = shortened_extent(shapely.MultiPolygon([*ponds, lake]), shapely.box(0, 0, 1, 1), 0.001)
    assert len(short.wkt) <= 100 * len(shapely.box(0, 0, 1, 1).wkt)
    assert short.contains(lake)
