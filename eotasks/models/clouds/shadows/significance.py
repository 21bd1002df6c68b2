"""Whether shaded ground fits the clouds of a frame better than chance: against directions that cannot be."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

WIDE, NARROW = 1000.0, 300.0
"""Metres (standard deviation) of the neighbourhood that a pixel is compared with: ground is of one kind over fields and
forests, so that its own dark parts fit any cloud thrown anywhere; what is left are outlines. The narrow one leaves less
of hills and of false cloud over bright ground, and of wide soft shadows too."""

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
    narrow: float = math.inf,
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
    :param narrow: Ratio that the narrow neighbourhood must give, against chance of its own, to count instead of the
        wide one, where that gives less. Infinity: it is not tried.
    """
    step = math.ceil(math.sqrt(cloud.size / _CELLS))
    size = (pixel_size[0] * step, pixel_size[1] * step)
    clouds, data, witnesses = (_reduced(mask.astype(np.float32), step) for mask in (cloud, valid, ground))
    per_metre = (shift[0] * pixel_size[0], shift[1] * pixel_size[1])  # metres on the ground per metre of height
    speed = math.hypot(*per_metre)
    reach = min(highest * speed, math.hypot(clouds.shape[0] * size[0], clouds.shape[1] * size[1]))
    ways = np.arange(lowest * speed, reach, min(size))
    if not len(ways):
        return Significance(0.0, 0.0)
    moves = _Moves(clouds, data, witnesses, ways[-1], size, pixels=step**2)
    turned = np.radians(np.arange(90, 271, _STEP))
    unit = np.array(per_metre) / speed
    sunward = [
        np.array([unit[0] * np.cos(angle) - unit[1] * np.sin(angle), unit[0] * np.sin(angle) + unit[1] * np.cos(angle)])
        for angle in turned
    ]

    def against_chance(metres: float) -> Significance:
        fits = moves.fits(_reduced(_residual(sunlight, ground, pixel_size, metres), step))
        true, way = fits.best(unit, ways)
        chance = max(fits.best(other, ways)[0] for other in sunward)
        return Significance(true, chance, way / speed if true > 0 else None)

    wide = against_chance(WIDE)
    if math.isinf(narrow) or wide.ratio >= narrow:
        return wide
    other = against_chance(NARROW)
    return other if other.ratio >= narrow else wide


def local_mean(values: Floats, where: Mask, pixel_size: tuple[float, float], metres: float) -> tuple[Floats, Floats]:
    """Gaussian mean of the pixels that count, and the share of the neighbourhood that they are; (h, w) each."""
    sigma = [metres / size for size in pixel_size]
    weight = ndimage.gaussian_filter(where.astype(np.float32), sigma, truncate=3.0)
    total = ndimage.gaussian_filter(np.where(where, values, np.float32(0)), sigma, truncate=3.0)
    return total / np.maximum(weight, np.float32(1e-6)), weight


def _residual(sunlight: Floats, ground: Mask, pixel_size: tuple[float, float], metres: float) -> Floats:
    mean, _ = local_mean(sunlight, ground, pixel_size, metres)
    residual = np.where(ground, sunlight - mean, np.float32(0))
    return residual - np.where(ground, residual[ground].mean(), np.float32(0))


def _reduced(values: Floats, step: int) -> Floats:
    """Sums over cells of step by step pixels."""
    if step == 1:
        return values
    rows, columns = (-size % step for size in values.shape)
    padded = np.pad(values, ((0, rows), (0, columns)))
    return np.asarray(padded.reshape(padded.shape[0] // step, step, -1, step).sum(axis=(1, 3)), dtype=np.float32)


class _Moves:
    """What every move of the clouds covers."""

    def __init__(
        self,
        clouds: Floats,
        data: Floats,
        witnesses: Floats,
        reach: float,
        size: tuple[float, float],
        pixels: int,
    ) -> None:
        self._shape, self._size, self._pixels = clouds.shape, size, pixels
        # nothing wraps around: a move is at most as long as the reach, or as the image
        room = [min(side, math.ceil(reach / cell) + 1) for side, cell in zip(clouds.shape, size, strict=True)]
        self._padded = [
            fft.next_fast_len(side + more, real=True) for side, more in zip(clouds.shape, room, strict=True)
        ]
        self._clouds, self._data, ground = (fft.rfft2(each, self._padded) for each in (clouds, data, witnesses))
        np.conjugate(self._clouds, out=self._clouds)
        np.conjugate(self._data, out=self._data)
        self._covered = np.maximum(self._under(self._clouds, ground), 0)
        # ground that a cloud outside of the image could shade is neither covered nor other
        self._other = np.maximum(self._under(self._data, ground) - self._covered, 0)

    def _under(self, moved: NDArray[np.complex64], fixed: NDArray[np.complex64]) -> Floats:
        return np.asarray(fft.irfft2(fixed * moved, self._padded), dtype=np.float32) / np.float32(self._pixels)

    def fits(self, residual: Floats) -> _Fits:
        """How well each fits sunlight less its local mean."""
        light, covered, other = fft.rfft2(residual, self._padded), self._covered, self._other
        dark = self._under(self._clouds, light)
        bright = self._under(self._data, light) - dark
        difference = bright / np.maximum(other, 1) - dark / np.maximum(covered, 1)
        least = _LEAST_CELLS * _CELL**2 * self._pixels / (self._size[0] * self._size[1])
        enough = (np.minimum(covered, other) > least) & (difference > 0)
        fits = np.where(enough, covered * other / np.maximum(covered + other, 1) * np.square(difference), 0)
        return _Fits(fits, self._shape, self._size)


@dataclass(frozen=True)
class _Fits:
    """The fit of every move of the clouds."""

    fits: Floats
    """By rows and columns of the move, wrapped around."""

    shape: tuple[int, ...]
    size: tuple[float, float]
    """Metres (y, x) of a cell."""

    def best(self, direction: NDArray[np.float64], ways: NDArray[np.float64]) -> tuple[float, float]:
        """The best fit of the moves in a direction (rows, columns of a unit vector, in metres) by so many metres, and
        by how many; 0 and 0 where none fits.
        """
        moves = self._moves(direction, ways)
        inside = (np.abs(moves) < np.array(self.shape)).all(axis=1)
        if not inside.any():
            return 0.0, 0.0
        rows, columns = moves[inside].T
        fits = self.fits[rows, columns]
        best = int(fits.argmax())
        if not fits[best] > 0:
            return 0.0, 0.0
        # the middle of the ways that are this move
        about = ways[inside][best] + np.linspace(-1, 1, 41) * min(self.size)
        same = (self._moves(direction, about) == moves[inside][best]).all(axis=1)
        return float(fits[best]), float(about[same].mean())

    def _moves(self, direction: NDArray[np.float64], ways: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.asarray(np.rint(ways[:, None] * direction / np.array(self.size)), dtype=np.int64)
