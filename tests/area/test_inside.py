"""Which pixels lie inside of an area: those whose centres do, in any system, also over the antimeridian."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
import shapely
from eolearn.core import EOPatch, FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox, Geometry

from eotasks import snap_bbox
from eotasks.area.inside import AddInsideAreaTask, inside_area
from eotasks.errors import AreaError, FeatureError

BOX = BBox((500_000, 5_100_000, 500_400, 5_100_300), CRS("EPSG:32633"))
INSIDE, LIKE = (FeatureType.MASK_TIMELESS, "INSIDE"), (FeatureType.DATA, "FEATURES")


def test_pixels_whose_centres_lie_inside() -> None:
    area = Geometry(shapely.box(500_011, 5_100_000, 500_024, 5_100_294), CRS("EPSG:32633"))
    mask = inside_area(area, BOX, (30, 40))
    assert mask.dtype == bool
    assert mask.sum() == 29
    assert mask[1:, 1].all()  # its column 1 has its centre at 15 m, column 2 at 25 m
    assert not mask[:, [0, 3]].any()


@pytest.mark.parametrize("form", ["jumps", "cut", "beyond"])
def test_areas_over_the_antimeridian(form: str) -> None:
    """Every centre is asked by itself."""
    shapes = {
        "jumps": shapely.Polygon([(179.99, -17.0), (-179.995, -17.0), (-179.99, -16.985), (179.99, -16.99)]),
        "beyond": shapely.Polygon([(179.99, -17.0), (180.005, -17.0), (180.01, -16.985), (179.99, -16.99)]),
    }
    whole = shapes["beyond"]
    west, east = whole.intersection(shapely.box(0, -90, 180, 90)), whole.intersection(shapely.box(180, -90, 200, 90))
    shapes["cut"] = shapely.MultiPolygon([west, shapely.transform(east, lambda points: points - [360, 0])])
    box = snap_bbox(BBox((179.985, -17.005, 180.015, -16.98), CRS.WGS84), 20)
    rows, columns = round((box.max_y - box.min_y) / 20), round((box.max_x - box.min_x) / 20)
    mask = inside_area(Geometry(shapes[form], CRS.WGS84), box, (rows, columns))
    x = box.min_x + 20 * (np.arange(columns) + 0.5)
    y = box.max_y - 20 * (np.arange(rows) + 0.5)
    grid_x, grid_y = np.meshgrid(x, y)
    longitude, latitude = pyproj.Transformer.from_crs(box.crs.epsg, 4326, always_xy=True).transform(grid_x, grid_y)
    due = shapely.contains_xy(whole, longitude % 360, latitude)
    assert 0.1 < due.mean() < 0.9
    assert (mask != due).sum() <= 3, "an edge may pass a centre by less than a centimetre"


def test_the_task_takes_the_size_of_a_feature() -> None:
    patch = EOPatch(bbox=BOX, timestamps=["2019-06-01"])
    patch[LIKE] = np.zeros((1, 30, 40, 2), np.float32)
    area = Geometry(shapely.box(500_000, 5_100_000, 500_200, 5_100_300), CRS("EPSG:32633"))
    found = AddInsideAreaTask(INSIDE, area=area, like=LIKE).execute(patch)[INSIDE]
    assert (found.shape, found.dtype) == ((30, 40, 1), bool)
    assert found[:, :20].all()
    assert not found[:, 20:].any()
    far = Geometry(shapely.box(0, 5_100_000, 200, 5_100_300), CRS("EPSG:32633"))
    assert not AddInsideAreaTask(INSIDE, area=far, like=LIKE).execute(patch)[INSIDE].any()


def test_what_is_refused() -> None:
    area = Geometry(shapely.box(0, 0, 1, 1), CRS.WGS84)
    with pytest.raises(AreaError, match="empty"):
        AddInsideAreaTask(INSIDE, area=Geometry(shapely.Polygon(), CRS.WGS84), like=LIKE)
    with pytest.raises(FeatureError, match="add it first"):
        AddInsideAreaTask(INSIDE, area=area, like=LIKE).execute(EOPatch(bbox=BOX))
