"""The detectors that come with eotasks, each on a scene whose truth is known."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
from pathlib import Path

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType

from eotasks.clouds.detectors.eopatch import BANDS, IS_DATA
from eotasks.clouds.detectors.protocol import Detection
from eotasks.clouds.detectors.registry import BUILT_IN
from eotasks.clouds.detectors.settings import DetectorSettings
from eotasks.clouds.masks import AddCloudMaskTask
from eotasks.clouds.probability import AddCloudProbabilityTask
from eotasks.errors import BandError, ConfigurationError, FeatureError
from eotasks.models.clouds.evaluation import confusion
from eotasks.models.sentinel2 import SceneClass
from eotasks.workflows.evaluate_clouds.command import examples
from eotasks.workflows.evaluate_clouds.contestants import WITH_SHADOWS, contestants
from eotasks.workflows.evaluate_clouds.scenes import LabelledScene, scenes_of_folder
from tests.builders.clouds.omnicloudmask import FakeOmniCloudMask
from tests.builders.clouds.shadow_scene import Blob, frame
from tests.builders.command_line import command
from tests.builders.labelled_scenes import digital_numbers, truth, write_image, write_scene

SUN = "sun_zenith = 40.0\nsun_azimuth = 150.0"


@pytest.fixture
def scene(tmp_path: Path) -> LabelledScene:
    folder = tmp_path / "scene"
    write_scene(folder)
    (folder / "scene.toml").write_text(SUN)
    scl = np.array([SceneClass.VEGETATION, SceneClass.CLOUD_HIGH_PROBABILITY, SceneClass.CLOUD_SHADOW], np.uint8)
    write_image(folder / "scl.tif", scl[truth()])
    return scenes_of_folder(tmp_path).sources[0].load()


def detect(name: str, scene: LabelledScene, settings: DetectorSettings | None = None) -> Detection:
    return contestants([name], settings or DetectorSettings())[0].detect(scene)


def series_of(scene: LabelledScene) -> LabelledScene:
    """The scene twice, five days apart."""
    (time,) = scene.eopatch.timestamps
    patch = EOPatch(bbox=scene.eopatch.bbox, timestamps=[time, time + dt.timedelta(days=5)])
    for feature in scene.eopatch.get_features():
        patch[feature] = np.repeat(scene.eopatch[feature], 2, axis=0)
    return dataclasses.replace(scene, eopatch=patch, reference=np.repeat(scene.reference, 2, axis=0))


def test_a_detector_that_compares_frames_needs_several(scene: LabelledScene) -> None:
    with pytest.raises(FeatureError, match="scene: a single frame"):
        detect("multi-temporal", scene)


def test_frames_of_one_second_have_names_of_their_own(scene: LabelledScene) -> None:
    series = series_of(scene)
    series.eopatch.timestamps = [series.eopatch.timestamps[0]] * 2
    assert len(set(series.frame_names)) == 2


@pytest.mark.filterwarnings("ignore::eotasks.errors.ShadowWarning")  # clouds of this scene are made up
@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_detector_answers_every_pixel_with_data(
    name: str, scene: LabelledScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "omnicloudmask":
        FakeOmniCloudMask().install(monkeypatch, tmp_path)
    scene = series_of(scene) if name == "multi-temporal" else scene
    features = set(scene.eopatch.get_features())
    detection = detect(name, scene)
    assert detection.mask.shape == scene.reference.shape
    assert detection.mask.dtype == np.uint8
    allowed = {0, 1, 2} if "shadow" in BUILT_IN[name].answers else {0, 1}
    assert set(np.unique(detection.mask)) <= allowed
    assert set(scene.eopatch.get_features()) == features


@pytest.mark.filterwarnings("ignore::eotasks.errors.ShadowWarning")  # its clouds are made up
@pytest.mark.parametrize("name", ["s2cloudless", "shadows-geometric", "shadows-projection", "scl", "stored"])
def test_a_bright_block_is_found(name: str, scene: LabelledScene) -> None:
    counts = confusion(scene.reference, detect(name, scene).mask).against_rest("cloud")
    assert counts.producers_accuracy == 1.0
    assert counts.specificity > 0.75


def test_the_mask_is_that_of_the_tasks(scene: LabelledScene) -> None:
    patch = AddCloudProbabilityTask(BANDS, is_data_feature=IS_DATA).execute(scene.eopatch.copy())
    patch = AddCloudMaskTask(is_data_feature=IS_DATA, preset="gee", threshold=0.7).execute(patch)
    detection = detect("s2cloudless", scene, DetectorSettings(preset="gee", threshold=0.7))
    np.testing.assert_array_equal(detection.mask, patch[FeatureType.MASK, "CLM"][..., 0])
    np.testing.assert_array_equal(detection.probability, patch[FeatureType.DATA, "CLP"][..., 0])


def test_a_preset_can_be_named_with_the_detector(scene: LabelledScene) -> None:
    plain, other = contestants(["s2cloudless", "s2cloudless:gee"], DetectorSettings(preset="s2cloudless"))
    assert plain.mask is not None
    assert other.mask is not None
    assert (plain.mask.threshold, other.mask.threshold) == (0.4, 0.5)
    assert plain.describe() == "threshold 0.4, averaged over 1 px, grown by 1 px"
    assert other.describe() == "threshold 0.5, averaged over 0 px, eroded by 2 px, grown by 5 px"
    assert (other.detect(scene).mask != plain.detect(scene).mask).any()


def test_what_sen2cor_calls_cloud_and_shadow(scene: LabelledScene) -> None:
    np.testing.assert_array_equal(detect("scl", scene).mask[0], truth())


def test_a_constant_answer_has_a_balanced_accuracy_of_one_half(scene: LabelledScene) -> None:
    counts = confusion(scene.reference, detect("all-clear", scene).mask).against_rest("cloud")
    assert counts.balanced_overall_accuracy == 0.5


@pytest.mark.parametrize(
    ("name", "file", "error", "message"),
    [
        ("scl", "scl.tif", FeatureError, "Add scl.tif"),
        ("stored", "clm.tif", FeatureError, "Add clm.tif"),
        ("shadows-geometric", "scene.toml", FeatureError, "SUN_ANGLES"),
    ],
)
def test_what_a_detector_lacks_is_named(
    tmp_path: Path, scene: LabelledScene, name: str, file: str, error: type[Exception], message: str
) -> None:
    (tmp_path / "scene" / file).unlink()
    with pytest.raises(error, match=message):
        detect(name, scenes_of_folder(tmp_path).sources[0].load())


def test_l2a_bands_are_refused_with_the_cure(tmp_path: Path) -> None:
    write_scene(tmp_path)
    (tmp_path / "labels.toml").write_text('bands = ["B02", "B03", "B04"]')
    write_image(tmp_path / "bands.tif", digital_numbers(truth())[..., 1:4])
    with pytest.raises(BandError, match=r"B10.*AddSceneClassificationMaskTask"):
        detect("s2cloudless", scenes_of_folder(tmp_path).sources[0].load())


def test_a_stored_mask_with_other_values(tmp_path: Path) -> None:
    write_scene(tmp_path, mask=truth() + np.uint8(5))
    with pytest.raises(FeatureError, match="with 5, 6, 7 where"):
        detect("stored", scenes_of_folder(tmp_path).sources[0].load())


def test_a_stored_mask_of_the_command_with_snow_and_thin_cloud(tmp_path: Path) -> None:
    classes = np.array([3, 4, 2], dtype=np.uint8)[truth()]  # snow on the ground, thin cloud for cloud
    write_scene(tmp_path, mask=classes)
    detection = detect("stored", scenes_of_folder(tmp_path).sources[0].load())
    np.testing.assert_array_equal(detection.mask[0], truth())


SIX = ("B02", "B03", "B04", "B08", "B11", "B12")


def six_bands(folder: Path, *, unknown: bool = False) -> np.ndarray:
    """A labelled scene of six named bands, with two clouds and their shadows; its labels."""
    bands, cloud, shadow = frame([Blob(60, 80, 14, 900.0), Blob(120, 170, 18, 1200.0)])
    labels = np.where(cloud, 1, np.where(shadow, 2, 0)).astype(np.uint8)
    if unknown:
        labels[:20] = 255
    blue, nir, swir = np.moveaxis(np.round(bands * 10_000).astype(np.uint16), -1, 0)
    write_image(folder / "bands.tif", np.stack([blue, blue, blue, nir, swir, swir], axis=-1), names=SIX)
    write_image(folder / "label.tif", labels)
    write_image(folder / "clm.tif", np.where(cloud, 4, 3).astype(np.uint8))  # thin cloud over snow
    (folder / "scene.toml").write_text("sun_zenith = 50.0\nsun_azimuth = 160.0")
    return labels


@pytest.mark.parametrize("clouds", ["labels", "stored"])
def test_shadows_of_given_clouds_on_six_bands(tmp_path: Path, clouds: str) -> None:
    labels = six_bands(tmp_path / "scene")
    scene = scenes_of_folder(tmp_path).sources[0].load()
    assert scene.bands == SIX
    (contestant,) = contestants([f"shadows-geometric:{clouds}"], DetectorSettings())
    detection = contestant.detect(scene)
    assert detection.probability is None
    np.testing.assert_array_equal(detection.mask[0] == 1, labels == 1)
    assert confusion(labels, detection.mask[0]).against_rest("shadow").f1 > 0.85
    assert contestant.targets == (("shadow",) if clouds == "labels" else WITH_SHADOWS)
    assert clouds[:4] in contestant.describe() or "mask" in contestant.describe()


def test_clouds_are_unknown_where_labels_are(tmp_path: Path) -> None:
    six_bands(tmp_path / "scene", unknown=True)
    scene = scenes_of_folder(tmp_path).sources[0].load()
    detection = detect("shadows-geometric:labels", scene)
    assert (detection.mask[0, :20] == 255).all()
    assert not (detection.mask[0, 20:] == 255).any()
    assert scene.frames.stored_mask is not None
    assert set(np.unique(scene.frames.stored_mask)) == {3, 4}, "the scene's own mask stays what it is"


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_six_bands_from_the_command_line(tmp_path: Path) -> None:
    six_bands(tmp_path / "scenes" / "scene")
    names = ("--detector", "shadows-geometric:labels", "--detector", "shadows-projection:stored")
    result = command("evaluate-clouds", tmp_path / "scenes", "--out", tmp_path / "out", *names)
    assert result.code == 0, result.err
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())["detectors"]
    assert set(metrics["shadows-geometric:labels"]["accuracy"]) == {"shadow"}
    assert metrics["shadows-projection:stored"]["accuracy"]["cloud"]["pooled"]["f1"] == 1
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Errors, scene by scene" in page
    assert "Pixels whose shadow is wrong: shadows-geometric:labels" in page
    refused = command("evaluate-clouds", tmp_path / "scenes", "--out", tmp_path / "other")
    assert refused.code == 2
    assert "'s2cloudless' needs band B01" in refused.err


def test_given_clouds_need_the_sun_and_a_mask(tmp_path: Path) -> None:
    six_bands(tmp_path / "scene")
    (tmp_path / "scene" / "clm.tif").unlink()
    with pytest.raises(FeatureError, match=r"Add clm\.tif"):
        detect("shadows-geometric:stored", scenes_of_folder(tmp_path).sources[0].load())
    (tmp_path / "scene" / "scene.toml").unlink()
    with pytest.raises(FeatureError, match="SUN_ANGLES"):
        detect("shadows-geometric:labels", scenes_of_folder(tmp_path).sources[0].load())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["fmask"], "there is no detector 'fmask'"),
        (["s2cloudless:mine"], "preset='mine'"),
        (["scl:gee"], "has no preset"),
        (["stored:labels"], "has no preset"),
        (["shadows-geometric:label"], "'label' is neither clouds nor a preset (did you mean 'labels'?)"),
        (["scl", "scl"], "given twice"),
    ],
)
def test_names_that_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        contestants(names, DetectorSettings())


@pytest.mark.parametrize(
    ("detectors", "options", "said"),
    [
        (["scl"], ["--preset", "gee", "--threshold", "0.3"], "detector 'scl' does not use --preset, --threshold"),
        (["scl"], ["--unit", "pixel"], "detector 'scl' does not use --unit"),  # the default too, when it is given
        (["multi-temporal"], ["--dilation", "2", "--resolution", "160"], "does not use --dilation: leave that out"),
        (["scl", "stored"], ["--average-over", "0"], "none of 'scl', 'stored' uses --average-over"),
        (["s2cloudless:gee"], ["--preset", "eo-learn"], "detector 's2cloudless:gee' does not use --preset"),
    ],
    ids=["none used", "default", "one of two", "two detectors", "preset in the name"],
)
def test_a_setting_that_nobody_uses_is_refused(
    tmp_path: Path, detectors: list[str], options: list[str], said: str
) -> None:
    write_scene(tmp_path / "scenes" / "one")
    chosen = [word for name in detectors for word in ("--detector", name)]
    result = command("evaluate-clouds", tmp_path / "scenes", "--out", tmp_path / "out", *chosen, *options)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert said in result.err
    assert not (tmp_path / "out").exists()


def test_a_setting_that_one_of_several_uses_is_taken(tmp_path: Path) -> None:
    write_scene(tmp_path / "scenes" / "one")
    chosen = ["--detector", "s2cloudless", "--detector", "stored", "--threshold", "0.9", "--pictures", "0"]
    result = command("evaluate-clouds", tmp_path / "scenes", "--out", tmp_path / "out", *chosen)
    assert result.code in (0, 1), result.err  # the scene has no mask of its own
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())["detectors"]
    assert found["s2cloudless"]["settings"]["threshold"] == 0.9
    assert found["stored"]["settings"] == {}


def test_settings_that_are_refused() -> None:
    for settings in ({"threshold": 1.5}, {"average_over": -1}, {"resolution": -20.0}, {"threads": 0}):
        with pytest.raises(ConfigurationError):
            DetectorSettings(**settings)


def test_the_help_names_every_detector() -> None:
    for name in BUILT_IN:
        assert re.search(rf"^  {re.escape(name)} +\S", examples(), re.MULTILINE), name
