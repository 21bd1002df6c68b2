"""The drop-in is the class of s2cloudless 1.7.3: signature, attributes, and what it answers, in every bit and dtype."""

from __future__ import annotations

import copy
import functools
import inspect
import pickle
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import s2cloudless
from hypothesis import given, settings
from hypothesis import strategies as st
from lightgbm import Booster, Dataset, train

import eotasks.s2cloudless
from eotasks.errors import (
    BandError,
    ConfigurationError,
    EOTasksError,
    EOTasksWarning,
    FeatureError,
    GridError,
    ModelError,
    NotReflectanceWarning,
    UnusedSettingWarning,
)
from eotasks.models.sentinel2 import BANDS
from eotasks.s2cloudless import S2PixelCloudDetector
from tests.builders.clouds.spectra import CLOUD, GRASS, LAKE, STORM, stack

Original = s2cloudless.S2PixelCloudDetector
METHODS = ["__init__", "get_cloud_probability_maps", "get_cloud_masks", "get_mask_from_prob"]
SCENE = stack(GRASS, LAKE, CLOUD, STORM)
TEN = s2cloudless.utils.MODEL_BAND_IDS


@functools.cache
def pair(all_bands: bool = True) -> tuple[Any, Any]:
    return S2PixelCloudDetector(all_bands=all_bands), Original(all_bands=all_bands)


def assert_same(ours: Any, theirs: Any) -> None:
    assert (type(ours), ours.dtype, ours.shape) == (type(theirs), theirs.dtype, theirs.shape)
    assert ours.tobytes() == theirs.tobytes()


def test_every_name_and_module_of_s2cloudless_is_here() -> None:
    public = {name for name in vars(s2cloudless) if not name.startswith("_")}
    for name in public - {"cloud_detector", "pixel_classifier", "utils"}:
        assert hasattr(eotasks.s2cloudless, name)
    assert eotasks.s2cloudless.__version__ == s2cloudless.__version__
    from eotasks.s2cloudless import cloud_detector, utils

    assert cloud_detector.MODEL_FILENAME == s2cloudless.cloud_detector.MODEL_FILENAME
    for name in ("S2_BANDS", "MODEL_BAND_IDS", "MODEL_BANDS"):
        assert getattr(utils, name) == getattr(s2cloudless.utils, name)


@pytest.mark.parametrize("method", METHODS)
def test_signature(method: str) -> None:
    ours, theirs = (inspect.signature(getattr(one, method)).parameters for one in (S2PixelCloudDetector, Original))
    assert [(p.name, p.kind, p.default) for p in ours.values()] == [
        (p.name, p.kind, p.default) for p in theirs.values()
    ]


@pytest.mark.parametrize("radii", [(1, 1), (4, 2), (0, 3), (3, 0), (None, None)], ids=str)
def test_attributes(radii: tuple[Any, Any]) -> None:
    arguments = (0.5, True, *radii)
    ours, theirs = S2PixelCloudDetector(*arguments), Original(*arguments)
    expected = {name: value for name, value in vars(theirs).items() if not name.startswith("_")}
    given = {name: value for name, value in vars(ours).items() if not name.startswith("_")}
    assert given.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, np.ndarray):
            assert_same(given[name], value)
        else:
            assert given[name] == value


LAYOUTS = {
    "as it is": lambda array: array,
    "fortran": np.asfortranarray,
    "mirrored": lambda array: np.ascontiguousarray(array[:, ::-1])[:, ::-1],
    "bands first": lambda array: np.moveaxis(np.ascontiguousarray(np.moveaxis(array, -1, 0)), 0, -1),
}
DTYPES = ["float16", "float32", "float64", "longdouble", ">f4", ">f8", "uint8", "uint16", "int16", "int64", "bool"]


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(1, 5)),
    st.sampled_from(DTYPES),
    st.sampled_from(sorted(LAYOUTS)),
    st.booleans(),
    st.sampled_from([0.0, 1.0, 255.0, 20_000.0, np.nan, np.inf, -np.inf, -0.1, -9999.0]),
    st.integers(0, 2**16),
)
def test_probability_is_the_same_whatever_it_is_given(
    shape: Any, dtype: str, layout: str, all_bands: bool, odd: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    values = generator.uniform(0, 1.5, (*shape, len(BANDS) if all_bands else len(TEN)))
    if np.dtype(dtype).kind == "f":
        values[generator.random(values.shape) < 0.1] = odd
    else:
        values *= 100
    bands = LAYOUTS[layout](values.astype(dtype))
    before = bands.copy()
    ours, theirs = pair(all_bands)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EOTasksWarning)
        answer, masks = ours.get_cloud_probability_maps(bands), ours.get_cloud_masks(bands)
    assert_same(answer, theirs.get_cloud_probability_maps(bands))
    assert_same(masks, theirs.get_cloud_masks(bands))
    assert bands.tobytes() == before.tobytes()


RADIUS = st.sampled_from([None, 0, 1, 2, 5])


