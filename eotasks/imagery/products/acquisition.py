"""What is known about an acquisition, and the sidecar file that says it beside bare image files."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eotasks.documents import first_problem, parse_json_object, refuse_many_values
from eotasks.errors import ImageryError, OffsetError
from eotasks.imagery.products.offsets import says_offset
from eotasks.limits import METADATA_BYTES
from eotasks.models.sentinel2 import BASELINE_OFFSET, QUANTIFICATION, SATURATED_DN
from eotasks.reading import read_regular
from eotasks.text import excerpt
from eotasks.times import naive_utc

SIDECAR_NAME = "acquisition.json"
SIDECAR_VERSION = 1

AnglesSource = Literal["metadata", "computed"]

QUANTIFICATIONS = (100.0, 1_000_000.0)
"""Digital numbers of reflectance 1.0: at least and at most. All products of Sentinel-2 have 10,000."""

YEARS = (1970, 2200)
_ROUNDING = 0.01
"""Per cent by which a cover may miss 0 and 100."""


@dataclass(frozen=True)
class Acquisition:
    """Where, when and by what a scene was taken."""

    time: dt.datetime
    """UTC, naive: the time in the product's name (start of the datatake)."""

    satellite: str
    """S2A, S2B or S2C."""

    tile: str
    """Tile of the military grid, without the T: ``"33UUU"``."""

    relative_orbit: int | None = None
    """1 to 143."""

    processing_baseline: str | None = None
    """Such as ``"02.04"``."""

    datastrip: str | None = None
    """Identifier of the strip of one reception that the tile is cut from: two products of one are the same pixels."""

    level: Literal["L1C", "L2A"] = "L1C"
    """L1C: top-of-atmosphere reflectance, 13 bands. L2A: surface reflectance."""

    radio_add_offset: int = 0
    """Added to the stored digital numbers to have reflectance * quantification, for bands not in :attr:`offsets`."""

    offsets: Mapping[str, int] = field(default_factory=dict)
    """The same by band, as the product's metadata says it (RADIO_ADD_OFFSET, BOA_ADD_OFFSET): -1000 since baseline
    04.00."""

    quantification: float = QUANTIFICATION
    """Digital numbers of reflectance 1.0, after the offset."""

    saturated: int = SATURATED_DN
    """Stored number of a saturated pixel; no data is 0 in every product."""

    generation_time: dt.datetime | None = None
    """UTC, naive: when the product was made. Of two products of one acquisition the later one is the better."""

    orbit_direction: Literal["ascending", "descending"] | None = None

    cloud_cover: float | None = None
    """Per cent of the tile, as the product's metadata says."""

    footprint: tuple[tuple[float, float], ...] = ()
    """Where the tile has data: closed ring of (longitude, latitude) in degrees; empty when the product does not say."""

    other_footprints: tuple[tuple[tuple[float, float], ...], ...] = ()
    """Further rings, of ground in several parts; parts on both sides of the antimeridian are one ring."""

    sun_zenith: float | None = None
    """Degrees, at the centre of the scene."""

    sun_azimuth: float | None = None
    """Degrees clockwise from north, at the centre of the scene."""

    angles_source: AnglesSource = "metadata"
    """"metadata": read from the product. "computed": from place and time (eotasks.models.sun)."""

    derived: Mapping[str, str] = field(default_factory=dict)
    """Fields that the product itself does not state, each with how it is known."""

    attribution: str = ""
    """The line that whoever shows the pixels owes their origin."""

    def offset_of(self, band: str) -> int:
        """Added to the stored digital numbers of a band to have reflectance * :attr:`quantification`."""
        return self.offsets.get(band, self.radio_add_offset)


