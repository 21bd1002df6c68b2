"""Images on the ground: what maps are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bounds = tuple[float, float, float, float]
"""Left, bottom, right, top in units of the map's CRS."""


@dataclass(frozen=True)
class Raster:
    """An image on the ground, its first row in the north."""

    values: NDArray[Any]
    """(h, w) or (h, w, 3); NaN or, for classes, 0 where there is nothing."""

    bounds: Bounds
    """Extent of the outer pixel edges."""

    time: datetime | None = None
    """Time of the acquisition or resampling date, naive UTC, where the image has one."""

    covered: NDArray[np.bool_] | None = None
    """(h, w) where a patch lies, whatever it holds there; None: everywhere. Outside there is nothing to count."""
