"""One frame of products on one grid: their mosaic, and what else is wanted of the products that it is taken from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ImageryError
from eotasks.imagery.grid import Grid
from eotasks.imagery.mosaic import Mosaic, MosaicOrder, read_mosaic
from eotasks.imagery.pixels.resampling import ResamplingName
from eotasks.imagery.scene import Scene
from eotasks.sources.frames import OPENERS, Angles, Candidate, angles_of, classification_of, mask_of
from eotasks.sources.replacement import Replaced, still_needed

MaskKind = Literal["CLP", "CLM", "SHADOW"]


@dataclass(frozen=True)
class WantedOfFrame:
    """What is read of a frame, and how."""

    bands: tuple[str, ...]
    order: MosaicOrder = "mostRecent"
    resampling: ResamplingName = "mean"
    masks: tuple[MaskKind, ...] = ()
    """Files that every product has to have."""

    masks_are_catalogued: bool = True
    """Whether a catalogue names these files, for what a message advises."""

    sun_angles: bool = False
    view_angles: bool = False
    classification: bool = False
    """SCL of L2A."""

    threads: int | None = None

    def lacking(self, candidate: Candidate) -> list[str]:
        """Masks that a product has not."""
        return [kind for kind in self.masks if kind not in candidate.masks]


@dataclass(frozen=True)
class SceneFrame:
    """A frame as it was read; arrays are (h, w), and None where they were not wanted."""

    time: dt.datetime
    bands: NDArray[np.uint16]
    """(h, w, bands): reflectance * 10000, offsets removed, 0 without data."""

    is_data: NDArray[np.bool_]
    sun: Angles | None
    view: Angles | None
    clp: NDArray[np.uint8] | None
    clm: NDArray[np.uint8] | None
    shadow: NDArray[np.uint8] | None
    scl: NDArray[np.uint8] | None


def read_frame(
    group: Sequence[Candidate],
    grid: Grid,
    wanted: WantedOfFrame,
    *,
    replaced: Sequence[Replaced] = (),
    left_out: list[Replaced] | None = None,
    lost: list[Replaced] | None = None,
) -> SceneFrame | None:
    """A frame; None when there is no data in it.

    :param group: Products of the frame.
    :param replaced: Products that others stand for, of all frames.
    :param left_out: Is told those of this frame that were not needed.
    :param lost: Is told those that were needed, and have no masks.
    :raises ImageryError: when a product is damaged, or lacks what is wanted.
    """
    scenes, (dn, is_data, which) = _mosaic(group, grid, wanted)
    own = [each for each in replaced if any(each.by.location is other.location for other in group)]
    needed = still_needed(own, is_data, grid)
    useful = [each for each in needed if not wanted.lacking(each.product)]
    if useful:
        group = [*group, *(each.product for each in useful)]
        scenes, (dn, is_data, which) = _mosaic(group, grid, wanted)
    if left_out is not None:
        left_out += [each for each in own if each not in needed]
    if lost is not None:
        lost += [each for each in needed if each not in useful]
    if not is_data.any():
        return None
    angles = partial(angles_of, scenes, which, grid)
    masks = {kind: mask_of(kind, group, which, grid) for kind in wanted.masks}
    return SceneFrame(
        time=min(scene.acquisition.time for scene in scenes),
        bands=dn,
        is_data=is_data,
        sun=angles(Scene.sun_angles) if wanted.sun_angles else None,
        view=angles(Scene.view_angles) if wanted.view_angles else None,
        clp=masks.get("CLP"),
        clm=masks.get("CLM"),
        shadow=masks.get("SHADOW"),
        scl=classification_of(scenes, which, grid) if wanted.classification else None,
    )


def _mosaic(group: Sequence[Candidate], grid: Grid, wanted: WantedOfFrame) -> tuple[list[Scene], Mosaic]:
    for candidate in group:
        if missing := wanted.lacking(candidate):
            raise ImageryError(
                f"{candidate.name}: the catalogue has no {' and no '.join(missing)} of it. Make them with eotasks"
                " cloud-mask, then add the product again with --masks DIR."
                if wanted.masks_are_catalogued
                else f"{candidate.name}: there is no {' and no '.join(missing)} of it. Make them with eotasks"
                " cloud-mask."
            )
    scenes = _opened(group)
    return scenes, read_mosaic(
        scenes, wanted.bands, grid, order=wanted.order, resampling=wanted.resampling, threads=wanted.threads
    )


def _opened(group: Sequence[Candidate]) -> list[Scene]:
    if len(group) == 1:
        return [group[0].open()]
    with ThreadPoolExecutor(OPENERS) as pool:
        return list(pool.map(Candidate.open, group))
