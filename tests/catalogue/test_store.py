"""Catalogues on disk and on S3: what goes in comes out, by the conventions of GeoParquet and STAC."""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box, shape

from eotasks.catalogue import Catalogue
from eotasks.catalogue.items import add_masks
from eotasks.catalogue.request import SearchRequest
from eotasks.catalogue.table import VERSION, VERSION_KEY, hilbert, table_of, to_parquet
from eotasks.errors import ConfigurationError, ImageryError, MissingDependencyError, StorageError
from tests.builders.stac_items import footprint, make_item


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path / "it's products.parquet")


@pytest.fixture(params=["file", "parts"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Catalogue:
    """One file, and a folder of parts: what is added and found is the same."""
    return Catalogue(tmp_path / "it's either.parquet", parts=request.param == "parts")


def names(catalogue: Catalogue, **arguments: object) -> list[str]:
    return [item.id for item in catalogue.search(**arguments)]  # type: ignore[arg-type]


def test_items_come_out_as_they_went_in(either: Catalogue) -> None:
    item = make_item("A", **{"sat:relative_orbit": 51, "s2:generation_time": "2024-05-01T12:00:00Z"})
    either.add([item])
    assert either.search()[0].to_dict() == item.to_dict()


def test_items_are_taken_out(either: Catalogue) -> None:
    either.add([make_item("A"), make_item("B"), make_item("C")])
    update = either.add([make_item("C", baseline="02.00"), make_item("D")], remove=["A", "C", "absent"])
    assert (update.added, update.replaced, names(either)) == (("C", "D"), (), ["B", "C", "D"])
    assert either.search()[1].properties["s2:processing_baseline"] == "02.00"
    either.add([], remove=["B", "C", "D"])
    assert names(either) == []


def test_files_of_masks(either: Catalogue) -> None:
    item = make_item("A")
    add_masks(item, {"CLM": "s3://bucket/a_CLM.tif"})
    either.add([item, make_item("B")])
    assert either.masks() == {"A": "s3://bucket/a_CLM.tif"}
    either.add([], remove=["A"])
    assert either.masks() == {}


def test_items_are_valid_by_the_schemas_of_the_core(catalogue: Catalogue) -> None:
    """The wheel of pystac has the schemas of the core; those of extensions are on the web."""
    pytest.importorskip("jsonschema")
    catalogue.add([make_item("A")])
    plain = catalogue.search()[0]
    plain.stac_extensions = []
    plain.validate()


def test_the_file_is_geoparquet(catalogue: Catalogue) -> None:
    catalogue.add([make_item("A"), make_item("B", footprint(20, 40))])
    file = pq.ParquetFile(catalogue.location)
    geo = json.loads(file.schema_arrow.metadata[b"geo"])
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    assert geo["columns"]["geometry"]["bbox"] == [12, 40, 21, 53]
    assert geo["columns"]["geometry"]["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]
    assert b"stac-geoparquet" in file.schema_arrow.metadata
    geometry = shapely.from_wkb(file.read(["geometry"]).column(0).to_pylist())
    assert {each.bounds for each in geometry} == {(12, 52, 13, 53), (20, 40, 21, 41)}


def test_other_tools_read_it(catalogue: Catalogue) -> None:
    import geopandas

    catalogue.add([make_item("A"), make_item("B", footprint(20, 40))])
    frame = geopandas.read_parquet(catalogue.location)
    assert sorted(frame["id"]) == ["A", "B"]
    assert frame.crs.to_string() == "OGC:CRS84"


def test_stac_geoparquet_reads_it_and_its_files_are_searched(catalogue: Catalogue, tmp_path: Path) -> None:
    arrow = pytest.importorskip("stac_geoparquet.arrow")
    items = [make_item("A"), make_item("B", footprint(20, 40), level="L2A")]
    catalogue.add(items)
    read = {item["id"]: item for item in arrow.stac_table_to_items(pq.read_table(catalogue.location))}
    assert read["A"]["properties"]["eo:cloud_cover"] == 10
    theirs = Catalogue(tmp_path / "theirs.parquet")
    arrow.to_parquet(arrow.parse_stac_items_to_arrow([item.to_dict() for item in items]), theirs.location)
    assert names(theirs, bbox=(19, 39, 22, 42), level="L2A") == ["B"]
    found = theirs.search(tile="33UUU", level="L1C", max_cloud_cover=0.2, time_interval=("2024-05-01", "2024-05-01"))
    assert found[0].to_dict()["properties"]["datetime"].startswith("2024-05-01T10:00:00")
    with pytest.raises(ConfigurationError, match="not written by eotasks"):
        theirs.add(items)


def test_a_limit_of_cloud_is_inclusive_for_every_per_cent(catalogue: Catalogue) -> None:
    """29 / 100 * 100 is less than 29."""
    catalogue.add([make_item(f"{cloud:03}", cloud=cloud) for cloud in range(101)])
    for most in (0, 7, 14, 28, 29, 55, 56, 57, 58, 100):
        assert names(catalogue, max_cloud_cover=most / 100) == [f"{cloud:03}" for cloud in range(most + 1)]


def test_each_limit_counts(either: Catalogue) -> None:
    either.add(
        [
            make_item("clear", cloud=5),
            make_item("cloudy", cloud=90, time="2024-05-03T10:00:00"),
            make_item("unknown", cloud=None, time="2024-05-04T10:00:00"),
            make_item("surface", level="L2A", time="2024-05-05T10:00:00"),
            make_item("elsewhere", footprint(20, 40), tile="34TDK", time="2024-05-06T10:00:00"),
        ]
    )
    assert names(either) == ["clear", "cloudy", "unknown", "surface", "elsewhere"]
    assert names(either, max_cloud_cover=0.5, level="L1C", bbox=(12, 52, 13, 53)) == ["clear", "unknown"]
    assert names(either, level="L2A") == ["surface"]
    assert names(either, tile="T34TDK") == ["elsewhere"]
    assert names(either, time_interval=("2024-05-03", "2024-05-04")) == ["cloudy", "unknown"]
    assert names(either, time_interval=(None, "2024-05-01T10:00:00")) == ["clear"]
    assert names(either, time_interval=("2024-05-05T10:00:01", None)) == ["elsewhere"]
    assert names(either, limit=2) == ["clear", "cloudy"]
    assert names(either, bbox=(100, 0, 101, 1)) == []


def test_footprints_count_and_not_their_boxes(either: Catalogue) -> None:
    either.add([make_item("A", shapely.Polygon([(0, 0), (10, 0), (0, 10)]))])
    assert names(either, bbox=(8, 8, 9, 9)) == []
    assert names(either, intersects=box(4, 4, 6, 6)) == ["A"]
    assert names(either, bbox=(1_000, 1_000, 2_000, 2_000), crs="EPSG:3857") == ["A"]


def test_footprints_across_the_antimeridian_are_found_on_both_sides(either: Catalogue) -> None:
    east, west = box(179, 0, 180, 1), box(-180, 0, -179, 1)
    either.add([make_item("A", shapely.MultiPolygon([east, west]))])
    assert names(either, bbox=(179.2, 0.2, 179.4, 0.4)) == ["A"]
    assert names(either, bbox=(-179.4, 0.2, -179.2, 0.4)) == ["A"]
    assert names(either, bbox=(179.9, 0.2, -179.9, 0.4)) == ["A"]
    assert names(either, bbox=(0, 0, 1, 1)) == []


def test_adding_again_replaces_unless_the_baseline_is_older(either: Catalogue) -> None:
    first = either.add([make_item("A", baseline="04.00"), make_item("B", baseline="05.10")])
    assert (first.added, first.replaced, first.kept) == (("A", "B"), (), ())
    second = either.add([make_item("A", baseline="05.10"), make_item("B", baseline="04.00"), make_item("C")])
    assert (second.added, second.replaced, second.kept) == (("C",), ("A",), ("B",))
    assert {item.id: item.properties["s2:processing_baseline"] for item in either.search()} == dict.fromkeys(
        "ABC", "05.10"
    )
    assert either.add([make_item("A", cloud=77)]).replaced == ("A",)
    assert either.search(limit=1)[0].properties["eo:cloud_cover"] == 77


def test_the_same_items_give_the_same_file(tmp_path: Path) -> None:
    items = [make_item(f"I{index}", footprint(index, 2 * index)) for index in range(30)]
    shuffled = random.Random(1).sample(items, len(items))
    Catalogue(tmp_path / "a.parquet").add(items)
    Catalogue(tmp_path / "b.parquet").add(shuffled[:11])
    Catalogue(tmp_path / "b.parquet").add(shuffled[11:])
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_a_catalogue_without_items_is_one(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path / "a.parquet")
    catalogue.add([make_item("a")])
    catalogue.add([], remove=["a"])
    assert catalogue.search() == []
    assert catalogue.summary().items == 0
    assert catalogue.add([make_item("b")]).added == ("b",)
    assert [item.id for item in catalogue.search()] == ["b"]


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York", pytest.param("UTC", marks=pytest.mark.trial)])
def test_times_of_others_without_a_zone_are_utc_wherever_one_is(zone: str, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    Catalogue(path).add([make_item("a", time="2020-05-01T02:00:00")])
    table = pq.read_table(path)
    naive = table.column("datetime").cast(pa.timestamp("us"))
    pq.write_table(table.set_column(table.column_names.index("datetime"), "datetime", naive), path)
    code = (
        "from eotasks.catalogue import Catalogue\n"
        f"found = Catalogue({str(path)!r}).search(time_interval=('2020-05-01T01:00:00', '2020-05-01T03:00:00'))\n"
        "print([item.id for item in found])"
    )
    ended = subprocess.run([sys.executable, "-c", code], env=os.environ | {"TZ": zone}, capture_output=True, text=True)
    assert ended.stdout.strip() == "['a']", ended.stderr


def test_an_id_that_others_have_written_twice_is_replaced_as_one(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    Catalogue(path).add([make_item("a"), make_item("b")])
    table = pq.read_table(path)
    pq.write_table(table.take([0, 0, 1, 0]), path)
    update = Catalogue(path).add([make_item("a"), make_item("c")])
    assert (update.added, update.replaced) == (("c",), ("a",))
    assert sorted(item.id for item in Catalogue(path).search()) == ["a", "b", "c"]


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 10_000))
def test_search_equals_looking_at_every_item(seed: int) -> None:
    """Against shapely, over several row groups."""
    from tempfile import TemporaryDirectory

    rng = random.Random(seed)
    items = [
        make_item(f"I{index:03}", footprint(rng.uniform(-179, 178), rng.uniform(-80, 79), rng.uniform(0.1, 1)))
        for index in range(80)
    ]
    with TemporaryDirectory() as folder:
        catalogue = Catalogue(Path(folder) / "c.parquet")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("eotasks.catalogue.table.ROWS_OF_GROUP", 7)
            catalogue.add(items)
        assert pq.ParquetFile(catalogue.location).metadata.num_row_groups == 12
        for _ in range(8):
            west, south = rng.uniform(-179, 100), rng.uniform(-80, 40)
            extent = (west, south, west + 60, south + 30)
            expected = [item.id for item in items if shape(item.geometry).intersects(box(*extent))]
            assert names(catalogue, bbox=extent) == expected


def test_summary(either: Catalogue) -> None:
    either.add([make_item("A"), make_item("B", footprint(20, 40), tile="34TDK", level="L2A")])
    summary = either.summary()
    assert (summary.items, summary.tiles, summary.masks) == (2, 2, 0)
    assert summary.levels == {"L1C": 1, "L2A": 1}
    assert summary.bounds == (12, 40, 21, 53)
    assert str(summary.first) == "2024-05-01 10:00:00"


def test_two_writers_lose_nothing(either: Catalogue) -> None:
    either.add([make_item("0")])
    barrier = threading.Barrier(3)
    failures: list[Exception] = []

    def write(name: str) -> None:
        try:
            barrier.wait()
            Catalogue(either.location).add([make_item(name)])
        except Exception as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "ABC"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert names(either) == ["0", "A", "B", "C"]


def test_on_s3(s3_server: object, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = Catalogue(f"{s3_server.location()}/products.parquet")  # type: ignore[attr-defined]
    with pytest.raises(StorageError, match="no such catalogue"):
        catalogue.search()
    catalogue.add([make_item("A")])
    assert names(catalogue) == ["A"]
    Catalogue(catalogue.location).add([make_item("B")])
    assert names(pickle.loads(pickle.dumps(catalogue))) == ["A", "B"]
    assert names(catalogue) == ["A", "B"]


def test_searches_in_threads(either: Catalogue) -> None:
    from concurrent.futures import ThreadPoolExecutor

    either.add([make_item("A")])
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: tuple(names(either, bbox=(12, 52, 13, 53))), range(12))) == {("A",)}


def test_refused_files(tmp_path: Path, catalogue: Catalogue) -> None:
    with pytest.raises(ConfigurationError, match=r"ends in \.parquet"):
        Catalogue(tmp_path / "products.json")
    with pytest.raises(StorageError, match="no such catalogue"):
        catalogue.search()
    Path(catalogue.location).write_bytes(b"PAR1 cut off")
    with pytest.raises(ImageryError, match="cannot be read as a catalogue"):
        catalogue.search()
    with pytest.raises(ImageryError, match="no sound Parquet file"):
        catalogue.add([make_item("A")])
    pq.write_table(pa.table({"id": ["A"]}), catalogue.location)
    with pytest.raises(ImageryError, match="no column geometry, datetime"):
        catalogue.search()


def test_a_newer_version_is_refused(catalogue: Catalogue) -> None:
    table = table_of([make_item("A")])
    assert f"{VERSION_KEY.decode()}".startswith("eotasks")
    data = pa.BufferReader(to_parquet(table))
    newer = pq.read_table(data).replace_schema_metadata({VERSION_KEY: str(VERSION + 1).encode()})
    pq.write_table(newer, catalogue.location)
    with pytest.raises(ConfigurationError, match="upgrade"):
        catalogue.add([make_item("B")])


def test_a_file_of_the_first_version_is_added_to(catalogue: Catalogue) -> None:
    """It knows neither datastrips nor SHADOW."""
    table = table_of([make_item("A")])
    assets = table.schema.field("assets").type
    old = pa.struct([field for field in assets if field.name != "SHADOW"])
    rows = table.drop_columns(["s2:datastrip_id", "assets"]).append_column(
        "assets",
        pa.array([{k: v for k, v in row.items() if k != "SHADOW"} for row in table["assets"].to_pylist()], type=old),
    )
    written = pq.read_table(pa.BufferReader(to_parquet(table))).schema.metadata
    pq.write_table(rows.replace_schema_metadata({**written, VERSION_KEY: b"1"}), catalogue.location)
    (before,) = catalogue.search()
    catalogue.add([make_item("B", **{"s2:datastrip_id": "S"})])
    after = {item.id: item for item in catalogue.search()}
    assert after["A"].to_dict() == before.to_dict()
    assert after["B"].properties["s2:datastrip_id"] == "S"
    assert (catalogue.summary().items, catalogue.summary().shadows) == (2, 0)


def test_items_that_do_not_fit_leave_the_file_alone(catalogue: Catalogue) -> None:
    catalogue.add([make_item("A")])
    before = Path(catalogue.location).read_bytes()
    strange = make_item("B", **{"x:unknown": 1})
    with pytest.raises(ImageryError, match="x:unknown"):
        catalogue.add([strange])
    nowhere = make_item("C")
    nowhere.geometry = None
    with pytest.raises(ImageryError, match="no place"):
        catalogue.add([nowhere])
    assert Path(catalogue.location).read_bytes() == before


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from eotasks.catalogue import packages

    with pytest.raises(MissingDependencyError, match=r"install .*\[catalogue\]"):
        packages.package("no_such_package_of_ours")


def test_neighbours_on_the_curve_are_neighbours_on_the_ground() -> None:
    side = 16
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(side), np.arange(side)))
    place = hilbert((x + 0.5) * 360 / side - 180, (y + 0.5) * 180 / side - 90)
    assert len(np.unique(place)) == side * side
    order = np.argsort(place)
    steps = np.abs(np.diff(x[order])) + np.abs(np.diff(y[order]))
    assert set(steps) == {1}


def test_a_request_can_be_made_once(catalogue: Catalogue) -> None:
    catalogue.add([make_item("A")])
    assert [item.id for item in catalogue.find(SearchRequest.of(bbox=(12, 52, 13, 53)))] == ["A"]
