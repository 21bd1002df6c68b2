"""What the metadata of a Sentinel-2 product says: of the product (MTD_MSIL1C.xml, MTD_MSIL2A.xml) and of its tile.

Elements and their meaning: Sentinel-2 Products Specification Document (S2-PDGS-TAS-DI-PSD), sections 4.1 to 4.3. The
offset of the digital numbers is taken from there and nowhere else, and what contradicts itself is refused: a wrong
offset makes every mask wrong, without looking so.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ImageryError, reason_of
from eotasks.imagery.products.angles import AngleGrids, AnglePair
from eotasks.imagery.products.offsets import SEN2COR_BASELINE, carries_offset, check_metadata, says_offset
from eotasks.imagery.xml import as_number, first, local_name, named, number, parse_xml, required, text
from eotasks.models.sentinel2 import BANDS, NO_DATA_DN, SATURATED_DN
from eotasks.text import excerpt, whole_number
from eotasks.times import parse_time

Level = Literal["L1C", "L2A"]

PRODUCT_NAME = re.compile(
    r"^(?P<satellite>S2[A-D])_MSI(?P<level>L1C|L2A)_(?P<time>\d{8}T\d{6})_N(?P<baseline>\d{4})_R(?P<orbit>\d{3})"
    r"_T(?P<tile>\d\d[A-Z]{3})_(?P<made>\d{8}T\d{6})$"
)
_TILE_ID = re.compile(r"_MSI_(?P<level>L1C|L2A)_TL_.*_T(?P<tile>\d\d[A-Z]{3})_N(?P<baseline>\d\d\.\d\d)$")
_DATASTRIP = re.compile(r"^S2[A-D]_\w{4}_MSI_L(1C|2A)_DS_\w{4}_\d{8}T\d{6}_S\d{8}T\d{6}_N\d\d\.\d\d$", re.ASCII)
_OFFSET = {"L1C": "RADIO_ADD_OFFSET", "L2A": "BOA_ADD_OFFSET"}
_CRS = re.compile(r"^EPSG:\d{4,5}$")

_DATASTRIP_KEYS = ("s2:datastrip_id", "eopf:datastrip_id")
"""What STAC items call it."""

_DATATAKE = dt.timedelta(hours=1)
"""A datatake is shorter: 15,000 km of ground at most, 40 minutes."""

_CLOCKS = dt.timedelta(minutes=2)
"""How far the times of one datatake may lie apart, as they are rounded; other datatakes are hours away."""

_SPACECRAFT = re.compile(r"Sentinel-2([A-D])")


@dataclass(frozen=True)
class NameFacts:
    """What a product's name says."""

    satellite: str
    level: Level
    time: dt.datetime
    baseline: str
    orbit: int
    tile: str
    made: dt.datetime


@dataclass(frozen=True)
class ProductFacts:
    """What the metadata of a product says."""

    satellite: str
    level: Level
    time: dt.datetime
    baseline: str
    orbit: int | None
    direction: Literal["ascending", "descending"] | None
    made: dt.datetime | None
    quantification: float
    offsets: Mapping[str, int]
    """By band; empty when there are none."""

    saturated: int
    cloud_cover: float | None
    footprint: tuple[tuple[float, float], ...]
    name: NameFacts | None
    """What the product's own name says, None where it has one of the old kind."""


@dataclass(frozen=True)
class TileFacts:
    """What the metadata of a tile says."""

    satellite: str
    level: Level
    tile: str
    baseline: str
    sensing_time: dt.datetime
    crs: str
    sun_zenith: float | None
    sun_azimuth: float | None
    cloud_cover: float | None
    datastrip: str | None = None
    """Identifier of the datastrip, None where it does not say one."""


def parse_product_name(name: str) -> NameFacts | None:
    """What a product's name says; None for a name that is none (users rename folders)."""
    match = PRODUCT_NAME.match(name.removesuffix(".SAFE"))
    if match is None:
        return None
    baseline = match["baseline"]
    try:
        time, made = (dt.datetime.strptime(match[each], "%Y%m%dT%H%M%S") for each in ("time", "made"))  # noqa: DTZ007
    except ValueError:  # a month 13
        return None
    return NameFacts(
        match["satellite"],
        "L1C" if match["level"] == "L1C" else "L2A",
        time,  # naive UTC, as everywhere here
        f"{baseline[:2]}.{baseline[2:]}",
        int(match["orbit"]),
        match["tile"],
        made,
    )


