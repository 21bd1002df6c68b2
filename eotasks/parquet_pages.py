"""Pages of a Parquet file, looked at before Arrow takes memory for them.

What the end of a file says of sizes may be wrong, and one value or number of some bytes may stand for a thousand
million: what counts is in the heads of pages, which are a few numbers each. They are Thrift structures in its compact
protocol, described in the specification of Parquet (``parquet.thrift``). So is the end of the file, whose columns are
read here too: where what is said of one is at odds, `pyarrow.parquet.RowGroupMetaData.column` ends the process.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from eotasks.errors import ImageryError
from eotasks.extras import OptionalPackages
from eotasks.limits import CATALOGUE_BYTES, Limit
from eotasks.parquet_heads import Chunk, Page, Thrift

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
    return Thrift(file.read(length)).chunks()


def _pages(content: bytes, position: int, stop: int) -> list[Page]:
    """The pages of a column.

    :raises IndexError, KeyError, ValueError: when a head is none, or goes beyond the content.
    """
    pages = []
    while position < stop:
        page = Thrift(content[position : min(stop, position + _HEAD_BYTES)]).page()
        position += page.end + page.stored
        pages.append(page)
    if position != stop:
        raise ValueError("a page goes beyond its column")
    return pages
