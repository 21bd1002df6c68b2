"""Whatever form a geometry came in, it is the same set of points afterwards, and only one form is left."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box

from eotasks.errors import GeometryError
from eotasks.geometry.antimeridian import bounds_of, box_of, boxes_of, crosses, normalised, unrolled
from tests.builders.geometry.places import FORMS, covers

FIJI = [(179.1, -17.2), (180.3, -17.2), (180.3, -16.2), (179.1, -16.2)]
FIJI_SPLIT = MultiPolygon([box(179.1, -17.2, 180, -16.2), box(-180, -17.2, -179.7, -16.2)])


@st.composite
def stars(draw: st.DrawFn) -> list[tuple[float, float]]:
    """Corners of a star round a middle anywhere, up to 100 degrees wide, its longitudes without jumps."""
    x, y = draw(st.floats(-180, 180)), draw(st.floats(-70, 70))
    radii = draw(st.lists(st.floats(0.1, 1), min_size=3, max_size=12))
    wide, high = draw(st.floats(0.1, 50)), draw(st.floats(0.1, 15))
    angles = [2 * math.pi * index / len(radii) for index in range(len(radii))]
    return [
        (x + wide * radius * math.cos(angle), y + high * radius * math.sin(angle))
        for radius, angle in zip(radii, angles, strict=True)
    ]


@settings(max_examples=60, deadline=None)
@given(stars(), st.integers(0, 2**32 - 1))
def test_every_form_is_the_same_set_of_points(corners: list[tuple[float, float]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    plain = Polygon(corners)
    west, south, east, north = plain.bounds
    points = rng.uniform([west - 1, south - 1], [east + 1, north + 1], (300, 2))
    points = points[shapely.distance(shapely.points(points), plain.exterior) > 1e-6]
    expected = shapely.contains_xy(plain, points)
    for name, form in FORMS.items():
        found = normalised(form(corners))
        assert (covers(found, points) == expected).all(), name
        assert found.is_valid, name
        assert -180 <= found.bounds[0] <= found.bounds[2] <= 180, name
        assert found.area == pytest.approx(plain.area, rel=1e-6), name
        assert normalised(found) is found, name
        assert unrolled(found).area == pytest.approx(plain.area, rel=1e-6), name


@pytest.mark.parametrize("form", FORMS)
def test_a_tile_over_the_antimeridian(form: str) -> None:
    found = normalised(FORMS[form](FIJI))
    assert found.equals(FIJI_SPLIT)
    assert bounds_of(found) == (179.1, -17.2, -179.7, -16.2)
    assert sorted(boxes_of(found)) == [(-180, -17.2, -179.7, -16.2), (179.1, -17.2, 180, -16.2)]
    assert unrolled(found).equals_exact(Polygon(FIJI), 1e-9) or unrolled(found).equals(Polygon(FIJI))
    assert crosses(found)


@pytest.mark.parametrize(
    "geometry",
    [
        Polygon(
            [(179.1, 0), (180, 0), (-180, 0), (-179.7, 0), (-179.7, 1), (-180, 1), (180, 1), (179.1, 1)],
        ),
        Polygon([(180, 0), (-179.7, 0), (-179.7, 1), (180, 1), (179.1, 1), (179.1, 0)]),
        Polygon([(-180, 0), (-179.7, 0), (-179.7, 1), (-180, 1), (179.1, 1), (179.1, 0)]),
        MultiPolygon([box(179.1, 0, 180, 1), box(180, 0, 180.3, 1)]),
        shapely.GeometryCollection([box(179.1, 0, 180.1, 1), box(-179.9, 0, -179.7, 1)]),
    ],
    ids=["corners on both sides of it", "begins at 180", "begins at -180", "parts beyond 180", "a collection"],
)
def test_corners_at_the_antimeridian(geometry: shapely.Geometry) -> None:
    assert normalised(geometry).equals(MultiPolygon([box(179.1, 0, 180, 1), box(-180, 0, -179.7, 1)]))


def test_holes_stay_holes() -> None:
    ring, hole = box(178, 0, 182, 4).exterior.coords, box(179, 1, 181, 3).exterior.coords
    expected = normalised(Polygon(ring)).difference(normalised(Polygon(hole)))
    for shift in (0, -360):
        found = normalised(Polygon(ring, [[(x + shift, y) for x, y in hole]]))
        assert found.equals(expected)
        assert found.area == pytest.approx(12)
    aside = Polygon(ring, [box(-179.5, 1, -179, 2).exterior.coords])
    assert normalised(aside).area == pytest.approx(15.5)


@pytest.mark.parametrize(
    "world",
    [
        box(-180, -90, 180, 90),
        box(0, -60, 360, 60),
        Polygon([(-180, -60), (0, -60), (180, -60), (180, 60), (-180, 60)]),
    ],
    ids=["as a box", "from 0 to 360", "with a corner more"],
)
def test_the_whole_world_stays_whole(world: Polygon) -> None:
    found = normalised(world)
    assert found.area == pytest.approx(world.area)
    assert not crosses(found)
    assert boxes_of(found) == [(-180, world.bounds[1], 180, world.bounds[3])]


def test_a_ring_round_a_pole_holds_the_pole() -> None:
    north = normalised(Polygon([(0, 80), (120, 80), (-120, 80)]))
    assert covers(north, np.array([[0, 89.9], [179, 85], [-179, 81], [90, 81]])).all()
    assert not covers(north, np.array([[0, 79], [0, -89]])).any()
    south = normalised(Polygon([(0, -80), (-120, -80), (120, -80)], [[(0, -85), (120, -85), (-120, -85)]]))
    assert covers(south, np.array([[10, -82]])).all()
    assert not covers(south, np.array([[10, -86], [10, 85]])).any()


def test_what_is_in_the_form_already_is_returned_as_it_is() -> None:
    for geometry in (box(0, 0, 1, 1), FIJI_SPLIT, Point(180, 0), LineString([(-180, 0), (-170, 1)]), Polygon()):
        assert normalised(geometry) is geometry


def test_points_and_lines() -> None:
    assert normalised(Point(190, 3)).equals(Point(-170, 3))
    assert normalised(Point(-350, 3)).equals(Point(10, 3))
    assert normalised(LineString([(179, 0), (-179, 2)])).equals(
        shapely.MultiLineString([[(179, 0), (180, 1)], [(-180, 1), (-179, 2)]])
    )


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        (box(45, 119.9, 45.1, 120), r"latitude 120 .*exchange"),
        (Point(-95, -91), "latitude -91"),
        (box(500_000, 5_000_000, 510_000, 5_010_000), r"no place on Earth\. Numbers in metres need"),
        (Point(math.nan, 1), "not finite"),
        (Point(math.inf, 1), "not finite"),
        (Point(1081, 1), "no place on Earth"),
        (
            Polygon([(0, 10), (170, 10), (-20, 10), (150, 10), (-40, 10), (130, 10), (-60, 20)]),
            "round the Earth|a ring",
        ),
    ],
    ids=str,
)
def test_no_place_on_earth(geometry: shapely.Geometry, message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        normalised(geometry)


@settings(max_examples=100, deadline=None)
@given(
    west=st.integers(-540, 540), width=st.integers(0, 360), south=st.integers(-90, 89), height=st.integers(0, 20),
    x=st.integers(-180, 179), y=st.integers(-90, 89),
)  # fmt: skip
def test_a_box_holds_what_lies_between_its_sides(
    west: int, width: int, south: int, height: int, x: int, y: int
) -> None:
    """Also one that is wider than half the world; west greater than east goes over the antimeridian."""
    east, north = west + width, min(south + height, 90)
    if east > 540:
        return
    expected = ((x + 0.5 - west) % 360 < width) and south < y + 0.5 < north
    found = box_of(west, south, east, north)
    assert bool(covers(found, np.array([[x + 0.5, y + 0.5]]))[0]) == expected
    if -180 <= west <= 180 and east > 180 and east - 360 < west:
        assert box_of(west, south, east - 360, north).equals(found)


def test_boxes_that_are_none() -> None:
    for box_, message in (
        ((0, 1, 1, 0), "south is greater"),
        ((200, 0, -170, 1), "west is greater than east"),
        ((0, 100, 1, 119), "latitude 119"),
    ):
        with pytest.raises(GeometryError, match=message):
            box_of(*box_)


def test_a_cut_that_misses_the_antimeridian_by_little() -> None:
    assert bounds_of(MultiPolygon([box(179.1, 0, 179.99999, 1), box(-179.99999, 0, -179.7, 1)])) == (
        179.1,
        0,
        -179.7,
        1,
    )


def test_rings_made_to_take_long() -> None:
    """Round the Earth a thousand times and back, with thousands of holes, across itself everywhere."""
    there = [(120 * step % 360 - 180, 10) for step in range(3_000)]
    back = [(x, y + 1) for x, y in reversed(there)]
    with pytest.raises(GeometryError, match=r"\d+ times round the Earth"):
        normalised(Polygon([*there, *back]))
    holes = [
        box(170.1 + 0.2 * x, 0.1 + y, 170.2 + 0.2 * x, 0.9 + y).exterior.coords
        for x in range(0, 95, 5)
        for y in range(20)
    ]
    found = normalised(Polygon(box(170, 0, 190, 20).exterior.coords, holes))
    assert found.area == pytest.approx(400 - 19 * 20 * 0.08)
    rng = np.random.default_rng(1)
    with pytest.raises(GeometryError, match="crosses itself over 1000 times"):
        normalised(Polygon(rng.uniform(100, 260, (1_000, 2)) * [1, 0.1]))
