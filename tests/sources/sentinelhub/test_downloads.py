"""Downloads by the real client, over HTTP on loopback: what is asked for, and what comes back."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.errors import TooFewFramesError
from eotasks.service.catalog import search
from eotasks.sources.sentinelhub import DownloadBandsTask, plan, request_plan
from tests.builders.inputs.sentinelhub import SIX, SMALL, TIMES, YEAR, expected
from tests.servers.made_service import MadeService


def test_one_request_an_acquisition_with_everything_in_it(service: MadeService) -> None:
    task = DownloadBandsTask(bands=SIX, maxcc=0.8, mosaicking_order="leastCC", upsampling="BICUBIC")
    task.execute(bbox=SMALL, time_interval=YEAR)
    assert len(service.processes) == len(TIMES)
    payload = min(service.processes, key=lambda each: str(each["input"]["data"][0]["dataFilter"]["timeRange"]))
    source = payload["input"]["data"][0]
    assert payload["input"]["bounds"]["bbox"] == [330_000, 5_814_360, 330_040, 5_814_390]
    assert payload["input"]["bounds"]["properties"]["crs"].endswith("/32633")
    assert source["type"] == "sentinel-2-l1c"
    assert source["dataFilter"] == {
        "timeRange": {"from": "2019-06-01T10:10:00Z", "to": "2019-06-01T12:10:00Z"},
        "maxCloudCoverage": 80,
        "mosaickingOrder": "leastCC",
    }
    assert source["processing"] == {"upsampling": "BICUBIC"}
    output = payload["output"]
    assert (output["width"], output["height"]) == (4, 3)
    names = [response["identifier"] for response in output["responses"]]
    assert names == [*SIX, "dataMask", "CLM", "CLP"]
    assert all(response["format"]["type"] == "image/tiff" for response in output["responses"])
    assert service.headers[0]["accept"] == "application/x-tar"
    script = payload["evalscript"]
    assert script.count('"DN"') == 9
    assert "REFLECTANCE" not in script
    assert script.count('sampleType: "UINT16"') == 6
    assert script.count('sampleType: "UINT8"') == 3


def test_search_takes_as_much_cloud_as_downloads_do(service: MadeService) -> None:
    """Sentinelhub's own search leaves out a scene of exactly maxcc, which downloads take."""
    service.cloudy = {TIMES[0]: 29.0, TIMES[1]: 29.5}
    patch = DownloadBandsTask(bands=["B02"], maxcc=0.29).execute(bbox=SMALL, time_interval=YEAR)
    assert patch.timestamps == TIMES[:1]
    assert len(service.searches) == 1
    assert service.searches[0]["filter"] == "eo:cloud_cover <= 29"
    assert service.searches[0]["collections"] == ["sentinel-2-l1c"]
    assert service.processes[0]["input"]["data"][0]["dataFilter"]["maxCloudCoverage"] == 29  # not int(0.29 * 100) = 28
    service.cloudy = dict.fromkeys(TIMES, 100.0)
    assert len(DownloadBandsTask(bands=["B02"], maxcc=1).execute(bbox=SMALL, time_interval=YEAR).timestamps) == 2


