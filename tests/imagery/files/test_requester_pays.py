"""Products in buckets whose readers pay (sentinel-s2-l1c, sentinel-s2-l2a), in every layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eotasks.errors import CredentialsError
from eotasks.imagery.grid import Grid
from eotasks.imagery.scene import open_scene
from tests.builders.layouts import TILE_PATH, aws_bucket, small_safe, stac_item, zipped
from tests.builders.tile import LEFT, TOP
from tests.servers.requester_pays import RequesterPaysServer

BUCKET = "s3://sentinel-s2-l1c"
GRID = Grid("EPSG:32633", LEFT + 240, TOP - 240, 60, 12, 12)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The content of the bucket."""
    root = tmp_path_factory.mktemp("bucket")
    safe = small_safe(tmp_path_factory.mktemp("safe"))
    aws_bucket(safe, root)
    safe.rename(root / "P.SAFE")
    zipped(root / "P.SAFE", root / "packed.zip")
    zipped(root / "P.SAFE", root / "stored.zip", packed=False)
    item = stac_item(root / "P.SAFE", root)
    for band, asset in item["assets"].items():
        asset["href"] = f"{BUCKET}/{band}.tif"
        asset["raster:bands"] = [{"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1}]
    (root / "item.json").write_text(json.dumps(item))
    return root


@pytest.mark.parametrize("name", [TILE_PATH, "P.SAFE", "packed.zip", "stored.zip", "item.json"])
def test_every_layout(root: Path, paid_server: RequesterPaysServer, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for file in root.rglob("*"):
        if file.is_file():
            paid_server.objects[file.relative_to(root).as_posix()] = file.read_bytes()
    with pytest.raises(CredentialsError, match=r"sentinel-s2-l1c is requester pays.* AWS_REQUEST_PAYER=requester"):
        open_scene(f"{BUCKET}/{name}")
    paid_server.asked.clear()
    monkeypatch.setenv("AWS_REQUEST_PAYER", "requester")
    assert open_scene(f"{BUCKET}/{name}").read(["B02", "B11"], GRID).any()
    assert len(paid_server.asked) > 2
    assert all(pays for _, pays in paid_server.asked)
