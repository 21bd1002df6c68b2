"""Where the codestream of a JP2 file lies (ITU-T T.800, annex I)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from eotasks.imagery.jp2.markers import Front
from eotasks.imagery.jp2.verdicts import OtherLayout

_SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
_CODESTREAM = b"\xff\x4f\xff\x51"
_BOX = struct.Struct(">I4s")
_LONG_BOX = struct.Struct(">Q")
_MOST = 1 << 20
"""Bytes before the codestream: those of products have some kB of GML."""


@dataclass(frozen=True)
class Place:
    """Of a codestream in its file."""

    box: int
    """Where its box begins; that of the codestream itself in a file without boxes."""

    start: int
    stop: int
    """Bytes of the file."""


def codestream_place(front: Front, size: int) -> Place:
    """Where the first codestream lies.

    :param front: The whole file.
    :param size: Bytes of the file: a box that says it is longer ends there.
    :raises OtherLayout: when it is no JP2 file, or the codestream lies further behind than in any.
    :raises ContradictionError: when the file ends before.
    """
    first = front.take(0, min(size, len(_SIGNATURE)))
    if first.startswith(_CODESTREAM):
        return Place(0, 0, size)
    if first != _SIGNATURE:
        raise OtherLayout("no JP2 file by its first bytes")
    at = len(_SIGNATURE)
    while at < _MOST:
        length, kind = _BOX.unpack(front.take(at, _BOX.size))
        start = at + _BOX.size
        if length == 1:
            (length,) = _LONG_BOX.unpack(front.take(start, _LONG_BOX.size))
            start += _LONG_BOX.size
        stop = size if length == 0 else at + length
        if stop < start:
            raise OtherLayout(f"a box of {length} bytes")
        if kind == b"jp2c":
            return Place(at, start, min(stop, size))
        at = stop
    raise OtherLayout(f"no codestream in its first {_MOST:,} bytes")
