"""Coordinate systems, boxes, polygons and sizes of strangers: an area, or a refusal."""

from __future__ import annotations

import json
import math
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings

from eotasks.service.contract.ground import area_of, crs_of, geometry_of
from eotasks.service.contract.request import Bounds, CrsProperties
from eotasks.service.errors import RequestError

UTM = CrsProperties(crs="http://www.opengis.net/def/crs/EPSG/0/32633")
SQUARE = [[0.0, 0.0], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("text", "crs"),
    [
        (None, "EPSG:4326"),
        ("http://www.opengis.net/def/crs/OGC/1.3/CRS84", "EPSG:4326"),
        ("http://www.opengis.net/def/crs/EPSG/0/4326", "EPSG:4326"),
        ("https://www.opengis.net/def/crs/EPSG/0/3857", "EPSG:3857"),
        ("http://www.opengis.net/gml/def/crs/EPSG/0/32633", "EPSG:32633"),
        ("urn:ogc:def:crs:EPSG::32733", "EPSG:32733"),
        ("EPSG:3035", "EPSG:3035"),
        (" epsg:3035 ", "EPSG:3035"),
    ],
)
def test_systems(text: str | None, crs: str) -> None:
    assert crs_of(text) == crs


@pytest.mark.parametrize(
    "text",
    [
        "", "32633", "EPSG:99999", "EPSG:4979", "EPSG:5773", "EPSG:4978", "http://evil.example/EPSG/0/4326",
        "file:///etc/passwd", "+proj=utm +zone=33", "EPSG:32633\n", "EPSG:³²⁶³³",
    ],
)  # fmt: skip
def test_systems_that_are_none(text: str) -> None:
    if text == "EPSG:32633\n":
        assert crs_of(text) == "EPSG:32633"
        return
    with pytest.raises(RequestError, match=r"properties\.crs"):
        crs_of(text)


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ({}, (256, 256)),
        ({"width": 12}, (256, 12)),
        ({"height": 12}, (12, 256)),
        ({"width": 3, "height": 2}, (2, 3)),
        ({"resx": 10.0, "resy": 20.0}, (46, 33)),
        ({"resx": 600.0, "resy": 1_500.0}, (1, 1)),
    ],
    ids=str,
)
def test_size(size: dict[str, Any], shape: tuple[int, int]) -> None:
    """332.8 x 923.0 m at 10 m are 33 x 92 in the documented example: extent / size, rounded."""
    area = area_of(Bounds(properties=UTM, bbox=[0.0, 0.0, 332.8, 923.0]), **size)
    assert (area.height, area.width) == shape
    assert (area.crs, area.bounds) == ("EPSG:32633", (0.0, 0.0, 332.8, 923.0))


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ({"width": 2501}, "2,501"),
        ({"width": 10**400}, "width"),
        ({"height": -1}, "height"),
        ({"width": 5, "resx": 1.0}, "one of the pairs"),
        ({"resx": 1.0}, "give both"),
        ({"resx": 0.0, "resy": 1.0}, "above 0"),
        ({"resx": -1.0, "resy": 1.0}, "above 0"),
        ({"resx": math.nan, "resy": 1.0}, "above 0"),
        ({"resx": 1e-300, "resy": 1e-300}, "1,000,000,000"),
        ({"resx": 1e6, "resy": 1.0}, r"resx.*less than half a pixel"),
        ({"resx": 10.0, "resy": 1e308}, r"resy.*less than half a pixel"),
        ({"resx": 0.1, "resy": 0.1}, "3,328"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_sizes_that_are_none(size: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        area_of(Bounds(properties=UTM, bbox=[0.0, 0.0, 332.8, 923.0]), **size)


@pytest.mark.parametrize(
    "bbox",
    [
        [], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0],
        [0.0, 0.0, 0.0, 1.0], [math.nan, 0.0, 1.0, 1.0], [0.0, 0.0, math.inf, 1.0], [0.0, 0.0, 1e300, 1.0],
        [400_000.0, 0.0, 400_100.0, 1.0], [0.0, 0.0, 1.0, 91.0],
    ],
    ids=str,
)  # fmt: skip
def test_boxes_that_are_none(bbox: list[float]) -> None:
    with pytest.raises(RequestError, match=r"input\.bounds"):
        area_of(Bounds(bbox=bbox))


def test_a_polygon_gives_the_box() -> None:
    area = area_of(Bounds(properties=UTM, geometry={"type": "Polygon", "coordinates": [SQUARE]}), resx=1.0, resy=1.0)
    assert (area.bounds, area.height, area.width) == ((0, 0, 10, 10), 10, 10)
    assert area.geometry is not None
    assert area.geometry.area == 100


def test_a_box_and_a_polygon() -> None:
    area = area_of(
        Bounds(properties=UTM, bbox=[0.0, 0.0, 20.0, 20.0], geometry={"type": "Polygon", "coordinates": [SQUARE]})
    )
    assert area.bounds == (0, 0, 20, 20)
    assert area.geometry is not None
    assert area.geometry.bounds == (0, 0, 10, 10)


@pytest.mark.parametrize(
    ("document", "area"),
    [
        ({"type": "Polygon", "coordinates": [SQUARE, [[2, 2], [4, 2], [4, 4], [2, 4], [2, 2]]]}, 96),
        ({"type": "MultiPolygon", "coordinates": [[SQUARE], [[[20, 0], [30, 0], [30, 10]]]]}, 150),
        ({"type": "Polygon", "coordinates": [[[0, 0, 5], [10, 0, 5], [10, 10, 5]]]}, 50),
        ({"type": "Polygon", "coordinates": [[[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]]}, 50),
        ({"type": "Polygon", "coordinates": [SQUARE], "crs": {"type": "name"}}, 100),
    ],
    ids=["hole", "several", "heights, open ring", "crosses itself", "other fields"],
)
def test_polygons(document: dict[str, Any], area: float) -> None:
    shape = geometry_of(document)
    assert shape.is_valid
    assert shape.area == pytest.approx(area)


@pytest.mark.parametrize(
    "document",
    [
        {}, {"type": "Point", "coordinates": [0, 0]}, {"type": "Polygon"}, {"type": "Polygon", "coordinates": []},
        {"type": "Polygon", "coordinates": [[]]}, {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [2, 2], [0, 0]]]},
        {"type": "Polygon", "coordinates": [[["0", 0], [1, 1], [2, 0]]]},
        {"type": "Polygon", "coordinates": [[[True, 0], [1, 1], [2, 0]]]},
        {"type": "Polygon", "coordinates": [[[None, 0], [1, 1], [2, 0]]]},
        {"type": "Polygon", "coordinates": [[[math.nan, 0], [1, 1], [2, 0]]]},
        {"type": "Polygon", "coordinates": [[[1e999, 0], [1, 1], [2, 0]]]},
        {"type": "Polygon", "coordinates": [[[10**400, 0], [1, 1], [2, 0]]]},
        {"type": "Polygon", "coordinates": [[[[0]], [1, 1], [2, 0]]]},
        {"type": "Polygon", "coordinates": {"a": 1}}, {"type": ["Polygon"], "coordinates": [SQUARE]},
        {"type": "MultiPolygon", "coordinates": [SQUARE]},
        {"type": "Polygon", "coordinates": [[[i % 7, (i * i) % 11] for i in range(3000)]]},
        {"type": "MultiPolygon", "coordinates": [[SQUARE]] * 1_001},
        {"type": "Polygon", "coordinates": [[[i, i % 2] for i in range(5_001)]]},
        {"type": "GeometryCollection", "geometries": []},
    ],
    ids=[
        "nothing", "point", "no coordinates", "no rings", "empty ring", "two corners", "line", "text", "boolean",
        "null", "nan", "infinite", "huge", "deep", "object", "type is a list", "flat", "crosses everywhere",
        "many parts",
        "many corners", "collection",
    ],
)  # fmt: skip
def test_geometries_that_are_none(document: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=r"input\.bounds\.geometry"):
        geometry_of(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=50)