@settings(max_examples=100, deadline=None)
@given(
    st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from(["float32", "float64", "uint8", "uint16", "int16"]),
    st.sampled_from(["as it is", "fortran", "mirrored"]),
    RADIUS,
    RADIUS,
    st.sampled_from([0.4, 0, 0.0, 1, np.float32(0.4), np.float64(0.4), None, 40, -1, np.nan, "array"]),
    st.booleans(),
    st.integers(0, 2**16),
)
def test_mask_is_the_same_whatever_it_is_given(
    shape: Any, dtype: str, layout: str, average: Any, dilation: Any, threshold: Any, hole: bool, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    values = np.round(generator.random(shape), 1)  # often the threshold itself
    probability = LAYOUTS[layout]((values if np.dtype(dtype).kind == "f" else values * 100).astype(dtype))
    if hole and probability.size and probability.dtype.kind == "f":
        probability[0, 0, 0] = np.nan
    limit = generator.random(shape[1:]) if threshold == "array" else threshold
    ours, theirs = S2PixelCloudDetector(0.3, False, average, dilation), Original(0.3, False, average, dilation)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EOTasksWarning)
        mask = ours.get_mask_from_prob(probability, limit)
    if dilation and not average and shape[0]:  # OpenCV does not dilate the int8 of s2cloudless
        with pytest.raises(cv2.error, match="-213"):
            theirs.get_mask_from_prob(probability, limit)
        binary = (probability > (0.3 if limit is None else limit)).astype(np.uint8)
        assert_same(mask, np.stack([cv2.dilate(frame, theirs.dilation_filter) for frame in binary]))
    else:
        assert_same(mask, theirs.get_mask_from_prob(probability, limit))


def test_attributes_that_are_set_later_count_as_in_s2cloudless() -> None:
    probability = np.random.default_rng(3).random((2, 20, 20)).astype(np.float32)
    for name, value in [
        ("threshold", 0.7),
        ("average_over", None),
        ("dilation_size", 0),
        ("conv_filter", np.full((5, 3), 1 / 15)),
        ("dilation_filter", np.ones((1, 7), dtype=np.uint8)),
    ]:
        ours, theirs = S2PixelCloudDetector(), Original()
        setattr(ours, name, value)
        setattr(theirs, name, value)
        if name != "average_over":
            assert_same(ours.get_mask_from_prob(probability), theirs.get_mask_from_prob(probability))
    ours, theirs = S2PixelCloudDetector(), Original()
    ours.all_bands = theirs.all_bands = True
    assert_same(ours.get_cloud_masks(SCENE), theirs.get_cloud_masks(SCENE))


def test_a_radius_that_is_set_later_is_not_looked_at() -> None:
    probability = np.random.default_rng(3).random((1, 20, 20)).astype(np.float32)
    ours, theirs = S2PixelCloudDetector(), Original()
    ours.average_over = theirs.average_over = 5
    with pytest.warns(UnusedSettingWarning, match=r"average_over was set to 5, the disk is still that of 1"):
        mask = ours.get_mask_from_prob(probability)
    assert_same(mask, theirs.get_mask_from_prob(probability))
    without = S2PixelCloudDetector(average_over=None)
    without.average_over = 2
    with pytest.raises(ConfigurationError, match="make a new one"):
        without.get_mask_from_prob(probability)


@pytest.mark.parametrize("name", ["average_over", "dilation_size"])
@pytest.mark.parametrize("value", [-1, 1.5, "2", np.nan, [1]], ids=str)
def test_a_radius_that_is_none_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}=.* is no radius in pixels"):
        S2PixelCloudDetector(**{name: value})


@pytest.mark.parametrize("shape", [(0,), (5,), (5, 4, 10), (5, 3, 2, 1, 10)], ids=str)
def test_other_dimensions(shape: tuple[int, ...]) -> None:
    for one in pair(all_bands=False):
        for method in (one.get_cloud_masks, one.get_cloud_probability_maps):
            with pytest.raises(ValueError, match=r"Data should be of dimension 4.*np\.newaxis"):
                method(np.ones(shape))
        with pytest.raises(ValueError, match="Data should be of dimension 3"):
            one.get_mask_from_prob(np.ones(shape) if len(shape) != 3 else np.ones((1, *shape)))


def test_other_numbers_of_bands() -> None:
    for one in pair(all_bands=False):
        with pytest.raises(ValueError, match="Parameter `all_bands` is set to False, but images have 13 bands"):
            one.get_cloud_masks(SCENE)
    with pytest.raises(BandError, match="B01, B02, B03"):
        pair()[0].get_cloud_probability_maps(SCENE[..., :12])


@pytest.mark.parametrize("error", [GridError, BandError, FeatureError, ConfigurationError])
def test_errors_are_of_pythons_kind_as_before(error: type[EOTasksError]) -> None:
    assert issubclass(error, ValueError)


@pytest.mark.parametrize(
    "probability",
    [np.zeros((1, 4, 4), dtype=np.float16), np.zeros((1, 0, 4), dtype=np.float32)],
    ids=["float16", "no pixels"],
)
def test_what_opencv_cannot_average_is_named(probability: Any) -> None:
    with pytest.raises(cv2.error):
        Original().get_mask_from_prob(probability)
    with pytest.raises(FeatureError, match=r"OpenCV cannot average.*Give float32"):
        S2PixelCloudDetector().get_mask_from_prob(probability)


