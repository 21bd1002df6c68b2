"""What the pages of a Parquet column unpack to, as their own headers say: the footer of the file may say less.

A page is unpacked into as many bytes as its header says, so these are summed up before anything is. Headers are read
here alone for that; a header with what the format has not in it is refused.

Source of the layout: Apache Parquet, ``parquet.thrift`` (PageHeader), and the Thrift compact protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_INTEGER, _BINARY, _STRUCT = 5, 8, 12
_FLAGS, _BYTE, _NUMBERS = (1, 2), 3, (4, 5, 6)
_UNPACKED, _PACKED = 2, 3
"""Fields of a header: bytes of the page without packing, and as it lies in the file."""

_DEEPEST = 4


def unpacked_bytes(content: bytes, column: Any) -> int:
    """Sum over the pages of a column of a row group.

    :param content: The whole file.
    :param column: A ``pyarrow.parquet.ColumnChunkMetaData``.
    :raises ValueError: pages that lie outside, or headers that are damaged.
    """
    at = column.data_page_offset
    if column.has_dictionary_page and 0 < column.dictionary_page_offset < at:
        at = column.dictionary_page_offset
    end = at + column.total_compressed_size
    if not 0 <= at <= end <= len(content):
        raise ValueError("a column lies outside of its table")
    size = 0
    while at < end:
        fields, at = _struct(content, at, 0)
        if fields.get(_UNPACKED, -1) < 0 or fields.get(_PACKED, -1) < 0:
            raise ValueError("a page of its table without a size")
        size += fields[_UNPACKED]
        at += fields[_PACKED]
    if at > end:
        raise ValueError("a page of its table reaches out of the column")
    return size


def _struct(content: bytes, at: int, depth: int) -> tuple[Mapping[int, int], int]:
    """Its whole numbers of 4 bytes, by the numbers of their fields, and where it ends."""
    if depth > _DEEPEST:
        raise ValueError("the header of a page nests too deep")
    found: dict[int, int] = {}
    number = 0
    while True:
        kind, at = _byte(content, at)
        if not kind:
            return found, at
        if kind >> 4:
            number += kind >> 4
        else:
            number, at = _whole(content, at)
        kind &= 15
        if kind in _NUMBERS:
            value, at = _whole(content, at)
            if kind == _INTEGER:
                found[number] = value
        elif kind == _BINARY:
            length, at = _varint(content, at)
            at += length
        elif kind == _STRUCT:
            _, at = _struct(content, at, depth + 1)
        elif kind == _BYTE:
            at += 1
        elif kind not in _FLAGS:  # whose value is the kind itself
            raise ValueError(f"the header of a page has a field of kind {kind}")


def _whole(content: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(content, at)
    return value >> 1 ^ -(value & 1), at


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte, at = _byte(content, at)
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("the header of a page has a number without end")


def _byte(content: bytes, at: int) -> tuple[int, int]:
    if at >= len(content):
        raise ValueError("the header of a page is cut off")
    return content[at], at + 1
