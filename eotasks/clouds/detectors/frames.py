"""What a detector sees: frames of one place on one grid, as arrays."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import GridError
from eotasks.models.scales import as_reflectance
from eotasks.models.sentinel2 import band_indices

if TYPE_CHECKING:
    from sentinelhub.geometry import BBox


_Result = TypeVar("_Result")


class SharedResults(dict[object, Any]):
    """What several detectors compute alike of the same frames, under keys that name it with its settings."""

    def __init__(self) -> None:
        super().__init__()
        self.spared_seconds = 0.0
        """Time that was not spent because a result was there already: who measures a detector adds it."""
        self._seconds: dict[object, float] = {}

    def once(self, key: object, compute: Callable[[], _Result]) -> _Result:
        """A result, computed where it is asked for first."""
        if key in self:
            self.spared_seconds += self._seconds.get(key, 0.0)
        else:
            started = perf_counter()
            self[key] = compute()
            self._seconds[key] = perf_counter() - started
        result: _Result = self[key]
        return result


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames of one place on one grid, in the order of time. A detector changes none of its arrays.

    ``len(frames)`` is the number of frames, ``frames.shape`` is (t, h, w).
    """

    bands: NDArray[np.generic]
    """(t, h, w, bands): float reflectance (1.0 = 100 %), or integer DN = reflectance * 10000, any baseline offset
    removed. :meth:`reflectance` gives those that are wanted as float32, whichever it is."""

    names: tuple[str, ...]
    """Names of the bands in their order, such as "B02"; those that the detector asks for are among them."""

    is_data: NDArray[np.bool_]
    """(t, h, w): where there is data. Elsewhere values mean nothing, NaN among them."""

    where: str = "the frames"
    """What they are, for messages: a scene, an EOPatch, a product."""

    times: tuple[dt.datetime, ...] = ()
    """Of each frame, naive UTC; empty where they are not known."""

    crs: str | None = None
    """Coordinate system of the grid, such as "EPSG:32633"; None where it has no place."""

    bounds: tuple[float, float, float, float] | None = None
    """(left, bottom, right, top) of the grid in that system."""

    sun_angles: NDArray[np.floating[Any]] | None = None
    """(t, 2): zenith and azimuth of the sun in degrees, azimuth clockwise from north; None where not known."""

    classification: NDArray[np.generic] | None = None
    """(t, h, w): scene classification (SCL) of L2A, ``eotasks.models.sentinel2.SceneClass``; None without one."""

    stored_mask: NDArray[np.generic] | None = None
    """(t, h, w): a mask that lies beside the bands, whoever made it; None where there is none."""

    apart: NDArray[np.bool_] | None = None
    """(t, h, w): what the mask is to keep apart from cloud, such as snow and thin cloud: it has no say in averages, and
    is clear but where cloud beside it grows over it. None where nothing is. For detectors with ``keeps_apart``."""

    shared: SharedResults = field(default_factory=SharedResults)
    """For what several detectors compute alike of the same frames."""

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(t, h, w)."""
        t, h, w = self.is_data.shape
        return t, h, w

    @property
    def frame_names(self) -> list[str]:
        """What each frame is called in messages."""
        if len(self.times) == len(self):
            return [f"{self.where} of {time:%Y-%m-%dT%H:%M}" for time in self.times]
        return [self.where] if len(self) == 1 else [f"{self.where}, frame {index + 1}" for index in range(len(self))]

    def reflectance(self, *names: str) -> NDArray[np.float32]:
        """Some bands as reflectance.

        :param names: Such as ``"B03", "B04"``.
        :return: float32 (t, h, w, number of names), 1.0 = 100 %; any value, NaN among them, where there is no data.
        :raises BandError: a band is missing.
        :raises ReflectanceError: values that are no reflectance where there is data.
        """
        indices = band_indices(names, self.names, where=self.where)
        return as_reflectance(self.bands[..., indices], self.is_data[..., np.newaxis], where=self.where)

    def pixel_size(self, *, wanted_for: str = "resolution") -> tuple[float, float]:
        """Metres (y, x) of a pixel.

        :param wanted_for: What is given in metres, for the message.
        :raises GridError: the frames have no place, or their coordinate system is not in metres.
        """
        from eotasks.clouds.checks import pixel_size  # loads sentinelhub

        try:
            return pixel_size(self.bbox, *self.shape[1:], wanted_for=wanted_for)
        except GridError as error:
            raise GridError(f"{self.where}: {error}") from error

    @property
    def bbox(self) -> BBox:
        """The ground that a frame covers.

        :raises GridError: the frames have no place.
        """
        from sentinelhub.constants import CRS
        from sentinelhub.geometry import BBox

        if self.crs is None or self.bounds is None:
            raise GridError("no bounding box, so its pixels have no size: give it one.")
        return BBox(self.bounds, CRS(self.crs))
