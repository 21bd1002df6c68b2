"""What an evalscript declares: the bands it reads and the outputs it gives."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mosaicking(StrEnum):
    """How many samples a script gets of a pixel."""

    SIMPLE = "SIMPLE"
    """One, of the mosaic of all scenes."""

    ORBIT = "ORBIT"
    """One of each day."""

    TILE = "TILE"
    """One of each product."""


class SampleType(StrEnum):
    """Numbers of an output. Integers round to the nearest and clamp; AUTO is [0, 1] as 0..255."""

    INT8 = "INT8"
    UINT8 = "UINT8"
    INT16 = "INT16"
    UINT16 = "UINT16"
    FLOAT32 = "FLOAT32"
    AUTO = "AUTO"


@dataclass(frozen=True)
class InputBand:
    """A band that a script reads."""

    name: str
    """As the script writes it and finds it in its samples, such as "B04"."""

    units: str | None = None
    """"DN", "REFLECTANCE", "DEGREES", "PERCENT", in capitals; None for the default of the band."""


@dataclass(frozen=True)
class Input:
    """What a script reads of one source of data."""

    bands: tuple[InputBand, ...]
    datasource: str | None = None
    """Id of the `data` entry of the request; None where there is one only."""

    mosaicking: Mosaicking = Mosaicking.SIMPLE
    metadata: frozenset[str] = frozenset()
    """Such as "bounds"."""


@dataclass(frozen=True)
class Output:
    """An image that a script gives."""

    id: str
    bands: tuple[str, ...]
    """Names; "B0", "B1", ... where the script declares a number."""

    sample_type: SampleType = SampleType.AUTO
    nodata: float | None = None


@dataclass(frozen=True)
class Setup:
    """What a script declares, in one form whatever its dialect."""

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    hooks: frozenset[str] = frozenset()
    """Names of the optional functions that it has: "preProcessScenes", "filterScenes", "updateOutput",
    "updateOutputMetadata"."""

    @property
    def mosaicking(self) -> Mosaicking:
        """Of the first input, which a request with one source of data has only."""
        return self.inputs[0].mosaicking
