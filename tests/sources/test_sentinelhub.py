from __future__ import annotations

import datetime as dt
import logging
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from oauthlib.oauth2 import InvalidClientError
from sentinelhub.config import SHConfig
from sentinelhub.constants import CRS
from sentinelhub.data_collections import DataCollection
from sentinelhub.exceptions import DownloadFailedException
from sentinelhub.geometry import BBox

from eotasks.sources.sentinelhub import DownloadBandsTask, load_credentials, request_plan
from models.errors import (
    BandError,
    ConfigurationError,
    CredentialsError,
    FeatureError,
    GridError,
    ImageryError,
    TooFewFramesError,
)

SIX = ("B02", "B03", "B04", "B08", "B11", "B12")
PATCH = BBox((330_000, 5_814_360, 335_000, 5_819_360), CRS("EPSG:32633"))
SMALL = BBox((330_000, 5_814_360, 330_040, 5_814_390), CRS("EPSG:32633"))
TIMES = [dt.datetime(2019, 6, 1, 10, 10), dt.datetime(2019, 6, 6, 10, 10)]  # noqa: DTZ001 - naive UTC
YEAR = ("2019-01-01", "2019-12-31")
EOLEARN = "eolearn.io.sentinelhub_process"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No configuration and no credentials but those a test writes."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("SH_CLIENT_ID", "SH_CLIENT_SECRET", "SH_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "sentinelhub" / "config.toml"


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SH_CLIENT_ID", "my-id")
    monkeypatch.setenv("SH_CLIENT_SECRET", "s3cret-value")


def write_profile(home: Path, **fields: str) -> None:
    home.parent.mkdir(exist_ok=True)
    home.write_text("[mine]\n" + "\n".join(f'{name} = "{value}"' for name, value in fields.items()))


class FakeService:
    """Stands where the client and the catalogue are in eo-learn, and answers with arrays."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: Sequence[dt.datetime] = tuple(TIMES)) -> None:
        self.payloads: list[dict[str, Any]] = []
        self.urls: list[str] = []
        self.searches: list[dict[str, Any]] = []
        self.times = list(times)
        self.error: Exception | None = None
        service = self

        class Client:
            def __init__(self, **arguments: Any) -> None:
                pass

            def download(self, requests: Sequence[Any], max_threads: int | None = None) -> list[dict[str, Any]]:
                return [service.answer(request) for request in requests]

        def timestamps(**arguments: Any) -> list[dt.datetime]:
            service.searches.append(arguments)
            return service.times

        monkeypatch.setattr(f"{EOLEARN}.SentinelHubDownloadClient", Client)
        monkeypatch.setattr(f"{EOLEARN}.get_available_timestamps", timestamps)

    def answer(self, request: Any) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        self.payloads.append(request.post_values)
        self.urls.append(request.url)
        output = request.post_values["output"]
        shape = (output["height"], output["width"])
        values = {"dataMask": 1, "CLM": 255, "CLP": 51}
        names = [response["identifier"] for response in output["responses"]]
        return {
            f"{name}.tif": np.full(shape, values.get(name, 1000 + index), np.uint8 if name in values else np.uint16)
            for index, name in enumerate(names)
        }


def test_one_request_an_acquisition_with_everything_in_it(account: None, monkeypatch: pytest.MonkeyPatch) -> None:
    service = FakeService(monkeypatch)
    task = DownloadBandsTask(bands=SIX, maxcc=0.8, mosaicking_order="leastCC", upsampling="BICUBIC")
    task.execute(bbox=SMALL, time_interval=YEAR)
    assert len(service.payloads) == len(TIMES)
    payload = service.payloads[0]
    source = payload["input"]["data"][0]
    assert service.urls[0] == "https://services.sentinel-hub.com/api/v1/process"
    assert payload["input"]["bounds"]["bbox"] == [330_000, 5_814_360, 330_040, 5_814_390]
    assert payload["input"]["bounds"]["properties"]["crs"].endswith("/32633")
    assert source["type"] == "sentinel-2-l1c"
    assert source["dataFilter"] == {
        "timeRange": {"from": "2019-06-01T08:10:00Z", "to": "2019-06-01T12:10:00Z"},
        "maxCloudCoverage": 80,
        "mosaickingOrder": "leastCC",
    }
    assert source["processing"] == {"upsampling": "BICUBIC"}
    output = payload["output"]
    assert (output["width"], output["height"]) == (4, 3)
    names = [response["identifier"] for response in output["responses"]]
    assert names == [*SIX, "dataMask", "CLM", "CLP"]
    assert all(response["format"]["type"] == "image/tiff" for response in output["responses"])
    script = payload["evalscript"]
    assert script.count('"DN"') == 9
    assert "REFLECTANCE" not in script
    assert script.count('sampleType: "UINT16"') == 6
    assert script.count('sampleType: "UINT8"') == 3


def test_search_asks_for_the_same_collection_and_cloud_cover(account: None, monkeypatch: pytest.MonkeyPatch) -> None:
    service = FakeService(monkeypatch)
    DownloadBandsTask(bands=["B02"], maxcc=0.3).execute(bbox=SMALL, time_interval=YEAR)
    assert len(service.searches) == 1
    assert service.searches[0]["maxcc"] == 0.3
    assert service.searches[0]["data_collection"] is DataCollection.SENTINEL2_L1C


def test_features_by_the_projects_conventions(account: None, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeService(monkeypatch)
    patch = DownloadBandsTask(bands=SIX).execute(bbox=SMALL, time_interval=YEAR)
    assert patch.timestamps == TIMES
    assert patch.data["BANDS"].dtype == np.float32
    expected = np.arange(1000, 1006, dtype=np.float32) / np.float32(10_000)
    np.testing.assert_array_equal(patch.data["BANDS"], np.broadcast_to(expected, (2, 3, 4, 6)))
    assert patch.mask["IS_DATA"].dtype == bool
    assert patch.mask["IS_DATA"].all()
    assert patch.mask["CLM"].dtype == np.uint8
    assert (patch.mask["CLM"] == 255).all()
    assert patch.data["CLP"].dtype == np.float32
    np.testing.assert_array_equal(patch.data["CLP"], np.full((2, 3, 4, 1), np.float32(0.2)))


def test_other_names_digital_numbers_and_no_clouds(account: None, monkeypatch: pytest.MonkeyPatch) -> None:
    service = FakeService(monkeypatch)
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
    assert [item["identifier"] for item in service.payloads[0]["output"]["responses"]] == ["B10", "dataMask"]


def test_timestamps_of_the_eopatch(account: None, monkeypatch: pytest.MonkeyPatch) -> None:
    service = FakeService(monkeypatch)
    eopatch = EOPatch(bbox=SMALL, timestamps=TIMES[:1])
    patch = DownloadBandsTask(bands=["B02"]).execute(eopatch)
    assert patch.timestamps == TIMES[:1]
    assert service.searches == []


def test_another_deployment_is_asked_for_the_collection_too(
    account: None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stock DataCollection names its own host, and changing the base URL alone still calls that one."""
    write_profile(home, sh_base_url="https://clouds.example.org")
    service = FakeService(monkeypatch)
    task = DownloadBandsTask(bands=["B02"], profile="mine")
    for _ in range(2):
        pickle.loads(pickle.dumps(task)).execute(bbox=SMALL, time_interval=YEAR)
    assert set(service.urls) == {"https://clouds.example.org/api/v1/process"}
    assert service.searches[0]["data_collection"].service_url == "https://clouds.example.org"


