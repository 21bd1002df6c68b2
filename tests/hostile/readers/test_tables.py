"""Fields and lakes of others, and what statistics of them leave: nothing of it reaches native code unseen."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pytest
import shapely
from pyarrow import parquet

from eotasks import parquet_pages
from eotasks.errors import AreaError, ConfigurationError, EOTasksError, GridError, StorageError
from eotasks.geometry.wkb import check_wkb
from eotasks.imagery.grid import Grid
from eotasks.limits import VECTOR_BYTES
from eotasks.models.zonal import PolygonPixels, frame_statistics
from eotasks.service.auth.clients import Clients, add_client, read_clients, signing_key
from eotasks.storage.folder import FolderStore
from eotasks.storage.place import Place
from eotasks.water import read_outlines
from eotasks.workflows.report.cells import cell_text, with_plain_cells
from eotasks.workflows.zonal_stats.parts import pieces_path, read_tables, table_path, write_tables
from eotasks.workflows.zonal_stats.pieces import open_pieces
from eotasks.zonal.polygons import read_polygons
from eotasks.zonal.table import POLYGON, rows_without_numbers
from eotasks.zonal.vocabulary import Status

READERS: dict[str, Callable[[Path], Any]] = {"fields": read_polygons, "lakes": read_outlines}
NESTED = b"\x01\x07\0\0\0\x01\0\0\0" * 100_000
SHAPES = [shapely.box(12, 52, 13, 53), shapely.box(14, 52, 15, 53)]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """GeoParquet as geopandas writes it."""
    path = tmp_path_factory.mktemp("shapes") / "shapes.parquet"
    gpd.GeoDataFrame({"id": [1, 2], "name": ["a", "b"]}, geometry=SHAPES, crs=4326).to_parquet(path)
    return parquet.read_table(path)


def with_place(table: pa.Table, place: bytes) -> pa.Table:
    column = pa.array([shapely.to_wkb(SHAPES[0]), place], pa.binary())
    changed = table.set_column(table.schema.get_field_index("geometry"), "geometry", column)
    return changed.replace_schema_metadata(table.schema.metadata)


def with_facts(table: pa.Table, **changes: Any) -> pa.Table:
    geo = json.loads(table.schema.metadata[b"geo"])
    geo["columns"]["geometry"] |= changes
    return table.replace_schema_metadata({**table.schema.metadata, b"geo": json.dumps(geo).encode()})


PLACES: dict[str, tuple[bytes, str]] = {
    "nested without end": (NESTED, "row 1: .* in one another"),
    "nested with an end": (b"\x01\x07\0\0\0\x01\0\0\0" * 20 + shapely.to_wkb(SHAPES[0]), "in one another"),
    "promised corners": (b"\x01\x03\0\0\0\x01\0\0\0\xff\xff\xff\xff", "cut off"),
    "promised rings": (b"\x01\x03\0\0\0\xff\xff\xff\xff", "cut off"),
    "no byte order": (b"\x07" + shapely.to_wkb(SHAPES[0])[1:], "no WKB"),
    "a curve": (b"\x01\x0a\0\0\0\0\0\0\0", "of type 10"),
    "more behind it": (shapely.to_wkb(SHAPES[0]) + b"x", "1 bytes too many"),
    "nothing": (b"", "no WKB"),
    "a point among polygons": (b"\x01\x06\0\0\0\x01\0\0\0" + shapely.to_wkb(shapely.Point(1, 2)), "of type 1"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", PLACES)
def test_places_are_looked_at_before_geos_has_them(table: pa.Table, tmp_path: Path, kind: str, reader: str) -> None:
    """A place that nests deep ended the process (H3), of fields and of lakes as of catalogues."""
    place, words = PLACES[kind]
    path = tmp_path / "shapes.parquet"
    parquet.write_table(with_place(table, place), path)
    with pytest.raises(AreaError, match=words):
        READERS[reader](path)


FACTS: dict[str, dict[str, Any]] = {
    "a file as coordinate system": {"crs": "+init=file:///etc/passwd:1"},
    "an address as one": {"crs": "http://127.0.0.1:9/x"},
    "another encoding": {"encoding": "polygon"},
    "a list as one": {"encoding": ["WKB"]},
    "a system that is none": {"crs": {"type": "GeographicCRS", "name": 1}},
    "a number as one": {"crs": 4326},
    "a file in an object": {"crs": {"init": "/tmp/grid:77"}},
    "a grid in one": {"crs": {"proj": "longlat", "geoidgrids": "/tmp/grid"}},
}


@pytest.mark.parametrize("kind", FACTS)
def test_what_a_file_says_of_itself_is_looked_at(table: pa.Table, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "shapes.parquet"
    parquet.write_table(with_facts(table, **FACTS[kind]), path)
    for read in READERS.values():
        with pytest.raises(AreaError, match="GeoParquet"):
            read(path)


def test_descriptions_for_pandas_have_no_say(table: pa.Table, tmp_path: Path) -> None:
    """They raised whatever pandas stumbled over."""
    path = tmp_path / "shapes.parquet"
    for content in (b"{}", b"[" * 100_000, b'{"index_columns": [{"kind": "range", "start": 1}]}'):
        parquet.write_table(table.replace_schema_metadata({**table.schema.metadata, b"pandas": content}), path)
        assert len(read_polygons(path)) == len(read_outlines(path)) == 2


def test_what_unpacks_to_more_than_it_may_is_refused(
    table: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shapes.parquet"
    parquet.write_table(table.append_column("notes", pa.array(["x" * 3_000_000] * 2)), path, compression="zstd")
    monkeypatch.setenv(VECTOR_BYTES.variable, "100000")
    assert path.stat().st_size < 100_000
    for read in READERS.values():
        with pytest.raises(AreaError, match=VECTOR_BYTES.variable):
            read(path)


def test_groups_that_are_read_together_count_together(
    table: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shapes.parquet"
    whole = pa.concat_tables([table.append_column("notes", pa.array(["x" * 30_000] * 2))] * 10)
    whole = whole.set_column(whole.column_names.index("id"), "id", pa.array(range(whole.num_rows)))
    parquet.write_table(whole, path, compression="zstd", row_group_size=2)
    for read in READERS.values():
        assert read(path) is not None
    monkeypatch.setenv(VECTOR_BYTES.variable, "200000")  # more than each has
    for read in READERS.values():
        with pytest.raises(AreaError, match=VECTOR_BYTES.variable):
            read(path)


def test_columns_of_lists_are_left_out_and_missing_places_stay(table: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "shapes.parquet"
    parquet.write_table(with_place(table, None).append_column("lists", pa.array([[1], [2]])), path)  # type: ignore[arg-type]
    with pytest.warns(Warning, match="without an area"):
        found = read_polygons(path, id_column="name")
    assert found.states == (Status.OK, Status.EMPTY)
    with pytest.raises(ConfigurationError, match="no column 'lists'"):
        read_polygons(path, id_column="lists")


@pytest.mark.parametrize(
    "shape",
    [
        shapely.Point(1, 2), shapely.Point(1, 2, 3), shapely.LineString([(0, 0), (1, 1)]), SHAPES[0],
        shapely.MultiPolygon(SHAPES), shapely.GeometryCollection([SHAPES[0], shapely.MultiPoint([(1, 2), (3, 4)])]),
    ],
    ids=lambda shape: shape.geom_type,
)  # fmt: skip
@pytest.mark.parametrize("flavor", ["iso", "extended"])
@pytest.mark.parametrize("order", [0, 1])
def test_sound_geometries_pass(shape: Any, flavor: Any, order: int) -> None:
    check_wkb(shapely.to_wkb(shape, flavor=flavor, byte_order=order))
    check_wkb(shapely.to_wkb(shapely.set_srid(shape, 4326), include_srid=True))


GRID = Grid("EPSG:32633", 300_000, 5_800_000, 10, 4, 5)
TIMES = np.array([dt.datetime(2020, 5, 1)], "datetime64[us]")  # noqa: DTZ001 - naive UTC


def arrays(**changes: Any) -> dict[str, Any]:
    """Pixels of two fields at a date, as a worker writes them."""
    grid = {
        "crs": GRID.crs, "left": GRID.left, "top": GRID.top, "resolution": 10.0, "height": 4, "width": 5,
        "pixel_height": None,
    }  # fmt: skip
    return {
        "grid": np.array(json.dumps(grid | changes.pop("grid", {}))), "polygons": np.array([0, 3]),
        "starts": np.array([0, 2, 3]), "pixels": np.array([0, 1, 19]), "weights": np.array([1.0, 0.5, 0.25]),
        "times": TIMES, "values_0": np.zeros((3, 1)), "states_0": np.zeros(3, np.uint8), **changes,
    }  # fmt: skip


def read_pieces(folder: Path, content: dict[str, Any]) -> Any:
    stream = io.BytesIO()
    np.savez(stream, **content)
    place = Place(folder)
    place.write_bytes(pieces_path("image"), stream.getvalue())
    with open_pieces(place, "image", 1, GRID) as found:
        assert found is not None
        return found.pieces([0])


PIECES: dict[str, dict[str, Any]] = {
    "states beyond all": {"states_0": np.full(3, 200, np.uint8)},
    "signed states": {"states_0": np.full(3, -1, np.int8)},
    "pixels beyond the grid": {"pixels": np.array([0, 1, 20])},
    "pixels before it": {"pixels": np.array([-1, 1, 19])},
    "fields that end beyond": {"starts": np.array([0, 2, 2**40])},
    "fields that end before they begin": {"starts": np.array([0, 4, 3])},
    "another number of fields": {"starts": np.array([0, 3])},
    "fields out of order": {"polygons": np.array([3, 0])},
    "parts that are no parts": {"weights": np.array([1.0, np.nan, 0.25])},
    "huge parts": {"weights": np.array([1.0, 1e300, 0.25])},
    "other types": {"pixels": np.array([0.0, 1.0, 19.0])},
    "other values": {"values_0": np.zeros((3, 2))},
    "texts": {"values_0": np.array([["a"]] * 3)},
    "times of no calendar": {"times": np.array([2**62], "M8[us]")},
    "another grid": {"grid": {"height": 40}},
    "a grid in a system that is a file": {"grid": {"crs": "/etc/passwd"}},
    "a grid of texts": {"grid": {"left": "0"}},
    "a grid of more": {"grid": {"shape": 1}},
    "no grid": {"grid": {"crs": None}},
}


@pytest.mark.parametrize("kind", PIECES)
def test_pixels_of_fields_are_looked_at_before_kernels_have_them(tmp_path: Path, kind: str) -> None:
    """States of 200 wrote beyond the memory of the result, and ended the process ("corrupted size vs. prev_size")."""
    with pytest.raises(StorageError, match=r"image\.npz is damaged"):
        read_pieces(tmp_path, arrays(**PIECES[kind]))


def test_sound_pixels_of_fields_are_read(tmp_path: Path) -> None:
    found = read_pieces(tmp_path, arrays())
    assert (found.grid, found.times) == (GRID, (dt.datetime(2020, 5, 1),))  # noqa: DTZ001
    assert found.values.shape == (1, 3, 1)


def test_kernels_refuse_states_that_no_pixel_has() -> None:
    pixels = PolygonPixels(np.array([0, 2]), np.array([0, 1]), np.array([1.0, 1.0]))
    with pytest.raises(GridError, match="state 200"):
        frame_statistics(np.zeros((2, 1)), np.full(2, 200, np.uint8), pixels)


@pytest.fixture
def part(tmp_path: Path) -> tuple[Path, Any]:
    empty = rows_without_numbers(np.arange(0), [], ["NDVI"], (), key=POLYGON)
    rows = rows_without_numbers(np.arange(2), [Status.OK, Status.EMPTY], ["NDVI"], (), key=POLYGON)
    write_tables(Place(tmp_path), "image", [rows], empty)
    assert len(list(read_tables(Place(tmp_path), "image", empty, 2))) == 1
    return tmp_path / table_path("image"), empty


def test_tables_of_fields_are_looked_at_before_they_count(part: tuple[Path, Any], tmp_path: Path) -> None:
    path, empty = part
    sound = parquet.read_table(path)
    renamed = sound.rename_columns([*sound.column_names[:-1], "other"])
    for other, count, words in (
        (sound, 1, "other polygons"), (renamed, 2, "other columns"), (sound.drop_columns(["mean"]), 2, "other columns"),
    ):  # fmt: skip
        parquet.write_table(other, path)
        with pytest.raises(StorageError, match=words):
            list(read_tables(Place(tmp_path), "image", empty, count))
    path.write_bytes(path.read_bytes()[:-9] + struct.pack("<i", 5) + b"PAR1")
    with pytest.raises(StorageError, match="is damaged"):
        list(read_tables(Place(tmp_path), "image", empty, 2))


def test_tables_with_many_rows_in_a_group_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From some 24,000 rows on texts are read by their dictionary, whose indices Arrow calls by another type."""
    monkeypatch.setattr(parquet_pages, "REPEATED_BYTES", 100)
    empty = rows_without_numbers(np.arange(0), [], ["NDVI"], (), key=POLYGON)
    rows = rows_without_numbers(np.arange(300), [Status.OK] * 300, ["NDVI"], (), key=POLYGON)
    write_tables(Place(tmp_path), "image", [rows], empty)
    (found,) = read_tables(Place(tmp_path), "image", empty, 300)
    assert found["status"].astype(str).tolist() == rows["status"].astype(str).tolist()
    assert found.drop(columns="status").equals(rows.drop(columns="status"))


