"""`eotasks.imagery.files.bucket`: files of products in a bucket of a real S3 server."""

from __future__ import annotations

import pickle

import pytest

from eotasks.errors import ImageryError, StorageError
from eotasks.imagery.files.bucket import BucketFiles, object_fingerprint
from eotasks.imagery.files.open import open_files
from eotasks.limits import METADATA_BYTES, PRODUCT_FILES
from eotasks.storage.place import Place
from tests.servers.s3 import S3Server


@pytest.fixture
def place(s3_server: S3Server) -> Place:
    place = Place(s3_server.location())
    place.write_bytes("P/MTD.xml", b"<a/>")
    place.write_bytes("P/GRANULE/T/MTD_TL.xml", b"<tile/>")
    place.write_bytes("Pq/other", b"")
    return place


def test_names_and_content(place: Place) -> None:
    files = open_files(f"{place}/P/")
    assert isinstance(files, BucketFiles)
    assert files.location == f"{place}/P"
    assert files.names() == ["GRANULE/T/MTD_TL.xml", "MTD.xml"]
    assert files.read_bytes("MTD.xml") == b"<a/>"
    assert files.raster_path("B02.jp2") == f"/vsis3/{place.location.removeprefix('s3://')}/P/B02.jp2"
    size, changed = files.fingerprint("MTD.xml")
    assert size == 4
    assert changed == int(place.extent("P/MTD.xml")[1].timestamp() * 1e9)
    assert object_fingerprint(f"{place}/P/MTD.xml")[0] == 4
    assert pickle.loads(pickle.dumps(files)).names() == files.names()


def test_what_is_absent_is_named(place: Place) -> None:
    files = BucketFiles(f"{place}/P")
    with pytest.raises(StorageError, match=r"P/absent is not there"):
        files.read_bytes("absent")
    with pytest.raises(ImageryError, match=r"P: absent is not there"):
        files.fingerprint("absent")
    with pytest.raises(StorageError, match=r"P/absent is not there"):
        object_fingerprint(f"{place}/P/absent")
    with pytest.raises(ImageryError, match=r"none: nothing there"):
        BucketFiles(f"{place}/none").names()
    with pytest.raises(StorageError, match="no bucket 'absent'"):
        BucketFiles("s3://absent/P").names()
    for use in (files.read_bytes, files.raster_path):
        with pytest.raises(ImageryError, match="leads out of the product"):
            use("../Pq/other")


def test_too_much(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write_bytes("P/long.xml", b"x" * 1500)
    monkeypatch.setenv(METADATA_BYTES.variable, "1000")
    with pytest.raises(ImageryError, match=r"long\.xml has 1,500, more than 1,000 metadata bytes"):
        BucketFiles(f"{place}/P").read_bytes("long.xml")
    monkeypatch.setenv(PRODUCT_FILES.variable, "2")
    with pytest.raises(ImageryError, match="more than 2 product files"):
        BucketFiles(f"{place}/P").names()
