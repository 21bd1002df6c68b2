"""Products in archives, of which nothing is believed."""

from __future__ import annotations

import contextlib
import pickle
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.errors import EOTasksError, ImageryError
from eotasks.imagery.files.open import open_files
from eotasks.imagery.files.zip import ZipFiles
from eotasks.limits import METADATA_BYTES, PRODUCT_FILES
from tests.servers.web import AnsweringServer, ranged, status

CONTENT = b"<a>metadata</a>" * 100


def archive(path: Path, *names: str, method: int = zipfile.ZIP_DEFLATED) -> ZipFiles:
    with zipfile.ZipFile(path, "w", method) as target:
        for name in names:
            target.writestr(name, CONTENT)
    return ZipFiles(str(path))


def test_names_are_below_the_one_folder(tmp_path: Path) -> None:
    files = archive(tmp_path / "a.zip", "P.SAFE/MTD.xml", "P.SAFE/GRANULE/T/MTD_TL.xml", "__MACOSX/P.SAFE/._MTD.xml")
    assert files.names() == ["GRANULE/T/MTD_TL.xml", "MTD.xml"]
    assert files.read_bytes("MTD.xml") == CONTENT
    assert files.fingerprint("MTD.xml")[0] == len(CONTENT)
    assert pickle.loads(pickle.dumps(files)).names() == files.names()
    assert archive(tmp_path / "b.zip", "MTD.xml", "a/b").names() == ["MTD.xml", "a/b"]


def test_absent(tmp_path: Path) -> None:
    with pytest.raises(ImageryError, match="b is not in it"):
        archive(tmp_path / "a.zip", "a").read_bytes("b")
    with pytest.raises(ImageryError, match=r"none\.zip: nothing there"):
        ZipFiles(str(tmp_path / "none.zip")).names()


def test_a_name_twice(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        files = archive(tmp_path / "a.zip", "P/a.xml", "P/a.xml")
    with pytest.raises(ImageryError, match=r"holds P/a\.xml twice"):
        files.names()


@pytest.mark.parametrize("name", ["../a", "/a", "P/../../a", "P\\a", "C:/a"])
def test_names_that_lead_out(tmp_path: Path, name: str) -> None:
    files = archive(tmp_path / "a.zip", "P/a.xml", name)
    with pytest.raises(ImageryError, match="leads out of the product"):
        files.names()


def test_a_link(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("P/MTD.xml")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
        target.writestr(link, "/etc/passwd")
    with pytest.raises(ImageryError, match="is a link"):
        ZipFiles(str(tmp_path / "a.zip")).names()


def test_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PRODUCT_FILES.variable, "2")
    with pytest.raises(ImageryError, match="more than 2 product files"):
        archive(tmp_path / "a.zip", "a", "b", "c").names()
    monkeypatch.setenv(METADATA_BYTES.variable, "1000")
    with pytest.raises(ImageryError, match="has 1,500, more than 1,000 metadata bytes"):
        archive(tmp_path / "b.zip", "a").read_bytes("a")


def test_a_file_that_is_longer_than_it_says(tmp_path: Path) -> None:
    """A bomb says that it is small."""
    archive(tmp_path / "a.zip", "a")
    content = (tmp_path / "a.zip").read_bytes()
    size = len(CONTENT).to_bytes(4, "little")
    assert content.count(size) == 2
    (tmp_path / "a.zip").write_bytes(content.replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(ImageryError, match="a is "):
        ZipFiles(str(tmp_path / "a.zip")).read_bytes("a")


def test_encrypted(tmp_path: Path) -> None:
    archive(tmp_path / "a.zip", "a")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + at] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ImageryError, match=r"a is damaged .*encrypted"):
        ZipFiles(str(tmp_path / "a.zip")).read_bytes("a")


def test_files_that_say_how_much_memory_they_take(tmp_path: Path) -> None:
    archive(tmp_path / "a.zip", "a", method=zipfile.ZIP_LZMA)
    with pytest.raises(ImageryError, match=r"a in it is packed by LZMA, which is not read: pack it anew"):
        ZipFiles(str(tmp_path / "a.zip")).read_bytes("a")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_damaged_by_any_method(method: int, tmp_path: Path) -> None:
    archive(tmp_path / "a.zip", "a", method=method)
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[40:50] = bytes(10)
    (tmp_path / "a.zip").write_bytes(content)
    files = ZipFiles(str(tmp_path / "a.zip"))
    with pytest.raises(ImageryError, match="a is damaged"):
        files.read_bytes("a")


@settings(max_examples=100, deadline=None)
@given(st.floats(0, 1), st.binary(min_size=1, max_size=8))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, place: float, noise: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.zip"
    archive(path, "P/a.xml", "P/b/c.xml")
    content = bytearray(path.read_bytes())
    start = int(place * len(content))
    content[start : start + len(noise)] = noise
    path.write_bytes(content)
    files = ZipFiles(str(path))
    with contextlib.suppress(EOTasksError):
        for name in files.names():
            assert files.read_bytes(name) == CONTENT


def test_zip_that_is_a_page(web_server: AnsweringServer) -> None:
    page = b"<html>Please log in</html>"
    web_server.answers["HEAD", "/a.zip"] = status(200, page)
    web_server.answers["GET", "/a.zip"] = ranged(page)
    with pytest.raises(ImageryError, match=r"a\.zip: cut off or no zip"):
        open_files(f"{web_server.url}/a.zip").names()


def test_servers_that_fail_are_no_damage(web_server: AnsweringServer) -> None:
    """Python's zipfile takes any OSError while it looks for the end of an archive for damage."""
    web_server.answers["HEAD", "/a.zip"] = status(200, b"x" * 1000)
    web_server.answers["GET", "/a.zip"] = status(403)
    with pytest.raises(ImageryError, match=r"a\.zip: the server answers 403"):
        open_files(f"{web_server.url}/a.zip").names()
