"""Downloads by the real client, over HTTP on loopback, from a small service that speaks the wire contract."""

from __future__ import annotations

import datetime as dt
import logging
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from hypothesis import given, settings
from hypothesis import strategies as st
from sentinelhub.config import SHConfig
from sentinelhub.constants import CRS
from sentinelhub.download.sentinelhub_client import SentinelHubDownloadClient
from sentinelhub.geometry import BBox

from eotasks.errors import (
    BandError,
    ConfigurationError,
    CredentialsError,
    FeatureError,
    GridError,
    ImageryError,
    TooFewFramesError,
)
from eotasks.limits import GRID_PIXELS
from eotasks.models.clouds.pixel import cloud_probability
from eotasks.models.sentinel2 import CLOUD_BANDS
from eotasks.sources.sentinelhub import DownloadBandsTask, account, download, load_credentials, plan, request_plan
from eotasks.sources.sentinelhub.clouds import MARGIN, coarse_area, to_area
from tests.servers.sentinelhub import (
    CLIENT_ID,
    CLIENT_SECRET,
    TOKEN,
    Service,
    cut_off,
    half_an_archive,
    rate_limited,
    running,
    server_error,
    slow,
    value,
)

SIX = ("B02", "B03", "B04", "B08", "B11", "B12")
PATCH = BBox((330_000, 5_814_360, 335_000, 5_819_360), CRS("EPSG:32633"))
SMALL = BBox((330_000, 5_814_360, 330_040, 5_814_390), CRS("EPSG:32633"))
TIMES = [dt.datetime(2019, 6, 1, 10, 10), dt.datetime(2019, 6, 6, 10, 10)]  # noqa: DTZ001 - naive UTC
YEAR = ("2019-01-01", "2019-12-31")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No configuration and no credentials but those a test writes."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("SH_CLIENT_ID", "SH_CLIENT_SECRET", "SH_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    SentinelHubDownloadClient.clear_cache()
    yield tmp_path / "sentinelhub" / "config.toml"
    SentinelHubDownloadClient.clear_cache()


def write_profile(home: Path, **fields: str | float) -> None:
    home.parent.mkdir(exist_ok=True)
    home.write_text("[mine]\n" + "\n".join(f"{name} = {value!r}" for name, value in fields.items()))


