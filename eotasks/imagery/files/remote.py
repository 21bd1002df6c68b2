"""Rasters on S3 and the web, read by ranges: for GDAL in blocks that are kept, and each part as it is."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from itertools import takewhile

from eotasks.errors import AddressRefusedError, ImageryError
from eotasks.imagery.files import http
from eotasks.imagery.files.gdal import RangedFile, RasterSource, Stream
from eotasks.imagery.files.location import Version, is_other
from eotasks.network.gate import GATE
from eotasks.storage import s3
from eotasks.storage.location import is_s3
from eotasks.text import redacted

BLOCK = 1 << 16
"""Bytes of what is fetched at least of a raster, and kept."""

_MOST_AHEAD = 32
"""Blocks."""

KEPT_BLOCKS = 512
"""Blocks of all rasters that are kept: headers, mostly, which are read at each opening."""


_Key = tuple[str, Hashable]
_Ask = Callable[[int, int], http.Part]


class RangedRaster(RasterSource):
    """A raster far away that is read by ranges, in whole blocks; the latest are kept. All are of one version of it.

    Who reads on where the last read ended gets more at once: of small requests most is waiting.
    """

    far = True
    _end, _ahead = -1, 0
    _tag: str | None = None
    """Of the version that was read first."""

    _whole: int | None = None
    """Bytes of that version."""

    def fetch(self, start: int, stop: int) -> bytes:
        """Bytes from a start to a stop.

        :raises EOTasksError: when they cannot be fetched, or the file was changed since the first were.
        """
        first, end = start // BLOCK, (stop - 1) // BLOCK + 1
        goes_on = first in (self._end - 1, self._end)
        self._ahead = min(2 * self._ahead + end - first, _MOST_AHEAD) if goes_on else 0
        self._end = end
        found, _ = self._blocks(range(first, end), self._ahead)
        return b"".join(found)[start - first * BLOCK : stop - first * BLOCK]

    def length(self) -> int:
        """Bytes of the file.

        :raises EOTasksError: when it cannot be fetched.
        """
        return self._size()

    def version(self) -> Version:
        """Its size and tag.

        :raises EOTasksError: when it cannot be fetched.
        """
        return Version(self._whole or self._size(), self._tag)

    def front(self, start: int, stop: int) -> bytes:
        """Bytes near its start, in blocks that are kept."""
        return self.fetch(start, min(stop, self._whole or self._size()))

    def exactly(self, start: int, stop: int) -> bytes:
        """Bytes that are asked for once; nobody is asked for those at their start that are kept in blocks.

        :raises EOTasksError: as `fetch`.
        """
        key = self._key()
        stop = min(stop, self._whole or stop)
        head = _BLOCKS.kept(key, range(start // BLOCK, (stop - 1) // BLOCK + 1), tag=self._tag)
        head = head[start % BLOCK :][: stop - start]
        start += len(head)
        if start >= stop:
            return head
        content, said, tag = self._asked(start, stop)
        size = self._whole or self._size()
        _BLOCKS.check(key, {size if said is None else said, size}, [self._tag, tag])
        if len(content) != min(stop, size) - start:
            raise _broken_off(key, len(content), stop - start)
        return head + content if head else content

    def _blocks(self, wanted: Iterable[int], ahead: int = 0) -> tuple[list[bytes], int]:
        key = self._key()
        content, size, tag = _BLOCKS.of(key, self._asked, wanted, ahead, tag=self._tag)
        _BLOCKS.check(key, {size, self._whole or size}, [])
        self._tag, self._whole = self._tag or tag, size
        return content, size

    def _asked(self, start: int, stop: int) -> http.Part:
        with GATE.passed():
            return self._ask(start, stop)

    def _opened(self) -> AbstractContextManager[Stream]:
        return RangedFile(self._size(), self.fetch)

    @abstractmethod
    def _key(self) -> _Key:
        """What the kept blocks are those of."""

    @abstractmethod
    def _ask(self, start: int, stop: int) -> http.Part:
        """Bytes from a start to a stop, fewer where the file ends before."""


class WebRaster(RangedRaster):
    """A raster at an address of the web.

    :param url: The address.
    :param internal: Servers of the user's network that may be asked.
    :param facts: Of the version that it has to be; None for any.
    :param renewed: Gives the address with another signature, once the server has refused the one that it is given.
    """

    def __init__(
        self,
        url: str,
        internal: frozenset[str],
        *,
        facts: http.WebFacts | None = None,
        renewed: Callable[[str], str] | None = None,
    ) -> None:
        self._url, self._internal, self._renewed = url, internal, renewed
        self._whole, self._tag = facts or (None, None)
        self._file = url

    def _size(self) -> int:
        return self._blocks([0])[1]

    def _key(self) -> _Key:
        return self._file, self._internal

    def _ask(self, start: int, stop: int) -> http.Part:
        try:
            return http.read_part(self._url, start, stop, self._internal)
        except AddressRefusedError:
            other = self._url if self._renewed is None else self._renewed(self._url)
            if other == self._url:
                raise
        self._url = other
        return http.read_part(other, start, stop, self._internal)


class BucketRaster(RangedRaster):
    """A raster at ``s3://bucket/key``, all of one version. GDAL would take whatever a server sends it.

    :param facts: Of the version that it has to be; None for the present one.
    """

    def __init__(self, location: str, facts: s3.ObjectFacts | None = None) -> None:
        self._location, self._known = location, facts

    @cached_property
    def _facts(self) -> s3.ObjectFacts:
        return self._known or s3.object_facts(self._location)

    def version(self) -> Version:
        """Size and ETag, which are known before the first byte is."""
        return Version(self._facts.size, self._facts.tag)

    def _size(self) -> int:
        return self._facts.size

    def _key(self) -> _Key:
        return self._location, self._facts.tag

    def _ask(self, start: int, stop: int) -> http.Part:
        size, _, tag = self._facts
        return http.Part(s3.read_range(self._location, start, min(stop, size), tag=tag), size, tag)


def remote_raster(
    address: str, internal: frozenset[str], *, renewed: Callable[[str], str] | None = None
) -> RangedRaster:
    """The raster at an ``s3://`` or ``https://`` address.

    :param internal: As of `WebRaster`.
    :param renewed: As of `WebRaster`.
    """
    return BucketRaster(address) if is_s3(address) else WebRaster(address, internal, renewed=renewed)


class _Blocks:
    """The latest blocks of rasters far away."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[_Key, int], tuple[bytes, int, str | None]] = OrderedDict()
        self._lock = threading.Lock()

    def of(
        self, key: _Key, ask: _Ask, wanted: Iterable[int], ahead: int = 0, *, tag: str | None = None
    ) -> tuple[list[bytes], int, str | None]:
        """Some neighbouring blocks of a file, the bytes of all of it, and the tag of its version.

        :param key: Of the file; its first part is the address.
        :param ahead: Blocks behind them that are fetched, too, when one has to be.
        :param tag: Of the version that was read before; None for any.
        :raises EOTasksError: when they cannot be fetched, or the file is another one than before.
        """
        numbers = list(wanted)
        with self._lock:
            found = {number: self._kept.get((key, number)) for number in numbers}
        missing = [number for number, block in found.items() if block is None]
        if missing:
            start, stop = missing[0] * BLOCK, (missing[-1] + 1 + ahead) * BLOCK
            content, size, now = ask(start, stop)
            if size is None:
                raise ImageryError(f"{redacted(key[0])}: the server does not say its size. Download the product first.")
            if len(content) != min(stop, size) - start:
                raise _broken_off(key, len(content), stop - start)
            for number in range(missing[0], -(-(start + len(content)) // BLOCK)):
                at = number * BLOCK - start
                fetched = content[at : at + BLOCK], size, now
                found[number] = fetched
                self._keep((key, number), fetched)
        blocks = [block for number in numbers if (block := found[number]) is not None]
        tags = [tag, *(each for _, _, each in blocks)]
        self.check(key, {size for _, size, _ in blocks}, tags)
        return [content for content, _, _ in blocks], blocks[0][1], next((each for each in tags if each), None)

    def kept(self, key: _Key, numbers: Iterable[int], *, tag: str | None) -> bytes:
        """The first of some neighbouring blocks of a version of a file, as many as are kept one after another."""
        with self._lock:
            found = [self._kept.get((key, number)) for number in numbers]
        blocks = takewhile(lambda block: block is not None and not is_other(block[2], tag), found)
        return b"".join(block[0] for block in blocks if block is not None)

    def check(self, key: _Key, sizes: set[int], tags: Sequence[str | None]) -> None:
        """Refuse parts of a file that are of different versions of it.

        :raises ImageryError: when they are.
        """
        if len(sizes) > 1 or any(is_other(each, other) for each in tags for other in tags):
            self._forget(key)
            raise ImageryError(f"{redacted(key[0])}: changed while it was read. Read it again.")

    def _keep(self, key: tuple[_Key, int], block: tuple[bytes, int, str | None]) -> None:
        with self._lock:
            self._kept[key] = block
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT_BLOCKS:
                self._kept.popitem(last=False)

    def _forget(self, key: _Key) -> None:
        with self._lock:
            for each in [each for each in self._kept if each[0] == key]:
                del self._kept[each]


def _broken_off(key: _Key, found: int, wanted: int) -> ImageryError:
    return ImageryError(f"{redacted(key[0])}: broke off after {found} of {wanted} bytes. Try again.")


_BLOCKS = _Blocks()
