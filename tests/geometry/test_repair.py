"""Rings that are no honest mistake are refused before GEOS takes room for them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely

from eotasks.area import read_area
from eotasks.catalogue.request import area_of
from eotasks.errors import AreaError, GeometryError, GridError
from eotasks.geometry.degrees import to_degrees
from eotasks.geometry.repair import repaired

SQUARE = [[14.0, 46.0], [14.1, 46.0], [14.1, 46.1], [14.0, 46.1]]


def test_a_ring_that_goes_round_and_round_is_refused(tmp_path: Path) -> None:
    """Of 240 kB of such a text GEOS made 7 GB."""
    ring = shapely.Polygon(SQUARE * 300)
    with pytest.raises(GeometryError, match="its own edges again and again"):
        repaired(ring)
    with pytest.raises(GridError, match="its own edges again and again"):
        area_of(None, ring, "EPSG:4326")
    path = tmp_path / "area.geojson"
    feature = {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(ring)}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    with pytest.raises(AreaError, match="its own edges again and again"):
        read_area(file=path)


def test_honest_mistakes_are_mended() -> None:
    parcels = shapely.MultiPolygon([shapely.box(x, y, x + 1, y + 1) for x in range(30) for y in range(30)])
    assert not parcels.is_valid
    assert repaired(parcels).area == pytest.approx(900)
    still = np.repeat([[0, 0], [1, 1], [1, 0], [0, 1]], 500, axis=0)  # a bow, each corner said 500 times
    assert repaired(shapely.Polygon(still)).area == pytest.approx(0.5)


def test_what_a_projection_cannot_show_is_refused() -> None:
    with pytest.raises(GeometryError, match="outside of what its coordinate system can show"):
        to_degrees(shapely.Polygon([(301_000, 5_800_000), (30_200_000, 5_800_000), (302_000, 5_801_000)]), "EPSG:32633")
