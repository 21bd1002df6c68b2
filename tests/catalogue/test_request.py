from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from eotasks.catalogue.request import SearchRequest, area_of, interval_of, tile_of
from eotasks.errors import ConfigurationError, EOTasksError, GridError


def test_a_day_means_all_of_it() -> None:
    start, end = interval_of(("2024-05-01", dt.date(2024, 5, 2)))
    assert start == dt.datetime.fromisoformat("2024-05-01T00:00:00")
    assert end == dt.datetime.fromisoformat("2024-05-02T23:59:59.999999")


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2024-05-01T10:20:30", dt.datetime.fromisoformat("2024-05-01T10:20:30")),
        ("2024-05-01T10:20:30Z", dt.datetime.fromisoformat("2024-05-01T10:20:30")),
        ("2024-05-01T12:20:30+02:00", dt.datetime.fromisoformat("2024-05-01T10:20:30")),
        (dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC), dt.datetime.fromisoformat("2024-05-01T10:00:00")),
        (None, None),
    ],
)
def test_times_become_naive_utc(moment: Any, expected: dt.datetime | None) -> None:
    assert interval_of((moment, None)) == (expected, None)


@pytest.mark.parametrize(("text", "tile"), [("33UUU", "33UUU"), ("t33uuu", "33UUU"), ("5QKB", "05QKB"), (None, None)])
def test_tiles(text: str | None, tile: str | None) -> None:
    assert tile_of(text) == tile


def test_a_box_in_metres_is_curved_in_degrees() -> None:
    """A wide box in UTM: the middle of its northern edge lies higher than the corners, in degrees."""
    area = area_of((200_000, 6_000_000, 800_000, 6_100_000), None, "EPSG:32633")
    assert area is not None
    corner = shapely.get_coordinates(area.boundary)[:, 1]
    middle = area.intersection(shapely.LineString([(15, 50), (15, 60)])).bounds
    assert middle[3] == pytest.approx(55.04, abs=0.02)
    assert corner.max() == pytest.approx(middle[3], abs=1e-3)
    assert area.bounds[1] < middle[1] - 0.05


def test_across_the_antimeridian() -> None:
    request = SearchRequest.of(bbox=(179, -1, -179, 1))
    assert sorted(request.boxes) == [(-180, -1, -179, 1), (179, -1, 180, 1)]
    metres = SearchRequest.of(bbox=(800_000, 7_900_000, 1_000_000, 8_000_000), crs="EPSG:32760")
    assert len(metres.boxes) == 2
    assert metres.area is not None
    assert metres.area.area < 3


def test_one_box_elsewhere_and_none_for_the_world() -> None:
    assert SearchRequest.of(bbox=(-10, -10, 10, 10)).boxes == [(-10, -10, 10, 10)]
    assert SearchRequest.of().boxes == []


@settings(max_examples=40, deadline=None)
@given(st.floats(-179, 179), st.floats(-80, 79), st.floats(0.001, 100), st.floats(0.001, 1))
def test_boxes_hold_the_area(west: float, south: float, width: float, height: float) -> None:
    east = west + width if west + width <= 180 else west + width - 360
    request = SearchRequest.of(bbox=(west, south, east, south + height))
    assert request.area is not None
    boxes = shapely.union_all([box(*each) for each in request.boxes])
    assert request.area.difference(boxes.buffer(1e-9)).is_empty
    assert request.area.area == pytest.approx(width * height, rel=1e-3, abs=1e-9)


def test_geojson_and_heights_are_taken() -> None:
    area = area_of(
        None, {"type": "Polygon", "coordinates": [[[0, 0, 5], [1, 0, 5], [1, 1, 5], [0, 0, 5]]]}, "EPSG:4326"
    )
    assert area is not None
    assert not area.has_z


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"bbox": (0, 0, 1, 1), "intersects": box(0, 0, 1, 1)}, ConfigurationError, "one of them"),
        ({"bbox": (0, 1, 1, 0)}, GridError, "empty"),
        ({"bbox": (5, 0, 1, 1), "crs": "EPSG:32633"}, GridError, "empty"),
        ({"bbox": (0, 0, 1)}, GridError, "four"),
        ({"bbox": (0, 0, float("nan"), 1)}, GridError, "finite"),
        ({"bbox": (500_000, 5_000_000, 510_000, 5_010_000)}, GridError, "no place on Earth"),
        ({"bbox": (0, 0, 1, 1), "crs": "EPSG:99999"}, GridError, "not known"),
        ({"intersects": {"type": "Nothing"}}, ConfigurationError, "no geometry"),
        ({"intersects": shapely.Point()}, ConfigurationError, "empty"),
        ({"time_interval": ("2024-05-02", "2024-05-01")}, ConfigurationError, "ends before"),
        ({"time_interval": ("May", None)}, ConfigurationError, "no time"),
        ({"time_interval": "2024-05-01"}, ConfigurationError, "two times"),
        ({"max_cloud_cover": 80}, ConfigurationError, "0 to 1"),
        ({"level": "L3A"}, ConfigurationError, "L1C or L2A"),
        ({"tile": "33III"}, ConfigurationError, "military grid"),
        ({"limit": 0}, ConfigurationError, "above 0"),
    ],
)
def test_refused(arguments: dict[str, Any], error: type[EOTasksError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        SearchRequest.of(**arguments)
    assert "\n" not in str(caught.value)
