"""Levels of JP2 files by their packets, wherever the file lies: the pixels that GDAL makes of the whole file."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest

from eotasks.errors import ImageryError
from eotasks.imagery.files import remote
from eotasks.imagery.files.assets import AssetFiles
from eotasks.imagery.files.bucket import BucketFiles
from eotasks.imagery.files.folder import FolderFiles
from eotasks.imagery.files.open import open_files
from eotasks.imagery.files.origin import Origin
from eotasks.imagery.files.protocol import ProductFiles, RasterFile
from eotasks.imagery.files.web import WebFiles
from eotasks.imagery.grid import Grid
from eotasks.imagery.jp2.index import PacketIndex
from eotasks.imagery.pixels.raster import Wanted, decode_window, describe, find_window, read_window
from eotasks.limits import BLOCK_PIXELS
from eotasks.storage import s3
from eotasks.storage.place import Place
from tests.builders.inputs.jp2 import ESA
from tests.servers.counting import Counts
from tests.servers.s3 import S3Server
from tests.servers.web import AnsweringServer, status

JP2 = RasterFile("a.jp2", "JP2OpenJPEG")
LAYOUT = replace(ESA, height=700, width=560, tile=(256, 256))
WINDOW = Grid("EPSG:32633", 303_000, 5_897_000, 20, 50, 60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One band as the ground segment packs it, and zips of it."""
    path = tmp_path_factory.mktemp("packets")
    LAYOUT.write(path / "a.jp2")
    for name, method in (("stored.zip", zipfile.ZIP_STORED), ("packed.zip", zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(path / name, "w", method) as archive:
            archive.writestr("manifest.safe", "<a/>")
            archive.write(path / "a.jp2", "a.jp2")
    return path


@pytest.fixture
def far(folder: Path, counted_folder: tuple[Path, Counts]) -> Iterator[Counts]:
    root, counts = counted_folder
    for path in folder.iterdir():
        (root / path.name).hardlink_to(path)
    yield counts
    remote._BLOCKS._kept.clear()


def check(files: ProductFiles, *, whole: bool = False) -> None:
    """Each level and a window of each, against GDAL.

    :param whole: The files can only be opened as a whole.
    """
    info = describe(files, JP2)
    for level in info.levels:
        for grid in (info.grid, WINDOW) if level.overview else (WINDOW,):
            wanted = find_window(files, JP2, info, level, grid)
            assert wanted is not None
            if level is not info.full:
                assert (wanted.content is None) == whole
            found = decode_window(files, JP2, info, wanted)
            same = decode_window(files, JP2, info, Wanted(level, wanted.window, None))
            np.testing.assert_array_equal(found.values, same.values)
            assert found.transform == same.transform


def test_on_disk(folder: Path) -> None:
    check(FolderFiles(folder))
    check(AssetFiles("item", {"a.jp2": str(folder / "a.jp2")}, Origin.of(folder / "item.json")))


def test_in_zips(folder: Path) -> None:
    check(open_files(folder / "stored.zip"))
    check(open_files(folder / "packed.zip"), whole=True)


def test_on_the_web(far: Counts) -> None:
    check(AssetFiles("item", {"a.jp2": f"{far.url}/a.jp2"}, Origin.of(far.url)))
    check(open_files(f"{far.url}/stored.zip"))


def test_in_a_bucket(folder: Path, s3_server: S3Server) -> None:
    place = Place(s3_server.location())
    place.write_bytes("P/a.jp2", (folder / "a.jp2").read_bytes())
    check(open_files(f"{place}/P"))


def test_what_a_level_takes_of_the_web(far: Counts, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = AssetFiles("item", {"a.jp2": f"{far.url}/a.jp2"}, Origin.of(far.url))
    info = describe(files, JP2)
    far.clear()
    caplog.set_level(logging.DEBUG, "eotasks.imagery.pixels.raster")
    read_window(files, JP2, info, info.levels[3], info.grid)
    size = (folder / "a.jp2").stat().st_size
    assert far.sent < size / 20
    assert len(far.requests) <= 12  # of nine tiles
    assert "bytes of it hold the window" in caplog.text
    far.clear()
    read_window(files, JP2, info, info.full, info.grid)
    assert "opened as a whole: all of it is wanted" in caplog.text
    assert far.sent > size / 2


def test_strips_take_no_more_of_the_web_than_the_whole(far: Counts) -> None:
    files = AssetFiles("item", {"a.jp2": f"{far.url}/a.jp2"}, Origin.of(far.url))

    def taken(rows: int) -> int:
        """Bytes, of strips of so many rows at level 1."""
        info = describe(files, JP2)
        far.clear()
        for top in range(0, 350, rows):
            grid = replace(info.grid, top=info.grid.top - 20 * top, resolution=20, height=rows, width=280)
            assert read_window(files, JP2, info, info.levels[1], grid, margin=3) is not None
        return far.sent

    whole = taken(350)
    assert whole <= taken(100) < 1.01 * whole


@pytest.mark.parametrize("fault", ["fails", "sends less", "is another file", "is another version", "sends more"])
def test_servers_that_fail_in_the_middle(folder: Path, web_server: AnsweringServer, fault: str) -> None:
    content = (folder / "a.jp2").read_bytes()
    broken = False

    def answer(handler: BaseHTTPRequestHandler) -> None:
        start, last = map(int, handler.headers["Range"].removeprefix("bytes=").split("-"))
        part, size = content[start : last + 1], len(content)
        if broken and fault == "fails":
            status(403)(handler)
            return
        if broken:
            part = {"sends less": part[:-9], "sends more": part + b"x" * 99}.get(fault, part)
            size += fault == "is another file"
        tag = '"2"' if broken and fault == "is another version" else '"1"'
        status(206, part, Content_Range=f"bytes {start}-{start + len(part) - 1}/{size}", ETag=tag)(handler)

    web_server.answers["GET", "/a.jp2"] = answer
    files = AssetFiles("item", {"a.jp2": f"{web_server.url}/a.jp2?sig=secret"}, Origin.of(web_server.url))
    info = describe(files, JP2)
    broken = True
    with pytest.raises(ImageryError, match=r"answers 403|broke off|changed while|other bytes than") as raised:
        read_window(files, JP2, info, info.levels[2], info.grid)
    assert "secret" not in str(raised.value)
    assert str(raised.value).startswith("item: a.jp2: ")


def test_a_file_that_is_written_anew_while_it_is_read(folder: Path, tmp_path: Path) -> None:
    content = (folder / "a.jp2").read_bytes()
    (tmp_path / "a.jp2").write_bytes(content)
    files = FolderFiles(tmp_path)
    info = describe(files, JP2)
    source, first = files.raster_bytes("a.jp2"), find_window(files, JP2, info, info.levels[2], info.grid)
    assert source.length() == len(content)
    (tmp_path / "a.jp2").write_bytes(content + b"more")
    with pytest.raises(ImageryError, match="changed while it was read"):
        source.exactly(0, 10)
    again = find_window(files, JP2, info, info.levels[2], info.grid)  # is looked at anew
    assert again == first
    (tmp_path / "a.jp2").unlink()
    with pytest.raises(ImageryError, match=r"a\.jp2: missing, damaged or no JP2 image"):
        find_window(files, JP2, info, info.levels[2], info.grid)


def test_levels_are_known_anew_in_another_process(folder: Path) -> None:
    files = FolderFiles(folder)
    info = describe(files, JP2)
    assert isinstance(info.packets, PacketIndex)
    assert info == describe(files, JP2)


@pytest.mark.parametrize("change", [{"width": 1_120}, {"height": 300}, {"tile": (64, 64)}])
def test_a_file_that_is_another_image_than_was_described(
    folder: Path, tmp_path: Path, change: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of other tiles is read, as far as these are no larger than any."""
    (tmp_path / "a.jp2").write_bytes((folder / "a.jp2").read_bytes())
    files = FolderFiles(tmp_path)
    info = describe(files, JP2)
    replace(LAYOUT, **{"height": 700, "width": 560, **change}).write(tmp_path / "a.jp2")
    if "tile" in change:
        assert read_window(files, JP2, info, info.levels[2], info.grid) is not None
        monkeypatch.setenv(BLOCK_PIXELS.variable, "100")
        with pytest.raises(ImageryError, match=rf"a\.jp2: .*{BLOCK_PIXELS.variable}"):
            read_window(files, JP2, info, info.levels[2], info.grid)
        return
    with pytest.raises(ImageryError, match=r"a\.jp2: has [\d,]+ x [\d,]+ pixels now, 700 x 560 before"):
        read_window(files, JP2, info, info.levels[2], info.grid)


def test_a_bucket_is_asked_once_for_a_file_that_gdal_reads(
    tmp_path: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long it is: by who looks at its packets, not by GDAL again."""
    replace(LAYOUT, lengths=False).write(tmp_path / "a.jp2")
    place = Place(s3_server.location())
    place.write_bytes("P/a.jp2", (tmp_path / "a.jp2").read_bytes())
    files = open_files(f"{place}/P")
    info = describe(files, JP2)
    asked: list[str] = []
    facts = s3.object_facts

    def counted(location: str) -> s3.ObjectFacts:
        asked.append(location)
        return facts(location)

    monkeypatch.setattr(s3, "object_facts", counted)
    for level in info.levels[1:]:
        asked.clear()
        wanted = find_window(files, JP2, info, level, info.grid)
        assert wanted is not None
        assert wanted.content is None
        found = decode_window(files, JP2, info, wanted)
        assert len(asked) == 1
        whole = FolderFiles(tmp_path)
        same = decode_window(whole, JP2, info, Wanted(level, wanted.window, None))
        np.testing.assert_array_equal(found.values, same.values)


def test_what_is_far(folder: Path, far: Counts) -> None:
    for files, is_far in (
        (FolderFiles(folder), False),
        (open_files(folder / "stored.zip"), False),
        (open_files(f"{far.url}/stored.zip"), True),
        (open_files(f"{far.url}/packed.zip"), True),
        (WebFiles(f"{far.url}/P"), True),
        (BucketFiles("s3://nowhere/P"), True),
        (AssetFiles("item", {"a.jp2": f"{far.url}/a.jp2"}, Origin.of(far.url)), True),
        (AssetFiles("item", {"a.jp2": str(folder / "a.jp2")}, Origin.of(folder / "item.json")), False),
    ):
        assert files.is_far("a.jp2") == is_far
        assert (files.raster_source("a.jp2") is not None) == is_far
