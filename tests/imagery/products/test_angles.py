"""Angles of a tile: from nodes to any grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.warp import transform_bounds

from eotasks.errors import BandError
from eotasks.imagery.grid import Grid
from eotasks.imagery.products.angles import AngleGrids, AnglePair

UTM, LEFT, TOP, STEP = "EPSG:32633", 300_000.0, 5_900_040.0, 5_000.0


def angle_grids(sun: AnglePair, **view: list[AnglePair]) -> AngleGrids:
    return AngleGrids(UTM, LEFT, TOP, STEP, STEP, sun, view)


def nodes(zenith: object, azimuth: object) -> AnglePair:
    pair = np.broadcast_arrays(np.asarray(zenith, dtype=np.float64), np.asarray(azimuth, dtype=np.float64))
    return pair[0].copy(), pair[1].copy()


def flat(zenith: float, azimuth: float) -> AnglePair:
    return nodes(np.full((23, 23), zenith), azimuth)


def pixel_at(row: float, column: float) -> Grid:
    """A grid of one pixel, centred between nodes."""
    return Grid(UTM, LEFT + column * STEP - 5, TOP - row * STEP + 5, 10, 1, 1)


def test_nodes_are_met_exactly() -> None:
    zenith = np.linspace(20, 40, 23)[:, None] + np.linspace(0, 3, 23)
    grids = angle_grids(nodes(zenith, 120))
    for row, column in ((0, 0), (3, 7), (22, 22)):
        found, azimuth = grids.sun(pixel_at(row, column))
        assert found.dtype == azimuth.dtype == np.float32
        np.testing.assert_allclose([found[0, 0], azimuth[0, 0]], [zenith[row, column], 120], rtol=1e-6)


def test_between_nodes_it_is_bilinear() -> None:
    zenith = np.linspace(20, 22, 23)[:, None] + np.linspace(0, 1, 23)
    found, _ = angle_grids(nodes(zenith, 120)).sun(pixel_at(4.5, 9.25))
    assert found[0, 0] == pytest.approx(20 + 4.5 / 11 + 9.25 / 22, abs=1e-4)


def test_beyond_the_last_node_its_value_goes_on() -> None:
    """Tiles are 109.8 km wide, nodes reach to 110; a tile's neighbourhood may be asked for."""
    grids = angle_grids(nodes(np.linspace(20, 40, 23)[:, None] + np.zeros(23), 120))
    assert grids.sun(pixel_at(-30, 5))[0][0, 0] == pytest.approx(20)
    assert grids.sun(pixel_at(50, 5))[0][0, 0] == pytest.approx(40)


@pytest.mark.parametrize(("west", "east", "middle"), [(359, 1, 0), (350, 20, 5), (10, 350, 0), (179, 181, 180)])
def test_azimuths_meet_on_the_short_way(west: float, east: float, middle: float) -> None:
    azimuth = np.where(np.arange(23) < 12, west, east)
    _, found = angle_grids(nodes(np.full((23, 23), 30.0), azimuth)).sun(pixel_at(5, 11.5))
    assert (float(found[0, 0]) - middle + 180) % 360 - 180 == pytest.approx(0, abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 85), st.floats(0, 359.9), st.floats(0, 22), st.floats(0, 22))
def test_one_direction_everywhere_stays_it(zenith: float, azimuth: float, row: float, column: float) -> None:
    found = angle_grids(flat(zenith, azimuth)).sun(pixel_at(row, column))
    assert found[0][0, 0] == pytest.approx(zenith, abs=1e-3)
    if zenith > 0.1:
        assert (float(found[1][0, 0]) - azimuth + 180) % 360 - 180 == pytest.approx(0, abs=1e-2)


def test_detectors_share_a_tile() -> None:
    """Each sees its strip; between them, directions are averaged; elsewhere nothing is known."""
    columns = np.arange(23)
    west = nodes(np.where(columns <= 9, 4.0, np.nan) + np.zeros((23, 1)), np.where(columns <= 9, 100.0, np.nan))
    east = nodes(np.where((columns >= 9) & (columns <= 15), 6.0, np.nan) + np.zeros((23, 1)), 100)
    zenith, azimuth = angle_grids(flat(30, 120), B02=[west, east]).view(Grid(UTM, LEFT - 2500, TOP, STEP, 1, 23))
    np.testing.assert_allclose(zenith[0, :9], 4, rtol=1e-4)
    assert zenith[0, 9] == pytest.approx(5, abs=1e-3)
    np.testing.assert_allclose(zenith[0, 10:16], 6, rtol=1e-4)
    np.testing.assert_allclose(azimuth[0, :16], 100, rtol=1e-4)
    assert np.isnan(zenith[0, 17:]).all()
    assert np.isnan(azimuth[0, 17:]).all()