def checked(acquisition: Acquisition, where: str) -> Acquisition:
    """The same acquisition, when it says nothing that no sensor has: such numbers spoil all values without looking so.

    The bounds are generous: Sentinel-2 has flown since 2015 on orbits 1 to 143, its numbers are 10,000 times
    reflectance, 1,000 more since baseline 04.00.

    :param where: The product or file, for messages.
    :raises ImageryError: naming the field.
    """
    least, most = QUANTIFICATIONS
    rings = (acquisition.footprint, *acquisition.other_footprints)
    ring = [number for corners in rings for corner in corners for number in corner]
    offsets = [acquisition.radio_add_offset, *acquisition.offsets.values()]
    years = [time.year for time in (acquisition.time, acquisition.generation_time) if time is not None]
    fields: list[tuple[str, Iterable[float | None], float, float]] = [
        ("year", years, *YEARS),
        ("relative orbit", [acquisition.relative_orbit], 1, 143),
        ("quantification", [acquisition.quantification], least, most),
        ("offset", offsets, -acquisition.quantification, acquisition.quantification),
        ("number of a saturated pixel", [acquisition.saturated], 1, np.iinfo(np.uint16).max),
        ("cloud cover in per cent", [acquisition.cloud_cover], -_ROUNDING, 100 + _ROUNDING),
        ("sun's zenith in degrees", [acquisition.sun_zenith], 0, 180),
        ("sun's azimuth in degrees", [acquisition.sun_azimuth], -360, 360),
        ("longitude", ring[0::2], -360, 360),
        ("latitude", ring[1::2], -90, 90),
    ]
    for name, values, low, high in fields:
        wrong = next((value for value in values if value is not None and not low <= value <= high), None)
        if wrong is not None:
            raise ImageryError(f"{where}: {name} is {wrong:g}, expected {low:g} to {high:g}. Fetch the original again.")
    return acquisition


class _Sidecar(BaseModel):
    """Contents of ``acquisition.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int
    time: dt.datetime
    satellite: str = Field(pattern=r"^S2[A-D]$")
    tile: str = Field(pattern=r"^[0-6]\d[C-HJ-NP-X][A-HJ-NP-Z]{2}$")
    relative_orbit: int | None = Field(default=None, ge=1, le=143)
    processing_baseline: str | None = Field(default=None, pattern=r"^\d\d\.\d\d$")
    level: Literal["L1C", "L2A"] = "L1C"
    radio_add_offset: int = Field(default=0, ge=-10_000, le=0)
    cloud_cover: float | None = Field(default=None, ge=0, le=100)
    sun_zenith: float | None = Field(default=None, ge=0, le=180)
    sun_azimuth: float | None = Field(default=None, ge=0, lt=360)
    angles_source: AnglesSource = "metadata"
    derived: dict[str, str] = Field(default_factory=dict)
    attribution: str = ""


class _Versioned(BaseModel):
    version: int = Field(ge=1)


def read_sidecar(path: Path) -> Acquisition:
    """The acquisition described by a sidecar file.

    :param path: An ``acquisition.json``. Version 1 is the only one so far; a newer one is refused.
    :raises ImageryError: when the file is missing, no JSON, of a newer version, or a field is wrong.
    """
    try:
        text = read_regular(path, METADATA_BYTES)
    except OSError as error:
        raise ImageryError(
            f"{path}: cannot be read ({error.strerror}). Bare image files need this file: time, satellite, tile."
        ) from error
    return parse_sidecar(text, str(path))


def parse_sidecar(text: bytes, path: str) -> Acquisition:
    """The acquisition described by the content of a sidecar file.

    :param path: The file, for messages.
    :raises ImageryError: as :func:`read_sidecar`.
    """

    def refuse(reason: str) -> ImageryError:
        return ImageryError(f"{path}: {reason}. Correct the file.")

    content = parse_json_object(text, refuse)
    refuse_many_values(content, refuse)
    try:
        version = _Versioned.model_validate(content).version
        if version > SIDECAR_VERSION:
            raise ImageryError(
                f"{path}: version {excerpt(version)}, this eotasks reads up to {SIDECAR_VERSION}: upgrade it."
            )
        sidecar = _Sidecar.model_validate(content)
    except ValidationError as error:
        raise ImageryError(f"{path}: {first_problem(error, 'file')}. Correct the file.") from error
    _check_offset(sidecar, path)
    fields = sidecar.model_dump(exclude={"version"})
    try:
        fields["time"] = naive_utc(sidecar.time)
    except ValueError as error:
        raise ImageryError(f"{path}: time: {error}") from error
    return checked(Acquisition(**fields), path)


def _check_offset(sidecar: _Sidecar, path: str) -> None:
    """Refuse an offset that does not fit the baseline; 0 that is written down says that it was removed."""
    expected = says_offset(sidecar.level, sidecar.processing_baseline)
    if expected is False and sidecar.radio_add_offset:
        raise OffsetError(
            f"{path}: radio_add_offset is {sidecar.radio_add_offset}, and products of baseline"
            f" {sidecar.processing_baseline} have none. Correct the file."
        )
    if expected and "radio_add_offset" not in sidecar.model_fields_set:
        raise OffsetError(
            f"{path}: no radio_add_offset, and products of baseline {sidecar.processing_baseline} have one: give"
            f" {-BASELINE_OFFSET}, or 0 where it was removed from the numbers."
        )
