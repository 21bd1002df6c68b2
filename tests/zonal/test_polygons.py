"""Polygons as others write them: every format, damage, ids, coordinate systems, very many corners."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely

from eotasks.errors import AreaError, ConfigurationError, GridError, PolygonWarning
from eotasks.imagery.grid import Grid
from eotasks.zonal.coverage import coverage_of
from eotasks.zonal.polygons import polygons_of, read_polygons
from eotasks.zonal.vocabulary import Status

GRID = Grid("EPSG:32633", 500_000, 5_000_350, 10, 30, 40)
SQUARE = shapely.box(500_100, 5_000_100, 500_200, 5_000_200)
BOWTIE = shapely.Polygon([(500_100, 5_000_100), (500_200, 5_000_200), (500_200, 5_000_100), (500_100, 5_000_200)])


def frame(*shapes: object, **columns: object) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(columns, geometry=list(shapes), crs=32633)


@pytest.mark.parametrize("name", ["fields.gpkg", "fields.geojson", "fields.parquet", "fields.shp"])
def test_reads_every_format(tmp_path: Path, name: str) -> None:
    fields = frame(SQUARE, SQUARE.buffer(5), code=["a", "b"])
    if name.endswith("geojson"):
        fields = fields.to_crs(4326)
    path = tmp_path / name
    fields.to_parquet(path) if name.endswith("parquet") else fields.to_file(path, engine="pyogrio")
    found = read_polygons(path, id_column="code")
    assert found.ids.tolist() == ["a", "b"]
    assert found.states == (Status.OK, Status.OK)
    areas = coverage_of(found, GRID).pixels.areas
    assert areas == pytest.approx(fields.to_crs(32633).area / 100, rel=1e-4)


def test_without_a_column_they_are_numbered() -> None:
    assert polygons_of(frame(SQUARE, SQUARE)).ids.tolist() == [0, 1]


def test_repairs_or_names_what_is_no_polygon() -> None:
    far = shapely.box(1e12, 0, 2e12, 1)
    shapes = [BOWTIE, None, shapely.Polygon(), shapely.Point(1, 1), far, SQUARE]
    with pytest.warns(PolygonWarning, match=r"6 polygons 1 repaired.*\(0\); 3 without an area.*; 1 that cannot be"):
        found = polygons_of(frame(*shapes))
    assert found.states == (Status.OK, Status.EMPTY, Status.EMPTY, Status.EMPTY, Status.INVALID, Status.OK)
    assert found.shapes[0].area == pytest.approx(BOWTIE.convex_hull.area / 2)
    assert [found.unseen_state(index) for index in (1, 5)] == [Status.EMPTY, Status.OUTSIDE]
    assert coverage_of(found, GRID).polygons.tolist() == [0, 5]


def test_degrees_that_are_no_place_are_named() -> None:
    """One of them does not end a run: it is told apart as others that are none."""
    places = [shapely.box(13, 52, 13.1, 52.1), shapely.box(99_999, 52, 99_999.1, 52.1)]
    with pytest.warns(PolygonWarning, match=r"1 that cannot be repaired, or are no place \(1\)"):
        found = polygons_of(gpd.GeoDataFrame(geometry=places, crs=4326))
    assert found.states == (Status.OK, Status.INVALID)


def test_ids_of_a_geopackage_without_columns(tmp_path: Path) -> None:
    frame(SQUARE, SQUARE).to_file(tmp_path / "fields.gpkg", engine="pyogrio")
    assert read_polygons(tmp_path / "fields.gpkg", id_column="fid").ids.tolist() == [1, 2]


def test_a_shapefile_on_s3_is_refused_before_it_is_fetched() -> None:
    with pytest.raises(AreaError, match="read from disk alone"):
        read_polygons("s3://bucket/fields.shp")


def test_a_ring_that_crosses_itself_everywhere_is_named() -> None:
    corners = np.random.default_rng(0).random((400, 2)) * 100 + (500_100, 5_000_100)
    with pytest.warns(PolygonWarning, match="cannot be repaired"):
        found = polygons_of(frame(shapely.Polygon(corners), SQUARE))
    assert found.states[0] == Status.INVALID


def test_a_hundred_thousand_corners() -> None:
    angles = np.linspace(0, 2 * np.pi, 100_001)[:-1]
    radius = 100 + 3 * np.sin(60 * angles)
    star = shapely.Polygon(np.column_stack([500_200 + radius * np.cos(angles), 5_000_200 + radius * np.sin(angles)]))
    found = coverage_of(polygons_of(frame(star)), GRID)
    assert found.pixels.areas[0] == pytest.approx(star.area / 100, rel=1e-6)
    assert found.whole[0]


def test_holes_and_parts_are_left_out_and_added() -> None:
    ring = SQUARE.difference(shapely.box(500_123, 5_000_121, 500_171, 5_000_169))
    two = shapely.union(ring, shapely.box(500_301, 5_000_301, 500_309, 5_000_307))
    found = coverage_of(polygons_of(frame(two)), GRID).pixels
    assert found.areas[0] == pytest.approx(two.area / 100, rel=1e-6)
    assert 20 * 40 + 14 not in found.pixels  # the middle of the hole


def test_a_sliver_has_the_pixel_that_it_lies_in() -> None:
    sliver = shapely.box(500_104, 5_000_104, 500_104 + 1e-9, 5_000_104 + 1e-9)
    found = coverage_of(polygons_of(frame(sliver)), GRID).pixels
    assert found.pixels.tolist() == [24 * 40 + 10]
    assert 0 < found.weights[0] < 1e-9


def test_only_what_lies_on_the_grid_counts() -> None:
    half = shapely.box(499_900, 5_000_100, 500_100, 5_000_200)
    found = coverage_of(polygons_of(frame(half, shapely.box(0, 0, 1, 1), SQUARE)), GRID)
    assert found.polygons.tolist() == [0, 2]
    assert found.whole.tolist() == [False, True]
    assert found.pixels.areas == pytest.approx([100.0, 100.0])


@pytest.mark.parametrize(
    ("fields", "options", "message"),
    [
        (frame(SQUARE, SQUARE, code=["a", "a"]), {"id_column": "code"}, "1 values of code stand for several polygons"),
        (frame(SQUARE, SQUARE, code=["a", None]), {"id_column": "code"}, "1 of 2 polygons have no code"),
        (frame(SQUARE, SQUARE, code=["a", 1]), {"id_column": "code"}, "values of code are int and str"),
        (frame(SQUARE, code=[b"a"]), {"id_column": "code"}, "values of code are bytes"),
        (frame(SQUARE, code=["a"]), {"id_column": "Code"}, "did you mean 'code'"),
        (frame(), {}, "no polygon in it"),
        (gpd.GeoDataFrame(geometry=[SQUARE]), {}, "no coordinate system"),
        (frame(SQUARE), {"crs": 3857}, "leave out crs"),
        (gpd.GeoDataFrame(geometry=[SQUARE]), {"crs": "nonsense"}, "is not known"),
    ],
    ids=["twice", "missing", "two kinds", "bytes", "misspelt", "empty", "no system", "another system", "unknown"],
)
def test_refuses_with_the_cure(fields: gpd.GeoDataFrame, options: dict[str, object], message: str) -> None:
    with pytest.raises((AreaError, ConfigurationError, GridError), match=message):
        polygons_of(fields, **options)


def test_refuses_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AreaError, match="is not there"):
        read_polygons(tmp_path / "absent.parquet")
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(b"PAR1 no parquet")
    with pytest.raises(AreaError, match="cannot be read as GeoParquet"):
        read_polygons(damaged)
    many = tmp_path / "many.gpkg"
    frame(SQUARE, SQUARE).to_file(many, engine="pyogrio", layer="one")
    frame(SQUARE).to_file(many, engine="pyogrio", layer="two")
    with pytest.raises(ConfigurationError, match="has the layers one, two: name one"):
        read_polygons(many)
    with pytest.raises(ConfigurationError, match="no layer 'tow'"):
        read_polygons(many, layer="tow")
    with pytest.raises(ConfigurationError, match="no column 'id': it has none"):
        read_polygons(many, layer="one", id_column="id")
    monkeypatch.setenv("EOTASKS_MAX_VECTOR_FEATURES", "1")
    with pytest.raises(AreaError, match="Give a file of fewer polygons"):
        read_polygons(many, layer="one")
