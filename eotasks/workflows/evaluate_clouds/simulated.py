"""Simulated scenes, labelled by the simulation's own truth. They say nothing about accuracy in the field."""

from __future__ import annotations

from functools import partial

import numpy as np
from eolearn.core import EOPatch, FeatureType
from sentinelhub.geometry import BBox

from eotasks.models.clouds.evaluation import SHADOW
from eotasks.models.clouds.postprocess import CLOUD
from eotasks.models.sentinel2 import BANDS
from eotasks.sources.sample import SAMPLE_BBOX
from eotasks.sources.simulated import TRUTH_CIRRUS, TRUTH_CLOUD, TRUTH_SHADOW, TRUTH_SNOW, SimulateYearTask
from eotasks.workflows.evaluate_clouds.labels import LabelFormat
from eotasks.workflows.evaluate_clouds.scenes import LabelledScene, SceneCollection, SceneSource, labelled_scene

RESOLUTION = 20.0
"""Metres of a pixel."""

SIZE = 5120.0
"""Metres of a scene, both ways."""

ACQUISITIONS = 12


def simulated_scenes(*, seed: int = 42, count: int = 2, acquisitions: int = ACQUISITIONS) -> SceneCollection:
    """Simulated years over places of the embedded sample.

    Opaque cloud and thin cirrus are labelled cloud, shadow where no cloud hides it.

    :param seed: Of the first scene; each has its own, the next whole number.
    :param count: Number of scenes; they lie side by side, beyond the sample on its mirror image.
    :param acquisitions: Dates of each.
    """
    sources = [
        SceneSource(f"simulated-{seed + index}", partial(_scene, seed + index, index, acquisitions))
        for index in range(count)
    ]
    return SceneCollection(
        f"simulated year, seed {seed}" if count == 1 else f"simulated years, seeds {seed} to {seed + count - 1}",
        sources,
        simulated=True,
        attribution="Ground: modified Copernicus Sentinel data 2017.",
    )


def _scene(seed: int, index: int, acquisitions: int) -> LabelledScene:
    left, bottom, _, _ = SAMPLE_BBOX
    bbox = BBox((left + index * SIZE, bottom, left + (index + 1) * SIZE, bottom + SIZE), SAMPLE_BBOX.crs)
    patch: EOPatch = SimulateYearTask(seed=seed, acquisitions=acquisitions, resolution=RESOLUTION).execute(bbox=bbox)
    cloud = patch[TRUTH_CLOUD] | patch[TRUTH_CIRRUS]
    labels = np.where(cloud, CLOUD, np.where(patch[TRUTH_SHADOW], SHADOW, 0)).astype(np.uint8)[..., 0]
    for feature in (TRUTH_CLOUD, TRUTH_CIRRUS, TRUTH_SHADOW, TRUTH_SNOW, (FeatureType.MASK_TIMELESS, "RECONSTRUCTED")):
        del patch[feature]  # a detector must not see the truth
    name = f"simulated-{seed}"
    return labelled_scene(name, patch, BANDS, labels, LabelFormat(), where=name)