@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
def test_pickles_small_and_whole(used: bool) -> None:
    detector = S2PixelCloudDetector(0.6, True, 4, 2)
    if used:
        detector.get_cloud_masks(SCENE)
    content = pickle.dumps(detector)
    assert len(content) < 10_000
    expected = Original(0.6, True, 4, 2).get_cloud_masks(SCENE)
    for again in (pickle.loads(content), copy.deepcopy(detector)):
        assert_same(again.get_cloud_masks(SCENE), expected)


@pytest.fixture(scope="module")
def own_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of ten features that a user trained."""
    generator = np.random.default_rng(0)
    rows = generator.random((2000, 10))
    labels = (rows[:, 0] + rows[:, 7] > 1).astype(int)
    booster = train({"objective": "binary", "verbose": -1, "num_threads": 1}, Dataset(rows, labels), 20)
    path = tmp_path_factory.mktemp("model") / "mine.txt"
    booster.save_model(path)
    return path


@pytest.mark.parametrize("as_text", [False, True], ids=["path", "text"])
def test_another_model(own_model: Path, as_text: bool) -> None:
    name: Any = str(own_model) if as_text else own_model
    ours, theirs = S2PixelCloudDetector(model_filename=name), Original(model_filename=name)
    assert ours.model_filename == theirs.model_filename
    assert_same(ours.get_cloud_masks(SCENE[..., TEN]), theirs.get_cloud_masks(SCENE[..., TEN]))
    again = pickle.loads(pickle.dumps(ours))
    assert_same(again.get_cloud_masks(SCENE[..., TEN]), theirs.get_cloud_masks(SCENE[..., TEN]))


@pytest.mark.parametrize("options", [{}, {"num_iteration": 5}], ids=["engine", "LightGBM"])
def test_another_model_with_options(own_model: Path, options: dict[str, Any]) -> None:
    ours, theirs = S2PixelCloudDetector(model_filename=own_model), Original(model_filename=own_model)
    answer = ours.get_cloud_probability_maps(SCENE[..., TEN], **options)
    assert_same(answer, theirs.get_cloud_probability_maps(SCENE[..., TEN], **options))


@pytest.mark.parametrize("options", [{}, {"num_iteration": 5}], ids=["engine", "LightGBM"])
@pytest.mark.parametrize("content", [None, b"tree\nversion=v4\n", b"\xff\xfe"], ids=["absent", "cut", "bytes"])
def test_a_model_that_is_none(tmp_path: Path, content: bytes | None, options: dict[str, Any]) -> None:
    path = tmp_path / "model.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.txt"):
        S2PixelCloudDetector(model_filename=str(path)).get_cloud_masks(SCENE[..., TEN], **options)


@pytest.mark.parametrize(
    "options",
    [
        {"num_threads": 1},
        {"n_jobs": 2},
        {"num_threads": 0},
        {"raw_score": True},
        {"start_iteration": 0, "num_iteration": None, "pred_leaf": False},
        {"num_iteration": 10},
        {"start_iteration": 3, "num_iteration": 5, "num_threads": 1},
        {"pred_early_stop": True},
    ],
    ids=str,
)
def test_options_of_lightgbm(options: dict[str, Any]) -> None:
    ours, theirs = pair()
    answer = ours.get_cloud_probability_maps(SCENE, **options)
    assert_same(answer, theirs.get_cloud_probability_maps(SCENE, **options))


def test_options_without_probabilities_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="give no probabilities"):
        pair()[0].get_cloud_probability_maps(SCENE, pred_leaf=True)


def test_the_classifier_is_one_of_s2cloudless() -> None:
    ours, theirs = pair()
    pixels = SCENE[..., TEN]
    probabilities = ours.classifier.image_predict_proba(pixels)
    expected = theirs.classifier.image_predict_proba(pixels)
    assert probabilities.dtype == expected.dtype == np.float64
    np.testing.assert_array_max_ulp(probabilities, expected, 1)
    assert isinstance(ours.classifier.classifier, Booster)
    assert ours.classifier is ours.classifier


def test_numbers_beyond_float32() -> None:
    bands = SCENE.astype(np.float64)
    bands[0, 0, 0] = [1e300, -1e300, 1e39, 5e-324, *[0.3] * 9]
    ours, theirs = pair()
    with pytest.warns(NotReflectanceWarning):
        answer = ours.get_cloud_probability_maps(bands)
    assert_same(answer, theirs.get_cloud_probability_maps(bands))


def test_lists_and_read_only_arrays_are_taken() -> None:
    ours, _ = pair()
    frozen = SCENE.copy()
    frozen.flags.writeable = False
    assert_same(ours.get_cloud_masks(frozen), ours.get_cloud_masks(SCENE))
    assert_same(ours.get_mask_from_prob([[[0.9]]]), np.ones((1, 1, 1), dtype=np.uint8))
