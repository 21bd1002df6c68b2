"""Pages of a Parquet file, looked at before Arrow takes memory for them.

What the end of a file says of sizes may be wrong, and one value or number of some bytes may stand for a thousand
million: what counts is in the heads of pages, which are a few numbers each. They are Thrift structures in its compact
protocol, described in the specification of Parquet (``parquet.thrift``). So is the end of the file, whose columns are
read here too: where what is said of one is at odds, `pyarrow.parquet.RowGroupMetaData.column` ends the process.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from eotasks.errors import ImageryError
from eotasks.extras import OptionalPackages
from eotasks.limits import CATALOGUE_BYTES, Limit

if TYPE_CHECKING:
    import pyarrow as pa

_package = OptionalPackages("catalogue", "Files of Parquet need").package

REPEATED_BYTES = 1 << 21
"""Of a column in a row group, values repeated: a column that may have more is read by its dictionary."""

_HEAD_BYTES = 1 << 16
"""Of a page: most have 30, those with statistics of long values more."""
_GROUP_BYTES = 1 << 30
"""Of a row group as it is stored: our own have one MB, those of others some hundred."""
_MANY_BYTES, _MOST_PACKED = 1 << 26, 1000
"""Bytes of a row group that look suspicious when they are more than so many for each that is stored."""
_TEXTS = 6
_WIDTH_OF = {0: 1, 1: 4, 3: 12, 4: 4, _TEXTS: 4}
"""Bytes of a number, or of what says where a text begins, by the number of its type; 8 where nothing is said."""

_DICTIONARY_PAGE = 2
_FRONT_CODED = 7  # DELTA_BYTE_ARRAY: a value repeats a part of the one before
_BINARY, _LIST, _STRUCT = 8, 9, 12
_NUMBERS, _WIDTHS = frozenset({4, 5, 6}), {1: 0, 2: 0, 3: 1, 7: 8}
"""Types of Thrift: of numbers as long as they need, and of those of so many bytes; true and false are types."""
_BOOLEANS = frozenset({1, 2})
"""Those that have a byte in a list, and none in a structure."""
_I32, _LONG_LIST = 5, 15
_LEVELS, _BITS = 8, 63
_FIRST_BYTE = 4
"""Where the pages of a file begin at the earliest, behind what says that it is one."""
_FACTS = {5: (1, 2), 7: (1, 2), 8: (1, 4)}
"""Number of values and encoding, by the field of a page head that has them."""


@dataclass(frozen=True, slots=True)
class _Page:
    kind: int
    size: int
    stored: int
    values: int
    encoding: int
    end: int
    """Of its head."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A column in a row group."""

    name: str
    kind: int
    """Number of its type."""

    start: int
    stop: int
    """Of its pages in the file."""

    is_empty: bool
    """Its statistics say that all of its values are absent."""


@dataclass(frozen=True, slots=True)
class _Group:
    """What the pages of a row group hold, by columns."""

    bytes_of: dict[str, int]
    """Bytes that each takes at most when it is read by its dictionary, if it has one."""

    stored: int
    """Bytes of all as they are stored."""

    repeated: frozenset[str]
    """Columns of texts whose values may be repeated often."""


def footer(path: str) -> Any:
    """What the end of a file says of its columns and row groups, kept until the file changes: it takes 15 ms.

    :return: A ``pyarrow.parquet.FileMetaData``.
    """
    return _footer(path, *version_of(path))


def columns_by_dictionary(
    source: str | bytes,
    where: str,
    *,
    groups: Sequence[int],
    column: str | None = None,
    limit: Limit = CATALOGUE_BYTES,
    together: bool = False,
) -> frozenset[str]:
    """Columns of texts whose values may be repeated so often that they are read by their dictionary only.

    :param source: Path of the Parquet file, or its content.
    :param where: For messages.
    :param groups: Numbers of the row groups that will be read.
    :param column: The one that will be read; None for all.
    :param limit: Of the bytes that rows of a group may take.
    :param together: Whether all groups are read at once: then the bytes of all count.
    :raises ImageryError: when pages have more bytes or values than the file may have, or are damaged.
    """
    found: frozenset[str] = frozenset()
    what = "catalogue" if limit is CATALOGUE_BYTES else "file"
    group_of = partial(_group_of_file, source, *version_of(source)) if isinstance(source, str) else _groups_of(source)
    size = stored = 0
    for number in groups:
        try:
            group = group_of(number)
        except (IndexError, KeyError, ValueError) as error:
            raise _damaged(where, what) from error
        found |= group.repeated
        size, stored = (size, stored) if together else (0, 0)
        size += sum(group.bytes_of.values()) if column is None else group.bytes_of.get(column, 0)
        stored += group.stored
        if size > limit.value:
            raise ImageryError(f"{where}: rows of {limit.excess(size)}. Make a {what} of smaller parts.")
        if size > max(_MANY_BYTES, _MOST_PACKED * stored):
            raise ImageryError(f"{where}: {stored:,} bytes hold {size:,}, as no {what} does. It is not read.")
    return found if column is None else found & {column}


