"""Boxes that are whole pixels, and those that become so."""

from __future__ import annotations

import re

import geopandas as gpd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.errors import ConfigurationError, GridError
from eotasks.sources.bbox import grid_of_bbox, snap_bbox

UTM33 = CRS("32633")


@settings(max_examples=100, deadline=None)
@given(
    st.floats(2e5, 8e5), st.floats(0, 9e6), st.floats(0.1, 1e4), st.floats(0.1, 1e4), st.sampled_from([10, 20, 60, 2.5])
)  # fmt: skip
def test_snapped_boxes_are_whole_pixels_around_the_box(
    left: float, bottom: float, width: float, height: float, resolution: float
) -> None:
    box = BBox((left, bottom, left + width, bottom + height), UTM33)
    snapped = snap_bbox(box, resolution)
    grid = grid_of_bbox(snapped, resolution)
    assert snapped.crs is UTM33
    assert snapped.geometry.buffer(1e-4).contains(box.geometry)
    assert grid.width * resolution < width + 2 * resolution + 1e-3
    assert grid.height * resolution < height + 2 * resolution + 1e-3
    assert all(value % resolution == 0 for value in snapped)
    assert snap_bbox(snapped, resolution) == snapped


@pytest.mark.parametrize(
    ("box", "crs", "zone"),
    [
        ((12.5, 52.4, 12.6, 52.5), "4326", "32633"),
        ((179.98, -16.82, 180.04, -16.78), "4326", "32701"),
        ((-180.04, -16.82, -179.98, -16.78), "4326", "32760"),
        ((1_391_000, 6_870_000, 1_392_000, 6_871_000), "3857", "32633"),
        ((45_000, 45_000, 46_000, 46_000), "2263", "32618"),  # feet
    ],
)
def test_boxes_that_are_not_in_metres_come_to_their_utm_zone(box: tuple[float, ...], crs: str, zone: str) -> None:
    given_box = BBox(box, CRS(crs))
    snapped = snap_bbox(given_box, 10)
    assert snapped.crs.value == zone
    there = gpd.GeoSeries([given_box.geometry.segmentize(max(box[2] - box[0], 0.1) / 20)], crs=int(crs)).to_crs(
        int(zone)
    )
    assert snapped.geometry.buffer(0.01).contains(there.iloc[0])
    assert snapped.geometry.area < there.iloc[0].envelope.buffer(20).area * 1.1
    with pytest.raises(GridError, match=re.escape(f"BBox({tuple(snapped)}, CRS('{zone}'))")):
        grid_of_bbox(given_box, 10)
    assert grid_of_bbox(snapped, 10)


def test_metres_of_web_mercator_are_refused_for_what_they_are() -> None:
    box = BBox((1_391_000, 8_399_000, 1_392_000, 8_400_000), CRS("3857"))
    with pytest.raises(GridError, match=r"EPSG:3857, whose metres are not the ground's: .* one is 0\.50 m .* UTM zone"):
        grid_of_bbox(box, 10)


def test_near_the_equator_they_are() -> None:
    assert grid_of_bbox(BBox((1_391_000, 99_000, 1_392_000, 100_000), CRS("3857")), 10).shape == (100, 100)


def test_what_cannot_be_snapped() -> None:
    with pytest.raises(GridError, match="latitude 119"):
        snap_bbox(BBox((45, 118, 46, 119), CRS.WGS84), 10)
    with pytest.raises(GridError, match=r"degrees are no metres.*latitude 119"):
        grid_of_bbox(BBox((45, 118, 46, 119), CRS.WGS84), 10)
    with pytest.raises(ConfigurationError, match="above 0"):
        snap_bbox(BBox((0, 0, 1, 1), UTM33), 0)


def test_a_point_becomes_a_pixel() -> None:
    assert tuple(snap_bbox(BBox((500_000, 0, 500_000, 0), UTM33), 10)) == (500_000, 0, 500_010, 10)
