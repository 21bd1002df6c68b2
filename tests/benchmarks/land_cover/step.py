"""One step of one side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from eolearn.core import EOPatch, EOTask
from numpy.typing import NDArray

from tests.benchmarks.land_cover.features import Feature

Outcome = dict[str, NDArray[Any]]


def as_it_is(patch: EOPatch) -> EOPatch:
    """The input without a change."""
    return patch


@dataclass(frozen=True)
class Step:
    """What is measured, and what is compared afterwards."""

    run: Callable[[EOPatch, str], Any]
    """The work on an EOPatch under a name that no other call has."""

    outcome: Callable[[Any], Outcome]
    """Arrays to compare, from what ``run`` returned; not measured."""

    ready: Callable[[EOPatch], EOPatch] = as_it_is
    """Brings the common input into this side's coding; not measured."""


def in_order(
    *tasks: EOTask, outcome: Callable[[EOPatch], Outcome], ready: Callable[[EOPatch], EOPatch] = as_it_is
) -> Step:
    """A step of tasks, one after the other."""

    def run(patch: EOPatch, name: str) -> EOPatch:
        for task in tasks:
            patch = task.execute(patch)  # type: ignore[no-untyped-call]  # eo-learn leaves its signature open
        return patch

    return Step(run, outcome, ready)


def map_on_disk(path: Path) -> Outcome:
    """Pixels and place of an exported map."""
    with rasterio.open(path) as file:
        return {"map": file.read(), "bounds": np.array(file.bounds), "epsg": np.array(file.crs.to_epsg())}


def arrays(*features: Feature) -> Callable[[EOPatch], Outcome]:
    """An outcome that is features of the EOPatch, by their names, and its timestamps."""

    def collect(patch: EOPatch) -> Outcome:
        chosen = {feature[1]: np.asarray(patch[feature]) for feature in features}
        times = np.array(patch.timestamps or [], dtype="datetime64[us]")
        return chosen | {"timestamps": times}

    return collect


def everything(patch: EOPatch) -> Outcome:
    """An outcome that is all arrays of an EOPatch."""
    return arrays(*[feature for feature in patch.get_features() if feature[0].is_array()])(patch)


def class_counts(labels: NDArray[Any]) -> Outcome:
    """How many samples each class has."""
    classes, counts = np.unique(labels, return_counts=True)
    return {"classes": classes.astype(int), "counts": counts.astype(int)}


def tree_lines(text: str) -> Outcome:
    """The trees of a LightGBM text, without the header and the parameters around them."""
    trees = text[text.index("Tree=0") : text.index("end of trees")]
    return {"trees": np.array(trees.strip().split("\n\n\n"))}


def sampled_rows(features: NDArray[Any]) -> NDArray[Any]:
    """Rows of a model (n, t * c) from sampled features (t, n, 1, c), as the example builds them."""
    dates, count, width, channels = features.shape
    return np.moveaxis(features, 0, 2).reshape(count * width, dates * channels)