@pytest.fixture
def service(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service on loopback, and profile "mine" that asks it."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("SH_PROFILE", "mine")
    with running(Service(times=list(TIMES))) as running_service:
        write_profile(home, **profile_of(running_service))
        yield running_service


def profile_of(service: Service) -> dict[str, str | float]:
    return {
        "sh_base_url": service.url,
        "sh_token_url": f"{service.url}/token",
        "sh_client_id": CLIENT_ID,
        "sh_client_secret": CLIENT_SECRET,
        "download_sleep_time": 0.01,
    }


def expected(band: str, bbox: BBox, day: dt.datetime, resolution: float = 10) -> np.ndarray:
    """What the service has at the centres of an area's pixels."""
    left, bottom, right, top = bbox
    x = np.arange(left + resolution / 2, right, resolution)
    y = np.arange(top - resolution / 2, bottom, -resolution)
    return value(band, x[np.newaxis], y[:, np.newaxis], day.timetuple().tm_yday)


def test_one_request_an_acquisition_with_everything_in_it(service: Service) -> None:
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


def test_search_takes_as_much_cloud_as_downloads_do(service: Service) -> None:
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


def test_all_pages_of_the_catalogue_and_near_times_as_one(service: Service) -> None:
    near = [TIMES[0] + dt.timedelta(minutes=30), *(TIMES[1] + dt.timedelta(days=5 * n) for n in range(1, 6))]
    service.times = sorted([*TIMES, *near])
    service.page = 2
    patch = DownloadBandsTask(bands=["B02"]).execute(bbox=SMALL, time_interval=YEAR)
    assert len(service.searches) == 4
    assert patch.timestamps == [TIMES[0], TIMES[1], *near[1:]]


def test_features_by_the_projects_conventions(service: Service) -> None:
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


def test_other_names_digital_numbers_and_no_clouds(service: Service) -> None:
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


def test_timestamps_of_the_eopatch(service: Service) -> None:
    eopatch = EOPatch(bbox=SMALL, timestamps=TIMES[:1])
    patch = DownloadBandsTask(bands=["B02"]).execute(eopatch)
    assert patch.timestamps == TIMES[:1]
    assert service.searches == []


def test_timestamps_of_the_eopatch_in_any_zone(service: Service) -> None:
    zone = dt.timezone(dt.timedelta(hours=2))
    eopatch = EOPatch(bbox=SMALL, timestamps=[time.replace(tzinfo=dt.UTC).astimezone(zone) for time in TIMES])
    patch = DownloadBandsTask(bands=["B02"]).execute(eopatch, time_interval=YEAR)
    assert patch.timestamps == TIMES


@pytest.mark.parametrize("days", [0, 4])
def test_no_acquisition_is_in_two_frames(service: Service, days: int) -> None:
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


def test_a_failure_leaves_the_eopatch_as_it_was(service: Service) -> None:
    service.fails_at = {TIMES[0].date()}
    eopatch = EOPatch(bbox=SMALL)
    with pytest.raises(ImageryError):
        DownloadBandsTask(bands=["B02"]).execute(eopatch, time_interval=YEAR)
    assert eopatch == EOPatch(bbox=SMALL)


def test_the_profile_s_service_is_asked_also_after_pickling(service: Service) -> None:
    """A stock DataCollection names its own host, and changing the base URL alone still calls that one."""
    task = DownloadBandsTask(bands=["B02"], profile="mine")
    for _ in range(2):
        pickle.loads(pickle.dumps(task)).execute(bbox=SMALL, time_interval=YEAR)
    assert len(service.processes) == 4
    assert service.tokens == 1


def test_size_instead_of_resolution(service: Service) -> None:
    patch = DownloadBandsTask(bands=["B02"], size=(7, 5), dtype="dn").execute(bbox=SMALL, time_interval=YEAR)
    assert patch.data["BANDS"].shape == (2, 5, 7, 1)
    output = service.processes[0]["output"]
    assert (output["width"], output["height"]) == (7, 5)


def test_large_areas_are_cut_into_equal_parts_and_joined(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_requests_of_2501_pixels_are_two(service: Service) -> None:
    area = BBox((330_000, 5_700_000, 330_010, 5_725_010), CRS("EPSG:32633"))
    service.times = TIMES[:1]
    patch = DownloadBandsTask(bands=["B04"], dtype="dn", clm_feature=None, clp_feature=None).execute(
        bbox=area, time_interval=YEAR
    )
    assert sorted(each["output"]["height"] for each in service.processes) == [1250, 1251]
    np.testing.assert_array_equal(patch.data["BANDS"][0, ..., 0], expected("B04", area, TIMES[0]))


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
    "fault",
    [
        rate_limited("20"),
        rate_limited("0.02"),
        rate_limited("Mon, 01 Jan 2024 00:00:00 GMT"),
        server_error,
        cut_off,
        half_an_archive,
        slow(0.2),
    ],
    ids=["429 ms", "429 s", "429 date", "503", "cut off", "half an archive", "slow"],
)
def test_temporary_faults_are_tried_again(service: Service, fault: Any) -> None:
    service.faults.append(fault)
    patch = DownloadBandsTask(bands=["B02"], max_threads=1).execute(bbox=SMALL, time_interval=YEAR)
    want = np.stack([expected("B02", SMALL, day) for day in TIMES]).astype(np.float32) / np.float32(10_000)
    np.testing.assert_array_equal(patch.data["BANDS"][..., 0], want)
    assert not service.faults


def test_an_answer_that_takes_too_long_is_asked_for_again(service: Service, home: Path) -> None:
    write_profile(home, **profile_of(service), download_timeout_seconds=1.0)
    service.faults.append(slow(4))
    patch = DownloadBandsTask(bands=["B02"], max_threads=1).execute(bbox=SMALL, time_interval=YEAR)
    assert patch.timestamps == TIMES
    assert len(service.processes) == 3


def test_the_catalogue_waits_and_tries_again_too(service: Service) -> None:
    service.search_faults.extend([rate_limited("Mon, 01 Jan 2024 00:00:00 GMT"), rate_limited("10"), server_error])
    assert DownloadBandsTask(bands=["B02"]).execute(bbox=SMALL, time_interval=YEAR).timestamps == TIMES


def test_a_catalogue_of_another_shape_is_one_clear_error(service: Service) -> None:
    def shapeless(handler: Any) -> bool:
        handler.send(200, b'{"features": []}')
        return True

    service.search_faults.append(shapeless)
    with pytest.raises(ImageryError, match=r"search for acquisitions .* failed") as caught:
        DownloadBandsTask(bands=["B02"]).execute(bbox=SMALL, time_interval=YEAR)
    assert "\n" not in str(caught.value)


def test_failed_dates_are_named_and_the_others_are_kept(service: Service, tmp_path: Path) -> None:
    service.times = [TIMES[0] + dt.timedelta(days=5 * n) for n in range(4)]
    service.fails_at = {service.times[2].date()}
    task = DownloadBandsTask(bands=["B02"], cache_folder=str(tmp_path / "kept"))
    message = r"1 of 4 acquisitions could not be downloaded: 2019-06-11 10:10 \(.*this day is lost.*others are kept"
    with pytest.raises(ImageryError, match=message) as caught:
        task.execute(bbox=SMALL, time_interval=YEAR)
    assert "\n" not in str(caught.value)
    assert len(service.processes) == 3 + 4  # the failed one by the client's own four attempts
    service.processes.clear()
    service.fails_at.clear()
    patch = task.execute(bbox=SMALL, time_interval=YEAR)
    assert len(service.processes) == 1
    assert len(patch.timestamps) == 4
    task.execute(bbox=SMALL, time_interval=YEAR)
    assert len(service.processes) == 1


@pytest.mark.parametrize(
    "damage", ["truncated", "empty", "no request", "empty request", "half a request", "other text"]
)
def test_damaged_kept_answers_are_fetched_again(service: Service, tmp_path: Path, damage: str) -> None:
    task = DownloadBandsTask(bands=["B02"], cache_folder=str(tmp_path / "kept"))
    before = task.execute(bbox=SMALL, time_interval=YEAR)
    assert len(service.processes) == 2
    kept = min((tmp_path / "kept").glob("*/response.tar"))
    if damage == "no request":
        (kept.parent / "request.json").unlink()
    elif damage in ("empty request", "half a request"):
        asked = kept.parent / "request.json"
        whole = asked.read_bytes()
        asked.write_bytes(whole[: len(whole) // 2] if damage == "half a request" else b"")
    else:
        whole = kept.read_bytes()
        kept.write_bytes({"truncated": whole[: len(whole) // 3], "empty": b"", "other text": b"<html>" * 500}[damage])
    assert task.execute(bbox=SMALL, time_interval=YEAR) == before
    assert len(service.processes) == 3


def test_nothing_is_asked_for_twice_after_a_kill(service: Service, home: Path, tmp_path: Path) -> None:
    """The download is killed in its middle; a repetition asks for what was not answered."""
    service.times = [TIMES[0] + dt.timedelta(days=5 * n) for n in range(8)]
    service.faults.extend([slow(0)] * 4 + [slow(60)])
    folder = tmp_path / "kept"
    script = (
        "from sentinelhub.geometry import BBox; from sentinelhub.constants import CRS\n"
        "from eotasks.sources.sentinelhub import DownloadBandsTask\n"
        f"task = DownloadBandsTask(bands=['B02'], cache_folder={str(folder)!r}, max_threads=1)\n"
        f"task.execute(bbox=BBox({tuple(SMALL)!r}, CRS('EPSG:32633')), time_interval={YEAR!r})\n"
    )
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        deadline = time.monotonic() + 60
        while len(service.processes) < 5 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
    assert len(service.processes) == 5
    task = DownloadBandsTask(bands=["B02"], cache_folder=str(folder), max_threads=1)
    assert len(task.execute(bbox=SMALL, time_interval=YEAR).timestamps) == 8
    assert len(service.processes) == 5 + 4  # four were kept; the one cut off is asked for again


def test_copernicus_data_space_gets_its_clouds_computed(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(account, "_COPERNICUS_HOST", "127.0.0.1")
    monkeypatch.setattr(download, "_warned", set())
    meadow = dict(zip(CLOUD_BANDS, (1200, 900, 600, 1000, 2800, 3000, 800, 15, 1500, 800), strict=True))
    spectra = {152: meadow, 157: dict.fromkeys(CLOUD_BANDS, 9000)}
    service.pixels = lambda band, x, y, day: np.full(
        np.broadcast_shapes(x.shape, y.shape), spectra[day][band], np.uint16
    )
    area = BBox((330_000, 5_814_360, 330_500, 5_814_760), CRS("EPSG:32633"))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            patch = DownloadBandsTask(bands=["B02"]).execute(bbox=area, time_interval=YEAR)
    assert [record.getMessage() for record in caplog.records].count(
        "127.0.0.1 has no CLM and CLP: the ten L1C bands are downloaded at 160 m, and both are computed."
    ) == 1
    assert len(service.processes) == 2 * (2 + 2)
    names = [[each["identifier"] for each in payload["output"]["responses"]] for payload in service.processes]
    assert sorted(map(len, names)) == [2] * 4 + [11] * 4
    assert all("CLM" not in each for each in names)
    coarse = next(each for each in service.processes if len(each["output"]["responses"]) == 11)
    assert [each["identifier"] for each in coarse["output"]["responses"]] == [*CLOUD_BANDS, "dataMask"]
    left, bottom, right, top = coarse["input"]["bounds"]["bbox"]
    assert ((right - left) / 160, (top - bottom) / 160) == (coarse["output"]["width"], coarse["output"]["height"])
    assert patch.data["CLP"].dtype == np.float32
    assert patch.data["CLP"].shape == patch.mask["CLM"].shape == (2, 40, 50, 1)
    assert patch.mask["CLM"].dtype == np.uint8
    want = cloud_probability(np.array([list(each.values()) for each in spectra.values()], dtype=np.uint16))
    assert want[0] < 0.4 < want[1]
    np.testing.assert_array_equal(patch.data["CLP"][:, 0, 0, 0], want)
    np.testing.assert_array_equal(patch.mask["CLM"], np.broadcast_to([[[[0]]], [[[1]]]], (2, 40, 50, 1)))


@pytest.mark.parametrize(
    ("url", "serves"),
    [
        ("https://services.sentinel-hub.com", True),
        ("https://sh.dataspace.copernicus.eu", False),
        ("https://SH.Dataspace.Copernicus.EU:443/path", False),
        ("https://mydataspace.copernicus.eu", True),
        ("https://dataspace.copernicus.eu.example.org", True),
        ("http://127.0.0.1:8080", True),
    ],
)
def test_which_services_have_clouds_of_their_own(url: str, serves: bool) -> None:
    assert account.serves_clouds(url) is serves


def test_computed_clouds_lie_where_the_bands_do() -> None:
    """A pixel of 160 m is repeated over the 16 x 16 pixels of 10 m that it covers."""
    bbox, shape = coarse_area(BBox((330_000, 5_814_000, 330_500, 5_814_330), CRS("EPSG:32633")))
    assert shape == (3 + 2 * MARGIN, 4 + 2 * MARGIN)
    assert bbox.upper_right[1] == 5_814_330 + 160 * MARGIN
    values = np.arange(np.prod(shape)).reshape(1, *shape)
    (fine,) = to_area([values], BBox((330_000, 5_814_000, 330_500, 5_814_330), CRS("EPSG:32633")), (33, 50))
    inner = values[0, MARGIN:-MARGIN, MARGIN:-MARGIN]
    np.testing.assert_array_equal(fine[0], np.kron(inner, np.ones((16, 16), dtype=int))[:33, :50])


def test_no_credentials(home: Path) -> None:
    task = DownloadBandsTask(bands=SIX)
    with pytest.raises(CredentialsError, match="set SH_CLIENT_ID and SH_CLIENT_SECRET") as caught:
        task.execute(bbox=SMALL, time_interval=YEAR)
    assert "\n" not in str(caught.value)
    assert not home.exists(), "looking for credentials must not write a configuration"


def test_credentials_of_profile_and_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_profile(home, sh_client_id="id-in-file", sh_client_secret="secret-in-file")
    assert load_credentials("mine").sh_client_id == "id-in-file"
    monkeypatch.setenv("SH_PROFILE", "mine")
    assert load_credentials().sh_client_secret == "secret-in-file"
    monkeypatch.setenv("SH_CLIENT_ID", "id-in-environment")
    assert load_credentials("mine").sh_client_id == "id-in-environment"
    with pytest.raises(CredentialsError, match="'yours' is not in"):
        load_credentials("yours")
    home.write_text("[mine")
    with pytest.raises(CredentialsError, match="cannot be read"):
        load_credentials("mine")
    home.unlink()
    with pytest.raises(CredentialsError, match="'mine' is not there"):
        load_credentials("mine")


@pytest.mark.parametrize("secret", [CLIENT_SECRET, "wrong-value"])
def test_credentials_are_in_no_pickle_message_or_log(
    service: Service, home: Path, caplog: pytest.LogCaptureFixture, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_profile(home, **{**profile_of(service), "sh_client_secret": secret})
    for name in ("requests_oauthlib", "oauthlib"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
    service.fails_at = {TIMES[0].date()}
    task = DownloadBandsTask(bands=SIX, max_threads=1)
    refused = secret != CLIENT_SECRET
    error, message = (CredentialsError, "refuses the credentials") if refused else (ImageryError, "2019-06-01")
    with caplog.at_level(logging.DEBUG), pytest.raises(error, match=message) as caught:
        task.execute(bbox=SMALL, time_interval=YEAR)
    assert caplog.records
    assert "\n" not in str(caught.value)
    assert len(service.processes) == (0 if refused else 5)
    seen = f"{caught.value} {caplog.text} {task.private_task_config.init_args} {vars(task)} {pickle.dumps(task)!r}"
    assert secret not in seen
    assert TOKEN not in seen


def test_a_token_that_the_service_takes_no_more(service: Service) -> None:
    def denied(handler: Any) -> bool:
        handler.error(401, "COMMON_UNAUTHORIZED", "expired")
        return True

    service.faults.extend([denied, denied])
    with pytest.raises(ImageryError, match=r"2 of 2 .*COMMON_UNAUTHORIZED|2 of 2 .*expired"):
        DownloadBandsTask(bands=["B02"]).execute(bbox=SMALL, time_interval=YEAR)


def test_no_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    with running(Service()) as gone:
        profile = profile_of(gone)
    write_profile(home, **profile)
    with pytest.raises(ImageryError, match=r"from 127\.0\.0\.1 failed") as caught:
        DownloadBandsTask(bands=SIX, profile="mine").execute(bbox=SMALL, time_interval=YEAR)
    assert "\n" not in str(caught.value)


def test_no_acquisition(service: Service) -> None:
    service.times = []
    with pytest.raises(TooFewFramesError, match="at most 80% cloud"):
        DownloadBandsTask(bands=SIX).execute(bbox=SMALL, time_interval=YEAR)


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


def test_timestamps_of_the_eopatch_that_are_others(service: Service) -> None:
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


def test_configuration_prints_masked() -> None:
    """What eo-learn keeps of the task it is composed of: the credentials are masked there."""
    text = repr(SHConfig(use_defaults=True, sh_client_secret="s3cret-value"))
    assert "s3cret-value" not in text


def test_plan_of_computed_clouds() -> None:
    """5 km are 32 pixels of 160 m and a margin of two on each side; ten bands of 16 bits and the mask."""
    plain = request_plan(PATCH, 10, SIX, 70)
    computed = request_plan(PATCH, 10, SIX, 70, clouds=True, own_clouds=False)
    assert computed.requests == 2 * 70 + 1
    assert computed.bytes - plain.bytes == 70 * 36 * 36 * 21
    assert computed.processing_units - plain.processing_units == pytest.approx(70 * 0.01 * 10 / 3)
