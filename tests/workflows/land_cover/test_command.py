"""The command's manners: what it refuses and how, what it shows without doing anything."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
from eolearn.core import FeatureType
from numpy.typing import NDArray
from shapely.geometry import Point, box

from eotasks.errors import ConfigurationError, ProductSkippedWarning
from eotasks.sources.sample import open_sample, sample_path
from eotasks.sources.simulated import sample_ground
from eotasks.storage.place import Place
from eotasks.workflows.land_cover.claim import CONFIG_FILE, INPUTS_FILE, claim_place, remove_results
from eotasks.workflows.land_cover.config_file import load_config, parse_config
from eotasks.workflows.land_cover.run import LandCoverExample, chain_configs
from eotasks.workflows.land_cover.sources.simulated import SimulatedSource
from tests import ROOT
from tests.builders.command_line import (
    BANDS,
    BANDS_FEATURES,
    EOPATCHES,
    NDVI_FEATURES,
    SAMPLE,
    Sections,
    change_feature,
    command,
    merged,
    tree,
    write_config,
    write_eopatches,
)

UTM = "EPSG:32633"
INSIDE = box(336_400, 5_816_280, 338_960, 5_818_840)

Prepare = Callable[[Path], None]


def nothing(folder: Path) -> None:
    """No file beside the configuration."""


def write_labels(folder: Path, *, crs: str | None = UTM, geometry: object = INSIDE) -> None:
    write_vectors(folder / "labels.gpkg", gpd.GeoDataFrame({"lulcid": [3], "geometry": [geometry]}, crs=crs))


def write_area(folder: Path, *, crs: str | None = UTM, geometries: tuple[object, ...] = (INSIDE,)) -> None:
    write_vectors(folder / "area.gpkg", gpd.GeoDataFrame({"geometry": list(geometries)}, geometry="geometry", crs=crs))


def write_vectors(path: Path, frame: gpd.GeoDataFrame) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="'crs' was not provided")
        pyogrio.write_dataframe(frame, path, geometry_type="Polygon")


def labels_raster(crs: str | None, left: float) -> Prepare:
    def prepare(folder: Path) -> None:
        transform = rasterio.Affine(20, 0, left, 0, -20, 5_820_000)
        with rasterio.open(
            folder / "labels.tif", "w", driver="GTiff", width=200, height=200, count=1, dtype="uint8", crs=crs,
            transform=transform,
        ) as target:  # fmt: skip
            target.write(np.ones((1, 200, 200), dtype=np.uint8))

    return prepare


def eopatches(*, bands: bool = False, feature: str = "", change: Callable[..., object] | None = None) -> Prepare:
    def prepare(folder: Path) -> None:
        place = write_eopatches(folder / "eopatches", bands=bands)
        if change is not None:
            kind, _, name = feature.partition("/")
            change_feature(place, FeatureType(kind), name, change)

    return prepare


def with_nan(bands: NDArray[np.float32]) -> NDArray[np.float32]:
    changed = bands.copy()
    changed[2, 3, 4, 5] = np.nan
    return changed


VECTOR: Sections = merged(SAMPLE, {"reference": {"kind": "vector", "path": "labels.gpkg"}})
RASTER: Sections = merged(SAMPLE, {"reference": {"kind": "raster", "path": "labels.tif"}})
AREA_FILE: Sections = merged(SAMPLE, {"area": {"bbox": None, "crs": None, "file": "area.gpkg"}})
OWN_CLOUDS: Sections = merged(BANDS, {"clouds": {"method": "single-scene"}})
SERVICE: Sections = {
    **merged(SAMPLE, {"source": {"kind": "sentinelhub"}, "clouds": {"method": "source", "resolution": None}}),
    "reference": {"kind": "vector", "path": "labels.gpkg"},
}
BAD_INPUT: dict[str, tuple[Sections, Prepare, list[str]]] = {
    "unknown key": (
        merged(SAMPLE, {"source": {"acquisition": 3}}), nothing,
        ["source.acquisition", "unknown key", "--print-config"],
    ),
    "unknown section": (merged(SAMPLE, {"cloud": {"threshold": 0.3}}), nothing, ["cloud", "unknown key"]),
    "negative seed": (merged(SAMPLE, {"validation": {"seeds": [1, -1]}}), nothing, ["validation.seeds", "greater"]),
    "label file is missing": (VECTOR, nothing, ["labels.gpkg", "check the path"]),
    "label raster is missing": (RASTER, nothing, ["labels.tif", "reference.path"]),
    "area file is missing": (AREA_FILE, nothing, ["area.gpkg", "check the path"]),
    "EOPatches are missing": (EOPATCHES, nothing, ["eopatches: no such folder", "Give the folder"]),
    "labels without CRS": (VECTOR, lambda f: write_labels(f, crs=None), ["labels.gpkg", "coordinate system", "-a_srs"]),
    "label raster without CRS": (RASTER, labels_raster(None, 336_400), ["labels.tif", "coordinate system"]),
    "area without CRS": (AREA_FILE, lambda f: write_area(f, crs=None), ["area.gpkg", "no CRS", "give one"]),
    "CRS mismatch of the area": (
        merged(AREA_FILE, {"area": {"crs": "EPSG:32634"}}), write_area, ["EPSG:32633, not in EPSG:32634", "reproject"],
    ),
    "CRS in degrees for a grid in metres": (
        merged(SAMPLE, {"area": {"bbox": [12.5, 52.4, 12.6, 52.5], "crs": "EPSG:4326"}}), nothing,
        ["not in metres", "UTM zone"],
    ),
    "CRS that is none": (merged(SAMPLE, {"area": {"crs": "EPSG:1"}}), nothing, ["EPSG:1", "EPSG:32633"]),
    "labels without the value column": (
        merged(VECTOR, {"reference": {"column": "land_use"}}), write_labels, ["land_use", "'lulcid'", "labels.gpkg"],
    ),
    "labels without the layer": (
        merged(VECTOR, {"reference": {"layer": "fields"}}), write_labels, ["'fields'", "'labels'", "labels.gpkg"],
    ),
    "a label without a class": (
        merged(VECTOR, {"reference": {"classes": {"5": "Water"}}}), write_labels, ["no class: 3", "ignore_unmapped"],
    ),
    "no label file at this place": (
        VECTOR, lambda f: write_labels(f, geometry=box(400_000, 5_816_000, 401_000, 5_817_000)),
        ["None of the 4 patches has a label", "400000", "Choose another area"],
    ),
    "no label raster at this place": (RASTER, labels_raster(UTM, 600_000), ["None of the 4 patches has a label"]),
    "no label in the file": (VECTOR, lambda f: write_labels(f, geometry=None), ["None of the 4 patches has a label"]),
    "no patch with labels": (
        EOPATCHES, eopatches(feature="mask_timeless/LULC", change=np.zeros_like),
        ["None of the 4 patches has a labelled pixel", "check that the reference covers the area"],
    ),
    "no label left after erosion": (
        merged(VECTOR, {"reference": {"erosion_radius": 9}}),
        lambda f: write_labels(f, geometry=Point(337_000, 5_818_000).buffer(60)),
        ["has a labelled pixel", "erosion_radius"],
    ),
    "one class alone": (VECTOR, write_labels, ["of class 3", "at least two", "reference.classes"]),
    "no frame left after filtering": (
        EOPATCHES, eopatches(feature="mask/CLM", change=np.ones_like),
        ["4 patches failed", "filter cloudy dates", "0 of 8 frames", "Lower the threshold"],
    ),
    "no frame in the period": (
        merged(EOPATCHES, {"time": {"start": "2020-01-01", "end": "2020-12-31"}}), eopatches(),
        ["8 acquisitions, none from 2020-01-01", "change time.start"],
    ),
    "a band is missing for the clouds": (
        merged(OWN_CLOUDS, {"source": {"bands": ["B02", "B03", "B04", "B08"]}}),
        eopatches(bands=True), ["clouds.method", "lacks B01", "clouds.method = 'source'"],
    ),
    "a band is missing for the model": (
        merged(BANDS, {"source": {"bands": ["B02", "B03"]}}),
        eopatches(bands=True), ["features.bands", "band B04, B08 is missing", "B02, B03"],
    ),
    "other bands than said": (
        merged(OWN_CLOUDS, {"source": {"features": {**BANDS_FEATURES, "BANDS": "data/NDVI"}}}),
        eopatches(), ["4 patches failed", "BANDS", "1 band"],
    ),
    "a band is missing for the service": (
        merged(SERVICE, {"features": {"bands": ["B05"]}}), write_labels, ["features.bands: B05", "source.bands"],
    ),
    "a feature is missing in the EOPatches": (
        merged(EOPATCHES, {"source": {"features": {**NDVI_FEATURES, "CLM": "mask/CLOUDS"}}}), eopatches(),
        ["has 'mask/CLOUDS' for CLM", "mask/CLM", "Correct the mapping"],
    ),
    "a feature is not mapped": (
        merged(EOPATCHES, {"source": {"features": {"NDVI": "data/NDVI", "IS_DATA": "mask/IS_DATA"}}}), eopatches(),
        ["clouds.method 'source'", "CLM", "map it in source.features"],
    ),
    "NaN input": (
        BANDS, eopatches(bands=True, feature="data/BANDS", change=with_nan),
        ["north-west", "data/BANDS of 2017-04-10", "NaN or infinity", "IS_DATA"],
    ),
    "raw numbers where reflectance is due": (
        BANDS, eopatches(bands=True, feature="data/BANDS", change=lambda bands: bands * 10_000),
        ["north-west", "data/BANDS of 2017-01-10", "raw digital numbers", "Divide by 10000"],
    ),
    "empty box": (
        merged(SAMPLE, {"area": {"bbox": [338_960, 5_816_280, 336_400, 5_818_840]}}), nothing,
        ["bbox", "empty", "minimum below its maximum"],
    ),
    "empty area file": (AREA_FILE, lambda f: write_area(f, geometries=()), ["area.gpkg", "at least one polygon"]),
    "area outside of the scene": (
        merged(SAMPLE, {"area": {"bbox": [300_000, 5_700_000, 302_560, 5_702_560]}}), nothing,
        ["outside of the embedded scene", "eotasks new-config land-cover"],
    ),
    "patches of no whole number of pixels": (
        merged(SAMPLE, {"area": {"patch_size": 1290}}), nothing, ["1290", "whole number of pixels", "multiple"],
    ),
    "a single patch to split": (
        merged(SAMPLE, {"area": {"patch_size": 2560}}), nothing, ["of 1 patches", "split by blocks"],
    ),
    "unknown parameter of the model": (
        merged(SAMPLE, {"model": {"parameters": {"num_trees_of_life": 3}}}), nothing, ["num_trees_of_life"],
    ),
    "output elsewhere": (merged(SAMPLE, {"output": {"folder": "gs://bucket/x"}}), nothing, ["gs://bucket/x", "s3://"]),
    "sentinelhub without credentials": (SERVICE, write_labels, ["Sentinel Hub needs an account", "SH_CLIENT_ID"]),
}  # fmt: skip


@pytest.mark.usefixtures("no_account")
@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_line_and_leaves_nothing(case: str, tmp_path: Path) -> None:
    sections, prepare, words = BAD_INPUT[case]
    prepare(tmp_path)
    result = command("land-cover", "--config", write_config(tmp_path, sections))
    assert (result.code, result.err.count("\n")) == (2, 1), result.err
    assert result.err.startswith("eotasks: ")
    assert "Traceback" not in result.out
    for word in words:
        assert word in result.err
    assert not (tmp_path / "out").exists()


@pytest.fixture
def damaged_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The embedded scene as an interrupted copy leaves it: one band breaks off in the middle."""
    copy = tmp_path / "scene"
    shutil.copytree(sample_path(), copy)
    band = next(copy.glob("*B04.jp2"))
    band.write_bytes(band.read_bytes()[: band.stat().st_size // 2])
    monkeypatch.setattr("eotasks.sources.sample.sample_path", lambda: copy)
    for cache in (open_sample, sample_ground):
        cache.cache_clear()
    yield band
    for cache in (open_sample, sample_ground):
        cache.cache_clear()


@pytest.mark.parametrize("kind", ["sample", "simulated"])
def test_damaged_jp2(kind: str, tmp_path: Path, damaged_scene: Path) -> None:
    sections = merged(SAMPLE, {"source": {"kind": kind}, "area": {"resolution": 40}})
    result = command("land-cover", "--config", write_config(tmp_path, sections))
    assert (result.code, result.err.count("\n")) == (2, 1), result.err
    for word in ("4 patches failed", "step 'source'", str(damaged_scene.parent), damaged_scene.name, "Fetch it again"):
        assert word in result.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "absent.toml"], ["'absent.toml'", "There is no configuration", "check the path"]),
        (["--seed", "-1"], ["seed", "greater than or equal to 0"]),
        (["--workers", "0"], ["run.workers", "greater than or equal to 1"]),
        (["--patch-timeout", "0"], ["run.patch_timeout", "greater than 0"]),
        (["--patch-timeout", "nan"], ["run.patch_timeout", "finite"]),
        (["--patch-timeout", "60", "--executor", "threads"], ["patch_timeout = 60", "'processes' or 'ray'"]),
        (["--full", "--config", "eopatches"], ["--full", "area.resolution"]),
    ],
)
def test_bad_options(arguments: list[str], words: list[str]) -> None:
    result = command("land-cover", *arguments)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    for word in words:
        assert word in result.err


