"""What a land-cover chain hands to its report: arrays and numbers, no EOPatch and no file.

Every field but the first few may be absent: a chain over NDVI alone has no true colour, a single acquisition has no
time series. The report then names the picture that is missing, with the reason found in :attr:`ChainResult.reasons`.

Everywhere: map coordinates are metres in the chain's CRS, images have their first row in the north, times are naive
UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from eotasks.models.classes import ClassTable
from eotasks.models.landcover.areas import AreaEstimates
from eotasks.models.landcover.validation import RocCurve, SeedSpread, Validation
from eotasks.workflows.land_cover.plan import Role
from eotasks.workflows.land_cover.sources.base import Provenance
from eotasks.workflows.report.raster import Bounds, Raster

if TYPE_CHECKING:
    from eotasks.workflows.batch.outcomes import PatchOutcome

Layer = Literal[
    "TRUE_COLOR", "CLOUD_MASK", "REFERENCE", "VALID_COUNT", "MEAN_NDVI", "MEAN_CLP", "PREDICTION", "CONFIDENCE"
]
"""Maps of the whole area, see :attr:`ChainResult.maps`."""


@dataclass(frozen=True)
class PatchArea:
    """One patch of the grid."""

    name: str
    bounds: Bounds
    role: Role = "none"
    failed: bool = False
    """The patch has no result."""


@dataclass(frozen=True)
class Frame:
    """One acquisition over all patches that hold it."""

    time: datetime
    valid_fraction: float
    """Share of valid pixels, 0..1, mean over the patches that hold the frame."""

    kept: int
    """Patches that kept the frame in the filter."""

    patches: int = 1
    """Patches that hold the frame."""


@dataclass(frozen=True)
class NdviSeries:
    """NDVI of one place over the year: all observations, those masked, and the curve made of the rest."""

    label: str
    """What was averaged, for example ``"one meadow, 214 pixels, patch_r01_c02"``."""

    times: Sequence[datetime]
    ndvi: NDArray[np.floating[Any]]
    """(t,) mean over all pixels with data, clouds included; NaN where there are none."""

    masked: NDArray[np.bool_]
    """(t,) true where the cleaning left the observation out."""

    curve_times: Sequence[datetime] = ()
    curve: NDArray[np.floating[Any]] | None = None
    """(n,) cleaned and resampled NDVI at ``curve_times``."""

    spread: NDArray[np.floating[Any]] | None = None
    """(n,) standard deviation over the pixels at ``curve_times``."""


@dataclass(frozen=True)
class Importance:
    """What the model looked at: gain by date and feature."""

    gain: NDArray[np.floating[Any]]
    """(t, c); any unit, the report shows shares of the sum."""

    times: Sequence[datetime]
    names: Sequence[str]
    """Feature names, c of them."""

    image: Raster | None = None
    """True colour (h, w, 3), reflectance, at the most important date."""


@dataclass(frozen=True)
class Inspection:
    """A window to look at closely, 100 x 100 pixels in the example."""

    bounds: Bounds
    reference: NDArray[np.integer[Any]]
    """(h, w) class ids, 0 unlabelled."""

    prediction: NDArray[np.integer[Any]]
    """(h, w) class ids, 0 not predicted."""

    true_color: NDArray[np.floating[Any]] | None = None
    """(h, w, 3) reflectance."""

    time: datetime | None = None
    """Date of the true colour image."""

    label: str = ""
    """Where it is, usually the name of the patch."""


@dataclass(frozen=True)
class Stage:
    """One batch over the patches, or one step in the parent process."""

    name: str
    seconds: float
    outcomes: Sequence[PatchOutcome] = ()
    """By patch; empty for a step in the parent process."""

    workers: int = 1
    peak_memory_mb: float | None = None
    """Of all processes together while the stage ran."""


@dataclass(frozen=True)
class RunInfo:
    """What the run cost, and with what it was made."""

    stages: Sequence[Stage] = ()
    seconds: float | None = None
    """Whole run, wall clock."""

    peak_memory_mb: float | None = None
    """Whole run, all processes together."""

    memory_note: str = ""
    """What exactly was measured, in one sentence."""

    versions: Mapping[str, str] = field(default_factory=dict)
    """Package name -> version."""

    configuration: str = ""
    """The whole configuration as TOML, without secrets."""


@dataclass(frozen=True)
class ChainResult:
    """All that the report shows of one chain."""

    name: str
    """Heading, for example ``"Simulated year"``."""

    simulated: bool
    """True when any spectral value is simulated: every caption then says so."""

    source_note: str = ""
    """One paragraph: what this chain is and what its numbers can and cannot say."""

    classes: ClassTable | None = None
    """Class table; 0 (no data) may be in it and is never drawn as a class."""

    crs: str = ""
    """For example ``"EPSG:32633"``."""

    resolution: float | None = None
    """Pixel size, metres."""

    provenance: Sequence[Provenance] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    """Further rows of the chain's fact table, already formatted: ``{"Acquisitions": "12 (2017-01-09 to ...)"}``."""

    outline: Sequence[NDArray[np.floating[Any]]] = ()
    """Rings of the area of interest, each (n, 2) map coordinates."""

    patches: Sequence[PatchArea] = ()

    maps: Mapping[Layer, Raster] = field(default_factory=dict)
    """Maps of the whole area; where patches leave gaps, :attr:`Raster.covered` says which pixels are theirs:

    - TRUE_COLOR (h, w, 3) reflectance, red green blue, of one date;
    - CLOUD_MASK (h, w) 0 clear, 1 cloud, 255 no data, of one date;
    - REFERENCE, PREDICTION (h, w) class ids, 0 none;
    - VALID_COUNT (h, w) number of valid observations, NaN where no patch lies;
    - MEAN_NDVI, MEAN_CLP (h, w) mean over time, NaN where there is none (MEAN_CLP 0..1);
    - CONFIDENCE (h, w) score of the predicted class, 0..1, NaN where none.
    """

    frames: Sequence[Frame] = ()
    min_valid_fraction: float | None = None
    """Threshold of the frame filter, strictly greater passes; absent when every frame was kept."""

    ndvi_series: NdviSeries | None = None

    train_counts: Mapping[int, int] = field(default_factory=dict)
    """Class id -> samples the model was trained on."""

    test_counts: Mapping[int, int] = field(default_factory=dict)
    """Class id -> samples it was tested on."""

    validation: Validation | None = None
    split_note: str = ""
    """How training and test samples were kept apart, in one sentence."""

    seeds: SeedSpread | None = None
    """The same validation over a fixed set of seeds."""

    roc: Sequence[RocCurve] = ()
    importance: Importance | None = None
    areas: AreaEstimates | None = None
    inspection: Inspection | None = None
    run: RunInfo | None = None

    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why something is absent, by the name of its field or map: ``{"TRUE_COLOR": "the source holds NDVI only"}``.

    The key ``"*"`` is the reason for all that have none of their own.
    """
