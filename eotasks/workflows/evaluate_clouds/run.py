"""Every detector on every scene, one scene in memory at a time."""

from __future__ import annotations

import heapq
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.clouds.detectors.eopatch import IS_DATA
from eotasks.clouds.detectors.protocol import Detection
from eotasks.errors import ReferenceDataError, ShadowWarning, message_of
from eotasks.models.clouds.evaluation import (
    CloudConfusion,
    Target,
    ThresholdCurve,
    confusion,
    pair_counts,
    threshold_curve,
)
from eotasks.models.clouds.postprocess import NO_DATA
from eotasks.workflows.evaluate_clouds.contestants import Contestant, without_baselines
from eotasks.workflows.evaluate_clouds.scene_errors import (
    MOST_SCENES,
    SceneErrors,
    WorstScenes,
    color_of,
    error_share,
    thinned,
)
from eotasks.workflows.evaluate_clouds.scenes import LabelledScene, SceneCollection

LOGGER = logging.getLogger(__name__)

LONGEST_SIDE = 512
"""Pixels of a picture's image: larger scenes are thinned out for it."""


@dataclass(frozen=True, eq=False)
class FrameResult:
    """One detector on one frame."""

    detector: str
    scene: str
    frame: str
    confusion: CloudConfusion


@dataclass(frozen=True)
class Failure:
    """A scene that could not be read (no detector), or that a detector could not work on."""

    scene: str
    detector: str | None
    error: str


@dataclass(frozen=True)
class Runtime:
    """What a detector took for a scene."""

    detector: str
    scene: str
    pixels: int
    """Of all frames, with data or without."""

    seconds: float
    """Of the wall clock, with what it shares with other detectors and they may have computed."""


@dataclass(frozen=True)
class UntoldShadows:
    """Clouds of a scene whose shadows a detector could not tell: the frame is judged as one without shadow."""

    scene: str
    detector: str
    reason: str
    """"sun", "ground" or "height", see ``eotasks.errors.ShadowWarning``."""

    message: str
    """With the frame, and what can be done."""


@dataclass(frozen=True, eq=False)
class FrameView:
    """What a picture of a frame needs, thinned out to a size that a page can show."""

    frame: str
    errors: float
    """Share of the labelled pixels that the worst detector got wrong."""

    color: NDArray[np.float32] | None
    """(h, w, 3) reflectance of red, green and blue; None where the scene lacks one of them."""

    is_data: NDArray[np.bool_]
    reference: NDArray[np.uint8]
    masks: dict[str, NDArray[np.uint8]]
    """Detector -> mask; those that failed on the scene are not in it."""

    probabilities: dict[str, NDArray[np.float32]]
    confusions: dict[str, CloudConfusion]


@dataclass(eq=False)
class Outcome:
    """What an evaluation found."""

    collection: SceneCollection
    contestants: Sequence[Contestant]
    results: list[FrameResult] = field(default_factory=list)
    curves: dict[str, ThresholdCurve] = field(default_factory=dict)
    """Detector -> curve over all frames, of those that have a probability."""

    agreements: dict[frozenset[str], CloudConfusion] = field(default_factory=dict)
    """Two detectors -> pixels by the classes of both masks, of all scenes that both could work on."""

    runtimes: list[Runtime] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    untold: list[UntoldShadows] = field(default_factory=list)
    views: list[FrameView] = field(default_factory=list)
    """Frames with most errors, the worst first."""

    scene_errors: list[SceneErrors] = field(default_factory=list)
    """One of each scene, of its frame with most wrong pixels; the worst scene first."""

    def of(self, detector: str) -> list[CloudConfusion]:
        """The counts of a detector, frame by frame."""
        return [result.confusion for result in self.results if result.detector == detector]


def evaluate_scenes(
    collection: SceneCollection,
    contestants: Sequence[Contestant],
    *,
    pictures: int = 8,
    advance: Callable[[], None] = lambda: None,
) -> Outcome:
    """Run detectors over labelled scenes; one that fails is noted and the others go on.

    :param pictures: Frames to keep for pictures: those with most errors of any detector. 0 keeps no errors of scenes
        either.
    :param advance: Called after each scene.
    :raises ReferenceDataError: when nothing at all could be evaluated; the message has the first reason.
    """
    outcome = Outcome(collection, contestants)
    targets = {each.name: each.targets for each in without_baselines(contestants)}
    worst = _Worst(pictures, targets)
    scenes = WorstScenes(targets, MOST_SCENES if pictures else 0)
    _prepare(contestants)
    for source in collection.sources:
        try:
            scene = source.load()
            _evaluate(scene, outcome, worst, scenes)
        except Exception as error:  # noqa: BLE001 - whatever a scene does, the others go on
            _note(outcome, source.name, None, error)
        advance()
    if not outcome.results:
        first = outcome.failures[0]
        raise ReferenceDataError(f"none of the scenes could be evaluated; the first reason: {first.error}")
    outcome.views, outcome.scene_errors = worst.sorted(), scenes.sorted()
    return outcome


