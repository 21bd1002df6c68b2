"""A small chain result with everything in it: plausible fields, clouds and scores, made from a seed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.models.classes import ClassTable, LandCoverClass
from eotasks.models.landcover.areas import areas_of
from eotasks.models.landcover.validation import evaluate, roc_curves, spread_of
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.land_cover.report.results import (
    ChainResult,
    Frame,
    Importance,
    Inspection,
    NdviSeries,
    PatchArea,
    RunInfo,
    Stage,
)
from eotasks.workflows.land_cover.sources.base import Provenance
from eotasks.workflows.report.raster import Bounds, Raster

CLASSES = ClassTable(
    (
        LandCoverClass(0, "NO_DATA", "#ffffff"),
        LandCoverClass(1, "CULTIVATED_LAND", "#ffff00"),
        LandCoverClass(2, "FOREST", "#054907"),
        LandCoverClass(3, "GRASSLAND", "#ffa500"),
        LandCoverClass(5, "WATER", "#069af3"),
        LandCoverClass(8, "ARTIFICIAL_SURFACE", "#dc143c"),
    )
)
IDS = np.array([1, 2, 3, 5, 8], np.uint8)
BOUNDS: Bounds = (330_000.0, 5_814_400.0, 345_360.0, 5_822_080.0)
RESOLUTION = 80.0
SUMMER = datetime.fromisoformat("2017-07-04")
START = datetime.fromisoformat("2017-01-09T10:21")


def class_map(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """Blocks of classes."""
    blocks = rng.choice(IDS, size=(height // 8 + 1, width // 8 + 1), p=[0.4, 0.3, 0.2, 0.06, 0.04])
    return np.kron(blocks, np.ones((8, 8), np.uint8))[:height, :width]


def with_errors(rng: np.random.Generator, labels: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """The labels, a share of them replaced at random."""
    return np.where(rng.random(labels.shape) < share, rng.choice(IDS, size=labels.shape), labels).astype(np.uint8)


def true_color(rng: np.random.Generator, labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Reflectance by class, with noise."""
    colors = np.zeros((256, 3), np.float32)
    colors[IDS] = [[0.16, 0.15, 0.10], [0.03, 0.06, 0.03], [0.07, 0.12, 0.05], [0.02, 0.04, 0.06], [0.2, 0.19, 0.18]]
    return (colors[labels] + rng.normal(0, 0.006, (*labels.shape, 3))).astype(np.float32).clip(0.001)


def patches(failed: str = "") -> list[PatchArea]:
    """Two rows of four patches, the last of each row for testing."""
    left, _, right, top = BOUNDS
    size = (right - left) / 4
    return [
        PatchArea(
            f"patch_r{row:02d}_c{column:02d}",
            (left + column * size, top - (row + 1) * size, left + (column + 1) * size, top - row * size),
            "test" if column == 3 else "train",
            failed=f"patch_r{row:02d}_c{column:02d}" == failed,
        )
        for row in range(2)
        for column in range(4)
    ]


def series(rng: np.random.Generator, dates: list[datetime]) -> NdviSeries:
    """A meadow's year with clouds in it."""
    season = np.array([0.35 + 0.4 * np.exp(-(((d.timetuple().tm_yday - 185) / 75) ** 2)) for d in dates])
    masked = rng.random(len(dates)) < 0.35
    curve_times = [START + timedelta(days=16 * step) for step in range(22)]
    curve = np.interp([d.timestamp() for d in curve_times], [d.timestamp() for d in dates], season)
    observed = season * np.where(masked, rng.uniform(0.05, 0.6, len(dates)), rng.normal(1, 0.03, len(dates)))
    return NdviSeries("one meadow (214 pixels)", dates, observed, masked, curve_times, curve, np.full(22, 0.05))


def run_info(failed: str = "") -> RunInfo:
    """Two batches and one step in the parent process."""
    outcomes = [
        PatchOutcome(patch.name, "done", 1, {"Simulate": 1.1, "Clouds": 2.4 + row / 10}, {"Simulate": 310.0})
        for row, patch in enumerate(patches())
        if patch.name != failed
    ]
    if failed:
        outcomes.append(
            PatchOutcome(failed, "failed", 2, {"Simulate": 1.0}, {}, "Clouds", "Band B10 <is> missing: request it.")
        )
    return RunInfo(
        [
            Stage("features", 14.2, outcomes, 2, 1510.0),
            Stage("train", 6.1),
            Stage("predict", 4.0, [PatchOutcome("patch_r00_c00", "done", 1, {"Predict": 0.4}, {"Predict": 280.0})], 2),
        ],
        95.0,
        1510.0,
        "Resident memory of all processes.",
        {"eo-learn": "1.5.7", "numpy": "2.4.1"},
        "[area]\nsource = 'simulated'\n",
    )


