"""Simulated scenes, labelled by the simulation's own truth. They say nothing about accuracy in the field."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from eolearn.core import EOPatch
from sentinelhub.geometry import BBox

from eotasks.models.clouds.evaluation import SHADOW
from eotasks.models.clouds.postprocess import CLOUD
from eotasks.models.sentinel2 import BANDS
from eotasks.models.simulation.year import PLAIN, Realism
from eotasks.sources.sample import SAMPLE_BBOX
from eotasks.sources.simulated import (
    RECONSTRUCTED,
    TRUTH_CIRRUS,
    TRUTH_CLOUD,
    TRUTH_HAZE,
    TRUTH_SHADOW,
    TRUTH_SNOW,
    TRUTH_TERRAIN_SHADE,
    TRUTH_WATER,
    SimulateYearTask,
)
from eotasks.workflows.evaluate_clouds.labels import LabelFormat
from eotasks.workflows.evaluate_clouds.scenes import LabelledScene, SceneCollection, SceneSource, labelled_scene

RESOLUTION = 20.0
"""Metres of a pixel."""

SIZE = 5120.0
"""Metres of a scene, both ways."""

ACQUISITIONS = 12

_NOT_TO_BE_SEEN = (
    *(TRUTH_CLOUD, TRUTH_CIRRUS, TRUTH_SHADOW, TRUTH_SNOW, TRUTH_HAZE, TRUTH_TERRAIN_SHADE, TRUTH_WATER),
    RECONSTRUCTED,
)


def simulated_scenes(
    *, seed: int = 42, count: int = 2, acquisitions: int = ACQUISITIONS, realism: Realism = PLAIN, snow: bool = False
) -> SceneCollection:
    """Simulated years over places of the embedded sample.

    Opaque cloud and thin cirrus are labelled cloud, shadow where no cloud hides it. Haze, shade of the terrain, snow
    and waters of every kind are labelled clear.

    :param seed: Of the first scene; each has its own, the next whole number.
    :param count: Number of scenes; they lie side by side, beyond the sample on its mirror image.
    :param acquisitions: Dates of each.
    :param realism: What makes masks hard: ``REALISTIC`` for all of it.
    :param snow: Snow on winter dates.
    """
    kind = "simulated" if realism == PLAIN else "simulated realistic"
    options = {"acquisitions": acquisitions, "realism": realism, "snow": snow}
    sources = [
        SceneSource(f"simulated-{seed + index}", partial(_scene, seed + index, index, options))
        for index in range(count)
    ]
    years = f"{kind} year, seed {seed}" if count == 1 else f"{kind} years, seeds {seed} to {seed + count - 1}"
    return SceneCollection(
        f"{years}, with snow" if snow else years,
        sources,
        simulated=True,
        attribution="Ground: modified Copernicus Sentinel data 2017.",
    )


def _scene(seed: int, index: int, options: Mapping[str, Any]) -> LabelledScene:
    left, bottom, _, _ = SAMPLE_BBOX
    bbox = BBox((left + index * SIZE, bottom, left + (index + 1) * SIZE, bottom + SIZE), SAMPLE_BBOX.crs)
    patch: EOPatch = SimulateYearTask(seed=seed, resolution=RESOLUTION, **options).execute(bbox=bbox)
    cloud = patch[TRUTH_CLOUD] | patch[TRUTH_CIRRUS]
    labels = np.where(cloud, CLOUD, np.where(patch[TRUTH_SHADOW], SHADOW, 0)).astype(np.uint8)[..., 0]
    for feature in _NOT_TO_BE_SEEN:
        if feature in patch:
            del patch[feature]  # a detector must not see the truth
    name = f"simulated-{seed}"
    return labelled_scene(name, patch, BANDS, labels, LabelFormat(), where=name)
