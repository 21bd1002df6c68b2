"""Tortilla and TACO files of version 1: many files in one, with a table of them at its end.

The header: two letters (``#y`` of a tortilla, ``WX`` of a TACO), then offset and length of the table as 8-byte little
endian numbers, counted from the header. The table is Parquet, with columns ``tortilla:id``, ``tortilla:file_format``
(GDAL's name, or TORTILLA for one inside), ``tortilla:offset`` and ``tortilla:length``. Offsets of a tortilla inside are
counted from where it begins.

Source: the reader of its authors, `tacofoundation/tacoreader` on GitHub, folder ``tacoreader/v1``.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eotasks.errors import MissingDependencyError, ReferenceDataError
from eotasks.extras import install_line
from eotasks.limits import CATALOGUE_BYTES, RECORD_BYTES
from eotasks.reading import open_regular
from eotasks.reference.cloud_labels.files import file_size, reading

_LETTERS = (b"#y", b"WX")
_ID, _FORMAT, _OFFSET, _LENGTH = "tortilla:id", "tortilla:file_format", "tortilla:offset", "tortilla:length"


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
        rows = _rows(table, columns, f"{file}")
    items = [
        Item(
            str(row[_ID]), str(row[_FORMAT]), start + int(row[_OFFSET]), int(row[_LENGTH]),
            {name: row[name] for name in columns if name in row},
        )
        for row in rows
    ]  # fmt: skip
    if any(item.offset < start or item.length < 0 or item.offset + item.length > end for item in items):
        raise ReferenceDataError(f"{file}: an item of its table lies outside of it. Download it again.")
    return items


def _rows(table: bytes, columns: tuple[str, ...], where: str) -> list[dict[str, Any]]:
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingDependencyError(f"TACO files need the package pyarrow: {install_line('labels')}") from error
    parquet = pq.ParquetFile(io.BytesIO(table))
    if parquet.metadata.num_rows > CATALOGUE_BYTES.value // 100:
        raise ReferenceDataError(f"{where}: its table has {parquet.metadata.num_rows:,} rows.")
    there = set(parquet.schema_arrow.names)
    needed = (_ID, _FORMAT, _OFFSET, _LENGTH)
    missing = [name for name in needed if name not in there]
    if missing:
        raise ReferenceDataError(f"{where}: its table has no column {', '.join(missing)}. Download it again.")
    wanted = [*needed, *(name for name in columns if name in there)]
    rows: list[dict[str, Any]] = parquet.read(columns=wanted).to_pylist()
    whole = all(isinstance(row[name], int) for row in rows for name in (_OFFSET, _LENGTH))
    if not whole:
        raise ReferenceDataError(f"{where}: offsets in its table are no whole numbers. Download it again.")
    return rows
