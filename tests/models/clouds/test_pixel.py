"""The pixel model equals s2cloudless 1.7.3 to the last bit, and refuses what s2cloudless mistakes."""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.metadata
import importlib.util
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eotasks.errors import BandError, GridError, MissingDependencyError, ReflectanceError
from eotasks.models.clouds import pixel
from eotasks.models.clouds.pixel import cloud_band_indices, model_path
from eotasks.models.sentinel2 import BANDS, CLOUD_BANDS, band_indices
from tests import ROOT

# most spectra here are random numbers, no picture of the ground
cloud_probability = functools.partial(pixel.cloud_probability, check_bands=False)


@functools.cache
def reference() -> Any:
    from s2cloudless import S2PixelCloudDetector

    return S2PixelCloudDetector(all_bands=True)


@pytest.fixture(scope="module")
def detector() -> Any:
    return reference()


@pytest.fixture(scope="module")
def spectra() -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(5).uniform(0, 1.2, (2, 11, 13, 13)).astype(np.float32)


def test_equal_to_s2cloudless_on_golden_values(shared_data: Path, detector: Any) -> None:
    scenes = np.load(shared_data / "slovenia" / "REFERENCE_SCENES.npy")[:2, :60]
    probability = cloud_probability(scenes)
    assert probability.dtype == np.float32
    assert np.array_equal(probability, detector.get_cloud_probability_maps(scenes))


