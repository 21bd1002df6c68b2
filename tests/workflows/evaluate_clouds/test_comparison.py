"""Detectors beside each other: agreement, intervals and times, in the table, the picture and the report."""

from __future__ import annotations

import csv
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from eotasks.clouds.detectors import frames
from eotasks.clouds.detectors.frames import SharedResults
from eotasks.clouds.detectors.settings import DetectorSettings
from eotasks.workflows.evaluate_clouds.comparison import rows as comparison_rows
from eotasks.workflows.evaluate_clouds.comparison.picture import comparison_figure
from eotasks.workflows.evaluate_clouds.comparison.rows import cells_of, header_of, note, rows_of, seconds_text
from eotasks.workflows.evaluate_clouds.contestants import contestants
from eotasks.workflows.evaluate_clouds.report import save_picture
from eotasks.workflows.evaluate_clouds.run import Outcome, evaluate_scenes
from eotasks.workflows.evaluate_clouds.scenes import SceneSource, scenes_of_folder
from tests.builders.command_line import command
from tests.builders.labelled_scenes import SHAPE, truth, write_image, write_scene

THREE = ["stored", "scl", "braaten-cohen-yang"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three scenes: the stored mask is right, two columns off, and four; that of Sen2Cor is right but for shadow."""
    for name, columns in (("a", 0), ("b", 2), ("c", 4)):
        write_scene(tmp_path / "scenes" / name, mask=np.roll(truth(), columns, axis=1))
        write_image(tmp_path / "scenes" / name / "scl.tif", np.array([4, 9, 4], np.uint8)[truth()])
    labels = truth()
    labels[:, 12:] = 255
    write_image(tmp_path / "scenes" / "c" / "label.tif", labels)
    return tmp_path / "scenes"


@pytest.fixture
def outcome(folder: Path) -> Outcome:
    return evaluate_scenes(scenes_of_folder(folder), contestants(THREE, DetectorSettings()), pictures=0)


def test_rows_hold_medians_intervals_and_agreement_of_all_pixels(outcome: Outcome) -> None:
    rows = {(row.detector, row.target): row for row in rows_of(outcome)}
    assert list(rows) == [
        ("stored", "cloud"), ("stored", "shadow"), ("scl", "cloud"), ("scl", "shadow"), ("braaten-cohen-yang", "cloud"),
    ]  # fmt: skip
    stored = rows["stored", "cloud"]
    assert stored.frames == 3
    recall = stored.estimates["PA"]
    assert (recall.median, recall.interval.low, recall.interval.high) == (48 / 64, 32 / 64, 1.0)
    assert str(recall) == "0.750 (0.500–1.000)"
    pixels = 3 * SHAPE[0] * SHAPE[1]
    agreed = stored.agreement["scl"]
    assert agreed.pixels == pixels, "labelled or not"
    assert agreed.share == 1 - 2 * (16 + 32) / pixels
    assert rows["scl", "cloud"].agreement["stored"] == agreed
    assert rows["braaten-cohen-yang", "cloud"].agreement["scl"].kappa == 1.0
    assert set(rows["stored", "shadow"].agreement) == {"scl"}
    assert np.isnan(rows["scl", "shadow"].estimates["UA"].median)


def test_agreement_of_shadows_does_not_ask_whether_they_are_labelled(folder: Path) -> None:
    collection = scenes_of_folder(folder)
    unmarked = [
        SceneSource(each.name, lambda each=each: replace(each.load(), shadows_labelled=False))  # type: ignore[misc]
        for each in collection.sources
    ]
    chosen = contestants(THREE[:2], DetectorSettings())
    agreed, judged = [], []
    for sources in (collection.sources, unmarked):
        outcome = evaluate_scenes(replace(collection, sources=sources), chosen, pictures=0)
        agreed.append({row.target: row.agreement["scl"] for row in rows_of(outcome) if row.detector == "stored"})
        judged.append(sum(each.against_rest("shadow").true_positive for each in outcome.of("stored")))
    assert agreed[0] == agreed[1]
    assert agreed[1]["shadow"].share < 1
    assert judged[0] > judged[1] == 0, "what is judged by the labels has no shadows there"


def test_scenes_are_drawn_where_enough_have_the_class(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(folder / "b" / "label.tif", np.where(truth() == 2, 255, truth()).astype(np.uint8))  # no shadow
    outcome = evaluate_scenes(scenes_of_folder(folder), contestants(THREE[:2], DetectorSettings()), pictures=0)

    def drawn() -> dict[tuple[str, str], str | None]:
        return {(row.target, row.detector): row.drawn for row in rows_of(outcome)}

    everywhere = {("cloud", "stored"), ("cloud", "scl"), ("shadow", "stored"), ("shadow", "scl")}
    assert drawn() == dict.fromkeys(everywhere, "frames")
    assert "bootstrap over frames (fewer than 10 scenes have the class)." in note(rows_of(outcome))
    monkeypatch.setattr(comparison_rows, "SCENES_TO_DRAW", 3)
    rows = rows_of(outcome)
    assert {row.drawn for row in rows if row.target == "cloud"} == {"scenes"}
    shadow = [row for row in rows if row.target == "shadow"]
    assert {(row.drawn, row.frames < 3) for row in shadow} == {("frames", True)}
    assert "over scenes, or over frames where fewer than 3 scenes have the class." in note(rows)
    assert {cells[3] for cells in cells_of(rows)} == {"scenes", "frames"}
    monkeypatch.setattr(comparison_rows, "SCENES_TO_DRAW", 1)
    assert "bootstrap over scenes. κ" in note(rows_of(outcome))


def test_tables_have_a_column_for_each_detector(outcome: Outcome) -> None:
    rows = rows_of(outcome)
    header, cells = header_of(rows), cells_of(rows)
    assert header[-3:] == tuple(f"κ with {name}" for name in THREE)
    assert {len(row) for row in cells} == {len(header)}
    assert cells[0][-3] == cells[1][-1] == "–"
    (alone,) = (header_of(rows_of(outcome, [each])) for each in outcome.contestants[-1:])
    assert alone[-1] == "s / Mpx"


def test_the_picture_is_drawn(outcome: Outcome, tmp_path: Path) -> None:
    figure = comparison_figure(rows_of(outcome), "Detectors")
    save_picture(figure, tmp_path / "comparison.png")
    image = imread(tmp_path / "comparison.png")
    assert min(image.shape[:2]) > 500
    assert len(np.unique(image.reshape(-1, image.shape[2]), axis=0)) > 50


@pytest.mark.usefixtures("undrawn")
def test_files_and_report(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    chosen = [word for name in THREE for word in ("--detector", name)]
    result = command("evaluate-clouds", folder, *chosen, "--out", out, "--pictures", "1")
    assert result.code == 0, result.err
    assert "Cohen's kappa" in result.out
    with (out / "comparison.csv").open(newline="") as stream:
        found = {(row["detector"], row["class"]): row for row in csv.DictReader(stream)}
    assert float(found["stored", "cloud"]["PA_low"]) == 0.5
    assert float(found["scl", "cloud"]["kappa_with_braaten-cohen-yang"]) == 1.0
    assert found["scl", "cloud"]["kappa_with_scl"] == ""
    assert float(found["scl", "cloud"]["seconds_per_megapixel"]) > 0
    assert (out / "comparison.png").exists()
    assert "Beside each other" in (out / "report.html").read_text()
    result = command("evaluate-clouds", folder, "--detector", "stored", "--out", out, "--pictures", "0")
    assert result.code == 0, result.err
    assert not (out / "comparison.png").exists(), "no picture is left of the run before"
    assert "kappa" not in result.out


def test_a_shared_result_costs_everyone_that_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count(step=2)
    monkeypatch.setattr(frames, "perf_counter", lambda: float(next(ticks)))
    shared = SharedResults()
    assert shared.once("key", lambda: "made") == "made"
    assert shared.spared_seconds == 0
    assert [shared.once("key", lambda: "again") for _ in range(2)] == ["made"] * 2
    assert shared.spared_seconds == 4


def test_times_have_two_digits_that_say_something() -> None:
    assert [seconds_text(value) for value in (0.0123, 0.98, 3.66, 17.2, 240.0, float("nan"))] == [
        "0.012", "0.98", "3.7", "17", "240", "–",
    ]  # fmt: skip
