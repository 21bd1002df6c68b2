"""What packed arrays of HDF5 take when they are unpacked: looked at before the library does it.

The library believes a packed part ("chunk") of an array: one of some megabytes that inflates to gigabytes takes them,
whatever size the array says that its parts have. And a text of any length costs 16 bytes where many name the same one.
So each part that is wanted is inflated here, no further than to the size that is due, and refused where it is not that
long; texts are refused by the lengths that lie in the array. Only then does the library read.

Source of the layout: the HDF5 File Format Specification, version 3 (filter pipeline; global heap and its references).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from eotasks.errors import ReferenceDataError, reason_of
from eotasks.limits import ARRAY_BYTES
from eotasks.reading import open_regular

DEFLATE, SHUFFLE, CHECKSUM = 1, 2, 3
_CHECKSUM_BYTES = 4
_NAMES = {4: "szip", 5: "n-bit", 6: "scale-offset", 32_000: "LZF"}
_REFERENCE = np.dtype([("length", "<u4"), ("heap", "<u8"), ("index", "<u4")])
"""How a text of any length lies in an array: the text itself lies elsewhere."""

_AT_ONCE = 1 << 20
"""References that are read at a time."""

Refuse = Callable[[str], ReferenceDataError]


class Stored:
    """How an array lies in its file, and whether it can be read.

    :param dataset: Of h5py.
    :param refuse: Makes the error of a reason.
    :raises ReferenceDataError: it is packed by what is not read, or in parts that are too large.
    """

    def __init__(self, dataset: Any, refuse: Refuse) -> None:
        of_any_length = dataset.dtype.kind == "O"  # whose size is said to be that of a pointer in memory
        self._itemsize = _REFERENCE.itemsize if of_any_length else int(dataset.id.get_type().get_size())
        self._dataset, self._refuse = dataset, refuse
        plist = dataset.id.get_create_plist()
        self._codes = [int(plist.get_filter(index)[0]) for index in range(plist.get_nfilters())]
        for code in self._codes:
            if code not in (DEFLATE, SHUFFLE, CHECKSUM):
                name = f" ({_NAMES[code]})" if code in _NAMES else ""
                raise refuse(
                    f"it is packed by filter {code}{name}, which is not read: h5repack -f GZIP=6 packs it anew"
                )
        if len(set(self._codes)) < len(self._codes):
            raise refuse("it is packed by one filter twice")
        if dataset.chunks:
            self._check_bytes(dataset.chunks)

    @property
    def part_bytes(self) -> int:
        """Of a part when it is unpacked; 0 where the array is not in parts."""
        return math.prod(self._dataset.chunks) * self._itemsize if self._dataset.chunks else 0

    def check(self, rows: range) -> None:
        """Refuse the parts that have any of the rows, where they are not of the size that is due.

        :raises ReferenceDataError: when one is longer or shorter, or damaged.
        """
        if self._dataset.chunks and DEFLATE in self._codes:
            for _ in self._parts(rows):
                pass

    def check_texts(self, longest: int, file: Path) -> None:
        """Refuse an array of texts of any length where one is too long, or any is not there.

        :param longest: Bytes of a text.
        :raises ReferenceDataError: when there is one, or the array lies in a way that cannot be looked at.
        """
        rows = self._dataset.shape[0]
        found = 0
        for first, content in self._parts(range(rows)) if self._dataset.chunks else self._contiguous(file):
            lengths = np.frombuffer(content, _REFERENCE, count=min(len(content) // 16, rows - first))["length"]
            if lengths.size and lengths.max() > longest:
                raise self._refuse(f"a text of {lengths.max():,} bytes, more than {longest:,}")
            found += lengths.size
        if found != rows:
            raise self._refuse(f"{found:,} of its {rows:,} texts are there")

    def _contiguous(self, file: Path) -> Iterator[tuple[int, bytes]]:
        """First row and references of some rows of an array that is not in parts."""
        offset, rows = self._dataset.id.get_offset(), self._dataset.shape[0]
        if offset is None:
            return
        with open_regular(file) as stream:
            for first in range(0, rows, _AT_ONCE):
                size = min(_AT_ONCE, rows - first) * _REFERENCE.itemsize
                stream.seek(offset + first * _REFERENCE.itemsize)
                content = stream.read(size)
                if len(content) < size:
                    raise self._refuse("it lies outside of the file")
                yield first, content

    def _parts(self, rows: range) -> Iterator[tuple[int, bytes]]:
        """First row and unpacked content of each part that has any of the rows and is stored, one at a time."""
        shape, chunks = self._dataset.shape, self._dataset.chunks
        if not rows or 0 in shape:
            return
        spans = [(rows.start, rows.stop), *((0, side) for side in shape[1:])]
        grid = [(-(-stop // side) - start // side) * side for (start, stop), side in zip(spans, chunks, strict=True)]
        self._check_bytes(grid)
        wanted: dict[tuple[int, ...], int] = {}

        def look(part: Any) -> None:
            place = tuple(int(each) for each in part.chunk_offset)
            if all(
                start < at + side and at < stop for at, side, (start, stop) in zip(place, chunks, spans, strict=True)
            ):
                if place in wanted or any(at % side for at, side in zip(place, chunks, strict=True)):
                    raise self._refuse("its parts overlap")
                wanted[place] = int(part.size)

        self._dataset.id.chunk_iter(look)
        due = self.part_bytes
        for place, size in sorted(wanted.items()):
            if size > due + due // 100 + 1_000:  # what cannot be deflated grows by less
                raise self._refuse(f"a part of {size:,} bytes where {due:,} are due")
            mask, raw = self._dataset.id.read_direct_chunk(place)
            yield place[0], self._unpacked(raw, mask, due)

    def _unpacked(self, raw: bytes, skipped: int, due: int) -> bytes:
        """A part as it was before it was packed, but still shuffled."""
        if skipped >> len(self._codes):
            raise self._refuse("a part of it is packed by filters that are not there")
        used = [code for index, code in enumerate(self._codes) if not skipped >> index & 1]
        if self._dataset.dtype.kind == "O" and SHUFFLE in used:  # which the library never does: it leaves it out
            raise self._refuse("its references are shuffled")
        inner = CHECKSUM in used and DEFLATE in used and used.index(CHECKSUM) < used.index(DEFLATE)
        if CHECKSUM in used and not inner:
            raw = raw[:-_CHECKSUM_BYTES]
        whole = due + (_CHECKSUM_BYTES if inner else 0)
        if DEFLATE in used:
            stream = zlib.decompressobj()
            try:
                raw = stream.decompress(raw, whole + 1)
            except zlib.error as error:
                raise self._refuse(f"a part of it is damaged ({reason_of(error)})") from error
            if len(raw) <= whole and not stream.eof:
                raise self._refuse("a part of it is cut off")
        if len(raw) != whole:
            much = "more" if len(raw) > whole else f"{len(raw):,}"
            raise self._refuse(f"a part of it unpacks to {much} bytes where {whole:,} are due")
        return raw[:due]

    def _check_bytes(self, shape: Any) -> None:
        size = math.prod(int(side) for side in shape) * self._itemsize
        if size > ARRAY_BYTES.value:
            raise self._refuse(ARRAY_BYTES.excess(size))