def test_at_the_edge_of_the_swath_nodes_that_are_known_count() -> None:
    view = flat(4, 100)
    for angles in view:
        angles[:, 12:] = np.nan
    zenith, _ = angle_grids(flat(30, 120), B02=[view]).view(pixel_at(5, 11.9))
    assert zenith[0, 0] == pytest.approx(4)


def test_mean_of_the_bands() -> None:
    grids = angle_grids(flat(30, 120), B02=[flat(4, 100)], B04=[flat(8, 100)])
    assert grids.view(pixel_at(5, 5), "B04")[0][0, 0] == pytest.approx(8)
    assert grids.view(pixel_at(5, 5))[0][0, 0] == pytest.approx(6, abs=1e-3)


def test_no_angles_of_a_band() -> None:
    grids = angle_grids(flat(30, 120), B02=[flat(4, 100)])
    with pytest.raises(BandError, match=r"No view angles of B05 .*: B02\."):
        grids.view(pixel_at(5, 5), "B05")
    assert np.isnan(angle_grids(flat(30, 120)).view(pixel_at(5, 5))[0]).all()


def test_a_grid_in_another_coordinate_system() -> None:
    zenith = np.linspace(20, 40, 23)[:, None] + np.zeros(23)
    grids = angle_grids(nodes(zenith, 120))
    middle = pixel_at(11.3, 8.6)
    west, south, _, _ = transform_bounds(UTM, "EPSG:4326", *middle.bounds)
    there = Grid.from_bounds((west, south, west + 1e-4, south + 1e-4), "EPSG:4326", 1e-4)
    assert grids.sun(there)[0][0, 0] == pytest.approx(grids.sun(middle)[0][0, 0], abs=0.01)


def test_large_grids_are_worked_on_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    zenith = np.linspace(20, 40, 23)[:, None] + np.linspace(0, 3, 23)
    grids = angle_grids(nodes(zenith, np.linspace(100, 140, 23)))
    grid = Grid(UTM, LEFT, TOP, 1000, 109, 97)
    whole = grids.sun(grid)
    monkeypatch.setattr("eotasks.imagery.products.angles._STRIP", 500)
    for one, other in zip(whole, grids.sun(grid), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_nearest_node() -> None:
    zenith = np.arange(529, dtype=np.float64).reshape(23, 23) / 20
    grids = angle_grids(nodes(zenith, 120))
    for (row, column), node in {(4.4, 9.6): (4, 10), (4.5, 9.5): (4, 9), (-3, 30): (0, 22), (21.6, 0): (22, 0)}.items():
        found, azimuth = grids.sun(pixel_at(row, column), nearest=True)
        assert found[0, 0] == pytest.approx(zenith[node], abs=1e-5)
        assert azimuth[0, 0] == pytest.approx(120)


def test_the_nearest_node_that_is_known() -> None:
    holes = np.full((23, 23), np.nan)
    holes[3, 4] = 7
    grids = angle_grids(flat(30, 120), B02=[nodes(holes, 100)])
    assert grids.view(pixel_at(3.9, 3.1), nearest=True)[0][0, 0] == pytest.approx(7)
    assert np.isnan(grids.view(pixel_at(9.9, 3.1), nearest=True)[0][0, 0])


def test_pixels_that_are_no_squares_have_the_angles_of_their_centres() -> None:
    zenith = np.linspace(20, 40, 23)[:, None] + np.linspace(0, 3, 23)
    grids = angle_grids(nodes(zenith, 120))
    flat_grid = Grid(UTM, LEFT, TOP, 1000, 4, 30, pixel_height=250)
    squares = Grid(UTM, LEFT + 375, TOP, 250, 4, 120)
    np.testing.assert_allclose(grids.sun(flat_grid)[0], grids.sun(squares)[0][:, ::4], rtol=1e-6)
