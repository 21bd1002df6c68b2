"""The Process API over real HTTP: every response, every refusal, and the client sentinelhub as it is."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import requests
import tifffile
from PIL import Image

from eotasks.service.evalscript.engine import Evaluated
from eotasks.service.evalscript.planes import Pixels
from tests.servers.service import BOX, FakeEngine, Running, expected, request, running_service, script

FLOATS = {"bands": 1, "sampleType": "FLOAT32"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_service(tmp_path_factory.mktemp("service"), request_bytes=100_000, script_bytes=20_000) as running:
        yield running


@pytest.fixture(scope="module")
def token(service: Running) -> str:
    return service.token()


def dn(band: str) -> np.ndarray:
    return expected(band, BOX, (12, 16), 153)


def names(content: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return archive.getnames()


def test_one_image(service: Running, token: str) -> None:
    answer = service.post("/api/v1/process", request(), token=token)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/tiff")
    image = tifffile.imread(io.BytesIO(answer.content))
    np.testing.assert_array_equal(image, (dn("B04") / 10_000).astype(np.float32))
    with rasterio.MemoryFile(answer.content) as file, file.open() as dataset:
        assert (dataset.crs.to_epsg(), tuple(dataset.bounds)) == (32633, BOX)


def test_the_newer_address(service: Running, token: str) -> None:
    assert service.post("/process/v1", request(), token=token).content == (
        service.post("/api/v1/process", request(), token=token).content
    )


def test_several_images_and_user_data(service: Running, token: str) -> None:
    drawn = script(
        "B04",
        "B03",
        "CLM",
        outputs=[{"id": "bands", "bands": 2, "sampleType": "UINT16"}, {"id": "rgb", "bands": 3}],
        units="DN",
        userData={"norm_factor": 0.0001, "none": None, "text": "ä"},
    )
    responses = [
        {"identifier": "bands", "format": {"type": "image/tiff"}},
        {"identifier": "rgb", "format": {"type": "image/png"}},
        {"identifier": "userdata", "format": {"type": "application/json"}},
    ]
    answer = service.post("/api/v1/process", request(evalscript=drawn, output={"responses": responses}), token=token)
    assert answer.headers["content-type"] == "application/x-tar"
    assert names(answer.content) == ["bands.tif", "rgb.png", "userdata.json"]
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    np.testing.assert_array_equal(
        tifffile.imread(io.BytesIO(files["bands.tif"])), np.stack([dn("B04"), dn("B03")], axis=-1)
    )
    assert np.array(Image.open(io.BytesIO(files["rgb.png"]))).shape == (12, 16, 3)
    assert json.loads(files["userdata.json"]) == {"norm_factor": 0.0001, "none": None, "text": "ä"}


@pytest.mark.parametrize(
    ("responses", "accept", "content_type"),
    [
        ([], "*/*", "image/png"),
        ([], "image/jpeg", "image/jpeg"),
        ([], "image/tiff;q=0.5, image/jpeg;q=0.9", "image/jpeg"),
        ([], "text/html, image/tiff;q=0", "image/png"),
        ([{"identifier": "default"}], "image/tiff", "image/tiff"),
        ([{"identifier": "default", "format": {"type": "image/png"}}], "image/tiff", "image/png"),
        ([{"identifier": "default", "format": {"type": "image/tiff;depth=32f"}}], "", "image/tiff"),
        ([], "application/x-tar", "application/x-tar"),
        ([], "application/tar", "application/x-tar"),
        ([{"identifier": "userdata"}], "image/tiff", "application/json"),
    ],
    ids=[
        "nothing", "by header", "weights", "header without images", "format by header", "request over header",
        "parameters", "tar of one", "tar by its other name", "user data",
    ],
)  # fmt: skip
def test_format(service: Running, token: str, responses: list[Any], accept: str, content_type: str) -> None:
    asked = request(evalscript=script("B04"), output={"responses": responses})
    answer = service.post("/api/v1/process", asked, token=token, Accept=accept)
    assert (answer.status_code, answer.headers["content-type"]) == (200, content_type), answer.text


def test_multipart_mixed(service: Running, token: str) -> None:
    answer = service.post("/api/v1/process", request(), token=token, Accept="multipart/mixed")
    assert answer.headers["content-type"].startswith("multipart/mixed; boundary=")
    assert b'filename="default.tif"' in answer.content


def test_a_form_as_curl_sends_it(service: Running, token: str) -> None:
    asked = request()
    drawn = asked.pop("evalscript")
    form = {"request": (None, json.dumps(asked)), "evalscript": (None, drawn)}
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.post(f"{service.url}/api/v1/process", files=form, headers=headers, timeout=60)
    assert answer.content == service.post("/api/v1/process", request(), token=token).content


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"evalscript": "//VERSION=3\nnonsense"}, 400, "evalscript cannot be read"),
        ({"evalscript": script("B04", fails="ReferenceError: x is not defined")}, 400, "x is not defined"),
        ({"evalscript": " "}, 400, "empty"),
        ({"evalscript": "x" * 20_001}, 413, "20,001 bytes"),
        ({"evalscript": script("B99")}, 400, "B99"),
        ({"data": {"type": "sentinel-3"}}, 404, "There are sentinel-2-l1c, sentinel-2-l2a"),
        ({"data": {"type": "dem", "dataFilter": {"demInstance": "COPERNICUS_30"}}}, 404, "'dem' is not served"),
        ({"data": {"dataFilter": {}}}, 400, "timeRange is missing"),
        ({"output": {"width": 2501}}, 400, "2,501"),
        ({"output": {"width": 0}}, 400, "width"),
        ({"output": {"widht": 4}}, 400, "did you mean 'width'?"),
        ({"output": {"responses": [{"identifier": "other"}]}}, 400, "'other'"),
        ({"output": {"responses": [{"identifier": "default"}] * 2}}, 400, "twice"),
        ({"output": {"responses": [{"identifier": "default", "format": {"type": "image/png"}}]}}, 400, "FLOAT32"),
        ({"output": {"responses": [{"identifier": "default", "format": {"type": "application/json"}}]}}, 400, "image"),
        ({"output": {"responses": [{"identifier": "userdata", "format": {"type": "image/png"}}]}}, 400, "json"),
        ({"bounds": {"bbox": [0, 0, 1]}}, 400, "four numbers"),
    ],
    ids=lambda value: str(value)[:60] if not isinstance(value, dict) else "-".join(value),
)
def test_refused(service: Running, token: str, changes: dict[str, Any], status: int, said: str) -> None:
    answer = service.post("/api/v1/process", request(**changes), token=token)
    error = answer.json()["error"]
    assert (answer.status_code, error["status"]) == (status, status)
    assert said in error["message"]
    assert set(error) == {"status", "reason", "message", "code"}


def test_code_of_a_script(service: Running, token: str) -> None:
    answer = service.post("/api/v1/process", request(evalscript=script("B04", fails="bad")), token=token)
    assert answer.json()["error"] == {
        "status": 400, "reason": "Bad Request", "message": "bad", "code": "RENDERER_EXCEPTION"
    }  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[1]", b"null", b'"text"', b"[" * 50_000, b"\xff\xfe", b'{"input": 1e999}', b"0" * 200_000],
    ids=["empty", "half", "list", "null", "text", "deep", "bytes", "infinite", "large"],
)
def test_bodies_that_are_none(service: Running, token: str, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    answer = requests.post(f"{service.url}/api/v1/process", data=body, headers=headers, timeout=60)
    assert answer.status_code == (413 if len(body) > 100_000 else 400)
    assert answer.json()["error"]["code"] == "COMMON_BAD_PAYLOAD"


def test_a_body_without_a_length_is_bounded_too(service: Running, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    parts = (b" " * 10_000 for _ in range(20))
    answer = requests.post(f"{service.url}/api/v1/process", data=parts, headers=headers, timeout=60)
    assert answer.status_code == 413


@pytest.mark.parametrize("first", ["default", "userdata"])
@pytest.mark.parametrize("media_type", ["image/tiff", "image/png"])
def test_a_script_that_declares_another_output_when_it_draws(tmp_path: Path, first: str, media_type: str) -> None:
    class Fickle(FakeEngine):
        def evaluate(self, script: str, pixels: Pixels, **options: Any) -> Evaluated:
            evaluated = super().evaluate(script, pixels, **options)
            outputs = tuple(replace(each, id="another") for each in evaluated.setup.outputs)
            return Evaluated({"another": evaluated.images[first]}, {"a": 1}, replace(evaluated.setup, outputs=outputs))

    code = script("B04", outputs=[{"id": first, "bands": 1, "sampleType": "UINT16"}])
    output = {"responses": [{"identifier": first, "format": {"type": media_type}}]}
    with running_service(tmp_path, open=True, engine=Fickle()) as service:
        answer = service.post("/api/v1/process", request(evalscript=code, output=output), token="")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "RENDERER_EXCEPTION")
    assert "has none when it draws" in answer.json()["error"]["message"]


def test_a_fault_shows_no_text_of_it(service: Running, token: str, caplog: pytest.LogCaptureFixture) -> None:
    fault = "s3cret /home/user/catalogue.parquet"
    answer = service.post("/api/v1/process", request(evalscript=script("B04", fault=fault)), token=token)
    number = answer.headers["x-request-id"]
    assert answer.status_code == 500
    assert "s3cret" not in answer.text
    assert number in answer.json()["error"]["message"]
    assert fault in caplog.text


def test_addresses_that_are_none(service: Running) -> None:
    answer = requests.get(f"{service.url}/api/v1/nothing", timeout=60)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "COMMON_NOT_FOUND")
    answer = requests.get(f"{service.url}/api/v1/process", timeout=60)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["error"]["reason"] == "Method Not Allowed"


def test_too_much_memory(tmp_path: Path) -> None:
    with running_service(tmp_path, open=True, memory_mb=256, concurrent=64) as small:
        answer = small.post("/api/v1/process", request(output={"width": 2500, "height": 2500}), token="")
    assert answer.status_code == 413
    assert small.reader.asked  # found, and not read
