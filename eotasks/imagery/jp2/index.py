"""Where the packets of a file lie, as far as parts of it were looked at, and small files of those that are wanted.

A small file has the header of the large one, so its grid, tiles and levels are the same. Each tile that is wanted has
the packets of the resolutions that are wanted, each byte as it was; all other packets are empty ones. A decoder that
leaves out the finer resolutions comes to what it comes to in the large file, since it reads the same code-blocks.

Nothing is taken from a file that contradicts itself: every tile-part begins where the one before ends (or where a TLM
says; one that is wrong is not followed), the lengths of a PLT add up to that of the tile-part, there are as many as the
tile has packets, and the packets that are taken end where their own headers say.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from eotasks.errors import ImageryError
from eotasks.imagery.jp2.boxes import codestream_place
from eotasks.imagery.jp2.codestream import Codestream, read_codestream, tile_lengths
from eotasks.imagery.jp2.geometry import Rectangle, packet_counts, tiles_at_edge, tiles_under
from eotasks.imagery.jp2.markers import EOC, Front
from eotasks.imagery.jp2.tile_parts import written
from eotasks.imagery.jp2.tiles import Tiles, bodies
from eotasks.imagery.jp2.verdicts import ContradictionError, OtherLayout

if TYPE_CHECKING:
    from collections.abc import Hashable

    from eotasks.imagery.files.protocol import RangedBytes

LOGGER = logging.getLogger(__name__)

_FIRST = 1 << 16
"""Bytes of the file that are looked at first: all before the first tile, of any product."""

SMALL, SMALL_TILE = 1 << 17, 1 << 13
"""Bytes of a file far away, and of each of its tiles, up to which all of it is sooner fetched than parts."""

_MOST_PACKETS = 1 << 22
"""Of a file. Those of products have some thousand."""


@dataclass(frozen=True)
class _Known:
    """Of one version of a file."""

    version: Hashable

    found: Tiles | str
    """Its tiles; or why it is not read by its packets."""

    front: bytes = b""
    """The boxes before the codestream, and the codestream's header, as they are written again."""


class PacketIndex:
    """Of one file. May be used by several threads; what it knows is not pickled."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: _Known | None = None

    def __reduce__(self) -> tuple[type[PacketIndex], tuple[()]]:
        return PacketIndex, ()

    def small_file(
        self,
        source: RangedBytes,
        where: str,
        discarded: int,
        window: Rectangle,
        *,
        shape: tuple[int, int] | None = None,
    ) -> bytes:
        """A file that decodes, in a window and at a level, to what the whole one does.

        :param source: The file.
        :param where: It, for messages.
        :param discarded: Resolutions of the file that the level leaves out.
        :param window: Columns and rows in pixels of the level: left, top, right, bottom.
        :param shape: Rows and columns that the image has as far as is known; None for any.
        :raises OtherLayout: when it has to be read as a whole, with the reason.
        :raises ImageryError: when it contradicts itself, or was changed meanwhile.
        :raises EOTasksError: when parts of it cannot be fetched.
        """
        try:
            known = self._known_of(source, where)
            if shape is not None and isinstance(known.found, Tiles):
                _check_shape(known.found.stream, shape, where)
            try:
                return _small_file(source, known, discarded, window)
            except ContradictionError as error:
                known = self._without_told(known, error, where)
                return _small_file(source, known, discarded, window)
        except _Lasting as other:
            self._learn(known.version, replace(known, found=str(other)))
            raise
        except ContradictionError as error:
            raise ImageryError(f"{where}: damaged: {error}. Fetch it again.") from None

    def _learn(self, version: Hashable, found: _Known) -> None:
        with self._lock:
            if self._known is not None and self._known.version == version:
                self._known = found

    def _without_told(self, known: _Known, error: ContradictionError, where: str) -> _Known:
        """The same without its TLM: what the tile-parts say themselves may be right.

        :raises ContradictionError: when it has none.
        """
        tiles = known.found
        if isinstance(tiles, str) or tiles.first is None:
            raise error
        LOGGER.debug("%s: its TLM is not followed: %s", where, error)
        found = replace(known, found=Tiles(tiles.stream, tiles.stop, tiles.first))
        self._learn(known.version, found)
        return found

    def _known_of(self, source: RangedBytes, where: str) -> _Known:
        """What is known of the present version. The lock is held only to look at it: a server may keep one silent."""
        size, version = source.length(), source.version()
        with self._lock:
            known = self._known
        if known is not None and known.version == version:
            return known
        found = _look(source, size, version, where)
        with self._lock:
            if self._known is None or self._known.version != version:  # else another thread was faster
                self._known = found
            return self._known


def _check_shape(stream: Codestream, shape: tuple[int, int], where: str) -> None:
    """Refuse another image than the one that was described: bounds of its size were looked at there."""
    found = stream.height, stream.width
    if found != shape:
        sizes = [f"{height:,} x {width:,}" for height, width in (found, shape)]
        raise ImageryError(f"{where}: has {sizes[0]} pixels now, {sizes[1]} before: it was changed. Read it again.")


class _Lasting(OtherLayout):
    """Whatever of the file is wanted."""


def _look(source: RangedBytes, size: int, version: Hashable, where: str) -> _Known:
    """The headers of a file."""
    try:
        front = Front(source.front, 0, size, source.front(0, min(size, _FIRST)))
        place = codestream_place(front, size)
        stream = read_codestream(Front(source.front, place.start, place.stop, front.data[place.start :]))
    except (OtherLayout, ContradictionError) as other:  # a damaged header is GDAL's to refuse
        return _Known(version, str(other))
    if source.far and size <= max(SMALL, SMALL_TILE * stream.tiles):
        return _Known(version, f"{size:,} bytes in {stream.tiles:,} tiles, less than their requests would cost")
    if sum(packet_counts(stream, 0)) * stream.tiles > _MOST_PACKETS:
        return _Known(version, f"more than {_MOST_PACKETS:,} packets")
    first = place.start + stream.length
    tiles = Tiles(stream, place.stop, first)
    try:
        lengths = tile_lengths(stream)
        tiles = Tiles.told(stream, place.stop, first, lengths) if lengths else tiles
    except OtherLayout as other:
        return _Known(version, str(other))
    except ContradictionError as error:
        LOGGER.debug("%s: its TLM is not followed: %s", where, error)
    box = b"" if place.box == place.start else b"\0\0\0\0jp2c"  # up to the end of the file
    return _Known(version, tiles, front.take(0, place.box) + box + stream.header)


def _small_file(source: RangedBytes, known: _Known, discarded: int, window: Rectangle) -> bytes:
    tiles = known.found
    if isinstance(tiles, str):
        raise OtherLayout(tiles)
    stream = tiles.stream
    kept = stream.levels + 1 - discarded
    if kept < 1:
        raise OtherLayout("fewer resolutions than levels")
    wanted = tiles_under(stream, discarded, window)
    if not discarded and (not source.far or len(wanted) == stream.tiles):
        raise OtherLayout("all of it is wanted")
    try:
        found = bodies(source, tiles, kept, wanted, tiles_at_edge(stream, discarded, window))
    except OtherLayout as other:
        raise _Lasting(str(other)) from None
    parts = [known.front]
    for tile in range(stream.tiles):
        body = found.get(tile)
        of_tile = written(stream, tile, tiles.packet_counts(tile), kept if body else 0, body or b"")
        parts.append(of_tile)
    return b"".join([*parts, EOC.to_bytes(2, "big")])
