"""Where each scene's errors lie: one small map a scene, of the frame with most wrong pixels."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eotasks.clouds.detectors.eopatch import BANDS, IS_DATA
from eotasks.clouds.detectors.protocol import Detection
from eotasks.errors import ReflectanceError
from eotasks.models.clouds.evaluation import CloudConfusion, Target, error_map
from eotasks.models.scales import as_reflectance
from eotasks.workflows.evaluate_clouds.scenes import LabelledScene

MOST_SCENES = 40
"""Scenes that get a map, those with most errors: each takes some hundred kilobytes of memory and of the report."""

LONGEST_SIDE = 320
"""Pixels of a map: larger scenes are thinned out for it."""

Thin = tuple[slice, slice]

_TRUE_COLOR = ("B04", "B03", "B02")


@dataclass(frozen=True, eq=False)
class SceneErrors:
    """The errors of a scene's worst frame, thinned out."""

    frame: str
    errors: float
    """Share of the labelled pixels that the worst detector got wrong."""

    color: NDArray[np.float32] | None
    """(h, w, 3) reflectance of red, green and blue; None where the scene lacks one of them."""

    is_data: NDArray[np.bool_]
    maps: Mapping[str, NDArray[np.uint8]]
    """Detector -> error map; those that failed on the scene are not in it."""

    confusions: Mapping[str, CloudConfusion]


class WorstScenes:
    """Keeps the errors of the scenes with most of them.

    :param targets: Detector -> what it is judged by.
    :param count: Scenes to keep.
    """

    def __init__(self, targets: Mapping[str, Sequence[Target]], count: int = MOST_SCENES) -> None:
        self._targets, self._count = targets, count
        self._heap: list[tuple[float, int, SceneErrors]] = []
        self._offered = 0

    def offer(
        self,
        scene: LabelledScene,
        detections: Mapping[str, Detection],
        counted: Sequence[Mapping[str, CloudConfusion]],
    ) -> None:
        """A scene, by its frame with most wrong pixels: of a sliver at the edge of a swath a share says little.

        :param counted: Of each frame, the counts of the detectors that could be judged by it.
        """
        self._offered += 1
        judged = [{name: each for name, each in frame.items() if name in self._targets} for frame in counted]
        shares = [max((self._share(name, each) for name, each in frame.items()), default=0.0) for frame in judged]
        wrong = [
            share * max(each.total for each in frame.values()) if frame else -1.0
            for share, frame in zip(shares, judged, strict=True)
        ]
        index = wrong.index(max(wrong))
        shown, rank = judged[index], (shares[index], -self._offered)
        if not shown or not self._count or (len(self._heap) == self._count and rank <= self._heap[0][:2]):
            return
        thin = thinned(scene.reference.shape[1:], LONGEST_SIDE)
        is_data = scene.eopatch[IS_DATA][index, ..., 0][thin].astype(bool)
        errors = SceneErrors(
            scene.frame_names[index],
            rank[0],
            color_of(scene, index, thin, is_data),
            is_data,
            {
                name: error_map(
                    scene.reference[index][thin],
                    detections[name].mask[index][thin],
                    shadows=finds_shadows(self._targets[name]),
                )
                for name in shown
            },
            shown,
        )
        push = heapq.heappush if len(self._heap) < self._count else heapq.heapreplace
        push(self._heap, (*rank, errors))

    def _share(self, name: str, counts: CloudConfusion) -> float:
        return error_share(self._targets[name], counts)

    def sorted(self) -> list[SceneErrors]:
        """The worst first."""
        return [errors for *_, errors in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]


def finds_shadows(targets: Sequence[Target]) -> bool:
    """Whether a detector is judged by shadows too."""
    return "shadow" in targets


def error_share(targets: Sequence[Target], counts: CloudConfusion) -> float:
    """Share of wrong pixels, among the classes that the detector finds."""
    return 1 - (counts.overall_accuracy if finds_shadows(targets) else counts.against_rest("cloud").overall_accuracy)


def thinned(shape: Sequence[int], longest: int) -> Thin:
    """Every so many rows and columns of an image, so that none is longer."""
    step = -(-max(shape) // longest)
    return slice(None, None, step), slice(None, None, step)


def color_of(scene: LabelledScene, index: int, thin: Thin, is_data: NDArray[np.bool_]) -> NDArray[np.float32] | None:
    """(h, w, 3) reflectance of red, green and blue of a frame, None where the scene lacks one of them."""
    if not set(_TRUE_COLOR) <= set(scene.bands):
        return None
    chosen = scene.eopatch[BANDS][index][thin][..., [scene.bands.index(name) for name in _TRUE_COLOR]]
    try:
        return as_reflectance(chosen, is_data[..., np.newaxis], where=scene.frame_names[index]).copy()
    except ReflectanceError:  # bands that no detector used: the masks can still be shown
        return None
