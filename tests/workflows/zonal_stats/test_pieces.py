"""Pixels of fields on several patches, in files between the measuring and the joining."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from eotasks.errors import StorageError
from eotasks.storage.place import Place
from eotasks.workflows.zonal_stats.parts import pieces_path
from eotasks.workflows.zonal_stats.pieces import open_pieces


def npy(array: np.ndarray, shape: tuple[int, ...] | None = None) -> bytes:
    """A file of an array, with the header of another shape."""
    stream = io.BytesIO()
    header = np.lib.format.header_data_from_array_1_0(array) | ({} if shape is None else {"shape": shape})
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + array.tobytes()


@pytest.mark.parametrize(
    "content",
    [b"no zip", npy(np.zeros(3), (10**14,)), npy(np.zeros(3), (2**62, 2**62)), npy(np.array([{}], dtype=object))],
    ids=["no zip", "a header of 800 TB", "a header beyond all numbers", "objects"],
)
def test_a_file_of_others_is_damaged_and_takes_no_memory(tmp_path: Path, content: bytes) -> None:
    place = Place(tmp_path)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("grid.npy", content)
    place.write_bytes(pieces_path("patch"), content if content == b"no zip" else stream.getvalue())
    with pytest.raises(StorageError, match="patch"), open_pieces(place, "patch", 1):
        pass
