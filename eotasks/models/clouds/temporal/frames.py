"""The frames of a series as the multi-temporal method reads them: ten reflectance planes on the processing grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import GridError
from eotasks.models.clouds.pixel import cloud_band_indices
from eotasks.models.clouds.temporal.grid import ProcessingGrid
from eotasks.models.clouds.validity import is_fill
from eotasks.models.scales import DIVISORS, ReflectanceScale, as_reflectance, check_mask, reflectance_scale
from eotasks.models.sentinel2 import MAX_REFLECTANCE, MIN_REFLECTANCE

Planes = tuple[NDArray[np.float32], NDArray[np.bool_]]


KEPT_BYTES = 32 << 20
"""Frames brought to a coarser grid are kept up to this size: each is asked for by both models."""

_CELL_BYTES = 10 * 4 + 1


class Frames:
    """A series of frames; nothing is converted or resized before it is asked for, so memory does not grow with it."""

    def __init__(
        self,
        bands: NDArray[np.generic],
        valid: NDArray[np.bool_] | None,
        grid: ProcessingGrid,
        *,
        names: Sequence[str] | None = None,
        scale: ReflectanceScale | None = None,
        where: Sequence[str],
    ):
        """Frames whose valid pixels are checked, all of them, before any work.

        :param bands: Array (t, h, w, bands): float reflectance, or integer DN.
        :param valid: Boolean array (t, h, w), or None when every pixel is valid.
        :param grid: The grid on which they are given.
        :param names: Names of the bands, or None to tell by count (10 or 13).
        :param scale: What the numbers are (``eotasks.models.scales``), None for what the dtype says.
        :param where: What each frame is, for messages.
        :raises BandError: when the ten bands are not all there.
        :raises ReflectanceError: values that are no reflectance inside valid data.
        :raises GridError: when ``valid`` has another shape.
        """
        if valid is not None and valid.shape != bands.shape[:3]:
            raise GridError(
                f"the valid mask has shape {valid.shape}, the bands {bands.shape[:3]}. Give both on one grid."
            )
        self.bands = bands
        self.valid = None if valid is None else check_mask(valid, name="the valid mask")
        self.grid = grid
        self._divisor = DIVISORS[reflectance_scale(bands.dtype, scale)]
        self._indices = cloud_band_indices(bands.shape[-1], names, where=where[0] if where else "the bands")
        for index, name in enumerate(where):
            inside = None if self.valid is None else self.valid[index]
            for band in self._indices:  # a band at a time: no copy of the frame
                as_reflectance(bands[index, ..., band], inside, scale=scale, where=name)
        self._kept: dict[int, Planes] = {}
        self._most_kept = max(KEPT_BYTES // max(grid.cells[0] * grid.cells[1] * _CELL_BYTES, 1), 1)

    def __len__(self) -> int:
        return len(self.bands)

    def planes(self, index: int, rows: slice = slice(None), columns: slice = slice(None)) -> Planes:
        """A part of a frame on the processing grid, to be read only.

        :param rows: Rows of cells, and ``columns``.
        :return: float32 (10, H, W) reflectance, boolean (H, W). Where there is no data the values are those given, as
            in the original; what is no reflectance there (NaN, -9999) counts as 0.
        """
        if self.grid.is_native:
            return self._pixels(index, rows, columns)
        if index not in self._kept:
            if len(self._kept) == self._most_kept:
                del self._kept[next(iter(self._kept))]  # the one that came first
            self._kept[index] = self._shrunk(index)
        cells, valid = self._kept[index]
        return np.ascontiguousarray(cells[:, rows, columns]), np.ascontiguousarray(valid[rows, columns])

    def _shrunk(self, index: int) -> Planes:
        planes, valid = self._pixels(index, slice(None), slice(None))
        share = self.grid.shrink(valid.astype(np.uint8)[np.newaxis])[0]
        return self.grid.shrink(planes), share != 0

    def _pixels(self, index: int, rows: slice, columns: slice) -> Planes:
        part = self.bands[index, rows, columns]
        planes = np.empty((len(self._indices), *part.shape[:2]), dtype=np.float32)
        for plane, band in zip(planes, self._indices, strict=True):
            plane[...] = part[..., band]
        if self._divisor != 1:
            planes /= np.float32(self._divisor)
        planes[~((planes >= MIN_REFLECTANCE) & (planes <= MAX_REFLECTANCE))] = 0
        planes[:, is_fill(part)] = 0  # where an offset was subtracted from no data
        if self.valid is None:
            return planes, np.ones(part.shape[:2], dtype=bool)
        return planes, np.ascontiguousarray(self.valid[index, rows, columns])
