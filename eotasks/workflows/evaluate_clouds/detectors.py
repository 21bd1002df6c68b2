"""The detectors that can be evaluated, by name: each makes a mask of a scene as a user's workflow would."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from eolearn.core import EOPatch, FeatureType
from numpy.typing import NDArray

from eotasks.clouds.masks import AddCloudMaskTask, AddSceneClassificationMaskTask
from eotasks.clouds.probability import AddCloudProbabilityTask
from eotasks.errors import ConfigurationError, FeatureError
from eotasks.features import Feature
from eotasks.models.clouds.evaluation import SHADOW, Target
from eotasks.models.clouds.postprocess import CLEAR, CLOUD, NO_DATA
from eotasks.models.clouds.presets import FROM_PRESET, FromPreset, MaskSettings, Preset, Unit, mask_settings
from eotasks.models.clouds.resampling import Sampling
from eotasks.models.clouds.scene_classification import SCL_CLOUD
from eotasks.models.clouds.shadows.frame import MethodName
from eotasks.models.sentinel2 import SceneClass
from eotasks.models.threads import resolve_threads
from eotasks.workflows.evaluate_clouds.scenes import BANDS, IS_DATA, SCL, STORED_MASK, LabelledScene

CLOUD_ONLY: tuple[Target, ...] = ("cloud",)
WITH_SHADOWS: tuple[Target, ...] = ("cloud", "shadow", "cloud or shadow", "clear")

_CLP: Feature = (FeatureType.DATA, "CLP")
_CLM: Feature = (FeatureType.MASK, "CLM")
_SHADOW: Feature = (FeatureType.MASK, "SHADOW")


@dataclass(frozen=True)
class DetectorSettings:
    """What the detectors that work on a cloud probability are run with; others do not look at it."""

    preset: Preset = "eo-learn"
    threshold: float | FromPreset = FROM_PRESET
    average_over: float | FromPreset | None = FROM_PRESET
    dilation_size: float | FromPreset | None = FROM_PRESET
    unit: Unit = "pixel"
    """Of the two radii."""

    resolution: float | None = None
    """Metres at which the single-scene probability is computed; None for the pixels of the scene."""

    sampling: Sampling = "mean"
    threads: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no mask can be made with.

        :raises ConfigurationError: a setting that is not usable.
        """
        mask_settings(self.preset, **self.mask_arguments())
        AddCloudProbabilityTask(resolution=self.resolution, sampling=self.sampling, threads=self.threads)
        resolve_threads(self.threads)

    def mask_arguments(self) -> dict[str, Any]:
        """The settings of the mask but for the preset."""
        return {
            "threshold": self.threshold,
            "average_over": self.average_over,
            "dilation_size": self.dilation_size,
            "unit": self.unit,
        }


@dataclass(frozen=True, eq=False)
class Detection:
    """What a detector says of a scene."""

    mask: NDArray[np.uint8]
    """(t, h, w): 0 clear, 1 cloud, 2 shadow, 255 no answer."""

    probability: NDArray[np.float32] | None = None
    """(t, h, w) 0..1 before smoothing, of the detectors that have one."""


def _no_settings(settings: DetectorSettings) -> MaskSettings | None:  # noqa: ARG001 - one signature
    return None


_ALL = ("preset", "threshold", "average_over", "dilation_size", "unit", "resolution", "sampling")

Detect = Callable[[LabelledScene, DetectorSettings], Detection]


@dataclass(frozen=True)
class Detector:
    """One entry of the registry."""

    name: str
    description: str
    targets: tuple[Target, ...]
    """What it can be judged by: a detector without shadows is not blamed for them."""

    detect: Detect
    settles: Callable[[DetectorSettings], MaskSettings | None] = _no_settings
    """The settings of its mask, None for those that make none of a probability."""

    uses: tuple[str, ...] = ()
    """Names of the settings that it looks at, those that the results record."""

    baseline: bool = False
    """No detector at all, only a number to compare with: it is not shown in pictures."""


def s2cloudless(scene: LabelledScene, settings: DetectorSettings) -> Detection:
    """The single-scene model and a mask."""
    return Detection(_with_mask(scene, settings)[_CLM][..., 0], _probability(scene, settings))


