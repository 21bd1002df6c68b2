"""Features of the two models with many of them: made as their workflows make them, in the shortest way.

The 90 of the multi-temporal cloud model follow eo-learn-mask 1.4.2: SSIM of the target against each other frame,
minimum and mean in time, differences.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.forest.data import Float32, Series

Doubles = NDArray[np.float64]

WINDOW = 11
"""Frames around the target."""

C1, C2 = 1e-6, 1e-5
NOTHING = 1e20
"""What stands for a maximum or minimum of no values; the model was trained with it."""

LAND_COVER_SIDE = 500
CLASSES = ("forest", "farm", "meadow", "grass", "scrub", "wetland", "residential", "water")
SAMPLES = 20_000
CENTRE = (7620, 5180)
"""Metres east and south of the scene's corner: around it every class has more than a thousand pixels of 10 m."""


def temporal_features(series: Series) -> Doubles:
    """Rows of 90 features, every pixel of every frame."""
    bands, valid, sigma = series.bands, series.valid, series.sigma
    count = len(bands)
    shares = np.stack([_blur(frame.astype(np.float64), sigma) for frame in valid])[..., None]
    mean = np.stack([_blur(frame, sigma) for frame in bands]) / np.where(shares == 0, 1, shares)
    variance = np.stack([_blur(frame * frame, sigma) for frame in bands]) - mean * mean
    rows = []
    for target in range(count):
        first = min(max(target - WINDOW // 2, 0), max(count - WINDOW, 0))
        window = slice(first, first + WINDOW)
        rows.append(_frame(bands[window], valid[window], mean[window], variance[window], target - first, sigma))
    return np.concatenate(rows)


def _frame(
    bands: Float32, valid: NDArray[np.bool_], mean: Doubles, variance: Doubles, target: int, sigma: float
) -> Doubles:
    others = [index for index in range(len(bands)) if index != target]
    both = valid[others] & valid[target]
    similarity = np.stack([
        _similarity(bands[[target, other]], seen, mean[[target, other]], variance[[target, other]], sigma)
        for other, seen in zip(others, both, strict=True)
    ])  # fmt: skip
    pairs = np.ma.array(similarity, mask=~np.broadcast_to(both[..., None], similarity.shape))
    series = np.ma.array(bands, mask=~np.broadcast_to(valid[..., None], bands.shape))
    ssim = [pairs.max(axis=0).filled(NOTHING), pairs.mean(axis=0).filled(0), pairs.std(axis=0).filled(0)]
    ssim = [values.astype(np.float32) for values in ssim]
    lowest, average = series.min(axis=0).filled(NOTHING), series.mean(axis=0).filled(0)
    here = valid[target][..., None]
    frames = len(bands)
    to_lowest = np.where(here, bands[target] - lowest, bands[target])
    to_mean = np.where(here, bands[target] * (1 + 1 / (frames - 1)) - frames * average / (frames - 1), bands[target])
    interleaved = [_interleave(*group) for group in (ssim, [lowest, average], [to_lowest, to_mean])]
    return np.concatenate([bands[target], mean[target], *interleaved], axis=-1).reshape(-1, 90).astype(np.float64)


def _similarity(
    bands: Float32, both: NDArray[np.bool_], mean: Doubles, variance: Doubles, sigma: float
) -> NDArray[np.float64]:
    seen = bands.astype(np.float64) * both[..., None]
    covariance = _blur(seen[0] * seen[1], sigma) - mean[0] * mean[1]
    above = (2 * mean[0] * mean[1] + C1) * (2 * covariance + C2)
    return np.asarray(above / ((mean[0] ** 2 + mean[1] ** 2 + C1) * (variance[0] + variance[1] + C2)))


def _blur(image: NDArray[np.floating[Any]], sigma: float) -> Doubles:
    """Gaussian of every channel, one at a time."""
    values = image.astype(np.float64)
    if values.ndim == 2:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REFLECT))
    parts = [
        cv2.GaussianBlur(np.ascontiguousarray(values[..., channel]), (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
        for channel in range(values.shape[-1])
    ]
    return np.stack(parts, axis=-1)


def _interleave(*arrays: NDArray[Any]) -> NDArray[Any]:
    """Channel 0 of each, then channel 1 of each, and so on."""
    return np.stack(arrays, axis=-1).reshape(*arrays[0].shape[:-1], -1)


def land_cover(side: int, rounds: int, resolution: int) -> tuple[str, Float32]:
    """A land-cover model as the example trains it, and the patch it is asked about; the year is simulated.

    :param side: Pixels of the patch's side.
    :param rounds: Rounds of the training; the example's are 100.
    :param resolution: Metres of a pixel.
    :return: Text of the model (225 features: 25 dates of six bands and three indices; 8 classes of land use), and the
        patch's rows.
    """
    from lightgbm import LGBMClassifier

    features, labels = _land_cover_patch(side, resolution)
    labelled = np.flatnonzero(labels)
    generator = np.random.default_rng(42)
    chosen = generator.choice(labelled, min(SAMPLES, len(labelled)), replace=False)
    model = LGBMClassifier(objective="multiclass", n_estimators=rounds, random_state=42, n_jobs=1, verbosity=-1)
    model.fit(features[chosen], labels[chosen])
    return model.booster_.model_to_string(), features


def _land_cover_patch(side: int, resolution: int) -> tuple[Float32, NDArray[np.uint8]]:
    """Rows (pixels, 225) interpolated in time over what the simulated clouds leave, and labels (pixels,)."""
    from eolearn.core import MergeFeatureTask
    from sentinelhub.geometry import BBox

    from eotasks.reference.tasks import RasterizeReferenceTask
    from eotasks.series import AddNormalizedDifferenceTask, ResampleTimeSeriesTask
    from eotasks.sources.sample import SAMPLE_BBOX, sample_reference_path
    from eotasks.sources.simulated import TRUTH_CLOUD, SimulateYearTask
    from eotasks.workflows.land_cover.observe import SAMPLE_REFERENCE_COLUMN
    from tests.benchmarks.land_cover.features import BANDS, FEATURES, INDICES, IS_DATA, IS_VALID, LULC
    from tests.benchmarks.land_cover.layout import MODEL_BANDS, STEP_DAYS, YEAR

    left, _, _, top = tuple(SAMPLE_BBOX)
    half = side // 2 * resolution
    left, top = left + CENTRE[0] - half, top - CENTRE[1] + half
    source = SimulateYearTask(BANDS, IS_DATA, year=YEAR, resolution=resolution, bands=MODEL_BANDS)
    bbox = BBox((left, top - side * resolution, left + side * resolution, top), SAMPLE_BBOX.crs)
    patch = source.execute(bbox=bbox)
    patch[IS_VALID] = patch[IS_DATA] & ~patch[TRUTH_CLOUD]
    for feature in INDICES:
        AddNormalizedDifferenceTask(BANDS, feature, available=MODEL_BANDS).execute(patch)
    MergeFeatureTask([BANDS, *INDICES], FEATURES).execute(patch)
    classes = {name: number for number, name in enumerate(CLASSES, start=1)}
    RasterizeReferenceTask(
        LULC, source=sample_reference_path(), column=SAMPLE_REFERENCE_COLUMN, classes=classes
    ).execute(patch)
    labels = patch[LULC].ravel()
    resampled = ResampleTimeSeriesTask(
        FEATURES, valid_feature=IS_VALID, start=f"{YEAR}-01-01", end=f"{YEAR}-12-31", step_days=STEP_DAYS
    ).execute(patch)
    series = resampled[FEATURES]
    return np.moveaxis(series, 0, 2).reshape(side * side, -1).astype(np.float32), labels
