"""What a source of pixels answers for: its table of the configuration, its plan, its task, and what the report says.

The other modules of the workflow ask these questions and never which source it is. A new source is one more module in
this folder, its entry in :mod:`eotasks.workflows.land_cover.sources.registry`, a configuration that shows it, and a
test module.
"""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
from eolearn.core import EOTask, FeatureType
from numpy.typing import NDArray
from pydantic import Field
from sentinelhub.geometry import Geometry

from eotasks.area import Patch
from eotasks.features import Feature
from eotasks.workflows.land_cover.sections import (
    AreaConfig,
    CloudConfig,
    FeatureConfig,
    ReferenceConfig,
    Section,
    TimeConfig,
    ValidConfig,
)

BANDS: Feature = (FeatureType.DATA, "BANDS")
IS_DATA: Feature = (FeatureType.MASK, "IS_DATA")
CLM: Feature = (FeatureType.MASK, "CLM")
CLP: Feature = (FeatureType.DATA, "CLP")

TRUE_COLOR_BANDS = ("B04", "B03", "B02")
"""Bands that pictures need, red, green and blue."""

REVISIT_DAYS = 5
"""Two satellites of Sentinel-2 together, at the equator; higher latitudes see a place more often."""

Origin = Literal["real", "simulated", "reconstructed", "derived"]
"""Where values come from: measured, simulated, refilled under real clouds, or computed by the chain from these."""

Outline = tuple[NDArray[np.float64], ...]
"""Rings of the area of interest, (n, 2) each, in the CRS of the first patch; empty where there are patches only."""


@dataclass(frozen=True)
class Provenance:
    """One input of a chain: what it is, whether it is real, and where it comes from."""

    what: str
    origin: Origin
    source: str


@dataclass(frozen=True)
class Cost:
    """What it takes to read the pixels of all patches, estimated."""

    requests: int = 0
    """Requests to a service."""

    bytes: int = 0
    """Bytes that are transferred or read."""

    processing_units: float = 0.0
    """Processing units of Sentinel Hub."""

    products: tuple[str, ...] = ()
    """Names of the products that are read."""

    left_out: tuple[str, ...] = ()
    """Products that are not, each with the reason."""


@dataclass(frozen=True)
class SourcePlan:
    """What a source will read."""

    patches: tuple[Patch, ...]
    """In north-up reading order, at least one."""

    outline: Outline = ()

    times: tuple[dt.datetime, ...] | None = None
    """All acquisitions of the source, naive UTC and ordered; None where a service has to be asked for them."""

    cost: Cost = Cost()

    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """Texts that change when what is read does, by the key of the input: results of before are then refused."""

    versions: Mapping[str, str] = field(default_factory=dict)
    """Texts that change when what is read for a patch does, by its name: what was made of it is then made anew."""

    absent: frozenset[str] = frozenset()
    """Features that the source brings as a rule, and has not here."""


@dataclass(frozen=True)
class Companion:
    """A second chain beside the configured one."""

    title: str
    """Heading of its part of the report."""

    changes: Mapping[str, object]
    """Fields of the configuration that are other ones."""


class Settings(Protocol):
    """The tables of the configuration that a source may ask."""

    @property
    def seed(self) -> int: ...
    @property
    def area(self) -> AreaConfig: ...
    @property
    def time(self) -> TimeConfig: ...
    @property
    def clouds(self) -> CloudConfig: ...
    @property
    def valid(self) -> ValidConfig: ...
    @property
    def features(self) -> FeatureConfig: ...
    @property
    def reference(self) -> ReferenceConfig: ...


