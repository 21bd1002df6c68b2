"""A product as a STAC item.

Extensions: eo, raster (scale and offset of the numbers), projection 2 (transform and shape of every band, read from the
files), view and sat, grid (the tile), processing (level, baseline) and sentinel-2. Fields of the last are those that
Earth Search and the Planetary Computer write, so that the same questions find both.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from eotasks.catalogue.fields import CLOUD_ASSETS, PRODUCT_ASSET
from eotasks.catalogue.packages import package
from eotasks.catalogue.request import as_geojson
from eotasks.errors import GeometryError, ImageryError, reason_of
from eotasks.geometry.antimeridian import bounds_of
from eotasks.geometry.degrees import to_degrees
from eotasks.imagery.files.origin import Origin, mark
from eotasks.imagery.footprints import of_ring, repaired
from eotasks.imagery.grid import Grid, parse_crs
from eotasks.imagery.products.offsets import APPLIED_FLAGS, says_offset
from eotasks.imagery.scene import Scene
from eotasks.models.sentinel2 import CENTRAL_WAVELENGTH, NATIVE_RESOLUTION, NO_DATA_DN
from eotasks.storage.location import absolute
from eotasks.text import has_secret, is_text

if TYPE_CHECKING:
    import pystac

    from eotasks.imagery.files.protocol import RasterFile
    from eotasks.imagery.products.acquisition import Acquisition

EXTENSIONS = {
    prefix: f"https://stac-extensions.github.io/{name}/schema.json"
    for prefix, name in {
        "eo": "eo/v1.1.0", "raster": "raster/v1.1.0", "proj": "projection/v2.0.0", "view": "view/v1.0.0",
        "sat": "sat/v1.0.0", "grid": "grid/v1.1.0", "processing": "processing/v1.1.0", "s2": "sentinel-2/v1.0.0",
        "classification": "classification/v2.0.0", "file": "file/v2.1.0",
    }.items()
}  # fmt: skip
"""Identifiers of extensions, by the prefix of their fields."""

COMMON_NAMES = {
    "B01": "coastal", "B02": "blue", "B03": "green", "B04": "red", "B05": "rededge", "B06": "rededge",
    "B07": "rededge", "B08": "nir", "B8A": "nir08", "B09": "nir09", "B10": "cirrus", "B11": "swir16",
    "B12": "swir22",
}  # fmt: skip
"""Of the eo extension, version 1.1."""

EDGE_POINTS = 8
"""Points along each edge of a footprint that is made from a grid."""

_EXTENT_DECIMALS = 7
"""Of degrees: 1 cm, so that releases of PROJ agree."""

_MEDIA_TYPES = {"JP2OpenJPEG": "image/jp2", "GTiff": "image/tiff; application=geotiff; profile=cloud-optimized"}
_OFFICIAL_NAME = re.compile(r"^S2[A-D]_MSIL(1C|2A)_\d{8}T\d{6}_N\d{4}_R\d{3}_T\d\d[A-Z]{3}_\d{8}T\d{6}$")
_PLATFORMS = {f"S2{letter}": f"sentinel-2{letter.lower()}" for letter in "ABCD"}


def item_of(scene: Scene, *, masks: Mapping[str, str] | None = None) -> pystac.Item:
    """The STAC item of a scene. The headers of its files are read, no pixel.

    Rasters inside of a zip have GDAL's path (``/vsizip/…``) as href; the asset `eotasks:product` is the product itself.

    :param scene: What `open_scene` returns.
    :param masks: Files of "CLP", "CLM" and "SHADOW" as `eotasks cloud-mask` writes them.
    :raises ImageryError: when a file of the product cannot be opened, or its address has a password or signature.
    :raises MissingDependencyError: when pystac is not installed.
    """
    acquisition = scene.acquisition
    grids = {band: scene.grid_of(band) for band in scene.bands}
    footprint = footprint_of(acquisition, grids)
    pystac_ = package("pystac")
    item: pystac.Item = pystac_.Item(
        id=scene.name,
        geometry=as_geojson(footprint),
        bbox=list(bounds_of(footprint)),
        datetime=acquisition.time.replace(tzinfo=dt.UTC),
        properties=_properties(acquisition, scene.name, min(grids.values(), key=lambda grid: grid.resolution)),
    )
    item.add_asset(PRODUCT_ASSET, pystac_.Asset(absolute(scene.location), "The product", roles=["data", "archive"]))
    href = _href(scene.product.files.raster_path)
    for band, grid in grids.items():
        item.add_asset(band, _band_asset(pystac_, band, href(scene.product.bands[band]), scene, grid))
    if scene.product.classification is not None:
        raster = scene.product.classification
        asset = pystac_.Asset(href(raster), "Scene classification", media_type=_MEDIA_TYPES[raster.driver])
        asset.roles = ["data"]
        item.add_asset("SCL", asset)
    add_masks(item, masks or {})
    item.stac_extensions = extensions_of(item)
    mark(item, Origin.of(absolute(scene.location), "catalogue"))
    check_addresses(item)
    return item


def check_addresses(item: pystac.Item) -> None:
    """Refuse an item whose addresses nobody else may read, and which open nothing once the signature has run out.

    Without it they would lead nowhere: an address is kept whole or not at all.

    :raises ImageryError: when one has a user, a password or a signature in it, or is no text (bytes of a file's name
        that are no UTF-8).
    """
    addresses = {f"asset {key}": asset.href for key, asset in item.assets.items()}
    addresses |= {f"link {link.rel}": str(link.target) for link in item.links if isinstance(link.target, str)}
    for what, address in addresses.items():
        if has_secret(address):
            raise ImageryError(
                f"STAC item {item.id!r}: the address of {what} ({address}) has a user, a password or a signature in it,"
                " which a catalogue does not keep: give one without, or download the product."
            )
    if not all(is_text(each) for each in (item.id, *addresses.values())):
        raise ImageryError(f"STAC item {item.id!r}: its name or path is no UTF-8, which a catalogue is: rename it.")


def extensions_of(item: pystac.Item) -> list[str]:
    """Identifiers of the extensions whose fields an item has: some want at least one of theirs."""
    names = {*item.properties, *(name for asset in item.assets.values() for name in asset.extra_fields)}
    prefixes = {name.partition(":")[0] for name in names if ":" in name}
    return [identifier for prefix, identifier in EXTENSIONS.items() if prefix in prefixes]


def add_masks(item: pystac.Item, masks: Mapping[str, str]) -> None:
    """Names the files of `eotasks cloud-mask` in an item: CLP (probability * 255), CLM and SHADOW (0, 1), 255 no data.

    CLM may hold 3 snow and 4 thin cloud too; its own tags say so.

    :param masks: Files of "CLP", "CLM" and "SHADOW".
    """
    pystac_ = package("pystac")
    titles = {"CLP": "Cloud probability", "CLM": "Cloud mask", "SHADOW": "Cloud shadow"}
    roles = {"CLP": ["data"], "CLM": ["data", "cloud"], "SHADOW": ["data", "cloud-shadow"]}
    for key in CLOUD_ASSETS:
        if key not in masks:
            continue
        item.add_asset(
            key,
            pystac_.Asset(
                masks[key],
                titles[key],
                media_type=_MEDIA_TYPES["GTiff"],
                roles=roles[key],
                extra_fields={
                    "raster:bands": [
                        {"nodata": 255, "data_type": "uint8", **({"scale": 1 / 255} if key == "CLP" else {})}
                    ]
                },
            ),
        )


def footprint_of(acquisition: Acquisition, grids: Mapping[str, Grid]) -> BaseGeometry:
    """Where a scene has data, in degrees: as its metadata says, else its grids' extent.

    :raises ImageryError: when what the metadata says is no polygon.
    """
    if not acquisition.footprint:
        return _extent(grids)
    where = f"Tile {acquisition.tile} of {acquisition.time:%Y-%m-%d}"
    rings = (acquisition.footprint, *acquisition.other_footprints)
    try:
        parts = [repaired(of_ring(ring, where), where) for ring in rings]
        return shapely.union_all(parts) if parts[1:] else parts[0]
    except shapely.errors.ShapelyError as error:
        raise ImageryError(f"{where}: its footprint is no polygon ({reason_of(error)}). Fetch it again.") from error


def _extent(grids: Mapping[str, Grid]) -> BaseGeometry:
    parts = []
    for grid in {grid.bounds: grid for grid in grids.values()}.values():
        left, bottom, right, top = grid.bounds
        box = shapely.box(left, bottom, right, top)
        try:
            area = to_degrees(box, parse_crs(grid.crs), edge_parts=EDGE_POINTS)
        except GeometryError as error:
            raise ImageryError(f"Extent {grid.bounds} in {grid.crs}: {error}. Fetch the product again.") from error
        parts.append(shapely.transform(area, lambda points: np.round(points, _EXTENT_DECIMALS)))
    return shapely.union_all(parts)


def _properties(acquisition: Acquisition, name: str, grid: Grid) -> dict[str, Any]:
    sun = acquisition.sun_zenith
    fields = {
        "platform": _PLATFORMS.get(acquisition.satellite),
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "gsd": grid.resolution,
        "eo:cloud_cover": acquisition.cloud_cover,
        "proj:code": parse_crs(grid.crs).to_string(),
        "grid:code": f"MGRS-{acquisition.tile.lstrip('0')}",
        "sat:relative_orbit": acquisition.relative_orbit,
        "sat:orbit_state": acquisition.orbit_direction,
        "view:sun_azimuth": acquisition.sun_azimuth,
        "view:sun_elevation": None if sun is None else round(90 - sun, 9),
        "processing:level": acquisition.level,
        "s2:product_uri": f"{name}.SAFE" if _OFFICIAL_NAME.match(name) else None,
        "s2:product_type": f"S2MSI{acquisition.level[1:]}",
        "s2:processing_baseline": acquisition.processing_baseline,
        APPLIED_FLAGS[0]: True if _is_removed(acquisition) else None,
        "s2:datastrip_id": acquisition.datastrip,
        "s2:generation_time": _utc(acquisition.generation_time),
    }
    return {key: value for key, value in fields.items() if value is not None}


def _is_removed(acquisition: Acquisition) -> bool:
    """Whether the product's baseline has an offset that its numbers have no more."""
    offsets = [acquisition.radio_add_offset, *acquisition.offsets.values()]
    return bool(says_offset(acquisition.level, acquisition.processing_baseline)) and not any(offsets)