@pytest.mark.parametrize("arguments", [["landcover"], [], ["land-cover", "--colour"], ["land-cover", "--seed", "x"]])
def test_unknown_commands_and_options(arguments: list[str]) -> None:
    result = command(*arguments)
    assert (result.code, result.out) == (2, "")
    assert "usage: eotasks" in result.err


def test_verbose_shows_where_an_error_comes_from() -> None:
    result = command("land-cover", "--verbose", "--config", "absent.toml")
    assert result.code == 2
    assert "Traceback" in result.err
    assert result.err.splitlines()[-1].startswith("eotasks: There is no configuration 'absent.toml': check")


def test_a_fault_of_ours_does_not_look_like_failed_patches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(self: object, reporter: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr("eotasks.workflows.land_cover.run.LandCoverExample.run", run)
    result = command("land-cover", "--config", write_config(tmp_path, SAMPLE))
    assert result.code == 70
    assert "Traceback" in result.err
    assert result.err.splitlines()[-1] == "eotasks: a fault of eotasks itself: KeyError: 'ours'"


def test_results_and_inputs_need_folders_of_their_own(tmp_path: Path) -> None:
    """--overwrite must never reach what a run is made of."""
    eopatches()(tmp_path)
    folder = tmp_path / str(EOPATCHES["source"]["folder"])
    before = tree(folder)
    for output in (folder, folder.parent, folder / "results"):
        config = write_config(tmp_path, merged(EOPATCHES, {"output": {"folder": str(output)}}))
        result = command("land-cover", "--config", config, "--overwrite")
        assert (result.code, result.err.count("\n")) == (2, 1), result.err
        assert "source.folder" in result.err
    assert tree(folder) == before


def test_another_content_of_an_input_is_another_configuration(tmp_path: Path) -> None:
    labels = tmp_path / "labels.gpkg"
    labels.write_bytes(b"one")
    sections = merged(SAMPLE, {"reference": {"kind": "vector", "path": str(labels), "column": "c"}})
    config = load_config(write_config(tmp_path, sections))
    place = Place(str(tmp_path / "results"))
    assert claim_place(place, config)
    assert not claim_place(place, config)
    labels.write_bytes(b"two")
    with pytest.raises(ConfigurationError, match=r"content of reference\.path changed"):
        claim_place(place, config)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (PermissionError(13, "Permission denied", "results"), 2, ["Permission denied: 'results'", "rights"]),
        (KeyboardInterrupt(), 130, ["interrupted", "goes on where this one stopped"]),
    ],
)
def test_what_comes_from_outside_is_one_line_too(
    error: BaseException, code: int, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: object, reporter: object) -> None:
        raise error

    monkeypatch.setattr("eotasks.workflows.land_cover.run.LandCoverExample.run", run)
    result = command("land-cover", "--config", write_config(tmp_path, SAMPLE))
    assert (result.code, result.err.count("\n")) == (code, 1)
    for word in words:
        assert word in result.err


