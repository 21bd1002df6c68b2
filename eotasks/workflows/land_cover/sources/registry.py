"""All sources of pixels: the table `[source]` of the configuration is one of these, by its `kind`."""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from eotasks.workflows.land_cover.sources.base import Source
from eotasks.workflows.land_cover.sources.eopatches import EOPatchesSource
from eotasks.workflows.land_cover.sources.sample import SampleSource
from eotasks.workflows.land_cover.sources.scenes import ScenesSource
from eotasks.workflows.land_cover.sources.sentinelhub import SentinelHubSource
from eotasks.workflows.land_cover.sources.simulated import SimulatedSource

_CLASSES: tuple[type[Source], ...] = (SampleSource, SimulatedSource, EOPatchesSource, SentinelHubSource, ScenesSource)

SOURCES: dict[str, type[Source]] = {each.model_fields["kind"].default: each for each in _CLASSES}
"""By kind."""

if TYPE_CHECKING:
    AnySource = Source
else:
    AnySource = Annotated[functools.reduce(operator.or_, SOURCES.values()), Field(discriminator="kind")]
    """Type of the configuration's field."""
