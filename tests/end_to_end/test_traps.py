"""What breaks in eo-learn 1.5.7 and its dependencies around running and saving, beside what this project does.

The first half of each pair shows that the trap is still there: when one of them fails after an upgrade, the way around
it may go.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import geopandas as gpd
import lightgbm
import numpy as np
import pytest
import shapely
from eolearn.core import EONode, EOPatch, EOWorkflow, FeatureType, OverwritePermission
from eolearn.core.eoexecution import EOExecutor
from fs.tempfs import TempFS
from packaging.requirements import Requirement
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.eopatches.load import load_eopatch
from eotasks.eopatches.save import save_eopatch
from eotasks.errors import BatchError, StorageError
from eotasks.storage.place import Place
from eotasks.workflows.batch.run import run_batch
from eotasks.workflows.batch.workers.executor import WorkerExecutor
from tests import ROOT
from tests.builders.batch_tasks import BehaveTask, CallTask, PredictTask, WriteFactsTask
from tests.builders.batches import run_failing_batch

BANDS = (FeatureType.DATA, "BANDS")


def pin(package: str) -> Requirement:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return next(one for one in map(Requirement, project["dependencies"]) if one.name == package)


def make_eopatch() -> EOPatch:
    bbox = BBox((500000, 5000000, 500080, 5000080), CRS("32633"))
    eopatch = EOPatch(bbox=bbox, timestamps=[datetime(2019, 7, 1)])  # noqa: DTZ001  # EOPatch times are naive
    eopatch[BANDS] = np.ones((1, 8, 8, 3), dtype=np.float32)
    return eopatch


# A generator of arguments is used up by the validation of EOExecutor: nothing runs, nothing is said.


def test_eo_learn_runs_nothing_for_a_generator(tmp_path: Path) -> None:
    node = EONode(WriteFactsTask(tmp_path))
    executor = EOExecutor(EOWorkflow([node]), ({node: {"name": name}} for name in ("a", "b")))
    assert executor.run(workers=1, disable=True) == []
    assert list(tmp_path.iterdir()) == []


def test_a_generator_runs(tmp_path: Path) -> None:
    node = EONode(WriteFactsTask(tmp_path))
    generator = ({node: {"name": name}} for name in ("a", "b"))
    assert len(WorkerExecutor(EOWorkflow([node]), generator, executor="serial").run()) == 2
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.json", "b.json"]


# Fork after OpenMP: EOExecutor forks on Linux, and LightGBM has run OpenMP when a model was trained in this process.


def test_training_here_and_predicting_in_two_processes(tmp_path: Path) -> None:
    features, labels = np.random.default_rng(42).random((400, 8)), np.arange(400) % 3
    parameters = {"objective": "multiclass", "num_class": 3, "num_threads": 2, "verbose": -1, "seed": 42}
    booster = lightgbm.train(parameters, lightgbm.Dataset(features, labels), num_boost_round=3)
    booster.save_model(tmp_path / "model.txt")
    here = {f"p{seed}": booster.predict(np.random.default_rng(seed).random((500, 8))) for seed in range(4)}

    node = EONode(PredictTask(tmp_path / "model.txt", tmp_path))
    patches = {f"p{seed}": {node: {"name": f"p{seed}", "seed": seed}} for seed in range(4)}
    assert run_batch(EOWorkflow([node]), patches, workers=2, threads=2).done == list(patches)

    for name, scores in here.items():
        with np.load(tmp_path / f"{name}.npz") as there:
            np.testing.assert_array_equal(there["scores"], scores)
    with np.load(tmp_path / "p0.npz") as first:
        assert not first["loaded_before"], "the worker came from a process that has LightGBM, so it was forked from it"


# One worker that is killed takes the whole pool of EOExecutor along (BrokenProcessPool).


def test_a_killed_worker_takes_only_its_own_patch_along() -> None:
    node = EONode(BehaveTask())
    patches = {name: {node: {"name": name}} for name in ("a", "killed", "b", "c")}
    result = run_failing_batch(EOWorkflow([node]), patches, workers=2)
    assert result.done == ["a", "b", "c"]
    assert [outcome.name for outcome in result.failed] == ["killed"]


# A lambda works in threads and ends in a PicklingError of the pool in processes.


def test_a_lambda_is_named_with_its_task_before_work_starts() -> None:
    node = EONode(CallTask(lambda: None))
    with pytest.raises(BatchError, match=r"CallTask \(attribute function\).*executor='threads'"):
        run_batch(EOWorkflow([node]), {"p": {}})


# pyfilesystem2 (fs) imports pkg_resources, which setuptools 82 no longer has.


def test_eo_learn_needs_pkg_resources_and_the_pin_brings_it() -> None:
    code = "import sys; sys.modules['pkg_resources'] = None; import eolearn.core"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=400)
    assert ended.returncode == 1
    assert "ModuleNotFoundError" in ended.stderr
    assert "pkg_resources" in ended.stderr
    assert "82" not in pin("setuptools").specifier
    assert version("setuptools") in pin("setuptools").specifier


def test_importing_eotasks_needs_no_pkg_resources() -> None:
    code = "import sys; sys.modules['pkg_resources'] = None; import eotasks; print('imported')"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=400, env=environment)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "imported\n", "")


# geopandas 0.14, which eo-learn pins, cannot write text columns of pandas 3.


def test_vectors_with_text_are_saved_and_the_pin_keeps_pandas_2(tmp_path: Path) -> None:
    eopatch = make_eopatch()
    landuse = gpd.GeoDataFrame(
        {"fclass": ["forest", "meadow"], "osm_id": [1, 2]},
        geometry=[shapely.box(500000, 5000000, 500040, 5000040), shapely.box(500040, 5000000, 500080, 5000040)],
        crs=32633,
    )
    eopatch[FeatureType.VECTOR_TIMELESS, "LANDUSE"] = landuse
    save_eopatch(Place(tmp_path), "p", eopatch)
    loaded = load_eopatch(Place(tmp_path), "p")[FeatureType.VECTOR_TIMELESS, "LANDUSE"]
    assert loaded["fclass"].tolist() == ["forest", "meadow"]
    assert loaded.crs.to_epsg() == 32633
    assert "3.0.0" not in pin("pandas").specifier
    assert version("pandas") in pin("pandas").specifier


# OVERWRITE_PATCH removes the old patch first; a feature that fails then leaves half a patch that loads without a word.


@pytest.mark.filterwarnings("ignore::eolearn.core.exceptions.EODeprecationWarning")
def test_eo_learn_leaves_half_a_patch() -> None:
    with TempFS() as filesystem:
        make_eopatch().save("p", filesystem=filesystem)
        broken = make_eopatch()
        broken[FeatureType.META_INFO, "LOCK"] = object()
        broken[FeatureType.MASK_TIMELESS, "LULC"] = np.ones((8, 8, 1), dtype=np.uint8)
        with pytest.raises(TypeError):
            broken.save("p", filesystem=filesystem, overwrite_permission=OverwritePermission.OVERWRITE_PATCH)
        half = EOPatch.load("p", filesystem=filesystem)
        assert (FeatureType.META_INFO, "LOCK") not in half.get_features()


def test_a_failed_save_leaves_the_patch_of_before(tmp_path: Path) -> None:
    save_eopatch(Place(tmp_path), "p", make_eopatch())
    broken = make_eopatch()
    broken[FeatureType.META_INFO, "LOCK"] = object()
    with pytest.raises(StorageError):
        save_eopatch(Place(tmp_path), "p", broken)
    assert load_eopatch(Place(tmp_path), "p") == make_eopatch()
