"""Published labels by the command: what is judged, by which detectors, and what is refused before any work."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eotasks.clouds.detectors.protocol import Detection
from eotasks.clouds.detectors.settings import DetectorSettings
from eotasks.errors import ConfigurationError
from eotasks.models.clouds.evaluation import SHADOW
from eotasks.workflows.cli import main
from eotasks.workflows.evaluate_clouds.command import THIN_CLOUDS
from eotasks.workflows.evaluate_clouds.contestants import contestants
from eotasks.workflows.evaluate_clouds.known_labels import named_labels, on_spectra, scenes_of_labels
from eotasks.workflows.evaluate_clouds.pictures import frame_figure
from eotasks.workflows.evaluate_clouds.run import evaluate_scenes
from eotasks.workflows.evaluate_clouds.scenes import LabelledScene
from tests.builders.clouds.label_sets import (
    SCENE,
    THIN,
    write_catalogue,
    write_cloudsen12,
    write_cloudsen12_plus,
    write_hollstein,
    write_kappazeta,
)
from tests.builders.labelled_scenes import truth


def evaluated(labels: str, out: Path, *options: str) -> tuple[int, dict[str, Any]]:
    code = main(["evaluate-clouds", "--labels", labels, "--out", str(out), "--pictures", "0", *options])
    return code, json.loads((out / "metrics.json").read_text()) if code == 0 else {}


def only_scene(labels: str, **options: Any) -> LabelledScene:
    (source,) = scenes_of_labels(*named_labels(labels), **options).sources
    return source.load()


WRITERS = {
    "cloudsen12": write_cloudsen12,
    "cloudsen12-plus": write_cloudsen12_plus,
    "kappazeta": lambda folder: write_kappazeta(folder / "a.nc"),
    "cloud-mask-catalogue": write_catalogue,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_detector_is_judged_by_published_labels(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / "data")
    preset = ("--average-over", "0", "--dilation", "0")
    code, metrics = evaluated(f"{name}:{tmp_path / 'data'}", tmp_path / "out", *preset)
    assert code == 0
    cloud = metrics["detectors"]["s2cloudless"]["accuracy"]["cloud"]
    assert (cloud["scenes"], cloud["scenes_with_the_class"]) == (1, 1)
    # The made-up cloud is as bright as clouds are, and the ground is no cloud.
    assert cloud["pooled"]["producers_accuracy"] == cloud["pooled"]["users_accuracy"] == 1
    assert "Licence:" in metrics["attribution"]


def test_thin_cloud_is_judged_or_not(tmp_path: Path) -> None:
    write_cloudsen12(tmp_path)
    scene = only_scene(f"cloudsen12:{tmp_path}")
    np.testing.assert_array_equal(scene.reference[0], truth())
    thin = np.zeros(truth().shape, bool)
    thin[THIN] = truth()[THIN] == 1
    without = only_scene(f"cloudsen12:{tmp_path}", thin_cloud="ignore").reference[0]
    np.testing.assert_array_equal(without, np.where(thin, 255, truth()))
    assert THIN_CLOUDS == ("cloud", "ignore")
    code, metrics = evaluated(
        f"cloudsen12:{tmp_path}", tmp_path / "out", "--thin-cloud", "ignore", "--detector", "all-clear"
    )
    assert code == 0
    assert "Thin cloud is not judged." in metrics["attribution"]


@pytest.mark.parametrize("marked", ["1", "0"])
def test_no_shadow_is_judged_where_nobody_marked_any(marked: str, tmp_path: Path) -> None:
    write_catalogue(tmp_path, shadows_marked=marked)
    scene = only_scene(f"cloud-mask-catalogue:{tmp_path}")
    assert scene.name == SCENE
    found = scene.judgeable(Detection(scene.reference.copy()))
    assert (found.mask == SHADOW).any() == (marked == "1")
    np.testing.assert_array_equal(found.mask == 1, truth()[np.newaxis] == 1)


def test_spectra_are_judged_one_by_one(tmp_path: Path) -> None:
    write_hollstein(tmp_path / "data")
    labels = f"hollstein:{tmp_path / 'data'}"
    detectors = ("--detector", "s2cloudless", "--detector", "s2cloudless:gee", "--detector", "braaten-cohen-yang")
    code, metrics = evaluated(labels, tmp_path / "out", *detectors)
    assert code == 0
    for name in ("s2cloudless", "s2cloudless:gee"):
        # Neighbours in the array are none on the ground: averages, erosion and growth would spoil this.
        pooled = metrics["detectors"][name]["accuracy"]["cloud"]["pooled"]
        assert pooled["producers_accuracy"] == pooled["users_accuracy"] == 1
    assert "nothing is averaged" in metrics["attribution"]


def test_of_a_preset_spectra_take_the_threshold_alone() -> None:
    for preset, threshold in (("s2cloudless:sentinel-hub", 0.6), ("s2cloudless:gee", 0.5)):
        (chosen,) = on_spectra(contestants([preset], DetectorSettings()))
        mask = chosen.settings.mask
        assert mask.threshold == threshold
        assert not any((mask.average_over, mask.sigma, mask.erosion_size, mask.dilation_size))
        assert chosen.describe() == f"threshold {threshold:g}, averaged over 0 px, grown by 0 px"


@pytest.mark.parametrize(
    ("detector", "settings", "words"),
    [
        ("shadows-geometric", {}, "needs more than the spectrum"),
        ("multi-temporal", {}, "needs more than the spectrum"),
        ("scl", {}, "needs more than the spectrum"),
        ("shadows-projection:labels", {}, "needs more than the spectrum"),
        ("s2cloudless", {"average_over": 4}, "--average-over: there is nothing around"),
        ("s2cloudless", {"dilation_size": 1, "resolution": 160.0}, "--dilation, --resolution: there"),
    ],
    ids=["shadows", "series", "scl", "of labels", "average", "dilation"],
)
def test_what_spectra_alone_cannot_be_judged_by(detector: str, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        on_spectra(contestants([detector], DetectorSettings(**settings)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--labels", "cloudsen12"], "give NAME:FOLDER"),
        (["--labels", "cloudsen12:"], "give NAME:FOLDER"),
        (["--labels", "cloudsen:x"], "did you mean 'cloudsen12'"),
        (["--labels", "cloudsen12:s3://bucket/x"], "from a folder on disk"),
        (["--labels", "cloudsen12:absent"], "no such folder"),
        (["--labels", "cloudsen12:absent", "--simulated"], "give either a FOLDER"),
        (["scenes", "--labels", "cloudsen12:absent"], "give either a FOLDER"),
        (["--simulated", "--thin-cloud", "ignore"], "--thin-cloud is for published labels"),
        (["--labels", "hollstein:absent", "--detector", "scl"], "needs more than the spectrum"),
    ],
    ids=["no folder", "empty", "unknown", "s3", "absent", "simulated", "folder", "thin cloud", "spectra"],
)
def test_options_that_do_not_fit(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate-clouds", *options, "--out", "out"]) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_a_frame_that_cannot_be_read_is_noted_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_kappazeta(tmp_path / "data" / "a.nc")
    (tmp_path / "data" / "b.nc").write_bytes(b"CDF\x01")
    assert main([
        "evaluate-clouds", "--labels", f"kappazeta:{tmp_path / 'data'}", "--out", str(tmp_path / "out"),
        "--detector", "all-clear", "--pictures", "0",
    ]) == 1  # fmt: skip
    assert "b: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "drawn"),
    [("a", "a"), (SCENE, SCENE), (f"{SCENE}/{SCENE}", f"{SCENE}/{SCENE}"[-50:])],
    ids=["short", "product", "longer than the picture"],
)
def test_names_of_frames_are_drawn_within_the_picture(name: str, drawn: str, tmp_path: Path) -> None:
    write_kappazeta(tmp_path / "a.nc")
    collection = scenes_of_labels(*named_labels(f"kappazeta:{tmp_path}"))
    outcome = evaluate_scenes(collection, contestants(["braaten-cohen-yang"], DetectorSettings()), pictures=1)
    view = replace(outcome.views[0], frame=name)
    figure = frame_figure(view, ["braaten-cohen-yang"], {"braaten-cohen-yang": ("cloud",)})
    title = figure.get_suptitle()
    assert title.endswith(drawn)
    figure.draw_without_rendering()
    (text,) = [each for each in figure.texts if each.get_text() == title]
    assert text.get_window_extent().x1 <= figure.bbox.x1
