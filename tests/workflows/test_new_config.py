"""A configuration to begin with, for the area of whoever asks."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

import geopandas as gpd
import pytest
import shapely

from eotasks.extras import command_line
from eotasks.sources.sample import SAMPLE_BBOX
from eotasks.workflows.land_cover.config_file import load_config, parse_config
from tests.builders.command_line import command
from tests.builders.land_cover_runs import without_pictures

AREA = shapely.box(12.50, 52.45, 12.55, 52.48)


def write(path: Path, *, crs: str | None = "EPSG:4326", **columns: list[object]) -> Path:
    count = max((len(values) for values in columns.values()), default=1)
    gpd.GeoDataFrame(columns, geometry=[AREA] * count, crs=crs).to_file(path)
    return path


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    without_pictures(monkeypatch)


def printed(*arguments: str | Path) -> str:
    result = command("new-config", "land-cover", *arguments)
    assert (result.code, result.err) == (0, "")
    return result.out


@pytest.mark.parametrize("source", ["scenes", "sentinelhub"])
@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32633", "EPSG:3035"])
def test_it_is_a_configuration_of_that_area(source: str, crs: str, tmp_path: Path) -> None:
    path = tmp_path / "my area.gpkg"
    gpd.GeoDataFrame(geometry=[AREA], crs="EPSG:4326").to_crs(crs).to_file(path)
    text = printed("--area", path, "--source", source)
    config = parse_config(text)
    assert config.area.file == str(path)
    assert (config.area.grid, config.area.patch_size, config.source.kind) == ("utm", 2500, source)
    assert config.title == "Land cover of my area"
    assert "patches in EPSG:32633" in text.splitlines()[0]
    assert text.count("TO DO") == 1, "the labels"


def test_a_large_area_has_large_patches(tmp_path: Path) -> None:
    path = tmp_path / "state.gpkg"
    gpd.GeoDataFrame(geometry=[shapely.box(12, 51, 14, 53)], crs="EPSG:4326").to_file(path)
    config = parse_config(printed("--area", path, "--resolution", "60"))
    assert config.area.patch_size == 9_960
    assert config.area.patch_size % 60 == 0


def test_labels_are_looked_at(tmp_path: Path) -> None:
    area = write(tmp_path / "area.geojson")
    ids = write(tmp_path / "ids.gpkg", lulcid=[1, 2, 2])
    config = parse_config(printed("--area", area, "--labels", ids))
    assert (config.reference.path, config.reference.column, config.reference.classes) == (str(ids), "lulcid", None)
    names = write(tmp_path / "names.gpkg", kind=["forest", "wetlands", "moon"], other=["a", "b", "c"])
    text = printed("--area", area, "--labels", names, "--column", "kind")
    reference = parse_config(text).reference
    assert reference.classes == {"forest": "Forest", "wetlands": "Wetland"}
    assert reference.ignore_unmapped
    assert '# TO DO, of no class yet: "moon"' in text
    none = write(tmp_path / "none.gpkg", kind=["moon"])
    assert parse_config(printed("--area", area, "--labels", none)).reference.classes is None


def test_products_and_level(tmp_path: Path) -> None:
    area = write(tmp_path / "area.geojson")
    by_default = tomllib.loads(printed("--area", area))
    assert by_default["source"]["products"].startswith("https://")
    assert (by_default["source"]["level"], by_default["clouds"]["method"]) == ("L2A", "source")
    own = tomllib.loads(printed("--area", area, "--products", tmp_path / "archive", "--year", "2023"))
    assert own["source"]["products"] == str(tmp_path / "archive")
    assert (own["source"]["level"], own["clouds"]["method"]) == ("L1C", "single-scene")
    assert str(own["time"]["end"]) == "2023-12-31"


@pytest.mark.parametrize("mark", ["", "/"])
@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
def test_earth_search_in_any_spelling(scheme: str, mark: str, tmp_path: Path) -> None:
    area, url = write(tmp_path / "area.geojson"), f"{scheme}://earth-search.aws.element84.com/v1{mark}"
    for options in ([], ["--products", url]):
        text = printed("--area", area, *options)
        source = tomllib.loads(text)["source"]
        assert (source["level"], source["collections"]) == ("L2A", ["sentinel-2-c1-l2a"])
        assert parse_config(text).source.kind == "scenes"
    assert "collections" not in tomllib.loads(printed("--area", area, "--products", url, "--level", "L1C"))["source"]
    other = tomllib.loads(printed("--area", area, "--products", f"{scheme}://example.org/stac{mark}"))["source"]
    assert (other["level"], "collections" in other) == ("L2A", False)


def test_written_to_a_file(tmp_path: Path) -> None:
    area, out = write(tmp_path / "area.geojson"), tmp_path / "folder" / "mine.toml"
    result = command("new-config", "land-cover", "--area", area, "--out", out)
    assert (result.code, result.out) == (0, "")
    assert f"eotasks land-cover --config {out} --dry-run" in result.err
    assert load_config(out).area.file == str(area)
    again = command("new-config", "land-cover", "--area", area, "--out", out)
    assert (again.code, again.err) == (2, f"eotasks: {out} exists: give another --out, or remove it.\n")


def test_it_says_what_is_to_do_and_a_command_that_works_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "eotasks").touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    area = write(tmp_path / "area.geojson")
    lines = command("new-config", "land-cover", "--area", area, "--out", "my file.toml").err.splitlines()
    assert lines == [
        "Written: my file.toml",
        "TO DO: the file of your labels, and its column with the class.",
        "Then: .venv/bin/eotasks land-cover --config 'my file.toml' --dry-run",
    ]
    moons = write(tmp_path / "moons.gpkg", kind=[f"moon {number}" for number in range(30)])
    told = command("new-config", "land-cover", "--area", area, "--labels", moons, "--out", "second.toml").err
    assert told.count("TO DO") == 1
    assert "Forest" in told.splitlines()[1], "in one line, to its end"
    monkeypatch.setenv("PATH", str(tmp_path / ".venv" / "bin"))
    (tmp_path / ".venv" / "bin" / "eotasks").chmod(0o755)
    assert command_line() == "eotasks"


TRIANGLE = shapely.Polygon([(336_400, 5_816_280), (340_000, 5_816_300), (338_900, 5_819_800)])
CORNER = shapely.box(330_000, 5_814_360, 330_900, 5_815_000)


@pytest.mark.parametrize("resolution", [10, 20, 60])
@pytest.mark.parametrize("source", ["simulated", "sample"])
@pytest.mark.parametrize(("shape", "crs"), [(TRIANGLE, "EPSG:4326"), (CORNER, "EPSG:32633")], ids=["inside", "corner"])
def test_of_the_embedded_scene_it_runs_unchanged(
    shape: shapely.Polygon, crs: str, source: str, resolution: int, tmp_path: Path
) -> None:
    path, out = tmp_path / "area.gpkg", tmp_path / "mine.toml"
    gpd.GeoDataFrame(geometry=[shape], crs="EPSG:32633").to_crs(crs).to_file(path)
    options = ("--source", source, "--resolution", str(resolution))
    result = command("new-config", "land-cover", "--area", path, *options, "--out", out)
    assert (result.code, "TO DO" in result.err) == (0, False)
    config = load_config(out)
    assert (config.source.kind, config.reference.kind) == (source, "sample")
    assert config.clouds.method == "single-scene"
    plan = config.source.plan(config)
    assert len(plan.patches) >= 2
    assert all(patch.bbox.geometry.within(SAMPLE_BBOX.geometry) for patch in plan.patches)
    if resolution == 20:
        assert command("land-cover", "--config", out, "--dry-run").code == 0


@pytest.mark.trial
@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("source", ["simulated", "sample"])
def test_the_whole_run_of_it(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    gpd.GeoDataFrame(geometry=[TRIANGLE], crs="EPSG:32633").to_file("area.gpkg")
    written = command(
        "new-config",
        "land-cover",
        "--area",
        "area.gpkg",
        "--source",
        source,
        "--resolution",
        "20",
        "--out",
        "mine.toml",
    )
    assert written.code == 0
    result = command("land-cover", "--config", "mine.toml", "--executor", "serial")
    assert (result.code, result.err) == (0, "")


@pytest.mark.parametrize("source", ["simulated", "sample"])
@pytest.mark.parametrize("shift", [200_000, 15_000], ids=["elsewhere", "over its edge"])
def test_an_area_outside_of_the_embedded_scene(source: str, shift: int, tmp_path: Path) -> None:
    path = tmp_path / "area.gpkg"
    shape = shapely.box(330_000 + shift, 5_815_000, 331_000 + shift, 5_816_000)
    gpd.GeoDataFrame(geometry=[shape], crs="EPSG:32633").to_file(path)
    result = command("new-config", "land-cover", "--area", path, "--source", source)
    assert (result.code, result.out) == (2, "")
    for word in ("330000", "5814360", "345360", "5822040", "EPSG:32633", "leave out --source"):
        assert word in result.err


def test_out_is_a_file() -> None:
    assert "--out FILE" in command("new-config", "land-cover", "--help").out


def test_a_name_can_add_no_line(tmp_path: Path) -> None:
    area, odd = write(tmp_path / 'a"b#.geojson'), 'x"\nseed = 1\n#'
    config = parse_config(printed("--area", area, "--products", tmp_path / odd))
    assert (config.seed, config.area.file) == (42, str(area))
    assert getattr(config.source, "products", None) == str(tmp_path / odd)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["--area"]),
        (["--area", "absent.geojson"], ["absent.geojson", "check the path"]),
        (["--area", "AREA", "--products", "x", "--source", "sentinelhub"], ["--products", "--source scenes"]),
        (["--area", "AREA", "--column", "x"], ["--column", "--labels"]),
        (["--area", "AREA", "--labels", "absent.gpkg"], ["absent.gpkg"]),
        (["--area", "AREA", "--labels", "AREA"], ["has no column"]),
        (["--area", "AREA", "--labels", "LABELS", "--column", "clas"], ["no column 'clas'", "did you mean 'class'"]),
        (["--area", "AREA", "--labels", "LABELS"], ["'class', 'name'", "which one"]),
        (["--area", "NOWHERE"], ["has no CRS", "crs"]),
        (["--area", "AREA", "--year", "20223"], ["--year 20223", "since 2015"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_refused(arguments: list[str], words: list[str], tmp_path: Path) -> None:
    (tmp_path / "nowhere.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    files = {
        "AREA": write(tmp_path / "area.geojson"),
        "LABELS": write(tmp_path / "labels.gpkg", **{"class": ["a"], "name": ["b"]}),
        "NOWHERE": write(tmp_path / "nowhere.gpkg", crs=None),
    }
    result = command("new-config", "land-cover", *(files.get(each, each) for each in arguments))
    assert (result.code, result.out) == (2, "")
    for word in words:
        assert word in result.err
