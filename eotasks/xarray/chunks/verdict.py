"""Whether the bands of a frame can be what they are called, judged by all its chunks before any result leaves it.

A chunk alone tells too little: a storm may fill it as an offset would. The chunks of a frame are sampled, the samples
joined, and results wait for the verdict, which is that of a whole frame. The sample is some thousand pixels, as the
eager tasks look at; what it costs beside the cloud model is a few per cent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import BandError, EOTasksError, ReflectanceError
from eotasks.models.clouds.plausibility import cirrus_signs, refuse_signs, warn_if_coarse
from eotasks.models.scale_signs import BITS_8, FEWEST_PIXELS, refuse_by_signs, scale_signs
from eotasks.models.scales import ReflectanceScale
from eotasks.models.sentinel2 import QUANTIFICATION
from eotasks.xarray.bands.stack import BandStack
from eotasks.xarray.chunks.blocks import Reader, look_at
from eotasks.xarray.chunks.sample import Part, Sample, joined, sample_of
from eotasks.xarray.packages import is_lazy

DARKEST = 0.01
"""Reflectance that the brightest pixel of a frame exceeds in some band: the air alone does in B01."""


@dataclass(frozen=True)
class _Part:
    """What a block says of one frame."""

    sample: Sample

    highest: float
    """As given: of the pixels with data of the sample, and of all of them where those are too dark to tell."""


@dataclass(frozen=True)
class _Glance:
    """What a block says of its frame."""

    reader: Reader
    frame: tuple[int, int]
    """Height and width."""

    def __call__(
        self,
        frame: int,
        first: tuple[int, int],
        is_data: NDArray[np.bool_] | None,
        blocks: tuple[NDArray[Any], ...],
    ) -> _Part:
        columns = list(self.reader.positions)

        def pixels(rows: NDArray[np.intp], across: NDArray[np.intp]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
            bands, seen = self.reader.pixels(frame, is_data, blocks, rows, across)
            return bands[:, columns], seen

        height, width = blocks[0].shape[1:3]
        sample = sample_of(Part(*first, height, width, *self.frame), pixels)
        highest = float(np.max(sample.pixels, initial=0))
        if highest <= (BITS_8 if sample.pixels.dtype.kind in "iu" else DARKEST):
            bands, seen = self.reader.read(np.array([frame]), is_data, blocks)
            inside: Any = True if seen is None else seen
            highest = max(float(np.max(bands[..., column], initial=0, where=inside)) for column in columns)
        return _Part(sample, highest)


@dataclass(frozen=True)
class _Judge:
    """The verdict on frames: 0, or an error."""

    names: tuple[str, ...]
    columns: tuple[int, ...]
    where: str
    frame_names: tuple[str, ...]
    crowd: int
    scaled: bool
    """Floats were scaled by what the data or the caller says."""

    stated: bool
    """A scale was stated of all bands."""

    cirrus: bool
    coarse: bool

    def __call__(self, frames: NDArray[np.intp], counts: NDArray[np.object_]) -> NDArray[np.uint8]:
        for frame, of_frame in zip(frames, counts.reshape(len(frames), -1), strict=True):
            name, parts = self.frame_names[frame], list(of_frame)
            sample = joined([part.sample for part in parts], self.crowd).pixels
            highest = max(part.highest for part in parts)
            brightest = highest / (QUANTIFICATION if sample.dtype.kind in "iu" else 1)
            if self.scaled and len(sample) >= FEWEST_PIXELS and brightest < DARKEST:
                raise ReflectanceError(
                    f"{self.where}: no reflectance is above {brightest:.2g} in {name}: the numbers were brought to"
                    " reflectance already, and scaled once more. Drop scale_factor and add_offset from the"
                    " attributes, or give scale=1, offset=0."
                )
            refuse_scale = partial(self._refuse_scale, name, sample, highest)
            if not self.cirrus:
                refuse_scale()
                continue
            try:
                names = [self.names[column] for column in self.columns]
                everywhere = np.ones((len(sample), 1), dtype=bool)
                signs = [(name, cirrus_signs(sample[:, np.newaxis], everywhere, names, where=self.where))]
                refuse_signs(signs, self.names, refuse_scale=refuse_scale, coarse=self.coarse, where=self.where)
            except ReflectanceError as error:
                raise _with_cure(error) from error.__cause__
            except BandError as error:
                raise BandError(f"{error} bands={{'B01': ..., 'B02': ...}} does.") from error
        return np.zeros(len(frames), dtype=np.uint8)

    def _refuse_scale(self, name: str, sample: NDArray[Any], highest: float) -> None:
        names = [self.names[column] for column in self.columns]
        pixels = sample[:, np.newaxis]
        scale: ReflectanceScale | None = None
        if self.stated:
            scale = "dn" if pixels.dtype.kind in "iu" else "reflectance"
        signs = scale_signs(pixels, np.ones(pixels.shape[:2], dtype=bool), names=names, scale=scale, where=self.where)
        whole = np.full((1, 1, 1, 1), highest, dtype=pixels.dtype)  # of the frame only its maximum is asked for
        try:
            refuse_by_signs([signs], [name], whole, None, names=names, scale=scale, where=self.where)
        except ReflectanceError as error:
            raise ReflectanceError(
                f"{error} With xarray, scale= is the reflectance of a unit: scale=1/255 for scale='0..255'."
            ) from error


def _with_cure(error: ReflectanceError) -> EOTasksError:
    if isinstance(error.__cause__, ReflectanceError):  # of another scale, and says it already
        return error
    return ReflectanceError(
        f"{error} With xarray: items=ITEMS, the STAC items of the data, or offset=-0.1 (one number, or one a frame)."
    )


def judged(result: Any, stack: BandStack, reader: Reader, *, is_data: Any | None, cirrus: bool = True) -> Any:
    """The same result, which is not to be had when the bands of its frame are refused.

    :param result: (t, h, w) of dask or NumPy.
    :param cirrus: Whether the bands are those of the cloud model, which show an offset or a wrong order.
    :raises ReflectanceError: another scale, an offset left in or removed twice, reflectance scaled twice; at once for
        NumPy, else when dask computes it.
    :raises BandError: the bands are in another order; likewise.
    :warns ScaleWarning: bands for the cloud model in steps that are too coarse for it; at once.
    """
    names, where = stack.names, stack.layout.where
    frame_names = tuple(stack.layout.frame_names())
    scaled = any(each.stated and not each.integer for each in stack.scalings)
    stated = all(each.stated for each in stack.scalings)
    coarse = False
    if cirrus:
        integer = [stack.scalings[position] for position in reader.positions if stack.scalings[position].integer]
        coarsest = max((each.scale for each in integer), default=0.0)
        coarse = bool(coarsest) and warn_if_coarse(np.dtype(np.uint8), 1 / coarsest, where)
    _, height, width = stack.layout.shape
    crowd = height * width
    counts = look_at(_Glance(reader, (height, width)), stack, is_data=is_data)
    judge = _Judge(names, reader.positions, where, frame_names, crowd, scaled, stated, cirrus, coarse)
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
