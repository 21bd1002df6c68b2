from __future__ import annotations

import pytest

from eotasks.errors import BandError
from eotasks.models.band_sets import band_names
from eotasks.models.sentinel2 import BANDS, CLOUD_BANDS


def test_names_by_count_and_by_hand() -> None:
    assert band_names(13) == BANDS
    assert band_names(10) == CLOUD_BANDS
    assert band_names(2, ["B08", "B04"]) == ("B08", "B04")


@pytest.mark.parametrize(("count", "names"), [(6, None), (0, None), (3, ["B08", "B04"])])
def test_other_counts_are_refused(count: int, names: list[str] | None) -> None:
    with pytest.raises(BandError, match=rf"the patch: .*\b{count} bands"):
        band_names(count, names, where="the patch")