def _utc(moment: dt.datetime | None) -> str | None:
    return None if moment is None else f"{moment.isoformat()}Z"


def _band_asset(pystac_: Any, band: str, href: str, scene: Scene, grid: Grid) -> Any:
    acquisition, raster = scene.acquisition, scene.product.bands[band]
    wavelength = round(CENTRAL_WAVELENGTH[band] / 1000, 4)
    return pystac_.Asset(
        href,
        f"Band {band[1:].lstrip('0')}",
        media_type=_MEDIA_TYPES[raster.driver],
        roles=["data", "reflectance"],
        extra_fields={
            "gsd": float(NATIVE_RESOLUTION[band]),
            "eo:bands": [{"name": band, "common_name": COMMON_NAMES[band], "center_wavelength": wavelength}],
            "raster:bands": [
                {
                    "nodata": NO_DATA_DN,
                    "data_type": "uint16",
                    "scale": 1 / acquisition.quantification,
                    "offset": acquisition.offset_of(band) / acquisition.quantification,
                }
            ],
            "proj:shape": list(grid.shape),
            "proj:transform": list(grid.transform)[:6],
        },
    )


def _href(raster_path: Callable[[str], str]) -> Callable[[RasterFile], str]:
    def href(raster: RasterFile) -> str:
        path = raster_path(raster.name)
        return f"s3://{path.removeprefix('/vsis3/')}" if path.startswith("/vsis3/") else absolute(path)

    return href


def asset_keys(bands: Sequence[str]) -> list[str]:
    """All keys that assets of our items may have, for these bands."""
    return [PRODUCT_ASSET, *bands, "SCL", *CLOUD_ASSETS]