def test_help_shows_examples() -> None:
    assert "land-cover" in command("--help").out
    shown = command("land-cover", "--help")
    assert (shown.code, shown.err) == (0, "")
    for word in ("examples:", "eotasks land-cover --config my.toml --dry-run", "exit codes", "slovenia_2019"):
        assert word in shown.out


def test_printed_configuration_is_that_of_the_run(tmp_path: Path) -> None:
    """What is printed reads back as what it was printed from, options included."""
    options = ["--seed", "7", "--threads", "1", "--workers", "2", "--output", "elsewhere", "--full"]
    printed = command("land-cover", *options, "--print-config")
    assert (printed.code, printed.err) == (0, "")
    config = parse_config(printed.out)
    assert (config.seed, config.validation.seeds) == (7, (7, 8, 9, 10, 11))
    assert (config.run.threads, config.run.workers, config.output.folder) == (1, 2, "elsewhere")
    assert config.area.resolution == 10
    assert isinstance(config.source, SimulatedSource)
    assert config.source.acquisitions == 40
    (tmp_path / "my.toml").write_text(printed.out, encoding="utf-8")
    assert command("land-cover", "--config", tmp_path / "my.toml", "--print-config").out == printed.out


DRY_RUNS: dict[str, tuple[Sections, Prepare, list[str]]] = {
    "sample": (SAMPLE, nothing, ["4 of 64 x 64 pixels at 20 m", "1: 2017-02-16", "nothing is downloaded", "MB"]),
    "simulated": (
        merged(SAMPLE, {"source": {"kind": "simulated", "acquisitions": 5, "real_acquisition": True}}), nothing,
        ["4 of 64 x 64", "5: 2017-", "the real acquisition alone: 4 patches", "nothing is downloaded"],
    ),
    "eopatches": (EOPATCHES, eopatches(), ["4 of 24 x 24 pixels at 10 m", "8: 2017-01-10", "nothing is downloaded"]),
    "sentinelhub": (
        SERVICE, write_labels,
        ["4 of 64 x 64", "asked of the service", "requests", "download", "processing units", "Sentinel Hub needs an"],
    ),
}  # fmt: skip