def test_all_pages_of_the_catalogue_and_near_times_as_one(
    service: MadeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = [TIMES[0] + dt.timedelta(minutes=30), *(TIMES[1] + dt.timedelta(days=5 * n) for n in range(1, 6))]
    service.times = sorted([*TIMES, *near])
    monkeypatch.setattr(search, "MOST_FEATURES", 2)
    patch = DownloadBandsTask(bands=["B02"]).execute(bbox=SMALL, time_interval=YEAR)
    assert len(service.searches) == 4
    assert patch.timestamps == [TIMES[0], TIMES[1], *near[1:]]


def test_features_by_the_projects_conventions(service: MadeService) -> None:
    patch = DownloadBandsTask(bands=SIX).execute(bbox=SMALL, time_interval=YEAR)
    assert patch.timestamps == TIMES
    assert patch.bbox == SMALL
    assert patch.data["BANDS"].dtype == np.float32
    for frame, day in enumerate(TIMES):
        for index, band in enumerate(SIX):
            want = expected(band, SMALL, day).astype(np.float32) / np.float32(10_000)
            np.testing.assert_array_equal(patch.data["BANDS"][frame, ..., index], want)
        np.testing.assert_array_equal(patch.mask["CLM"][frame, ..., 0], expected("CLM", SMALL, day) % 2)
        probability = (expected("CLP", SMALL, day) % 256).astype(np.float32) / np.float32(255)
        np.testing.assert_array_equal(patch.data["CLP"][frame, ..., 0], probability)
    assert patch.mask["IS_DATA"].dtype == bool
    assert patch.mask["IS_DATA"].all()
    assert patch.mask["CLM"].dtype == np.uint8
    assert patch.data["CLP"].dtype == np.float32


def test_other_names_digital_numbers_and_no_clouds(service: MadeService) -> None:
    task = DownloadBandsTask(
        (FeatureType.DATA, "S2"),
        (FeatureType.MASK, "GOOD"),
        bands=["B10"],
        clm_feature=None,
        clp_feature=None,
        dtype="dn",
    )
    patch = task.execute(bbox=SMALL, time_interval=YEAR)
    assert {name for _, name in patch.get_features()} == {"S2", "GOOD"}
    assert patch.data["S2"].dtype == np.uint16
    assert [item["identifier"] for item in service.processes[0]["output"]["responses"]] == ["B10", "dataMask"]


def test_timestamps_of_the_eopatch(service: MadeService) -> None:
    eopatch = EOPatch(bbox=SMALL, timestamps=TIMES[:1])
    patch = DownloadBandsTask(bands=["B02"]).execute(eopatch)
    assert patch.timestamps == TIMES[:1]
    assert service.searches == []


def test_timestamps_of_the_eopatch_in_any_zone(service: MadeService) -> None:
    zone = dt.timezone(dt.timedelta(hours=2))
    eopatch = EOPatch(bbox=SMALL, timestamps=[time.replace(tzinfo=dt.UTC).astimezone(zone) for time in TIMES])
    patch = DownloadBandsTask(bands=["B02"]).execute(eopatch, time_interval=YEAR)
    assert patch.timestamps == TIMES


@pytest.mark.parametrize("days", [0, 4])
def test_no_acquisition_is_in_two_frames(service: MadeService, days: int) -> None:
    service.times = [dt.datetime(2019, 6, day, 10) for day in (1, 4, 6, 9, 11)]  # noqa: DTZ001 - naive UTC
    task = DownloadBandsTask(bands=["B04"], time_difference=dt.timedelta(days=days), clm_feature=None, clp_feature=None)
    frames = task.execute(bbox=SMALL, time_interval=YEAR).timestamps
    asked = sorted(
        tuple(
            dt.datetime.fromisoformat(each["input"]["data"][0]["dataFilter"]["timeRange"][end])
            for end in ("from", "to")
        )
        for each in service.processes
    )
    assert [start.replace(tzinfo=None) for start, _ in asked] == frames
    inside = [time for time in service.times for start, end in asked if start <= time.replace(tzinfo=dt.UTC) <= end]
    assert sorted(inside) == service.times


def test_size_instead_of_resolution(service: MadeService) -> None:
    patch = DownloadBandsTask(bands=["B02"], size=(7, 5), dtype="dn").execute(bbox=SMALL, time_interval=YEAR)
    assert patch.data["BANDS"].shape == (2, 5, 7, 1)
    output = service.processes[0]["output"]
    assert (output["width"], output["height"]) == (7, 5)


def test_large_areas_are_cut_into_equal_parts_and_joined(service: MadeService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MAX_PIXELS", 20)
    area = BBox((330_000, 5_814_000, 330_410, 5_814_270), CRS("EPSG:32633"))  # 41 x 27 pixels
    task = DownloadBandsTask(bands=["B04", "B08"], dtype="dn")
    patch = task.execute(bbox=area, time_interval=YEAR)
    sizes = {(each["output"]["width"], each["output"]["height"]) for each in service.processes}
    assert len(service.processes) == 2 * 3 * 2
    assert sizes == {(13, 13), (14, 13), (13, 14), (14, 14)}
    for frame, day in enumerate(TIMES):
        for index, band in enumerate(("B04", "B08")):
            np.testing.assert_array_equal(patch.data["BANDS"][frame, ..., index], expected(band, area, day))
    assert request_plan(area, 10, ["B04"], 2).requests == 2 * 6 + 1


def test_requests_of_2501_pixels_are_two(service: MadeService) -> None:
    area = BBox((330_000, 5_700_000, 330_010, 5_725_010), CRS("EPSG:32633"))
    service.times = TIMES[:1]
    patch = DownloadBandsTask(bands=["B04"], dtype="dn", clm_feature=None, clp_feature=None).execute(
        bbox=area, time_interval=YEAR
    )
    assert sorted(each["output"]["height"] for each in service.processes) == [1250, 1251]
    np.testing.assert_array_equal(patch.data["BANDS"][0, ..., 0], expected("B04", area, TIMES[0]))


def test_no_acquisition(service: MadeService) -> None:
    service.times = []
    with pytest.raises(TooFewFramesError, match="at most 80% cloud"):
        DownloadBandsTask(bands=SIX).execute(bbox=SMALL, time_interval=YEAR)
