"""Whether the bands of a frame can be what they are called, judged by all its chunks before any result leaves it.

A chunk alone tells too little: a storm may fill it as an offset would. The chunks of a frame are counted, the counts
are added, and results wait for the verdict, which is the one of a whole frame.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import BandError, EOTasksError, ReflectanceError
from eotasks.models.clouds.plausibility import CirrusCounts, cirrus_counts, refuse_signs
from eotasks.models.scale_signs import FEWEST_PIXELS
from eotasks.models.sentinel2 import QUANTIFICATION
from eotasks.xarray.bands.stack import BandStack
from eotasks.xarray.chunks.blocks import Reader, map_frames
from eotasks.xarray.packages import is_lazy

DARKEST = 0.01
"""Reflectance that the brightest pixel of a frame exceeds in some band: the air alone does in B01."""

_COUNTS = len(astuple(CirrusCounts())) + 1


@dataclass(frozen=True)
class _Count:
    """Counts of a block."""

    names: tuple[str, ...]
    where: str
    frame_names: tuple[str, ...]
    columns: tuple[int, ...]
    cirrus: bool

    def __call__(
        self, frames: NDArray[np.intp], bands: NDArray[Any], valid: NDArray[np.bool_] | None
    ) -> NDArray[np.float64]:
        result = np.empty((len(frames), 1, _COUNTS))
        for index, frame in enumerate(bands):
            seen = np.ones(frame.shape[:2], dtype=bool) if valid is None else valid[index]
            where = f"{self.where}, {self.frame_names[frames[index]]}"
            if self.cirrus:
                counts = cirrus_counts(frame, seen, self.names, where=where)
            else:
                counts = CirrusCounts(pixels=int(np.count_nonzero(seen)))
            unit = QUANTIFICATION if frame.dtype.kind in "iu" else 1
            highest = max(float(np.max(frame[..., column], initial=0, where=seen)) / unit for column in self.columns)
            result[index, 0] = (*astuple(counts), highest)
        return result


@dataclass(frozen=True)
class _Judge:
    """The verdict on frames: 0, or an error."""

    names: tuple[str, ...]
    where: str
    frame_names: tuple[str, ...]
    stated: bool
    cirrus: bool

    def __call__(self, frames: NDArray[np.intp], counts: NDArray[np.float64]) -> NDArray[np.uint8]:
        parts = counts.reshape(len(frames), -1, _COUNTS)
        for frame, of_frame in zip(frames, parts, strict=True):
            name = self.frame_names[frame]
            total = sum((CirrusCounts(*part[:-1]) for part in of_frame), start=CirrusCounts())
            highest = float(of_frame[:, -1].max(initial=0))
            if self.stated and total.pixels >= FEWEST_PIXELS and highest < DARKEST:
                raise ReflectanceError(
                    f"{self.where}: no reflectance is above {highest:.2g} in {name}: the numbers were brought to"
                    " reflectance already, and scaled once more. Drop scale_factor and add_offset from the"
                    " attributes, or give scale=1, offset=0."
                )
            if not self.cirrus:
                continue
            try:
                refuse_signs([(name, total.signs())], self.names, where=self.where)
            except ReflectanceError as error:
                raise _with_cure(error) from error
            except BandError as error:
                raise BandError(f"{error} bands={{'B01': ..., 'B02': ...}} does.") from error
        return np.zeros(len(frames), dtype=np.uint8)


def _with_cure(error: ReflectanceError) -> EOTasksError:
    return ReflectanceError(
        f"{error} With xarray: items=ITEMS, the STAC items of the data, or offset=-0.1 (one number, or one a frame)."
    )


def judged(result: Any, stack: BandStack, reader: Reader, *, is_data: Any | None, cirrus: bool = True) -> Any:
    """The same result, which is not to be had when the bands of its frame are refused.

    :param result: (t, h, w) of dask or NumPy.
    :param cirrus: Whether the bands are those of the cloud model, which show an offset or a wrong order.
    :raises ReflectanceError: an offset left in or removed twice, reflectance scaled twice; at once for NumPy, else
        when dask computes it.
    :raises BandError: the bands are in another order; likewise.
    """
    names, where = stack.names, stack.layout.where
    frame_names = tuple(stack.layout.frame_names())
    stated = any(each.stated and not each.integer for each in stack.scalings)
    if not cirrus and not stated:
        return result
    counts = map_frames(
        _Count(names, where, frame_names, reader.positions, cirrus),
        stack,
        reader,
        is_data=is_data,
        dtype=np.float64,
        extent=(1, _COUNTS),
    )
    judge = _Judge(names, where, frame_names, stated, cirrus)
    frames = np.arange(stack.layout.shape[0])
    if not is_lazy(counts):
        judge(frames, counts)
        return result
    import dask.array

    numbers = dask.array.from_array(frames, chunks=(counts.chunks[0],))
    verdict = dask.array.blockwise(
        judge, "t", numbers, "t", counts, "tpq", dtype=np.uint8, concatenate=True, meta=np.empty(0, np.uint8)
    )
    return dask.array.blockwise(_once_judged, "tyx", result, "tyx", verdict, "t", dtype=result.dtype, meta=result._meta)


def _once_judged(result: NDArray[Any], _: NDArray[np.uint8]) -> NDArray[Any]:
    return result
