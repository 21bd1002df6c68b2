from __future__ import annotations

import contextlib
import json
import logging
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from sentinelhub.constants import CRS
from sentinelhub.geometry import Geometry

from eotasks.area import Patch, read_area, read_patch_grid, save_patch_grid, select_block, split_area
from eotasks.errors import AreaError, ConfigurationError, GridError

UTM33 = CRS("32633")
SAMPLE = (330000, 5814360, 345360, 5822040)


def write(path: Path, geometries: list[object], crs: int | None = 32633, **columns: list[object]) -> Path:
    frame = gpd.GeoDataFrame(columns or {"id": range(len(geometries))}, geometry=geometries, crs=crs)
    with contextlib.nullcontext() if crs else pytest.warns(UserWarning, match="'crs' was not provided"):
        pyogrio.write_dataframe(frame, path, driver="GPKG")
    return path


def sample_patches() -> list[Patch]:
    return split_area(read_area(bbox=SAMPLE, crs=32633), patch_size=2560, resolution=20, grid="bbox")


def test_the_sample_is_split_from_its_top_left_corner() -> None:
    patches = sample_patches()
    assert len(patches) == 18
    assert [patch.name for patch in patches[:2]] == ["patch_r00_c00", "patch_r00_c01"]
    assert tuple(patches[0].bbox) == (330000, 5819480, 332560, 5822040)
    assert tuple(patches[-1].bbox) == (342800, 5814360, 345360, 5816920)
    assert {(patch.height, patch.width, patch.crs) for patch in patches} == {(128, 128, "EPSG:32633")}


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(1, 700), height=st.integers(1, 700), side=st.integers(20, 300),
    resolution=st.sampled_from([10, 20, 60]),
)  # fmt: skip
def test_patches_of_a_box_cover_it_once(width: int, height: int, side: int, resolution: int) -> None:
    bounds = (500000.0, 5000000.0, 500000.0 + width * resolution, 5000000.0 + height * resolution)
    area = read_area(bbox=bounds, crs="EPSG:32633")
    patches = split_area(area, patch_size=side * resolution, resolution=resolution, grid="bbox")
    assert sum(patch.height * patch.width for patch in patches) == width * height
    assert shapely.union_all([shapely.box(*patch.bbox) for patch in patches]).equals(shapely.box(*bounds))
    for patch in patches:
        assert patch.bbox.max_x - patch.bbox.min_x == patch.width * resolution
        assert patch.bbox.max_y - patch.bbox.min_y == patch.height * resolution


def test_a_box_of_no_whole_pixels_is_rounded_outwards() -> None:
    area = read_area(bbox=(0, 0, 105, 95), crs=32633)
    (patch,) = split_area(area, patch_size=200, resolution=10, grid="bbox")
    assert tuple(patch.bbox) == (0, -5, 110, 95)
    assert (patch.height, patch.width) == (10, 11)


def test_the_utm_grid_is_the_lattice_of_the_splitter() -> None:
    patches = split_area(read_area(bbox=SAMPLE, crs=32633), patch_size=5000, resolution=10)
    assert all(patch.bbox.min_x % 5000 == 0 and patch.bbox.min_y % 5000 == 0 for patch in patches)
    assert {(patch.height, patch.width) for patch in patches} == {(500, 500)}
    northernmost = max(patches, key=lambda patch: patch.bbox.max_y)
    westernmost = min(patches, key=lambda patch: patch.bbox.min_x)
    assert (northernmost.row, westernmost.column) == (0, 0)
    assert len({patch.name for patch in patches}) == len(patches)
    first, second = patches[:2]
    assert (first.column, second.column) == (0, 0)
    assert second.bbox.min_y == first.bbox.max_y


def test_several_utm_zones_are_in_the_names() -> None:
    area = read_area(bbox=(11.9, 48, 12.1, 48.1), crs="EPSG:4326")
    patches = split_area(area, patch_size=5000, resolution=10)
    assert {patch.crs for patch in patches} == {"EPSG:32632", "EPSG:32633"}
    assert {patch.name[:12] for patch in patches} == {"patch_32632_", "patch_32633_"}
    assert len({patch.name for patch in patches}) == len(patches)


def test_patches_beside_a_polygon_are_left_out() -> None:
    triangle = Geometry(shapely.Polygon([(0, 0), (400, 0), (0, 400)]), UTM33)
    patches = split_area(triangle, patch_size=100, resolution=10, grid="bbox")
    assert len(patches) == 10
    assert "patch_r00_c01" not in {patch.name for patch in patches}


