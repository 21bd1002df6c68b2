"""Servers that fail for some seconds: reads wait for them, and what failed is asked for again by later reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.errors import ImageryError
from eotasks.imagery.files import remote
from eotasks.imagery.grid import Grid
from eotasks.imagery.scene import open_scene
from eotasks.limits import ATTEMPTS
from eotasks.sources.scenes import LoadScenesTask
from tests.builders.layouts import small_safe, stac_item, zipped
from tests.builders.tile import LEFT, TOP
from tests.servers.web import Answer, AnsweringServer, status

GRID = Grid("EPSG:32633", LEFT + 240, TOP - 240, 60, 12, 12)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("item")
    safe = small_safe(tmp_path_factory.mktemp("safe"))
    zipped(safe, folder / "packed.zip")
    zipped(safe, folder / "stored.zip", packed=False)
    item = stac_item(safe, folder)
    item["assets"] = {"B02": item["assets"]["B02"]}
    item["assets"]["B02"]["raster:bands"] = [{"scale": 0.0001, "offset": -0.1}]
    return folder, item


class Files:
    """What a server has, and which of its first answers are other ones."""

    def __init__(self, server: AnsweringServer, folder: Path) -> None:
        self.failing: list[Answer] = []
        self.tag = '"1"'
        for file in folder.iterdir():
            for method in ("GET", "HEAD"):
                server.answers[method, f"/{file.name}"] = self._answer(file.read_bytes())

    def _answer(self, content: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            wanted = handler.headers["Range"]
            if self.failing:
                self.failing.pop(0)(handler)
            elif wanted is None:
                status(200, content, ETag=self.tag)(handler)
            else:
                start, _, last = wanted.removeprefix("bytes=").partition("-")
                part = content[int(start) : int(last) + 1]
                said = f"bytes {start}-{int(start) + len(part) - 1}/{len(content)}"
                status(206, part, Content_Range=said, ETag=self.tag)(handler)

        return answer


@pytest.fixture
def files(made: tuple[Path, dict[str, Any]], web_server: AnsweringServer, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.setenv("EOTASKS_ALLOWED_HOSTS", "127.0.0.1")
    monkeypatch.setattr(remote, "_BLOCKS", type(remote._BLOCKS)())  # a new process has read nothing
    return Files(web_server, made[0])


@pytest.fixture
def item(made: tuple[Path, dict[str, Any]], web_server: AnsweringServer) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(json.dumps(made[1]))
    content["assets"]["B02"]["href"] = f"{web_server.url}/B02.tif"
    return content


def torn(handler: BaseHTTPRequestHandler) -> None:
    status(206, b"12", length=70_000, Content_Range="bytes 0-69999/70000")(handler)
    handler.close_connection = True


@pytest.mark.parametrize("failure", [status(429), status(500), status(503), torn], ids=["429", "500", "503", "torn"])
def test_a_read_waits_for_a_server_that_fails_for_seconds(files: Files, item: dict[str, Any], failure: Answer) -> None:
    expected = open_scene(item).read(["B02"], GRID)
    remote._BLOCKS = type(remote._BLOCKS)()
    files.failing = [failure] * 3
    np.testing.assert_array_equal(open_scene(item).read(["B02"], GRID), expected)
    assert files.failing == []


@pytest.mark.parametrize("code", [403, 404, 429, 500, 503])
def test_a_later_read_asks_again(
    files: Files, item: dict[str, Any], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """In the same process, and of the same scene: GDAL itself would remember that there is no such file."""
    monkeypatch.setenv(ATTEMPTS.variable, "2")
    scene = open_scene(item)
    files.failing = [status(code)] * 2
    with pytest.raises(ImageryError, match=f"B02: .*answers {code}"):
        scene.read(["B02"], GRID)
    files.failing = []
    assert scene.read(["B02"], GRID).any()
    assert open_scene(item).read(["B02"], GRID).any()


def test_patches_of_a_batch_are_read_though_the_first_requests_fail(
    files: Files, item: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "item.json").write_text(json.dumps(item))
    task = LoadScenesTask(bands=["B02"], scenes=[str(tmp_path / "item.json")], dtype="dn", sun_angles_feature=None)
    files.failing = [status(503)] * 3
    for step in range(3):
        top = TOP - 240 - 240 * step
        box = BBox((LEFT + 240, top - 240, LEFT + 480, top), CRS("32633"))
        assert task.execute(bbox=box).data["BANDS"].any()


@pytest.mark.parametrize("name", ["packed.zip", "stored.zip"])
def test_an_archive_that_changes_is_refused_by_name(files: Files, web_server: AnsweringServer, name: str) -> None:
    scene = open_scene(f"{web_server.url}/{name}")
    files.tag = '"2"'
    with pytest.raises(ImageryError, match=rf"{name}.*changed while it was read"):
        scene.read(["B02"], GRID)
    assert open_scene(f"{web_server.url}/{name}").read(["B02"], GRID).any()
