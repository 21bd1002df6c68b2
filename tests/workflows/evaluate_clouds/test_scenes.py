"""Reading labelled scenes, and refusing what is none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from eotasks.errors import (
    AreaError,
    BandError,
    ConfigurationError,
    EOTasksError,
    GridError,
    ImageryError,
    ReferenceDataError,
)
from eotasks.models.sentinel2 import BANDS as ALL_BANDS
from eotasks.models.sentinel2 import CLOUD_BANDS
from eotasks.sources.sample import SUN_ANGLES
from eotasks.workflows.evaluate_clouds.scenes import BANDS, IS_DATA, STORED_MASK, LabelledScene, scenes_of_folder
from eotasks.workflows.evaluate_clouds.simulated import simulated_scenes
from tests.builders.labelled_scenes import (
    LEFT,
    PIXEL,
    TOP,
    digital_numbers,
    truth,
    write_eopatch,
    write_image,
    write_scene,
)


def only_scene(folder: Path) -> LabelledScene:
    (source,) = scenes_of_folder(folder).sources
    return source.load()


def test_a_folder_holds_images_and_eopatches_in_the_order_of_their_names(tmp_path: Path) -> None:
    write_scene(tmp_path / "b-images")
    write_eopatch(tmp_path / "a-patch")
    (tmp_path / "notes").mkdir()
    collection = scenes_of_folder(tmp_path)
    assert [source.name for source in collection.sources] == ["a-patch", "b-images"]
    patch, images = (source.load() for source in collection.sources)
    assert patch.frame_names == ["a-patch_20200601T100000", "a-patch_20200602T100000"]
    assert images.frame_names == ["b-images"]
    for scene in (patch, images):
        assert scene.bands == ALL_BANDS
        for index in range(len(scene.reference)):
            np.testing.assert_array_equal(scene.reference[index], truth())
        assert {name for _, name in scene.eopatch.get_features()} == {"BANDS", "IS_DATA", "CLM"}


def test_the_folder_of_one_scene_will_do(tmp_path: Path) -> None:
    write_scene(tmp_path)
    assert only_scene(tmp_path).name == tmp_path.name


def test_no_data_is_not_judged(tmp_path: Path) -> None:
    write_scene(tmp_path)
    values = digital_numbers(truth())
    values[:3] = 0
    write_image(tmp_path / "bands.tif", values)
    scene = only_scene(tmp_path)
    assert (scene.reference[0, :3] == 255).all()
    assert not scene.eopatch[IS_DATA][0, :3].any()
    assert scene.eopatch[IS_DATA][0, 3:].all()
    write_image(tmp_path / "bands.tif", np.where(values == 0, np.nan, values / 10_000).astype(np.float32))
    assert (only_scene(tmp_path).reference == scene.reference).all()
    write_image(tmp_path / "bands.tif", np.where(values == 0, 65_535, values).astype(np.uint16), nodata=65_535)
    assert (only_scene(tmp_path).reference == scene.reference).all()


def test_bands_are_taken_by_their_names(tmp_path: Path) -> None:
    write_scene(tmp_path)
    values = digital_numbers(truth())
    shuffled = [ALL_BANDS.index(name) for name in reversed(ALL_BANDS)]
    quality = np.full((*values.shape[:2], 1), 7, np.uint16)
    names = [*reversed(ALL_BANDS), "QA"]
    write_image(tmp_path / "bands.tif", np.concatenate([values[..., shuffled], quality], axis=-1), names=names)
    np.testing.assert_array_equal(only_scene(tmp_path).eopatch[BANDS][0], values)
    ten = [ALL_BANDS.index(name) for name in sorted(CLOUD_BANDS)]
    write_image(tmp_path / "bands.tif", values[..., ten])
    (tmp_path / "labels.toml").write_text(f"bands = {sorted(CLOUD_BANDS)}")
    scene = only_scene(tmp_path)
    assert scene.bands == CLOUD_BANDS
    expected = [ALL_BANDS.index(name) for name in CLOUD_BANDS]
    np.testing.assert_array_equal(scene.eopatch[BANDS][0], values[..., expected])


def test_an_offset_is_added_where_there_is_data(tmp_path: Path) -> None:
    write_scene(tmp_path)
    values = digital_numbers(truth())
    shifted = values + np.uint16(1000)
    shifted[:3] = 0
    write_image(tmp_path / "bands.tif", shifted)
    (tmp_path / "labels.toml").write_text("offset = -1000")
    scene = only_scene(tmp_path)
    np.testing.assert_array_equal(scene.eopatch[BANDS][0, 3:], values[3:])
    assert not scene.eopatch[BANDS][0, :3].any()


def test_labels_of_another_scheme(tmp_path: Path) -> None:
    write_scene(tmp_path)
    write_image(tmp_path / "label.tif", np.array([0, 2, 3], np.uint8)[truth()])
    (tmp_path / "labels.toml").write_text('scheme = "cloudsen12"')
    np.testing.assert_array_equal(only_scene(tmp_path).reference[0], truth())
    (tmp_path / "labels.toml").write_text('classes = { 0 = "ignore", 2 = "cloud", 3 = "clear" }')
    np.testing.assert_array_equal(only_scene(tmp_path).reference[0], np.array([255, 1, 0], np.uint8)[truth()])


def test_time_and_sun_of_a_scene(tmp_path: Path) -> None:
    write_scene(tmp_path)
    (tmp_path / "scene.toml").write_text("time = 2020-06-01T12:30:00+02:00\nsun_zenith = 30.0\nsun_azimuth = 160.0")
    scene = only_scene(tmp_path)
    assert scene.eopatch[SUN_ANGLES].tolist() == [[30.0, 160.0]]
    assert scene.eopatch.timestamps == [datetime(2020, 6, 1, 10, 30)]  # noqa: DTZ001 - naive UTC
    assert scene.eopatch[STORED_MASK].shape == (1, 20, 24, 1)


Damage = Callable[[Path], None]


def _elsewhere(folder: Path) -> None:
    write_image(folder / "label.tif", truth(), transform=Affine(PIXEL, 0, LEFT + PIXEL, 0, -PIXEL, TOP))


def _offset_of_reflectance(folder: Path) -> None:
    _write(folder.parent / "labels.toml", "offset = -1000")
    write_image(folder / "bands.tif", digital_numbers(truth()).astype(np.float32) / 10_000)


def _write(file: Path, text: str) -> None:
    file.write_text(text)


BAD: list[tuple[str, Damage, type[EOTasksError], str]] = [
    ("no labels", lambda folder: (folder / "label.tif").unlink(), ImageryError, "label.tif is missing"),
    ("no bands", lambda folder: (folder / "bands.tif").unlink(), ImageryError, "bands.tif is missing"),
    ("no image", lambda folder: _write(folder / "bands.tif", "text"), ImageryError, "cannot be read as an image"),
    ("shape", lambda folder: write_image(folder / "label.tif", truth()[1:]), GridError, "bring both to one grid"),
    ("place", _elsewhere, GridError, "lies elsewhere"),
    (
        "bands of labels",
        lambda folder: write_image(folder / "label.tif", np.stack([truth()] * 2, axis=-1)),
        ReferenceDataError,
        "has 2 bands",
    ),
    (
        "unknown label",
        lambda folder: write_image(folder / "label.tif", truth() + np.uint8(5)),
        ReferenceDataError,
        "the label 5, 6, 7 is in no class",
    ),
    (
        "nothing to judge",
        lambda folder: write_image(folder / "label.tif", np.full((20, 24), 255, np.uint8)),
        ReferenceDataError,
        "no labelled pixel has data",
    ),
    (
        "number of bands",
        lambda folder: write_image(folder / "bands.tif", digital_numbers(truth())[..., :4]),
        BandError,
        "4 bands without names",
    ),
    (
        "no coordinate system",
        lambda folder: write_image(folder / "bands.tif", digital_numbers(truth()), crs=None),
        ImageryError,
        "no place on a north-up grid",
    ),
    ("sun", lambda folder: _write(folder / "scene.toml", "sun_zenith = 95"), ConfigurationError, "sun_zenith"),
    (
        "offset of reflectance",
        _offset_of_reflectance,
        ConfigurationError,
        "leave offset=-1000 out",
    ),
]


@pytest.mark.parametrize(("damage", "error", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_scene_says_what_and_where(
    tmp_path: Path, damage: Damage, error: type[EOTasksError], message: str
) -> None:
    write_scene(tmp_path / "scene")
    damage(tmp_path / "scene")
    with pytest.raises(error, match=message) as caught:
        only_scene(tmp_path)
    assert "scene" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scheme = 'mine'", "scheme"),
        ("shceme = 'eotasks'", "The keys are scheme, classes"),
        ("classes = { 1 = 'fog' }", "classes.1"),
        ("scheme =", "no valid TOML"),
    ],
)
def test_a_bad_description_is_told_before_anything_is_read(tmp_path: Path, text: str, message: str) -> None:
    write_scene(tmp_path / "scene")
    (tmp_path / "labels.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        scenes_of_folder(tmp_path)


def test_no_folder_and_no_scene(tmp_path: Path) -> None:
    with pytest.raises(AreaError, match="no such folder"):
        scenes_of_folder(tmp_path / "absent")
    with pytest.raises(AreaError, match="no labelled scene"):
        scenes_of_folder(tmp_path)


def test_labels_of_an_eopatch_that_do_not_fit(tmp_path: Path) -> None:
    write_eopatch(tmp_path / "patch")
    (tmp_path / "labels.toml").write_text('label_feature = "mask/LULC"')
    with pytest.raises(EOTasksError, match="no feature mask/LULC"):
        only_scene(tmp_path)
    (tmp_path / "labels.toml").write_text('label_feature = "data/BANDS"')
    with pytest.raises(GridError, match="Labels are a mask"):
        only_scene(tmp_path)


@pytest.mark.slow
def test_simulated_scenes_hide_their_truth() -> None:
    collection = simulated_scenes(seed=3, count=2, acquisitions=1)
    assert collection.simulated
    first, second = (source.load() for source in collection.sources)
    assert first.eopatch.bbox != second.eopatch.bbox
    assert not [name for _, name in first.eopatch.get_features() if name.startswith("TRUTH")]
    assert set(np.unique(first.reference)) <= {0, 1, 2, 255}
    np.testing.assert_array_equal(first.reference, collection.sources[0].load().reference)
