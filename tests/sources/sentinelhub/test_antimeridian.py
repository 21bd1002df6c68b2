"""Areas over the antimeridian: both sides are searched, and no band round the world is asked for."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
import shapely.geometry
from hypothesis import given, settings
from hypothesis import strategies as st
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks import snap_bbox
from eotasks.errors import ConfigurationError, GridError
from eotasks.sources.sentinelhub import DownloadBandsTask, DownloadStatisticsTask, places
from eotasks.sources.sentinelhub.places import check_place, search_boxes
from tests.builders.inputs.sentinelhub import YEAR, expected
from tests.servers.made_service import MadeService

FIJI = snap_bbox(BBox((179.9995, -17, 180.0005, -16.999), CRS.WGS84), 10)
"""In UTM zone 1 or 60, on both sides."""

EDGE = 20_037_508.0
WEST, EAST, AUSTRALIA = (dt.datetime(2019, 6, day, 22, 10) for day in (1, 6, 11))  # noqa: DTZ001 - naive UTC


@pytest.fixture
def both_sides(service: MadeService) -> MadeService:
    """A scene that ends on each side of the antimeridian, and one far away at the same latitude."""
    service.times = [WEST, EAST, AUSTRALIA]
    service.places = {
        WEST: (179.0, -18.0, 180.0, -16.0),
        EAST: (-180.0, -18.0, -179.0, -16.0),
        AUSTRALIA: (130.0, -18.0, 131.0, -16.0),
    }
    return service


def test_scenes_of_both_sides_and_no_others(both_sides: MadeService) -> None:
    patch = DownloadBandsTask(bands=["B02"]).execute(bbox=FIJI, time_interval=YEAR)
    assert patch.timestamps == [WEST, EAST]
    for frame, day in enumerate((WEST, EAST)):
        want = expected("B02", FIJI, day).astype(np.float32) / np.float32(10_000)
        np.testing.assert_array_equal(patch.data["BANDS"][frame, ..., 0], want)
    boxes = [query["bbox"] for query in both_sides.searches]
    assert [(west > 179, east == 180) for west, _, east, _ in boxes] in ([(False, False), (True, True)],)
    assert all(east - west < 0.01 for west, _, east, _ in boxes)


def test_a_scene_of_both_sides_is_one_frame(both_sides: MadeService) -> None:
    both_sides.times = [WEST]
    both_sides.places = {}
    assert DownloadBandsTask(bands=["B02"]).execute(bbox=FIJI, time_interval=YEAR).timestamps == [WEST]
    assert len(both_sides.processes) == 1


@pytest.mark.parametrize("box", [(179.9995, -17, 180.0005, -16.999), (179.9995, -17, -179.9995, -16.999)])
def test_boxes_in_degrees_are_snapped_where_they_are(
    both_sides: MadeService, box: tuple[float, float, float, float]
) -> None:
    """Sentinelhub exchanges west and east of the second: a box round the world, which is known by its width."""
    patch = DownloadBandsTask(bands=["B02"], snap=True).execute(bbox=BBox(box, CRS.WGS84), time_interval=YEAR)
    assert patch.bbox == FIJI
    assert patch.timestamps == [WEST, EAST]
    assert patch.data["BANDS"].shape[1:3] == (
        round(FIJI.max_y - FIJI.min_y) // 10,
        round(FIJI.max_x - FIJI.min_x) // 10,
    )


@pytest.mark.parametrize(
    ("box", "message"),
    [
        (BBox((EDGE - 1000, -1_920_000, EDGE + 1000, -1_918_000), CRS(3857)), "beyond the edge of EPSG:3857.*EPSG:327"),
        (BBox((1000 - EDGE, -2000, EDGE - 1000, 0), CRS(3857)), r"360 degrees of longitude.*EPSG:327(01|60)"),
        (BBox((179.9, -17, -179.9, -16), CRS.WGS84), r"degrees are no metres.*EPSG:327(01|60)"),
    ],
)
def test_bands_round_the_world_are_refused(service: MadeService, box: BBox, message: str) -> None:
    with pytest.raises(GridError, match=message):
        DownloadBandsTask(bands=["B02"], size=(40, 40)).execute(bbox=box, time_interval=YEAR)
    assert service.tokens == []


def test_no_zone_is_looked_for_where_a_place_is_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> str:
        raise AssertionError("only for a message")

    monkeypatch.setattr(places, "_cure", none)
    check_place(shapely.box(500_000, 5_100_000, 500_400, 5_100_300), CRS("EPSG:32633"), "The box")
    with pytest.raises(AssertionError, match="only for a message"):
        check_place(shapely.box(0, 8e6, 100, 8e6 + 100), CRS(3857), "The box")


def test_snap_needs_a_resolution() -> None:
    with pytest.raises(ConfigurationError, match="snap=True"):
        DownloadBandsTask(bands=["B02"], size=(4, 4), snap=True)


def fields(*shapes: Any, crs: str | int) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(geometry=list(shapes), crs=crs)


JUMPS = shapely.box(-179.999, -17, 179.999, -16.999)  # as corners that jump are
CUT = shapely.MultiPolygon([shapely.box(179.999, -17, 180, -16.999), shapely.box(-180, -17, -179.999, -16.999)])


def test_polygons_over_the_antimeridian_are_asked_for_in_their_zone(service: MadeService) -> None:
    for shape in (JUMPS, CUT):
        polygons = fields(shape, crs=4326).to_crs("EPSG:32701")
        table = DownloadStatisticsTask(bands=["B04"]).execute(polygons=polygons, time_interval=YEAR)
        assert len(table.vector["STATISTICS"]) == len(service.times)
        asked = service.statistics[-1]["input"]["bounds"]
        assert asked["properties"]["crs"].endswith("/32701")
        west, _, east, _ = shapely.geometry.shape(asked["geometry"]).bounds
        assert 200 < east - west < 230


@pytest.mark.parametrize(
    ("polygons", "message"),
    [
        (fields(JUMPS, crs=4326), r"degrees.*to_crs\('EPSG:327(01|60)'\)"),
        (fields(CUT, crs=4326), r"degrees.*to_crs\('EPSG:327(01|60)'\)"),
        (fields(CUT, shapely.box(15, 46, 15.1, 46.1), crs=4326), r"degrees.*EPSG:32633.*a call of the task each"),
        (fields(shapely.box(0, 91, 1, 92), crs=4326), "beyond the pole"),
        (fields(JUMPS, crs=4326).to_crs(3857), r"Polygon 0 reaches over 360 degrees.*EPSG:327(01|60)"),
        (fields(CUT, crs=4326).to_crs(3857), r"Polygon 0 reaches over 360 degrees.*EPSG:327(01|60)"),
        (fields(shapely.box(EDGE - 100, -1e6, EDGE + 100, -999_900), crs=3857), "beyond the edge of EPSG:3857"),
        (fields(shapely.box(0, 8e6, 100, 8e6 + 100), crs=3857), "metres are not the ground's"),
        (fields(shapely.box(0, 46, 0.1, 46.1), crs=4326).to_crs(32638), "metres are not the ground's.*EPSG:32631"),
    ],
    ids=["jumps", "cut", "two zones", "pole", "jumps 3857", "cut 3857", "edge", "metres", "wrong zone"],
)
def test_polygons_of_another_place_are_refused(service: MadeService, polygons: gpd.GeoDataFrame, message: str) -> None:
    with pytest.raises(GridError, match=re.compile(message)):
        DownloadStatisticsTask(bands=["B04"]).execute(polygons=polygons, time_interval=YEAR)
    assert service.tokens == []


@settings(max_examples=25)
@given(st.floats(-180, 180), st.floats(-75, 80), st.floats(0.001, 0.3))
def test_any_box_of_a_utm_zone_is_searched_for_where_it_is_property(x: float, y: float, side: float) -> None:
    box = snap_bbox(BBox((x, y, x + side, y + side), CRS.WGS84), 10)
    check_place(shapely.box(*box), box.crs, "The box")
    boxes = search_boxes(box)
    assert sum(each.max_x - each.min_x for each in boxes) < 6 * side / np.cos(np.radians(abs(y) + side)) + 0.01
    found = [each for each in boxes if each.min_x <= _turned(x + side / 2) <= each.max_x]
    assert len(found) == 1
    assert found[0].min_y <= y + side / 2 <= found[0].max_y


def _turned(longitude: float) -> float:
    return (longitude + 180) % 360 - 180
