"""Catalogues of some kB whose rows would take gigabytes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from eotasks.catalogue import places
from eotasks.catalogue.places import check_places
from eotasks.catalogue.store import Catalogue
from eotasks.errors import ImageryError
from eotasks.parquet_pages import _chunks, columns_by_dictionary, repeated_bytes
from tests.builders.stac_items import make_item
from tests.hostile.bounds.measured import measured

ROWS = 4000
LONG = "x" * 10**6


def once(value: object, kind: pa.DataType) -> pa.DictionaryArray:
    """(ROWS,) one value, stored once."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(ROWS, np.int32)), pa.array([value], kind))


def with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, values)


def in_assets(table: pa.Table, values: pa.Array) -> pa.Table:
    assets = table.column("assets").combine_chunks()
    names = [field.name for field in assets.type]
    first = assets.field(0)
    fields = [values, *(first.field(index) for index in range(1, first.type.num_fields))]
    changed = pa.StructArray.from_arrays(fields, names=[field.name for field in first.type])
    others = [assets.field(index) for index in range(1, len(names))]
    return with_column(table, "assets", pa.StructArray.from_arrays([changed, *others], names=names))


def circle(corners: int) -> bytes:
    angles = np.linspace(0, 6.28, corners)
    wkb: bytes = shapely.to_wkb(shapely.Polygon(np.column_stack([12 + np.cos(angles) / 9, 50 + np.sin(angles) / 9])))
    return wkb


