"""Where HDF5 keeps the names of a group: looked at before the library does, which follows a list there.

Each such heap has a list of what is free in it. Where that list leads back into itself the library goes round in it,
and takes memory for each step, until there is none left.

Source of the layout: the HDF5 File Format Specification, version 3 (superblock; local heaps).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import IO

_SIGNATURE, _BEFORE_SIZE = b"HEAP\0", 8
"""Of a heap of the only version that there is; bytes with what is reserved behind it."""

_LAST = 1
"""In place of the next one that is free."""

_SHORTEST = 48
"""Bytes of what a file begins with, at least."""

_WIDTHS = (2, 4, 8)
_MOST = 1 << 20
"""Free places of all heaps that are looked at: some have one or two, and each group has a heap."""


def check_heaps(stream: IO[bytes]) -> None:
    """Refuse a file of HDF5 whose heaps have a list without end.

    :raises ValueError: when one does, or the file begins at no place that is known; with the reason.
    """
    with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        address, length, base = _widths(content)
        if address not in _WIDTHS or length not in _WIDTHS or base != 0:
            raise ValueError("its beginning is damaged")
        left = _MOST
        for at in _places(content):
            left -= _free_places(content, at + _BEFORE_SIZE, address, length, left)


def _widths(content: mmap.mmap) -> tuple[int, int, int]:
    """Bytes of an address, and of a length; where addresses count from."""
    version = content[8] if len(content) >= _SHORTEST else None
    if version in (0, 1):
        address, length, at = content[13], content[14], 24 if version == 0 else 28
    elif version in (2, 3):
        address, length, at = content[9], content[10], 12
    else:
        raise ValueError("its beginning is of no version that is known")
    return address, length, int.from_bytes(content[at : at + address], "little")


def _places(content: mmap.mmap) -> Iterator[int]:
    at = content.find(_SIGNATURE)
    while at >= 0:
        yield at
        at = content.find(_SIGNATURE, at + 1)


def _free_places(content: mmap.mmap, at: int, address: int, length: int, most: int) -> int:
    size = int.from_bytes(content[at : at + length], "little")
    free = int.from_bytes(content[at + length : at + 2 * length], "little")
    start = int.from_bytes(content[at + 2 * length : at + 2 * length + address], "little")
    if start + size > len(content):  # which the library refuses, or no heap
        return 0
    seen = 0
    while free != _LAST and free < size:
        seen += 1
        if seen > min(size // (2 * length), most):
            raise ValueError("a list of what is free in it has no end")
        free = int.from_bytes(content[start + free : start + free + length], "little")
    return seen
