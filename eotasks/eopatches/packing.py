"""Packed files of EOPatches: gzip, which anything reads, by ISA-L where it is installed, in a fifth of zlib's time.

ISA-L (https://github.com/intel/isa-l, by python-isal) has no wheels for some machines; there zlib does the same. What
is packed differs between the two, never what comes out; each gives the same bytes for the same array on the same
machine: ISA-L has other code for other processors.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

try:
    from isal import igzip, isal_zlib
except ImportError:  # no wheel for this machine
    HAS_ISAL = False
else:
    HAS_ISAL = True

_DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error, *((isal_zlib.error,) if HAS_ISAL else ()))
"""What is raised over bytes that are no gzip, or not all of one: an `OSError` among them, and kinds of their own."""

_GZIP = 16 + zlib.MAX_WBITS
"""A stream with the header and the checksum of gzip; it names no file and no time."""

_LEVEL_OF_ZLIB, _LEVEL_OF_ISAL = 1, 2
"""As eo-learn packs; and the one that packs best at the cost of the quickest."""


class _Packer(Protocol):
    def compress(self, data: Any, /) -> bytes:
        """What is packed so far."""

    def flush(self) -> bytes:
        """What is left."""


@contextlib.contextmanager
def open_packed(file: str | os.PathLike[str] | IO[bytes]) -> Iterator[gzip.GzipFile]:
    """A gzip file, or a stream of one, to read to its end: unpacked. Of one that is cut off less comes than by `gzip`.

    :raises ValueError: in the block, when it is damaged, whatever unpacks it.
    """
    try:
        with (igzip if HAS_ISAL else gzip).open(file, "rb") as stream:
            yield stream
    except _DAMAGE as error:
        raise ValueError(str(error) or type(error).__name__) from error


def write_packed_array(array: NDArray[Any], file: Path) -> None:
    """Writes an array as ``.npy.gz``, as `numpy.save` writes it into a gzip file.

    :raises ValueError: of values that numpy would pickle.
    """
    with file.open("wb") as stream:
        packing = _Packing(stream)
        np.lib.format.write_array(packing, np.asanyarray(array), allow_pickle=False)
        packing.finish()


class _Packing:
    """Packs what is written, into a stream."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._packer = _packer()

    def write(self, data: bytes) -> int:
        """Packs more bytes."""
        self._stream.write(self._packer.compress(data))
        return len(data)

    def finish(self) -> None:
        """Writes what is left, and the checksum."""
        self._stream.write(self._packer.flush())


def _packer() -> _Packer:
    if not HAS_ISAL:
        return zlib.compressobj(_LEVEL_OF_ZLIB, zlib.DEFLATED, _GZIP)
    packer: _Packer = isal_zlib.compressobj(_LEVEL_OF_ISAL, zlib.DEFLATED, _GZIP)
    return packer
