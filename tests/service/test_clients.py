"""The client sentinelhub, as it is, over real HTTP: every kind of response, many at once, tokens, waiting times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sentinelhub
from sentinelhub import (
    CRS,
    BBox,
    DataCollection,
    Geometry,
    MimeType,
    SentinelHubDownloadClient,
    SentinelHubRequest,
    SentinelHubSession,
    SHConfig,
)
from sentinelhub.exceptions import DownloadFailedException, SHRateLimitWarning

from tests.servers.service import BOX, Running, expected, running_service, script

TIME = ("2024-06-01", "2024-06-02")


@pytest.fixture(autouse=True)
def plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's OAuth library wants https, unless it is told otherwise."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_service(tmp_path_factory.mktemp("service")) as running:
        yield running


def config_of(service: Running, **changes: object) -> SHConfig:
    config = SHConfig(use_defaults=True)
    config.sh_base_url = service.url
    config.sh_token_url = f"{service.url}/auth/realms/main/protocol/openid-connect/token"
    config.sh_client_id, config.sh_client_secret = service.client_id, service.client_secret
    for name, value in changes.items():
        setattr(config, name, value)
    return config


def ask(service: Running, drawn: str, responses: list[tuple[str, MimeType]], **changes: object) -> SentinelHubRequest:
    name = f"ours_{service.url.rpartition(':')[2]}"
    collection = DataCollection.SENTINEL2_L1C.define_from(name, service_url=service.url)
    return SentinelHubRequest(
        evalscript=drawn,
        input_data=[SentinelHubRequest.input_data(collection, time_interval=TIME, maxcc=0.8)],
        responses=[SentinelHubRequest.output_response(*each) for each in responses],
        **{  # type: ignore[arg-type]
            "bbox": BBox(BOX, CRS.UTM_33N),
            "size": (16, 12),
            "config": config_of(service),
            **changes,
        },
    )


def dn(band: str, shape: tuple[int, int] = (12, 16)) -> np.ndarray:
    return expected(band, BOX, shape, 153)


@pytest.mark.parametrize("sample_type", ["INT8", "UINT8", "INT16", "UINT16", "FLOAT32", "AUTO"])
def test_tiff(service: Running, sample_type: str) -> None:
    drawn = script("B04", outputs=[{"bands": 1, "sampleType": sample_type}], units="DN")
    [image] = ask(service, drawn, [("default", MimeType.TIFF)]).get_data()
    if sample_type == "FLOAT32":
        wanted = dn("B04").astype(np.float32)
    elif sample_type == "AUTO":
        wanted = np.full((12, 16), 255, np.uint8)
    else:
        limits = np.iinfo(sample_type.lower())
        wanted = np.clip(dn("B04").astype(np.int64), limits.min, limits.max).astype(sample_type.lower())
    np.testing.assert_array_equal(image, wanted)
    assert image.dtype == wanted.dtype


@pytest.mark.parametrize("kind", [MimeType.PNG, MimeType.JPG])
def test_pictures(service: Running, kind: MimeType) -> None:
    [image] = ask(service, script("CLP", "CLP", "CLP", outputs=[{"bands": 3}]), [("default", kind)]).get_data()
    assert (image.shape, image.dtype) == ((12, 16, 3), np.uint8)


def test_tar_of_all(service: Running) -> None:
    outputs = [{"id": "bands", "bands": 2, "sampleType": "UINT16"}, {"id": "CLM", "bands": 1, "sampleType": "UINT8"}]
    drawn = script("B04", "B08", outputs=outputs, units="DN", userData={"norm_factor": 1e-4})
    responses = [("bands", MimeType.TIFF), ("CLM", MimeType.PNG), ("userdata", MimeType.JSON)]
    [found] = ask(service, drawn, responses).get_data()
    assert sorted(found) == ["CLM.png", "bands.tif", "userdata.json"]
    np.testing.assert_array_equal(found["bands.tif"], np.stack([dn("B04"), dn("B08")], axis=-1))
    assert found["userdata.json"] == {"norm_factor": 1e-4}


def test_user_data_alone(service: Running) -> None:
    drawn = script("B04", userData={"dates": ["2024-06-01"]})
    assert ask(service, drawn, [("userdata", MimeType.JSON)]).get_data() == [{"dates": ["2024-06-01"]}]


def test_degrees_and_resolution(service: Running) -> None:
    box = BBox((13.0, 52.0, 13.02, 52.01), CRS.WGS84)
    drawn = script("B04", outputs=[{"bands": 1, "sampleType": "UINT16"}], units="DN")
    asked = ask(service, drawn, [("default", MimeType.TIFF)], bbox=box, size=None, resolution=(0.001, 0.0005))
    [image] = asked.get_data()
    np.testing.assert_array_equal(image, expected("B04", tuple(box), (20, 20), 153))


def test_a_polygon(service: Running) -> None:
    geometry = Geometry("POLYGON((400000 5800000, 400160 5800000, 400160 5800120, 400000 5800000))", CRS.UTM_33N)
    drawn = script("B04", outputs=[{"bands": 1, "sampleType": "UINT16"}], units="DN")
    [image] = ask(service, drawn, [("default", MimeType.TIFF)], bbox=None, geometry=geometry).get_data()
    np.testing.assert_array_equal(image, dn("B04"))


def test_what_a_script_does_wrong_is_told(service: Running) -> None:
    with pytest.raises(DownloadFailedException, match="x is not defined"):
        ask(service, script("B04", fails="x is not defined"), [("default", MimeType.TIFF)]).get_data()


def test_many_at_once(service: Running) -> None:
    requests = [
        ask(
            service,
            script("B04", outputs=[{"bands": 1, "sampleType": "UINT16"}], units="DN"),
            [("default", MimeType.TIFF)],
        )
        for _ in range(24)
    ]
    client = SentinelHubDownloadClient(config=config_of(service))
    images = client.download([each.download_list[0] for each in requests], max_threads=8)
    assert len(images) == 24
    for image in images:
        np.testing.assert_array_equal(image, dn("B04"))


def test_waiting_times_are_obeyed(tmp_path: Path) -> None:
    drawn = script("B04", outputs=[{"bands": 1, "sampleType": "UINT16"}], units="DN")
    with running_service(tmp_path, requests_per_minute=120, burst=1) as strict:
        requests = [ask(strict, drawn, [("default", MimeType.TIFF)]) for _ in range(3)]
        client = SentinelHubDownloadClient(config=config_of(strict))
        with pytest.warns(SHRateLimitWarning):
            images = client.download([each.download_list[0] for each in requests], max_threads=3)
    for image in images:
        np.testing.assert_array_equal(image, dn("B04"))


def test_a_session_renews_itself(service: Running) -> None:
    session = SentinelHubSession(config_of(service))
    assert session.token["token_type"] == "Bearer"
    assert session.token["expires_in"] > 120
    assert sentinelhub.SentinelHubSession.from_token(session.token).session_headers


@pytest.mark.parametrize("changed", ["sh_client_id", "sh_client_secret"])
def test_strangers_get_no_token(service: Running, changed: str) -> None:
    from oauthlib.oauth2 import InvalidClientError

    with pytest.raises((InvalidClientError, DownloadFailedException)) as error:
        _ = SentinelHubSession(config_of(service, **{changed: "another"})).token
    assert service.client_secret not in str(error.value)


def test_an_open_service_takes_any_pair(tmp_path: Path) -> None:
    with running_service(tmp_path, open=True) as service:
        drawn = script("B04", outputs=[{"bands": 1, "sampleType": "UINT16"}], units="DN")
        config = config_of(service, sh_client_id="any", sh_client_secret="thing")
        [image] = ask(service, drawn, [("default", MimeType.TIFF)], config=config).get_data()
    np.testing.assert_array_equal(image, dn("B04"))
