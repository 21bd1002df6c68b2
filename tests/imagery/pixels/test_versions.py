"""Products that are replaced while they are read in strips: refused, however alike the new files are."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

import pytest
import rasterio
from rasterio.transform import Affine

from eotasks.errors import EOTasksError
from eotasks.imagery.files import remote
from eotasks.imagery.files.assets import AssetFiles
from eotasks.imagery.files.location import Version
from eotasks.imagery.files.open import open_files
from eotasks.imagery.files.origin import Origin
from eotasks.imagery.files.protocol import ProductFiles, RasterFile
from eotasks.imagery.pixels.raster import RasterInfo, describe, read_window
from eotasks.storage.place import Place
from tests.builders.inputs.jp2 import ESA
from tests.servers.s3 import S3Server
from tests.servers.web import AnsweringServer, status

LAYOUT = replace(ESA, height=700, width=560, tile=(256, 256))
JP2, TIFF = RasterFile("a.jp2", "JP2OpenJPEG"), RasterFile("a.tif", "GTiff")
RASTERS = {"a.jp2": JP2, "a.tif": TIFF, "stored.zip": JP2, "packed.zip": JP2}
"""What is replaced, and the image that is read of it."""


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("versions")
    values = LAYOUT.write(path / "a.jp2")
    with rasterio.open(
        path / "a.tif", "w", driver="GTiff", height=700, width=560, count=1, dtype="uint16", crs="EPSG:32633",
        transform=Affine(10, 0, 300_000, 0, -10, 5_900_040), tiled=True, blockxsize=256, blockysize=256,
    ) as target:  # fmt: skip
        target.write(values)
        target.build_overviews([2])
    for name, method in (("stored.zip", zipfile.ZIP_STORED), ("packed.zip", zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(path / name, "w", method) as archive:
            archive.writestr("manifest.safe", "<a/>")
            archive.write(path / "a.jp2", "a.jp2")
    return {name: (path / name).read_bytes() for name in RASTERS}


@pytest.fixture(autouse=True)
def _no_block_is_kept() -> Iterator[None]:
    yield
    remote._BLOCKS._kept.clear()


def strip(files: ProductFiles, raster: RasterFile, info: RasterInfo, top: int) -> bytes:
    """Pixels of rows of level 1 from one on."""
    grid = replace(info.grid, top=info.grid.top - 20 * top, resolution=20, height=100, width=280)
    pixels = read_window(files, raster, info, info.levels[1], grid, margin=3)
    assert pixels is not None
    return bytes(pixels.values.tobytes())


def other(content: bytes) -> bytes:
    """One of the same length, of which no header tells that it is another one."""
    at = len(content) * 3 // 4
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


REFUSED = r"changed while it was read|was replaced after it was first|was written by another run"


def check(files: ProductFiles, name: str, change: Callable[[], None], *, lost: bool) -> None:
    """Strips before and after a change: refused, or all of the version before.

    :param lost: No block is kept of that one.
    """
    raster = RASTERS[name]
    info = describe(files, raster)
    expected = strip(files, raster, info, 200)
    info = describe(files, raster)
    remote._BLOCKS._kept.clear()
    strip(files, raster, info, 0)
    change()
    if lost:
        remote._BLOCKS._kept.clear()
    for _ in range(2):
        message = ""
        try:
            found = strip(files, raster, info, 200)
        except EOTasksError as error:
            message = str(error)
        assert re.search(REFUSED, message) if message else not lost and found == expected
        assert "secret" not in message


@pytest.mark.parametrize("name", RASTERS)
def test_an_object_that_is_replaced(contents: dict[str, bytes], s3_server: S3Server, name: str) -> None:
    place = Place(s3_server.location())
    place.write_bytes(f"P/{name}", contents[name])
    files = open_files(f"{place}/P/{name}" if name.endswith("zip") else f"{place}/P")
    check(files, name, lambda: place.write_bytes(f"P/{name}", other(contents[name])), lost=True)


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("header", ["ETag", "Last-Modified", None])
@pytest.mark.parametrize("name", RASTERS)
def test_a_file_of_the_web_that_is_replaced(
    contents: dict[str, bytes], web_server: AnsweringServer, name: str, header: str | None, lost: bool
) -> None:
    """Whether its first block, which is read with each window, is kept or not. A server that says nothing of versions
    says how long a file is.
    """
    now, said = contents[name], "1"

    def answer(handler: BaseHTTPRequestHandler) -> None:
        facts = {} if header is None else {header.replace("-", "_"): said}
        if handler.command == "HEAD":
            status(200, length=len(now), **facts)(handler)
            return
        start, last = map(int, handler.headers["Range"].removeprefix("bytes=").split("-"))
        part = now[start : last + 1]
        status(206, part, Content_Range=f"bytes {start}-{start + len(part) - 1}/{len(now)}", **facts)(handler)

    def change() -> None:
        nonlocal now, said
        now, said = (now + b"\0" if header is None else other(now)), "2"

    web_server.answers["GET", f"/{name}"] = web_server.answers["HEAD", f"/{name}"] = answer
    url = f"{web_server.url}/{name}?sig=secret"
    if name.endswith("zip"):
        files: ProductFiles = open_files(url)
    else:
        files = AssetFiles("item", {name: url}, Origin.of(web_server.url))
    check(files, name, change, lost=lost)


@pytest.mark.parametrize(
    ("version", "differs"),
    [
        (Version(9, "a"), False),
        (Version(9, None), False),
        (Version(9, "changed 1"), False),  # another server of the same files, which gives no ETags
        (Version(9, "b"), True),
        (Version(8, "a"), True),
        (Version(9, "a", 5), True),
    ],
)
def test_what_is_another_version(version: Version, differs: bool) -> None:
    assert version.differs(Version(9, "a")) == Version(9, "a").differs(version) == differs
