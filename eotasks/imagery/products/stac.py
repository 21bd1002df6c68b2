"""Products as STAC items: each band an asset of its own, mostly a Cloud Optimized GeoTIFF.

Catalogues differ in the names of assets and in where they say the offset of the numbers. It is none where
``earthsearch:boa_offset_applied`` says that it was removed; else it is ``raster:offset`` over ``raster:scale`` of the
asset, else what the metadata of the product says when that is an asset too; baselines before 04.00 have none. An item
that says nothing of it is refused, and so is one that contradicts itself (eotasks.imagery.products.offsets).
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import shapely

from eotasks.documents import parse_json
from eotasks.errors import GeometryError, ImageryError, OffsetError
from eotasks.geometry.antimeridian import unrolled
from eotasks.imagery import footprints
from eotasks.imagery.files.assets import AssetFiles, read_document
from eotasks.imagery.files.origin import Origin
from eotasks.imagery.files.protocol import RasterFile
from eotasks.imagery.files.signing import Signing
from eotasks.imagery.products.acquisition import QUANTIFICATIONS, Acquisition, checked
from eotasks.imagery.products.metadata import (
    datastrip_in,
    parse_product_name,
    read_product_metadata,
)
from eotasks.imagery.products.offsets import check_baselines, check_scale, check_statement, offset_removed, says_offset
from eotasks.imagery.products.parts import angles_of, attribution, in_order
from eotasks.imagery.products.product import Product
from eotasks.limits import ITEM_ASSETS
from eotasks.models.sentinel2 import BANDS, QUANTIFICATION
from eotasks.text import excerpt, redacted
from eotasks.times import parse_time

_KEY = re.compile(r"^(B\d[\dA]|SCL)(?:[_-](\d\d)m)?$", re.IGNORECASE)
_COMMON_NAMES = {
    "coastal": "B01", "blue": "B02", "green": "B03", "red": "B04", "rededge1": "B05", "rededge2": "B06",
    "rededge3": "B07", "nir": "B08", "nir08": "B8A", "nir09": "B09", "cirrus": "B10", "swir16": "B11",
    "swir22": "B12", "scl": "SCL",
}  # fmt: skip
"""Keys of assets in catalogues that name bands by colour (Earth Search)."""

_BASELINE = re.compile(r"\d\d\.\d\d", re.ASCII)
_SAME_SCALE = 1e-6

_PRODUCT_METADATA = ("product_metadata", "product-metadata", "metadata")
_TILE_METADATA = ("granule_metadata", "granule-metadata")
_DATATAKE = re.compile(r"GS2[A-D]_(\d{8}T\d{6})_")
_DATATAKE_KEYS = ("s2:datatake_id", "eopf:datatake_id")


def read_item(location: str, origin: Origin) -> dict[str, Any]:
    """A STAC item from a file or an address.

    :param origin: Of the item: which servers of the user's network may be asked.
    :raises ImageryError: when it is absent, or no item.
    """
    item = parse_json(
        read_document(location, origin),
        lambda reason: ImageryError(f"{redacted(location)}: cut off, or {reason}. Fetch it again."),
    )
    if not isinstance(item, dict) or item.get("type") != "Feature" or "assets" not in item:
        raise ImageryError(f"{redacted(location)}: no STAC item. Give the item of one product.")
    return item


def describe_item(item: Mapping[str, Any], origin: Origin, signing: Signing | None = None) -> Product:
    """The product that a STAC item describes.

    :param item: The item as JSON.
    :param origin: Where it lies, which decides what its links may be; and the modifier that items pass before.
    :param signing: How it was signed already; None when it was not.
    :raises ImageryError: when it lacks what is needed, or does not say the offset of its numbers.
    """
    name = str(item.get("id", "item"))
    where = redacted(origin.document) if origin.document and origin.kind == "document" else f"STAC item {name}"
    if signing is None and origin.modifier is not None:
        signing = Signing.of(item, origin.modifier, where)
        item = signing.content
    properties, assets = item.get("properties"), item.get("assets")
    if not isinstance(properties, Mapping) or not isinstance(assets, Mapping) or not assets:
        raise ImageryError(f"{where}: has no properties or no assets. Search for it again.")
    if len(assets) > ITEM_ASSETS.value:
        raise ImageryError(f"{where}: {ITEM_ASSETS.excess(len(assets))}. It is not read.")
    links = {str(key): asset for key, asset in assets.items() if isinstance(asset, Mapping) and asset.get("href")}
    hrefs = {key: str(asset["href"]) if signing is None else signing.unsigned(key) for key, asset in links.items()}
    files = AssetFiles(where, {key: origin.resolved(href) for key, href in hrefs.items()}, origin, signing)
    chosen = _bands(links)
    classification = chosen.pop("SCL", None)
    bands = in_order({band: _raster(key, links[key]) for band, key in chosen.items()})
    if not bands:
        raise ImageryError(f"{where}: no asset of a Sentinel-2 band, there are: {', '.join(links)[:200]}.")
    baseline = _baseline(properties, name)
    level = _level(item, properties, where)
    offsets, quantification = _numbers(files, links, chosen, properties, level, baseline, where)
    tile_metadata = next((key for key in _TILE_METADATA if key in links), None)
    return Product(
        name=str(properties.get("s2:product_uri") or name).removesuffix(".SAFE"),
        files=files,
        acquisition=_acquisition(item, properties, level, baseline, offsets, quantification, where),
        bands=bands,
        classification=None if classification is None else _raster(classification, links[classification]),
        angles=None if tile_metadata is None else partial(angles_of, files, tile_metadata),
    )


def numbers_of_item(item: Mapping[str, Any], origin: Origin) -> tuple[dict[str, int], float]:
    """Offsets (DN) by band and the quantification of an item, whatever else it lacks: its rasters are not looked for.

    :raises ImageryError: when the item does not say the offset of its numbers, or contradicts itself.
    """
    name = str(item.get("id", "item"))
    where = f"STAC item {name}"
    properties, assets = item.get("properties"), item.get("assets")
    if not isinstance(properties, Mapping) or not isinstance(assets, Mapping) or not assets:
        raise ImageryError(f"{where}: has no properties or no assets. Search for it again.")
    links = {str(key): asset for key, asset in assets.items() if isinstance(asset, Mapping) and asset.get("href")}
    chosen = {band: key for band, key in _bands(links).items() if band != "SCL"}
    if not chosen:
        raise ImageryError(f"{where}: no asset of a Sentinel-2 band, there are: {', '.join(links)[:200]}.")
    baseline = _baseline(properties, name)
    try:
        level = _level(item, properties, where)
    except ImageryError:  # then a baseline of Sen2Cor's own runs tells nothing, as for L2A
        level = "L2A"
    # The document of a product is looked for where the item itself does not say: its link may lead where none may.
    alone = {key: asset for key, asset in links.items() if key not in _PRODUCT_METADATA}
    documents = {key: asset for key, asset in links.items() if key in _PRODUCT_METADATA}
    nothing = AssetFiles(where, {}, origin)
    try:
        offsets, quantification = _numbers(nothing, alone, chosen, properties, level, baseline, where)
    except ImageryError:
        if not documents:
            raise
        addresses = {key: origin.resolved(str(asset["href"])) for key, asset in documents.items()}
        files = AssetFiles(where, addresses, origin)
        offsets, quantification = _numbers(files, links, chosen, properties, level, baseline, where)
    return {band: offsets.get(band, 0) for band in chosen}, quantification


def _bands(links: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Keys of the assets by band: of several the one with a usual key, the GeoTIFF, the finest."""
    ranked: dict[str, tuple[tuple[bool, bool, int], str]] = {}
    for key, asset in links.items():
        plain = key.removesuffix("-jp2")
        match = _KEY.match(plain)
        band = match.group(1).upper() if match else _COMMON_NAMES.get(plain) or _said_band(asset)
        if band not in (*BANDS, "SCL") or not _is_image(asset):
            continue
        size = int(match.group(2) or 0) if match else 0
        rank = (match is None and plain not in _COMMON_NAMES, not _is_geotiff(asset), size)
        if band not in ranked or rank < ranked[band][0]:
            ranked[band] = rank, key
    return {band: key for band, (_, key) in ranked.items()}