FORMULAS = (
    "=cmd|' /C calc'!A0", "@SUM(1+1)", "+1+1", "-2+3", " =1+1", "＝1+1", "=HYPERLINK(\"http://x\")", "-1e5=",
)  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_of_others_is_a_formula_of_a_spreadsheet(text: str) -> None:
    table = with_plain_cells(
        gpd.pd.DataFrame({"id": [text, "plain"], "n": [-1.5, 2], "c": gpd.pd.Categorical([text] * 2)})
    )
    assert table["id"].tolist() == [f"'{text}", "plain"]
    assert table["c"].tolist() == [f"'{text}"] * 2
    assert table["n"].tolist() == [-1.5, 2]


def test_other_texts_of_cells_are_as_they_were_and_seen() -> None:
    for text in ("-12", "+1.5e3", "Bled", "Ljubljanica, å", "", "a=b"):
        assert cell_text(text) == text
    assert cell_text("a\u202eb\x1b[31m\nc") == r"a\u202eb\x1b[31m\nc"
    assert cell_text(None) is None


def test_results_do_not_go_through_links_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, elsewhere = tmp_path / "place", tmp_path / "elsewhere"
    place.mkdir()
    elsewhere.mkdir()
    (place / "own").symlink_to(elsewhere)
    store = FolderStore(place)
    store.write("own/a", b"1")
    assert (elsewhere / "a").read_bytes() == b"1"
    link = os.lstat(place / "own")
    foreign = os.stat_result([link.st_mode, link.st_ino, link.st_dev, link.st_nlink, link.st_uid + 1, *link[5:]])
    real = Path.lstat
    monkeypatch.setattr(Path, "lstat", lambda self: foreign if self.name == "own" else real(self))
    for write in (lambda: store.write("own/b", b"1"), lambda: store.append("own/b", b"1")):
        with pytest.raises(OSError, match="link of another user"):
            write()
    assert not (elsewhere / "b").exists()


CLIENTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a salt that is no base 64": lambda client: client.update(salt="é!"),
    "a hash that is none": lambda client: client.update(hash="a"),
    "a cost of no power of two": lambda client: client.update(cost=3),
    "a cost beyond all": lambda client: client.update(cost=2**40),
}


@pytest.mark.parametrize("kind", CLIENTS)
def test_clients_of_a_spoiled_file_are_refused_by_name(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They raised bare errors when their secret was looked at: 500 for everybody who asked."""
    monkeypatch.setattr("eotasks.service.auth.clients.COST", 4)
    file = tmp_path / "clients.json"
    client_id, _ = add_client(file, "somebody")
    content = json.loads(file.read_text())
    CLIENTS[kind](content["clients"][client_id])
    file.write_text(json.dumps(content))
    with pytest.raises(ConfigurationError, match="no file of clients"):
        Clients(file).get(client_id)


def test_files_of_the_service_are_read_within_bounds(tmp_path: Path) -> None:
    for path, read in ((tmp_path / "clients.json", read_clients), (tmp_path / "key", signing_key)):
        os.mkfifo(path)
        reading = threading.Thread(target=_refused, args=(read, path), daemon=True)
        reading.start()
        reading.join(20)
        assert not reading.is_alive()
        path.unlink()
    for content in (b"\xff" * 40, b"a" * 10_000, b"short"):
        (tmp_path / "key").write_bytes(content)
        with pytest.raises(ConfigurationError, match="no key"):
            signing_key(tmp_path / "key")


def _refused(read: Callable[[Path], object], path: Path) -> None:
    with pytest.raises(EOTasksError, match="FIFO"):
        read(path)