def known_datastrip(identifier: object) -> str | None:
    """What others call a datastrip, when it is one's identifier."""
    return identifier if isinstance(identifier, str) and _DATASTRIP.match(identifier) else None


def datastrip_in(properties: Mapping[str, Any]) -> str | None:
    """Identifier of the datastrip that properties of a STAC item say; None where they say none."""
    return next(filter(None, (known_datastrip(properties.get(key)) for key in _DATASTRIP_KEYS)), None)


def read_product_metadata(content: bytes, where: str) -> ProductFacts:
    """Facts of MTD_MSIL1C.xml or MTD_MSIL2A.xml.

    :param where: The file, for messages.
    :raises ImageryError: when something that is needed is missing, no number, or contradicts the rest.
    """
    root = parse_xml(content, where)
    level = _level(required(root, "PROCESSING_LEVEL", where), local_name(root), where)
    spacecraft = _SPACECRAFT.search(required(root, "SPACECRAFT_NAME", where))
    if spacecraft is None:
        raise ImageryError(f"{where}: SPACECRAFT_NAME {excerpt(text(root, 'SPACECRAFT_NAME'))} is no Sentinel-2.")
    baseline = _baseline(required(root, "PROCESSING_BASELINE", where), where)
    orbit = number(root, "SENSING_ORBIT_NUMBER", where)
    direction = (text(root, "SENSING_ORBIT_DIRECTION") or "").lower()
    made = text(root, "GENERATION_TIME")
    facts = ProductFacts(
        satellite=f"S2{spacecraft.group(1)}",
        level=level,
        time=_time(required(root, "DATATAKE_SENSING_START", where), where).replace(microsecond=0),
        baseline=baseline,
        orbit=None if orbit is None else int(orbit),
        direction="ascending" if direction == "ascending" else "descending" if direction == "descending" else None,
        made=None if made is None else _time(made, where),
        quantification=_quantification(root, level, where),
        offsets=_offsets(root, level, baseline, where),
        saturated=_special(root, "SATURATED", SATURATED_DN, where),
        cloud_cover=number(root, "Cloud_Coverage_Assessment", where),
        footprint=_footprint(root, where),
        name=parse_product_name(text(root, "PRODUCT_URI") or text(root, "PRODUCT_URI_2A") or ""),
    )
    if _special(root, "NODATA", NO_DATA_DN, where) != NO_DATA_DN:
        raise ImageryError(f"{where}: no data is not 0, as it is in every product. Fetch the original again.")
    if facts.name is not None:
        _agree(facts, facts.name, where)
    check_metadata(facts.offsets, level=level, baseline=baseline, where=where, name=_OFFSET[level])
    if facts.name is not None:
        return replace(facts, time=facts.name.time)  # which the names of its images have, too
    return facts


def read_tile_metadata(content: bytes, where: str) -> TileFacts:
    """Facts of MTD_TL.xml (metadata.xml in the layout of the AWS buckets).

    :param where: The file, for messages.
    :raises ImageryError: when something that is needed is missing or no number.
    """
    root = parse_xml(content, where)
    identifier = text(root, "TILE_ID_2A") or required(root, "TILE_ID", where)  # the first up to Sen2Cor 2.5
    match = _TILE_ID.search(identifier)
    if match is None:
        raise ImageryError(f"{where}: TILE_ID {excerpt(identifier)} is that of no Sentinel-2 tile. Fetch it again.")
    sun = first(root, "Mean_Sun_Angle")
    return TileFacts(
        satellite=identifier[:3],
        level="L1C" if match["level"] == "L1C" else "L2A",
        tile=match["tile"],
        baseline=match["baseline"],
        sensing_time=_time(required(root, "SENSING_TIME", where), where),
        crs=_crs(root, where),
        sun_zenith=None if sun is None else number(sun, "ZENITH_ANGLE", where),
        sun_azimuth=None if sun is None else number(sun, "AZIMUTH_ANGLE", where),
        cloud_cover=number(root, "CLOUDY_PIXEL_PERCENTAGE", where),
        datastrip=known_datastrip(text(root, "DATASTRIP_ID_2A") or text(root, "DATASTRIP_ID")),
    )


