"""`eotasks.storage.local_copy`: one copy of an object in a process, a new one when it has changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eotasks.errors import StorageError
from eotasks.storage.local_copy import local_path_of, object_tag
from eotasks.storage.place import Place
from tests.servers.s3 import S3Server


def test_a_file_on_disk_is_its_own_path(tmp_path: Path) -> None:
    assert local_path_of(tmp_path / "absent.gpkg") == tmp_path / "absent.gpkg"
    assert local_path_of("/vsizip/a.zip") == "/vsizip/a.zip"


def test_an_object_is_copied_once_until_it_changes(s3_server: S3Server) -> None:
    place = Place(s3_server.location())
    location = f"{place}/labels.gpkg"
    place.write_bytes("labels.gpkg", b"first")
    first, tag = Path(local_path_of(location)), object_tag(location)
    assert (first.name, first.read_bytes()) == ("labels.gpkg", b"first")
    assert Path(local_path_of(location)) == first
    place.write_bytes("labels.gpkg", b"second")
    second = Path(local_path_of(location))
    assert (second.read_bytes(), first.read_bytes()) == (b"second", b"first")
    assert object_tag(location) != tag


def test_an_absent_object_is_named(s3_server: S3Server) -> None:
    location = f"{s3_server.location()}/absent.gpkg"
    for ask in (local_path_of, object_tag):
        with pytest.raises(StorageError, match=r"absent\.gpkg is not there"):
            ask(location)


def test_copies_go_with_their_process(s3_server: S3Server) -> None:
    place = Place(s3_server.location())
    place.write_bytes("labels.gpkg", b"content")
    program = "import sys; from eotasks.storage.local_copy import local_path_of; print(local_path_of(sys.argv[1]))"
    command = [sys.executable, "-c", program, f"{place}/labels.gpkg"]
    copy = subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ)).stdout.strip()
    assert Path(copy).name == "labels.gpkg"
    assert not Path(copy).exists()
