"""Detectors by neural networks of others: what they are given, and that they answer as their packages do by hand."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from eotasks.clouds.detectors.built_in import ukis_csmask
from eotasks.clouds.detectors.built_in.omnicloudmask import OMNICLOUDMASK
from eotasks.clouds.detectors.built_in.ukis_csmask import CSMASK_L1C
from eotasks.clouds.detectors.frames import Frames
from eotasks.clouds.detectors.protocol import Detection
from eotasks.clouds.detectors.registry import find_detector
from eotasks.clouds.detectors.run import detect_clouds
from eotasks.clouds.detectors.settings import DetectorSettings
from eotasks.errors import BandError, ConfigurationError, GridError, MissingDependencyError
from eotasks.models.clouds.networks import csmask
from eotasks.models.clouds.networks.cells import probabilities_by_cells
from eotasks.models.clouds.networks.csmask import csmask_probabilities, load_csmask
from eotasks.models.clouds.networks.omnicloudmask import omnicloudmask_probabilities
from eotasks.workflows.product_masks.options import CloudMaskOptions
from tests.builders.clouds.omnicloudmask import FakeOmniCloudMask
from tests.builders.command_line import command
from tests.builders.labelled_scenes import write_scene

SIX = ("blue", "green", "red", "nir", "swir16", "swir22")
NAMES = ("B12", "B01", "B08", "B02", "B11", "B04", "B03")
"""Bands of a product in another order than the network's, one of them of no use to it."""

PLAIN = DetectorSettings(threads=1)


def frames(bands: NDArray[np.generic], names: tuple[str, ...], pixel: float, valid: object = True) -> Frames:
    """One frame of pixels of so many metres."""
    height, width = bands.shape[:2]
    is_data = np.broadcast_to(np.asarray(valid), (1, height, width)).copy()
    bounds = (0.0, 0.0, width * pixel, height * pixel)
    return Frames(bands[np.newaxis], names, is_data, crs="EPSG:32633", bounds=bounds)


@pytest.fixture(scope="module")
def ground() -> NDArray[np.uint16]:
    """(64, 230, 7) DN of NAMES, two tiles wide: patches as bright and as dark as clouds and shadows are."""
    generator = np.random.default_rng(7)
    patches = generator.random((8, 23, 1)) ** 3 + generator.random((8, 23, len(NAMES))) * 0.1
    return np.rint(np.kron(patches, np.ones((8, 10, 1)))[:64] * 9000).astype(np.uint16)