def read_angles(content: bytes, where: str) -> AngleGrids:
    """The angle grids of a tile's metadata.

    :raises ImageryError: when there are none, or they are damaged.
    """
    root = parse_xml(content, where)
    sun, position = first(root, "Sun_Angles_Grid"), first(root, "Geoposition")
    if sun is None or position is None:
        raise ImageryError(f"{where}: has no grid of sun angles. Fetch it again.")
    sun_nodes = _pair(sun, where)
    view: dict[str, list[AnglePair]] = {}
    for grid in named(root, "Viewing_Incidence_Angles_Grids"):
        pair = _pair(grid, where)
        if pair[0].shape != sun_nodes[0].shape:
            raise ImageryError(
                f"{where}: view angles on a grid of {pair[0].shape}, those of the sun on one of {sun_nodes[0].shape}."
                " Fetch it again."
            )
        view.setdefault(_band_of(grid.get("bandId"), where), []).append(pair)
    return AngleGrids(
        crs=_crs(root, where),
        left=as_number(required(position, "ULX", where), "ULX", where),
        top=as_number(required(position, "ULY", where), "ULY", where),
        column_step=_step(sun, "COL_STEP", where),
        row_step=_step(sun, "ROW_STEP", where),
        sun_nodes=sun_nodes,
        view_nodes=view,
    )


def check_same(tile: TileFacts, product: ProductFacts, where: str) -> None:
    """Refuse a tile that is not of its product.

    :raises ImageryError: naming what differs.
    """
    pairs = [
        ("level", tile.level, product.level),
        ("satellite", tile.satellite, product.satellite),
    ]
    baselines = tile.baseline, product.baseline
    # Tiles may carry another baseline than their product: it matters where only one of the two has offsets.
    if SEN2COR_BASELINE not in baselines and len({carries_offset(each) for each in baselines}) > 1:
        pairs.append(("processing baseline", *baselines))
    if product.name is not None:
        pairs.append(("tile", tile.tile, product.name.tile))
    for what, of_tile, of_product in pairs:
        if of_tile != of_product:
            raise ImageryError(
                f"{where}: the metadata of the tile says {what} {of_tile}, that of the product {of_product}. These are"
                " files of two products: fetch the original again."
            )
    if not -_CLOCKS <= tile.sensing_time - product.time <= _DATATAKE:
        raise ImageryError(
            f"{where}: the metadata of the tile says sensed at {tile.sensing_time:%Y-%m-%dT%H:%M:%S}, that of the"
            f" product that its datatake began at {product.time:%Y-%m-%dT%H:%M:%S}. These are files of two products:"
            " fetch the original again."
        )


def _agree(facts: ProductFacts, name: NameFacts, where: str) -> None:
    pairs = [
        ("level", facts.level, name.level),
        ("satellite", facts.satellite, name.satellite),
        ("processing baseline", facts.baseline, name.baseline),
        ("time", name.time if abs(facts.time - name.time) <= _CLOCKS else facts.time, name.time),
    ]
    for what, said, named_so in pairs:
        if said != named_so:
            raise ImageryError(f"{where}: says {what} {said}, the product's name {named_so}. Fetch the original again.")


def _level(level: str, root: str, where: str) -> Level:
    known: dict[str, Level] = {"Level-1C": "L1C", "Level-2A": "L2A", "Level-2Ap": "L2A"}
    if level not in known:
        raise ImageryError(f"{where}: PROCESSING_LEVEL {excerpt(level)}: only Level-1C and Level-2A are read.")
    if not root.startswith(f"Level-{known[level][1:]}"):
        raise ImageryError(
            f"{where}: PROCESSING_LEVEL {excerpt(level)} in a document of {excerpt(root)}. Fetch the original again."
        )
    return known[level]


def _baseline(baseline: str, where: str) -> str:
    if not re.fullmatch(r"\d\d\.\d\d", baseline):
        raise ImageryError(f"{where}: PROCESSING_BASELINE {excerpt(baseline)}: expected a number such as 05.10.")
    return baseline


