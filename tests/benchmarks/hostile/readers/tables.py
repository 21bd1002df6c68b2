"""Fields and lakes as vector files, and what statistics of them leave in their place."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow as pa
import shapely
from pyarrow import parquet

from eotasks.errors import EOTasksError
from eotasks.imagery.grid import Grid
from eotasks.storage.place import Place
from eotasks.water import read_outlines
from eotasks.workflows.report.place import claim_place
from eotasks.workflows.water_level.results import claim_results
from eotasks.workflows.zonal_stats.joining import Totals
from eotasks.workflows.zonal_stats.parts import pieces_path, read_tables, table_path, write_tables
from eotasks.workflows.zonal_stats.pieces import open_pieces, piece_writer
from eotasks.zonal.coverage import coverage_of
from eotasks.zonal.frames import ZonalFrame
from eotasks.zonal.polygons import polygons_of, read_polygons
from eotasks.zonal.shared import Outlines, joined_block
from eotasks.zonal.table import POLYGON, rows_without_numbers, wide_table
from eotasks.zonal.vocabulary import Status
from tests.benchmarks.hostile.format import Format, Read
from tests.builders.zonal.patches import LEFT, SIZE, TOP, some_polygons

_JSON_TOKENS = (b"NaN", b"1e400", b"null", b"{", b"[", b'"', b"\\ud800", b"\\u0000", b",", b":")
_PARQUET_TOKENS = (b"PAR1", b"ARROW:schema", b"geo", b"WKB", b"pandas", b"NaN", b"null", b"\xff" * 8, b"{", b"\\ud800")
_WKB_TOKENS = (
    b"\x01\x07\0\0\0\x01\0\0\0" * 40_000, b"\0\0\0\0\x07\0\0\0\x01" * 1000, b"\x01\x06\0\0\0\x01\0\0\0" * 1000,
    b"\x01\x03\0\0\0\0\0\0\0", b"\x01\xeb\x03\0\0", b"\xff" * 8, b"\x01\x01\0\0\0" + b"\xff" * 16,
)  # fmt: skip
_NPZ_TOKENS = (
    b"PK\x01\x02",
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x93NUMPY",
    b"|O",
    b"(-1,)",
    b"(99999999999,)",
    b"9" * 5000,
)

_WATERS = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"id": number, "name": f"lake {number}", "osm_id": str(number)},
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[12, 52 + number], [13, 52 + number], [13, 53 + number], [12, 52 + number]]],
            },
        }
        for number in range(2)
    ],
}


def _outlines(path: Path) -> object:
    with contextlib.suppress(EOTasksError):
        read_outlines(path, id_column="id", crs=4326)
    return read_outlines(path)


def _fields(path: Path) -> object:
    with contextlib.suppress(EOTasksError):
        read_polygons(path, id_column="id", crs=4326)
    return read_polygons(path)


def _geojson(use: Callable[[Path], object]) -> Callable[[Path], tuple[Sequence[bytes], Read]]:
    def prepare(folder: Path) -> tuple[Sequence[bytes], Read]:
        file = folder / "shapes.geojson"

        def read(content: bytes) -> object:
            file.write_bytes(content)
            return use(file)

        return [json.dumps(_WATERS).encode()], read

    return prepare


def _frame() -> gpd.GeoDataFrame:
    shapes = [shapely.box(12, 52, 13, 53), shapely.MultiPolygon([shapely.box(14, 52, 15, 53)])]
    return gpd.GeoDataFrame({"id": [1, 2], "name": ["a", "b"]}, geometry=shapes, crs=4326)


def _parquet(use: Callable[[Path], object]) -> Callable[[Path], tuple[Sequence[bytes], Read]]:
    """GeoParquet as geopandas writes it, packed and plain."""

    def prepare(folder: Path) -> tuple[Sequence[bytes], Read]:
        file, samples = folder / "shapes.parquet", []
        for compression in ("snappy", None, "zstd"):
            _frame().to_parquet(file, compression=compression)
            samples.append(file.read_bytes())

        def read(content: bytes) -> object:
            file.write_bytes(content)
            return use(file)

        return samples, read

    return prepare


def _places(folder: Path) -> tuple[Sequence[bytes], Read]:
    """A sound GeoParquet file of which one place is spoiled."""
    file = folder / "shapes.parquet"
    _frame().to_parquet(file)
    table = parquet.read_table(file)
    sound = table.column("geometry").to_pylist()
    at = table.schema.get_field_index("geometry")

    def read(content: bytes) -> object:
        column = pa.array([sound[0], content], pa.binary())
        parquet.write_table(
            table.set_column(at, "geometry", column).replace_schema_metadata(table.schema.metadata), file
        )
        with contextlib.suppress(EOTasksError):
            _outlines(file)
        return _fields(file)

    return [shapely.to_wkb(shape) for shape in (*_frame().geometry, shapely.Point(1, 2).buffer(1, quad_segs=3))], read


def _metadata(folder: Path) -> tuple[Sequence[bytes], Read]:
    """A sound GeoParquet file whose description of itself is spoiled."""
    file = folder / "shapes.parquet"
    _frame().to_parquet(file)
    table = parquet.read_table(file)
    facts = dict(table.schema.metadata)

    def read(content: bytes) -> object:
        for key in (b"geo", b"pandas"):
            parquet.write_table(table.replace_schema_metadata({**facts, key: content}), file)
            with contextlib.suppress(EOTasksError):
                _outlines(file)
        return _fields(file)

    return [facts[b"geo"], facts[b"pandas"]], read


_GRID = Grid("EPSG:32633", LEFT, TOP, SIZE, 30, 40)
_TIMES = [dt.datetime(2020, 5, day, 10) for day in (1, 6)]  # noqa: DTZ001 - naive UTC


def _pieces(folder: Path) -> tuple[Sequence[bytes], Read]:
    """Pixels of fields that a worker left, put together as the command does."""
    polygons, place = polygons_of(some_polygons()), Place(folder)
    coverage = coverage_of(polygons, _GRID)
    rng = np.random.default_rng(0)
    with piece_writer(place, "image", _GRID, coverage, 1) as writer:
        for time in _TIMES:
            states = rng.integers(0, 4, (30, 40)).astype(np.uint8)
            writer.take(ZonalFrame(time, rng.random((30, 40, 1)), states))
    file = folder / pieces_path("image")
    samples = [file.read_bytes()]
    with np.load(file) as found:
        packed = io.BytesIO()
        np.savez_compressed(packed, **found)
    samples.append(packed.getvalue())
    outlines = Outlines(polygons, range(len(polygons)))

    def read(content: bytes) -> object:
        file.write_bytes(content)
        with open_pieces(place, "image", 1, _GRID) as found:
            if found is None:
                return None
            parts = [found.pieces(range(len(found.times)))]
            return [joined_block(polygon, parts, (5,), outlines) for polygon in range(len(polygons))]

    return samples, read


def _piece_arrays(folder: Path) -> tuple[Sequence[bytes], Read]:
    """The same file, sound as a zip, of whose arrays one holds other numbers."""
    samples, whole = _pieces(folder)
    with np.load(io.BytesIO(samples[0])) as found:
        arrays = {name: found[name] for name in found.files}
    names = [name for name in arrays if name != "grid"]

    def read(content: bytes) -> object:
        given = json.loads(content)
        changed = dict(arrays)
        for name, values in given.items():
            if name == "grid":
                changed[name] = np.array(json.dumps(values))
            else:
                changed[name] = np.asarray(values).astype(arrays[name].dtype if name in arrays else None)
        stream = io.BytesIO()
        np.savez(stream, **changed)
        return whole(stream.getvalue())

    def guarded(content: bytes) -> object:
        try:
            return read(content)
        except EOTasksError:
            raise
        except (ValueError, TypeError, OverflowError, AttributeError, RecursionError, MemoryError) as error:
            if "/eotasks/" in _last_file(error):
                raise
            return None  # no file can be made of it: not our reader's affair

    short = {name: arrays[name][:40].astype(str if name == "times" else None).tolist() for name in names}
    short = {name: values for name, values in short.items() if name in ("starts", "polygons", "times")}
    states = {"states_0": [200] * len(arrays["states_0"]), "states_1": arrays["states_1"].tolist()}
    numbers = {"pixels": arrays["pixels"].tolist(), "weights": arrays["weights"].tolist()}
    grid = {"grid": json.loads(str(arrays["grid"]))}
    return [json.dumps(each).encode() for each in (short, states, numbers, grid)], guarded


def _last_file(error: BaseException) -> str:
    trace = error.__traceback__
    last = ""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        last = name if "/eotasks/" in name else last
        trace = trace.tb_next
    return last


def _parts(folder: Path) -> tuple[Sequence[bytes], Read]:
    """Tables of fields that a worker left, put together as the command does."""
    place, indices = Place(folder), np.arange(3)
    empty = rows_without_numbers(indices[:0], [], ["NDVI"], (5,), key=POLYGON)
    table = rows_without_numbers(indices, [Status.OK, Status.EMPTY, Status.NO_DATA], ["NDVI"], (5,), key=POLYGON)
    write_tables(place, "image", [table, table], empty)
    file = folder / table_path("image")
    sample = file.read_bytes()

    def read(content: bytes) -> object:
        file.write_bytes(content)
        totals = Totals()
        for each in read_tables(place, "image", empty, len(indices)):
            totals.take(each)
            with contextlib.suppress(EOTasksError):
                wide_table(each.rename(columns={POLYGON: "id"}))
        return totals

    return [sample], read


def _summaries(folder: Path) -> tuple[Sequence[bytes], Read]:
    """What commands look at before they write over results of theirs."""
    place = folder / "out"
    place.mkdir()
    claim_results(place)

    def read(content: bytes) -> object:
        for name in ("summary.json", "metrics.json", "figures.json"):
            (place / name).write_bytes(content)
        with contextlib.suppress(EOTasksError):
            claim_place(place, file="summary.json", is_ours=lambda found: found.get("command") == "x", what="results")
        return claim_results(place)

    return [json.dumps({"command": "water-level", "software": "eotasks 1", "lakes": 1}).encode()], read


FORMATS = (
    Format("lakes", "json", _geojson(_outlines), _JSON_TOKENS),
    Format("lakes-parquet", "bytes", _parquet(_outlines), _PARQUET_TOKENS, head=4000),
    Format("fields", "json", _geojson(_fields), _JSON_TOKENS),
    Format("fields-parquet", "bytes", _parquet(_fields), _PARQUET_TOKENS, head=4000),
    Format("fields-places", "bytes", _places, _WKB_TOKENS),
    Format("fields-metadata", "json", _metadata, _JSON_TOKENS),
    Format("field-tables", "bytes", _parts, _PARQUET_TOKENS, head=4000),
    Format("field-pieces", "bytes", _pieces, _NPZ_TOKENS, head=2000),
    Format("field-piece-arrays", "json", _piece_arrays, _JSON_TOKENS),
    Format("summary", "json", _summaries, _JSON_TOKENS),
)
