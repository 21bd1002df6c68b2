"""Tortilla and TACO files of version 1: many files in one, with a table of them at its end.

The header: two letters (``#y`` of a tortilla, ``WX`` of a TACO), then offset and length of the table as 8-byte little
endian numbers, counted from the header. The table is Parquet, with columns ``tortilla:id``, ``tortilla:file_format``
(GDAL's name, or TORTILLA for one inside), ``tortilla:offset`` and ``tortilla:length``. Offsets of a tortilla inside are
counted from where it begins.

Source: the reader of its authors, `tacofoundation/tacoreader` on GitHub, folder ``tacoreader/v1``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eotasks.errors import ImageryError, MissingDependencyError, ReferenceDataError, reason_of
from eotasks.extras import install_line
from eotasks.limits import CATALOGUE_BYTES, MEGABYTE, RECORD_BYTES, Limit
from eotasks.parquet_pages import bytes_of_columns
from eotasks.reading import open_regular
from eotasks.reference.cloud_labels.files import file_size, reading

_LETTERS = (b"#y", b"WX")
_NEEDED = ("tortilla:id", "tortilla:file_format", "tortilla:offset", "tortilla:length")
_ID, _FORMAT, _OFFSET, _LENGTH = _NEEDED

_KINDS = ("INT32", "INT64", "BYTE_ARRAY", "BOOLEAN", "FLOAT", "DOUBLE")
_LONGEST_TEXT = 1_000
_ROW_BYTES = 600
"""What a row takes in memory, beside its texts."""

_PAGE_BYTES = MEGABYTE
"""Of a table, beside its values."""

_AT_ONCE = 1 << 10


@dataclass(frozen=True)
class Item:
    """A file inside."""

    identifier: str
    kind: str
    """GDAL's name of its format, or TORTILLA."""

    offset: int
    """From the beginning of the file on disk."""

    length: int
    facts: dict[str, Any]
    """Those of the columns that were asked for which the table has."""

    def gdal_path(self, file: Path) -> str:
        """How GDAL names it."""
        return f"/vsisubfile/{self.offset}_{self.length},{file}"


def items_of(file: Path, columns: tuple[str, ...] = (), *, inside: Item | None = None) -> list[Item]:
    """The table of a file, or of a tortilla inside it.

    :param columns: Others that are wanted, where they are there.
    :raises ReferenceDataError: it is none, damaged, or an item lies outside.
    :raises MissingDependencyError: pyarrow is not installed.
    """
    start = 0 if inside is None else inside.offset
    end = file_size(file) if inside is None else inside.offset + inside.length
    limit = CATALOGUE_BYTES if inside is None else RECORD_BYTES
    with reading(file), open_regular(file) as stream:
        stream.seek(start)
        header = stream.read(18)
        if header[:2] not in _LETTERS or len(header) < 18:
            raise ValueError("it does not begin as a TACO of version 1 does")
        at, length = (int.from_bytes(header[first : first + 8], "little") for first in (2, 10))
        if length > limit.value:
            raise ValueError(limit.excess(length))
        if start + at + length > end:
            raise ValueError("its table lies outside of it")
        stream.seek(start + at)
        table = stream.read(length)
    with reading(file):
        items = [
            Item(
                str(row[_ID]), str(row[_FORMAT]), start + int(row[_OFFSET]), int(row[_LENGTH]),
                {name: row[name] for name in columns if name in row},
            )
            for row in _rows(table, columns, f"{file}", limit)
        ]  # fmt: skip
    if any(item.offset < start or item.length < 0 or item.offset + item.length > end for item in items):
        raise ReferenceDataError(f"{file}: an item of its table lies outside of it. Download it again.")
    return items


def _rows(table: bytes, columns: tuple[str, ...], where: str, limit: Limit) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingDependencyError(f"TACO files need the package pyarrow: {install_line('labels')}") from error
    try:
        with pa.BufferReader(table) as source:
            layout = pq.ParquetFile(source)
            _check_names(set(layout.schema.names), where)
            if not layout.metadata.num_rows:  # whose columns have no types
                return
            wanted, texts = _columns(layout, columns, where)
            _check_sizes(table, layout.metadata, wanted, where, limit)
            # A text that is stored once and named by every row stays one, until its length was looked at.
            parquet = pq.ParquetFile(source, metadata=layout.metadata, read_dictionary=texts)
            for batch in parquet.iter_batches(batch_size=_AT_ONCE, columns=wanted):
                yield from _checked(batch, where)
    except (ImageryError, MemoryError, pa.ArrowException) as error:
        raise ReferenceDataError(
            f"{where}: its table cannot be read ({reason_of(error)}): download it again."
        ) from error


def _check_names(names: set[str], where: str) -> None:
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        raise ReferenceDataError(f"{where}: its table has no column {', '.join(missing)}. Download it again.")


def _columns(layout: Any, columns: tuple[str, ...], where: str) -> tuple[list[str], list[str]]:
    """Those that are wanted, and which of them are texts: plain ones alone, no lists or records."""
    leaves = {leaf.path: leaf for leaf in map(layout.schema.column, range(len(layout.schema)))}
    for path in leaves:
        name, dot, _ = path.partition(".")
        if dot and name in (*_NEEDED, *columns):
            raise ReferenceDataError(f"{where}: column {name} of its table is no plain one. Download it again.")
    wanted = [*_NEEDED, *(name for name in columns if name in leaves)]
    for name in wanted:
        leaf = leaves[name]
        kinds = _KINDS[:2] if name in (_OFFSET, _LENGTH) else ("BYTE_ARRAY",) if name in _NEEDED else _KINDS
        if leaf.physical_type not in kinds or leaf.max_repetition_level or leaf.max_definition_level > 1:
            raise ReferenceDataError(
                f"{where}: column {name} of its table is of type {leaf.physical_type}; {' or '.join(kinds)} is due."
                " Download it again."
            )
    return wanted, [name for name in wanted if leaves[name].physical_type == "BYTE_ARRAY"]


def _check_sizes(table: bytes, metadata: Any, wanted: list[str], where: str, limit: Limit) -> None:
    """Refuse a table that unpacks to more than rows of texts that are read take."""
    if metadata.num_rows * _ROW_BYTES > limit.value:
        raise ReferenceDataError(f"{where}: its table: {limit.excess(metadata.num_rows * _ROW_BYTES)}.")
    most = min(limit.value, metadata.num_rows * len(wanted) * (_LONGEST_TEXT + 8) + _PAGE_BYTES)
    size = bytes_of_columns(table, wanted, where, groups=metadata.num_row_groups)
    if size > most:
        raise ReferenceDataError(
            f"{where}: its table of {metadata.num_rows:,} rows unpacks to {size:,} bytes, more than {most:,} are due."
            " Download it again."
        )


def _checked(batch: Any, where: str) -> list[dict[str, Any]]:
    """Rows, once no text of them is too long."""
    import pyarrow.compute as pc

    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        stored = getattr(column, "dictionary", None)
        longest = 0 if stored is None or not len(stored) else pc.max(pc.binary_length(stored)).as_py() or 0
        if longest > _LONGEST_TEXT:
            raise ReferenceDataError(
                f"{where}: a text in column {name} of its table has {longest:,} bytes, more than {_LONGEST_TEXT:,}."
                " Download it again."
            )
    rows: list[dict[str, Any]] = batch.to_pylist()
    whole = all(isinstance(row[name], int) for row in rows for name in (_OFFSET, _LENGTH))
    if not whole:
        raise ReferenceDataError(f"{where}: offsets in its table are no whole numbers. Download it again.")
    return rows
