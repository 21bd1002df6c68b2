"""The pixels of a request: which collection, which time, which products of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from eotasks.imagery.mosaic import MosaicOrder

Resampling = Literal["NEAREST", "BILINEAR", "BICUBIC"]
"""As requests name it."""


@dataclass(frozen=True)
class DataRequest:
    """One `data` entry of a request, checked and with its defaults."""

    collection: str
    """Its `type`, such as "sentinel-2-l1c"."""

    start: dt.datetime
    end: dt.datetime
    """UTC, naive, both inclusive."""

    id: str | None = None
    """By which a script with several sources names it."""

    max_cloud_coverage: float = 100.0
    """Percent of a whole product, inclusive; products that do not say theirs are taken."""

    order: MosaicOrder = "mostRecent"
    upsampling: Resampling = "NEAREST"
    downsampling: Resampling = "NEAREST"
    harmonize: bool = True
    """Whether DN are comparable across baselines, and not below 0; without it they are as in the file."""