def importance(rng: np.random.Generator, image: Raster | None) -> Importance:
    """Gain that peaks in summer."""
    times = [START + timedelta(days=15 * step) for step in range(24)]
    names = ["B02", "B03", "B04", "B08", "B11", "B12", "NDVI", "NDWI", "NDBI"]
    season = np.exp(-(((np.arange(24) - 12) / 5.0) ** 2))[:, None]
    return Importance(rng.gamma(1.2, 1.0, (24, 9)) * (0.15 + season), times, names, image)


def scores_of(rng: np.random.Generator, prediction: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Scores that favour the prediction."""
    scores: NDArray[np.float64] = rng.random((prediction.size, len(IDS)))
    scores[np.arange(prediction.size), np.searchsorted(IDS, prediction)] += 0.8
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


def chain(seed: int = 0, *, failed: str = "", **changes: Any) -> ChainResult:
    """A chain result; keyword arguments replace its fields."""
    rng = np.random.default_rng(seed)
    height, width = round((BOUNDS[3] - BOUNDS[1]) / RESOLUTION), round((BOUNDS[2] - BOUNDS[0]) / RESOLUTION)
    full = class_map(rng, height, width)
    reference = np.where(rng.random(full.shape) < 0.6, 0, full).astype(np.uint8)
    prediction = with_errors(rng, full, 0.12)
    dates = [START + timedelta(days=30 * step) for step in range(12)]
    image = Raster(true_color(rng, full), BOUNDS, SUMMER)
    truth = rng.choice(IDS, size=900, p=[0.4, 0.3, 0.2, 0.06, 0.04])
    runs = {seed: evaluate(truth, with_errors(rng, truth, 0.15 + seed / 100), CLASSES) for seed in range(5)}
    predicted = with_errors(rng, truth, 0.15)
    validation = evaluate(truth, predicted, CLASSES)
    left, bottom, right, top = BOUNDS
    ring = np.array([[left, bottom], [right, bottom], [right, top], [left, top], [left, bottom]])
    ids, counts = np.unique(prediction, return_counts=True)
    fields: dict[str, Any] = {
        "name": "Simulated year",
        "simulated": True,
        "source_note": "Twelve simulated acquisitions.",
        "classes": CLASSES,
        "crs": "EPSG:32633",
        "resolution": RESOLUTION,
        "provenance": [
            Provenance("Land-use polygons", "real", "OpenStreetMap"),
            Provenance("Acquisitions", "simulated", "from the scene of 2017-02-16"),
        ],
        "outline": [ring],
        "patches": patches(failed),
        "maps": {
            "TRUE_COLOR": image,
            "REFERENCE": Raster(reference, BOUNDS),
            "VALID_COUNT": Raster(rng.integers(4, 13, full.shape), BOUNDS),
            "MEAN_CLP": Raster(rng.random(full.shape, np.float32) * 0.4, BOUNDS),
            "MEAN_NDVI": Raster(rng.random(full.shape, np.float32), BOUNDS),
            "PREDICTION": Raster(prediction, BOUNDS),
            "CONFIDENCE": Raster(rng.random(full.shape, np.float32), BOUNDS),
        },
        "frames": [Frame(date, float(rng.random()), int(rng.integers(0, 9)), 8) for date in dates],
        "min_valid_fraction": 0.8,
        "ndvi_series": series(rng, dates),
        "train_counts": {1: 2000, 2: 1500, 3: 1200, 5: 310, 8: 150},
        "test_counts": {1: 400, 2: 300, 3: 240, 5: 62, 8: 30},
        "validation": validation,
        "split_note": "Two of eight patches were held out for the test.",
        "seeds": spread_of(runs),
        "roc": roc_curves(truth, scores_of(rng, predicted), CLASSES.without(0)),
        "importance": importance(rng, image),
        "areas": areas_of(
            validation.matrix,
            dict(zip(ids.tolist(), counts.tolist(), strict=True)),
            pixel_area=RESOLUTION**2,
            classes=CLASSES.without(0),
        ),
        "inspection": Inspection(
            (left, top - 50 * RESOLUTION, left + 50 * RESOLUTION, top),
            reference[:50, :50],
            prediction[:50, :50],
            image.values[:50, :50],
            SUMMER,
            "patch_r00_c00",
        ),
        "run": run_info(failed),
    }
    return ChainResult(**(fields | changes))
