"""Arrays and other files of EOPatches that are longer than they say, or say that they are longer."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eotasks.eopatches.arrays import check_zarr, read_array
from eotasks.eopatches.load import eopatch_info, load_eopatch
from eotasks.errors import StorageError
from eotasks.limits import (
    ARRAY_BYTES,
    RECORD_BYTES,
    VECTOR_BYTES,
)
from eotasks.storage.place import Place
from tests.builders.eopatches import BANDS
from tests.hostile.bounds.npy import npy_header, write_npy


@pytest.mark.parametrize("name", ["a.npy", "a.npy.gz"])
@pytest.mark.parametrize(
    ("shape", "count"),
    [((10**9, 10**9), 10), ((2**40, 2**40), 10), ((2**63, 2), 10), ((2**32, 2**32), 0), ((-1, 5), 5), ((-5, -5), 25),
     ((10,), 9), ((10,), 11), ((10,), 5000), ((0, 10), 1), ((1 << 30,), 100)],
    ids=str,
)  # fmt: skip
def test_arrays_hold_what_their_header_says(tmp_path: Path, name: str, shape: tuple[int, ...], count: int) -> None:
    with pytest.raises((ValueError, OSError)):
        read_array(write_npy(tmp_path / name, shape, bytes(count)))


@pytest.mark.parametrize("name", ["a.npy", "a.npy.gz"])
@pytest.mark.parametrize(
    "values",
    [np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.zeros((0, 5), bool), np.array(5),
     np.asfortranarray(np.arange(6).reshape(2, 3)), np.arange(3, dtype=">i2")],
    ids=lambda values: f"{values.dtype}{values.shape}",
)  # fmt: skip
def test_sound_arrays_are_read_as_numpy_reads_them(tmp_path: Path, name: str, values: NDArray[Any]) -> None:
    with gzip.open(tmp_path / name, "wb") if name.endswith("gz") else (tmp_path / name).open("wb") as stream:
        np.save(stream, values)
    found = read_array(tmp_path / name)
    np.testing.assert_array_equal(found, values)
    assert (found.dtype, found.shape, found.flags.writeable) == (values.dtype, values.shape, True)


HEADERS = {
    "object": npy_header((1,), "|O"),
    "structured": npy_header((1,), [("a", "<i4")]) + bytes(4),  # type: ignore[arg-type]  # as numpy has it
    "void": npy_header((1,), "|V8") + bytes(8),
    "empty text": npy_header((1 << 40,), "<U0"),
    "long header": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b" " * 1000,
    "brackets": b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"(" * 9000,
    "no header": b"\x93NUMPY",
    "version": b"\x93NUMPY\x09\x00" + bytes(100),
    "pickle": b"\x80\x04N.",
}


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_of_no_array(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.npy").write_bytes(HEADERS[kind])
    with pytest.raises(ValueError, match=r"\w"):
        read_array(tmp_path / "a.npy")


def test_arrays_of_an_eopatch_have_a_bound(
    tmp_path: Path, patch_folders: dict[bool, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same where a checksum by the same hand agrees: it proves nothing."""
    shutil.copytree(patch_folders[False], tmp_path / "place")
    write_npy(tmp_path / "place" / "patch" / "data" / "BANDS.npy.gz", (10**6, 10**6, 10**6))
    with pytest.raises(StorageError, match=rf"data/BANDS.npy.gz has 1,000,.*{ARRAY_BYTES.variable}"):
        load_eopatch(Place(tmp_path / "place"), "patch")
    with pytest.raises(StorageError, match=ARRAY_BYTES.variable):
        eopatch_info(Place(tmp_path / "place"), "patch")
    monkeypatch.setenv(ARRAY_BYTES.variable, "1000")
    with pytest.raises(StorageError, match=ARRAY_BYTES.variable):
        load_eopatch(Place(patch_folders[True]), "patch", features=[BANDS])


@pytest.mark.parametrize(
    "name", ["meta_info/A.json", "meta_info/A.json.gz", "vector_timeless/A.gpkg.gz", "timestamps.json"]
)
def test_other_files_of_an_eopatch_have_a_bound(
    tmp_path: Path, patch_folders: dict[bool, Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(RECORD_BYTES.variable, "20000")
    monkeypatch.setenv(VECTOR_BYTES.variable, "20000")
    shutil.copytree(patch_folders[False], tmp_path / "place")
    file = tmp_path / "place" / "patch" / name
    file.parent.mkdir(exist_ok=True)
    content = b"[" + b" " * 30000 + b"]"
    file.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(StorageError, match=rf"{name} has .*EOTASKS_MAX_(RECORD|VECTOR)_BYTES"):
        load_eopatch(Place(tmp_path / "place"), "patch")


@pytest.mark.parametrize(
    "change",
    [{"shape": [10**9, 10**9]}, {"chunks": [10**9, 10**9]}, {"dtype": "|O"}, {"filters": [{"id": "pickle"}]},
     {"compressor": {"id": "pickle"}}, {"shape": "many"}, {"compressor": 5}, {"dtype": {"a": 1}}],
    ids=str,
)  # fmt: skip
def test_what_zarr_says_of_itself(tmp_path: Path, change: dict[str, Any]) -> None:
    sound = {"shape": [2, 8], "chunks": [1, 8], "dtype": "<f4", "filters": None, "compressor": {"id": "blosc"}}
    (tmp_path / ".zarray").write_text(json.dumps(sound))
    check_zarr(tmp_path / ".zarray")
    (tmp_path / ".zarray").write_text(json.dumps({**sound, **change}))
    with pytest.raises((ValueError, OSError)):
        check_zarr(tmp_path / ".zarray")