def _said_band(asset: Mapping[str, Any]) -> str:
    """The band that an asset of any key says it holds; "" when it says none, or several."""
    said = _said(asset, "eo:bands") or _said(asset, "bands")
    if len(said) != 1:
        return ""
    match = re.fullmatch(r"B0?(\d{1,2}|8A)", str(said[0].get("name", "")), re.IGNORECASE)
    if match is not None:
        return f"B{match.group(1).upper():0>2}"
    return _COMMON_NAMES.get(str(said[0].get("eo:common_name", said[0].get("common_name"))), "")


def _said(asset: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """A list of objects of an asset; empty when there is none."""
    said = asset.get(name)
    return [each for each in said if isinstance(each, Mapping)] if isinstance(said, list) else []


def _is_image(asset: Mapping[str, Any]) -> bool:
    return _is_geotiff(asset) or _path(asset).endswith(".jp2") or "jp2" in str(asset.get("type", ""))


def _is_geotiff(asset: Mapping[str, Any]) -> bool:
    return "tiff" in str(asset.get("type", "")) or _path(asset).endswith((".tif", ".tiff"))


def _path(asset: Mapping[str, Any]) -> str:
    return str(asset["href"]).partition("?")[0].lower()


def _raster(key: str, asset: Mapping[str, Any]) -> RasterFile:
    return RasterFile(key, "GTiff" if _is_geotiff(asset) else "JP2OpenJPEG")


def _numbers(
    files: AssetFiles,
    links: Mapping[str, Mapping[str, Any]],
    chosen: Mapping[str, str],
    properties: Mapping[str, Any],
    level: Literal["L1C", "L2A"],
    baseline: str | None,
    where: str,
) -> tuple[dict[str, int], float]:
    """Offsets by band, and the quantification.

    :raises OffsetError: when baseline, flag, offset and scale contradict each other.
    """
    check_baselines(_baselines(properties), where)
    scaled = {band: _scale(links[key], f"{where}: {band}") for band, key in chosen.items()}
    scales = {scale for scale, _ in scaled.values() if scale is not None}
    least, most = QUANTIFICATIONS
    if len(scales) > 1 or any(not 1 / most <= scale <= 1 / least for scale in scales):
        raise ImageryError(
            f"{where}: its bands have different scales ({', '.join(map('{:g}'.format, sorted(scales)))}), or 0, or"
            f" one that no sensor has ({1 / most:g} to {1 / least:g}). Search for it again."
        )
    quantification = round(1 / next(iter(scales)), 6) if scales else float(QUANTIFICATION)
    removed, expected = offset_removed(properties, where), says_offset(level, baseline)
    stated = {band: offset for band, (_, offset) in scaled.items() if offset is not None}
    if stated and len(stated) < len(chosen):
        raise ImageryError(f"{where}: only {', '.join(stated)} say their offset. Search for it again.")
    check_statement(stated, expected=expected, removed=removed, baseline=baseline, where=where)
    if stated:
        offsets = {band: round(offset * quantification) for band, offset in stated.items()}
        check_scale(min(offsets.values()), quantification, where)
        return {band: offset for band, offset in offsets.items() if offset}, quantification
    if removed or expected is False:
        return {}, quantification
    key = next((key for key in _PRODUCT_METADATA if key in links and _path(links[key]).endswith(".xml")), None)
    if key is None:
        raise ImageryError(
            f"{where}: does not say the offset of its numbers (raster:offset, earthsearch:boa_offset_applied, or the"
            f" metadata of the product) and is of baseline {baseline or 'unknown'}. Read the product itself."
        )
    facts = read_product_metadata(files.read_bytes(key), f"{where}: asset {key}")
    said = {"the item": baseline} if baseline is not None else {}
    check_baselines({**said, "the metadata of its product": facts.baseline}, where)
    if scales and not math.isclose(facts.quantification, quantification, rel_tol=_SAME_SCALE):
        raise OffsetError(
            f"{where}: states a scale of {1 / quantification:g}, the metadata of its product one of"
            f" {1 / facts.quantification:g}. Read the product itself."
        )
    return dict(facts.offsets), facts.quantification


def _scale(asset: Mapping[str, Any], where: str) -> tuple[float | None, float | None]:
    """Scale and offset of an asset, wherever its version of STAC has them."""
    for holder in [asset, *(_said(asset, "raster:bands") or _said(asset, "bands"))[:1]]:
        names = (f"raster:{what}" if f"raster:{what}" in holder else what for what in ("scale", "offset"))
        scale, offset = (_number(holder, name, where) for name in names)
        if scale is not None or offset is not None:
            return scale, offset
    return None, None


def _acquisition(
    item: Mapping[str, Any],
    properties: Mapping[str, Any],
    level: Literal["L1C", "L2A"],
    baseline: str | None,
    offsets: dict[str, int],
    quantification: float,
    where: str,
) -> Acquisition:
    time = _time(properties, where)
    made = properties.get("s2:generation_time")
    state = properties.get("sat:orbit_state")
    zenith, azimuth = (_number(properties, f"s2:mean_solar_{name}", where) for name in ("zenith", "azimuth"))
    elevation = _number(properties, "view:sun_elevation", where)
    if zenith is None and elevation is not None:
        zenith, azimuth = 90 - elevation, _number(properties, "view:sun_azimuth", where)
    orbit = _number(properties, "sat:relative_orbit", where)
    rings = _rings(item, where)
    found = Acquisition(
        time=time,
        satellite=_satellite(properties, where),
        tile=_tile(properties, str(item.get("id", "")), where),
        relative_orbit=None if orbit is None else int(orbit),
        processing_baseline=baseline,
        datastrip=datastrip_in(properties),
        level=level,
        offsets=offsets,
        quantification=quantification,
        generation_time=None if made is None else _naive(str(made), where),
        orbit_direction=state if state in ("ascending", "descending") else None,
        cloud_cover=_number(properties, "eo:cloud_cover", where),
        footprint=rings[0] if rings else (),
        other_footprints=rings[1:],
        sun_zenith=zenith,
        sun_azimuth=azimuth,
        attribution=attribution(time.year),
    )
    return checked(found, where)


def _number(properties: Mapping[str, Any], name: str, where: str) -> float | None:
    """A property that is a number; None when there is none."""
    value = properties.get(name)
    if value is None:
        return None
    try:
        number = float("nan") if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not math.isfinite(number):
        raise ImageryError(f"{where}: {name} is {excerpt(value)}, not a number. Search for it again.")
    return number


def _time(properties: Mapping[str, Any], where: str) -> dt.datetime:
    for key in _DATATAKE_KEYS:
        match = _DATATAKE.match(str(properties.get(key, "")))
        if match is not None:
            return _naive(match.group(1), where)
    return _naive(str(properties.get("datetime") or properties.get("start_datetime")), where).replace(microsecond=0)


def _naive(text: str, where: str) -> dt.datetime:
    try:
        return parse_time(text)
    except ValueError as error:
        raise ImageryError(f"{where}: {text[:40]!r} is no time. Search for it again.") from error


def _satellite(properties: Mapping[str, Any], where: str) -> str:
    platform = str(properties.get("platform", "")).lower().replace("_", "-")
    match = re.fullmatch(r"sentinel-?2-?([a-d])|s2([a-d])", platform)
    if match is None:
        raise ImageryError(f"{where}: platform {platform[:40]!r} is no Sentinel-2. Search for items of Sentinel-2.")
    return f"S2{(match.group(1) or match.group(2)).upper()}"


def _tile(properties: Mapping[str, Any], name: str, where: str) -> str:
    code = str(properties.get("grid:code", "")).removeprefix("MGRS-") or str(properties.get("s2:mgrs_tile", ""))
    parts = [properties.get(f"mgrs:{part}") for part in ("utm_zone", "latitude_band", "grid_square")]
    if not code and all(part is not None for part in parts):
        code = "".join(map(str, parts))
    if not code:
        match = re.search(r"_T?(\d\d[C-X][A-Z]{2})_", name)
        code = match.group(1) if match else ""
    if re.fullmatch(r"\d{1,2}[C-X][A-Z]{2}", code) is None:
        raise ImageryError(f"{where}: does not say its tile (grid:code, s2:mgrs_tile). Search for it again.")
    return code.zfill(5)


def _level(item: Mapping[str, Any], properties: Mapping[str, Any], where: str) -> Literal["L1C", "L2A"]:
    said = " ".join(
        str(properties.get(key, "")) for key in ("s2:product_type", "processing:level", "s2:processing_level")
    )
    said = f"{said} {item.get('collection', '')} {item.get('id', '')}".upper().replace("LEVEL-", "L")
    one, two = any(word in said for word in ("L1C", "MSI1C")), any(word in said for word in ("L2A", "MSI2A"))
    if one == two:
        raise ImageryError(f"{where}: does not say whether it is L1C or L2A. Search in a collection of one level.")
    return "L1C" if one else "L2A"


def _baselines(properties: Mapping[str, Any]) -> dict[str, str]:
    """Processing baselines by who says them."""
    said = {key: properties.get(key) for key in ("s2:processing_baseline", "processing:version")}
    known = {key: value for key, value in said.items() if isinstance(value, str) and _BASELINE.fullmatch(value)}
    facts = parse_product_name(str(properties.get("s2:product_uri", "")))
    return known if facts is None else {**known, "the product's name": facts.baseline}


def _baseline(properties: Mapping[str, Any], name: str) -> str | None:
    said = properties.get("s2:processing_baseline") or properties.get("processing:version")
    if isinstance(said, str) and _BASELINE.fullmatch(said):
        return said
    facts = parse_product_name(str(properties.get("s2:product_uri") or name))
    return None if facts is None else facts.baseline


def _rings(item: Mapping[str, Any], where: str) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Outlines of all parts, one for what is cut at the antimeridian; none when the item has no polygon.

    :raises ImageryError: when they lie at no place on Earth.
    """
    try:
        area = footprints.from_geojson(item.get("geometry"), where)
    except ImageryError as error:
        if isinstance(error.__cause__, GeometryError):
            raise
        return ()
    parts = shapely.get_parts(unrolled(area))
    return tuple(tuple((float(x), float(y)) for x, y in shapely.get_coordinates(part.exterior)) for part in parts)