def with_shadows(method: MethodName) -> Detect:
    """The single-scene model, and the shadows of its clouds by a method.

    The shadows are those of the mask before it grows, whose outlines fit theirs; where cloud grows over them, it is
    cloud.
    """

    def detect(scene: LabelledScene, settings: DetectorSettings) -> Detection:
        from eotasks.clouds.shadows import AddCloudShadowTask

        cloud = _with_mask(scene, settings)[_CLM][..., 0]
        patch = _with_mask(scene, replace(settings, dilation_size=None))
        patch = AddCloudShadowTask(
            BANDS, _SHADOW, cloud_feature=_CLM, is_data_feature=IS_DATA, bands=scene.bands, method=method
        ).execute(patch)
        shadow = (patch[_SHADOW][..., 0] == 1) & (cloud == CLEAR)
        return Detection(np.where(shadow, np.uint8(SHADOW), cloud), _probability(scene, settings))

    return detect


def scene_classification(scene: LabelledScene, settings: DetectorSettings) -> Detection:  # noqa: ARG001 - one signature
    """Sen2Cor's classes 8, 9 and 10 as cloud, 3 as shadow."""
    if SCL not in scene.eopatch:
        raise FeatureError(f"{scene.name}: no scene classification. Add scl.tif (mask/SCL) of L2A to the scene.")
    patch = AddSceneClassificationMaskTask(SCL, _CLM, invalid=SCL_CLOUD).execute(scene.eopatch.copy())
    mask = patch[_CLM][..., 0].copy()
    mask[scene.eopatch[SCL][..., 0] == SceneClass.CLOUD_SHADOW] = SHADOW
    return Detection(mask)


def stored_mask(scene: LabelledScene, settings: DetectorSettings) -> Detection:  # noqa: ARG001 - one signature
    """The mask that lies beside the bands: anybody's detector can be judged this way."""
    if STORED_MASK not in scene.eopatch:
        raise FeatureError(f"{scene.name}: no mask of its own. Add clm.tif (mask/CLM) to the scene.")
    mask = scene.eopatch[STORED_MASK][..., 0]
    unknown = set(np.unique(mask).tolist()) - {CLEAR, CLOUD, SHADOW, NO_DATA}
    if mask.dtype.kind not in "iub" or unknown:
        values = ", ".join(map(str, sorted(unknown)[:5])) or "no classes"
        raise FeatureError(
            f"{scene.name}: its own mask is {mask.dtype} with {values} where"
            " 0 clear, 1 cloud, 2 shadow, 255 none are due."
        )
    return Detection(mask.astype(np.uint8))


def multi_temporal(scene: LabelledScene, settings: DetectorSettings) -> Detection:
    """The multi-temporal model, its single-scene one and their mask, over the frames of the scene."""
    from eotasks.clouds.temporal import AddMultiTemporalCloudProbabilityTask  # brings an engine that others do not need

    if len(scene.reference) < 2:
        raise FeatureError(
            f"{scene.name}: a single frame, and this detector compares frames. Give EOPatches of a series."
        )
    task = AddMultiTemporalCloudProbabilityTask(
        BANDS,
        _CLP,
        mask_feature=_CLM,
        is_data_feature=IS_DATA,
        bands=scene.bands,
        resolution=settings.resolution,
        threads=settings.threads,
    )
    patch = task.execute(scene.eopatch.copy())
    return Detection(patch[_CLM][..., 0], patch[_CLP][..., 0])


def all_clear(scene: LabelledScene, settings: DetectorSettings) -> Detection:  # noqa: ARG001 - one signature
    """Nothing is cloud: what a detector has to beat."""
    return Detection(np.where(scene.eopatch[IS_DATA][..., 0], CLEAR, NO_DATA).astype(np.uint8))


def _probability(scene: LabelledScene, settings: DetectorSettings) -> NDArray[np.float32]:
    key = (settings.resolution, settings.sampling)
    if key not in scene.probabilities:
        task = AddCloudProbabilityTask(
            BANDS,
            _CLP,
            is_data_feature=IS_DATA,
            bands=scene.bands,
            resolution=settings.resolution,
            sampling=settings.sampling,
            threads=settings.threads,
        )
        scene.probabilities[key] = task.execute(scene.eopatch.copy())[_CLP][..., 0]
    return scene.probabilities[key]


