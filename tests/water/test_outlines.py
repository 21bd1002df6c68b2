"""Outlines as others write them: formats, coordinate systems, ids, and shapes that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely

from eotasks.errors import AreaError, ConfigurationError, EOTasksError, GridError
from eotasks.water.outlines import checked_outlines, read_outlines
from tests.builders.water import lakes as builders

LAKE, OTHER = builders.outline(), shapely.box(builders.LEFT, builders.TOP - 100, builders.LEFT + 100, builders.TOP)


def write(path: Path, frame: gpd.GeoDataFrame) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_file(path, engine="pyogrio")
    return path


@pytest.mark.parametrize("ending", ["gpkg", "geojson", "shp", "parquet"])
def test_formats(tmp_path: Path, ending: str) -> None:
    frame = builders.outlines(LAKE, OTHER, name=["Bled", None], id=[7, 9])
    if ending == "geojson":
        frame = frame.to_crs(4326)
    found = read_outlines(write(tmp_path / f"lakes.{ending}", frame))
    assert found["id"].tolist() == ["7", "9"]
    assert found["name"].tolist() == ["Bled", ""]
    assert found.to_crs(32633).area.tolist() == pytest.approx([LAKE.area, OTHER.area], rel=1e-4)


def test_ids_of_a_named_column_and_numbers_where_there_are_none(tmp_path: Path) -> None:
    frame = builders.outlines(LAKE, OTHER, id=["x", "x"], code=[1.0, 2.0])
    path = write(tmp_path / "lakes.gpkg", frame)
    assert read_outlines(path, id_column="code")["id"].tolist() == ["1", "2"]
    with pytest.raises(AreaError, match=r"ids that are there twice, x: .*--id-column"):
        read_outlines(path)
    with pytest.raises(AreaError, match=r"no column 'codes' \(did you mean 'code'\?\)"):
        read_outlines(path, id_column="codes")
    write(tmp_path / "plain.gpkg", builders.outlines(LAKE, OTHER).drop(columns="id"))
    assert read_outlines(tmp_path / "plain.gpkg")["id"].tolist() == ["1", "2"]
    write(tmp_path / "gaps.gpkg", builders.outlines(LAKE, OTHER, id=["a", None]))
    with pytest.raises(AreaError, match="1 outlines have no 'id'"):
        read_outlines(tmp_path / "gaps.gpkg")


def test_what_is_no_polygon_stays_as_an_empty_outline(tmp_path: Path) -> None:
    bow = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
    point = {"type": "Point", "coordinates": [0, 0]}
    shapes = [shapely.geometry.mapping(bow), None, point, {"type": "Polygon", "coordinates": []}]
    features = [
        {"type": "Feature", "properties": {"id": str(number)}, "geometry": shape} for number, shape in enumerate(shapes)
    ]
    path = tmp_path / "odd.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    found = read_outlines(path)
    assert found.geometry.is_empty.tolist() == [False, True, True, True]
    assert found.geometry.iloc[0].is_valid
    assert found.geometry.iloc[0].area == pytest.approx(50)


def test_a_hundred_thousand_corners(tmp_path: Path) -> None:
    angle = np.linspace(0, 2 * np.pi, 100_000, endpoint=False)
    shape = shapely.Polygon(np.stack([np.cos(angle), np.sin(angle)], axis=1) * 150 + builders.CENTRE)
    found = read_outlines(write(tmp_path / "long.gpkg", builders.outlines(shape)))
    assert shapely.get_num_coordinates(found.geometry.iloc[0]) == 100_001


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("absent.gpkg", None, "is not there"),
        ("absent.parquet", None, "is not there"),
        ("broken.gpkg", b"SQLite format 3\0broken", "cannot be read"),
        ("broken.parquet", b"PAR1 and nothing more", "cannot be read as GeoParquet"),
        ("empty.geojson", b'{"type": "FeatureCollection", "features": []}', "no feature"),
    ],
)
def test_files_that_hold_none(tmp_path: Path, name: str, content: bytes | None, error: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(AreaError, match=error):
        read_outlines(tmp_path / name)


def test_too_many_outlines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EOTASKS_MAX_VECTOR_FEATURES", "1")
    for name in ("lakes.gpkg", "lakes.parquet"):
        write(tmp_path / name, builders.outlines(LAKE, OTHER))
        with pytest.raises(AreaError, match="EOTASKS_MAX_VECTOR_FEATURES"):
            read_outlines(tmp_path / name)


def test_a_file_without_a_system_needs_one(tmp_path: Path) -> None:
    frame = without_system()
    path = tmp_path / "lakes.gpkg"
    with pytest.warns(UserWarning, match="crs"):
        frame.to_file(path, engine="pyogrio")
    with pytest.raises(GridError, match="no CRS"):
        read_outlines(path)
    assert read_outlines(path, crs="EPSG:32633").crs.to_epsg() == 32633


def without_system() -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"id": ["a"]}, geometry=[LAKE])


@pytest.mark.parametrize(
    ("outlines", "error"),
    [
        (lambda: builders.outlines(LAKE).drop(columns="id"), ConfigurationError),
        (without_system, ConfigurationError),
        (lambda: "lakes.gpkg", ConfigurationError),
        (lambda: builders.outlines(LAKE, LAKE, id=["a", "a"]), AreaError),
        (lambda: builders.outlines(LAKE).iloc[:0], AreaError),
    ],
    ids=["no id", "no system", "a path", "twice", "none"],
)
def test_outlines_in_memory_are_checked(outlines: Any, error: type[EOTasksError]) -> None:
    with pytest.raises(error):
        checked_outlines(outlines())


def test_the_users_frame_stays_as_it_is() -> None:
    frame = builders.outlines(LAKE, id=[5], depth=[3.0])
    before = frame.copy(deep=True)
    assert checked_outlines(frame)["id"].tolist() == ["5"]
    gpd.testing.assert_geodataframe_equal(frame, before)
