"""Headers of tile-parts: how long one is, and how long its packets are (ITU-T T.800, annexes A.4.2 and A.7.3)."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eotasks.imagery.jp2 import markers
from eotasks.imagery.jp2.codestream import Codestream
from eotasks.imagery.jp2.geometry import packet_cells, packet_counts
from eotasks.imagery.jp2.markers import Front, segments
from eotasks.imagery.jp2.packets import packet_lengths
from eotasks.imagery.jp2.verdicts import ContradictionError, OtherLayout

_SOT = struct.Struct(">HHHIBB")
SOT_BYTES = _SOT.size
_SOD = markers.SOD.to_bytes(2, "big")

_EMPTY, _EPH = b"\0", b"\xff\x92"
"""A packet that says that it has no code-blocks, and the mark after its header."""

_MOST_PACKETS = 1 << 16
"""Of a tile. Those of products have some hundred."""


@dataclass(frozen=True)
class TilePart:
    """Where the one part of a tile lies."""

    tile: int
    start: int
    """Of its SOT in the file."""

    length: int
    """Bytes up to the next one."""


@dataclass(frozen=True)
class Packets:
    """Of a tile, as its header tells them."""

    header: int
    """Bytes of the tile-part before the first."""

    ends: tuple[int, ...]
    """Bytes of the packets up to the end of each resolution, the coarsest first."""

    counts: tuple[int, ...]
    """Packets of each resolution."""

    lengths: array[int]
    """Bytes of each packet."""


def read_tile_part(content: bytes, start: int, stop: int, tiles: int) -> TilePart:
    """What the marker segment SOT says.

    :param content: Its bytes.
    :param start: Where it lies.
    :param stop: Where the codestream ends.
    :param tiles: How many there are.
    :raises OtherLayout: when a tile has several parts, or the length of one is not said.
    :raises ContradictionError: when no part begins there, or it ends elsewhere than its file.
    """
    if len(content) < _SOT.size:
        raise ContradictionError(f"it ends at byte {start + len(content):,}, before all of its tiles")
    marker, size, tile, length, part, parts = _SOT.unpack(content[: _SOT.size])
    if marker != markers.SOT or size != 10:
        raise ContradictionError(f"no tile begins at byte {start:,}, as it says")
    if tile >= tiles:
        raise ContradictionError(f"names tile {tile} of {tiles}")
    if part or parts > 1:
        raise OtherLayout("several tile-parts a tile")
    if not length:
        raise OtherLayout("a tile-part of unknown length")
    if length < _SOT.size + len(_SOD):
        raise ContradictionError(f"tile {tile} of {length} bytes")
    if start + length > stop:
        raise ContradictionError(f"tile {tile} ends {start + length - stop:,} bytes behind the file")
    return TilePart(tile, start, length)


def read_packets(stream: Codestream, part: TilePart, front: Front) -> Packets:
    """What the header of a tile-part says of its packets.

    :param front: The tile-part, from SOT on.
    :raises OtherLayout: when it does not say their lengths, or tells of the tile what is not known here.
    :raises ContradictionError: when the lengths do not fit the tile.
    """
    counts = packet_counts(stream, part.tile)
    if sum(counts) > _MOST_PACKETS:
        raise OtherLayout(f"{sum(counts):,} packets a tile")
    told: list[bytes] = []
    header = 0
    for marker, at, content in segments(front, SOT_BYTES, markers.SOD):
        header = at + len(_SOD)
        if marker == markers.PLT:
            told.append(content)
        elif marker not in (markers.SOD, markers.COM):
            raise OtherLayout(f"{markers.NAMES.get(marker, f'marker {marker:04x}')} in the header of a tile")
    if not told:
        raise OtherLayout("no lengths of packets (PLT)")
    lengths = array("I")  # a file may have millions
    for number, content in enumerate(sorted(told, key=lambda each: each[:1])):  # they may come in any order
        _read_lengths(content, number, part.tile, lengths)
        if len(lengths) > sum(counts):
            break
    if len(lengths) != sum(counts):
        raise ContradictionError(
            f"tile {part.tile} tells lengths of {len(lengths):,} packets or more, and has {sum(counts):,}"
        )
    if header + sum(lengths) != part.length:
        raise ContradictionError(
            f"packets of tile {part.tile} have {sum(lengths):,} bytes by its PLT, {part.length - header:,} by its SOT"
        )
    ends, before = [], 0
    for count in counts:
        before += count
        ends.append(sum(lengths[:before]))
    return Packets(header, tuple(ends), counts, lengths)


def _read_lengths(content: bytes, number: int, tile: int, lengths: array[int]) -> None:
    """Add what a PLT says to the lengths."""
    if not content or content[0] != number:  # of one byte: there are no more than 256
        raise ContradictionError(f"the PLT of tile {tile} are not numbered from 0 on, each number once")
    if len(content) > 1 and content[-1] & 0x80:
        raise ContradictionError(f"a PLT of tile {tile} breaks off")
    value = 0
    for byte in content[1:]:
        value = (value << 7) | (byte & 0x7F)
        if value >> 32:
            raise ContradictionError(f"a packet of tile {tile} of more than 4 GB by its PLT")
        if byte & 0x80:
            continue
        if not value:
            raise ContradictionError(f"a packet of tile {tile} of 0 bytes by its PLT")
        lengths.append(value)
        value = 0


def check_lengths(stream: Codestream, part: TilePart, packets: Packets, kept: int, body: bytes) -> None:
    """Compare lengths of a PLT with the packets.

    :param kept: Resolutions of which the body holds all packets.
    :param body: Them.
    :raises ContradictionError: when a packet ends elsewhere.
    """
    count = sum(packets.counts[:kept])
    found = packet_lengths(body, packet_cells(stream, part.tile, kept))
    if not np.array_equal(found, np.frombuffer(packets.lengths, dtype=np.uint32)[:count]):
        raise ContradictionError(f"packets of tile {part.tile} have other lengths than its PLT says")


def written(stream: Codestream, tile: int, counts: Sequence[int], kept: int, body: bytes) -> bytes:
    """A tile-part with the packets of the coarsest resolutions; those of the others are empty.

    :param counts: Packets of each resolution.
    :param kept: Resolutions that the body holds.
    :param body: Their packets.
    """
    empty = (_EMPTY + _EPH if stream.ends_headers else _EMPTY) * sum(counts[kept:])
    length = _SOT.size + len(_SOD) + len(body) + len(empty)
    return b"".join((_SOT.pack(markers.SOT, 10, tile, length, 0, 1), _SOD, body, empty))
