"""Rasters of the web, read by ranges: what cannot be fetched is an error, never zeros."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from eotasks.errors import ImageryError
from eotasks.imagery.files import remote
from eotasks.imagery.files.assets import AssetFiles
from eotasks.imagery.files.origin import Origin
from eotasks.imagery.files.protocol import RasterFile
from eotasks.imagery.files.remote import BLOCK, WebRaster
from eotasks.imagery.pixels.raster import describe, read_window
from eotasks.limits import REQUESTS
from tests.servers.counting import Counts
from tests.servers.web import AnsweringServer, status

SIDE = 640


def image(path: Path) -> bytes:
    driver = "JP2OpenJPEG" if path.suffix == ".jp2" else "GTiff"
    values = np.random.default_rng(0).integers(0, 60_000, (SIDE, SIDE)).astype(np.uint16)
    profile = {"crs": "EPSG:32633", "transform": Affine(10, 0, 300_000, 0, -10, 5_900_000)}
    with rasterio.open(path, "w", driver=driver, width=SIDE, height=SIDE, count=1, dtype="uint16", **profile) as file:
        file.write(values, 1)
    return path.read_bytes()


@pytest.mark.parametrize("fault", ["fails", "sends less", "is another file", "is another version", "sends more"])
@pytest.mark.parametrize("name", ["a.tif", "a.jp2"])
def test_servers_that_fail_in_the_middle(
    tmp_path: Path, web_server: AnsweringServer, name: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = image(tmp_path / name)
    assert len(content) > 2 * BLOCK
    broken = False

    def answer(handler: BaseHTTPRequestHandler) -> None:
        start, last = map(int, handler.headers["Range"].removeprefix("bytes=").split("-"))
        part, size = content[start : last + 1], len(content)
        if broken and fault == "fails":
            status(403)(handler)
            return
        if broken:
            part = {"sends less": part[:-9], "sends more": part + b"x" * BLOCK}.get(fault, part)
            size += fault == "is another file"
        tag = f'"{start}"' if broken and fault == "is another version" else '"1"'
        status(206, part, Content_Range=f"bytes {start}-{start + len(part) - 1}/{size}", ETag=tag)(handler)

    web_server.answers["GET", f"/{name}"] = answer
    files = AssetFiles("item", {"B02": f"{web_server.url}/{name}?sig=secret"}, Origin.of(web_server.url))
    raster = RasterFile("B02", "JP2OpenJPEG" if name == "a.jp2" else "GTiff")
    monkeypatch.setattr("eotasks.imagery.files.remote.KEPT_BLOCKS", 1)
    info = describe(files, raster)
    grid = info.grid
    whole = read_window(files, raster, info, info.full, grid)
    assert whole is not None
    assert whole.values.any()
    broken = True
    with pytest.raises(
        ImageryError, match=r"answers 403|broke off|changed while|other bytes than|was replaced"
    ) as raised:
        read_window(files, raster, info, info.full, grid)
    assert "secret" not in str(raised.value)


def test_blocks_for_gdal_are_asked_for_within_the_bound(
    counted_folder: tuple[Path, Counts], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read anew for each request, as all bounds are."""
    root, counts = counted_folder
    (root / "a.tif").write_bytes(bytes(40 * BLOCK))
    counts.pause = 0.02
    internal = Origin.of(counts.url).internal

    def most_of(bound: int) -> int:
        monkeypatch.setenv(REQUESTS.variable, str(bound))
        counts.clear()
        remote._BLOCKS._kept.clear()
        with ThreadPoolExecutor(8) as pool:
            starts = [4 * number * BLOCK for number in range(8)]
            parts = pool.map(lambda at: WebRaster(f"{counts.url}/a.tif", internal).fetch(at, at + 9), starts)
            assert list(parts) == [bytes(9)] * 8
        return counts.most_at_once

    assert most_of(2) <= 2
    assert most_of(1) == 1
