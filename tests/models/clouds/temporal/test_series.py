"""The method as a whole: equal to eo-learn-mask 1.4.2 on the golden arrays, defined where that fails."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.errors import BandError, ConfigurationError, GridError, ModelError, ReflectanceError
from eotasks.models.clouds.temporal import series as series_module
from eotasks.models.clouds.temporal.settings import OUTPUTS, Output, TemporalSettings
from eotasks.models.clouds.temporal.tile import tiles_of

GOLDEN_NAMES: dict[Output, str] = {
    "mono_probability": "CLP",
    "multi_probability": "CLP_MULTI",
    "mono_mask": "CLM",
    "multi_mask": "CLM_MULTI",
    "mask": "CLM_INTERSSIM",
}
GOLDEN_PIXEL = (
    (5080254.63349641 - 5079244.8912012065) / 101,
    (466180.53145382757 - 465181.0522318204) / 100,
)
GOLDEN_SETTINGS = {
    "native": TemporalSettings(),
    "r120": TemporalSettings(resolution=(120, 120), average_over=16, dilation_size=8),
    "r20": TemporalSettings(resolution=(20, 20)),
    "five": TemporalSettings(),
}

# random numbers are no picture of the ground
multi_temporal_clouds = functools.partial(series_module.multi_temporal_clouds, check_bands=False)


class Brightness:
    """A classifier of the tests' own: the mean of some features, so that what reaches it can be seen in the result."""

    def __init__(self, columns: Sequence[int] = range(10)):
        self.columns = list(columns)

    def predict(self, rows: Any, /) -> Any:
        return np.clip(rows[:, self.columns].mean(axis=1), 0, 1)


MODELS: Any = {"mono_classifier": Brightness(), "multi_classifier": Brightness(range(90))}


def clouds(bands: Any, valid: Any = None, **options: Any) -> dict[Output, Any]:
    settings = {"pixel_size": (10.0, 10.0), "outputs": OUTPUTS, **MODELS}
    return multi_temporal_clouds(bands, valid, **{**settings, **options})


def random_series(*shape: int, seed: int = 7) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    valid = rng.uniform(size=shape) > 0.1
    bands = rng.uniform(0, 1, (*shape, 10)).astype(np.float32)
    bands[~valid] = 0
    return bands, valid


