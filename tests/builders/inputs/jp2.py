"""JP2 files of many layouts, and files that lie about their own."""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine

SOT, SOD, PLT, TLM = b"\xff\x90", b"\xff\x93", b"\xff\x58", b"\xff\x55"


class FileBytes(bytes):
    """A file that hypothesis, which writes out what it gives to a test, does not."""

    def __repr__(self) -> str:
        return "the file"


@dataclass(frozen=True)
class Layout:
    """How GDAL is asked to pack an image."""

    height: int = 300
    width: int = 420
    tile: tuple[int, int] | None = (128, 128)
    """Rows and columns; None for the whole image."""

    resolutions: int = 4
    precincts: tuple[tuple[int, int], ...] = ()
    block: tuple[int, int] = (64, 64)
    order: str = "LRCP"
    lengths: bool = True
    """Whether there is a PLT in each tile."""

    tile_lengths: bool = False
    """Whether there is a TLM."""

    marks: tuple[bool, bool] = (False, False)
    """Whether there are SOP and EPH."""

    lossless: bool = True
    dtype: str = "uint16"
    layers: int = 1
    options: tuple[tuple[str, str], ...] = ()
    """Others of GDAL."""

    seed: int = 0

    def values(self) -> NDArray[Any]:
        """Ground with flat parts, fields and noise: (layers, height, width)."""
        random = np.random.default_rng(self.seed)
        top = 250 if self.dtype == "uint8" else 9000
        shape = self.layers, self.height, self.width
        fields = random.integers(0, top // 2, (self.layers, -(-self.height // 16), -(-self.width // 16)))
        ground = fields.repeat(16, 1).repeat(16, 2)[:, : self.height, : self.width]
        ground = ground + random.integers(0, max(top // 40, 1), shape)
        ground[:, : self.height // 3, : self.width // 2] = 0
        return ground.astype(self.dtype)

    def write(self, path: Path) -> NDArray[Any]:
        """The file; gives what is in it."""
        values = self.values()
        tile = self.tile or (self.height, self.width)
        tiles = {"tiled": True, "blockysize": tile[0], "blockxsize": tile[1]}
        options = {
            "RESOLUTIONS": str(self.resolutions), "PROGRESSION": self.order,
            "PLT": "YES" if self.lengths else "NO", "TLM": "YES" if self.tile_lengths else "NO",
            "SOP": "YES" if self.marks[0] else "NO", "EPH": "YES" if self.marks[1] else "NO",
            "CODEBLOCK_WIDTH": str(self.block[0]), "CODEBLOCK_HEIGHT": str(self.block[1]),
            "REVERSIBLE": "YES" if self.lossless else "NO", "QUALITY": "100" if self.lossless else "25",
            **dict(self.options),
        }  # fmt: skip
        if self.precincts:
            options["PRECINCTS"] = ",".join(f"{{{across},{down}}}" for across, down in self.precincts)
        with rasterio.open(
            path, "w", driver="JP2OpenJPEG", height=self.height, width=self.width, count=self.layers,
            dtype=self.dtype, crs="EPSG:32633", transform=Affine(10, 0, 300_000, 0, -10, 5_900_040), **tiles, **options,
        ) as target:  # fmt: skip
            target.write(values)
        return values


@dataclass
class Part:
    """A tile-part of a file."""

    tile: int
    lengths: list[int]
    """Of its packets."""

    body: bytes
    before: bytes = b""
    """Marker segments before its PLT."""

    number: tuple[int, int] = (0, 1)
    """Of this part of the tile, and of how many."""

    told: int | None = None
    """Its length as SOT says it; None for what is so."""

    def written(self, plt: bytes | None = None) -> bytes:
        """Its bytes.

        :param plt: Another content of its PLT.
        """
        content = b"\0" + b"".join(map(_told, self.lengths)) if plt is None else plt
        head = self.before + (PLT + struct.pack(">H", len(content) + 2) + content if content else b"") + SOD
        told = 12 + len(head) + len(self.body) if self.told is None else self.told
        return SOT + struct.pack(">HHIBB", 10, self.tile, told, *self.number) + head + self.body

    def pieces(self, order: Sequence[int], numbers: Sequence[int] | None = None) -> bytes:
        """Its PLT in several of them.

        :param order: In which the pieces come.
        :param numbers: What each of them says that it is; None for what is so.
        """
        count = len(order)
        found = b""
        for piece in order:
            number = piece if numbers is None else numbers[piece]
            first, last = (each * len(self.lengths) // count for each in (piece, piece + 1))
            told = b"".join(map(_told, self.lengths[first:last]))
            found += PLT + struct.pack(">HB", len(told) + 3, number) + told
        return found


@dataclass
class Taken:
    """A file taken apart."""

    head: bytes
    """All before the first tile-part, without TLM; the box of the codestream reaches to the end of the file."""

    parts: list[Part] = field(default_factory=list)

    def written(self, tlm: bytes | None = None, plt: Callable[[Part], bytes | None] = lambda _: None) -> bytes:
        """The file again.

        :param tlm: Content of a TLM.
        :param plt: Another content of the PLT of a part.
        """
        head = self.head if tlm is None else self.head + TLM + struct.pack(">H", len(tlm) + 2) + tlm
        return head + b"".join(part.written(plt(part)) for part in self.parts) + b"\xff\xd9"

    def tlm(self, *, named: bool = True) -> bytes:
        """The content of a TLM that is right."""
        lengths = [len(part.written()) for part in self.parts]
        tiles = [part.tile.to_bytes(1, "big") if named else b"" for part in self.parts]
        entries = b"".join(tile + struct.pack(">I", each) for tile, each in zip(tiles, lengths, strict=True))
        return (b"\0\x50" if named else b"\0\x40") + entries


def taken_apart(content: bytes) -> Taken:
    """A file of one tile-part a tile with a PLT in each."""
    box = content.index(b"jp2c") - 4
    start = box + 8
    at = start + 2
    head = content[:box] + b"\0\0\0\0jp2c" + content[start:at]
    while content[at : at + 2] != SOT:
        stop = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        head += b"" if content[at : at + 2] == TLM else content[at:stop]
        at = stop
    found = Taken(head)
    while content[at : at + 2] == SOT:
        tile, length = struct.unpack(">HI", content[at + 4 : at + 10])
        segment, told = at + 12, b""
        while content[segment : segment + 2] != SOD:
            stop = segment + 2 + int.from_bytes(content[segment + 2 : segment + 4], "big")
            told += content[segment + 5 : stop] if content[segment : segment + 2] == PLT else b""
            segment = stop
        found.parts.append(Part(tile, _lengths(told), content[segment + 2 : at + length]))
        at += length
    return found


def _lengths(told: bytes) -> list[int]:
    found, value = [], 0
    for byte in told:
        value = value * 128 + (byte & 127)
        if byte < 128:
            found.append(value)
            value = 0
    return found


def _told(length: int) -> bytes:
    parts = [length & 127]
    while length := length >> 7:
        parts.insert(0, length & 127 | 128)
    return bytes(parts)


class CountedBytes:
    """A file in memory that is read by ranges; counts what is asked of it."""

    def __init__(self, content: bytes, *, far: bool = False) -> None:
        self.content, self.far = content, far
        self.asked: list[tuple[int, int]] = []
        self.changes = 0

    def length(self) -> int:
        return len(self.content)

    def version(self) -> Hashable:
        return self.changes

    def front(self, start: int, stop: int) -> bytes:
        return self.content[start:stop]

    def exactly(self, start: int, stop: int) -> bytes:
        assert 0 <= start < stop <= len(self.content)
        self.asked.append((start, stop))
        return self.content[start:stop]

    @property
    def fetched(self) -> int:
        """Bytes."""
        return sum(stop - start for start, stop in self.asked)


ESA = Layout(height=1300, width=1100, tile=(512, 512), resolutions=5, precincts=((256, 256),) * 5)
"""As the ground segment packs bands, with smaller tiles."""

SMALL = replace(ESA, height=300, width=420, tile=(128, 128), precincts=((64, 64),) * 5)
