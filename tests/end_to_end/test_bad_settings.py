"""Configurations, commands and calls that are wrong: each is told in one line (what, where, cure)."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from eolearn.core import FeatureType

from eotasks import DetectCloudsTask, LoadSavedEOPatchTask, LoadScenesTask, load_eopatch, read_progress, run_batch
from eotasks.errors import BandError, BatchError, ConfigurationError, MissingDependencyError, ModelError, StorageError
from eotasks.export.cog import check_compression
from eotasks.extras import install_line
from eotasks.models.clouds.presets import mask_settings
from eotasks.models.clouds.scene_classification import scene_classes
from eotasks.models.landcover.parameters import training_parameters
from eotasks.models.sentinel2 import BANDS, band_indices
from tests.builders.batches import behaving
from tests.builders.command_line import command, snapshot

AREA = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"class": "forest"},
            "geometry": {"type": "Polygon", "coordinates": [[[14.0, 46.0], [14.2, 46.0], [14.1, 46.1], [14.0, 46.0]]]},
        }
    ],
}

SOURCE = '[source]\nkind = "sample"\n'
SCENES = '[source]\nkind = "scenes"\nproducts = "archive"\n[reference]\nkind = "vector"\npath = "area.geojson"\n'

CONFIGURATIONS: dict[str, tuple[str, list[str]]] = {
    "key with a typing error": (SOURCE + "[clouds]\nthreshhhold = 0.3\n", ["clouds.threshhhold", "mean 'threshold'"]),
    "key of another table": (SOURCE + "[area]\nthreshold = 0.3\n", ["area.threshold", "belongs to [clouds]"]),
    "key before the tables": ("bbox = [14, 46, 15, 47]\n" + SOURCE, ["bbox", "belongs to [area]"]),
    "table with a typing error": (SOURCE + "[cloud]\nthreshold = 0.3\n", ["cloud: unknown key", "mean 'clouds'"]),
    "source with a typing error": ('[source]\nkind = "simulate"\n', ["'simulate'", "mean 'simulated'"]),
    "no source": ("[time]\n", ["[source]", "sample, simulated, eopatches"]),
    "source without its place": ('[source]\nkind = "scenes"\n', ["source.products", "Folder or s3:// prefix"]),
    "detector with a typing error": (SOURCE + '[clouds]\ndetector = "s2cloudles"\n', ["mean 's2cloudless'"]),
    "band with a typing error": (SOURCE + '[features]\nbands = ["B4"]\n', ["features.bands", "B4", "mean 'B04'"]),
    "band in small letters": (SOURCE + '[features]\nbands = ["b8a"]\n', ["features.bands", "b8a", "mean 'B8A'"]),
    "band that there is not": (SOURCE + '[features]\nbands = ["B13"]\n', ["B13 unknown", "B01, B02"]),
    "bands of a level that it has not": (
        SCENES.replace("[ref", 'level = "L2A"\nbands = ["B10"]\n[ref'), ["source.bands", "B10", "L2A has"],
    ),
    "index with a typing error": (SOURCE + '[features]\nindices = ["NVDI"]\n', ["features.indices", "mean 'NDVI'"]),
    "executor with a typing error": (SOURCE + '[run]\nexecutor = "prozesses"\n', ["run.executor", "mean 'processes'"]),
    "model parameter with a typing error": (
        SOURCE + "[model]\nparameters = { num_iteration = 5 }\n", ["num_iteration", "mean 'num_iterations'"],
    ),
    "class that is in no table": (
        SOURCE + '[reference]\nclasses = { a = "Forrest" }\n', ["Forrest", "mean 'Forest'", "class table"],
    ),
    "degrees with a system in metres": (
        SOURCE + '[area]\nbbox = [14, 46, 15, 47]\ncrs = "EPSG:32633"\n', ["is in degrees", "crs = 'EPSG:4326'"],
    ),
    "a grid in metres over degrees": (
        SOURCE + '[area]\nbbox = [14, 46, 15, 47]\ncrs = "EPSG:4326"\ngrid = "bbox"\n', ["in degrees", "grid = 'utm'"],
    ),
    "box without a system": (SOURCE + "[area]\nbbox = [14, 46, 15, 47]\n", ["bbox needs crs", "EPSG:4326"]),
    "system that there is not": (
        SOURCE + '[area]\nbbox = [14, 46, 15, 47]\ncrs = "EPSG:99999"\n', ["EPSG:99999", "EPSG:32633"],
    ),
    "south above north": (
        SOURCE + '[area]\nbbox = [14, 47, 15, 46]\ncrs = "EPSG:4326"\n', ["is empty", "south below north"],
    ),
    "pixels that do not fill a patch": (SOURCE + "[area]\npatch_size = 1005\n", ["1005 m", "whole number of pixels"]),
    "day that there is not": (SOURCE + "[time]\nstart = 2023-02-30\n", ["no valid TOML", "line 4"]),
    "end before the beginning": (SOURCE + "[time]\nstart = 2023-02-03\nend = 2022-01-01\n", ["end 2022-01-01"]),
    "text where a number is due": (SOURCE + '[area]\nresolution = "10 m"\n', ["area.resolution", "not '10 m'"]),
    "area far from the only pixels": (
        SOURCE + '[area]\nfile = "area.geojson"\n', ["outside of the embedded scene", "eotasks new-config land-cover"],
    ),
    "labels without the column": (
        SCENES.replace("[ref", '[area]\nfile = "area.geojson"\n[ref').replace("path", 'column = "clas"\npath'),
        ["no column 'clas'", "mean 'class'"],
    ),
    "several at once": (
        SOURCE + "[clouds]\nthreshhhold = 1\n[time]\nend = 2001-01-01\n[run]\nworkers = 0\n",
        ["clouds.threshhhold", "end 2001-01-01", "run.workers"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_configuration(case: str, tmp_path: Path) -> None:
    text, words = CONFIGURATIONS[case]
    (tmp_path / "area.geojson").write_text(json.dumps(AREA))
    (tmp_path / "archive").mkdir()
    (tmp_path / "mine.toml").write_text(f'{text}[output]\nfolder = "{tmp_path}/out"\n')
    refused(["land-cover", "--config", str(tmp_path / "mine.toml")], words, tmp_path)


COMMANDS: dict[str, tuple[list[str], list[str]]] = {
    "command with a typing error": (["land-covr"], ["mean 'land-cover'"]),
    "command with an underscore": (["cloud_mask"], ["mean 'cloud-mask'"]),
    "action with a typing error": (["catalogue", "seerch"], ["mean 'search'"]),
    "option with a typing error": (["cloud-mask", "--resoluton", "60"], ["mean '--resolution'"]),
    "option of another command": (["clean", "x", "--watch"], ["unrecognized arguments: --watch"]),
    "value with a typing error": (["cloud-mask", "--preset", "sentinelhub"], ["mean 'sentinel-hub'"]),
    "detector of a command": (["cloud-mask", "--detector", "slc"], ["no detector 'slc'", "s2cloudless"]),
    "preset of a contestant": (["evaluate-clouds", "--simulated", "--detector", "scl:gee"], ["has no preset"]),
    "configuration by a wrong name": (["land-cover", "--config", "sampple"], ["'sampple'", "mean 'sample'"]),
    "place that there is not": (["status", "results/nowhere"], ["nowhere", "manifest.jsonl"]),
    "place of another kind": (["clean", "gs://bucket/x"], ["gs://bucket/x", "s3://bucket/prefix"]),
    "box of three numbers": (["catalogue", "search", "--bbox", "1", "2", "3"], ["--bbox", "4 arguments"]),
    "level in small letters": (["catalogue", "search", "--level", "l1c"], ["mean 'L1C'"]),
    "catalogue with another ending": (["catalogue", "info", "--catalogue", "c.csv"], ["c.csv", ".parquet"]),
    "new configuration without an area": (["new-config", "land-cover"], ["--area"]),
    "configuration whose kind is left out": (
        ["new-config", "--area", "../aoi.geojson"],
        ["no configuration is given", "As in: eotasks new-config land-cover --area ../aoi.geojson"],
    ),
    "configuration and all that is left out": (["new-config"], ["As in: eotasks new-config land-cover"]),
    "action that is left out": (
        ["catalogue", "archive/"],
        ["no action is given", "add, search, info", "ACTION a"],
    ),
    "action that its options tell": (
        ["catalogue", "--bbox", "1", "2", "3", "4"],
        ["As in: eotasks catalogue search --bbox 1 2 3 4"],
    ),
    "command that its options tell": (
        ["--config", "my area.toml"],
        ["no command is given", "As in: eotasks land-cover --config 'my area.toml'"],
    ),
    "configuration of the sample for a year": (
        ["new-config", "land-cover", "--area", "x", "--source", "sample", "--year", "2020"],
        ["--year", "leave it out"],
    ),
    "area that there is not": (["new-config", "land-cover", "--area", "gone.gpkg"], ["gone.gpkg", "check the path"]),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_command(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments, words = COMMANDS[case]
    monkeypatch.chdir(tmp_path)
    refused(arguments, words, tmp_path)


def refused(arguments: list[str], words: list[str], folder: Path) -> None:
    before = snapshot(folder)
    result = command(*arguments)
    assert (result.code, result.out) == (2, ""), result.err
    message = " ".join(result.err.split())
    assert [word for word in words if word not in message] == [], message
    assert "Traceback" not in result.err
    assert snapshot(folder) == before


BANDS_FEATURE = (FeatureType.DATA, "BANDS")

CALLS: dict[str, tuple[Callable[[], object], type[Exception], list[str]]] = {
    "place that is a number": (lambda: load_eopatch(5, "a"), ConfigurationError, ["5 (int)", "folder"]),  # type: ignore[arg-type]
    "place of another kind": (lambda: LoadSavedEOPatchTask("gs://b/x"), ConfigurationError, ["gs://b/x", "s3://"]),
    "executor": (
        lambda: run_batch(*behaving("a"), executor="process"), ConfigurationError, ["mean 'processes'"],  # type: ignore[arg-type]
    ),
    "start of workers": (
        lambda: run_batch(*behaving("a"), start_method="fork"), ConfigurationError, ["'fork'", "'spawn'"],  # type: ignore[arg-type]
    ),
    "workers": (lambda: run_batch(*behaving("a"), workers="two"), ConfigurationError, ["'two'", "whole number"]),  # type: ignore[arg-type]
    "no patches": (lambda: run_batch(behaving("a")[0], {}), BatchError, ["no patches", "area"]),
    "preset": (lambda: mask_settings("eolearn"), ConfigurationError, ["'eolearn'", "mean 'eo-learn'"]),  # type: ignore[arg-type]
    "detector": (lambda: DetectCloudsTask("shadow-geometric"), ConfigurationError, ["mean 'shadows-geometric'"]),
    "class of a scene": (lambda: scene_classes(["CIRUS"]), ConfigurationError, ["CIRUS", "THIN_CIRRUS"]),
    "band": (lambda: band_indices(["B8"], BANDS), BandError, ["B8", "mean 'B08'"]),
    "compression": (lambda: check_compression("deflat"), ConfigurationError, ["mean 'deflate'"]),
    "parameter of a model": (lambda: training_parameters({"learning_rates": 1}), ModelError, ["mean 'learning_rate'"]),
    "stage of a batch": (lambda: stage_of_a_batch("obsrve"), StorageError, ["mean 'observe'"]),
}  # fmt: skip


def stage_of_a_batch(stage: str) -> object:
    with tempfile.TemporaryDirectory() as folder:
        run_batch(*behaving("a"), executor="serial", place=folder, stage="observe", progress=False)
        return read_progress(folder, stage=stage)


@pytest.mark.parametrize("case", CALLS)
def test_call(case: str) -> None:
    call, kind, words = CALLS[case]
    with pytest.raises(kind) as error:
        call()
    message = str(error.value)
    assert [word for word in words if word not in message] == [], message


def test_detectors_that_are_offered_can_be_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refusing = ("stored", "all-clear", "multi-temporal")
    result = command("cloud-mask", "x", "--detector", "s2cloudles")
    assert (result.code, "mean 's2cloudless'" in result.err) == (2, True)
    assert [name for name in refusing if name in result.err] == []
    result = command("evaluate-clouds", "--simulated", "--detector", "s2cloudles")
    assert [name for name in refusing if name not in result.err] == []
    (tmp_path / "mine.toml").write_text('[source]\nkind = "sample"\n[clouds]\ndetector = "s2cloudles"\n')
    result = command("land-cover", "--config", "mine.toml")
    assert (result.code, "mean 's2cloudless'" in result.err) == (2, True)
    assert [name for name in ("stored", "all-clear") if name in result.err] == []


def test_a_cluster_without_ray_is_refused_before_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = command("land-cover", "--ray", "auto", "--dry-run", "--out", tmp_path / "out")
    assert (result.code, result.out) == (2, "")
    assert result.err.endswith(f"{install_line('ray')}\n")


@pytest.mark.parametrize(
    ("catalogue", "module"),
    [
        ("products.parquet", "duckdb"),
        ("products.parquet", "pyarrow"),
        ("https://example.org/stac", "pystac_client"),
    ],
)
def test_a_task_of_a_catalogue_asks_for_the_extra_when_it_is_made(
    catalogue: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=module) as error:
        LoadScenesTask(catalogue=catalogue)
    assert str(error.value).endswith(install_line("catalogue"))
    LoadScenesTask(scenes=["a.SAFE"])


@pytest.mark.parametrize("module", ["duckdb", "pystac", "pyarrow"])
def test_extra_that_is_missing(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the line that installs it in this environment."""
    from eotasks.catalogue import packages

    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError) as error:
        packages.package(module)
    assert str(error.value).endswith(install_line("catalogue"))