def bytes_of_columns(content: bytes, columns: Collection[str], where: str, *, groups: int) -> int:
    """Bytes that columns of a file in memory take at most when they are read by their dictionaries.

    :param columns: Their names.
    :param groups: Number of its row groups.
    :raises ImageryError: when its end or its pages are damaged.
    """
    group_of = _groups_of(content)
    try:
        return sum(group_of(number).bytes_of.get(name, 0) for number in range(groups) for name in columns)
    except (IndexError, KeyError, ValueError) as error:
        raise _damaged(where, "file") from error


def chunks_of_group(path: str, number: int) -> list[Chunk]:
    """The columns of a row group, of a file whose pages have been looked at.

    :raises ImageryError: when the end of the file is damaged.
    """
    try:
        return _chunks_of_file(path, *version_of(path))[number]
    except (IndexError, KeyError, ValueError) as error:
        raise _damaged(path) from error


def repeated_bytes(table: pa.Table, columns: Collection[str]) -> int:
    """Bytes that the values of columns by their dictionary have where each is repeated.

    :param columns: Names of their leaves.
    """
    names = {name.partition(".")[0] for name in columns} & set(table.column_names)
    return sum(_repeated(chunk, name, columns) for name in sorted(names) for chunk in table.column(name).chunks)


def _repeated(array: pa.Array, path: str, columns: Collection[str]) -> int:
    """Of one array.

    :param path: Its name in Parquet.
    """
    arrow, compute = _package("pyarrow"), _package("pyarrow.compute")
    kind = array.type
    if not any(column == path or column.startswith(f"{path}.") for column in columns):
        return 0
    if arrow.types.is_dictionary(kind):
        lengths = compute.binary_length(array.dictionary)
        return compute.sum(lengths.take(array.indices).cast("int64")).as_py() or 0
    if arrow.types.is_struct(kind):
        names = [kind.field(index).name for index in range(kind.num_fields)]
        return sum(_repeated(array.field(index), f"{path}.{name}", columns) for index, name in enumerate(names))
    if arrow.types.is_list(kind) or arrow.types.is_large_list(kind):
        # The names of the levels between depend on who wrote the file.
        inner = next(column for column in columns if column.startswith(f"{path}."))[len(path) + 1 :].split(".")[:2]
        return _repeated(array.flatten(), ".".join([path, *inner]), columns)
    return 0


def _damaged(where: str, what: str = "catalogue") -> ImageryError:
    return ImageryError(f"{where}: its pages are damaged. Make the {what} anew.")


def version_of(path: str) -> tuple[int, int, int]:
    """What changes when a file does: what is known of it is kept until then."""
    facts = Path(path).stat()
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


@lru_cache(maxsize=64)
def _footer(path: str, *_: int) -> Any:
    try:
        return _package("pyarrow.parquet").read_metadata(path)
    except UnicodeDecodeError as error:  # of a column's name
        raise _package("pyarrow").ArrowInvalid(f"a column's name is no text: {error}") from error


@lru_cache(maxsize=1024)
def _group_of_file(path: str, modified: int, size: int, inode: int, number: int) -> _Group:
    with Path(path).open("rb") as file:
        return _group(file, _chunks_of_file(path, modified, size, inode)[number])


@lru_cache(maxsize=64)
def _chunks_of_file(path: str, *_: int) -> list[list[Chunk]]:
    with Path(path).open("rb") as file:
        return _chunks(file)


def _groups_of(content: bytes) -> Callable[[int], _Group]:
    """The look at the pages of a row group of a file in memory, by its number."""
    file = io.BytesIO(content)
    chunks = cache(partial(_chunks, file))
    return lambda number: _group(file, chunks()[number])