WRITTEN: dict[str, tuple[Callable[[pa.Table], pa.Table], dict[str, Any]]] = {
    "text": (lambda table: with_column(table, "s2:product_uri", once(LONG, pa.string())), {}),
    "nested": (lambda table: in_assets(table, once(LONG, pa.string())), {}),
    "places": (lambda table: with_column(table, "geometry", once(circle(50_000), pa.binary())), {}),
    "plain": (
        lambda table: with_column(table[:300], "s2:product_uri", pa.array([LONG] * 300)),
        {"use_dictionary": False},
    ),
    "front": (
        lambda table: with_column(table[:300], "s2:product_uri", pa.array([f"{LONG}{row}" for row in range(300)])),
        {"use_dictionary": False, "column_encoding": {"s2:product_uri": "DELTA_BYTE_ARRAY"}},
    ),
    "list": (
        lambda table: table[:100].append_column("many", pa.array([np.zeros(500_000, np.int64)] * 100)),
        {},
    ),
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    path = tmp_path_factory.mktemp("rows") / "a.parquet"
    Catalogue(path).add([make_item("a")])
    return pq.read_table(path).take(pa.array(np.zeros(ROWS, np.int64)))


@pytest.mark.slow
def test_they_take_little_memory(tmp_path: Path, rows: pa.Table) -> None:
    for name, (change, options) in WRITTEN.items():
        pq.write_table(change(rows), tmp_path / f"{name}.parquet", compression="zstd", **options)
        assert (tmp_path / f"{name}.parquet").stat().st_size < 3_000_000
    pq.write_table(rows[:10], tmp_path / "honest.parquet")
    setup = f"from eotasks.catalogue import Catalogue\nCatalogue({str(tmp_path / 'honest.parquet')!r}).search()"
    costs = measured(setup, {name: f"Catalogue({str(tmp_path / name)!r} + '.parquet').search()" for name in WRITTEN})
    assert costs.keys() == WRITTEN.keys()
    for name, cost in costs.items():
        assert cost.outcome.startswith("ImageryError: "), (name, cost)
        assert cost.megabytes < 300, (name, cost)


@pytest.mark.parametrize(
    "options",
    [
        {"version": "1.0", "compression": "snappy"},
        {"data_page_version": "2.0", "compression": "gzip", "write_page_index": True},
        {"use_dictionary": False, "compression": "none"},
        {"dictionary_pagesize_limit": 5000, "data_page_size": 1000, "compression": "zstd"},
    ],
    ids=["old", "second pages", "plain", "dictionary that grows too large"],
)
def test_pages_of_honest_files_are_read(tmp_path: Path, rows: pa.Table, options: dict[str, Any]) -> None:
    path = tmp_path / "a.parquet"
    names = pa.array([f"item {number} {'of a long name' * 20}" for number in range(600)])
    table = with_column(rows[:600], "id", names)
    pq.write_table(table, path, row_group_size=250, **options)
    by_dictionary = columns_by_dictionary(str(path), "a", groups=range(3))
    assert ("id" in by_dictionary) == options.get("use_dictionary", True)
    found = pq.read_table(path, read_dictionary=sorted(by_dictionary - {"geometry"}))
    assert found.column("id").to_pylist() == names.to_pylist()
    size = repeated_bytes(found, by_dictionary - {"geometry"})
    assert size >= sum(map(len, names.to_pylist())) * ("id" in by_dictionary)
    items = Catalogue(path).search(limit=400)
    assert [item.id for item in items] == sorted(names.to_pylist())[:400]


def test_a_place_that_is_repeated_is_named_by_its_first_row(tmp_path: Path, rows: pa.Table) -> None:
    indices = np.zeros(ROWS, np.int32)
    indices[100:] = 1
    good, bad = circle(10_000), circle(10_000)[:-1]
    places = pa.DictionaryArray.from_arrays(pa.array(indices), pa.array([good, bad], pa.binary()))
    pq.write_table(with_column(rows, "geometry", places), tmp_path / "a.parquet", store_schema=False)
    with pytest.raises(ImageryError, match=r"row 100: its place is no polygon"):
        check_places(str(tmp_path / "a.parquet"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, rows: pa.Table) -> Path:
    path = tmp_path_factory.mktemp("written") / "a.parquet"
    pq.write_table(rows[:50], path)
    return path


@pytest.mark.parametrize("kind", range(8))
def test_columns_that_are_at_odds_with_their_sizes_end_no_process(kind: int, written: Path, tmp_path: Path) -> None:
    """Sizes of texts for columns that are said to be numbers: pyarrow's objects of such columns end the process."""
    content = written.read_bytes()
    texts = content.count(b"\x15\x0c\x19")  # the first field of a column, its type: 6, a text; a list comes next
    assert texts > 5
    (tmp_path / "a.parquet").write_bytes(content.replace(b"\x15\x0c\x19", bytes([0x15, 2 * kind, 0x19])))
    catalogue = Catalogue(tmp_path / "a.parquet")
    for act in (catalogue.search, lambda: catalogue.add([make_item("b")])):
        with suppress(ImageryError):
            act()


@given(data=st.data())
def test_damaged_ends_are_refused_or_read(data: st.DataObject, written: Path) -> None:
    content = bytearray(written.read_bytes())
    length = int.from_bytes(content[-8:-4], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        content[-8 - data.draw(st.integers(1, length))] = data.draw(st.integers(0, 255))
    with suppress(ImageryError):
        columns_by_dictionary(bytes(content), "a", groups=[0])


def test_columns_are_where_arrow_finds_them(written: Path) -> None:
    metadata = pq.read_metadata(written)
    with written.open("rb") as file:
        (chunks,) = _chunks(file)
    assert len(chunks) == metadata.num_columns
    for index, chunk in enumerate(chunks):
        column = metadata.row_group(0).column(index)
        start = column.dictionary_page_offset or column.data_page_offset
        assert (chunk.name, chunk.start, chunk.stop) == (
            column.path_in_schema,
            start,
            start + column.total_compressed_size,
        )
        assert chunk.is_empty == (column.statistics is not None and column.statistics.null_count == column.num_values)
    assert {True, False} == {chunk.is_empty for chunk in chunks}


@pytest.mark.parametrize(
    "hostile",
    [
        "494c 1c1c 15",  # row groups, columns, and their end
        "494c 191c 01",
        "49fc ffffffff0f",  # as many row groups as fit into 32 bits
        "49fc ffffffffffffffffff01",
        "494c 15",
        "04",
        "1904 0a",
        "49",
        "",
        "5c" * 40,  # structures in structures
        "59" * 40,
    ],
)
def test_ends_that_are_none(hostile: str) -> None:
    content = bytes.fromhex(hostile.replace(" ", ""))
    whole = b"PAR1" + content + len(content).to_bytes(4, "little") + b"PAR1"
    with pytest.raises(ImageryError, match="its pages are damaged"):
        columns_by_dictionary(whole, "a", groups=[0])


@given(data=st.data())
def test_damaged_heads_are_refused_or_read(data: st.DataObject, written: Path) -> None:
    content = bytearray(written.read_bytes())
    metadata = pq.read_metadata(written)
    column = metadata.row_group(0).column(data.draw(st.integers(0, metadata.num_columns - 1)))
    start = column.dictionary_page_offset or column.data_page_offset
    for _ in range(data.draw(st.integers(1, 4))):
        content[start + data.draw(st.integers(0, 60))] = data.draw(st.integers(0, 255))
    with suppress(ImageryError):
        columns_by_dictionary(bytes(content), "a", groups=[0])


def test_rows_without_their_places_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of columns stand twice in a file, and in a damaged one they differ."""
    path = tmp_path / "a.parquet"
    Catalogue(path).add([make_item("a")])
    monkeypatch.setattr(places, "columns_of_places", lambda _: ["id"])
    places._check_file.cache_clear()
    with pytest.raises(ImageryError, match="not one column geometry"):
        places._check_file(str(path))


def test_a_column_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    Catalogue(path).add([make_item("a")])
    path.write_bytes(path.read_bytes().replace(b"geometry", b"\x80eometry"))
    with pytest.raises(ImageryError, match="cannot be read as a catalogue"):
        Catalogue(path).search()