@pytest.mark.parametrize("host", ["sh.dataspace.copernicus.eu", "dataspace.copernicus.eu"])
def test_copernicus_data_space_has_no_cloud_bands(home: Path, host: str) -> None:
    write_profile(home, sh_base_url=f"https://{host}")
    with pytest.raises(ConfigurationError, match=r"no CLM and CLP: set clm_feature=None.*AddCloudProbabilityTask"):
        DownloadBandsTask(bands=SIX, profile="mine")
    with pytest.raises(ConfigurationError, match="no CLM and CLP"):
        DownloadBandsTask(bands=SIX, profile="mine", clm_feature=None)
    DownloadBandsTask(bands=SIX, profile="mine", clm_feature=None, clp_feature=None)


def test_no_credentials(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = FakeService(monkeypatch)
    task = DownloadBandsTask(bands=SIX)
    with pytest.raises(CredentialsError, match="set SH_CLIENT_ID and SH_CLIENT_SECRET") as caught:
        task.execute(bbox=SMALL, time_interval=YEAR)
    assert "\n" not in str(caught.value)
    assert service.searches == []
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


def test_credentials_are_in_no_pickle_message_or_log(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_profile(home, sh_client_id="id-in-file", sh_client_secret="secret-in-file")
    service = FakeService(monkeypatch)
    service.error = InvalidClientError("nope")
    task = DownloadBandsTask(bands=SIX, profile="mine")
    with caplog.at_level(logging.DEBUG), pytest.raises(CredentialsError, match="refuses the credentials") as caught:
        task.execute(bbox=SMALL, time_interval=YEAR)
    seen = f"{caught.value} {caplog.text} {task.private_task_config.init_args} {vars(task)}"
    assert "secret-in-file" not in seen
    assert b"secret-in-file" not in pickle.dumps(task)


def test_oauth_client_does_not_log_secrets(account: None, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeService(monkeypatch)
    logger = logging.getLogger("requests_oauthlib")
    monkeypatch.setattr(logger, "level", logging.DEBUG)
    DownloadBandsTask(bands=["B02"]).execute(bbox=SMALL, time_interval=YEAR)
    assert logger.level == logging.INFO


def test_failures_of_the_service(account: None, monkeypatch: pytest.MonkeyPatch) -> None:
    service = FakeService(monkeypatch)
    service.error = DownloadFailedException("Failed to download from:\nhttps://services\nwith 503")
    with pytest.raises(ImageryError, match=r"Download from services\.sentinel-hub\.com failed") as caught:
        DownloadBandsTask(bands=SIX).execute(bbox=SMALL, time_interval=YEAR)
    assert "\n" not in str(caught.value)


def test_no_acquisition(account: None, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeService(monkeypatch, times=[])
    with pytest.raises(TooFewFramesError, match="at most 80% cloud"):
        DownloadBandsTask(bands=SIX).execute(bbox=SMALL, time_interval=YEAR)


@pytest.mark.parametrize(
    ("bbox", "error", "message"),
    [
        (BBox((330_000, 5_700_000, 330_010, 5_725_010), CRS("EPSG:32633")), GridError, "2501 x 1 pixels.*25000 m"),
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


def test_timestamps_of_the_eopatch_that_are_others(account: None, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeService(monkeypatch)
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
        ({"resolution": 0}, ConfigurationError, "resolution=0: give a number above 0"),
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


def test_plan_refuses_what_the_download_would() -> None:
    with pytest.raises(GridError, match="smaller patches"):
        request_plan(BBox((0, 0, 30_000, 30_000), CRS("EPSG:32633")), 10, SIX, 1)


def test_configuration_prints_masked() -> None:
    """What eo-learn keeps of the task it is composed of: the credentials are masked there."""
    text = repr(SHConfig(use_defaults=True, sh_client_secret="s3cret-value"))
    assert "s3cret-value" not in text
