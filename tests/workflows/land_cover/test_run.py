"""Whole runs through the command: what they leave, what a repeated one skips, and the same bytes for the same seed."""

from __future__ import annotations

import json
import logging
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from eolearn.core import EOPatch, FeatureType, OverwritePermission

from eotasks.eopatches.load import list_eopatches, load_eopatch
from eotasks.models.landcover.training import load_model
from eotasks.storage.place import Place
from eotasks.workflows.land_cover import training
from eotasks.workflows.land_cover.config_file import parse_config
from tests.builders.batches import StageOutcome, manifest_outcomes
from tests.builders.command_line import (
    EOPATCHES,
    NDVI_FEATURES,
    PATCHES,
    SAMPLE,
    Result,
    Sections,
    command,
    merged,
    tree,
    write_config,
    write_eopatches,
)
from tests.builders.land_cover_runs import without_pictures

SIMULATED: Sections = merged(
    SAMPLE,
    {
        "source": {"kind": "simulated", "acquisitions": 6, "real_acquisition": True},
        "area": {"resolution": 40},
        "valid": {"min_valid_fraction": 0.3, "keep_at_least": 2},
        "features": {"step_days": 45, "edges": "nearest"},
        "output": {"scores": True},
    },
)
"""A year of six dates, and the real acquisition beside it."""

CHAINS = ("", "real")
GRID = [f"patch_r{row:02d}_c{column:02d}" for row in (0, 1) for column in (0, 1)]


@dataclass(frozen=True)
class Run:
    """A finished run of the command and its results."""

    result: Result
    out: Path
    config: Path

    def place(self, chain: str = "") -> Place:
        return Place(str(self.out / chain))


def run_in(folder: Path, sections: Sections, *options: str) -> Run:
    config = write_config(folder, sections)
    return Run(command("land-cover", "--config", config, *options), folder / "out", config)


def run_without_pictures(folder: Path, sections: Sections, *options: str) -> Run:
    """The same without its report, half of the time, where nobody looks at that."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        without_pictures(monkeypatch)
        return run_in(folder, sections, *options)


@pytest.fixture(scope="session")
def one_thread(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_in(tmp_path_factory.mktemp("one"), SIMULATED, "--threads", "1")


@pytest.fixture(scope="session")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same in two worker processes with two threads each, in a folder with a space in its name."""
    sections = merged(SIMULATED, {"run": {"executor": "processes"}})
    folder = tmp_path_factory.mktemp("two of them")
    return run_without_pictures(folder, sections, "--workers", "2", "--threads", "2")


@pytest.fixture(scope="session")
def another_seed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_without_pictures(tmp_path_factory.mktemp("other"), SIMULATED, "--threads", "1", "--seed", "7")


def test_summary_fits_a_screen(one_thread: Run) -> None:
    result = one_thread.result
    assert (result.code, result.err) == (0, "")
    assert f"Report: {one_thread.out / 'report.html'}" in result.out
    summary = result.out[result.out.index("Land cover\n") if "Land cover\n" in result.out else 0 :]
    for word in ("spectral values", "simulated", "real", "overall accuracy", "majority class", "macro F1", "± "):
        assert word in summary
    lines = [
        line for line in summary.splitlines() if not re.search(r": \d+/\d+, ", line)
    ]  # of progress: as slow, as many
    assert len(lines) < 30


@pytest.mark.parametrize("chain", CHAINS)
def test_maps_are_cogs_with_class_names(chain: str, one_thread: Run) -> None:
    place = one_thread.out / chain
    files = [place / "land_cover.tif", *(place / "maps" / "prediction" / f"{name}.tif" for name in GRID)]
    for file in files:
        with rasterio.open(file) as source:
            assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert source.crs == rasterio.CRS.from_epsg(32633)
            assert (source.dtypes, source.nodata, source.res) == (("uint8",), 0, (40, 40))
            assert source.tags(1)["CLASS_2"] == "Forest"
            assert source.colormap(1)[2][:3] == (5, 73, 7)
            assert source.tags().get("SIMULATED") == (None if chain else "true")
            labels = source.read(1)
        assert 1 < len(set(np.unique(labels)) - {0}) <= 7
        assert labels.shape == ((64, 64) if file.name == "land_cover.tif" else (32, 32))


