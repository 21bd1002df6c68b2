"""The grid on which the multi-temporal method works: that of the pixels, or a coarser one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from eotasks.errors import GridError

WINDOW_METRES = 100.0
"""Standard deviation, on the ground, of the Gaussian that local statistics are taken with."""

_ROUNDING = 1e-9
"""A size such as 49.9999999999, of a bounding box that is not exact, counts as the whole number it is meant to be."""


@dataclass(frozen=True)
class ProcessingGrid:
    """A grid of cells over the pixels of a frame, both with the same extent."""

    shape: tuple[int, int]
    """Pixels (h, w) of a frame."""

    pixel_size: tuple[float, float]
    """Metres (y, x) of a pixel."""

    cell_size: tuple[float, float]
    """Metres (y, x) of a cell as asked for; the cells are a little larger where they do not divide the extent."""

    @classmethod
    def of(
        cls,
        shape: tuple[int, int],
        pixel_size: tuple[float, float],
        resolution: tuple[float, float] | None,
        *,
        where: str = "the bands",
    ) -> ProcessingGrid:
        """The grid of a resolution.

        :param shape: Pixels (h, w) of a frame.
        :param pixel_size: Metres (y, x) of a pixel.
        :param resolution: Metres (y, x) of a cell; None works on the pixels themselves.
        :raises GridError: pixels without a size, or cells finer than the pixels.
        """
        if not all(math.isfinite(size) and size > 0 for size in pixel_size):
            raise GridError(f"{where}: pixels of {pixel_size[0]:g} x {pixel_size[1]:g} m: give metres above 0.")
        grid = cls(shape, pixel_size, pixel_size if resolution is None else resolution)
        if any(_cells(size, factor) > size for size, factor in zip(shape, grid.factors, strict=True)):
            raise GridError(
                f"{where}: a processing resolution of {' x '.join(f'{size:g}' for size in grid.cell_size)} m is finer"
                f" than the pixels of {' x '.join(f'{size:g}' for size in pixel_size)} m (y, x). Give a coarser one, or"
                " None for the resolution of the bands."
            )
        return grid

    @cached_property
    def factors(self) -> tuple[float, float]:
        """Cells a pixel (y, x), about 1 at most."""
        return self.pixel_size[0] / self.cell_size[0], self.pixel_size[1] / self.cell_size[1]

    @cached_property
    def cells(self) -> tuple[int, int]:
        """Cells (H, W): rounded down, as the original does, but one at least where there are pixels."""
        (height, width), (by_y, by_x) = self.shape, self.factors
        return max(_cells(height, by_y), min(height, 1)), max(_cells(width, by_x), min(width, 1))

    @property
    def is_native(self) -> bool:
        """Whether the cells are the pixels."""
        return self.cells == self.shape and min(self.factors) >= 1

    @cached_property
    def sigma(self) -> float:
        """Standard deviation in cells of the Gaussian of local statistics."""
        return 2 * WINDOW_METRES / (self.cell_size[0] + self.cell_size[1])

    def shrink(self, planes: NDArray[np.generic]) -> NDArray[Any]:
        """Bring planes to the cells: a Gaussian of the cells' width, then bilinear between half-pixel centres.

        :param planes: Array (planes, h, w), float32, or uint8 whose means are rounded.
        :return: (planes, H, W) of the same dtype.
        """
        sigma_y, sigma_x = (max(1e-8, (1 / factor - 1) / 2) for factor in self.factors)
        smooth = min(self.factors) < 1
        small = np.empty((len(planes), *self.cells), dtype=planes.dtype)
        for plane, out in zip(planes, small, strict=True):
            image = plane
            if smooth:
                image = cv2.GaussianBlur(image, (0, 0), sigma_x, sigmaY=sigma_y, borderType=cv2.BORDER_REFLECT)
            out[...] = cv2.resize(image, self.cells[::-1], interpolation=cv2.INTER_LINEAR)
        return small

    def enlarge(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bring values of the cells (H, W) back to the pixels (h, w), bilinear between half-pixel centres."""
        if self.is_native:
            return values
        return np.asarray(cv2.resize(values, self.shape[::-1], interpolation=cv2.INTER_LINEAR), dtype=np.float64)


def _cells(size: int, factor: float) -> int:
    return int(size * factor + _ROUNDING)


def mirrored(positions: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Positions outside 0..size-1 mirrored back into it, the pixel at the border repeated."""
    folded = np.mod(positions, 2 * size)
    return np.where(folded < size, folded, 2 * size - 1 - folded)


def gaussian_taps(sigma: float) -> NDArray[np.float64]:
    """Weights of a Gaussian of standard deviation ``sigma`` cells: those that OpenCV takes for float64."""
    size = round(8 * sigma + 1) | 1
    return np.asarray(cv2.getGaussianKernel(size, sigma, cv2.CV_64F)[:, 0], dtype=np.float64)
