"""Arrays of EOPatches as files: npy, packed or not, and what zarr says of its own.

What a header says is not believed: the bytes have to be there, and no more of them, before memory is taken for them, or
while they are unpacked.
"""

from __future__ import annotations

import errno
import io
import math
import os
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eotasks.documents import parse_json_object
from eotasks.eopatches.packing import open_packed
from eotasks.limits import ARRAY_BYTES, RECORD_BYTES, Limit
from eotasks.reading import open_regular, read_regular, too_large

_CHUNK = 1 << 24
_PACKED = 1100
"""How many bytes one packed byte can stand for; 1032 for deflate."""

_MAGIC = b"\x93NUMPY"
_LENGTHS = {1: 2, 2: 4, 3: 4}
"""Bytes of the length of the header, by version of npy."""

_HEADER_BYTES = 1 << 16
NUMBERS = "biufc"
"""Kinds of values that are read: of others an item may be an object, that is a program to run."""

_CODECS = frozenset({"blosc", "zlib", "gzip", "zstd", "lz4", "bz2", "lzma"})
"""Of zarr; one of the others unpickles."""

_UNREADABLE = (
    ValueError, TypeError, KeyError, AttributeError, SyntaxError, RecursionError, MemoryError, OverflowError,
    tokenize.TokenError,
)  # fmt: skip
"""What numpy raises over a header that is none."""


class ByteStream(Protocol):
    """Bytes of a file, or of one that is unpacked."""

    def read(self, size: int, /) -> bytes:
        """The next bytes."""


class _Filling(ByteStream, Protocol):
    def readinto(self, buffer: Any, /) -> int:
        """The next bytes, put into a buffer; how many."""


@dataclass(frozen=True)
class Header:
    """What the file of an array says of it."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool

    @property
    def bytes(self) -> int:
        """Of its values."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: ByteStream) -> Header:
    """The header of an npy file; the stream is left behind it.

    :raises ValueError: when it is none, or of values that are no numbers.
    :raises OSError: when the array has more bytes than one may have.
    """
    magic = stream.read(8)
    width = _LENGTHS.get(magic[6]) if len(magic) == 8 and magic.startswith(_MAGIC) else None
    if width is None:
        raise ValueError("no array of numpy")
    size = stream.read(width)
    length = int.from_bytes(size, "little")
    if len(size) != width or length > _HEADER_BYTES:
        raise ValueError(f"a header of {length:,} bytes")
    text = io.BytesIO(size + stream.read(length))
    read = np.lib.format.read_array_header_1_0 if magic[6] == 1 else np.lib.format.read_array_header_2_0
    try:
        shape, fortran, dtype = read(text)
    except _UNREADABLE as error:
        raise ValueError(f"its header is damaged ({type(error).__name__})") from error
    if dtype.kind not in NUMBERS or not dtype.itemsize:
        raise ValueError(f"values of type {str(dtype)[:40]}, not numbers")
    if min(shape, default=0) < 0:
        raise ValueError(f"a shape of {shape}")
    header = Header(shape, dtype, fortran)
    _check_size(header.bytes)
    return header


def read_array(file: Path) -> NDArray[Any]:
    """The array in a file.

    :raises ValueError: when it is damaged: as `read_header`, or longer or shorter than its header says.
    :raises OSError: when it is too large, or cannot be read.
    """
    with open_regular(file) as raw:
        size = os.fstat(raw.fileno()).st_size
        if file.suffix != ".gz":
            header = read_header(raw)
            _check_length(header.bytes, size - raw.tell())
            return _filled(raw, header)
        with open_packed(raw) as stream:
            header = read_header(stream)
            if header.bytes > size * _PACKED:
                raise ValueError(f"its header says {header.bytes:,} bytes, which {size:,} packed ones cannot hold")
            return _filled(stream, header)


def count_bytes(stream: ByteStream, limit: Limit) -> None:
    """Read to the end, where gzip has its checksum, and nobody else looks.

    :raises OSError: when there are more bytes than the limit.
    """
    count = 0
    while chunk := stream.read(_CHUNK):
        count += len(chunk)
        if count > limit.value:
            raise too_large(limit)


def check_zarr(file: Path) -> None:
    """Refuse a zarr array that takes more memory than an array may, or would run a program, by what it says of itself.

    :param file: Its ``.zarray``.
    :raises ValueError: when it is damaged, or packed as no array of an EOPatch is.
    :raises OSError: when it is too large, or cannot be read.
    """
    try:
        facts = parse_json_object(read_regular(file, RECORD_BYTES), ValueError)
        dtype = np.dtype(facts["dtype"])
        sizes = [math.prod(int(side) for side in facts[key]) * dtype.itemsize for key in ("shape", "chunks")]
        packed = facts.get("compressor") or {"id": "zlib"}
        unknown = facts.get("filters") or packed["id"] not in _CODECS
    except _UNREADABLE as error:
        raise ValueError(f"its .zarray is damaged ({type(error).__name__})") from error
    if dtype.kind not in NUMBERS or unknown:
        raise ValueError("values or filters that are not read: only numbers without filters are")
    _check_size(max(sizes))


def _check_size(size: int) -> None:
    if size > ARRAY_BYTES.value:
        raise too_large(ARRAY_BYTES, size)


def _check_length(said: int, found: int) -> None:
    if said != found:
        raise ValueError(f"its header says {said:,} bytes, there are {found:,}")


def _filled(stream: _Filling, header: Header) -> NDArray[Any]:
    try:
        content = np.empty(header.bytes, dtype=np.uint8)
    except MemoryError as error:
        raise OSError(errno.ENOMEM, f"its {header.bytes:,} bytes are more memory than there is") from error
    view, at = memoryview(content.data), 0
    while at < len(view):
        count = stream.readinto(view[at : at + _CHUNK])
        if not count:
            break
        at += count
    _check_length(header.bytes, at + len(stream.read(1)))
    values = content.view(header.dtype)
    return values.reshape(header.shape[::-1]).transpose() if header.fortran else values.reshape(header.shape)
