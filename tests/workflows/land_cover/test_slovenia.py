"""The command on real data: NDVI of 2017 of a Slovenian EOPatch, with labels of the farm register."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from eolearn.core import EOPatch, FeatureType

from eotasks.models.landcover.training import load_model
from eotasks.workflows.land_cover.config_file import BUILT_IN, load_config, render_toml
from tests.builders.command_line import Result, command

pytestmark = pytest.mark.trial

MEAN_ACCURACY, MEAN_MACRO_F1 = 0.91, 0.49
"""What is asked of the means over the seeds."""


@pytest.fixture(scope="module")
def run(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    folder = tmp_path_factory.mktemp("slovenia")
    config = load_config(BUILT_IN / "eopatches.toml")
    source = config.source.model_copy(update={"folder": str(shared_data / "slovenia" / "eopatch")})
    (folder / "config.toml").write_text(render_toml(config.model_copy(update={"source": source})), encoding="utf-8")
    options: list[str | Path] = ["--config", folder / "config.toml", "--output", folder / "out", "--threads", "1"]
    return command("land-cover", *options), folder / "out"


def test_ends_well(run: tuple[Result, Path]) -> None:
    result, out = run
    assert (result.code, result.err) == (0, "")
    assert "accuracy, 5 seeds" in result.out
    assert (out / "report.html").stat().st_size < 8_000_000


def test_accuracy_on_held_out_blocks(run: tuple[Result, Path], shared_data: Path) -> None:
    metrics = json.loads((run[1] / "metrics.json").read_text())
    assert metrics["simulated"] is False
    seeds = metrics["seeds"]
    assert len(seeds["seeds"]) == 5
    accuracy, macro_f1 = seeds["overall_accuracy"], seeds["macro_f1"]
    assert accuracy["mean"] >= MEAN_ACCURACY
    assert macro_f1["mean"] >= MEAN_MACRO_F1
    for spread in (accuracy, macro_f1):
        assert spread["min"] < spread["mean"] < spread["max"]
        assert 0 < spread["std"] < 0.05
    labels = EOPatch.load(str(shared_data / "slovenia" / "eopatch"))[FeatureType.MASK_TIMELESS, "LULC"]
    counts = np.bincount(labels[labels > 0])
    assert seeds["baseline_accuracy"]["mean"] == pytest.approx(counts.max() / counts.sum())
    assert accuracy["min"] > seeds["baseline_accuracy"]["max"] + 0.1


def test_model_and_map(run: tuple[Result, Path]) -> None:
    card = load_model(run[1] / "model").card
    assert not card.simulated
    assert (len(card.dates), str(card.dates[0]), str(card.dates[-1])) == (25, "2017-01-01", "2017-12-27")
    with rasterio.open(run[1] / "land_cover.tif") as source:
        assert source.crs == rasterio.CRS.from_epsg(32633)
        assert (source.height, source.width) == (101, 100)
        assert source.tags(1)["CLASS_2"] == "Forest"
        labels = source.read(1)
    assert (labels == 2).mean() > 0.5
