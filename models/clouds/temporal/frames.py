"""The frames of a series as the multi-temporal method reads them: ten reflectance planes on the processing grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.clouds.pixel import cloud_band_indices
from models.clouds.temporal.grid import ProcessingGrid
from models.errors import GridError
from models.sentinel2 import MAX_REFLECTANCE, MIN_REFLECTANCE, as_reflectance

Planes = tuple[NDArray[np.float32], NDArray[np.bool_]]


@dataclass(frozen=True)
class Frames:
    """A series of frames; nothing is converted or resized before it is asked for, so memory does not grow with it."""

    bands: NDArray[np.generic]
    """(t, h, w, bands): float reflectance, or integer DN."""

    valid: NDArray[np.bool_] | None
    """(t, h, w), or None when every pixel is valid."""

    indices: list[int]
    """Positions of the model's ten bands."""

    grid: ProcessingGrid
    """The grid on which they are given."""

    @classmethod
    def of(
        cls,
        bands: NDArray[np.generic],
        valid: NDArray[np.bool_] | None,
        grid: ProcessingGrid,
        *,
        names: Sequence[str] | None,
        where: Sequence[str],
    ) -> Frames:
        """Frames whose valid pixels have been checked, all of them, before any work.

        :param names: Names of the bands, or None to tell by count (10 or 13).
        :param where: What each frame is, for messages.
        :raises BandError: when the ten bands are not all there.
        :raises ReflectanceError: values that are no reflectance inside valid data.
        :raises GridError: when ``valid`` has another shape.
        """
        if valid is not None and valid.shape != bands.shape[:3]:
            raise GridError(
                f"the valid mask has shape {valid.shape}, the bands {bands.shape[:3]}. Give both on one grid."
            )
        what = where[0] if where else "the bands"
        indices = cloud_band_indices(bands.shape[-1], names, where=what)
        for index, name in enumerate(where):
            inside = None if valid is None else valid[index][..., np.newaxis]
            for band in indices:  # a band at a time: no copy of the frame
                as_reflectance(bands[index][..., band : band + 1], inside, where=name)
        return cls(bands, None if valid is None else np.asarray(valid, dtype=bool), indices, grid)

    def __len__(self) -> int:
        return len(self.bands)

    def planes(self, index: int, rows: slice = slice(None), columns: slice = slice(None)) -> Planes:
        """A part of a frame on the processing grid.

        :param rows: Rows of cells, and ``columns``.
        :return: float32 (10, H, W) reflectance, boolean (H, W). Where there is no data the values are those given, as
            in the original; what is no reflectance there (NaN, -9999) counts as 0.
        """
        if self.grid.is_native:
            return self._pixels(index, rows, columns)
        planes, valid = self._pixels(index, slice(None), slice(None))
        cells = self.grid.shrink(planes)
        share = self.grid.shrink(valid.astype(np.uint8)[np.newaxis])[0]
        return np.ascontiguousarray(cells[:, rows, columns]), np.ascontiguousarray(share[rows, columns] != 0)

    def _pixels(self, index: int, rows: slice, columns: slice) -> Planes:
        part = self.bands[index, rows, columns]
        planes = np.empty((len(self.indices), *part.shape[:2]), dtype=np.float32)
        for plane, band in zip(planes, self.indices, strict=True):
            plane[...] = as_reflectance(part[..., band], np.zeros((), dtype=bool))
        planes[~((planes >= MIN_REFLECTANCE) & (planes <= MAX_REFLECTANCE))] = 0
        if self.valid is None:
            return planes, np.ones(part.shape[:2], dtype=bool)
        return planes, np.ascontiguousarray(self.valid[index, rows, columns])
