"""What the layouts of products share: names of files, and how their parts are put together."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import partial

from eotasks.imagery.files.protocol import ProductFiles, RasterFile
from eotasks.imagery.products.acquisition import Acquisition
from eotasks.imagery.products.angles import AngleGrids
from eotasks.imagery.products.metadata import ProductFacts, TileFacts, read_angles
from eotasks.imagery.products.polygons import read_polygons
from eotasks.imagery.products.product import MaskSource
from eotasks.models.sentinel2 import BANDS
from eotasks.storage.location import is_remote

PRODUCT_METADATA = ("MTD_MSIL1C.xml", "MTD_MSIL2A.xml")
TILE_METADATA = "metadata.xml"

_FOOTPRINT = re.compile(r"/?MSK_DETFOO_(?P<band>B\d[\dA])\.(?P<kind>jp2|gml)$")
_LAYER = re.compile(
    r"(?:(?:^|/)(?:QI_DATA|qi)/(?:[^/]*_)?(?P<mask>CLD|SNW)(?:PRB)?_(?P<size>\d\d)m"
    r"|(?:^|/)R(?P<folder>\d\d)m/(?:[^/]*_)?(?P<image>AOT)(?:_\d\dm)?)\.jp2$"
)
_CLOUDS = re.compile(r"/?(?:MSK_CLASSI_B00\.jp2|MSK_CLOUDS_B00\.gml)$")


def in_order(found: Mapping[str, RasterFile]) -> dict[str, RasterFile]:
    """Bands in the order of eotasks.models.sentinel2.BANDS."""
    return {band: found[band] for band in BANDS if band in found}


def base_name(location: str) -> str:
    """Last part of a location, without .zip and .SAFE."""
    text = location.rstrip("/")
    name = text.rpartition("/")[2] if is_remote(text) else os.path.basename(os.path.realpath(text))  # noqa: PTH119
    for ending in (".zip", ".SAFE"):
        name = name.removesuffix(ending)
    return name


def own_name(files: ProductFiles, facts: ProductFacts | None) -> str:
    """The product's name as its metadata has it, or that of its folder."""
    name = None if facts is None else facts.name
    if name is None:
        return base_name(files.location)
    stamp = "%Y%m%dT%H%M%S"
    return (
        f"{name.satellite}_MSI{name.level}_{name.time:{stamp}}_N{name.baseline.replace('.', '')}_R{name.orbit:03}"
        f"_T{name.tile}_{name.made:{stamp}}"
    )


def acquisition_of(facts: ProductFacts, tile: TileFacts) -> Acquisition:
    """What the metadata of a product and of its tile say together."""
    return Acquisition(
        time=facts.time,
        satellite=facts.satellite,
        tile=tile.tile,
        relative_orbit=facts.orbit if facts.name is None else facts.name.orbit,
        processing_baseline=facts.baseline,
        datastrip=tile.datastrip,
        level=facts.level,
        offsets=facts.offsets,
        quantification=facts.quantification,
        saturated=facts.saturated,
        generation_time=facts.made,
        orbit_direction=facts.direction,
        cloud_cover=tile.cloud_cover if facts.cloud_cover is None else facts.cloud_cover,
        footprint=facts.footprint,
        sun_zenith=tile.sun_zenith,
        sun_azimuth=tile.sun_azimuth,
        attribution=attribution(facts.time.year),
    )


def attribution(year: int) -> str:
    """The line that the legal notice of Copernicus Sentinel data asks for."""
    return f"contains modified Copernicus Sentinel data {year}"


def footprints(files: ProductFiles, masks: Sequence[str], crs: str) -> dict[str, MaskSource]:
    """Detector footprints by band: images since baseline 04.00, polygons before.

    :param masks: Names of the files of masks.
    :param crs: Of the tile.
    """
    found: dict[str, MaskSource] = {}
    for name in masks:
        match = _FOOTPRINT.search(name)
        if match is not None and match["band"] in BANDS:
            found[match["band"]] = _mask(files, name, crs)
    return {band: found[band] for band in BANDS if band in found}


def cloud_mask(files: ProductFiles, masks: Sequence[str], crs: str) -> MaskSource | None:
    """The product's own cloud mask: an image since baseline 04.00, polygons before; None when there is none."""
    name = next((name for name in masks if _CLOUDS.search(name)), None)
    return None if name is None else _mask(files, name, crs)


def layers(names: Sequence[str]) -> dict[str, RasterFile]:
    """Probabilities of cloud and snow, and optical depth of aerosol, of an L2A product; the finest file of each.

    :param names: Of its files.
    """
    found: dict[str, dict[int, str]] = {}
    for name in names:
        match = _LAYER.search(name)
        if match is not None:
            found.setdefault(match["mask"] or match["image"], {}).setdefault(
                int(match["size"] or match["folder"]), name
            )
    return {layer: RasterFile(name, "JP2OpenJPEG") for layer, name in sorted(finest(found).items())}


def angles_of(files: ProductFiles, name: str) -> AngleGrids:
    """The angle grids of the metadata of a tile.

    :raises ImageryError: when they are missing or damaged.
    """
    return read_angles(files.read_bytes(name), f"{files.location}: {name}")


def finest(found: Mapping[str, Mapping[int, str]]) -> dict[str, str]:
    """The file of the finest resolution of each band. L2A has most of them at several."""
    return {band: by_size[min(by_size)] for band, by_size in found.items()}


def _mask(files: ProductFiles, name: str, crs: str) -> MaskSource:
    return RasterFile(name, "JP2OpenJPEG") if name.endswith(".jp2") else partial(read_polygons, files, name, crs)