@pytest.fixture(scope="module")
def by_hand(ground: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """What the package itself says of them: reflectance, its own names of the bands, in yet another order."""
    from ukis_csmask.mask import CSmask

    order = ("swir22", "red", "nir", "green", "blue", "swir16")
    of = {"blue": "B02", "green": "B03", "red": "B04", "nir": "B08", "swir16": "B11", "swir22": "B12"}
    image = np.stack([ground[..., NAMES.index(of[name])] for name in order], axis=-1) / np.float32(10_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # smaller than a tile
        made = CSmask(image.astype(np.float32), list(order), intra_op_num_threads=1)
    return np.asarray(made.csm[..., 0])


@pytest.fixture(scope="module")
def detected(ground: NDArray[np.uint16]) -> Iterator[Detection]:
    yield detect_clouds(CSMASK_L1C, frames(ground, NAMES, 30.0), PLAIN)
    load_csmask.cache_clear()  # 40 MB


@pytest.mark.slow
def test_csmask_is_the_package_by_hand(detected: Detection, by_hand: NDArray[np.uint8]) -> None:
    assert np.bincount(by_hand.ravel(), minlength=3)[:2].min() > 50, "clear and cloud are there"
    np.testing.assert_array_equal(detected.mask[0], by_hand)
    assert detected.probability is not None
    assert (detected.probability[0][by_hand == 1] > 1 / 3).all()


@pytest.mark.slow
def test_tiles_without_data_are_left_out_and_no_data_has_no_say(
    detected: Detection, ground: NDArray[np.uint16], monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []
    network = load_csmask("l1c", 1)
    monkeypatch.setattr(
        csmask, "load_csmask", lambda level, threads: lambda tile: called.append(tile.shape) or network(tile)
    )
    valid = np.zeros((64, 230), dtype=bool)
    valid[:, :40] = True
    empty = np.where(valid[..., np.newaxis], ground, 0)
    first = detect_clouds(CSMASK_L1C, frames(empty, NAMES, 30.0, valid), PLAIN)
    assert called == [(256, 256, 6)]
    assert (first.mask[0, :, 40:] == 255).all()
    spoilt = np.where(valid[..., np.newaxis], ground / 10_000, np.nan)
    second = detect_clouds(CSMASK_L1C, frames(spoilt, NAMES, 30.0, valid), PLAIN)
    np.testing.assert_array_equal(second.mask, first.mask)


@pytest.mark.parametrize(
    ("pixel", "settings", "seen"),
    [
        (10.0, PLAIN, 30),
        (20.0, PLAIN, 30),
        (30.0, PLAIN, 30),
        (45.0, PLAIN, 45),
        (10.0, DetectorSettings(resolution=60), 60),
    ],
)
def test_csmask_sees_cells_of_30_metres(
    pixel: float, settings: DetectorSettings, seen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    def answer(bands: NDArray[np.float32], valid: object, **_: object) -> NDArray[np.float32]:
        given.append(bands)
        return np.stack([1 - bands[..., 0], bands[..., 0], 0 * bands[..., 0]], axis=-1)

    monkeypatch.setattr(ukis_csmask, "csmask_probabilities", answer)
    values = np.full((36, 36, 6), 2000, np.uint16)
    values[:18] = 8000
    found = detect_clouds(CSMASK_L1C, frames(values, CSMASK_L1C.bands, pixel), settings)
    assert given[0].shape == (-(-36 * pixel // seen), -(-36 * pixel // seen), 6)
    assert given[0].dtype == np.float32
    assert (given[0][0, 0], given[0][-1, -1]) == (pytest.approx([0.8] * 6), pytest.approx([0.2] * 6))
    assert (found.mask[0, :15] == 1).all()
    assert (found.mask[0, 21:] == 0).all()


def test_cells_are_means_of_what_is_valid() -> None:
    bands = np.arange(36, dtype=np.float32).reshape(6, 6, 1) / 40
    valid = np.ones((6, 6), dtype=bool)
    valid[0, 0] = False
    bands[0, 0] = np.nan
    seen = []

    def predict(cells: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
        seen.append((cells, known))
        return cells

    probabilities_by_cells(predict, bands, valid, pixel_size=(10.0, 10.0), cell=30.0)
    blocks = bands[..., 0].reshape(2, 3, 2, 3).swapaxes(1, 2)
    np.testing.assert_allclose(seen[0][0][..., 0], np.nanmean(blocks, axis=(2, 3)), rtol=1e-6)
    assert seen[0][1].all()


@pytest.mark.parametrize(
    ("pixel", "settings", "message"),
    [
        (80.0, PLAIN, "pixels of 80 m are too coarse"),
        (10.0, DetectorSettings(resolution=160), "pixels of 160 m are too coarse"),
        (20.0, DetectorSettings(resolution=10), "finer than the pixels of 20 m"),
    ],
)
def test_pixels_that_a_network_was_not_made_for_are_refused(
    pixel: float, settings: DetectorSettings, message: str
) -> None:
    with pytest.raises(GridError, match=message):
        detect_clouds(CSMASK_L1C, frames(np.ones((4, 4, 6), np.uint16), CSMASK_L1C.bands, pixel), settings)


def test_frames_without_a_place_have_no_pixels_of_metres() -> None:
    nowhere = Frames(np.ones((1, 4, 4, 6), np.uint16), CSMASK_L1C.bands, np.ones((1, 4, 4), dtype=bool))
    with pytest.raises(GridError, match="no bounding box"):
        detect_clouds(CSMASK_L1C, nowhere, PLAIN)


def test_a_product_at_coarse_pixels_is_refused_before_any_work() -> None:
    with pytest.raises(ConfigurationError, match="cannot be given pixels of 160 m: set resolution to 60 or finer"):
        CloudMaskOptions(detector="ukis-csmask", resolution=160, shadows=True)
    assert CloudMaskOptions(detector="ukis-csmask", resolution=20, shadows=True).answers >= {"shadow"}


def test_without_the_extra_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ukis_csmask, "missing_modules", lambda extra: ["ukis_csmask"])
    with pytest.raises(
        MissingDependencyError, match=r"'ukis-csmask-l2a' needs ukis-csmask, not installed.*\[detectors\]"
    ):
        find_detector("ukis-csmask-l2a")
    write_scene(tmp_path / "scenes" / "one")
    result = command("evaluate-clouds", tmp_path / "scenes", "--detector", "ukis-csmask", "--out", tmp_path / "out")
    assert result.code == 2
    assert "needs ukis-csmask, not installed here" in result.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("version", "message"),
    [("1.1.0-6BL1C", "has the model 1.1.0-6BL1C where 1.0.0-6BL1C is due"), (None, "without its")],
)
def test_another_model_of_csmask_is_refused(
    version: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if version:
        statistics = {"img": [[0.0] * 6, [1.0] * 6], "band_names": list(SIX)}
        facts = {"model": {"version": version}, "data": {"dataset_statistics": statistics}}
        (tmp_path / "model_6b_l1c.json").write_text(json.dumps(facts))
    monkeypatch.setattr(csmask, "files", lambda package: tmp_path)
    with pytest.raises(MissingDependencyError, match=message):
        load_csmask.__wrapped__("l1c", 1)


def test_networks_count_their_bands() -> None:
    with pytest.raises(BandError, match="needs"):
        csmask_probabilities(np.zeros((4, 4, 5), np.float32))
    with pytest.raises(BandError, match="needs"):
        omnicloudmask_probabilities(np.zeros((4, 4, 4), np.float32), np.ones((4, 4), dtype=bool))


def test_omnicloudmask_gets_red_green_and_near_infrared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeOmniCloudMask()
    fake.install(monkeypatch, tmp_path)
    bands = np.full((40, 24, 4), 0.2, np.float32)
    names = ("B8A", "B02", "B03", "B04")
    bands[:10, :, 3] = 0.9  # thick
    bands[10:20, :, 3] = 0.4  # thin
    bands[20:30, :, 0] = 0.05  # shadow
    bands[..., 2] = 0.25
    valid = np.ones((40, 24), dtype=bool)
    valid[-5:] = False
    bands[-5:] = np.nan
    found = detect_clouds(
        find_detector("omnicloudmask"), frames(bands, names, 20.0, valid), DetectorSettings(threads=3)
    )
    rows = np.repeat([1, 1, 2, 0, 255], [10, 10, 10, 5, 5])
    np.testing.assert_array_equal(found.mask[0], np.repeat(rows[:, np.newaxis], 24, axis=1))
    assert found.probability is not None
    np.testing.assert_allclose(found.probability[0, [0, 10, 20, 30], 0], [1.0, 1.0, 0.002, 0.002], atol=1e-6)
    (image,) = fake.images
    assert image.shape == (3, 40, 32), "as small as it may be, with no data beside it"
    np.testing.assert_array_equal(image[:, 0, 0], np.float32([0.9, 0.25, 0.2]))
    assert not image[:, -5:].any()
    assert not image[..., 24:].any()
    assert fake.options == [{"no_data_value": 0, "model_version": 4.0}]
    assert fake.threads == [3]


def test_a_frame_without_data_is_not_given_to_omnicloudmask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeOmniCloudMask()
    fake.install(monkeypatch, tmp_path)
    empty = frames(np.zeros((4, 4, 3), np.uint16), OMNICLOUDMASK.bands, 10.0, valid=False)
    assert (detect_clouds(OMNICLOUDMASK, empty, PLAIN).mask == 255).all()
    assert not fake.images


def test_omnicloudmask_is_the_users_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("omnicloudmask", "omnicloudmask.download_models"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("eotasks.clouds.detectors.built_in.omnicloudmask.is_installed", lambda name: False)
    with pytest.raises(
        MissingDependencyError, match=r"omnicloudmask is not installed.*torch.*pip install 'omnicloudmask>=1.8'"
    ):
        find_detector("omnicloudmask")
    with pytest.raises(MissingDependencyError, match="omnicloudmask is not installed"):
        OMNICLOUDMASK.prepare()


@pytest.mark.parametrize("weights", [0, 1000], ids=["none", "broken"])
def test_weights_of_omnicloudmask_are_never_downloaded_by_us(
    weights: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeOmniCloudMask()
    fake.install(monkeypatch, tmp_path, weights=weights)
    with pytest.raises(MissingDependencyError, match=r"your own download.*get_models\(model_version=4.0\)"):
        detect_clouds(OMNICLOUDMASK, frames(np.ones((4, 4, 3), np.uint16), OMNICLOUDMASK.bands, 10.0), PLAIN)
    assert not fake.images
