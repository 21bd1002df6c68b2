"""Whether shaded ground fits the clouds of a frame better than chance: against directions that cannot be."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

_LOCAL = 1000.0
"""Metres (standard deviation) of the neighbourhood that a pixel is compared with: ground is of one kind over fields and
forests, so that its own dark parts fit any cloud thrown anywhere; what is left are outlines."""

_CELLS = 4_000_000
"""Cells of the grid that is looked at, at most: a full tile has 60 m."""

_STEP = 10
"""Degrees between the directions that cannot be: all that have a part towards the sun."""

_LEAST_CELLS = 0.05
_CELL = 300.0
"""Metres over which ground is alike, as in the search."""


@dataclass(frozen=True)
class Significance:
    """How well clouds fit shaded ground, thrown away from the sun and towards it; any unit, 0 is not at all."""

    true: float
    """The best of all heights, away from the sun."""

    chance: float
    """The best of as many heights in every direction that cannot be."""

    height: float | None = None
    """Metres above ground at which the clouds fit best, away from the sun; None where they fit nowhere."""

    @property
    def ratio(self) -> float:
        """Above 1 where the true direction fits better than all others; 0 where nothing fits."""
        if self.true <= 0:
            return 0.0
        return self.true / self.chance if self.chance > 0 else math.inf


def significance(
    cloud: Mask,
    valid: Mask,
    sunlight: Floats,
    ground: Mask,
    shift: NDArray[np.float64],
    *,
    lowest: float,
    highest: float,
    pixel_size: tuple[float, float],
) -> Significance:
    """Fit of the clouds of a frame to its shaded ground, over all heights, against what chance would give.

    Among hundreds of heights a speck of false cloud always finds some dark ground. The same search sunward, where no
    shadow can lie, has as many heights and the same ground and clouds: what it finds is chance, so that many heights
    are no advantage. All moves of the mask are computed at once (cross-correlation by FFT) on sunlight less its local
    mean; the fit is the variance between covered and other ground (Otsu 1979), as in the search for the height.

    :param cloud: (h, w).
    :param valid: (h, w) data.
    :param sunlight: (h, w), see ``Light``.
    :param ground: (h, w) the witnesses.
    :param shift: (2,) rows and columns from cloud to shadow per metre of height, not both 0.
    :param lowest: Metres above ground.
    :param highest: Metres above ground.
    :param pixel_size: Metres (y, x).
    """
    step = math.ceil(math.sqrt(cloud.size / _CELLS))
    size = (pixel_size[0] * step, pixel_size[1] * step)
    residual = _reduced(_residual(sunlight, ground, pixel_size), step)
    clouds, data, witnesses = (_reduced(mask.astype(np.float32), step) for mask in (cloud, valid, ground))
    per_metre = (shift[0] * pixel_size[0], shift[1] * pixel_size[1])  # metres on the ground per metre of height
    speed = math.hypot(*per_metre)
    reach = min(highest * speed, math.hypot(clouds.shape[0] * size[0], clouds.shape[1] * size[1]))
    ways = np.arange(lowest * speed, reach, min(size))
    if not len(ways):
        return Significance(0.0, 0.0)
    fits = _Fits(clouds, data, residual, witnesses, ways[-1], size, pixels=step**2)
    turned = np.radians(np.arange(90, 271, _STEP))
    unit = np.array(per_metre) / speed
    others = [
        np.array([unit[0] * np.cos(angle) - unit[1] * np.sin(angle), unit[0] * np.sin(angle) + unit[1] * np.cos(angle)])
        for angle in turned
    ]
    true, way = fits.best(unit, ways)
    chance = max(fits.best(other, ways)[0] for other in others)
    return Significance(true, chance, way / speed if true > 0 else None)


def local_mean(values: Floats, where: Mask, pixel_size: tuple[float, float], metres: float) -> tuple[Floats, Floats]:
    """Gaussian mean of the pixels that count, and the share of the neighbourhood that they are; (h, w) each."""
    sigma = [metres / size for size in pixel_size]
    weight = ndimage.gaussian_filter(where.astype(np.float32), sigma, truncate=3.0)
    total = ndimage.gaussian_filter(np.where(where, values, np.float32(0)), sigma, truncate=3.0)
    return total / np.maximum(weight, np.float32(1e-6)), weight


def _residual(sunlight: Floats, ground: Mask, pixel_size: tuple[float, float]) -> Floats:
    mean, _ = local_mean(sunlight, ground, pixel_size, _LOCAL)
    residual = np.where(ground, sunlight - mean, np.float32(0))
    return residual - np.where(ground, residual[ground].mean(), np.float32(0))


def _reduced(values: Floats, step: int) -> Floats:
    """Sums over cells of step by step pixels."""
    if step == 1:
        return values
    rows, columns = (-size % step for size in values.shape)
    padded = np.pad(values, ((0, rows), (0, columns)))
    return np.asarray(padded.reshape(padded.shape[0] // step, step, -1, step).sum(axis=(1, 3)), dtype=np.float32)


class _Fits:
    """The fit of every move of the clouds."""

    def __init__(
        self,
        clouds: Floats,
        data: Floats,
        residual: Floats,
        witnesses: Floats,
        reach: float,
        size: tuple[float, float],
        pixels: int,
    ) -> None:
        self._shape, self._size = clouds.shape, size
        # nothing wraps around: a move is at most as long as the reach, or as the image
        room = [min(side, math.ceil(reach / cell) + 1) for side, cell in zip(clouds.shape, size, strict=True)]
        padded = [fft.next_fast_len(side + more, real=True) for side, more in zip(clouds.shape, room, strict=True)]
        moved_clouds, moved_data, ground, light = (
            fft.rfft2(each, padded) for each in (clouds, data, witnesses, residual)
        )
        np.conjugate(moved_clouds, out=moved_clouds)
        np.conjugate(moved_data, out=moved_data)

        def under(moved: NDArray[np.complex64], fixed: NDArray[np.complex64]) -> Floats:
            return np.asarray(fft.irfft2(fixed * moved, padded), dtype=np.float32) / np.float32(pixels)

        covered = np.maximum(under(moved_clouds, ground), 0)
        dark = under(moved_clouds, light)
        # ground that a cloud outside of the image could shade is neither covered nor other
        other = np.maximum(under(moved_data, ground) - covered, 0)
        bright = under(moved_data, light) - dark
        difference = bright / np.maximum(other, 1) - dark / np.maximum(covered, 1)
        least = _LEAST_CELLS * _CELL**2 * pixels / (size[0] * size[1])
        enough = (np.minimum(covered, other) > least) & (difference > 0)
        self._fits = np.where(enough, covered * other / np.maximum(covered + other, 1) * np.square(difference), 0)

    def best(self, direction: NDArray[np.float64], ways: NDArray[np.float64]) -> tuple[float, float]:
        """The best fit of the moves in a direction (rows, columns of a unit vector, in metres) by so many metres, and
        by how many; 0 and 0 where none fits.
        """
        moves = self._moves(direction, ways)
        inside = (np.abs(moves) < np.array(self._shape)).all(axis=1)
        if not inside.any():
            return 0.0, 0.0
        rows, columns = moves[inside].T
        fits = self._fits[rows, columns]
        best = int(fits.argmax())
        if not fits[best] > 0:
            return 0.0, 0.0
        # the middle of the ways that are this move
        about = ways[inside][best] + np.linspace(-1, 1, 41) * min(self._size)
        same = (self._moves(direction, about) == moves[inside][best]).all(axis=1)
        return float(fits[best]), float(about[same].mean())

    def _moves(self, direction: NDArray[np.float64], ways: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.asarray(np.rint(ways[:, None] * direction / np.array(self._size)), dtype=np.int64)
