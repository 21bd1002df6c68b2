"""`eotasks.imagery.files.folder`: files of products in a folder on disk."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import pytest

from eotasks.errors import ImageryError
from eotasks.imagery.files.folder import FolderFiles
from eotasks.limits import METADATA_BYTES, PRODUCT_FILES


def test_folders_read_nothing_outside(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "product").mkdir()
    files = FolderFiles(tmp_path / "product")
    for use in (files.read_bytes, files.raster_path):
        with pytest.raises(ImageryError, match="leads out of the product"):
            use("../secret")


def test_names_and_content(tmp_path: Path) -> None:
    (tmp_path / "GRANULE" / "T").mkdir(parents=True)
    (tmp_path / "GRANULE" / "T" / "MTD_TL.xml").write_bytes(b"<tile/>")
    (tmp_path / "MTD.xml").write_bytes(b"<a/>")
    files = FolderFiles(tmp_path)
    assert files.names() == ["GRANULE/T/MTD_TL.xml", "MTD.xml"]
    assert files.read_bytes("MTD.xml") == b"<a/>"
    assert files.fingerprint("MTD.xml") == (4, (tmp_path / "MTD.xml").stat().st_mtime_ns)
    assert pickle.loads(pickle.dumps(files)) == files


def test_what_is_absent_is_named(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path)
    with pytest.raises(ImageryError, match=r"MTD\.xml cannot be read \(No such file"):
        files.read_bytes("MTD.xml")
    with pytest.raises(ImageryError, match=r"MTD\.xml is gone"):
        files.fingerprint("MTD.xml")
    with pytest.raises(ImageryError, match=r"cannot be listed \(No such file"):
        FolderFiles(tmp_path / "absent").names()


def test_a_folder_that_may_not_be_listed_is_no_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "GRANULE").mkdir()
    scan = os.scandir

    def denied(path: str) -> object:
        if Path(path).name == "GRANULE":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(ImageryError, match=r"cannot be listed .*Check its rights"):
        FolderFiles(tmp_path).names()


def test_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        (tmp_path / name).write_bytes(b"x" * 1500)
    monkeypatch.setenv(PRODUCT_FILES.variable, "2")
    with pytest.raises(ImageryError, match="more than 2 product files"):
        FolderFiles(tmp_path).names()
    monkeypatch.setenv(METADATA_BYTES.variable, "1000")
    with pytest.raises(ImageryError, match="a has 1,500, more than 1,000 metadata bytes"):
        FolderFiles(tmp_path).read_bytes("a")
