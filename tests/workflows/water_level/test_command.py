"""The command from end to end: files, pictures, exit codes, and what it leaves alone."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from eolearn.core import EOPatch, FeatureType

from eotasks.workflows.cli import main
from eotasks.workflows.water_level import pictures
from eotasks.workflows.water_level.sources.registry import SOURCES
from tests.builders.water import lakes as builders

LAKE = builders.outline()
FULL, LOW = builders.disk(), builders.disk(120)


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One EOPatch: full, low, under a cloud, frozen."""
    folder = tmp_path_factory.mktemp("patches")
    cloud, ice = {2: builders.disk(70, builders.CENTRE[0] + 100)}, {3: builders.disk(100)}
    builders.lake_patch(FULL, LOW, FULL, FULL, cloud=cloud, ice=ice).save(str(folder / "one"))
    return folder


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake, one far away, an empty outline."""
    shapes = [LAKE, shapely.box(0, 0, 10, 10), shapely.Polygon()]
    path = tmp_path_factory.mktemp("lakes") / "lakes.geojson"
    frame = builders.outlines(*shapes, name=["<b>Bled</b>", "far", ""]).to_crs(4326)
    features = [
        {
            "type": "Feature",
            "properties": {"id": row.id, "name": row.name},
            "geometry": shapely.geometry.mapping(row.geometry),
        }
        for row in frame.itertuples(index=False)
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def measure(patches: Path, lakes: Path, out: Path, *options: str) -> int:
    return main(["water-level", str(lakes), "--eopatches", str(patches), "--no-shadows", "--out", str(out), *options])


def rows_of(out: Path) -> list[dict[str, Any]]:
    with (out / "levels.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def measured(patches: Path, lakes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "levels"
    assert measure(patches, lakes, out) == 0
    return out


def test_files(measured: Path) -> None:
    found = sorted(str(path.relative_to(measured)) for path in measured.rglob("*") if path.is_file())
    assert found == [
        "extents.parquet", "levels.csv", "outlines.parquet", "pictures/001_a_levels.png", "pictures/001_a_outlines.png",
        "pictures/002_b_levels.png", "report.html", "summary.json",
    ]  # fmt: skip


def test_levels_and_statuses(measured: Path) -> None:
    rows = rows_of(measured)
    lake = [row for row in rows if row["id"] == "a"]
    assert [row["status"] for row in lake] == ["valid", "valid", "too_cloudy", "frozen"]
    assert [float(row["level"]) for row in lake[:2]] == pytest.approx([1, 120**2 / 180**2], abs=0.02)
    assert lake[0]["TIMESTAMP"] == "2020-05-01T10:00:00"
    assert {row["status"] for row in rows if row["id"] == "b"} == {"no_data"}
    assert [(row["status"], row["TIMESTAMP"]) for row in rows if row["id"] == "c"] == [("invalid_polygon", "")]


def test_measured_outlines(measured: Path) -> None:
    found = gpd.read_parquet(measured / "extents.parquet")
    assert found.crs.to_epsg() == 4326
    assert found["id"].tolist() == ["a", "a"]
    assert found.to_crs(32633).area.tolist() == pytest.approx(found["area"].tolist(), rel=0.02)
    assert gpd.read_parquet(measured / "outlines.parquet")["id"].tolist() == ["a", "b", "c"]


def test_the_page_is_escaped_and_says_what_was_done(measured: Path) -> None:
    page = (measured / "report.html").read_text()
    assert "<b>Bled" not in page
    assert "&lt;b&gt;Bled&lt;/b&gt;" in page
    assert "invalid polygon" in page
    assert "Water Observatory" in page
    summary = json.loads((measured / "summary.json").read_text())
    assert (summary["lakes"][0]["levels"], summary["lakes"][0]["dates"]) == (2, 4)
    assert summary["settings"]["max_water_cloud_fraction"] == 0.02


def test_summary_on_the_screen_and_results_of_the_same_kind_are_replaced(
    patches: Path, lakes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], undrawn_levels: None
) -> None:
    assert measure(patches, lakes, tmp_path / "out", "--format", "gpkg", "--pictures", "0") == 0
    printed = capsys.readouterr().out
    assert "1 frozen" in printed
    assert "Report: " in printed
    options = ("--bluedot-names", "--max-ice", "none", "--max-water-cloud", "none")
    assert measure(patches, lakes, tmp_path / "out", "--pictures", "0", *options) == 0
    found = {path.name for path in (tmp_path / "out").iterdir()}
    assert found == {"levels.csv", "extents.parquet", "outlines.parquet", "report.html", "summary.json"}
    rows = [row for row in rows_of(tmp_path / "out") if row["BLUEDOT_WB_ID"] == "a"]
    assert [row["MEAS_STATUS"] for row in rows] == ["1"] * 4
    assert float(rows[2]["SURF_WATER_LEVEL"]) < 0.95  # what the default protects from


@pytest.fixture
def undrawn_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eotasks.workflows.report.page._draw", lambda figure, image_format, dpi: (b"", (10, 10)))


def test_no_clear_date_is_no_error(lakes: Path, tmp_path: Path, undrawn_levels: None) -> None:
    builders.lake_patch(FULL, cloud={0: np.ones_like(FULL)}).save(str(tmp_path / "patches" / "one"))
    assert measure(tmp_path / "patches", lakes, tmp_path / "out") == 0
    assert [row["status"] for row in rows_of(tmp_path / "out") if row["id"] == "a"] == ["too_cloudy"]


def test_what_the_source_lacks_is_said_and_is_exit_code_1(
    lakes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], undrawn_levels: None
) -> None:
    patch = builders.lake_patch(FULL)
    patch.save(str(tmp_path / "patches" / "one"))
    options = ["--eopatches", str(tmp_path / "patches"), "--out", str(tmp_path / "out")]
    assert main(["water-level", str(lakes), *options]) == 1
    assert "SUN_ANGLES" in capsys.readouterr().out
    assert "request_error" in {row["status"] for row in rows_of(tmp_path / "out")}


def test_days_that_are_asked_for(patches: Path, lakes: Path, tmp_path: Path, undrawn_levels: None) -> None:
    assert measure(patches, lakes, tmp_path / "out", "--start", "2020-05-02", "--end", "2020-05-02") == 0
    assert [row["TIMESTAMP"][:10] for row in rows_of(tmp_path / "out") if row["id"] == "a"] == ["2020-05-02"]
    pictures = sorted(path.name for path in (tmp_path / "out" / "pictures").iterdir())
    assert pictures == ["001_a_outlines.png"]  # one date makes no chart
    assert "No level: the outline lies beyond the scene." in (tmp_path / "out" / "report.html").read_text()


def test_an_elevation_model_keeps_water_off_the_slopes(tmp_path: Path, undrawn_levels: None) -> None:
    import rasterio

    wide = FULL | builders.disk(70, builders.CENTRE[0] + 190)
    builders.lake_patch(wide).save(str(tmp_path / "patches" / "one"))
    builders.outlines(LAKE).to_file(tmp_path / "lakes.gpkg", engine="pyogrio")
    profile = {"driver": "GTiff", "width": 60, "height": 60, "count": 1, "dtype": "float32", "crs": "EPSG:32633"}
    with rasterio.open(tmp_path / "dem.tif", "w", transform=builders.TRANSFORM, **profile) as target:
        target.write(np.where(FULL, 5, 50).astype(np.float32), 1)
    options = ("--elevation", str(tmp_path / "dem.tif"))
    assert measure(tmp_path / "patches", tmp_path / "lakes.gpkg", tmp_path / "out", *options) == 0
    (row,) = rows_of(tmp_path / "out")
    assert row["sensor"] == "S2_NDWI_DEM"
    assert float(row["level"]) == pytest.approx(1, abs=0.01)
    assert float(row["level_without_veto"]) > 1.04


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give one source of pixels"),
        (["--demo", "--sample"], "give one source of pixels"),
        (["LAKES", "--demo"], "--demo has lakes of its own"),
        (["--eopatches", "PATCHES"], "come without lakes"),
        (["absent.gpkg", "--eopatches", "PATCHES"], "is not there"),
        (["LAKES", "--eopatches", "absent"], "no such folder"),
        (["LAKES", "--products", "absent"], "nothing is there"),
        (["LAKES", "--sample", "--start", "2020-01-01"], "has its own dates"),
        (["LAKES", "--eopatches", "PATCHES", "--start", "2020-02-01", "--end", "2020-01-01"], "exchange them"),
        (["LAKES", "--eopatches", "PATCHES", "--max-cloud", "20"], "max_cloud_fraction"),
        (["LAKES", "--sample", "--bands", "B03,B08"], "--bands is for --eopatches"),
        (["LAKES", "--eopatches", "PATCHES", "--resolution", "10"], "own pixels"),
        (["LAKES", "--eopatches", "PATCHES", "--bands", "B03,B8"], "B8"),
        (["LAKES", "--eopatches", "PATCHES", "--bands", "B03,B08,B08"], "each band once"),
        (["LAKES", "--eopatches", "PATCHES", "--bands", "B02,B03,B04,B08,B11"], "has 13 bands"),
        (["LAKES", "--products", "PATCHES"], "PATCHES"),
        (["LAKES", "--products", "JUNK"], "junk.parquet"),
        (["LAKES", "--eopatches", "PATCHES", "--pictures", "-1"], "no number of lakes"),
        (["LAKES", "--eopatches", "PATCHES", "--elevation", "absent.tif"], "absent.tif"),
    ],
)
def test_bad_input_is_refused_before_work(
    arguments: list[str], words: str, patches: Path, lakes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "junk.parquet").write_text("x")
    named = {"PATCHES": str(patches), "LAKES": str(lakes), "JUNK": str(tmp_path / "junk.parquet")}
    given = [named.get(each, each) for each in arguments]
    assert main(["water-level", *given, "--out", str(tmp_path / "out")]) == 2
    assert named.get(words, words) in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_things_is_left_alone(patches: Path, lakes: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert measure(patches, lakes, tmp_path) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_help_names_every_source(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["water-level", "--help"])
    printed = capsys.readouterr().out
    assert all(source.option in printed for source in SOURCES)
    assert "eotasks water-level --demo" in printed


def test_every_status_without_a_level_has_a_color() -> None:
    from eotasks.models.water.vocabulary import MeasurementStatus

    dated = {each.name.lower() for each in MeasurementStatus} - {"valid", "invalid_polygon"}
    assert dated <= set(pictures.STATUS_COLORS)


def test_patches_without_timestamps_or_masks(tmp_path: Path, lakes: Path, undrawn_levels: None) -> None:
    patch = EOPatch(bbox=builders.BOX)
    patch[FeatureType.MASK_TIMELESS, "X"] = np.zeros((60, 60, 1), dtype=np.uint8)
    patch.save(str(tmp_path / "patches" / "one"))
    assert measure(tmp_path / "patches", lakes, tmp_path / "out") == 1
    assert "request_error" in {row["status"] for row in rows_of(tmp_path / "out")}


def test_days_without_a_frame_are_rows_that_say_so(
    patches: Path, lakes: Path, tmp_path: Path, undrawn_levels: None
) -> None:
    assert measure(patches, lakes, tmp_path / "out", "--start", "2021-01-01") == 0
    rows = [(row["id"], row["status"], row["TIMESTAMP"]) for row in rows_of(tmp_path / "out")]
    assert rows == [("a", "no_data", ""), ("b", "no_data", ""), ("c", "invalid_polygon", "")]


def test_a_patch_that_cannot_be_read_is_a_failure_and_the_others_go_on(
    lakes: Path, tmp_path: Path, undrawn_levels: None
) -> None:
    for name in ("broken", "whole"):
        builders.lake_patch(FULL).save(str(tmp_path / "patches" / name))
    (tmp_path / "patches" / "broken" / "bbox.geojson").write_text("{")
    assert measure(tmp_path / "patches", lakes, tmp_path / "out") == 1
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [each["job"] for each in summary["failures"]] == ["EOPatch broken"]
    rows = [(row["id"], row["status"]) for row in rows_of(tmp_path / "out")]
    assert rows == [("a", "valid"), ("b", "request_error"), ("c", "invalid_polygon")]


def test_patches_of_which_none_can_be_read(lakes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    builders.lake_patch(FULL).save(str(tmp_path / "patches" / "broken"))
    (tmp_path / "patches" / "broken" / "bbox.geojson").write_text("{")
    assert measure(tmp_path / "patches", lakes, tmp_path / "out") == 2
    assert "broken" in capsys.readouterr().err


def test_bands_that_show_no_ice_are_refused_before_work(
    lakes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], undrawn_levels: None
) -> None:
    patch = builders.lake_patch(FULL)
    chosen = [builders.BANDS.index(name) for name in ("B03", "B08")]
    patch[FeatureType.DATA, "BANDS"] = patch[FeatureType.DATA, "BANDS"][..., chosen]
    patch.save(str(tmp_path / "patches" / "one"))
    assert measure(tmp_path / "patches", lakes, tmp_path / "out", "--bands", "B03,B08") == 2
    assert "to tell ice from water" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert measure(tmp_path / "patches", lakes, tmp_path / "out", "--bands", "B03,B08", "--max-ice", "none") == 0
    assert rows_of(tmp_path / "out")[0]["status"] == "valid"
