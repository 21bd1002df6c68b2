"""What the main header of a codestream says of its packets (ITU-T T.800, annex A.5 and A.6)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property

from eotasks.imagery.jp2 import markers
from eotasks.imagery.jp2.markers import Front, segments
from eotasks.imagery.jp2.verdicts import ContradictionError, OtherLayout

_SIZ = struct.Struct(">H8IH")
_COD = struct.Struct(">BBHB5B")

_PRECINCTS, _SOP, _EPH = 1, 2, 4
_HARMLESS_STYLES = 0x02 | 0x08 | 0x10 | 0x20
"""Of code-blocks: contexts that are reset, vertically causal ones, predictable ends, segmentation symbols. The others
(bypass, an end after each pass, high throughput) change how packet headers tell lengths."""

_WIDEST = 15
"""Exponent of a precinct's side where none is given."""

_MOST_TILES = 65_535
_PASSED_ON = frozenset({markers.QCD, markers.QCC, markers.COM, markers.CRG})
"""Segments that packets do not depend on."""


class Order(IntEnum):
    """Of packets, by what changes last: layer, resolution, component, position. All of these have a resolution's
    packets together, where there is one layer.
    """

    LRCP = 0
    RLCP = 1
    RPCL = 2


@dataclass(frozen=True)
class Codestream:
    """An image, its tiles, and how its packets follow each other. All has one layer, and begins at (0, 0)."""

    width: int
    height: int
    tile_width: int
    tile_height: int

    steps: tuple[tuple[int, int], ...]
    """Of each component: pixels of the image from one of its own to the next, across and down."""

    order: Order
    levels: int
    """Decompositions: there is one more resolution, number 0 the coarsest."""

    precincts: tuple[tuple[int, int], ...]
    """Of each resolution: exponents of their sides."""

    block: tuple[int, int]
    """Exponents of the sides of a code-block."""

    ends_headers: bool
    """Whether EPH follows each packet header."""

    header: bytes
    """From SOC up to the first tile-part, without what tells lengths."""

    length: int
    """Bytes from SOC up to the first tile-part."""

    lengths: tuple[bytes, ...]
    """What the header says of the lengths of tile-parts (TLM), as `tile_lengths` reads it."""

    @cached_property
    def layout(self) -> Codestream:
        """What of it says where packets are: the same for files of one size that were packed alike."""
        return replace(self, ends_headers=False, header=b"", length=0, lengths=())

    @property
    def tiles_across(self) -> int:
        """Columns of tiles."""
        return -(-self.width // self.tile_width)

    @property
    def tiles(self) -> int:
        """All of them."""
        return self.tiles_across * -(-self.height // self.tile_height)


def read_codestream(front: Front) -> Codestream:
    """The main header.

    :param front: The codestream from SOC on.
    :raises OtherLayout: when packets of a resolution do not lie together, or something is in it that is not known here.
    :raises ContradictionError: when it breaks off.
    """
    if front.number(0) != markers.SOC or front.number(2) != markers.SIZ:
        raise OtherLayout("no codestream begins where it has to")
    kept, lengths = [front.take(0, 2)], list[bytes]()
    siz = cod = None
    at = 2
    for marker, at, content in segments(front, 2, markers.SOT):
        if marker == markers.SOT:
            break
        if marker == markers.TLM:
            lengths.append(content)
            continue
        if marker == markers.PLM:
            continue
        if marker == markers.SIZ and siz is None:
            siz = content
        elif marker == markers.COD and cod is None:
            cod = content
        elif marker not in _PASSED_ON:
            raise OtherLayout(f"{markers.NAMES.get(marker, f'marker {marker:04x}')} in its main header")
        kept.append(front.take(at, 4 + len(content)))
    if siz is None or cod is None:
        raise OtherLayout("no COD in its main header")
    width, height, tile_width, tile_height, steps = _read_siz(siz)
    order, levels, precincts, block, ends_headers = _read_cod(cod, steps)
    stream = Codestream(
        width, height, tile_width, tile_height, steps, order, levels, precincts, block, ends_headers,
        header=b"".join(kept), length=at, lengths=tuple(lengths),
    )  # fmt: skip
    if stream.tiles > _MOST_TILES:
        raise OtherLayout(f"{stream.tiles:,} tiles")
    return stream


def tile_lengths(stream: Codestream) -> list[tuple[int, int]]:
    """Tile and bytes of each tile-part, in their order; empty when the header does not say.

    :raises OtherLayout: when a tile has several.
    :raises ContradictionError: when they do not fit the tiles.
    """
    found: list[tuple[int, int]] = []
    for number, content in enumerate(sorted(stream.lengths, key=lambda each: each[:1])):
        if len(content) < 2 or content[0] != number:
            raise ContradictionError("its TLM are not numbered one after another")
        named, wide = (content[1] >> 4) & 3, 4 if content[1] & 0x40 else 2
        if named == 3 or content[1] & ~0x70:
            raise ContradictionError("a TLM of no known kind")
        if (len(content) - 2) % (named + wide):
            raise ContradictionError("a TLM that breaks off")
        for at in range(2, len(content), named + wide):
            tile = int.from_bytes(content[at : at + named], "big") if named else len(found)
            found.append((tile, int.from_bytes(content[at + named : at + named + wide], "big")))
        if len(found) > _MOST_TILES:
            raise OtherLayout("several tile-parts a tile")
    if len(found) > stream.tiles:
        raise OtherLayout("several tile-parts a tile")
    if found and {tile for tile, _ in found} != set(range(stream.tiles)):
        raise ContradictionError(f"its TLM do not name each of its {stream.tiles} tiles once")
    return found


def _read_siz(content: bytes) -> tuple[int, int, int, int, tuple[tuple[int, int], ...]]:
    if len(content) < _SIZ.size:
        raise OtherLayout("a SIZ that is too short")
    capabilities, width, height, left, top, tile_width, tile_height, tile_left, tile_top, components = _SIZ.unpack(
        content[: _SIZ.size]
    )
    if capabilities & 0xC000:
        raise OtherLayout("capabilities of other parts of the standard")
    if len(content) != _SIZ.size + 3 * components or not components:
        raise OtherLayout("a SIZ that does not fit its components")
    if left or top or tile_left or tile_top:
        raise OtherLayout("an image or tiles that do not begin at 0")
    steps = tuple((content[at + 1], content[at + 2]) for at in range(_SIZ.size, len(content), 3))
    if not (width and height and tile_width and tile_height) or any(0 in step for step in steps):
        raise OtherLayout("a SIZ of nothing")
    return width, height, tile_width, tile_height, steps


def _read_cod(
    content: bytes, steps: tuple[tuple[int, int], ...]
) -> tuple[Order, int, tuple[tuple[int, int], ...], tuple[int, int], bool]:
    if len(content) < _COD.size:
        raise OtherLayout("a COD that is too short")
    flags, order, layers, _, levels, across, down, style, wavelet = _COD.unpack(content[: _COD.size])
    if flags & ~(_PRECINCTS | _SOP | _EPH) or wavelet > 1 or levels > 32 or max(across, down) > 8 or across + down > 8:
        raise OtherLayout("a COD of another kind")
    if flags & _SOP:
        raise OtherLayout("SOP before its packets")  # which the empty ones would need too
    if style & ~_HARMLESS_STYLES:
        raise OtherLayout(f"code-blocks of style {style:#04x}")
    if layers != 1:
        raise OtherLayout(f"{layers} layers")
    if order > Order.RPCL:
        raise OtherLayout("a progression in which packets of a resolution do not lie together")
    if order == Order.RPCL and set(steps) != {(1, 1)}:
        raise OtherLayout("subsampled components in the order RPCL")
    sides = content[_COD.size :]
    if len(sides) != (levels + 1 if flags & _PRECINCTS else 0):
        raise OtherLayout("a COD that does not fit its levels")
    precincts = tuple((each & 15, each >> 4) for each in sides) or ((_WIDEST, _WIDEST),) * (levels + 1)
    if any(0 in each for each in precincts[1:]):
        raise OtherLayout("precincts of one pixel")
    return Order(order), levels, precincts, (across + 2, down + 2), bool(flags & _EPH)
