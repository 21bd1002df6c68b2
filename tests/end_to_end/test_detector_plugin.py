"""The plugin of docs/how-to-detector.md: built and installed as its page says, and used by every command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from eolearn.core import FeatureType

from eotasks.eopatches.load import load_eopatch
from eotasks.imagery.scene import open_scene
from eotasks.sources.sample import sample_path
from eotasks.storage.place import Place
from eotasks.workflows.product_masks.product import product_grid
from tests.builders.clouds.plugin import MODULE, install, write_installed, write_source
from tests.builders.command_line import SAMPLE, merged, write_config
from tests.builders.labelled_scenes import digital_numbers, truth, write_scene

PACKAGE = "eotasks-bright"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugin")
    return install(write_source(folder / PACKAGE), folder / "site")


def eotasks(site: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, which finds the packages of a folder."""
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, "-m", "eotasks.workflows.cli", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_is_listed_and_used_by_evaluate_clouds(installed: Path, tmp_path: Path) -> None:
    listed = eotasks(installed, "evaluate-clouds", "--help").stdout
    for name in ("bright-blue", "likely-blue"):
        assert f"{name}             Cloud is what is bright in blue: an example ({PACKAGE} 1.0)" in listed
    write_scene(tmp_path / "scenes" / "one")
    names = ["--detector", "bright-blue", "--detector", "likely-blue", "--detector", "likely-blue:gee"]
    result = eotasks(installed, "evaluate-clouds", tmp_path / "scenes", *names, "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())["detectors"]
    bright = digital_numbers(truth())[..., 1] > 2500
    counts = np.array(found["bright-blue"]["confusion"]["counts"])
    assert counts[:, 1].sum() == bright.sum()
    assert found["bright-blue"]["settings"] == {}
    assert found["bright-blue"]["thresholds"] is None
    assert found["likely-blue:gee"]["settings"]["preset"] == "gee"
    assert found["likely-blue"]["thresholds"] == found["likely-blue:gee"]["thresholds"]


def read(folder: Path, kind: str) -> np.ndarray:
    with rasterio.open(folder / f"{folder.name}_{kind}.tif") as dataset:
        return dataset.read(1)


@pytest.mark.trial
def test_masks_products(installed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["cloud-mask", "--resolution", "160", "--out", out, "--detector", "bright-blue"]
    assert (result := eotasks(installed, *arguments)).returncode == 0, result.stderr
    assert "Masks: bright-blue at 160 m\n" in result.stdout
    folder = out / sample_path().name
    scene = open_scene(sample_path())
    blue = scene.read(["B02"], product_grid(scene, 160), resampling="fast")[..., 0]
    np.testing.assert_array_equal(read(folder, "CLM"), blue > 2500)
    assert 0 < (blue > 2500).mean() < 1
    assert not (folder / f"{folder.name}_CLP.tif").exists()
    assert (folder / f"{folder.name}_quicklook.png").exists()
    record = json.loads((folder / f"{folder.name}.json").read_text())
    assert record["settings"] == {"detector": "bright-blue", "resolution": 160, "sampling": "fast", "shadows": False}
    assert record["detector_package"] == f"{PACKAGE} 1.0"
    assert record["shares"]["mean_probability"] is None
    with rasterio.open(folder / f"{folder.name}_CLM.tif") as dataset:
        tags = dataset.tags()
    assert (tags["DETECTOR"], tags["DETECTOR_PACKAGE"]) == ("bright-blue", f"{PACKAGE} 1.0")
    assert not {"MODEL", "THRESHOLD", "PRESET"} & tags.keys()

    assert "kept" in eotasks(installed, *arguments).stdout
    other = eotasks(installed, *arguments[:-1], "s2cloudless")
    assert other.returncode == 2
    assert "other settings (average_over, detector, " in other.stderr
    refused = eotasks(installed, *arguments, "--threshold", "0.5")
    assert refused.returncode == 2
    assert "detector 'bright-blue' does not use --threshold: leave that out" in refused.stderr

    newer = write_installed(tmp_path / "newer", PACKAGE, entries={"bright-blue": f"{MODULE}:BrightBlue"}, version="1.1")
    (newer / f"{MODULE}.py").write_bytes((installed / f"{MODULE}.py").read_bytes())
    assert "done" in eotasks(newer, *arguments).stdout
    assert json.loads((folder / f"{folder.name}.json").read_text())["detector_package"] == f"{PACKAGE} 1.1"


@pytest.mark.trial
def test_finds_the_clouds_of_land_cover_in_worker_processes(installed: Path, tmp_path: Path) -> None:
    clouds = {"detector": "likely-blue", "resolution": None, "threshold": 0.5, "average_over": 0, "dilation_size": 0}
    run = {"executor": "processes", "workers": 2}
    config = write_config(tmp_path, merged(SAMPLE, {"clouds": clouds, "run": run}))
    result = eotasks(installed, "land-cover", "--config", config)
    assert result.returncode == 0, result.stderr
    place = next(path for path in (tmp_path / "out").rglob("observed") if path.is_dir())
    names = sorted(path.name for path in place.iterdir() if path.is_dir())
    assert len(names) == 4
    for name in names:
        patch = load_eopatch(Place(place), name)
        blue = patch[FeatureType.DATA, "BANDS"][..., 1]
        np.testing.assert_array_equal(patch[FeatureType.MASK, "CLM"][..., 0], blue > 0.25)
        np.testing.assert_array_equal(patch[FeatureType.DATA, "CLP"][..., 0], np.clip(blue / 0.5, 0, 1))
    assert eotasks(installed, "land-cover", "--config", config, "--dry-run").returncode == 0
    entries = {"likely-blue": f"{MODULE}:LikelyBlue"}
    newer = write_installed(tmp_path / "newer", PACKAGE, entries=entries, version="1.1")
    (newer / f"{MODULE}.py").write_bytes((installed / f"{MODULE}.py").read_bytes())
    changed = eotasks(newer, "land-cover", "--config", config, "--dry-run")
    assert changed.returncode == 2
    assert "results of another configuration (content of clouds.detector changed)" in changed.stderr
    absent = eotasks(tmp_path / "nowhere", "land-cover", "--config", config)
    assert absent.returncode == 2
    assert "there is no detector 'likely-blue': choose of s2cloudless" in absent.stderr
