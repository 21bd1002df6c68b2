"""Light and shade of a large frame in three bytes a pixel, put together of strips."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eotasks.models.band_sets import band_names
from eotasks.models.clouds.postprocess import NO_DATA
from eotasks.models.clouds.shadows.light import Ground, light_of
from eotasks.models.scale_signs import BITS_8, refuse_by_signs, sampled, scale_signs
from eotasks.models.scales import ReflectanceScale

Mask = NDArray[np.bool_]
Bits = NDArray[np.uint8]

STRIP_PIXELS = 1 << 20
"""Looked at together: what is computed of them takes some ten bytes each, and no result depends on it."""

UNITS: Final = 4096
"""Steps in 1 of ln, 0.0002: far below what a sensor tells. What sunlight has beyond -8 and 8, as of saturated numbers
beside black ones (8.8 at most of DN), is cut off: it is outlying either way."""

_LEAST, _MOST = np.iinfo(np.int16).min, np.iinfo(np.int16).max

_SAMPLED = 1 << 18
"""Pixels, spread over the frame, that tell whether its values can be right."""

VALID, BLACK, TURBID, DARK, CLOUD, THROWN, KEPT, ADDED = (np.uint8(1 << bit) for bit in range(8))
"""Of a pixel: data; open water or deepest shade; maybe turbid water; dark for the projection; cloud; where
an outline is thrown; shadow; as dark as shadow."""


@dataclass(frozen=True)
class Cells(Ground):
    """A large frame in square cells of several pixels."""

    cloud: Mask
    """(h, w) mostly cloud, or what is most of it for a cloud that fills half of no cell."""

    touched: Mask
    """(h, w) where any cloud lies."""


class PackedLight:
    """What is looked at of a large frame, a strip of rows at a time.

    :param shape: (h, w) of the frame.
    :param names: Names of the bands, or None to tell by count.
    :param scale: What the numbers are (``eotasks.models.scales``), None for what the dtype says.
    :param dark_nir: Reflectance below which the projection calls ground dark; None where heights are searched.
    :param where: What the frame is, for messages.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        names: Sequence[str] | None = None,
        scale: ReflectanceScale | None = None,
        dark_nir: float | None = None,
        where: str = "the frame",
    ) -> None:
        self.shape, self._names, self._scale, self._where = shape, names, scale, where
        self._dark_nir = dark_nir
        self.sunlight: NDArray[np.int16] = np.zeros(shape if dark_nir is None else (0, 0), dtype=np.int16)
        """(h, w) in 4096ths from -8 to 8, see ``Ground``; nothing where the projection does not need it."""
        self.bits: Bits = np.zeros(shape, dtype=np.uint8)
        """(h, w) the names above."""
        self.has_clouds = False
        """Whether there are any on valid data."""
        self._every = max(math.isqrt(shape[0] * shape[1] // _SAMPLED), 1)
        self._samples: list[tuple[NDArray[np.generic], Mask]] = []
        self._there: tuple[str, ...] = ()
        self._highest = 0.0  # of whole numbers

    def add(self, start: int, bands: NDArray[np.generic], valid: Mask) -> None:
        """Look at rows.

        :param start: The first of them.
        :param bands: (rows, w, bands) as ``light_of`` takes them.
        :param valid: (rows, w).
        """
        sample = slice(-start % self._every, None, self._every), slice(None, None, self._every)
        there = band_names(bands.shape[-1], self._names, where=self._where)
        self._there = tuple(there)
        # copies: what they are taken of is not kept. All bands: B10 says what those of shadows do not
        self._samples.append((bands[sample].copy(), valid[sample].copy()))
        for rows in strips_of(valid.shape):
            if bands.dtype.kind in "iu" and self._highest <= BITS_8:
                inside = valid[rows][..., np.newaxis]
                self._highest = max(self._highest, float(np.max(bands[rows], initial=0, where=inside)))
            light = light_of(
                bands[rows], valid[rows], names=there, scale=self._scale, check_bands=False, where=self._where
            )
            place = slice(start + rows.start, start + rows.stop)
            bits = light.valid * VALID | light.black * BLACK | light.turbid * TURBID
            if self._dark_nir is None:
                self.sunlight[place] = np.clip(np.rint(light.sunlight * np.float32(UNITS)), _LEAST, _MOST)
            else:
                bits |= (light.nir < self._dark_nir) * DARK
            self.bits[place] = bits

    def check(self) -> None:
        """Refuse values that contradict their scale (``eotasks.models.scale_signs``), when all has been looked at.

        :raises ReflectanceError: another scale.
        """
        bands, valid = (np.concatenate(parts)[np.newaxis] for parts in zip(*self._samples, strict=True))
        signs = scale_signs(*sampled(bands[0], valid[0]), names=self._there, scale=self._scale, where=self._where)
        # whether numbers have 8 bits is asked of all of them
        whole = np.full((1, 1, 1, 1), max(self._highest, signs.highest), dtype=bands.dtype)
        refuse_by_signs([signs], [self._where], whole, None, names=self._there, scale=self._scale, where=self._where)

    def set_clouds(self, outlines: NDArray[np.generic]) -> None:
        """Note where clouds are seen, before they were grown, when all rows have been added.

        :param outlines: (h, w) boolean, or 1 where there is cloud and 255 without an answer, which is out of the data.
        """
        for rows in strips_of(self.shape):
            self.bits[rows] |= (outlines[rows] == 1) * CLOUD
        self.leave_out(outlines)

    def leave_out(self, mask: NDArray[np.generic]) -> None:
        """Take what a mask has no answer of out of the data.

        :param mask: (h, w) 255 without an answer; booleans have one everywhere.
        """
        self.has_clouds = False
        for rows in strips_of(self.shape):
            bits = self.bits[rows]
            bits &= ~((mask[rows] == NO_DATA) * VALID)
            bits &= ~(~has(bits, VALID) * CLOUD)
            self.has_clouds |= bool((bits & CLOUD).any())

    def cells(self, step: int) -> Cells:
        """The frame in cells of step by step pixels, the last ones maybe of fewer.

        Sums of whole numbers: it does not matter how many rows are added up together.
        """
        height, width = self.shape
        shape = (-(-height // step), -(-width // step))
        valid, cloud, seen, black, turbid, ground = (np.zeros(shape, dtype=np.int32) for _ in range(6))
        light, of_seen = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        for rows in strips_of(self.shape, of=step):
            bits, sunlight = self.bits[rows], self.sunlight[rows]
            there = slice(rows.start // step, -(-rows.stop // step))
            is_seen = has(bits, VALID) & ~has(bits, CLOUD)
            is_ground = is_seen & ~has(bits, BLACK)
            for counts, mask in (
                (valid, has(bits, VALID)),
                (cloud, has(bits, CLOUD)),
                (seen, is_seen),
                (black, is_seen & has(bits, BLACK)),
                (turbid, is_seen & has(bits, TURBID)),
                (ground, is_ground),
            ):
                counts[there] = _summed(mask, step)
            light[there] = _summed(np.where(is_ground, sunlight, np.int16(0)), step)
            of_seen[there] = _summed(np.where(has(bits, VALID), sunlight, np.int16(0)), step)
        pixels = np.outer(*(_sides(side, step) for side in self.shape))
        mean = np.where(ground > 0, light / np.maximum(ground, 1), of_seen / np.maximum(valid, 1))
        touched = cloud > 0
        return Cells(
            sunlight=(mean / UNITS).astype(np.float32),
            black=2 * black > seen,
            turbid=2 * turbid > seen,
            valid=touched | (2 * valid >= pixels),
            cloud=2 * cloud > valid,
            touched=touched,
        )


def has(bits: Bits, bit: np.uint8) -> Mask:
    """(h, w) where it is set."""
    return np.asarray(bits & bit, dtype=bool)


def strips_of(shape: tuple[int, ...], *, of: int = 1) -> Iterator[slice]:
    """Rows of a frame that are looked at together, a multiple of so many but for the last ones."""
    step = max(STRIP_PIXELS // max(shape[1], 1) // of, 1) * of
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0]))


def _summed(values: NDArray[np.generic], step: int) -> NDArray[np.int64]:
    """Sums over cells."""
    rows, columns = (np.arange(0, side, step) for side in values.shape)
    over_rows = np.add.reduceat(values, rows, axis=0, dtype=np.int32)
    return np.asarray(np.add.reduceat(over_rows, columns, axis=1, dtype=np.int64))


def _sides(side: int, step: int) -> NDArray[np.int64]:
    """Pixels of each cell along an axis."""
    return np.minimum(step, side - np.arange(0, side, step))
