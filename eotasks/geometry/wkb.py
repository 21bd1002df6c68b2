"""Geometries of others as WKB, looked at before GEOS gets them: it goes down a nested one by recursion, which ends the
process where that is deep, and takes memory for as many corners as are promised.
"""

from __future__ import annotations

import struct

_DEEPEST = 8
"""Geometries in one another: a collection of polygons has three."""

_POINT, _LINE, POLYGON, MULTI_POLYGON = 1, 2, 3, 6
_PARTS: dict[int, tuple[int, ...]] = {4: (1,), 5: (2,), 6: (3,), 7: (1, 2, 3, 4, 5, 6, 7)}
"""Of a kind of several geometries, the kinds that these may have."""

_HEIGHT, _MEASURE, _SYSTEM = 0x80000000, 0x40000000, 0x20000000
"""Flags of a type: a third number of a corner, a fourth one, the code of a coordinate system."""

_AXES = {0: 2, 1: 3, 2: 3, 3: 4}
"""Numbers of a corner, by the thousands of a type as ISO has it."""


def check_wkb(content: bytes, kinds: tuple[int, ...] = _PARTS[7]) -> None:
    """Refuse what is no geometry of simple features, complete and with nothing behind it; nothing is built.

    :param content: WKB, also PostGIS' extended one.
    :param kinds: Numbers of the types that it may be, as `POLYGON`.
    :raises ValueError: with the reason, for the end of a message.
    """
    try:
        end = _end_of(content, 0, kinds, 0)
    except struct.error:
        raise ValueError("it is cut off") from None
    if end != len(content):
        raise ValueError(f"{len(content) - end} bytes too many")


def _end_of(content: bytes, start: int, kinds: tuple[int, ...], depth: int) -> int:
    """Where a geometry ends."""
    if depth > _DEEPEST:
        raise ValueError(f"more than {_DEEPEST} geometries in one another")
    if content[start : start + 1] not in (b"\x00", b"\x01"):
        raise ValueError("it is no WKB")
    order, at = "<" if content[start] else ">", start + 5
    (code,) = struct.unpack_from(f"{order}I", content, start + 1)
    plain, axes = code & 0x1FFFFFFF, 2 + bool(code & _HEIGHT) + bool(code & _MEASURE)
    kind = plain % 1000
    if axes == 2:
        axes = _AXES.get(plain // 1000, 0)
    elif plain >= 1000:
        axes = 0
    if kind not in kinds or not axes:
        raise ValueError(f"WKB of type {code}")
    if code & _SYSTEM:
        at += 4
    if kind == _POINT:
        return _within(content, at + 8 * axes)
    (count,) = struct.unpack_from(f"{order}I", content, at)
    at += 4
    if kind == _LINE:
        return _within(content, at + 8 * axes * count)
    if count > len(content):  # each has some bytes
        raise ValueError("it is cut off")
    for _ in range(count):
        if kind == POLYGON:
            (corners,) = struct.unpack_from(f"{order}I", content, at)
            at = _within(content, at + 4 + 8 * axes * corners)
        else:
            at = _end_of(content, at, _PARTS[kind], depth + 1)
    return at


def _within(content: bytes, end: int) -> int:
    if end > len(content):
        raise ValueError("it is cut off")
    return end
