"""TACO files that are damaged, something else, or whose tables unpack to more than they say."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eotasks.errors import ImageryError
from eotasks.limits import CATALOGUE_BYTES
from eotasks.parquet_pages import bytes_of_columns
from tests.builders.clouds.label_sets import tortilla, write_cloudsen12_plus
from tests.builders.clouds.refusals import refused


def header(at: int, length: int) -> bytes:
    return b"WX" + at.to_bytes(8, "little") + length.to_bytes(8, "little")


TACO: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "no taco": (lambda _: b"PK\x03\x04" * 10, "does not begin"),
    "too short": (lambda whole: whole[:10], "does not begin"),
    "a table outside": (lambda whole: header(len(whole), 100) + whole[18:], "lies outside"),
    "a table without end": (lambda whole: header(200, 2**63) + whole[18:], "EOTASKS_MAX"),
    "no table": (lambda whole: header(18, 50) + whole[18:], "cannot be read"),
    "another table": (lambda _: tortilla([]).replace(b"tortilla:length", b"tortilla:extent"), "no column"),
    "no patch": (lambda _: tortilla([("a", "GTiff", b"x")]), "no patch in its files"),
    "an empty patch": (lambda _: tortilla([("a", "TORTILLA", tortilla([]))]), "nothing in it where"),
    "other formats": (
        lambda _: tortilla([("a", "TORTILLA", tortilla([("x", "VRT", b"<V/>"), ("y", "GTiff", b"II")]))]),
        "VRT, GTiff in it where",
    ),
    "no images": (
        lambda _: tortilla([("a", "TORTILLA", tortilla([("x", "GTiff", b"<VRTDataset/>"), ("y", "GTiff", b"II")]))]),
        "no GeoTIFF",
    ),
    "one patch twice": (lambda _: tortilla([("a", "TORTILLA", tortilla([]))] * 2), "in it twice"),
    "an item outside": (
        lambda _: tortilla(
            [("a", "TORTILLA", tortilla([("x", "GTiff", b"")], {"tortilla:offset": [10**9], "tortilla:length": [5]}))]
        ),
        "an item of its table lies outside",
    ),
}


def table(rows: int, encodings: dict[str, str] | None = None, **columns: Any) -> bytes:
    """A TACO of a table alone, each of whose texts is stored once."""
    content = {
        "tortilla:id": list(map(str, range(rows))), "tortilla:file_format": ["TORTILLA"] * rows,
        "tortilla:offset": [18] * rows, "tortilla:length": [0] * rows, **columns,
    }  # fmt: skip
    written = io.BytesIO()
    options: dict[str, Any] = {"use_dictionary": False, "column_encoding": encodings} if encodings else {}
    pq.write_table(pa.table(content), written, compression="zstd", **options)
    return header(18, len(written.getvalue())) + written.getvalue()


TABLES: dict[str, tuple[Callable[[], bytes], str]] = {
    "a long text that every row has": (lambda: table(600, label_type=["x" * 1_001] * 600), "a text in column label_"),
    "one that unpacks to more": (lambda: table(9, roi_id=["x" * 2_000_000] * 9), "9 rows unpacks to 2,000,"),
    "repeating without end": (
        lambda: table(9, {"s2_id": "DELTA_BYTE_ARRAY"}, s2_id=["x" * 900] * 9), "cannot be read",
    ),
    "millions of rows": (lambda: table(9), "5,400, more than 5,399"),
    "lists": (lambda: table(9, roi_id=[["a"]] * 9), "column roi_id of its table is no plain one"),
    "texts of numbers": (lambda: table(9, **{"tortilla:id": list(range(9))}), "is of type INT64; BYTE_ARRAY is due"),
    "offsets of texts": (lambda: table(9, **{"tortilla:offset": ["1"] * 9}), "BYTE_ARRAY; INT32 or INT64 is due"),
    "offsets that are missing": (lambda: table(9, **{"tortilla:offset": [1] * 8 + [None]}), "no whole numbers"),
}  # fmt: skip


@pytest.mark.parametrize("fault", TABLES)
def test_tables_of_taco_files(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, words = TABLES[fault]
    (tmp_path / "cloudsen12-l1c.0000.part.taco").write_bytes(write())
    if fault == "millions of rows":
        monkeypatch.setenv(CATALOGUE_BYTES.variable, "5399")
    refused("cloudsen12-plus", tmp_path, words)


def lying(content: bytes) -> bytes:
    """The same with a footer that says of the last column that it unpacks to 5,000 bytes."""
    at = int.from_bytes(content[10:18], "little")
    size = int.from_bytes(content[-8:-4], "little")
    group = pq.ParquetFile(io.BytesIO(content[18:])).metadata.row_group(0)
    said = group.column(group.num_columns - 1).total_uncompressed_size
    assert at == len(content) - 18
    footer = content[-8 - size : -8]
    true, false = zigzag(said), zigzag(5_000)
    false = bytes([*(each | 128 for each in false), *[128] * (len(true) - len(false) - 1), 0])
    assert footer.count(true) == 1
    return content[: -8 - size] + footer.replace(true, false) + content[-8:]


def zigzag(value: int) -> bytes:
    """A number as Thrift writes it."""
    value, parts = 2 * value, []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


@pytest.mark.parametrize("dictionary", [True, False])
def test_pages_are_believed_less_than_the_footer(dictionary: bool, tmp_path: Path) -> None:
    plain = None if dictionary else {"s2_id": "PLAIN"}
    content = lying(table(9, plain, s2_id=["x" * 3_000_000] * 9))
    (tmp_path / "cloudsen12-l1c.0000.part.taco").write_bytes(content)
    refused("cloudsen12-plus", tmp_path, rf"9 rows unpacks to {3 if dictionary else 27},000,")


def test_a_table_whose_end_is_at_odds_with_itself(tmp_path: Path) -> None:
    """Arrow ends the process when it is asked for what such a file says of a column; it refuses to read it."""
    content = table(9)
    two, one = b"\x26\x00\x12", b"\x16\x80\x00"  # numbers of values by their levels: 0 and 9; 0 alone, as long
    has_numbers = int(pa.__version__.partition(".")[0]) >= 20  # versions before write none, and look at none
    assert (two in content[-2000:]) == has_numbers
    (tmp_path / "cloudsen12-l1c.0000.part.taco").write_bytes(content[:-2000] + content[-2000:].replace(two, one))
    # Else the table is as it was, and its first item is looked at, which is none.
    refused("cloudsen12-plus", tmp_path, "histogram size mismatch" if has_numbers else "does not begin")


def test_columns_by_the_names_of_others() -> None:
    """Arrow reads a column by its place in the schema, whatever the head of its pages calls it."""
    stream = io.BytesIO()
    long, short = pa.array([f"{number}{'x' * 5_000}" for number in range(100)]), pa.array(["y"] * 100)
    pq.write_table(pa.table({"aaaa": long, "bbbb": short}), stream, compression="snappy", store_schema=False)
    content = stream.getvalue()
    assert bytes_of_columns(content, ["aaaa"], "It", groups=1) > 500_000
    start = content.rindex(b"aaaa")
    swapped = content[:start] + content[start:].replace(b"aaaa", b"cccc").replace(b"bbbb", b"aaaa")
    swapped = swapped.replace(b"cccc", b"bbbb")
    assert len(pq.ParquetFile(io.BytesIO(swapped)).read(["aaaa"]).column(0)[0].as_py()) == 5_001
    with pytest.raises(ImageryError, match="its pages are damaged"):
        bytes_of_columns(swapped, ["aaaa"], "It", groups=1)


def test_headers_of_pages_that_are_damaged(tmp_path: Path) -> None:
    content = bytearray(table(9))
    at = pq.ParquetFile(io.BytesIO(content[18:])).metadata.row_group(0).column(0).dictionary_page_offset + 18
    for damage in (b"\x1d", b"\x00", b"\x15" + b"\xff" * 12, b"\x1c" * 9, b"\x18\xff\xff\x7f"):
        spoiled = content[:at] + damage + content[at + len(damage) :]
        (tmp_path / "cloudsen12-l1c.0000.part.taco").write_bytes(spoiled)
        refused("cloudsen12-plus", tmp_path, "page")


def test_a_table_without_memory_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise pa.ArrowMemoryError("realloc failed")

    write_cloudsen12_plus(tmp_path)
    monkeypatch.setattr(pq, "ParquetFile", fails)
    refused("cloudsen12-plus", tmp_path, "its table cannot be read .*realloc failed")


@pytest.mark.parametrize("fault", TACO)
def test_taco_files(fault: str, tmp_path: Path) -> None:
    spoil, words = TACO[fault]
    file = write_cloudsen12_plus(tmp_path)
    file.write_bytes(spoil(file.read_bytes()))
    refused("cloudsen12-plus", tmp_path, words)
