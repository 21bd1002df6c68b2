"""The basin: an outline of the area asked for, a bed below it, and an area for every level."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from shapely.geometry import Point, Polygon

from eotasks.errors import ConfigurationError
from eotasks.models.simulation.lakes.basin import area_at, bed, nominal_area, outline, reach
from eotasks.models.simulation.lakes.lake import Lake

LAKE = Lake(x=331_000, y=5_821_000, radius=350, depth=10, shore=2, raggedness=0.5, seed=5)


def test_the_outline_has_the_area_of_the_disk() -> None:
    polygon = Polygon(outline(LAKE, 2000))
    assert polygon.is_valid
    assert polygon.exterior.is_ccw
    assert polygon.area == pytest.approx(nominal_area(LAKE), rel=1e-4)
    assert area_at(LAKE, 0) == pytest.approx(nominal_area(LAKE), rel=1e-3)
    disk = Polygon(outline(Lake(x=0, y=0, radius=350, raggedness=0)))
    assert disk.area == pytest.approx(np.pi * 350**2, rel=1e-4)


def test_the_bed_lies_below_the_full_level_within_the_outline_and_above_it_outside() -> None:
    far = reach(LAKE)
    x = np.linspace(LAKE.x - far - 50, LAKE.x + far + 50, 60)[None, :]
    y = np.linspace(LAKE.y - far - 50, LAKE.y + far + 50, 60)[:, None]
    heights = bed(LAKE, x, y)
    polygon = Polygon(outline(LAKE, 4000))
    for row, column in itertools.product(range(0, 60, 3), repeat=2):
        inside = polygon.contains(Point(x[0, column], y[row, 0]))
        assert (heights[row, column] < 0) == inside
    assert heights.min() < -0.7 * LAKE.depth
    assert np.isinf(heights[0]).all()


def test_the_area_grows_with_the_level() -> None:
    stages = np.linspace(-LAKE.depth, 0.8, 40)
    areas = [area_at(LAKE, float(stage)) for stage in stages]
    assert all(lower < higher for lower, higher in itertools.pairwise(areas))
    assert areas[-1] > nominal_area(LAKE)


def test_the_area_of_a_level_is_that_of_the_points_below_it() -> None:
    x = (LAKE.x - 600 + np.arange(400) * 3.0)[None, :]
    y = (LAKE.y - 600 + np.arange(400) * 3.0)[:, None]
    heights = bed(LAKE, x, y)
    for stage in (-6.0, -2.0, 0.0, 0.5):
        assert area_at(LAKE, stage) == pytest.approx(9 * np.count_nonzero(heights < stage), rel=3e-3)


def test_a_gentle_shore_gives_up_more_ground_than_a_steep_one() -> None:
    gentle, steep = (Lake(x=0, y=0, shore=shore, seed=2) for shore in (1.3, 4.0))
    assert area_at(gentle, -3) < area_at(steep, -3) - 0.1 * nominal_area(steep)


def test_one_seed_one_basin() -> None:
    other = Lake(x=331_000, y=5_821_000, radius=350, depth=10, shore=2, raggedness=0.5, seed=6)
    assert np.array_equal(outline(LAKE), outline(Lake(**vars(LAKE))))
    assert not np.allclose(outline(LAKE), outline(other))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"radius": 10}, "radius=10"),
        ({"depth": float("nan")}, "depth=nan"),
        ({"shore": 0.5}, "shore=0.5"),
        ({"drawdown": 0.95}, "drawdown=0.95"),
        ({"flood": 0.2}, "flood=0.2"),
        ({"turbid": "often"}, "turbid='often'"),
        ({"name": ""}, "name=''"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_bad_lakes_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Lake(**{"x": 0, "y": 0, **change})  # type: ignore[arg-type]
