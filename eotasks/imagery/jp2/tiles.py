"""Tiles of a file: where they lie, and the packets of those that are wanted.

Without a TLM a tile-part is found by the length of the one before: one request after another, each for as much of a
tile as its neighbours took. What that leaves out is fetched meanwhile. With a TLM all are asked for side by side.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from eotasks.imagery.jp2.asked import Asked
from eotasks.imagery.jp2.codestream import Codestream
from eotasks.imagery.jp2.edge import Edge
from eotasks.imagery.jp2.geometry import packet_counts, tile_pixels
from eotasks.imagery.jp2.markers import Front
from eotasks.imagery.jp2.tile_parts import (
    SOT_BYTES,
    Packets,
    TilePart,
    check_lengths,
    read_packets,
    read_tile_part,
)
from eotasks.imagery.jp2.verdicts import ContradictionError, OtherLayout

if TYPE_CHECKING:
    from eotasks.imagery.files.protocol import RangedBytes

_FEWEST, _MOST = 1 << 10, 1 << 16
"""Bytes of a tile that are asked for before it is known how many it takes."""

_SLACK = 1.05
"""How much more than its neighbours a tile is thought to take: a second request is more than some bytes."""

_MOST_OF_A_SAMPLE, _MOST_OVER = 16, 1 << 16
"""Bytes that packets may have, of each sample of the image and beside them: no coder needs a quarter of it."""

_AT_ONCE = 4
"""Tiles of a file that are fetched at a time."""


@dataclass
class Tiles:
    """Of one version of a file, as far as they were looked at. Several threads may look at a time: none holds the lock
    while it asks for bytes.
    """

    stream: Codestream

    stop: int
    """Where the codestream ends in the file."""

    next: int
    """Where the first tile-part lies that is not known."""

    first: int | None = None
    """Where the first of all lies, when a TLM has told all of them; None when they are found one behind another."""

    expected: int = 0
    """Tile of that one, if they come in their order."""

    in_order: bool = True
    """Whether they have come so. Else a tile may be there twice, and which of them is meant only all of them tell."""

    ahead: tuple[int, bytes] = (0, b"")
    """A place, and what was read from there on with the tile before: it took less than was thought."""

    parts: dict[int, TilePart] = field(default_factory=dict)
    order: list[TilePart] = field(default_factory=list)
    """The same, as they lie in the file."""

    packets: dict[int, Packets] = field(default_factory=dict)
    counts: dict[int, tuple[int, ...]] = field(default_factory=dict)

    asked: Asked = field(default_factory=Asked)
    edge: Edge = field(default_factory=Edge)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, wanted: Collection[int], known: int) -> tuple[list[TilePart], int, tuple[int, int] | None]:
        """Those of some tiles of which it is known where they lie.

        :param wanted: Tiles, none of which is among the first ones that are known.
        :param known: How many these are: a file of many tiles is not gone through for each of them.
        :return: They; how many are known; and where the first tile-part lies that is not, with the tile that it should
            be of, as long as more of the file has to be looked at.
        """
        with self._lock:
            found = [part for part in self.order[known:] if part.tile in wanted]
            ends = len(found) == len(wanted) and (self.in_order or len(self.parts) == self.stream.tiles)
            return found, len(self.order), None if ends else (self.next, self.expected)

    def add(self, part: TilePart) -> None:
        """A tile-part that was found, behind all that are known."""
        with self._lock:
            if part.start != self.next:  # another thread has found it, too
                return
            self.parts[part.tile] = part
            self.order.append(part)
            self.in_order &= part.tile == self.expected
            self.next, self.expected = part.start + part.length, part.tile + 1

    @classmethod
    def told(cls, stream: Codestream, stop: int, first: int, lengths: Iterable[tuple[int, int]]) -> Tiles:
        """As a TLM tells them.

        :param lengths: Tiles and bytes of the tile-parts, one behind another from the first on.
        """
        tiles = cls(stream, stop, first, first)
        for tile, length in lengths:
            tiles.parts[tile] = TilePart(tile, tiles.next, length)
            tiles.next += length
        tiles.order += tiles.parts.values()
        return tiles

    def packet_counts(self, tile: int) -> tuple[int, ...]:
        """Packets of each resolution of a tile."""
        if tile not in self.counts:
            self.counts[tile] = packet_counts(self.stream, tile)
        return self.counts[tile]

    def has_all(self, part: TilePart, kept: int, data: bytes) -> bool:
        """Whether the first bytes of a tile-part hold the packets that are kept."""
        packets = self.packets.get(part.tile)
        return packets is not None and len(data) >= packets.header + packets.ends[kept - 1]

    def guess(self, tile: int, kept: int) -> int:
        """Bytes that the header of a tile takes and, of a lower level, the packets that are kept."""
        stream = self.stream
        whole = kept > stream.levels
        near = [each for each in (tile - 1, tile - stream.tiles_across) if each in self.packets]
        if not near:
            share = 0 if whole else 2 / 4 ** (stream.levels + 1 - kept)
            return min(max(int(self.stop / stream.tiles * share), _FEWEST), _MOST)
        header = max(self.packets[each].header for each in near)
        if whole:
            return header
        dense = max(self.packets[each].ends[kept - 1] / tile_pixels(stream, each) for each in near)
        return header + int(_SLACK * dense * tile_pixels(stream, tile))


def bodies(
    source: RangedBytes, tiles: Tiles, kept: int, wanted: Sequence[int], edge: Container[int] = ()
) -> dict[int, bytes]:
    """Packets of the resolutions that are kept, of some tiles.

    :param kept: The coarsest resolutions.
    :param edge: Tiles that the next window may want, too.
    :raises OtherLayout: when the file does not tell the lengths of packets, or has several tile-parts a tile.
    :raises ContradictionError: when it contradicts itself.
    :raises EOTasksError: when it cannot be fetched.
    """
    before = tiles.edge.of(kept)
    found = {tile: before[tile] for tile in wanted if tile in before}
    rest = [tile for tile in wanted if tile not in found]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="eotasks-tile") as pool:
        jobs: list[tuple[int, Future[bytes]]] = []
        try:
            for part, data in _found(source, tiles, kept, rest):
                body = partial(_body, source, tiles, kept, part, data)
                if source.far and not tiles.has_all(part, kept, data):
                    jobs.append((part.tile, pool.submit(tiles.asked.once, ("body", part.tile, kept), body)))
                else:  # a thread would wait for nothing
                    found[part.tile] = body()
            found |= {tile: job.result() for tile, job in jobs}
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if source.far:
        tiles.edge.keep(kept, {tile: body for tile, body in found.items() if tile in edge})
    return found


def _found(source: RangedBytes, tiles: Tiles, kept: int, wanted: Sequence[int]) -> Iterator[tuple[TilePart, bytes]]:
    """The tiles, each as soon as it is known where it lies, and what was read of it on the way."""
    missing, known = dict.fromkeys(wanted), 0
    while True:
        parts, known, place = tiles.find(missing, known)
        for part in parts:
            del missing[part.tile]
            yield part, b""
        if place is None:
            return
        count = tiles.guess(place[1], kept) if place[1] in missing else SOT_BYTES
        part, data = tiles.asked.once(("part", *place), partial(_look, source, tiles, place[0], count, missing))
        if part.tile in missing:
            del missing[part.tile]
            yield part, data


def _look(source: RangedBytes, tiles: Tiles, first: int, count: int, wanted: Container[int]) -> tuple[TilePart, bytes]:
    """The tile-part that begins at a place, and its first bytes; all of its header where its tile is wanted.

    :param count: Bytes that are asked for first.
    """
    place, data = tiles.ahead
    data = data if place == first else b""
    stop = min(first + count, tiles.stop)
    if first + len(data) < stop:
        data += source.exactly(first + len(data), stop)
    part = read_tile_part(data, first, tiles.stop, tiles.stream.tiles)
    tiles.ahead = first + part.length, data[part.length :]
    data = data[: part.length]
    if tiles.parts.get(part.tile, part) != part:
        raise ContradictionError(f"has tile {part.tile} twice")
    if part.tile in wanted:
        front = Front(source.exactly, part.start, part.start + part.length, data)
        tiles.packets[part.tile] = read_packets(tiles.stream, part, front)
        data = front.data
    tiles.add(part)
    return part, data


def _body(source: RangedBytes, tiles: Tiles, kept: int, part: TilePart, data: bytes) -> bytes:
    """Packets of a tile.

    :param data: The first bytes of it, which have its header; none where they are not there.
    """
    start, stop, stream = part.start, part.start + part.length, tiles.stream
    packets = tiles.packets.get(part.tile)
    if packets is None:
        _check_end(part, tiles)
        data = source.exactly(start, min(start + tiles.guess(part.tile, kept), stop))
        if read_tile_part(data, start, tiles.stop, stream.tiles) != part:
            raise ContradictionError(f"its TLM and the header of tile {part.tile} differ")
        front = Front(source.exactly, start, stop, data)
        packets = tiles.packets[part.tile] = read_packets(stream, part, front)
        data = front.data
    end = packets.header + packets.ends[kept - 1]
    samples = tile_pixels(stream, part.tile) * len(stream.steps) >> 2 * (stream.levels + 1 - kept)
    if packets.ends[kept - 1] > _MOST_OVER + _MOST_OF_A_SAMPLE * samples:
        raise OtherLayout("more bytes than its pixels can need")
    if len(data) < packets.header:
        data, at = b"", packets.header
    else:
        data, at = data[packets.header : end], min(len(data), end)
    if at < end:
        data += source.exactly(start + at, start + end)
    if len(data) != end - packets.header:
        raise ContradictionError(f"it ends in the middle of tile {part.tile}")
    check_lengths(stream, part, packets, kept, data)
    return data


def _check_end(part: TilePart, tiles: Tiles) -> None:
    if part.length < SOT_BYTES or part.start + part.length > tiles.stop:
        raise ContradictionError(f"tile {part.tile} of {part.length:,} bytes ends elsewhere than its file")
