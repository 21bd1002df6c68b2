"""Whether a uint8 probability ends at exactly 100, asked of whole frames and said once, however many chunks there are.

A chunk alone tells too little: one of percentages may end anywhere, and one of 0..255 at 100. The highest numbers of
the chunks of a frame are joined, and its results wait for the verdict.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ScaleWarning
from eotasks.models.scales import ProbabilityScale, ends_as_percent, percent_words, warn_of_percent
from eotasks.xarray.chunks.telling import warn_user
from eotasks.xarray.packages import is_lazy

_KEPT = 1000
"""Results whose frames are remembered, the newest."""

_LOCK = threading.Lock()
_SAID: OrderedDict[str, set[int]] = OrderedDict()
"""By result, the frames that ended at 100 since it was said last."""


def percent_noticed(
    result: Any, probability: Any, is_data: Any | None, scale: ProbabilityScale | None, where: str
) -> Any:
    """The same result, whose user is warned when a probability without a named scale seems to be percentages.

    :param result: (t, h, w) of dask or NumPy.
    :param probability: (t, h, w) that it was made of.
    :param is_data: Boolean (t, h, w), or None for all.
    :warns ScaleWarning: once, at once for NumPy, else when dask computes it.
    """
    if scale is not None or probability.dtype != np.uint8:
        return result
    lazy: list[Any] = [each for each in (probability, is_data) if is_lazy(each)]
    if not lazy:
        warn_of_percent(probability, is_data, where=where)
        return result
    import dask.array

    frames = np.arange(probability.shape[0])
    chunks = lazy[0].chunks
    numbers = dask.array.from_array(frames, chunks=(chunks[0],))
    inputs: list[Any] = []
    for each in (probability, is_data):
        if each is not None:
            array = each.rechunk(chunks) if is_lazy(each) else dask.array.from_array(np.asarray(each), chunks)
            inputs += [array, "tyx"]
    highest = dask.array.blockwise(
        _highest, "tyx", *inputs, dtype=np.uint8, adjust_chunks={"y": 1, "x": 1}, meta=np.empty((0, 0, 0), np.uint8)
    )
    verdict = dask.array.blockwise(
        _Verdict(where), "t", numbers, "t", highest, "tyx", dtype=np.uint8, concatenate=True, meta=np.empty(0, np.uint8)
    )
    return dask.array.blockwise(
        _once_noticed, "tyx", result.rechunk({0: chunks[0]}), "tyx", verdict, "t", dtype=result.dtype, meta=result._meta
    )


def _highest(probability: NDArray[np.uint8], is_data: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    """(t, 1, 1)."""
    inside: Any = True if is_data is None else is_data
    return np.asarray(np.max(probability, axis=(1, 2), initial=0, where=inside, keepdims=True))


@dataclass(frozen=True)
class _Verdict:
    """Warns of frames that end at 100, once each time that a result is computed in this process."""

    where: str
    result: str = field(default_factory=lambda: uuid4().hex, compare=False, repr=False)

    def __dask_tokenize__(self) -> tuple[str, str]:
        return type(self).__qualname__, self.where  # the same result has the same keys

    def __call__(self, frames: NDArray[np.intp], highest: NDArray[np.uint8]) -> NDArray[np.uint8]:
        for frame, most in zip(frames, highest.reshape(len(frames), -1).max(axis=1, initial=0), strict=True):
            if ends_as_percent(int(most)) and self._is_news(int(frame)):
                warn_user(percent_words(self.where), ScaleWarning)
        return np.zeros(len(frames), dtype=np.uint8)

    def _is_news(self, frame: int) -> bool:
        """Whether the user does not know: of the first frame, and where one comes again, which is another run."""
        with _LOCK:
            seen = _SAID.setdefault(self.result, set())
            _SAID.move_to_end(self.result)
            while len(_SAID) > _KEPT:
                _SAID.popitem(last=False)
            news = not seen or frame in seen
            if news:
                seen.clear()
            seen.add(frame)
        return news


def _once_noticed(result: NDArray[Any], _: NDArray[np.uint8]) -> NDArray[Any]:
    return result