def same(one: dict[Output, Any], other: dict[Output, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def golden(shared_data: Path) -> dict[str, Any]:
    with np.load(shared_data / "golden" / "interssim_1_4_2.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.mark.parametrize("case", GOLDEN_SETTINGS)
def test_golden_values_of_the_original(golden: dict[str, Any], case: str) -> None:
    bands, valid = golden["bands"], golden["is_data"][..., 0]
    if case == "five":
        bands, valid = golden["five/bands"], None
    before = bands.copy()
    found = multi_temporal_clouds(
        bands, valid, pixel_size=GOLDEN_PIXEL, outputs=OUTPUTS, settings=GOLDEN_SETTINGS[case]
    )
    for output, name in GOLDEN_NAMES.items():
        expected = golden[f"{case}/{name}"][..., 0]
        assert found[output].dtype == expected.dtype
        if expected.dtype == bool:
            assert np.array_equal(found[output], expected), output
        else:
            assert np.abs(found[output] - expected).max() <= 1e-6, output
    assert np.array_equal(bands, before)


def test_no_output_depends_on_the_others(golden: dict[str, Any]) -> None:
    bands, valid = golden["bands"][:5, :40, :40], golden["is_data"][:5, :40, :40, 0]
    options: Any = {"pixel_size": GOLDEN_PIXEL, "settings": TemporalSettings(resolution=(40, 40))}
    together = multi_temporal_clouds(bands, valid, outputs=OUTPUTS, **options)
    for output in OUTPUTS:
        alone = multi_temporal_clouds(bands, valid, outputs=[output], **options)
        assert alone.keys() == {output}
        assert np.array_equal(alone[output], together[output]), output


def test_single_scene_outputs_need_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    bands, valid = random_series(3, 8, 9)
    together = clouds(bands, valid)

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(series_module, "TileWindow", never)
    alone = clouds(bands, valid, outputs=["mono_probability", "mono_mask"])
    assert all(np.array_equal(values, together[output]) for output, values in alone.items())


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("resolution", [None, (20.0, 20.0)])
def test_tiles_threads_and_blocks_of_frames_make_no_difference(
    monkeypatch: pytest.MonkeyPatch, threads: int, resolution: Any
) -> None:
    bands, valid = random_series(11, 42, 31)
    settings = TemporalSettings(resolution=resolution, max_frames=3)
    expected = clouds(bands, valid, settings=settings, threads=1)
    monkeypatch.setattr(series_module, "tiles_of", lambda cells: tiles_of(cells, largest=12))
    assert same(clouds(bands, valid, settings=settings, threads=threads), expected)


@pytest.mark.parametrize("together", [1, 250, 1 << 20])
@pytest.mark.parametrize("resolution", [None, (30.0, 20.0)])
def test_frames_that_are_predicted_together_make_no_difference(
    monkeypatch: pytest.MonkeyPatch, together: int, resolution: Any
) -> None:
    bands, valid = random_series(7, 9, 11)
    settings = TemporalSettings(resolution=resolution, max_frames=3)
    options: dict[str, Any] = {"pixel_size": (10.0, 10.0), "settings": settings, "check_bands": False}
    expected = multi_temporal_clouds(bands, valid, outputs=OUTPUTS, **options)
    monkeypatch.setattr(series_module, "ROWS_TOGETHER", together)
    assert same(multi_temporal_clouds(bands, valid, outputs=OUTPUTS, **options), expected)


def test_a_user_model_is_given_one_frame_at_a_time() -> None:
    class Counting(Brightness):
        def __init__(self) -> None:
            super().__init__()
            self.calls: list[int] = []

        def predict(self, rows: Any, /) -> Any:
            self.calls.append(len(rows))
            return super().predict(rows)

    bands, valid = random_series(4, 6, 5)
    mono, multi = Counting(), Counting()
    clouds(bands, valid, mono_classifier=mono, multi_classifier=multi)
    assert mono.calls == multi.calls == [30] * 4


def test_one_frame_and_a_window_of_one_have_nothing_to_compare_with() -> None:
    bands, valid = random_series(4, 9, 12)
    seen: list[Any] = []

    class Witness(Brightness):
        def predict(self, rows: Any, /) -> Any:
            seen.append(rows)
            return super().predict(rows)

    window_of_one = clouds(bands, valid, settings=TemporalSettings(max_frames=1), multi_classifier=Witness(range(90)))
    for index in range(len(bands)):
        alone = clouds(bands[index : index + 1], valid[index : index + 1])
        assert all(np.array_equal(window_of_one[output][index], alone[output][0]) for output in ("mask", "mono_mask"))
    for rows, there in zip(seen, valid.reshape(4, -1), strict=True):
        assert (rows[:, 20:50].reshape(-1, 10, 3) == np.float32([1e20, 0, 0])).all()
        assert not rows[there][:, 70:].any()
        assert np.array_equal(rows[there][:, 51:70:2], rows[there][:, :10])


def test_a_model_answers_for_one_frame(golden: dict[str, Any]) -> None:
    found = multi_temporal_clouds(golden["five/bands"][:1, :12, :12], pixel_size=GOLDEN_PIXEL, outputs=OUTPUTS)
    assert 0 < found["multi_probability"].min() <= found["multi_probability"].max() < 1


def test_frames_without_data() -> None:
    bands, valid = random_series(5, 10, 10)
    valid[2] = False
    bands[2] = 0
    found = clouds(bands, valid)
    assert not any(values[2].any() for values in found.values())
    assert not any(values[~valid].any() for values in found.values())
    nothing = clouds(np.zeros_like(bands), np.zeros_like(valid))
    assert not any(values.any() for values in nothing.values())


@pytest.mark.parametrize("shape", [(0, 4, 5), (3, 0, 5), (3, 4, 0)])
def test_nothing_in_nothing_out(shape: tuple[int, ...]) -> None:
    found = clouds(np.zeros((*shape, 10), dtype=np.float32), np.zeros(shape, dtype=bool))
    assert {values.shape for values in found.values()} == {shape}


def test_a_frame_smaller_than_a_cell_is_one_cell() -> None:
    bands, valid = random_series(3, 5, 7)
    found = clouds(bands, valid, settings=TemporalSettings(resolution=(160, 160)))
    for index in range(3):
        values = found["multi_probability"][index][valid[index]]
        assert np.ptp(values) < 1e-6  # one value, but for the rounding of its way back


def test_a_frame_smaller_than_the_disks_and_the_window() -> None:
    bands, valid = random_series(3, 2, 3)
    found = clouds(bands, valid, settings=TemporalSettings(average_over=9, dilation_size=9))
    assert found["mask"].shape == (3, 2, 3)


def test_what_is_no_reflectance_outside_valid_data_counts_as_zero() -> None:
    bands, valid = random_series(4, 12, 11)
    expected = clouds(bands, valid)
    for filler in (np.nan, np.inf, -np.inf, -9999.0, 65535.0):
        filled = bands.copy()
        filled[~valid] = filler
        assert same(clouds(filled, valid), expected)


def test_digital_numbers_named_bands_and_thirteen_bands() -> None:
    bands, valid = random_series(3, 9, 8)
    numbers = np.round(bands * 10_000).astype(np.uint16)
    reflectance = numbers.astype(np.float32) / np.float32(10_000)
    expected = clouds(reflectance, valid)
    assert same(clouds(numbers, valid), expected)
    thirteen = np.full((*valid.shape, 13), np.nan, dtype=np.float32)  # what the model does not read is not looked at
    thirteen[..., [0, 1, 3, 4, 7, 8, 9, 10, 11, 12]] = reflectance
    assert same(clouds(thirteen, valid), expected)
    names = ["B12", "B11", "B10", "B09", "B8A", "B08", "B05", "B04", "B02", "B01"]
    assert same(clouds(numbers[..., ::-1], valid, names=names), expected)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**31), frames=st.integers(1, 6), window=st.integers(1, 7), cell=st.sampled_from([10, 25]))
def test_masks_follow_from_the_probabilities(seed: int, frames: int, window: int, cell: float) -> None:
    bands, valid = random_series(frames, 14, 11, seed=seed)
    options = TemporalSettings(resolution=(cell, cell), max_frames=window, average_over=0, dilation_size=None)
    found = clouds(bands, valid, settings=options)
    mono, multi = (found[name].astype(np.float64) for name in ("mono_probability", "multi_probability"))
    certain = (abs(mono - 0.4) > 1e-6) & (abs(multi - 0.5) > 1e-6) & valid
    assert np.array_equal(found["mono_mask"][certain], (mono >= 0.4)[certain])
    assert np.array_equal(found["multi_mask"][certain], (multi >= 0.5)[certain])
    assert np.array_equal(found["mask"], found["mono_mask"] & found["multi_mask"])


def test_a_threshold_reached_is_cloud_and_clouds_grow() -> None:
    bands = np.full((2, 9, 9, 10), 0.25, dtype=np.float32)
    bands[0, 4, 4] = 0.5
    options = TemporalSettings(mono_threshold=0.5, multi_threshold=0, average_over=None, dilation_size=1)
    grown = clouds(bands, settings=options)["mask"][0]
    assert np.argwhere(grown).tolist() == [[3, 4], [4, 3], [4, 4], [4, 5], [5, 4]]


def test_classifiers_of_the_users_own() -> None:
    class Sklearn:
        def predict(self, rows: Any, /) -> Any:
            raise AssertionError

        def predict_proba(self, rows: Any) -> Any:
            cloudy = Brightness().predict(rows)
            return np.stack([1 - cloudy, cloudy], axis=1)

    bands, valid = random_series(2, 6, 6)
    assert same(clouds(bands, valid, mono_classifier=Sklearn()), clouds(bands, valid))


class Labels(Brightness):
    def predict(self, rows: Any, /) -> Any:
        return np.full(len(rows), 2)


class Scores(Brightness):
    def predict(self, rows: Any, /) -> Any:
        return np.zeros((len(rows), 2))


@pytest.mark.parametrize("classifier", [Labels(), Scores()])
@pytest.mark.parametrize("name", ["mono_classifier", "multi_classifier"])
def test_a_classifier_that_gives_no_probabilities_is_refused(name: str, classifier: Any) -> None:
    with pytest.raises(ModelError, match=rf"{type(classifier).__name__} gives .* one probability a row"):
        clouds(*random_series(2, 6, 6), **{name: classifier})


def test_input_that_cannot_be_used_is_refused_before_work() -> None:
    bands, valid = random_series(3, 5, 6)
    hole = bands.copy()
    hole[2, 1, 1, 3] = np.nan
    with pytest.raises(ReflectanceError, match="frame 2: NaN"):
        clouds(hole)
    with pytest.raises(ReflectanceError, match="third: NaN"):
        clouds(hole, where=["first", "second", "third"])
    with pytest.raises(ReflectanceError, match="raw digital numbers"):
        clouds(bands * 10_000, valid)
    with pytest.raises(BandError, match="9 bands"):
        clouds(bands[..., :9])
    with pytest.raises(GridError, match="valid mask"):
        clouds(bands, valid[:, :4])
    with pytest.raises(GridError, match="is due"):
        clouds(bands[0])
    with pytest.raises(GridError, match="finer"):
        clouds(bands, settings=TemporalSettings(resolution=(5, 5)))
    for outputs in ((), ("cloud",), "mask"):
        with pytest.raises(ConfigurationError, match="outputs="):
            clouds(bands, outputs=outputs)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_frames": 0},
        {"max_frames": 2.5},
        {"mono_threshold": 1.1},
        {"multi_threshold": -0.1},
        {"average_over": -1},
        {"dilation_size": 0.5},
        {"resolution": (0, 10)},
        {"resolution": (float("nan"), 10)},
    ],
)
def test_settings_that_cannot_be_used_are_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        TemporalSettings(**wrong)