def test_the_mosaic_is_the_patches_side_by_side(one_thread: Run) -> None:
    with rasterio.open(one_thread.out / "land_cover.tif") as source:
        whole, transform = source.read(1), source.transform
    assert (transform.c, transform.f) == (336_400, 5_818_840)
    for index, name in enumerate(GRID):
        with rasterio.open(one_thread.out / "maps" / "prediction" / f"{name}.tif") as source:
            y, x = 32 * (index // 2), 32 * (index % 2)
            np.testing.assert_array_equal(whole[y : y + 32, x : x + 32], source.read(1))


def test_scores_are_a_map_too(one_thread: Run) -> None:
    with rasterio.open(one_thread.out / "maps" / "scores" / "patch_r00_c00.tif") as source:
        scores = source.read()
    np.testing.assert_allclose(scores.sum(axis=0), 1, atol=1e-5)


def test_model_loads_and_says_what_it_is(one_thread: Run) -> None:
    model = load_model(one_thread.out / "model")
    assert model.card.simulated
    assert not load_model(one_thread.out / "real" / "model").card.simulated
    assert len(model.card.dates) == 9
    assert model.card.metrics
    labels, scores = model.predict(np.full((1, len(model.card.dates) * 9), 0.2, dtype=np.float32))
    assert labels.shape == (1,)
    assert scores.sum() == pytest.approx(1, abs=1e-5)


def test_metrics(one_thread: Run) -> None:
    metrics = json.loads((one_thread.out / "metrics.json").read_text())
    assert metrics["version"] == 1
    assert metrics["simulated"] is True
    assert 0 < metrics["validation"]["overall_accuracy"] <= 1
    assert set(map(int, metrics["seeds"]["seeds"])) == {42, 43}
    assert max(metrics["training_samples"].values()) <= 3 * 60


def test_report_is_one_self_contained_file(one_thread: Run) -> None:
    page = (one_thread.out / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)=["'](?!data:|\#)[^"']*""", page)
    assert "<script" not in page
    assert "@import" not in page
    assert len(page) < 8_000_000
    for word in ("simulated", "Simulated year", "Real acquisition", "OpenStreetMap", "Confusion", "Importance"):
        assert word.lower() in page.lower()


def test_patches_and_manifest(one_thread: Run) -> None:
    grid = gpd.read_file(one_thread.out / "patches.gpkg", engine="pyogrio")
    assert sorted(grid["name"]) == GRID
    assert grid.total_bounds.tolist() == [336_400, 5_816_280, 338_960, 5_818_840]
    lines = manifest_outcomes(one_thread.place())
    assert [(line.stage, line.outcome.name, line.outcome.state) for line in lines] == [
        (stage, name, "done") for stage in ("observe", "map") for name in GRID
    ]
    steps = list(lines[0].outcome.seconds_by_step)
    assert steps[0] == "source"
    assert steps.index("cloud probability") < steps.index("valid data") < steps.index("resample in time")


def test_configuration_lies_beside_the_results(one_thread: Run) -> None:
    config = parse_config((one_thread.out / "run.toml").read_text(encoding="utf-8"))
    assert config.run.threads == 1
    assert config.area.patch_size == 1280


def test_nothing_unfinished_is_left(one_thread: Run) -> None:
    assert not [name for name in tree(one_thread.out) if Path(name).name.startswith((".tmp", "tmp"))]


def files_of(run: Run) -> dict[str, bytes]:
    """Everything that the same seed promises to give again, to the byte."""
    patterns = ("**/*.tif", "**/metrics.json", "**/model.txt", "**/model.json")
    return {str(path.relative_to(run.out)): path.read_bytes() for glob in patterns for path in run.out.glob(glob)}


def arrays_of(run: Run) -> dict[str, np.ndarray]:
    found = {}
    for chain in CHAINS:
        for kind in ("observed", "features", "predictions"):
            place = run.place(chain).child(kind)
            for name in list_eopatches(place):
                patch = load_eopatch(place, name)
                for feature_type, feature in patch.get_features():
                    if feature_type.is_array():
                        found[f"{chain}/{kind}/{name}/{feature_type.value}/{feature}"] = patch[feature_type, feature]
    return found


@pytest.mark.trial
def test_same_seed_gives_the_same_with_any_number_of_threads(one_thread: Run, two_processes: Run) -> None:
    assert (two_processes.result.code, two_processes.result.err) == (0, "")
    first, second = files_of(one_thread), files_of(two_processes)
    assert len(first) == 2 * (2 * 4 + 1 + 3)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    arrays, again = arrays_of(one_thread), arrays_of(two_processes)
    assert len(arrays) > 100
    assert arrays.keys() == again.keys()
    for name, values in arrays.items():
        assert values.dtype == again[name].dtype
        np.testing.assert_array_equal(values, again[name], err_msg=name)


@pytest.mark.trial
@pytest.mark.parametrize("chain", CHAINS)
def test_another_seed_gives_another_result(chain: str, one_thread: Run, another_seed: Run) -> None:
    assert another_seed.result.code == 0
    for name in ("model/model.txt", "metrics.json", "land_cover.tif"):
        assert (one_thread.out / chain / name).read_bytes() != (another_seed.out / chain / name).read_bytes()


def states(lines: list[StageOutcome]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for line in lines:
        found.setdefault(line.stage, {})[line.outcome.name] = line.outcome.state
    return found


def every(state: str) -> dict[str, str]:
    return dict.fromkeys(PATCHES, state)


def generations(out: Path) -> set[str]:
    """The saves of the stored patches; a patch that is saved anew gets another one."""
    markers = [name for name in tree(out) if Path(name).name == "_current.json"]
    return {f"{name} {json.loads((out / name).read_bytes())['save']}" for name in markers}


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_failure_resume_and_repetition(tmp_path: Path) -> None:
    """A patch fails and is named, the others go on; mended, only what is missing runs; then nothing but training."""
    source = write_eopatches(tmp_path / "eopatches") / "south-west" / "mask" / "CLM.npy.gz"
    whole = source.read_bytes()
    source.write_bytes(whole[:200])

    failed = run_in(tmp_path, EOPATCHES)
    assert (failed.result.code, failed.result.err) == (1, "")
    told = " ".join(failed.result.out.split())
    assert "4 (1 failed)" in told
    assert "failed south-west, step 'source': EOPatch" in told
    assert "file mask/CLM.npy.gz cannot be read" in told
    lines = manifest_outcomes(failed.place())
    others = {name: "done" for name in PATCHES if name != "south-west"}
    assert states(lines) == {"observe": {**others, "south-west": "failed"}, "map": others}
    for kind in ("observed", "features", "predictions"):
        assert list_eopatches(failed.place().child(kind)) == sorted(others)
    assert {path.stem for path in (failed.out / "maps" / "prediction").glob("*.tif")} == set(others)
    assert "south-west" in (failed.out / "report.html").read_text(encoding="utf-8")

    source.write_bytes(whole)
    before = generations(failed.out / "features")
    mended = run_without_pictures(tmp_path, EOPATCHES)
    assert (mended.result.code, mended.result.err) == (0, "")
    new = manifest_outcomes(mended.place())[len(lines) :]
    # Its samples make another model, so every map is made anew.
    assert states(new) == {"observe": {**dict.fromkeys(others, "skipped"), "south-west": "done"}, "map": every("done")}
    assert before < generations(mended.out / "features")
    with rasterio.open(mended.out / "land_cover.tif") as map_:
        assert (map_.read(1) > 0).all()

    before, lines = generations(mended.out), manifest_outcomes(mended.place())
    repeated = run_without_pictures(tmp_path, EOPATCHES)
    assert repeated.result.code == 0
    assert "4 (4 complete before)" in repeated.result.out
    new = manifest_outcomes(repeated.place())[len(lines) :]
    assert states(new) == {"observe": every("skipped"), "map": every("skipped")}
    assert generations(repeated.out) == before

    lines = manifest_outcomes(repeated.place())
    (repeated.out / "maps" / "prediction" / "north-east.tif").unlink()
    other = merged(EOPATCHES, {"validation": {"seeds": [42]}, "output": {"scores": False}})
    resumed = run_without_pictures(tmp_path, other)
    assert resumed.result.code == 0
    new = manifest_outcomes(resumed.place())[len(lines) :]
    assert states(new) == {"observe": every("skipped"), "map": {**every("skipped"), "north-east": "done"}}


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_what_was_made_of_replaced_eopatches_is_made_anew(tmp_path: Path) -> None:
    """Neither what was observed nor a map stays of a patch whose input was written since; nothing else is made."""
    source = write_eopatches(tmp_path / "eopatches")
    first = run_in(tmp_path, EOPATCHES)
    assert first.result.code == 0

    lines = manifest_outcomes(first.place())
    rewritten = source / "north-east" / "data" / "NDVI.npy.gz"
    rewritten.write_bytes(rewritten.read_bytes())  # the same once more: the model stays
    (source / "south-west" / "data" / "OTHER.npy.gz").write_bytes(rewritten.read_bytes())  # nobody reads it
    second = run_in(tmp_path, EOPATCHES)
    new = manifest_outcomes(second.place())[len(lines) :]
    one = {**every("skipped"), "north-east": "done"}
    assert states(new) == {"observe": one, "map": one}

    lines = manifest_outcomes(second.place())
    patch = EOPatch.load(source / "north-east")
    patch[FeatureType.DATA, "NDVI"] = patch[FeatureType.DATA, "NDVI"] / 2
    patch.save(source / "north-east", overwrite_permission=OverwritePermission.OVERWRITE_FEATURES)
    third = run_in(tmp_path, EOPATCHES)
    new = manifest_outcomes(third.place())[len(lines) :]
    assert states(new) == {"observe": one, "map": every("done")}
    observed = load_eopatch(third.place().child("observed"), "north-east")
    np.testing.assert_array_equal(observed[FeatureType.DATA, "NDVI"], patch[FeatureType.DATA, "NDVI"])


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_another_model_makes_every_map_anew(tmp_path: Path) -> None:
    write_eopatches(tmp_path / "eopatches")
    first = run_in(tmp_path, EOPATCHES)
    before, lines = files_of(first), manifest_outcomes(first.place())
    second = run_in(tmp_path, merged(EOPATCHES, {"model": {"parameters": {"num_iterations": 1}}}))
    assert second.result.code == 0
    new = manifest_outcomes(second.place())[len(lines) :]
    assert states(new) == {"observe": every("skipped"), "map": every("done")}
    assert files_of(second)["model/model.txt"] != before["model/model.txt"]


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("at_length", [False, pytest.param(True, marks=pytest.mark.trial)])
def test_a_repeat_trains_only_what_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, at_length: bool
) -> None:
    write_eopatches(tmp_path / "eopatches")
    trainings: list[object] = []
    real = training.train

    def counted(*arguments: Any, **options: Any) -> Any:
        trainings.append(options)
        return real(*arguments, **options)

    monkeypatch.setattr(training, "train", counted)

    def trained(sections: Sections, *options: str) -> int:
        trainings.clear()
        with caplog.at_level(logging.INFO, "eotasks"):
            caplog.clear()
            run = run_in(tmp_path, sections, *options)
        assert (run.result.code, run.result.err) == (0, "")
        assert ("is used again" in caplog.text) is (not trainings)
        return len(trainings)

    first = trained(EOPATCHES)
    out = Run(Result(0, "", ""), tmp_path / "out", tmp_path / "config.toml")
    before = files_of(out)
    assert first > 0
    assert trained(EOPATCHES, "--threads", "2") == 0, "threads change nothing"
    assert "remove this folder to train anew" in caplog.text
    assert "--overwrite" not in caplog.text, "which takes the downloads away too"
    assert files_of(out) == before
    changed = merged(EOPATCHES, {"sampling": {"per_class": 50}})
    if not at_length:
        assert trained(changed) > 0
        return
    assert trained(EOPATCHES, "--overwrite") == first
    assert files_of(out) == before
    shutil.rmtree(tmp_path / "out" / "model")
    lines = manifest_outcomes(out.place())
    assert trained(EOPATCHES) == first
    assert states(manifest_outcomes(out.place())[len(lines) :]) == {
        "observe": every("skipped"),
        "map": every("skipped"),
    }
    assert files_of(out) == before
    record = tmp_path / "out" / "model" / "roc.f64"
    record.write_bytes(record.read_bytes()[:-8])
    assert trained(EOPATCHES) == first
    assert "is damaged: the model is trained anew" in caplog.text
    assert files_of(out) == before
    assert trained(changed) > 0
    monkeypatch.setattr(training, "_digest_of_code", lambda: "other code")
    assert trained(changed) > 0


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_maps_are_clipped_to_the_polygons_of_the_area(tmp_path: Path) -> None:
    """Without clip the bytes are those of before; with it the outside is no data, and the inside is the same."""
    left, bottom, right, top = SAMPLE["area"]["bbox"]
    triangle = shapely.Polygon([(left, bottom), (right, bottom), (right, top)])
    frame = gpd.GeoDataFrame(geometry=[triangle], crs=SAMPLE["area"]["crs"])
    frame.to_file(tmp_path / "area.gpkg")
    area = {key: value for key, value in SAMPLE["area"].items() if key not in ("bbox", "crs")}
    sections = {**SAMPLE, "area": {**area, "file": "area.gpkg"}}
    whole = run_in(tmp_path, sections)
    assert (whole.result.code, whole.result.err) == (0, "")
    with rasterio.open(whole.out / "land_cover.tif") as source:
        before, transform = source.read(1), source.transform
    plain = json.loads((whole.out / "metrics.json").read_bytes())
    clipped = run_in(tmp_path, merged(sections, {"output": {"clip": True, "scores": True}}))
    assert (clipped.result.code, clipped.result.err) == (0, "")
    with rasterio.open(clipped.out / "land_cover.tif") as source:
        after, nodata = source.read(1), source.nodata
    rows, columns = np.indices(before.shape)
    x, y = transform * (columns + 0.5, rows + 0.5)
    inside = shapely.contains_xy(triangle, x, y)
    edge = shapely.distance(triangle.exterior, shapely.points(x, y)) < 1e-6
    assert nodata == 0
    assert 0.3 < inside.mean() < 0.7
    np.testing.assert_array_equal(after[inside & ~edge], before[inside & ~edge])
    assert not after[~inside & ~edge].any()
    for file in (clipped.out / "maps" / "scores").glob("*.tif"):
        with rasterio.open(file) as source, rasterio.open(clipped.out / "maps" / "prediction" / file.name) as classes:
            np.testing.assert_array_equal(source.read_masks(1) == 0, classes.read(1) == 0)
            assert np.isnan(source.read()[:, classes.read(1) == 0]).all(), "no data, not a score of 0"
    metrics = json.loads((clipped.out / "metrics.json").read_bytes())
    assert metrics["validation"] == plain["validation"]
    assert metrics["areas"] != plain["areas"]
    again = run_in(tmp_path, sections)
    assert again.result.code == 0
    with rasterio.open(again.out / "land_cover.tif") as source:
        np.testing.assert_array_equal(source.read(1), before)


def test_a_map_without_a_polygon_is_not_clipped(tmp_path: Path) -> None:
    write_eopatches(tmp_path / "eopatches")
    refused = run_in(tmp_path, merged(EOPATCHES, {"output": {"clip": True}}))
    assert refused.result.code == 2
    assert "output.clip: there is no polygon to clip to" in " ".join(refused.result.err.split())


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_overwrite_starts_over(tmp_path: Path) -> None:
    write_eopatches(tmp_path / "eopatches")
    first = run_in(tmp_path, EOPATCHES)
    before = files_of(first)
    (first.out / "my notes.txt").write_text("kept")
    changed = merged(EOPATCHES, {"valid": {"min_valid_fraction": 0.3}})
    refused = run_in(tmp_path, changed)
    assert (refused.result.code, refused.result.err.count("\n")) == (2, 1)
    assert files_of(first) == before
    again = run_in(tmp_path, changed, "--overwrite")
    assert again.result.code == 0
    assert states(manifest_outcomes(again.place())) == {"observe": every("done"), "map": every("done")}
    assert (first.out / "my notes.txt").read_text() == "kept"


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_an_index_of_somebody_else_and_a_source_that_is_never_written_to(tmp_path: Path) -> None:
    source = write_eopatches(tmp_path / "eopatches")
    before = {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in source.rglob("*")}
    brought = {"EVI": "data/NDVI", **{name: where for name, where in NDVI_FEATURES.items() if name != "NDVI"}}
    run = run_in(tmp_path, merged(EOPATCHES, {"source": {"features": brought}, "features": {"indices": ["EVI"]}}))
    assert run.result.code == 0
    assert load_model(run.out / "model").card.feature_names == ["EVI"]
    assert {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in source.rglob("*")} == before
