"""What a data set of labels is: how it is found in a folder, and what a frame of it holds."""

from __future__ import annotations

import datetime as dt
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from eotasks.models.rasters import Bounds
from eotasks.reference.cloud_labels.classes import LabelClass


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """One labelled image, or the labelled spectra of one image."""

    bands: NDArray[np.generic]
    """(h, w, bands): integer DN = reflectance * 10000, any baseline offset removed, or float reflectance."""

    band_names: tuple[str, ...]
    """Such as "B02", in the order of the bands."""

    is_data: NDArray[np.bool_]
    """(h, w)."""

    labels: NDArray[np.generic]
    """(h, w), whole numbers as the data set has them."""

    resolution: float
    """Metres of a pixel."""

    time: dt.datetime | None = None
    """Naive UTC; None where nothing says it."""

    crs: str | None = None
    """Such as "EPSG:32633"; None where the data set does not say where a frame lies."""

    bounds: Bounds | None = None
    sun: tuple[float, float] | None = None
    """Zenith and azimuth in degrees, azimuth clockwise from north."""

    shadows_labelled: bool = True
    """Whether somebody looked for shadows: where nobody did, "clear" may hold some, and no shadow is judged."""


@dataclass(frozen=True)
class FrameSource:
    """A frame that is read when it is its turn."""

    name: str
    load: Callable[[], LabelledFrame]
    """Raises `EOTasksError` for a frame that is not what the data set's frames are."""


@runtime_checkable
class LabelSet(Protocol):
    """A published data set. An instance is made without arguments and holds nothing of what it has read."""

    name: str
    """As users give it: lower case letters, digits and hyphens."""

    title: str
    """What its authors call it, for tables and reports."""

    layout: str
    """A line for the help: what a folder of it holds."""

    origin: str
    """Where it can be had."""

    licence: str
    """As far as that was verified."""

    classes: Mapping[int, LabelClass]
    """Number in its labels -> class."""

    points: bool = False
    """Whether it is spectra without their surroundings: neighbours in an array are then none on the ground."""

    @abstractmethod
    def frames(self, folder: Path) -> Sequence[FrameSource]:
        """The frames of a folder, in the order of their names; pixels are not read yet.

        :raises AreaError: nothing of this data set lies there.
        :raises ReferenceDataError: what lies there differs from what is known of the layout.
        :raises MissingDependencyError: a package that reads its files is not installed.
        """
