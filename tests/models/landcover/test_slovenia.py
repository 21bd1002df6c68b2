"""The model on a real place: NDVI of 2017 over Slovenia, land use from the farm register.

Every choice is the example's (a regular grid of 16 days over 2017, no value outside the observations, LightGBM's
defaults) or the simplest one (every frame, the cloud mask of the patch); none was made by its result.
"""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from eotasks.models.classes import SLOVENIAN_CLASSES
from eotasks.models.landcover.splits import checkerboard
from eotasks.models.landcover.training import train
from eotasks.models.landcover.validation import Validation, evaluate, spread_of, summarize

pytestmark = pytest.mark.trial

GRID = [date(2017, 1, 1) + timedelta(16 * step) for step in range(23)]
Series = tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]


@pytest.fixture(scope="module")
def series(shared_data: Path) -> Series:
    """Resampled NDVI (n, 23), label (n,), row (n,) and column (n,) of every labelled pixel."""
    patch = shared_data / "slovenia" / "eopatch"
    times = [datetime.fromisoformat(text) for text in json.loads((patch / "timestamps.json").read_text())]
    of_2017 = np.array([time.year == 2017 for time in times])
    ndvi = np.load(patch / "data" / "NDVI.npy")[of_2017, ..., 0]
    valid = np.load(patch / "mask" / "IS_DATA.npy")[of_2017, ..., 0].astype(bool)
    valid &= ~np.load(patch / "mask" / "CLM.npy")[of_2017, ..., 0].astype(bool) & np.isfinite(ndvi)
    lulc = np.load(patch / "mask_timeless" / "LULC.npy")[..., 0]
    seconds = np.array([(time.replace(tzinfo=None) - datetime(2017, 1, 1)).total_seconds() for time in times])[of_2017]  # noqa: DTZ001 (the patch's times have no zone)
    targets = np.arange(23) * 16 * 86400.0
    rows, cols = np.nonzero(lulc)
    curves = np.full((len(rows), 23), np.nan, np.float32)
    for index, (row, col) in enumerate(zip(rows, cols, strict=True)):
        seen = valid[:, row, col]
        if seen.any():
            curves[index] = np.interp(targets, seconds[seen], ndvi[seen, row, col], left=np.nan, right=np.nan)
    return curves, lulc[rows, cols], rows, cols


def test_held_out_blocks_of_both_colours(series: Series) -> None:
    features, labels, rows, cols = series

    def validate(seed: int) -> Validation:
        board = checkerboard(rows, cols, 10, seed=seed)
        folds = []
        for color in (0, 1):
            test = board == color
            model = train(
                features[~test],
                labels[~test],
                classes=SLOVENIAN_CLASSES,
                feature_names=["NDVI"],
                dates=GRID,
                seed=seed,
                threads=1,
            )
            predicted, _ = model.predict(features[test], threads=1)
            folds.append(evaluate(labels[test], predicted, SLOVENIAN_CLASSES))
        return summarize(folds[0].matrix + folds[1].matrix)

    spread = spread_of({seed: validate(seed) for seed in (42, 43, 44, 45, 46)})
    assert all(item.matrix.total == np.count_nonzero(labels) == 9945 for item in spread.validations)
    assert spread.metrics["overall_accuracy"].mean >= 0.91
    assert spread.metrics["macro_f1"].mean >= 0.49
    assert spread.metrics["baseline_accuracy"].mean == pytest.approx(7601 / 9945)
    assert spread.metrics["overall_accuracy"].minimum > 7601 / 9945 + 0.1
    assert spread.metrics["overall_accuracy"].std < 0.02