def _evaluate(scene: LabelledScene, outcome: Outcome, worst: _Worst, scenes: WorstScenes) -> None:
    found: dict[str, NDArray[np.generic]] = {}
    detections: dict[str, Detection] = {}
    counted: list[dict[str, CloudConfusion]] = [{} for _ in scene.frame_names]
    for contestant in outcome.contestants:
        name = contestant.name
        untold: list[ShadowWarning] = []
        try:
            with _shadow_warnings(untold):
                answer, seconds = _timed(contestant, scene)
        except Exception as error:  # noqa: BLE001 - whatever a detector does, too
            _note(outcome, scene.name, name, error)
            continue
        found[name] = answer.mask
        detections[name] = detection = scene.judgeable(answer)
        outcome.runtimes.append(Runtime(name, scene.name, detection.mask.size, seconds))
        outcome.untold += [UntoldShadows(scene.name, name, each.reason, str(each)) for each in untold]
        for index, frame in enumerate(scene.frame_names):
            counts = confusion(scene.reference[index], detection.mask[index], where=f"{name} on {frame}")
            if counts.total:
                counted[index][name] = counts
                outcome.results.append(FrameResult(name, scene.name, frame, counts))
        _add_curve(outcome, name, scene, detection)
    _add_agreements(outcome, found)
    for index, confusions in enumerate(counted):
        if confusions:
            worst.offer(scene, index, detections, confusions)
    scenes.offer(scene, detections, counted)


def _prepare(contestants: Sequence[Contestant]) -> None:
    """Load models before anything is timed. What cannot be loaded fails again, and is noted, when it is its turn."""
    for contestant in contestants:
        try:
            contestant.detector.prepare()
        except Exception as error:
            LOGGER.info("%s cannot be prepared", contestant.name, exc_info=error)


def _timed(contestant: Contestant, scene: LabelledScene) -> tuple[Detection, float]:
    """What a detector finds, and the seconds that it would have taken alone."""
    shared = scene.frames.shared
    started, spared = perf_counter(), shared.spared_seconds
    detection = contestant.detect(scene)
    return detection, perf_counter() - started + shared.spared_seconds - spared


def _add_agreements(outcome: Outcome, found: Mapping[str, NDArray[np.generic]]) -> None:
    """Of the masks as the detectors made them: shadows count whether the labels tell of them or not."""
    for first, second in combinations(found, 2):
        counts = pair_counts(found[first], found[second])
        pair = frozenset((first, second))
        outcome.agreements[pair] = outcome.agreements[pair] + counts if pair in outcome.agreements else counts


@contextmanager
def _shadow_warnings(kept: list[ShadowWarning]) -> Iterator[None]:
    """Keeps these warnings of its block, whatever the filters say: they belong to the result. All others pass."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", ShadowWarning)
        show = warnings.showwarning

        def keep(message: Warning | str, *where: Any, **options: Any) -> None:
            if isinstance(message, ShadowWarning):
                kept.append(message)
            else:
                show(message, *where, **options)

        warnings.showwarning = keep
        yield


def _add_curve(outcome: Outcome, name: str, scene: LabelledScene, detection: Detection) -> None:
    if detection.probability is None:
        return
    curve = threshold_curve(scene.reference, detection.probability, detection.mask != NO_DATA)
    outcome.curves[name] = outcome.curves[name] + curve if name in outcome.curves else curve


def _note(outcome: Outcome, scene: str, detector: str | None, error: Exception) -> None:
    message = message_of(error)
    LOGGER.warning("%s%s: %s", scene, f", {detector}" if detector else "", message)
    LOGGER.info("%s failed", scene, exc_info=error)
    outcome.failures.append(Failure(scene, detector, message))


class _Worst:
    """Keeps views of the frames with most errors, and no more of them than asked for."""

    def __init__(self, count: int, targets: Mapping[str, Sequence[Target]]) -> None:
        self._count, self._targets = count, targets
        self._heap: list[tuple[float, int, FrameView]] = []
        self._offered = 0

    def offer(
        self,
        scene: LabelledScene,
        index: int,
        detections: dict[str, Detection],
        confusions: dict[str, CloudConfusion],
    ) -> None:
        self._offered += 1
        shares = [error_share(self._targets[name], each) for name, each in confusions.items() if name in self._targets]
        if not shares:
            return
        errors = max(shares)
        rank = (errors, -self._offered)  # of equals the first; the view itself is never compared
        if not self._count or (len(self._heap) == self._count and rank <= self._heap[0][:2]):
            return
        view = _view(scene, index, errors, detections, confusions)
        push = heapq.heappush if len(self._heap) < self._count else heapq.heapreplace
        push(self._heap, (*rank, view))

    def sorted(self) -> list[FrameView]:
        return [view for *_, view in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]


def _view(
    scene: LabelledScene,
    index: int,
    errors: float,
    detections: dict[str, Detection],
    confusions: dict[str, CloudConfusion],
) -> FrameView:
    thin = thinned(scene.reference.shape[1:], LONGEST_SIDE)
    is_data = scene.eopatch[IS_DATA][index, ..., 0][thin].astype(bool)
    return FrameView(
        frame=scene.frame_names[index],
        errors=errors,
        color=color_of(scene, index, thin, is_data),
        is_data=is_data.copy(),
        reference=scene.reference[index][thin].copy(),
        masks={name: each.mask[index][thin].copy() for name, each in detections.items()},
        probabilities={
            name: each.probability[index][thin].copy()
            for name, each in detections.items()
            if each.probability is not None
        },
        confusions=confusions,
    )