def _group(file: IO[bytes], chunks: list[Chunk]) -> _Group:
    """Look at the pages of a row group.

    :raises IndexError, KeyError, ValueError: when they are damaged.
    """
    start = min((chunk.start for chunk in chunks), default=0)
    stop = max((chunk.stop for chunk in chunks), default=0)
    if start < 0 or not 0 <= stop - start <= _GROUP_BYTES:
        raise ValueError("columns at no place")
    file.seek(start)
    content = file.read(stop - start)
    sizes: dict[str, int] = {}
    repeated: set[str] = set()
    for chunk in chunks:
        pages = _pages(content, chunk.start - start, chunk.stop - start)
        values = sum(page.values for page in pages if page.kind != _DICTIONARY_PAGE)
        width = _WIDTH_OF.get(chunk.kind, 8)
        sizes[chunk.name] = sizes.get(chunk.name, 0) + sum(page.size for page in pages) + width * values
        sizes[chunk.name] += sum(page.size * page.values for page in pages if page.encoding == _FRONT_CODED)
        dictionary = sum(page.size for page in pages if page.kind == _DICTIONARY_PAGE)
        if chunk.kind == _TEXTS and dictionary * values > REPEATED_BYTES:
            repeated.add(chunk.name)
    return _Group(sizes, stop - start, frozenset(repeated))


def _chunks(file: IO[bytes]) -> list[list[Chunk]]:
    """The columns of each row group, as the end of a file has them.

    :raises IndexError, KeyError, ValueError: when it is damaged.
    """
    end = file.seek(-8, io.SEEK_END)
    length = int.from_bytes(file.read(4), "little")
    file.seek(end - length)
    return _Thrift(file.read(length)).chunks()


def _pages(content: bytes, position: int, stop: int) -> list[_Page]:
    """The pages of a column.

    :raises IndexError, KeyError, ValueError: when a head is none, or goes beyond the content.
    """
    pages = []
    while position < stop:
        page = _Thrift(content[position : min(stop, position + _HEAD_BYTES)]).page()
        position += page.end + page.stored
        pages.append(page)
    if position != stop:
        raise ValueError("a page goes beyond its column")
    return pages


def _leaves(elements: Sequence[tuple[str, int | None, int]]) -> list[tuple[str, int]]:
    """Names and types of the columns of a schema, in which each element is followed by those in it.

    :raises IndexError, ValueError: when it is damaged.
    """
    leaves: list[tuple[str, int]] = []
    within: list[tuple[tuple[str, ...], int]] = [((), elements[0][2])]
    for name, kind, count in elements[1:]:
        while within[-1][1] == 0:
            within.pop()
        path, left = within[-1]
        within[-1] = path, left - 1
        if kind is not None and not count:
            leaves.append((".".join((*path, name)), kind))
        elif kind is not None or len(within) > _LEVELS or count < 0:
            raise ValueError("columns in columns that no file has")
        else:
            within.append(((*path, name), count))
    return leaves