@pytest.mark.parametrize(("size", "resolution"), [(105, 10), (5, 10), (0, 10), (100, 0), (100, -10)])
def test_a_patch_is_a_whole_number_of_pixels(size: float, resolution: float) -> None:
    with pytest.raises(ConfigurationError, match="no whole number of pixels"):
        split_area(read_area(bbox=SAMPLE, crs=32633), patch_size=size, resolution=resolution)


def test_grids_are_known_and_in_metres() -> None:
    with pytest.raises(ConfigurationError, match="'hexagons' is unknown"):
        split_area(read_area(bbox=SAMPLE, crs=32633), patch_size=100, resolution=10, grid="hexagons")  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(GridError, match=r"EPSG:4326, which is not in metres"):
        split_area(read_area(bbox=(14, 46, 15, 47), crs=4326), patch_size=100, resolution=10, grid="bbox")


def test_the_area_of_a_file_is_the_union_of_its_polygons(tmp_path: Path) -> None:
    overlapping = [shapely.box(0, 0, 100, 100), shapely.box(50, 0, 150, 100), shapely.Point(500, 500)]
    area = read_area(file=write(tmp_path / "an area.gpkg", overlapping))
    assert area.crs is UTM33
    assert area.geometry.equals(shapely.box(0, 0, 150, 100))
    buffered = read_area(file=tmp_path / "an area.gpkg", buffer=10)
    assert buffered.geometry.bounds == (-10, -10, 510, 510)


def test_an_invalid_polygon_is_repaired(tmp_path: Path) -> None:
    bow_tie = shapely.Polygon([(0, 0), (100, 100), (100, 0), (0, 100)])
    assert read_area(file=write(tmp_path / "a.gpkg", [bow_tie])).geometry.area == pytest.approx(5000)


def test_a_buffer_in_degrees_is_still_in_metres() -> None:
    areas = [read_area(bbox=(14.9, 46, 15.1, 46.1), crs=4326, buffer=buffer).geometry for buffer in (0, 500)]
    plain, buffered = gpd.GeoSeries(areas, crs=4326).to_crs(32633)
    assert np.subtract(buffered.bounds, plain.bounds) == pytest.approx([-500, -500, 500, 500], abs=5)


def test_geojson_and_a_crs_given_for_a_file_without(tmp_path: Path) -> None:
    content = {"type": "Polygon", "coordinates": [[[14, 46], [15, 46], [15, 47], [14, 46]]]}
    (tmp_path / "a.geojson").write_text(json.dumps(content))
    assert read_area(file=tmp_path / "a.geojson").crs is CRS.WGS84
    bare = write(tmp_path / "bare.gpkg", [shapely.box(0, 0, 10, 10)], crs=None)
    assert read_area(file=bare, crs="EPSG:32633").crs is UTM33


def test_bad_areas_are_one_line_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "text.gpkg").write_text("no vector file")
    empty = write(tmp_path / "empty.gpkg", [])
    bare = write(tmp_path / "bare.gpkg", [shapely.box(0, 0, 10, 10)], crs=None)
    local = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 10, 10)], crs="+proj=tmerc +lon_0=15.3 +ellps=bessel")
    local.to_file(tmp_path / "local.gpkg", driver="GPKG")
    utm = write(tmp_path / "utm.gpkg", [shapely.box(0, 0, 10, 10)])
    point = write(tmp_path / "point.gpkg", [shapely.Point(0, 0)])
    cases: list[tuple[type[Exception], str, dict[str, object]]] = [
        (ConfigurationError, "exactly one", {}),
        (ConfigurationError, "exactly one", {"file": utm, "bbox": SAMPLE}),
        (AreaError, "is not there", {"file": tmp_path / "absent.gpkg"}),
        (AreaError, "cannot be read", {"file": tmp_path / "text.gpkg"}),
        (AreaError, "is empty", {"file": empty}),
        (GridError, "has no CRS", {"file": bare}),
        (GridError, "no known EPSG code", {"file": tmp_path / "local.gpkg"}),
        (GridError, "not in EPSG:4326", {"file": utm, "crs": 4326}),
        (AreaError, "has no area", {"file": point}),
        (AreaError, "has no area", {"file": utm, "buffer": -20}),
        (GridError, "has no CRS", {"bbox": SAMPLE}),
        (GridError, "no known EPSG code", {"bbox": SAMPLE, "crs": "EPSG:99999999"}),
        (AreaError, "give min x", {"bbox": (0, 0, 1), "crs": 32633}),
        (AreaError, "is empty", {"bbox": (10, 0, 0, 10), "crs": 32633}),
        (AreaError, "give min x", {"bbox": (0, 0, float("nan"), 10), "crs": 32633}),
    ]
    for kind, message, arguments in cases:
        with pytest.raises(kind, match=message) as caught:
            read_area(**arguments)  # type: ignore[arg-type]  # wrong on purpose
        assert "\n" not in str(caught.value)


