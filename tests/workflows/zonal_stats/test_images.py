"""Images of fields out of an EOPatch: the right pixels, one stretch for all dates."""

from __future__ import annotations

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox
from shapely.geometry import box

from eotasks.errors import FeatureError, GridError
from eotasks.models.sentinel2 import BANDS
from eotasks.workflows.zonal_stats.images import field_images
from tests.builders.zonal.field_tables import dates

WEST, SOUTH = 400_000.0, 5_000_000.0
FIELD = box(WEST + 300, SOUTH + 300, WEST + 360, SOUTH + 340)


@pytest.fixture(scope="module")
def patch() -> EOPatch:
    """60 x 60 pixels of 10 m: reflectance grows to the east, and on the second date all is cloud."""
    bands = np.broadcast_to(np.linspace(0.05, 0.2, 60)[:, np.newaxis], (3, 60, 60, 13)).astype(np.float32).copy()
    bands[..., BANDS.index("B02")] += 0.08
    bands[1] = 0.9
    bands[2, :, :31] = 0
    made = EOPatch(bbox=BBox((WEST, SOUTH, WEST + 600, SOUTH + 600), CRS("32633")), timestamps=dates(3))
    made[FeatureType.DATA, "BANDS"] = bands
    made[FeatureType.MASK, "IS_VALID"] = np.stack([np.full((60, 60, 1), each) for each in (True, False, True)])
    return made


def test_an_image_for_each_date_around_the_field(patch: EOPatch) -> None:
    found = field_images(patch, FIELD)
    assert [each.time for each in found] == dates(3)
    left, bottom, right, top = found[0].bounds
    assert left <= WEST + 240 < WEST + 420 <= right
    assert bottom <= SOUTH + 260 < SOUTH + 380 <= top
    assert found[0].picture.shape == ((top - bottom) / 10, (right - left) / 10, 3)
    assert (np.diff(found[0].picture[0, :, 0].astype(int)) >= 0).all()  # brighter to the east


def test_cloud_is_white_and_no_data_grey(patch: EOPatch) -> None:
    found = field_images(patch, FIELD, clear_feature=(FeatureType.MASK, "IS_VALID"))
    assert (found[1].picture == 255).all()
    assert len(np.unique(found[2].picture[:, 0])) == 1
    np.testing.assert_array_equal(found[2].picture[:, -1], found[0].picture[:, -1])  # one stretch


def test_digital_numbers_give_the_same(patch: EOPatch) -> None:
    other = patch.copy(deep=True)
    other[FeatureType.DATA, "BANDS"] = np.rint(patch[FeatureType.DATA, "BANDS"] * 10_000).astype(np.uint16)
    for one, two in zip(field_images(patch, FIELD), field_images(other, FIELD), strict=True):
        np.testing.assert_allclose(one.picture.astype(int), two.picture, atol=1)


def test_at_the_edge_and_beyond(patch: EOPatch) -> None:
    found = field_images(patch, box(WEST, SOUTH, WEST + 50, SOUTH + 50))
    assert found[0].bounds[:2] == (WEST, SOUTH)
    with pytest.raises(GridError, match="outside of the EOPatch"):
        field_images(patch, box(WEST + 2000, SOUTH, WEST + 2050, SOUTH + 50))
    with pytest.raises(FeatureError, match="no L1C"):
        field_images(patch, FIELD, bands_feature=(FeatureType.DATA, "L1C"))