class _Thrift:
    """A structure in Thrift's compact protocol: the head of a page, or the end of a file."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def page(self) -> _Page:
        numbers = {1: -1, 2: -1, 3: -1}
        values = encoding = 0
        for field, kind in self._fields():
            if field in numbers:
                numbers[field] = self._number(kind)
            elif field in _FACTS and kind == _STRUCT:
                inner = {}
                for name, inner_kind in self._fields():
                    if name in _FACTS[field]:
                        inner[name] = self._number(inner_kind)
                    else:
                        self._skip(inner_kind)
                values, encoding = (inner[name] for name in _FACTS[field])
            else:
                self._skip(kind)
        if min(*numbers.values(), values) < 0:
            raise ValueError("a size below 0")
        return _Page(numbers[1], numbers[2], numbers[3], values, encoding, self._at)

    def chunks(self) -> list[list[Chunk]]:
        """Of the end of a file, the columns of its row groups."""
        readers = {2: lambda kind: self._list(kind, self._element), 4: lambda kind: self._list(kind, self._row_group)}
        found = self._inner(readers)
        groups: list[list[Chunk]] = found.get(4, [])
        leaves = _leaves(found[2])
        if any([(chunk.name, chunk.kind) for chunk in group] != leaves for group in groups):
            raise ValueError("columns that are not those of its schema")  # by which they are read
        return groups

    def _element(self, kind: int) -> tuple[str, int | None, int]:
        """Of the schema: its name, the number of its type if it is a column, and how many are in it if it is none."""
        facts = self._inner({1: self._number, 4: self._text, 5: self._number}, kind)
        return facts[4], facts.get(1), facts.get(5, 0)

    def _row_group(self, kind: int) -> list[Chunk]:
        columns: list[Chunk] = self._inner({1: lambda kind: self._list(kind, self._column)}, kind)[1]
        return columns

    def _column(self, kind: int) -> Chunk:
        column: Chunk = self._inner({3: self._column_metadata}, kind)[3]
        return column

    def _column_metadata(self, kind: int) -> Chunk:
        number, names = self._number, lambda kind: self._list(kind, self._text)
        statistics = partial(self._inner, {3: number})
        facts = self._inner({1: number, 3: names, 5: number, 7: number, 9: number, 11: number, 12: statistics}, kind)
        data, dictionary = facts[9], facts.get(11, 0)
        # Some writers say 0 where there is none. Where a column begins whose dictionary comes later, readers differ.
        begin = data if data or facts[5] else dictionary + 1  # without values there is no page behind the dictionary
        if dictionary and not _FIRST_BYTE <= dictionary < begin:
            raise ValueError("a dictionary at no place")
        start = dictionary or data
        name = sys.intern(".".join(facts[3]))  # the same in thousands of row groups, which are kept
        return Chunk(name, facts[1], start, start + facts[7], facts.get(12, {}).get(3) == facts[5])

    def _inner(self, readers: Mapping[int, Callable[[int], Any]], kind: int = _STRUCT) -> dict[int, Any]:
        """What some fields of a structure hold, by their numbers."""
        if kind != _STRUCT:
            raise ValueError("no structure")
        found = {}
        for field, inner in self._fields():
            if field in readers:
                found[field] = readers[field](inner)
            else:
                self._skip(inner)
        return found

    def _list(self, kind: int, read: Callable[[int], Any]) -> list[Any]:
        """The elements of a list; each takes a byte or more."""
        if kind != _LIST:
            raise ValueError("no list")
        length, inner = self._list_head()
        return [read(inner) for _ in range(length)]

    def _list_head(self) -> tuple[int, int]:
        """Number and type of the elements of a list."""
        head = self._byte()
        length = head >> 4 if head >> 4 < _LONG_LIST else self._size()
        if length > len(self._content) - self._at:
            raise ValueError("a list that goes beyond the end")
        return length, head & 15

    def _fields(self) -> Iterator[tuple[int, int]]:
        """Numbers and types of the fields of a structure, each before what it holds, which has to be taken then."""
        field = 0
        while head := self._byte():
            last, field = field, field + (head >> 4) if head >> 4 else self._number(_I32)
            if field <= last:  # readers do not agree which of two counts
                raise ValueError("a field that comes again")
            yield field, head & 15

    def _byte(self) -> int:
        self._at += 1
        return self._content[self._at - 1]

    def _size(self) -> int:
        """A number without a sign."""
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > _BITS:
                raise ValueError("a number without an end")

    def _number(self, kind: int) -> int:
        if kind not in _NUMBERS:
            raise ValueError("no number")
        value = self._size()
        return (value >> 1) ^ -(value & 1)

    def _text(self, kind: int) -> str:
        if kind != _BINARY:
            raise ValueError("no text")
        length = self._size()
        self._at += length
        if self._at > len(self._content):
            raise ValueError("a text that goes beyond the end")
        return self._content[self._at - length : self._at].decode()

    def _skip(self, kind: int, level: int = 0) -> None:
        if kind in _NUMBERS:
            self._size()
        elif kind in _WIDTHS:
            self._at += _WIDTHS[kind]
        elif kind == _BINARY:
            length = self._size()
            self._at += length
        elif kind == _LIST and level < _LEVELS:
            length, inner = self._list_head()
            if inner in _BOOLEANS:
                self._at += length
            else:
                for _ in range(length):
                    self._skip(inner, level + 1)
        elif kind == _STRUCT and level < _LEVELS:
            for _, inner in self._fields():
                self._skip(inner, level + 1)
        else:
            raise ValueError("what no Parquet file has")