def test_a_grid_comes_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a folder" / "grid.gpkg"
    patches = sample_patches()
    save_patch_grid(patches, path)
    assert read_patch_grid(path, 20) == patches
    halved = read_patch_grid(path, 10)
    assert {(patch.height, patch.width) for patch in halved} == {(256, 256)}
    assert [file.name for file in path.parent.iterdir()] == ["grid.gpkg"]


def test_a_grid_over_two_zones_comes_back(tmp_path: Path) -> None:
    patches = split_area(read_area(bbox=(11.9, 48, 12.1, 48.1), crs=4326), patch_size=5000, resolution=10)
    save_patch_grid(patches, tmp_path / "grid.gpkg")
    assert sorted(read_patch_grid(tmp_path / "grid.gpkg", 10), key=lambda patch: patch.name) == sorted(
        patches, key=lambda patch: patch.name
    )


def test_a_foreign_grid_is_named_by_position(tmp_path: Path) -> None:
    boxes = [shapely.box(x, y, x + 100, y + 100) for y in (0, 100) for x in (0, 100)]
    patches = read_patch_grid(write(tmp_path / "g.gpkg", boxes), 10)
    assert [patch.name for patch in patches] == ["patch_r01_c00", "patch_r01_c01", "patch_r00_c00", "patch_r00_c01"]


def test_bad_grids_are_refused(tmp_path: Path) -> None:
    box = shapely.box(0, 0, 100, 100)
    with pytest.raises(GridError, match="no whole number of pixels"):
        read_patch_grid(write(tmp_path / "a.gpkg", [box]), 30)
    with pytest.raises(GridError, match="patch 0 is no box"):
        read_patch_grid(write(tmp_path / "b.gpkg", [shapely.Polygon([(0, 0), (100, 0), (0, 100)])]), 10)
    with pytest.raises(GridError, match="has no CRS"):
        read_patch_grid(write(tmp_path / "c.gpkg", [box], crs=None), 10)
    with pytest.raises(GridError, match="not in metres"):
        read_patch_grid(write(tmp_path / "d.gpkg", [shapely.box(0, 0, 1, 1)], crs=4326), 10)
    with pytest.raises(AreaError, match="same name: x"):
        read_patch_grid(write(tmp_path / "e.gpkg", [box, shapely.box(100, 0, 200, 100)], name=["x", "x"]), 10)
    for number, name in enumerate(["A/1", "../C", "", None]):
        grid = write(tmp_path / f"name{number}.gpkg", [box, shapely.box(100, 0, 200, 100)], name=["x", name])
        with pytest.raises(AreaError, match=f"{grid.name}: {name or ''!r} is no name of an EOPatch: use one"):
            read_patch_grid(grid, 10)
    with pytest.raises(AreaError, match="has no patches"):
        read_patch_grid(write(tmp_path / "f.gpkg", []), 10)
    with pytest.raises(AreaError, match="There are no patches"):
        save_patch_grid([], tmp_path / "g.gpkg")
    assert not (tmp_path / "g.gpkg").exists()


def test_the_block_of_the_example_is_in_north_up_order(caplog: pytest.LogCaptureFixture) -> None:
    patches = split_area(read_area(bbox=(400000, 5000000, 440000, 5040000), crs=32633), patch_size=5000, resolution=10)
    centre = next(patch for patch in patches if (patch.row, patch.column) == (4, 3))
    block = select_block(patches, centre.name)
    assert [(patch.row, patch.column) for patch in block] == [
        (row, column) for row in range(2, 7) for column in range(1, 6)
    ]
    assert select_block(patches, patches.index(centre)) == block
    assert block[12] == centre
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert 0 < len(select_block(patches, 0, 1)) < 9
    assert "patches instead of 9" in caplog.text


@pytest.mark.parametrize("centre", ["nobody", 10_000, -1])
def test_an_unknown_centre_is_refused(centre: str | int) -> None:
    with pytest.raises(AreaError, match="There is no patch"):
        select_block(sample_patches(), centre)
