"""What is checked around a detector: what it needs before it is called, what it answers after."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest

from eotasks.clouds.detectors.frames import Frames
from eotasks.clouds.detectors.protocol import Detection, Detector, ProbabilityDetector
from eotasks.clouds.detectors.registry import BUILT_IN
from eotasks.clouds.detectors.run import cloud_probability_of, detect_clouds, refuse_needs
from eotasks.clouds.detectors.settings import DetectorSettings
from eotasks.clouds.detectors.vocabulary import Answer, Need
from eotasks.errors import BandError, ConfigurationError, FeatureError, GridError, ModelError, ReflectanceError

SETTINGS = DetectorSettings(preset="s2cloudless", average_over=None, dilation_size=None)
SHAPE = (2, 3, 4)


def frames(**changes: Any) -> Frames:
    bands = np.full((*SHAPE, 2), 1000, dtype=np.uint16)
    is_data = np.ones(SHAPE, dtype=bool)
    is_data[0, 0, 0] = False
    times = tuple(dt.datetime(2020, 6, day, 10) for day in (1, 6))  # noqa: DTZ001 - naive UTC
    given: dict[str, Any] = {
        "bands": bands, "names": ("B03", "B02"), "is_data": is_data, "where": "here", "times": times,
        "crs": "EPSG:32633", "bounds": (500_000, 5_000_000, 500_080, 5_000_060),
    }  # fmt: skip
    return Frames(**given | changes)


class Says(Detector):
    """Answers what it is told to."""

    name = "says"
    description = "what it is told to"

    def __init__(self, answer: object, answers: frozenset[Answer] = frozenset({"cloud"})) -> None:
        self.answer, self.answers = answer, answers

    def detect(self, frames: Frames, settings: DetectorSettings) -> Detection:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[return-value]


class Likely(ProbabilityDetector):
    """A probability."""

    name = "likely"
    description = "a probability"

    def __init__(self, value: float) -> None:
        self.value = value

    def probability(self, frames: Frames, settings: DetectorSettings) -> np.ndarray:
        return np.full(frames.shape, self.value)


def test_no_data_is_no_answer_whatever_a_detector_says() -> None:
    detection = detect_clouds(Says(Detection(np.ones(SHAPE, dtype=bool))), frames(), SETTINGS)
    assert detection.mask.dtype == np.uint8
    assert detection.mask[0, 0, 0] == 255
    assert (detection.mask.ravel()[1:] == 1).all()
    likely = detect_clouds(Likely(0.6), frames(), SETTINGS)
    assert likely.probability is not None
    assert np.isnan(likely.probability[0, 0, 0])
    assert likely.probability[0, 0, 1] == np.float32(0.6)


@pytest.mark.parametrize(("threshold", "cloud"), [(0.5, 1), (0.6, 0)])
def test_a_mask_is_made_of_a_probability_by_the_settings(threshold: float, cloud: int) -> None:
    settings = DetectorSettings(threshold=threshold, average_over=None, dilation_size=None)
    mask = detect_clouds(Likely(0.6), frames(), settings).mask
    assert set(np.unique(mask)) == {cloud, 255}


def test_radii_in_metres_need_a_place() -> None:
    settings = DetectorSettings(threshold=0.5, unit="metre")
    assert detect_clouds(Likely(0.6), frames(), settings).mask[1, 1, 1] == 1
    with pytest.raises(GridError, match="here: no bounding box"):
        detect_clouds(Likely(0.6), frames(bounds=None), settings)


ZEROS = np.zeros(SHAPE, dtype=np.uint8)
TWO = np.full(SHAPE, 2)


@pytest.mark.parametrize(
    ("answer", "answers", "said"),
    [
        (Detection(ZEROS[0]), {"cloud"}, "a mask uint8 (3, 4) where whole numbers (2, 3, 4) are due"),
        (Detection(ZEROS.astype(float)), {"cloud"}, "a mask float64"),
        (Detection(TWO), {"cloud"}, "the class 2 where 0, 1, 255 are due"),
        (Detection(TWO + 1), {"cloud", "shadow"}, "the class 3"),
        (Detection(ZEROS, ZEROS * 0.5), {"cloud"}, "a probability where cloud is due"),
        (Detection(ZEROS), {"cloud", "probability"}, "no probability where cloud, probability is due"),
        (Detection(ZEROS, ZEROS + 1.5), {"cloud", "probability"}, "the probability 1.5 where 0..1 is due"),
        (Detection(ZEROS, ZEROS * np.nan), {"cloud", "probability"}, "the probability nan"),
        (Detection(ZEROS, np.zeros((1, 1, 1))), {"cloud", "probability"}, "a probability float64 (1, 1, 1)"),
        (None, {"cloud"}, "a NoneType where a Detection is due"),
        (ZEROS, {"cloud"}, "a ndarray where a Detection is due"),
        (Detection([[[0, 1], [0]]]), {"cloud"}, "failed (ValueError: "),  # type: ignore[arg-type]
        (Detection(ZEROS, [[0.5], []]), {"cloud", "probability"}, "failed (ValueError: "),  # type: ignore[arg-type]
        (Detection(None), {"cloud"}, "a mask object ()"),  # type: ignore[arg-type]
        (ValueError("division\nby zero"), {"cloud"}, "failed (ValueError: division"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_answer_is_the_detector_s_fault(answer: object, answers: set[Answer], said: str) -> None:
    with pytest.raises(ModelError, match="detector 'says'") as raised:
        detect_clouds(Says(answer, frozenset(answers)), frames(), SETTINGS)
    assert said in str(raised.value)
    assert __name__ in str(raised.value)  # whose it is


def test_shadow_is_answered_where_it_is_said_to_be() -> None:
    mask = detect_clouds(Says(Detection(TWO), frozenset({"cloud", "shadow"})), frames(), SETTINGS).mask
    assert set(np.unique(mask)) == {2, 255}


@pytest.mark.parametrize("error", [ReflectanceError("raw"), OSError("disk full"), MemoryError()])
def test_errors_that_a_user_can_cure_pass(error: Exception) -> None:
    with pytest.raises(type(error)):
        detect_clouds(Says(error), frames(), SETTINGS)


@pytest.mark.parametrize(
    ("name", "changes", "error", "said"),
    [
        ("s2cloudless", {}, BandError, "here: detector 's2cloudless' needs band B01, B04"),
        ("multi-temporal", {"is_data": np.ones((1, 3, 4), dtype=bool)}, BandError, "detector 'scl'"),
        ("scl", {}, FeatureError, "here: no scene classification"),
        ("stored", {}, FeatureError, "here: no mask of its own"),
    ],
)
def test_what_is_not_there_is_named(name: str, changes: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        detect_clouds(BUILT_IN[name], frames(**changes), SETTINGS)


@pytest.mark.parametrize(
    ("name", "available", "said"),
    [
        (
            "stored",
            (),
            "needs a mask that lies beside the bands, which a product does not have: use s2cloudless",
        ),
        ("multi-temporal", ("sun angles",), "needs several frames of a place"),
        ("all-clear", (), "is no detector but a baseline"),
    ],
)
def test_needs_are_refused_before_any_work(name: str, available: tuple[Need, ...], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        refuse_needs(BUILT_IN[name], available, what="a product", others=["s2cloudless"])


def test_an_offset_left_in_is_refused_unless_the_caller_checks_the_whole() -> None:
    names = ("B01", "B02", "B04", "B05", "B08", "B8A", "B09", "B10", "B11", "B12")
    bands = np.full((1, 20, 20, 10), 2500, dtype=np.uint16)
    bands[..., names.index("B10")] = 1010
    seen = Frames(bands, names, np.ones((1, 20, 20), dtype=bool))
    with pytest.raises(ReflectanceError, match=r"baseline 04\.00"):
        detect_clouds(BUILT_IN["s2cloudless"], seen, SETTINGS)
    detect_clouds(BUILT_IN["s2cloudless"], seen, SETTINGS, check_bands=False)


def test_a_probability_is_computed_once_for_all_masks_of_it() -> None:
    names = ("B01", "B02", "B04", "B05", "B08", "B8A", "B09", "B10", "B11", "B12")
    seen = Frames(np.full((1, 5, 5, 10), 800, dtype=np.uint16), names, np.ones((1, 5, 5), dtype=bool))
    detector = BUILT_IN["s2cloudless"]
    assert isinstance(detector, ProbabilityDetector)
    first = cloud_probability_of(detector, seen, SETTINGS)
    assert cloud_probability_of(detector, seen, DetectorSettings(preset="gee")) is first


def test_reflectance_of_some_bands_in_the_order_asked_for() -> None:
    seen = frames()
    seen.bands[..., 0] = 2500
    values = seen.reflectance("B02", "B03")
    assert values.dtype == np.float32
    assert values[0, 1, 1].tolist() == pytest.approx([0.1, 0.25])
    with pytest.raises(BandError, match="B11 is missing"):
        seen.reflectance("B11")


@pytest.mark.parametrize(
    "wrong", [{"threshold": 1.5}, {"sampling": "cubic"}, {"resolution": 0.0}, {"preset": "mine"}, {"threads": 0}]
)
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        DetectorSettings(**wrong)