@pytest.mark.usefixtures("no_account")
@pytest.mark.parametrize("kind", DRY_RUNS)
def test_dry_run_tells_and_writes_nothing(kind: str, tmp_path: Path) -> None:
    sections, prepare, words = DRY_RUNS[kind]
    prepare(tmp_path)
    config = write_config(tmp_path, sections)
    before = tree(tmp_path)
    result = command("land-cover", "--config", config, "--dry-run")
    assert (result.code, result.err) == (0, "")
    told = " ".join(result.out.replace("│", " ").split())
    for word in [*words, "held out", "results"]:
        assert word in told
    assert tree(tmp_path) == before


def test_dry_run_tells_warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def describe(_: LandCoverExample) -> dict[str, str]:
        warnings.warn("2 products are left out.", ProductSkippedWarning, stacklevel=1)
        return {"products": "1"}

    monkeypatch.setattr(LandCoverExample, "describe", describe)
    result = command("land-cover", "--config", write_config(tmp_path, SAMPLE), "--dry-run")
    assert result.code == 0
    assert "\nWarning: 2 products are left out.\n" in result.out


def test_text_of_the_user_is_shown_as_it_is(tmp_path: Path) -> None:
    config = write_config(tmp_path, SAMPLE)
    config.write_text('title = "Area [/7] of [red]"\n' + config.read_text())
    result = command("land-cover", "--config", config, "--dry-run")
    assert result.out.startswith("Area [/7] of [red]: what would be done")


