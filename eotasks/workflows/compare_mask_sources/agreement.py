"""How far masks of two ways agree, pixel by pixel, and in what users decide by: the cloudy fraction of a patch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.format import read_array, write_array
from numpy.typing import NDArray

from eotasks.models.clouds.postprocess import MAX_CLP, NO_DATA

if TYPE_CHECKING:
    from eolearn.core import EOPatch

ENDING = ".npy"
"""Of files of masks, one for each patch."""


def save_masks(patch: EOPatch, path: Path) -> None:
    """CLM and CLP of a patch, (t, h, w) uint8 each: 0 clear, 1 cloud, 255 no data; 0..255."""
    from eolearn.core import FeatureType

    is_data = patch[FeatureType.MASK, "IS_DATA"][..., 0].astype(bool)
    mask = np.where(is_data, patch[FeatureType.MASK, "CLM"][..., 0], NO_DATA).astype(np.uint8)
    probability = np.where(is_data, patch[FeatureType.DATA, "CLP"][..., 0], 0)
    write_masks(path, mask, np.rint(probability * MAX_CLP).astype(np.uint8))


def write_masks(path: Path, mask: NDArray[np.uint8], probability: NDArray[np.uint8]) -> None:
    """CLM and CLP, (t, h, w) each, as one file."""
    with path.open("wb") as file:
        write_array(file, np.stack([mask, probability]), allow_pickle=False)


def read_masks(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """CLM and CLP of `write_masks`."""
    with path.open("rb") as file:
        mask, probability = read_array(file, allow_pickle=False)
    return mask, probability


@dataclass(frozen=True)
class Agreement:
    """Masks of two ways in the same pixels: those that have data in both."""

    pixels: int = 0
    both_cloud: int = 0
    only_first: int = 0
    """Cloud by the first, clear by the second."""

    only_second: int = 0
    both_clear: int = 0
    probability_difference: float = 0.0
    """Sum of the absolute differences of probabilities, 0..1."""

    frames: int = 0
    """Patches and dates with such pixels."""

    cover_difference: float = 0.0
    """Sum of the absolute differences of the cloudy fraction of these."""

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    @property
    def same(self) -> float:
        """Share of the pixels whose masks are the same; NaN without any."""
        return (self.both_cloud + self.both_clear) / self.pixels if self.pixels else float("nan")

    @property
    def covers(self) -> tuple[float, float]:
        """Share of the pixels that are cloud by the first, and by the second."""
        if not self.pixels:
            return float("nan"), float("nan")
        return (self.both_cloud + self.only_first) / self.pixels, (self.both_cloud + self.only_second) / self.pixels

    @property
    def mean_probability_difference(self) -> float:
        """Mean absolute difference of the probability of a pixel, 0..1."""
        return self.probability_difference / self.pixels if self.pixels else float("nan")

    @property
    def mean_cover_difference(self) -> float:
        """Mean absolute difference of the cloudy fraction of a patch at a date, 0..1."""
        return self.cover_difference / self.frames if self.frames else float("nan")


def agreement_of(
    first: tuple[NDArray[np.uint8], NDArray[np.uint8]], second: tuple[NDArray[np.uint8], NDArray[np.uint8]]
) -> Agreement:
    """The masks of one patch.

    :param first: CLM and CLP, (t, h, w) uint8 each.
    :param second: The same by the other way.
    """
    seen = (first[0] != NO_DATA) & (second[0] != NO_DATA)
    one, other = first[0] == 1, second[0] == 1
    difference = np.abs(first[1].astype(np.float64) - second[1]) / MAX_CLP
    counts = np.count_nonzero(seen, axis=(1, 2))
    there = counts > 0
    covers = [np.count_nonzero(mask & seen, axis=(1, 2))[there] / counts[there] for mask in (one, other)]
    return Agreement(
        pixels=int(counts.sum()),
        both_cloud=int(np.count_nonzero(seen & one & other)),
        only_first=int(np.count_nonzero(seen & one & ~other)),
        only_second=int(np.count_nonzero(seen & ~one & other)),
        both_clear=int(np.count_nonzero(seen & ~one & ~other)),
        probability_difference=float(difference[seen].sum()),
        frames=int(np.count_nonzero(there)),
        cover_difference=float(np.abs(covers[0] - covers[1]).sum()),
    )


def agreement_of_folders(first: Path, second: Path) -> Agreement:
    """All patches whose masks both folders have, one at a time."""
    total = Agreement()
    for path in sorted(first.glob(f"*{ENDING}")):
        total += agreement_of(read_masks(path), read_masks(second / path.name))
    return total
