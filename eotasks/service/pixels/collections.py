"""The collections that are served, their bands, and the units in which scripts may ask for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from eotasks.catalogue.request import Level
from eotasks.models.sentinel2 import BANDS, NATIVE_RESOLUTION, QUANTIFICATION
from eotasks.service.contract import names
from eotasks.service.contract.names import collection_id
from eotasks.service.errors import RequestError
from eotasks.service.evalscript.setup import InputBand
from eotasks.text import did_you_mean, excerpt

MASK_RESOLUTION = 160.0
ANGLE_RESOLUTION = 5_000.0

AOT = "AOT"
_AOT_QUANTIFICATION = 1_000.0
"""Numbers of AOT files of an optical depth of 1, in all products (AOT_QUANTIFICATION_VALUE)."""


class BandKind(StrEnum):
    """What a band is read from."""

    REFLECTANCE = "reflectance"
    DATA_MASK = "data mask"
    CLASSES = "classes"
    """The scene classification of L2A."""

    LAYER = "layer"
    """What products of L2A may hold beside it: SNW, CLD and AOT."""

    CLOUDS = "clouds"
    """CLP, CLM and SHADOW, which are made of the product."""

    ANGLES = "angles"


@dataclass(frozen=True)
class ServedBand:
    """A band of a collection."""

    name: str
    kind: BandKind
    units: tuple[str, ...]
    """The first is the default."""

    resolution: float
    """Metres of its own pixels."""

    title: str = ""


@dataclass(frozen=True)
class Collection:
    """Products of one level."""

    id: str
    """`type` of a request's data."""

    title: str
    level: Level
    bands: Mapping[str, ServedBand]

    def checked(self, wanted: Sequence[InputBand]) -> tuple[tuple[ServedBand, str], ...]:
        """Bands that a script reads, each with its unit.

        :raises RequestError: for a band or a unit that there is not, naming those that there are.
        """
        return tuple(self._checked(each) for each in wanted)

    def _checked(self, wanted: InputBand) -> tuple[ServedBand, str]:
        band = self.bands.get(wanted.name)
        if band is None:
            there = ", ".join(self.bands)
            raise RequestError(
                f"Band {excerpt(wanted.name)} of {self.id} does not exist{did_you_mean(wanted.name, self.bands)}. There"
                f" are {there}."
            )
        unit = band.units[0] if wanted.units is None else wanted.units.upper()
        if unit not in band.units:
            raise RequestError(
                f"Band {band.name} of {self.id} has no units {excerpt(wanted.units)}: give {' or '.join(band.units)}."
            )
        return band, unit


def divisor_of(unit: str) -> float:
    """By which numbers as they are read become what a script sees."""
    return {"REFLECTANCE": float(QUANTIFICATION), "OPTICAL_DEPTH": _AOT_QUANTIFICATION}.get(unit, 1.0)


def _bands(level: Level) -> Mapping[str, ServedBand]:
    reflectance = [
        ServedBand(name, BandKind.REFLECTANCE, ("REFLECTANCE", "DN"), float(NATIVE_RESOLUTION[name]))
        for name in BANDS
        if level == "L1C" or name != "B10"
    ]
    dn, degrees = ("DN",), ("DEGREES",)
    others = [
        *(
            [
                ServedBand("SCL", BandKind.CLASSES, dn, 20.0, "Scene classification, 0..11"),
                ServedBand("SNW", BandKind.LAYER, ("PERCENT",), 20.0, "Probability of snow, of products that hold it"),
                ServedBand("CLD", BandKind.LAYER, ("PERCENT",), 20.0, "Probability of cloud by Sen2Cor, likewise"),
                ServedBand(AOT, BandKind.LAYER, ("OPTICAL_DEPTH", "DN"), 10.0, "Optical depth of aerosol, likewise"),
            ]
            if level == "L2A"
            else []
        ),
        ServedBand("CLP", BandKind.CLOUDS, dn, MASK_RESOLUTION, "Cloud probability, 0..255; 0 where it is missing"),
        ServedBand("CLM", BandKind.CLOUDS, dn, MASK_RESOLUTION, "Cloud mask: 0 clear, 1 cloud, 255 no data"),
        ServedBand("SHADOW", BandKind.CLOUDS, dn, MASK_RESOLUTION, "Cloud shadow: 0 none, 1 shadow, 255 no data"),
        ServedBand("sunAzimuthAngles", BandKind.ANGLES, degrees, ANGLE_RESOLUTION, "Azimuth of the sun"),
        ServedBand("sunZenithAngles", BandKind.ANGLES, degrees, ANGLE_RESOLUTION, "Zenith angle of the sun"),
        ServedBand("viewAzimuthMean", BandKind.ANGLES, degrees, ANGLE_RESOLUTION, "Azimuth of the satellite"),
        ServedBand("viewZenithMean", BandKind.ANGLES, degrees, ANGLE_RESOLUTION, "Zenith angle of the satellite"),
        ServedBand("dataMask", BandKind.DATA_MASK, dn, 10.0, "1 where there is data inside of the geometry, else 0"),
    ]
    return MappingProxyType({band.name: band for band in (*reflectance, *others)})


L1C = Collection(names.L1C, "Sentinel-2 L1C", "L1C", _bands("L1C"))
L2A = Collection(names.L2A, "Sentinel-2 L2A", "L2A", _bands("L2A"))

COLLECTIONS: Mapping[str, Collection] = MappingProxyType({each.id: each for each in (L1C, L2A)})


def collection_of(name: str, served: Iterable[str] = COLLECTIONS) -> Collection:
    """A collection by its id, in any case, as clients write "S2L1C" and "sentinel-2-l1c".

    :param served: Ids of those that are served.
    :raises NotFoundError: names those that there are.
    """
    return COLLECTIONS[collection_id(name, served)]