def test_equal_to_the_probability_stored_with_the_real_patch(shared_data: Path) -> None:
    from eolearn.core import EOPatch, FeatureType

    scenes = np.load(shared_data / "slovenia" / "REFERENCE_SCENES.npy")
    patch = EOPatch.load(
        str(shared_data / "slovenia" / "eopatch"), features=[(FeatureType.DATA, "CLP_S2C")], lazy_loading=True
    )
    stored = patch[FeatureType.DATA, "CLP_S2C"][[2, 1, 4, 3, 0], ..., 0]
    assert np.array_equal(cloud_probability(scenes), stored.astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_equal_to_s2cloudless_for_every_float(detector: Any, spectra: Any, dtype: type[np.floating[Any]]) -> None:
    values = spectra.astype(dtype)
    assert np.array_equal(cloud_probability(values), detector.get_cloud_probability_maps(values))


def test_digital_numbers_are_ten_thousandths(detector: Any, spectra: Any) -> None:
    numbers = np.round(spectra * 10_000).astype(np.uint16)
    expected = detector.get_cloud_probability_maps(numbers.astype(np.float32) / np.float32(10_000))
    assert np.array_equal(cloud_probability(numbers), expected)
    assert np.array_equal(cloud_probability(numbers.astype(np.int32)), expected)


@settings(max_examples=20, deadline=None)
@given(arrays(np.float32, (3, 13), elements=st.floats(-0.125, 9.5, width=32)))
def test_equal_to_s2cloudless_property(values: Any) -> None:
    expected = reference().get_cloud_probability_maps(values[np.newaxis, np.newaxis])[0, 0]
    assert np.array_equal(cloud_probability(values), expected)


def test_ten_bands_and_named_bands_are_the_same_pixels(spectra: Any) -> None:
    expected = cloud_probability(spectra)
    assert np.array_equal(cloud_probability(spectra[..., band_indices(CLOUD_BANDS)]), expected)
    assert np.array_equal(cloud_probability(spectra[..., ::-1], bands=BANDS[::-1]), expected)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_and_chunks_do_not_change_values(monkeypatch: pytest.MonkeyPatch, spectra: Any, threads: int) -> None:
    expected = cloud_probability(spectra)
    monkeypatch.setattr(pixel, "CHUNK_PIXELS", 17)
    valid = np.ones(spectra.shape[:-1], dtype=bool)
    assert np.array_equal(cloud_probability(spectra, threads=threads), expected)
    assert np.array_equal(cloud_probability(spectra, valid=valid, threads=threads), expected)


def test_pixels_without_data_are_zero_and_never_looked_at(spectra: Any) -> None:
    valid = np.random.default_rng(1).random(spectra.shape[:-1]) < 0.6
    holes = spectra.copy()
    holes[~valid] = np.nan
    before = holes.copy()
    probability = cloud_probability(holes, valid=valid)
    assert np.array_equal(probability[valid], cloud_probability(spectra)[valid])
    assert not probability[~valid].any()
    assert np.array_equal(cloud_probability(holes, valid=valid[..., None]), probability)
    assert np.array_equal(holes, before, equal_nan=True)
    assert not cloud_probability(holes, valid=np.zeros_like(valid)).any()


def test_empty_and_single_pixels(spectra: Any) -> None:
    assert cloud_probability(np.empty((0, 4, 4, 13), dtype=np.float32)).shape == (0, 4, 4)
    single = cloud_probability(spectra[0, 0, 0])
    assert single.shape == ()
    assert single == cloud_probability(spectra)[0, 0, 0]


def test_what_s2cloudless_takes_for_clear_or_cloud_is_refused(detector: Any, spectra: Any) -> None:
    broken, raw = np.full_like(spectra, np.nan), spectra * 10_000
    assert detector.get_cloud_probability_maps(broken).max() < 0.01  # trap 4: clear without a word
    with pytest.raises(ReflectanceError, match=r"patch 7: NaN or infinity inside valid data"):
        cloud_probability(broken, where="patch 7")
    with pytest.raises(ReflectanceError, match=r"raw digital numbers.*Divide by 10000"):
        cloud_probability(raw)
    with pytest.raises(ReflectanceError, match=r"raw digital numbers.*Divide by 10000"):
        cloud_probability(raw, bands=BANDS, check_bands=True)


def test_nan_in_a_band_that_the_model_does_not_use_does_no_harm(spectra: Any) -> None:
    values = spectra.copy()
    values[..., BANDS.index("B02")] = spectra[..., BANDS.index("B02")]
    values[..., BANDS.index("B03")] = np.nan
    assert np.array_equal(cloud_probability(values), cloud_probability(spectra))


def test_missing_bands_are_named() -> None:
    six = ["B02", "B03", "B04", "B08", "B11", "B12"]
    with pytest.raises(BandError, match=r"patch: 6 bands.*B10.*AddSceneClassificationMaskTask"):
        cloud_probability(np.zeros((2, 2, 6), dtype=np.float32), where="patch")
    with pytest.raises(BandError, match=r"B01, B05, B8A, B09, B10 is missing.*AddSceneClassificationMaskTask"):
        cloud_probability(np.zeros((2, 2, 6), dtype=np.float32), bands=six)
    without_b09 = [band for band in BANDS if band != "B09"]
    with pytest.raises(BandError, match="B09 is missing") as caught:
        cloud_band_indices(12, without_b09)
    assert "SceneClassification" not in str(caught.value)
    with pytest.raises(BandError, match="12 band names are given for 13 bands"):
        cloud_band_indices(13, without_b09)
    assert cloud_band_indices(10) == list(range(10))
    assert cloud_band_indices(10, CLOUD_BANDS[::-1]) == list(range(10))[::-1]


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(GridError, match=r"\(3, 2\).*\(2, 2\)"):
        cloud_probability(np.zeros((2, 2, 13), dtype=np.float32), valid=np.ones((3, 2), dtype=bool))
    with pytest.raises(GridError, match="single number"):
        cloud_probability(np.float32(1.0).reshape(()))


def not_installed(name: str) -> Any:
    raise importlib.metadata.PackageNotFoundError(name)


@pytest.mark.parametrize("spec", [None, importlib.machinery.ModuleSpec("s2cloudless", None)], ids=["none", "another"])
def test_the_model_is_found_when_another_module_goes_by_the_name(monkeypatch: pytest.MonkeyPatch, spec: Any) -> None:
    found = model_path()
    stand_in = types.ModuleType("s2cloudless")
    stand_in.__spec__ = spec
    monkeypatch.setitem(sys.modules, "s2cloudless", stand_in)
    assert model_path() == found


def test_a_missing_or_other_model_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = importlib.util.find_spec("s2cloudless")
    assert spec is not None
    monkeypatch.setattr(spec, "submodule_search_locations", [str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setattr(importlib.metadata, "distribution", not_installed)
    with pytest.raises(MissingDependencyError, match="without its model file"):
        model_path()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / pixel.MODEL_FILE).write_text("tree\n")
    monkeypatch.setattr(pixel, "_load_forest", pixel._load_forest.__wrapped__)
    with pytest.raises(MissingDependencyError, match=r"is not the file of version 1\.7\.3"):
        cloud_probability(np.zeros((1, 13), dtype=np.float32))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install s2cloudless==1\.7\.3"):
        model_path()


def test_import_is_light_and_s2cloudless_is_never_imported() -> None:
    code = (
        "import sys, numpy as np; from eotasks.models.clouds.pixel import cloud_probability;"
        "assert 'numba' not in sys.modules;"
        "cloud_probability(np.zeros((1, 13), dtype=np.float32));"
        "assert 'numba' in sys.modules and 'lightgbm' not in sys.modules and 's2cloudless' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