class Source(Section, ABC):
    """A source of pixels: a table of the configuration, and the answers to all that depends on it."""

    title: ClassVar[str] = "Land cover"
    """Heading of the chain's part of the report."""

    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType({})
    """Keys of other tables that have other defaults with this source, by table."""

    has_embedded_labels: ClassVar[bool] = False
    """Whether the land use that comes with the project lies under its pixels (reference.kind = 'sample')."""

    has_clouds: ClassVar[bool] = False
    """Whether it can bring a cloud mask (clouds.method = 'source')."""

    stored_features: ClassVar[tuple[Feature, ...]] = ()
    """Features of its own that are stored with the observations."""

    kind: str = Field(description="Which source this is.")

    @property
    def is_simulated(self) -> bool:
        """Whether any of its spectral values is simulated."""
        return False

    @property
    def is_downloaded(self) -> bool:
        """Whether its pixels come over the network: what is stored of them then outlives a run that came to nothing."""
        return False

    # What it is configured with

    def problems(self, settings: Settings) -> Iterator[str]:
        """What of the configuration does not fit this source: each with its key and the cure."""
        yield from ()

    def with_paths(self, absolute: Callable[[str], str]) -> Self:
        """The same source, its paths made absolute."""
        return self

    def at_full_size(self) -> Self | None:
        """The source of `--full`: the embedded sample at 10 m. None for sources that are not made of it."""
        return None

    def companion(self, settings: Settings) -> Companion | None:
        """Another chain that runs beside the configured one; None without."""
        return None

    # What it brings

    @abstractmethod
    def band_names(self, settings: Settings) -> tuple[str, ...] | None:
        """Names of the bands it brings, in order: empty without bands, None where only their number is known."""

    def brought(self, settings: Settings) -> frozenset[str]:
        """Names of the features it brings besides BANDS and IS_DATA, such as CLM, CLP, NDVI or LULC."""
        return frozenset()

    def without(self, absent: frozenset[str]) -> Self:
        """The same source, which does not bring what its plan found to be absent."""
        return self

    # Before the work

    def check_inputs(self, settings: Settings) -> None:
        """Refuse what can be known to be wrong before anything is read.

        :raises EOTasksError: names the key and the cure.
        """

    def check_area(self, settings: Settings, area: Geometry) -> None:
        """Refuse an area where it has no pixels, as far as that is known without looking for them.

        :raises AreaError: names the cure.
        """

    def check_credentials(self) -> None:
        """Whether what it reads can be reached with the credentials there are.

        :raises CredentialsError: when not.
        """

    def inputs(self) -> dict[str, str]:
        """Places that it reads, by the key that names them: no result may lie in them."""
        return {}

    @abstractmethod
    def plan(self, settings: Settings) -> SourcePlan:
        """Patches, acquisitions and cost, known before the work.

        :raises AreaError: the area is missing, empty or outside of the source.
        :raises EOTasksError: what is read for it is missing or damaged.
        """

    def describe(self, cost: Cost) -> dict[str, str]:
        """Rows of `--dry-run`: what will be asked of whom."""
        return {"requests": "none, nothing is downloaded"}

    # The work

    @abstractmethod
    def task(self, settings: Settings) -> EOTask:
        """The task that brings BANDS, IS_DATA and what :meth:`brought` promises."""

    def arguments(self, patch: Patch, settings: Settings) -> dict[str, object]:
        """Arguments of the task for one patch."""
        return {"bbox": patch.bbox}

    def mask_steps(self, settings: Settings) -> list[tuple[EOTask, str]]:
        """Tasks, with their names, that make CLM of what the task has loaded, where clouds.method is 'source'."""
        return []

    # The report

    def note(self, settings: Settings) -> str:
        """One paragraph: what the chain is, and what its numbers can and cannot say."""
        return "Scores hold for the reference data and the way of holding out test samples that are named below."

    @abstractmethod
    def provenance(self, settings: Settings) -> list[Provenance]:
        """Where its values come from."""


def expected_frames(time: TimeConfig) -> int:
    """Acquisitions of a period, where no service has been asked yet."""
    return max(1, ((time.end - time.start).days + 1) // REVISIT_DAYS)