def _quantification(root: Element, level: Level, where: str) -> float:
    name = "QUANTIFICATION_VALUE" if level == "L1C" else "BOA_QUANTIFICATION_VALUE"
    value = number(root, name, where)
    if value is None and level == "L2A":  # up to baseline 02.06
        name, value = "L1C_L2A_Quantification_Values_List", number(root, "L2A_BOA_QUANTIFICATION_VALUE", where)
    if value is None or value <= 0:
        raise ImageryError(f"{where}: {name} is {'missing' if value is None else value}. Fetch the original again.")
    return value


def _offsets(root: Element, level: Level, baseline: str, where: str) -> dict[str, int]:
    name = _OFFSET[level]
    offsets: dict[str, int] = {}
    for element in named(root, name):
        band = _band_of(element.get("band_id"), where)
        value = as_number((element.text or "").strip(), f"{name} of {band}", where)
        if band in offsets or value != int(value):
            raise ImageryError(f"{where}: {name} of {band} is given twice, or {value}. Fetch the original again.")
        offsets[band] = int(value)
    missing = [band for band in BANDS if band not in offsets and not (level == "L2A" and band == "B10")]
    if offsets and missing:
        raise ImageryError(f"{where}: no {name} of {', '.join(missing)}, others have one. Fetch the original again.")
    if not offsets and says_offset(level, baseline):
        raise ImageryError(
            f"{where}: no {name}, which products of baseline {baseline} have, and without it all values are wrong."
            " Fetch the original again."
        )
    return offsets


def _special(root: Element, name: str, default: int, where: str) -> int:
    for element in named(root, "Special_Values"):
        if text(element, "SPECIAL_VALUE_TEXT") == name:
            return int(as_number(required(element, "SPECIAL_VALUE_INDEX", where), name, where))
    return default


def _footprint(root: Element, where: str) -> tuple[tuple[float, float], ...]:
    """Ring of (longitude, latitude); the metadata has latitude first."""
    numbers = (text(root, "EXT_POS_LIST") or "").split()
    values = [as_number(each, "EXT_POS_LIST", where) for each in numbers]
    if len(values) % 2:
        raise ImageryError(f"{where}: EXT_POS_LIST has an odd count of numbers. Fetch it again.")
    return tuple(zip(values[1::2], values[0::2], strict=True))


def _crs(root: Element, where: str) -> str:
    code = required(root, "HORIZONTAL_CS_CODE", where)
    if _CRS.match(code) is None:
        raise ImageryError(f"{where}: HORIZONTAL_CS_CODE {excerpt(code)} is no EPSG code. Fetch it again.")
    return code


def _step(grid: Element, name: str, where: str) -> float:
    step = as_number(required(grid, name, where), name, where)
    if step <= 0:
        raise ImageryError(f"{where}: {name} is {step}, nodes of angles are some kilometres apart. Fetch it again.")
    return step


def _pair(grid: Element, where: str) -> AnglePair:
    zenith, azimuth = (_nodes(grid, name, where) for name in ("Zenith", "Azimuth"))
    if zenith.shape != azimuth.shape:
        raise ImageryError(f"{where}: zenith has {zenith.shape} angles, azimuth {azimuth.shape}. Fetch it again.")
    return zenith, azimuth


def _nodes(grid: Element, name: str, where: str) -> NDArray[np.float64]:
    element = first(grid, name)
    rows = [] if element is None else [(row.text or "").split() for row in named(element, "VALUES")]
    if not rows or not rows[0] or len({len(row) for row in rows}) != 1:
        raise ImageryError(f"{where}: {name} of an angle grid is no table. Fetch it again.")
    try:
        return np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise ImageryError(
            f"{where}: {name} of an angle grid holds what is no number ({reason_of(error)}). Fetch it again."
        ) from error


def _band_of(identifier: str | None, where: str) -> str:
    """The band of a number of the metadata, which counts them in the order of eotasks.models.sentinel2.BANDS."""
    number = whole_number(identifier or "")
    if number is None or number >= len(BANDS):
        raise ImageryError(f"{where}: band {excerpt(identifier)} is none of 0 to {len(BANDS) - 1}. Fetch it again.")
    return BANDS[number]


def _time(value: str, where: str) -> dt.datetime:
    try:
        return parse_time(value)
    except ValueError as error:
        raise ImageryError(f"{where}: {excerpt(value)} is no time. Fetch it again.") from error
