"""Areas as others write them: over the antimeridian, in any spelling of WGS 84, in metres that are not the ground's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from sentinelhub.constants import CRS
from sentinelhub.geometry import Geometry

from eotasks.area import read_area, read_patch_grid, split_area
from eotasks.errors import AreaError, EOTasksError, GridError
from tests.builders.geometry.places import FORMS

# pyproj at its floor converts arrays of one point as NumPy 2 no longer likes
pytestmark = pytest.mark.filterwarnings("ignore:Conversion of an array with ndim:DeprecationWarning")


FIJI = [(179.98, -16.82), (180.02, -16.82), (180.02, -16.78), (179.98, -16.78)]
BOTH_SIDES = shapely.MultiPolygon(
    [shapely.box(179.98, -16.82, 180, -16.78), shapely.box(-180, -16.82, -179.98, -16.78)]
)
SQUARE = shapely.box(12.5, 52.4, 12.6, 52.5)


def write(path: Path, geometries: list[Any], crs: Any) -> Path:
    frame = gpd.GeoDataFrame({"id": range(len(geometries))}, geometry=geometries, crs=crs)
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_file(path, engine="pyogrio")
    return path


def names(area: Geometry) -> set[tuple[str, tuple[float, ...]]]:
    return {(patch.name, tuple(patch.bbox)) for patch in split_area(area, patch_size=1000, resolution=10)}


EXPECTED = names(Geometry(BOTH_SIDES, CRS.WGS84))


def test_the_expected_patches_lie_on_both_sides() -> None:
    assert len(EXPECTED) == 36
    assert {name[:12] for name, _ in EXPECTED} == {"patch_32701_", "patch_32760_"}


@pytest.mark.parametrize("form", FORMS)
def test_no_patch_is_lost_over_the_antimeridian(form: str, tmp_path: Path) -> None:
    for ending in ("gpkg", "geojson"):
        area = read_area(file=write(tmp_path / f"fiji.{ending}", [FORMS[form](FIJI)], 4326))
        assert names(area) == EXPECTED
        assert area.geometry.symmetric_difference(BOTH_SIDES).area < 1e-9
    assert names(Geometry(FORMS[form](FIJI), CRS.WGS84)) == EXPECTED  # without read_area, too


@pytest.mark.parametrize(
    "bbox",
    [
        (179.98, -16.82, 180.02, -16.78),
        (179.98, -16.82, -179.98, -16.78),
        (-180.02, -16.82, -179.98, -16.78),
        (539.98, -16.82, 540.02, -16.78),
    ],
)
def test_boxes_over_the_antimeridian(bbox: tuple[float, ...]) -> None:
    assert names(read_area(bbox=bbox, crs=4326)) == EXPECTED


def test_an_area_in_metres_over_the_antimeridian() -> None:
    """The splitter brings corners to degrees, one by one."""
    for code, outside in ((32701, "patch_32760"), (32760, "patch_32701"), (3832, "patch_32701")):
        there = gpd.GeoSeries([shapely.box(179.98, -16.82, 180.02, -16.78)], crs=4326).to_crs(code).iloc[0]
        patches = split_area(Geometry(there, CRS(str(code))), patch_size=1000, resolution=10)
        assert any(patch.name.startswith(outside) for patch in patches)
        found = {(patch.name, tuple(patch.bbox)) for patch in patches}
        assert len(found & {(name, box) for name, box in EXPECTED}) >= 24
        assert len(found) <= 40


@settings(max_examples=10, deadline=None)
@given(
    st.integers(-45 * 1024, 45 * 1024),
    st.integers(-79, 79),
    st.integers(1, 50),
    st.integers(1, 25),
    st.sampled_from((-360, 360)),
)
def test_a_turn_changes_no_patch(west: int, south: int, width: int, height: int, turn: int) -> None:
    """Whole parts of a degree, so that a turn rounds nothing."""
    left, right, top = west / 256, (west + width) / 256, south + height / 256
    here = read_area(bbox=(left, south, right, top), crs=4326)
    there = read_area(bbox=(left + turn, south, right + turn, top), crs=4326)
    assert here.geometry.equals(there.geometry)
    patches = split_area(there, patch_size=5000, resolution=10)
    ground = shapely.union_all([_in_degrees(patch.bbox, left) for patch in patches])
    x, y = np.meshgrid(np.linspace(left, right, 7), np.linspace(south, top, 7))
    assert shapely.dwithin(shapely.points(x, y), ground, 1e-5).all()


def _in_degrees(bbox: Any, west: float) -> Any:
    """Longitudes near a place, beyond 180 too."""
    edges = gpd.GeoSeries([bbox.geometry.segmentize(500)], crs=bbox.crs.pyproj_crs()).to_crs(4326).iloc[0]
    return shapely.transform(
        edges, lambda points: np.column_stack([west + (points[:, 0] - west + 180) % 360 - 180, points[:, 1]])
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_buffer_over_the_antimeridian(form: str, tmp_path: Path) -> None:
    file = write(tmp_path / "a.gpkg", [FORMS[form](FIJI)], 4326)
    plain, wide = (read_area(file=file, buffer=buffer).geometry for buffer in (0, 1000))
    metres = [gpd.GeoSeries([each], crs=4326).to_crs(3832).iloc[0] for each in (plain, wide)]
    scale = 1 / np.cos(np.radians(16.8))
    assert np.subtract(metres[1].bounds, metres[0].bounds) == pytest.approx(
        np.array([-1, -1, 1, 1]) * 1000 * scale, abs=15
    )
    smaller = read_area(file=file, buffer=-1000).geometry
    assert 0 < smaller.area < plain.area
    assert (smaller.bounds[0], smaller.bounds[2]) == (-180, 180)  # nothing is taken away at the cut itself


@pytest.mark.parametrize("side", [1, -1])
def test_a_buffer_in_web_mercator_over_the_antimeridian(side: int) -> None:
    """The area has a part on each side, and not a band round the world."""
    west, east = sorted((side * 20_032_000, side * 20_037_000))
    area = read_area(bbox=(west, -2_000_000, east, -1_990_000), crs="EPSG:3857", buffer=2000)
    assert area.geometry.area / 1e6 == pytest.approx(126, abs=3)
    left, _, right, _ = area.geometry.bounds
    assert (left, right) == pytest.approx((-20_037_508.34, 20_037_508.34))
    assert 4 <= len(split_area(area, patch_size=5000, resolution=10)) <= 20


def test_a_buffer_of_parts_far_apart(tmp_path: Path) -> None:
    """Each in its own UTM zone: in that of their middle they would be no circles, or nowhere."""
    points = [shapely.Point(13.4, 52.5), shapely.Point(178.4, -18.1), shapely.Point(-70, -33)]
    area = read_area(file=write(tmp_path / "a.gpkg", [shapely.MultiPoint(points)], 4326), buffer=1000)
    for part, code in zip(
        sorted(shapely.get_parts(area.geometry), key=lambda each: each.bounds), (32719, 32633, 32760), strict=True
    ):
        there = gpd.GeoSeries([part], crs=4326).to_crs(code).iloc[0]
        assert np.sqrt(there.area / np.pi) == pytest.approx(1000, rel=0.01)


@pytest.mark.parametrize(
    ("crs", "ending"),
    [
        *(("OGC:CRS84", ending) for ending in ("gpkg", "fgb", "geojson", "shp", "parquet")),
        *(("+proj=longlat +ellps=WGS84 +datum=WGS84 +no_defs", ending) for ending in ("gpkg", "fgb", "shp")),
        ("EPSG:4979", "gpkg"),  # with heights
        ("EPSG:9707", "gpkg"),
    ],
)
def test_wgs_84_in_any_spelling(crs: str, ending: str, tmp_path: Path) -> None:
    file = write(tmp_path / f"a.{ending}", [SQUARE], crs)
    for given_crs in (None, 4326, "OGC:CRS84", "CRS84", "urn:ogc:def:crs:OGC:1.3:CRS84"):
        area = read_area(file=file, crs=given_crs)
        assert area.crs is CRS.WGS84
        assert area.geometry.bounds == pytest.approx((12.5, 52.4, 12.6, 52.5), abs=1e-12)
    with pytest.raises(GridError, match="not in EPSG:32633"):
        read_area(file=file, crs=32633)


def test_geoparquet_is_an_area_as_any_other_vector_file(tmp_path: Path) -> None:
    """GDAL reads it only where it was built with it; its default is OGC:CRS84."""
    file = write(tmp_path / "a.parquet", [SQUARE, shapely.box(12.7, 52.4, 12.8, 52.5)], 4326)
    assert read_area(file=file).geometry.bounds == pytest.approx((12.5, 52.4, 12.8, 52.5))
    none = write(tmp_path / "none.parquet", [SQUARE], None)
    with pytest.raises(GridError, match=r"none\.parquet has no CRS: give one"):
        read_area(file=none)
    assert read_area(file=none, crs=4326).geometry.equals(SQUARE)
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "table.parquet")
    (tmp_path / "cut.geoparquet").write_bytes(file.read_bytes()[:500])
    for name, message in (("table.parquet", "it has no geometries"), ("cut.geoparquet", "as GeoParquet"),
                          ("absent.parquet", "is not there")):  # fmt: skip
        with pytest.raises(AreaError, match=message) as caught:
            read_area(file=tmp_path / name)
        assert name in str(caught.value)
        assert "duckdb" not in str(caught.value)


def test_a_given_crs_wins_over_one_without_a_code(tmp_path: Path) -> None:
    local = "+proj=tmerc +lat_0=52 +lon_0=12 +k=1 +x_0=0 +y_0=0 +ellps=WGS84 +units=m"
    there = gpd.GeoSeries([SQUARE], crs=4326).to_crs(local).iloc[0]
    file = write(tmp_path / "a.gpkg", [there], local)
    with pytest.raises(GridError, match=r"no known EPSG code: give crs='EPSG:4326', and the area is brought to it"):
        read_area(file=file)
    for code in (4326, 32633):
        area = read_area(file=file, crs=code)
        again = gpd.GeoSeries([area.geometry], crs=code).to_crs(4326).iloc[0]
        assert again.bounds == pytest.approx(SQUARE.bounds, abs=1e-3)


@pytest.mark.parametrize("latitude", [0, 30, 46, 60, -70])
def test_a_buffer_in_web_mercator_is_in_metres_on_the_ground(latitude: float, tmp_path: Path) -> None:
    point = gpd.GeoSeries([shapely.Point(13.4, latitude)], crs=4326).to_crs(3857)
    area = read_area(file=write(tmp_path / "a.gpkg", list(point), 3857), buffer=1000)
    assert area.crs is CRS.POP_WEB
    code = CRS.get_utm_from_wgs84(13.4, latitude).value
    there = gpd.GeoSeries([area.geometry], crs=3857).to_crs(int(code)).iloc[0]
    assert np.sqrt(there.area / np.pi) == pytest.approx(1000, rel=0.01)


@pytest.mark.parametrize("code", [3857, 3395, 6933, 4087])
def test_metres_that_are_not_the_grounds_are_refused(code: int, tmp_path: Path) -> None:
    there = gpd.GeoSeries([shapely.box(13.4, 59.9, 13.5, 60)], crs=4326).to_crs(code).total_bounds
    area = read_area(bbox=there, crs=code)
    with pytest.raises(
        GridError, match=rf"EPSG:{code}, whose metres are not the ground's: .* one is \d\.\d\d m on .* Use grid 'utm'"
    ):
        split_area(area, patch_size=1000, resolution=10, grid="bbox")
    assert split_area(area, patch_size=1000, resolution=10)
    file = write(tmp_path / "a.gpkg", [shapely.box(there[0], there[1], there[0] + 1000, there[1] + 1000)], code)
    with pytest.raises(GridError, match=rf"a\.gpkg is in EPSG:{code}, whose metres are not the ground's"):
        read_patch_grid(file, 10)


@pytest.mark.parametrize("code", [32633, 25833, 31287, 2180, 3035])
def test_metres_of_systems_made_for_a_place_are_taken(code: int) -> None:
    there = gpd.GeoSeries([shapely.box(14.4, 49.9, 14.5, 50)], crs=4326).to_crs(code).total_bounds
    assert split_area(read_area(bbox=there, crs=code), patch_size=1000, resolution=10, grid="bbox")


CASES: dict[str, tuple[type[EOTasksError], str, dict[str, Any]]] = {
    "latitude first": (AreaError, "latitude 120 .*exchange", {"bbox": (45, 119.9, 45.1, 120), "crs": 4326}),
    "a little beyond the pole": (AreaError, "latitude 90.1", {"bbox": (0, 80, 1, 90.1), "crs": "OGC:CRS84"}),
    "metres as degrees": (AreaError, "Numbers in metres need", {"bbox": (500_000, 1, 500_001, 2), "crs": 4326}),
    "west greater than east beyond 180": (AreaError, "from -180 to 180", {"bbox": (200, 0, -170, 1), "crs": 4326}),
    "west and east exchanged": (
        AreaError,
        r"would go 359\.9 degrees .*exchange them \(14\.0, 45\.0, 14\.1, 45\.05\), or give 374\.0 as its east",
        {"bbox": (14.1, 45, 14.0, 45.05), "crs": 4326},
    ),
    "no width": (AreaError, "is empty", {"bbox": (5, 0, 5, 1), "crs": 4326}),
    "degrees as metres": (
        GridError,
        r"numbers of degrees, but EPSG:32633 is in metres, .* 0\.2 x 0\.2 m: give crs='EPSG:4326', or",
        {"bbox": (14.3, 46, 14.5, 46.2), "crs": 32633},
    ),
    "degrees as metres for a grid in metres": (
        GridError,
        "give crs='EPSG:4326' and grid='utm', or",
        {"bbox": (14.3, 46, 14.5, 46.2), "crs": 32633, "grid": "bbox"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_boxes_at_no_place(case: str) -> None:
    error, message, arguments = CASES[case]
    with pytest.raises(error, match=message) as caught:
        read_area(**arguments)
    assert "\n" not in str(caught.value)


def test_files_at_no_place(tmp_path: Path) -> None:
    with pytest.raises(AreaError, match=r"turned\.gpkg: latitude 119\.95 .*exchange"):
        read_area(file=write(tmp_path / "turned.gpkg", [shapely.box(45, 119.9, 46, 119.95)], 4326))
    bare = tmp_path / "bare.gpkg"
    with pytest.warns(UserWarning, match="crs"):
        gpd.GeoDataFrame(geometry=[SQUARE]).to_file(bare, engine="pyogrio")
    with pytest.raises(AreaError, match=r"smaller than a pixel of 10 m in EPSG:32633: its numbers are degrees"):
        split_area(read_area(file=bare, crs=32633), patch_size=1000, resolution=10)


def test_all_that_is_wrong_with_a_crs_is_said_at_once(tmp_path: Path) -> None:
    file = write(tmp_path / "a.gpkg", [SQUARE], 4326)
    with pytest.raises(
        GridError, match=r"leave out crs, or reproject the file\. It is not in metres either, .* grid 'utm'"
    ):
        read_area(file=file, crs=32633, grid="bbox")
    assert read_area(file=file, grid="utm").crs is CRS.WGS84


@pytest.mark.parametrize("bbox", [(10, 84.5, 11, 85), (10, 83.9, 11, 84.1), (10, -81, 11, -80.5)])
def test_beyond_utm(bbox: tuple[float, ...]) -> None:
    with pytest.raises(AreaError, match="UTM zones end at -80 and 84"):
        split_area(read_area(bbox=bbox, crs=4326), patch_size=5000, resolution=10)


def test_many_patches_over_the_antimeridian_are_counted_by_their_sides() -> None:
    """Not over the box of both, which is the whole world."""
    assert len(split_area(read_area(bbox=(179, -19, -179, -17), crs=4326), patch_size=5000, resolution=10)) > 1900
