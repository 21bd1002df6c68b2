"""The second workflow: what its maps follow from."""

from __future__ import annotations

import shapely
from sentinelhub.constants import CRS
from sentinelhub.geometry import Geometry

from eotasks.workflows.land_cover.mapping import digest_of


def test_the_same_numbers_in_another_zone_are_another_area() -> None:
    shape, moved = (
        shapely.box(500_000, 5_100_000, 500_400, 5_100_300),
        shapely.box(500_000, 5_100_000, 500_400, 5_100_310),
    )
    digest = digest_of(Geometry(shape, CRS("EPSG:32633")))
    assert digest == digest_of(Geometry(shape, CRS("EPSG:32633")))
    assert digest != digest_of(Geometry(shape, CRS("EPSG:32634")))
    assert digest != digest_of(Geometry(moved, CRS("EPSG:32633")))
