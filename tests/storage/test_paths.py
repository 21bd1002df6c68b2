"""Paths inside a place, and writing to them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eotasks.errors import StorageError
from eotasks.storage.place import Place


def test_writing_is_one_operation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path)
    place.write_bytes("folder/file", b"old")

    def refuse(self: Path, target: Path) -> Path:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(StorageError, match="no space left"):
        place.write_bytes("folder/file", b"new")
    assert place.read_bytes("folder/file") == b"old"
    assert place.names("folder") == ["file"]


@given(st.text(alphabet="ab./ ", max_size=8))
def test_no_path_leads_out_of_a_place(path: str) -> None:
    place = Place("/somewhere/deep")
    try:
        found = place.local_path(path) if path else place.local_path()
    except StorageError:
        return
    assert os.path.normpath(found) == str(found).rstrip("/")
    assert str(found).startswith("/somewhere/deep")
