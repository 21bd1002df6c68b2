"""What a download would cost, the parts that it is cut into, and arguments that are refused before it begins."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from typing import Any

import pytest
from eolearn.core import EOPatch, FeatureType
from hypothesis import given, settings
from hypothesis import strategies as st
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.errors import BandError, ConfigurationError, CredentialsError, FeatureError, GridError
from eotasks.limits import GRID_PIXELS
from eotasks.sources.sentinelhub import DownloadBandsTask, plan, request_plan
from tests.builders.inputs.sentinelhub import PATCH, SIX, SMALL, TIMES, YEAR
from tests.servers.made_service import MadeService


@given(height=st.integers(1, 12_000), width=st.integers(1, 12_000))
@settings(max_examples=40, deadline=None)
def test_parts_cover_an_area_once(height: int, width: int) -> None:
    """Whole pixels, none twice, none left out, each part where its pixels are."""
    left, top = 300_000, 6_000_000
    parts = plan.split(BBox((left, top - 10 * height, left + 10 * width, top), CRS("EPSG:32633")), (height, width))
    rows = sorted({(part.rows.start, part.rows.stop) for part in parts})
    columns = sorted({(part.columns.start, part.columns.stop) for part in parts})
    assert len(parts) == len(rows) * len(columns)
    for edges, side in ((rows, height), (columns, width)):
        assert edges[0][0] == 0
        assert edges[-1][1] == side
        assert all(before[1] == after[0] for before, after in pairwise(edges))
        lengths = [stop - start for start, stop in edges]
        assert max(lengths) <= plan.MAX_PIXELS
        assert max(lengths) - min(lengths) <= 1
    for part in parts:
        corners = (left + 10 * part.columns.start, top - 10 * part.rows.stop, *part.bbox.upper_right)
        assert tuple(part.bbox) == pytest.approx(corners)
        assert part.bbox.upper_right == pytest.approx((left + 10 * part.columns.stop, top - 10 * part.rows.start))


@pytest.mark.parametrize(
    ("bbox", "error", "message"),
    [
        (BBox((330_000, 5_000_000, 930_000, 5_600_000), CRS("EPSG:32633")), GridError, "60,000 x 60,000 pixels"),
        (BBox((330_000, 5_700_000, 330_015, 5_700_020), CRS("EPSG:32633")), GridError, "no whole number"),
        (BBox((13.0, 52.0, 13.1, 52.1), CRS.WGS84), GridError, "degrees"),
        (None, ConfigurationError, "No bounding box"),
    ],
)
def test_refused_boxes(bbox: BBox | None, error: type[Exception], message: str) -> None:
    """Before credentials are looked for: these have none."""
    with pytest.raises(error, match=message):
        DownloadBandsTask(bands=SIX).execute(bbox=bbox, time_interval=YEAR)


@pytest.mark.parametrize(
    "interval",
    [
        ("2019-13-01", "2019-12-31"),
        ("last summer", "2019-12-31"),
        ("2019-12-31", "2019-01-01"),
        ("2019-01-01", None),
        ("2019-01-01",),
        "2019",
        (2019, 2020),
        (dt.datetime(2019, 1, 1), dt.datetime(2019, 2, 1, tzinfo=dt.UTC)),  # noqa: DTZ001 - mixed on purpose
        ("99999999999999999999", "2019-01-01"),
    ],
)
def test_intervals_are_checked_before_credentials(interval: Any) -> None:
    with pytest.raises(ConfigurationError, match="time_interval=") as caught:
        DownloadBandsTask(bands=["B02"]).execute(bbox=SMALL, time_interval=interval)
    assert not isinstance(caught.value, CredentialsError)
    assert "\n" not in str(caught.value)


def test_timestamps_of_the_eopatch_that_are_others(service: MadeService) -> None:
    eopatch = EOPatch(bbox=SMALL, timestamps=TIMES[:1])
    with pytest.raises(FeatureError, match=r"other timestamps than SENTINEL2_L1C in .*: give no interval"):
        DownloadBandsTask(bands=["B02"]).execute(eopatch, time_interval=YEAR)


def test_no_time() -> None:
    with pytest.raises(ConfigurationError, match="No time interval"):
        DownloadBandsTask(bands=SIX).execute(bbox=SMALL)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"bands": ["B02", "B17"]}, BandError, "SENTINEL2_L1C: band B17 is missing"),
        ({"bands": ["B10"], "data_collection": "SENTINEL2_L2A"}, BandError, "SENTINEL2_L2A: band B10"),
        ({"bands": []}, ConfigurationError, "at least one"),
        ({"bands": ["B02", "B02"]}, ConfigurationError, "each once"),
        ({"data_collection": "SENTINEL1"}, ConfigurationError, "SENTINEL2_L1C, SENTINEL2_L2A"),
        ({"resolution": 0}, ConfigurationError, "resolution"),
        ({"resolution": "10"}, ConfigurationError, "resolution='10'"),
        ({"resolution": 10, "size": (5, 5)}, ConfigurationError, "give one of them"),
        ({"size": (5, 0)}, ConfigurationError, "each at least 1"),
        ({"size": (5.0, 5)}, ConfigurationError, "in pixels"),
        ({"size": 5}, ConfigurationError, "size=5: give"),
        ({"size": (5, 5, 5)}, ConfigurationError, "in pixels"),
        ({"size": (True, 5)}, ConfigurationError, "in pixels"),
        ({"max_threads": 1.5}, ConfigurationError, "max_threads=1.5: give a whole number"),
        ({"max_threads": True}, ConfigurationError, "max_threads"),
        ({"maxcc": "0.8"}, ConfigurationError, "maxcc='0.8'"),
        ({"time_difference": 2}, ConfigurationError, "give a timedelta"),
        ({"resolution": float("nan")}, ConfigurationError, "resolution"),
        ({"maxcc": 80}, ConfigurationError, "maxcc=80: give a number at least 0 and at most 1"),
        ({"maxcc": -0.1}, ConfigurationError, "maxcc"),
        ({"time_difference": dt.timedelta(hours=-1)}, ConfigurationError, "time_difference"),
        ({"mosaicking_order": "best"}, ConfigurationError, "mostRecent, leastRecent, leastCC"),
        ({"upsampling": "cubic"}, ConfigurationError, "NEAREST, BILINEAR, BICUBIC"),
        ({"downsampling": "mean"}, ConfigurationError, "downsampling"),
        ({"dtype": "float64"}, ConfigurationError, "reflectance, dn"),
        ({"max_threads": 0}, ConfigurationError, "max_threads"),
        ({"clm_feature": (FeatureType.DATA, "CLM")}, ConfigurationError, "FeatureType.MASK"),
        ({"profile": "absent"}, CredentialsError, "'absent'"),
    ],
)
def test_refused_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        DownloadBandsTask(**{"bands": SIX, **arguments})


def test_plan_of_the_slovenian_example() -> None:
    """500 x 500 pixels and six bands of 16 bits: (500 / 512)^2 * 6 / 3 units an acquisition."""
    plan = request_plan(PATCH, 10, SIX, 70)
    assert plan.requests == 71
    assert plan.bytes == 70 * 500 * 500 * (6 * 2 + 1)
    assert plan.processing_units == pytest.approx(70 * (500 / 512) ** 2 * 2 + 0.12)
    with_clouds = request_plan(PATCH, 10, SIX, 70, clouds=True)
    assert with_clouds.processing_units == pytest.approx(70 * (500 / 512) ** 2 * 8 / 3 + 0.12)
    assert with_clouds.bytes - plan.bytes == 70 * 500 * 500 * 2


def test_plan_has_the_documented_minima() -> None:
    """The documentation's parcel of 20 x 20 pixels and two bands costs 0.0067; one band the least, 0.005."""
    parcel = BBox((330_000, 5_814_360, 330_200, 5_814_560), CRS("EPSG:32633"))
    two, one = (request_plan(parcel, 10, bands, 1, months=1) for bands in (["B04", "B08"], ["B04"]))
    assert two.processing_units == pytest.approx(0.0067 + 0.01, abs=5e-5)
    assert one.processing_units == pytest.approx(0.005 + 0.01)
    assert request_plan(parcel, 10, ["B04"], 0, months=500).processing_units == pytest.approx(1.0)


def test_plan_refuses_what_the_download_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GRID_PIXELS.variable, "5000000000")
    with pytest.raises(GridError, match="smaller patches"):
        request_plan(BBox((0, 0, 600_000, 600_000), CRS("EPSG:32633")), 10, SIX, 1)


def test_plan_of_computed_clouds() -> None:
    """5 km are 32 pixels of 160 m and a margin of two on each side; ten bands of 16 bits and the mask."""
    plain = request_plan(PATCH, 10, SIX, 70)
    computed = request_plan(PATCH, 10, SIX, 70, clouds=True, own_clouds=False)
    assert computed.requests == 2 * 70 + 1
    assert computed.bytes - plain.bytes == 70 * 36 * 36 * 21
    assert computed.processing_units - plain.processing_units == pytest.approx(70 * 0.01 * 10 / 3)
