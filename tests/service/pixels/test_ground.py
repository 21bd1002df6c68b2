"""Where products may lie under a request: no more of it is looked at for each, and nothing is lost by that."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.warp import transform, transform_bounds

from eotasks.imagery.grid import Grid
from eotasks.imagery.pixels import places as places_module
from eotasks.imagery.pixels.places import Places
from eotasks.service.evalscript.setup import Mosaicking
from eotasks.service.pixels import ground
from eotasks.service.pixels import mosaicking as strips
from eotasks.service.pixels.ground import Canvas
from tests.builders.products import LEFT, TOP, UTM
from tests.builders.service.pixels import SIDE, area, asked, made, noise, planes_of, reader

WHOLE = slice(0, 40), slice(0, 48)
SYSTEMS = {"EPSG:4326": 0.02, "EPSG:3857": 2_000.0, "EPSG:3035": 1_500.0, "EPSG:3413": 1_500.0, UTM: 1_500.0}
"""Each with the side of a pixel."""


@given(
    st.sampled_from(sorted(SYSTEMS)),
    st.sampled_from([(15.0, 50.0), (179.9, 66.0), (-179.9, 66.0), (15.0, 80.0), (3.0, 0.1)]),
    st.tuples(st.floats(-1, 2), st.floats(-1, 2)),
    st.integers(-1, 1),
)
def test_the_window_of_a_product_has_all_of_its_pixels_property(
    crs: str, place: tuple[float, float], shift: tuple[float, float], zone: int
) -> None:
    """A tile anywhere near a grid of 40 x 48 wide pixels, in its own zone of UTM or one beside it."""
    if crs == UTM and abs(place[0] - 15) > 20:
        return
    longitude, latitude = place
    (x,), (y,) = transform("EPSG:4326", crs, [longitude], [latitude])
    size = SYSTEMS[crs]
    grid = Grid(crs, x - shift[0] * 40 * size, y + shift[1] * 40 * size, size, 40, 48)
    number = (int((longitude + 180) // 6) + zone) % 60 + 1
    system = CRS.from_epsg(32600 + number)
    (east,), (north,) = transform("EPSG:4326", system, [longitude], [latitude])
    product = Grid(system.to_string(), east - 50_000, north + 50_000, 10, 10_980, 10_980)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ground, "_WIDE", 0)
        window = Canvas(grid, None).window_under(product, WHOLE)
    places = Places.of(grid, system)
    left, bottom, right, top = product.bounds
    inside = np.broadcast_to(
        (places.x >= left) & (places.x <= right) & (places.y >= bottom) & (places.y <= top), grid.shape
    ).copy()
    if window is not None:
        inside[window] = False
    assert not inside.any()


def test_a_product_under_the_edge_of_few_rows_is_not_lost() -> None:
    """Between its corners, 117 km from each other, the last cell of these ten rows hangs down by a kilometre."""
    across = 1_500 / 111_320 / np.cos(np.radians(75))
    grid = Grid("EPSG:4326", 15 - 2_461 * across, 75, across, 10, 2_500, pixel_height=10 / 111_320)
    (x,), (y,) = transform("EPSG:4326", UTM, [15], [75])
    product = Grid(UTM, x - 54_900, y + 300, 10, 10_980, 10_980)
    window = Canvas(grid, None).window_under(product, (slice(0, 10), slice(0, 2_500)))
    assert window is not None
    assert window[1].start <= 2_461 < window[1].stop


def test_a_product_has_a_small_part_of_a_wide_request() -> None:
    grid = Grid("EPSG:3035", 2_600_000, 4_900_000, 1_500, 2_500, 2_500)
    product = Grid(UTM, 300_000, 5_900_040, 10, 10_980, 10_980)
    window = Canvas(grid, None).window_under(product, (slice(0, 2_500), slice(0, 2_500)))
    assert window is not None
    assert all(each.stop - each.start < 500 for each in window)
    far = Grid("EPSG:32640", 300_000, 5_900_040, 10, 10_980, 10_980)
    assert Canvas(grid, None).window_under(far, (slice(0, 2_500), slice(0, 2_500))) is None


def test_few_systems_are_kept_and_few_pixels_found_by_themselves_are_those_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ground, "PLACES_BYTES", 4 * 30 * 40 * 16)
    grid = Grid("EPSG:3035", 4_300_000, 3_400_000, 1_000, 30, 40)
    canvas = Canvas(grid, None)
    rows, columns = slice(3, 9), slice(20, 31)
    part = canvas.places_of(rows, columns)
    for zone in range(29, 37):
        crs = CRS.from_epsg(32600 + zone)
        few = part(crs)
        assert few is part(crs)
        whole = canvas.places(crs).part(rows, columns)
        np.testing.assert_array_equal(few.x, whole.x)
        np.testing.assert_array_equal(few.y, whole.y)
    assert len(canvas._places) == 4
    monkeypatch.setattr(ground, "PLACES_BYTES", 30 * 40 * 16 - 1)
    few = Canvas(grid, None)
    everything = few.places_of(slice(0, 30), slice(0, 40))(crs)
    np.testing.assert_array_equal(everything.x, canvas.places(crs).x)
    assert not few._places, "all of them are too many to be kept"


def test_an_image_in_another_system_takes_little_more_than_its_planes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Places of a strip are worked on at a time; lists of those of all pixels took 50 bytes for each byte of B02."""
    monkeypatch.setattr(strips, "STRIP_PLACES", 5_000)
    monkeypatch.setattr(places_module, "_AT_ONCE", 1_000)
    source = reader(made(tmp_path / "P", {"B02": noise("B02")}, processing_baseline="02.04"))
    bounds = transform_bounds(UTM, "EPSG:3857", LEFT + 50, TOP - SIDE + 50, LEFT + SIDE - 50, TOP - 50)
    where, small = (area(bounds=bounds, crs="EPSG:3857", shape=shape) for shape in ((250, 250), (5, 5)))
    planes_of(source, small, ["B02"])
    tracemalloc.start()
    try:
        found = planes_of(source, where, ["B02"])["B02"].values
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.all()
    assert peak < (2 + 16 + 20) * 250 * 250, "planes, places that are kept, and a part of what is worked on"
    monkeypatch.undo()
    np.testing.assert_array_equal(planes_of(source, where, ["B02"])["B02"].values, found)