def test_results_of_another_configuration_stay(tmp_path: Path) -> None:
    out = tmp_path / "out"
    [(_, config)] = chain_configs(load_config(write_config(tmp_path, SAMPLE)))
    claim_place(Place(str(out)), config)
    before = (out / CONFIG_FILE).read_bytes()
    changed = write_config(tmp_path, merged(SAMPLE, {"clouds": {"threshold": 0.5}, "valid": {"water": "keep"}}))
    for option in ([], ["--dry-run"]):
        result = command("land-cover", "--config", changed, *option)
        assert (result.code, result.err.count("\n")) == (2, 1)
        for word in (str(out), "clouds.threshold, valid.water changed", "output.folder", "--overwrite"):
            assert word in result.err
    assert tree(out) == {CONFIG_FILE, INPUTS_FILE}
    assert (out / CONFIG_FILE).read_bytes() == before


def test_what_no_stored_patch_depends_on_may_change(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "out"))
    assert claim_place(place, load_config(write_config(tmp_path, SAMPLE)))
    changes: Sections = {
        "run": {"threads": 2},
        "model": {"parameters": {"num_leaves": 7}},
        "validation": {"seeds": [1]},
        "sampling": {"per_class": 30},
        "output": {"scores": True},
    }
    changed = load_config(write_config(tmp_path, merged(SAMPLE, changes)))
    assert not claim_place(place, changed)
    assert parse_config(place.read_bytes(CONFIG_FILE).decode()) == changed