@given(JSON, st.sampled_from(["Polygon", "MultiPolygon"]))
@example([[[0, 0], [1e-320, 0], [0, 1e-320]]], "Polygon")
@example([[[0, 0], [1e9 - 1, 0], [0, 1e9 - 1]]], "Polygon")
def test_any_coordinates(coordinates: Any, kind: str) -> None:
    try:
        shape = geometry_of({"type": kind, "coordinates": coordinates})
    except RequestError as error:
        message = str(error)
    else:
        message = "taken"
        assert shape.area > 0
    assert len(message) < 500


def test_nothing_is_printed_of_a_hostile_name() -> None:
    with pytest.raises(RequestError) as error:
        crs_of("\x1b[2J" * 1000)
    assert "\x1b" not in str(error.value)
    assert len(json.dumps(str(error.value))) < 400


@pytest.mark.parametrize("code", [None, "EPSG:4258"])
def test_metres_for_degrees_are_no_image_of_one_pixel(code: str | None) -> None:
    bounds = Bounds(properties=CrsProperties(crs=code), bbox=[13.0, 45.0, 13.1, 45.1])
    with pytest.raises(RequestError, match="resx is 10, in degrees"):
        area_of(bounds, resx=10.0, resy=10.0)
    assert area_of(bounds, resx=0.001, resy=0.001).width == 100