def test_products_of_two_zones_are_the_same_however_little_of_the_request_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (x,), (y,) = transform(UTM, "EPSG:32632", [LEFT + SIDE / 2], [TOP])
    first, second = noise("B02"), noise("B02", 1)
    first[:, 70:] = 0
    products = (
        made(tmp_path / "P33", {"B02": first}),
        made(tmp_path / "P32", {"B02": second}, of_tile="32UQD", crs="EPSG:32632", left=round(x, -1), top=round(y, -1)),
    )
    bounds = (LEFT - 2 * SIDE, TOP - 2 * SIDE, LEFT + 4 * SIDE, TOP + SIDE)
    where = area(bounds=bounds, size=20)
    expected = planes_of(reader(*products), where, ["B02", "dataMask"], asked())
    monkeypatch.setattr(ground, "_WIDE", 0)
    monkeypatch.setattr(ground, "_LARGE_PART", 2)
    for mosaicking in (Mosaicking.SIMPLE, Mosaicking.ORBIT):
        found = planes_of(reader(*products), where, ["B02", "dataMask"], asked(), mosaicking)
        for band, plane in expected.items():
            np.testing.assert_array_equal(found[band].values[0], plane.values[0])
    assert {1, 0} == set(np.unique(expected["dataMask"].values))


@pytest.mark.parametrize(
    ("crs", "across", "down"),
    [
        (UTM, 1_000, 1_000),
        ("EPSG:2263", 3_280.83, 3_280.83),
        ("EPSG:4326", 0.01797, 0.008983),
        ("EPSG:4807", 0.01699, 0.009981),
    ],
    ids=["metres", "feet", "degrees", "grads"],
)
def test_a_search_looks_a_kilometre_beyond_the_area_in_any_unit(crs: str, across: float, down: float) -> None:
    """In feet it was 300 m, as far as footprints may be off; in grads it was the world."""
    left, bottom, right, top = ground.around(area(bounds=(5, 59, 6, 60), crs=crs, shape=(2, 2))).bounds
    np.testing.assert_allclose((5 - left, right - 6, 59 - bottom, top - 60), (across, across, down, down), rtol=1e-3)