@pytest.mark.parametrize("option", [[], ["--overwrite"]])
def test_a_folder_of_other_things_is_left_alone(option: list[str], tmp_path: Path) -> None:
    """Neither mixed with results nor, with --overwrite, removed."""
    out = tmp_path / "out"
    (out / "features").mkdir(parents=True)
    (out / "config.toml").write_text("a setting of somebody else")
    result = command("land-cover", "--config", write_config(tmp_path, SAMPLE), *option)
    assert (result.code, result.err.count("\n")) == (2, 1)
    for word in (str(out), "config.toml, features", "empty output.folder"):
        assert word in result.err
    assert tree(out) == {"features", "config.toml"}


def test_output_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("notes")
    result = command("land-cover", "--config", write_config(tmp_path, SAMPLE))
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "is a file: choose a folder" in result.err
    assert (tmp_path / "out").read_text() == "notes"


def test_overwrite_removes_results_and_nothing_else(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "out"))
    claim_place(place, load_config(write_config(tmp_path, SAMPLE)))
    for name in ("observed/a/x.npy", "land_cover_EPSG_32633.tif", "manifest.jsonl", "notes of mine.txt"):
        place.write_bytes(name, b"x")
    remove_results(place)
    assert place.names() == ["notes of mine.txt"]
    place.remove("notes of mine.txt")
    claim_place(place, load_config(write_config(tmp_path, SAMPLE)))
    remove_results(place)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_process_of_its_own_prints_nothing_but_the_result(tmp_path: Path) -> None:
    """Warnings of libraries do not reach the screen, and bad input reaches the exit code."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-W", "default", "-m", "eotasks.workflows.cli", "land-cover", *arguments]
        return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=120)

    done = run("--config", str(write_config(tmp_path, SAMPLE)), "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "what would be done" in done.stdout
    refused = run("--config", "absent.toml")
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)


@pytest.mark.slow
def test_a_run_without_a_terminal_has_lines_and_styles_on_request(tmp_path: Path) -> None:
    eopatches()(tmp_path)
    result = command("land-cover", "--config", write_config(tmp_path, merged(EOPATCHES, {"output": {"styles": True}})))
    assert result.code == 0, result.err
    told = result.out.splitlines()
    for stage in ("observe: 4/4, ", "train and validate: 2/2, ", "map: 4/4, ", "mosaic: 1/1, ", "report: 1/1, "):
        assert sum(line.startswith(stage) for line in told) == 1, stage
    out = tmp_path / "out"
    assert (out / "land_cover.qml").is_file()
    assert len(list((out / "maps").rglob("*.qml"))) == len(list((out / "maps").rglob("*.tif"))) == 4
    remove_results(Place(out))
    assert not out.exists()
