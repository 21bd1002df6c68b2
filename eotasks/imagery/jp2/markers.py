"""Marker segments of a JPEG 2000 codestream (ITU-T T.800, annex A), taken from a file whose bytes come bit by bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from eotasks.imagery.jp2.verdicts import ContradictionError, OtherLayout

SOC, SOT, SOD, EOC = 0xFF4F, 0xFF90, 0xFF93, 0xFFD9
SIZ, COD, COC, QCD, QCC, RGN, POC = 0xFF51, 0xFF52, 0xFF53, 0xFF5C, 0xFF5D, 0xFF5E, 0xFF5F
TLM, PLM, PLT, PPM, PPT, CRG, COM, CAP = 0xFF55, 0xFF57, 0xFF58, 0xFF60, 0xFF61, 0xFF63, 0xFF64, 0xFF50

NAMES = {
    COC: "COC", QCD: "QCD", QCC: "QCC", RGN: "RGN", POC: "POC", PLM: "PLM", PPM: "PPM", PPT: "PPT", CAP: "CAP",
    COD: "COD", SIZ: "SIZ", TLM: "TLM", PLT: "PLT", SOT: "SOT", EOC: "EOC", SOC: "SOC",
}  # fmt: skip

LONGEST_HEADER = 1 << 20
"""Bytes of a main header, and of the header of a tile-part. Those of products have some hundred."""

_STEP = 1 << 10
"""Bytes that are read at least."""


class Front:
    """The first bytes of a part of a file, more of them as they are asked for.

    :param read: Gives the bytes of the file from a start to a stop, fewer only where it ends.
    :param start: Where the part begins.
    :param stop: Where it ends at the latest.
    :param data: Bytes of its start that are there already.
    """

    def __init__(self, read: Callable[[int, int], bytes], start: int, stop: int, data: bytes = b"") -> None:
        self._read, self.start, self.stop, self.data = read, start, stop, data

    def take(self, at: int, count: int) -> bytes:
        """Some bytes, counted from the start of the part.

        :raises ContradictionError: when the part ends before.
        """
        end = at + count
        if end > self.stop - self.start:
            raise ContradictionError("it ends in the middle of a header")
        if end > len(self.data):
            more = min(max(end, 2 * len(self.data), _STEP), self.stop - self.start)
            self.data += self._read(self.start + len(self.data), self.start + more)
            if end > len(self.data):
                raise ContradictionError("it ends in the middle of a header")
        return self.data[at:end]

    def number(self, at: int) -> int:
        """The two bytes at a place as a number, which a marker is too."""
        return int.from_bytes(self.take(at, 2), "big")


def segments(front: Front, at: int, end: int) -> Iterator[tuple[int, int, bytes]]:
    """Marker, place and content (without its length) of each segment up to a marker that ends the header.

    :param at: Where the first lies.
    :param end: That marker; it comes last, without content.
    :raises ContradictionError: when the header breaks off, or is none.
    :raises OtherLayout: when it is longer than any.
    """
    while True:
        marker = front.number(at)
        if marker == end:
            yield marker, at, b""
            return
        if marker < 0xFF01:
            raise ContradictionError(f"{marker:04x} stands where a marker has to be")
        length = front.number(at + 2)
        if length < 2:
            raise ContradictionError(f"a marker segment of {length} bytes")
        yield marker, at, front.take(at + 4, length - 2)
        at += 2 + length
        if at > LONGEST_HEADER:
            raise OtherLayout(f"a header of more than {LONGEST_HEADER:,} bytes")