def _with_mask(scene: LabelledScene, settings: DetectorSettings) -> EOPatch:
    patch = scene.eopatch.copy()
    patch[_CLP] = _probability(scene, settings)[..., np.newaxis]
    task = AddCloudMaskTask(_CLP, _CLM, is_data_feature=IS_DATA, preset=settings.preset, **settings.mask_arguments())
    return task.execute(patch)


def _by_preset(settings: DetectorSettings) -> MaskSettings:
    return mask_settings(settings.preset, **settings.mask_arguments())


DETECTORS: Mapping[str, Detector] = {
    detector.name: detector
    for detector in (
        Detector("s2cloudless", "single-scene cloud probability and mask", CLOUD_ONLY, s2cloudless, _by_preset, _ALL),
        Detector(
            "multi-temporal",
            "clouds seen through time (InterSSIM), with its own settings",
            CLOUD_ONLY,
            multi_temporal,
            uses=("resolution",),
        ),
        Detector(
            "shadows-geometric",
            "s2cloudless, and its shadows by cloud height and the angles of sun and view",
            WITH_SHADOWS,
            with_shadows("geometric"),
            _by_preset,
            _ALL,
        ),
        Detector(
            "shadows-projection",
            "s2cloudless, and its shadows as the Earth Engine tutorial projects them",
            WITH_SHADOWS,
            with_shadows("projection"),
            _by_preset,
            _ALL,
        ),
        Detector("scl", "scene classification of L2A: 8, 9, 10 cloud, 3 shadow", WITH_SHADOWS, scene_classification),
        Detector("stored", "the mask in the scene (clm.tif, mask/CLM), whoever made it", WITH_SHADOWS, stored_mask),
        Detector("all-clear", "nothing is cloud: what a detector has to beat", CLOUD_ONLY, all_clear, baseline=True),
    )
}
"""Name -> detector."""


@dataclass(frozen=True)
class Contestant:
    """A detector with its settings, under the name that the results carry."""

    name: str
    detector: Detector
    settings: DetectorSettings

    def detect(self, scene: LabelledScene) -> Detection:
        """Run it on a scene."""
        return self.detector.detect(scene, self.settings)

    @property
    def mask(self) -> MaskSettings | None:
        """The settings of its mask, None when it makes none of a probability."""
        return self.detector.settles(self.settings)

    def describe(self) -> str:
        """Its settings in words."""
        mask = self.mask
        if mask is None:
            return "none"
        unit = "px" if mask.unit == "pixel" else "m"
        smoothing = f"sigma {mask.sigma:g} {unit}" if mask.sigma else f"averaged over {mask.average_over or 0:g} {unit}"
        words = [f"threshold {mask.threshold:g}", smoothing]
        if mask.erosion_size:
            words.append(f"eroded by {mask.erosion_size:g} {unit}")
        words.append(f"grown by {mask.dilation_size or 0:g} {unit}")
        if self.settings.resolution is not None:
            words.append(f"computed at {self.settings.resolution:g} m")
        return ", ".join(words)


def contestants(names: Sequence[str], settings: DetectorSettings) -> list[Contestant]:
    """Detectors by name; `NAME:PRESET` takes the mask settings of another preset.

    :raises ConfigurationError: an unknown detector or preset, or one name twice.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"detector {', '.join(twice)} is given twice: name each once.")
    return [_contestant(name, settings) for name in names]


def _contestant(name: str, settings: DetectorSettings) -> Contestant:
    key, colon, preset = name.partition(":")
    if key not in DETECTORS:
        raise ConfigurationError(f"there is no detector {key!r}: choose of {', '.join(DETECTORS)}.")
    if colon and DETECTORS[key].settles is _no_settings:
        raise ConfigurationError(f"detector {key!r} has no preset: name it without {colon + preset!r}.")
    # DetectorSettings refuses a preset that there is not.
    chosen = replace(settings, preset=preset) if colon else settings  # type: ignore[arg-type]
    return Contestant(name, DETECTORS[key], chosen)


def shown(chosen: Sequence[Contestant]) -> list[Contestant]:
    """Those for pictures: all but the baselines, or these where there is nothing else."""
    return [each for each in chosen if not each.detector.baseline] or list(chosen)
