"""HDF5 (and NetCDF-4, which is HDF5) of others, through h5py: plain arrays that lie in the file itself.

What HDF5 can do beside is refused: links to other files, data kept in other files, virtual arrays, filters other than
deflate, shuffle and the checksum, values that are no numbers or texts. Sizes are looked at before memory is taken,
those of what is packed too (``eotasks.reference.cloud_labels.hdf5_chunks``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import MissingDependencyError, ReferenceDataError, reason_of
from eotasks.extras import install_line
from eotasks.limits import ARRAY_BYTES, MEGABYTE
from eotasks.reading import open_regular
from eotasks.reference.cloud_labels.hdf5_chunks import Stored
from eotasks.reference.cloud_labels.hdf5_heaps import check_heaps

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_FAULTS = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError)
"""What h5py raises over files that are damaged."""

_LONGEST_TEXT = 1_000
_TEXT_ROWS = 1 << 16
"""Texts that are read at a time: each becomes an object."""

_CACHE_BYTES = 64 * MEGABYTE
"""Of unpacked parts that the library keeps: one of texts has to fit, else it is unpacked for each batch."""


def h5py_module() -> ModuleType:
    """h5py.

    :raises MissingDependencyError: it is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingDependencyError(f"HDF5 and NetCDF need the package h5py: {install_line('labels')}") from error
    module: ModuleType = h5py
    return module


@contextmanager
def open_hdf5(file: Path) -> Iterator[Hdf5]:
    """A file that is open for reading.

    :raises ReferenceDataError: it is absent, no regular file, or none of HDF5; and whatever of it cannot be read.
    :raises MissingDependencyError: h5py is not installed.
    """
    module = h5py_module()
    try:
        with open_regular(file) as stream:
            if stream.read(len(_SIGNATURE)) != _SIGNATURE:
                raise ValueError("it does not begin as HDF5 does; NetCDF of version 3 is not read")
            check_heaps(stream)
        with module.File(file, "r", rdcc_nbytes=_CACHE_BYTES) as handle:
            yield Hdf5(file, module, handle)
    except ReferenceDataError:
        raise
    except _FAULTS as error:
        raise ReferenceDataError(f"{file}: cannot be read ({reason_of(error)}): download it again.") from error


class Hdf5:
    """The arrays of an open file, by their names at its top."""

    def __init__(self, file: Path, module: ModuleType, handle: Any) -> None:
        self._file, self._module, self._handle = file, module, handle

    def names(self) -> set[str]:
        """What lies at the top."""
        return set(self._handle)

    def text_attribute(self, name: str) -> str:
        """An attribute of the file that is a text; empty where there is none."""
        if name not in self._handle.attrs:
            return ""
        kind = self._handle.attrs.get_id(name)
        if kind.shape not in ((), (1,)) or kind.dtype.itemsize > _LONGEST_TEXT:
            return ""
        value = self._handle.attrs[name]
        value = value[0] if isinstance(value, np.ndarray) else value
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        return text[:_LONGEST_TEXT]

    def shape(self, name: str) -> tuple[int, ...]:
        """Of an array."""
        return tuple(int(side) for side in self._array(name).shape)

    def numbers(self, name: str, rows: slice = slice(None)) -> NDArray[Any]:
        """An array of numbers, or some of its rows.

        :raises ReferenceDataError: there is none of that name, or one of something else, or it is too large.
        """
        array = self._array(name)
        if array.dtype.kind not in "iufb":
            raise self._refuse(name, f"values of type {str(array.dtype)[:40]}, not numbers")
        chosen = range(*rows.indices(array.shape[0])) if array.shape else range(1)
        self._check_bytes(name, (len(chosen), *array.shape[1:]), array.dtype.itemsize)
        self._stored(name, array).check(chosen)
        return np.asarray(array[rows] if array.shape else array[()])

    def texts(self, name: str) -> Iterator[list[str]]:
        """An array of texts in one dimension, some thousand at a time.

        :raises ReferenceDataError: as `numbers`.
        """
        array = self._array(name)
        is_text = array.dtype.kind == "S" or self._module.check_string_dtype(array.dtype) is not None
        if array.ndim != 1 or not is_text or array.dtype.itemsize > _LONGEST_TEXT:
            raise self._refuse(name, f"{array.ndim} dimensions of type {str(array.dtype)[:40]}, not texts in one")
        stored = self._stored(name, array)
        if stored.part_bytes > _CACHE_BYTES:
            raise self._refuse(name, f"a part of {stored.part_bytes:,} bytes, more than {_CACHE_BYTES:,}")
        if array.dtype.kind == "S":
            stored.check(range(array.shape[0]))
        elif self._handle.id.get_create_plist().get_sizes() != (8, 8):
            raise self._refuse(name, "its texts are in a file of other addresses than those of 8 bytes")
        else:
            stored.check_texts(_LONGEST_TEXT, self._file)
        for start in range(0, array.shape[0], _TEXT_ROWS):
            part = array[start : start + _TEXT_ROWS]
            yield [_text_of(value)[:_LONGEST_TEXT] for value in part]

    def _array(self, name: str) -> Any:
        link = self._handle.get(name, getlink=True)
        if link is None:
            there = ", ".join(sorted(self.names())[:20]) or "nothing"
            raise self._refuse(name, f"there is none, but {there[:300]}")
        if not isinstance(link, self._module.HardLink):
            raise self._refuse(name, "it is a link to elsewhere")
        found = self._handle[name]
        if not isinstance(found, self._module.Dataset):
            raise self._refuse(name, "it is no array")
        if found.external or found.is_virtual:
            raise self._refuse(name, "its values lie in another file")
        self._stored(name, found)
        return found

    def _stored(self, name: str, array: Any) -> Stored:
        return Stored(array, lambda why: self._refuse(name, why))

    def _check_bytes(self, name: str, shape: tuple[int, ...], itemsize: int) -> None:
        size = math.prod(int(side) for side in shape) * itemsize
        if size > ARRAY_BYTES.value:
            raise self._refuse(name, ARRAY_BYTES.excess(size))

    def _refuse(self, name: str, why: str) -> ReferenceDataError:
        return ReferenceDataError(f"{self._file}: array {name!r}: {why}. Download the file again.")


def _text_of(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
