"""The command from end to end: numbers, pictures, exit codes, and what it leaves alone."""

from __future__ import annotations

import csv
import gc
import json
import shutil
import weakref
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from matplotlib.figure import Figure
from matplotlib.image import imread

from eotasks.clouds.detectors.settings import DetectorSettings
from eotasks.errors import ConfigurationError, ReferenceDataError
from eotasks.models.clouds.evaluation import confusion, error_map
from eotasks.storage.place import Place
from eotasks.workflows.cli import main
from eotasks.workflows.evaluate_clouds import pictures, results, run, scene_errors, simulated
from eotasks.workflows.evaluate_clouds.contestants import contestants
from eotasks.workflows.evaluate_clouds.pictures import true_color
from eotasks.workflows.evaluate_clouds.results import claim_results
from eotasks.workflows.evaluate_clouds.run import Outcome, evaluate_scenes
from eotasks.workflows.evaluate_clouds.scenes import scenes_of_folder
from eotasks.workflows.evaluate_clouds.tables import frames_rows, markdown, metrics_json, pooled_rows
from tests.builders.command_line import command
from tests.builders.labelled_scenes import truth, write_eopatch, write_image, write_scene

BOTH = ("--detector", "stored", "--detector", "all-clear")


def shifted() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The truth two columns off: false alarms on one side, misses on the other."""
    return np.roll(truth(), 2, axis=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_scene(tmp_path / "scenes" / "exact")
    write_scene(tmp_path / "scenes" / "shifted", mask=shifted())
    return tmp_path / "scenes"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def evaluated(folder: Path, names: list[str], pictures: int = 8) -> Outcome:
    return evaluate_scenes(scenes_of_folder(folder), contestants(names, DetectorSettings()), pictures=pictures)


def test_numbers_pictures_and_report(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["evaluate-clouds", str(folder), "--out", str(out), *BOTH]) == 0
    assert sorted(files(out)) == [
        "comparison.csv", "frames.csv", "metrics.json", "pictures/exact.png", "pictures/shifted.png", "report.html",
        "table.md",
    ]  # fmt: skip
    metrics = json.loads((out / "metrics.json").read_text())
    stored = metrics["detectors"]["stored"]["accuracy"]["cloud"]
    assert (stored["scenes"], stored["scenes_with_the_class"]) == (2, 2)
    assert stored["over_scenes"]["producers_accuracy"]["median"] == (1 + 48 / 64) / 2
    assert stored["pooled"]["users_accuracy"] == (64 + 48) / 128
    assert metrics["detectors"]["all-clear"]["accuracy"]["cloud"]["pooled"]["users_accuracy"] is None
    assert set(metrics["detectors"]["all-clear"]["accuracy"]) == {"cloud"}
    with (out / "frames.csv").open(newline="") as stream:
        rows = {(row["detector"], row["class"], row["frame"]): row for row in csv.DictReader(stream)}
    expected = confusion(truth(), shifted()).against_rest("shadow")
    found = rows["stored", "shadow", "shifted"]
    assert [int(found[key]) for key in ("TP", "FP", "FN")] == [
        expected.true_positive, expected.false_positive, expected.false_negative,
    ]  # fmt: skip
    assert float(found["BOA"]) == expected.balanced_overall_accuracy
    assert rows["all-clear", "cloud", "exact"]["UA"] == ""
    printed = capsys.readouterr().out
    assert "0.875" in printed
    assert "report.html" in printed
    page = (out / "report.html").read_text()
    assert "Simulated" not in page
    assert page.count("<figure") == 7  # clouds, shadows, confusion, errors of two scenes, two frames
    image = imread(out / "pictures" / "shifted.png")
    assert min(image.shape[:2]) > 300


@pytest.mark.usefixtures("even_clock")
def test_the_same_command_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["evaluate-clouds", str(folder), "--out", str(out), *BOTH]
    assert main(command) == 0
    first = files(out)
    (out / "pictures" / "of-another-run.png").write_bytes(b"")
    assert main(command) == 0
    assert files(out) == first


@pytest.mark.usefixtures("undrawn")
def test_a_bad_scene_is_named_and_the_others_are_judged(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "shifted" / "label.tif").unlink()
    write_eopatch(folder / "patch")
    out = tmp_path / "out"
    assert main(["evaluate-clouds", str(folder), "--out", str(out), "--detector", "stored", "--detector", "scl"]) == 1
    metrics = json.loads((out / "metrics.json").read_text())
    assert sorted(metrics["detectors"]["stored"]["frames"]) == [
        "exact", "patch_20200601T100000", "patch_20200602T100000",
    ]  # fmt: skip
    assert metrics["detectors"]["scl"]["frames"] == {}
    failed = {(each["scene"], each["detector"]) for each in metrics["failures"]}
    assert failed == {("exact", "scl"), ("patch", "scl"), ("shifted", None)}
    assert "label.tif is missing" in " ".join(capsys.readouterr().out.split())
    assert "What could not be judged" in (out / "report.html").read_text()


@pytest.mark.usefixtures("undrawn")
def test_clouds_whose_shadows_cannot_be_told_are_listed_with_the_reason(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("exact", "shifted"):
        (folder / name / "scene.toml").write_text("sun_zenith = 0.0\nsun_azimuth = 150.0")
    out = tmp_path / "out"
    names = ["--detector", "shadows-geometric:labels", "--detector", "all-clear"]
    assert main(["evaluate-clouds", str(folder), "--out", str(out), *names]) == 0
    untold = json.loads((out / "metrics.json").read_text())["shadows_not_told"]
    assert [(each["scene"], each["reason"]) for each in untold] == [("exact", "sun"), ("shifted", "sun")]
    assert all(each["detector"] == "shadows-geometric:labels" for each in untold)
    assert "shadows of 2 cloudy frames (2 sun)" in " ".join(capsys.readouterr().out.split())
    assert "sun and sensor stand so that" in (out / "table.md").read_text()
    assert "Clouds whose shadows cannot be told" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either a FOLDER"),
        (["FOLDER", "--simulated"], "give either a FOLDER"),
        (["FOLDER", "--realistic"], "--realistic is for simulated scenes"),
        (["FOLDER", "--with-snow"], "--with-snow is for simulated scenes"),
        (["FOLDER", "--detector", "fmask"], "there is no detector 'fmask'"),
        (["FOLDER", "--preset", "mine"], "preset='mine'"),
        (["FOLDER", "--threshold", "40"], "threshold=40"),
        (["FOLDER", "--average-over", "1.5"], "average_over=1.5"),
        (["FOLDER", "--pictures", "-1"], "--pictures -1"),
        (["FOLDER", "--detector", "scl"], "none of the scenes could be evaluated"),
        (["absent"], "no such folder"),
    ],
)
def test_bad_input_is_told_and_leaves_nothing(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    out = tmp_path / "out"
    given = [str(folder) if argument == "FOLDER" else argument for argument in arguments]
    assert main(["evaluate-clouds", *given, "--out", str(out)]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_with_other_things_is_left_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "metrics.json").write_text('{"accuracy": 0.9}')
    for place in (folder, tmp_path / "file", tmp_path / "other"):
        with pytest.raises(ConfigurationError, match="--out"):
            claim_results(place)
    assert main(["evaluate-clouds", str(folder), "--out", str(folder), *BOTH]) == 2
    assert (folder / "exact" / "bands.tif").exists()


def test_the_frames_with_most_errors_are_shown_and_the_baseline_does_not_choose(folder: Path) -> None:
    outcome = evaluated(folder, ["stored", "all-clear"], pictures=1)
    assert [view.frame for view in outcome.views] == ["shifted"]
    assert outcome.views[0].errors == 1 - confusion(truth(), shifted()).overall_accuracy
    assert [view.frame for view in evaluated(folder, ["stored"]).views] == ["shifted", "exact"]
    assert not evaluated(folder, ["stored"], pictures=0).views
    (folder / "shifted" / "clm.tif").unlink()
    assert [view.frame for view in evaluated(folder, ["stored", "all-clear"]).views] == ["exact"]


def test_the_help_says_how_many_scenes_are_drawn() -> None:
    words = " ".join(command("evaluate-clouds", "--help").out.split())
    assert f"errors of each scene (the {scene_errors.MOST_SCENES} worst); 0: no pictures at all" in words


def test_figures_of_scenes_are_let_go_one_by_one(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: weakref.WeakSet[Figure] = weakref.WeakSet()
    most = 0

    def counted(*arguments: object) -> Figure:
        nonlocal most
        gc.collect()  # a figure and its axes refer to each other
        figure = pictures.errors_figure(*arguments)  # type: ignore[arg-type]
        alive.add(figure)
        most = max(most, len(alive))
        return figure

    for name in ("second", "third", "fourth"):
        shutil.copytree(folder / "shifted", folder / name)
    monkeypatch.setattr(results, "errors_figure", counted)
    outcome = evaluated(folder, ["stored"], pictures=1)
    assert len(outcome.scene_errors) == 5
    results.write_results(outcome, Place(tmp_path / "out"))
    assert most <= 2


def test_every_scene_has_one_picture_of_its_errors(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_eopatch(folder / "patch")  # two frames
    outcome = evaluated(folder, ["stored", "all-clear"])
    assert len(outcome.scene_errors) == 3
    errors = outcome.scene_errors[0]
    assert errors.frame == "shifted"
    assert list(errors.maps) == ["stored"], "the baseline is not drawn"
    assert np.array_equal(errors.maps["stored"], error_map(truth(), shifted(), shadows=True))
    assert evaluated(folder, ["stored"], pictures=0).scene_errors == []
    monkeypatch.setattr(run, "MOST_SCENES", 1)
    assert [each.frame for each in evaluated(folder, ["stored"]).scene_errors] == ["shifted"]
    monkeypatch.setattr(scene_errors, "LONGEST_SIDE", 12)
    assert evaluated(folder, ["stored"]).scene_errors[0].maps["stored"].shape == (10, 12)


def test_the_picture_of_a_scene_is_of_the_frame_with_most_wrong_pixels_not_of_a_sliver(tmp_path: Path) -> None:
    write_eopatch(tmp_path / "patch")
    patch = EOPatch.load(str(tmp_path / "patch"))
    labels = patch[FeatureType.MASK, "LABEL"]
    labels[0] = 255
    labels[0, 13:15, 14:16] = 2  # all of the little that is judged is missed
    patch.save(str(tmp_path / "scenes" / "patch"))
    (errors,) = evaluated(tmp_path / "scenes", ["stored"]).scene_errors
    assert errors.frame == "patch_20200602T100000"
    assert errors.errors == pytest.approx(24 / 480)


def test_a_view_keeps_what_a_picture_needs(folder: Path) -> None:
    values = np.zeros((20, 24, 13), np.float32)
    values[:, :12] = 0.3
    write_image(folder / "exact" / "bands.tif", values)
    view = next(view for view in evaluated(folder, ["stored"]).views if view.frame == "exact")
    picture = true_color(view)
    assert picture.shape == (20, 24, 3)
    assert np.ptp(picture[:, 12:]) < 0.1  # one grey where there is no data
    assert not np.allclose(picture[0, 0], picture[0, 23])


@pytest.mark.usefixtures("undrawn")
def test_frames_of_like_names_keep_their_pictures(folder: Path, tmp_path: Path) -> None:
    (folder / "exact").rename(folder / "shifted é")
    (folder / "shifted").rename(folder / "shifted e")
    assert main(["evaluate-clouds", str(folder), "--out", str(tmp_path / "out"), "--detector", "stored"]) == 0
    assert len(list((tmp_path / "out" / "pictures").iterdir())) == 2


def test_tables_hold_a_row_for_each_detector_and_class(folder: Path) -> None:
    outcome = evaluated(folder, ["stored", "all-clear"])
    expected = [
        ("stored", "cloud"), ("stored", "shadow"), ("stored", "cloud or shadow"), ("stored", "clear"),
        ("all-clear", "cloud"),
    ]  # fmt: skip
    for rows in (frames_rows(outcome), pooled_rows(outcome)):
        assert [row[:2] for row in rows] == expected
    lines = markdown(outcome).splitlines()
    assert {line.count("|") for line in lines if line.startswith("|")} == {12, 10}
    assert "NaN" not in metrics_json(outcome)


def test_classes_that_no_scene_has_are_left_out(folder: Path) -> None:
    shutil.rmtree(folder / "shifted")
    write_image(folder / "exact" / "label.tif", np.minimum(truth(), 1))
    write_image(folder / "exact" / "clm.tif", np.minimum(truth(), 1))
    assert {row[1] for row in frames_rows(evaluated(folder, ["stored"]))} == {"cloud", "cloud or shadow", "clear"}


def test_false_alarms_where_a_class_is_nowhere_are_shown(folder: Path) -> None:
    shutil.rmtree(folder / "shifted")
    write_image(folder / "exact" / "label.tif", np.minimum(truth(), 1))
    assert "shadow" in {row[1] for row in frames_rows(evaluated(folder, ["stored"]))}


def test_nothing_that_can_be_judged_is_an_error_with_the_first_reason(folder: Path) -> None:
    with pytest.raises(ReferenceDataError, match=r"first reason: exact: no scene classification"):
        evaluated(folder, ["scl"])


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("kind", [[], ["--realistic", "--with-snow"]], ids=["plain", "realistic"])
def test_simulated_scenes_say_so_everywhere(
    kind: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = partial(simulated.simulated_scenes, count=1, acquisitions=2)
    monkeypatch.setattr(simulated, "simulated_scenes", few)
    out = tmp_path / "out"
    assert main(["evaluate-clouds", "--simulated", *kind, "--detector", "all-clear", "--out", str(out)]) == 0
    title = "simulated realistic year, seed 42, with snow" if kind else "simulated year, seed 42"
    says = "nothing about accuracy in the field"
    for name in ("report.html", "table.md"):
        assert says in (out / name).read_text()
    assert json.loads((out / "metrics.json").read_text())["simulated"] is True
    printed = " ".join(capsys.readouterr().out.split())
    assert says in printed
    assert title in printed


@pytest.mark.usefixtures("undrawn")
def test_a_probability_has_a_curve(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    names = ["--detector", "s2cloudless", "--detector", "s2cloudless:gee"]
    assert main(["evaluate-clouds", str(folder), "--out", str(out), *names]) == 0
    curve = json.loads((out / "metrics.json").read_text())["detectors"]["s2cloudless"]["thresholds"]
    assert curve["positives"] == 2 * 64
    assert len(curve["threshold"]) == len(curve["true_positive"]) == 100
    page = (out / "report.html").read_text()
    assert "s2cloudless, s2cloudless:gee" in page  # one probability, one curve
    assert "best here" in page
