"""The images of a product's masks: Cloud Optimized GeoTIFFs of CLP, CLM, SHADOW and TERRAIN_SHADE, their classes and
their tags.

CLP is stored as Sentinel Hub serves it, probability * 255, with one difference: 255 means no data, so a certain cloud
is 254. The error is at most 1/255, half of that below. Which pixels of 254 are 255 a tag says (`CERTAIN`), for the
service, whose numbers are those of s2cloudless to the last one. CLM is 0 clear, 1 cloud, 255 no data, and where asked
for 3 snow and 4 thin cloud: its colour table and its tag ENCODING name the classes that it may hold. CLM and SHADOW
carry a colour table, in which clear is transparent (by ``.aux.xml``); CLP does not: GDAL averages the colours of a file
that has one, where probabilities are to be averaged.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from eotasks.clouds.detectors.registry import find_detector
from eotasks.export.cog import write_cog
from eotasks.models.classes import ClassTable, LandCoverClass
from eotasks.models.clouds.mask_classes import SNOW, THIN_CLOUD
from eotasks.models.clouds.postprocess import CLEAR, CLOUD, MAX_CLP, NO_DATA
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.product import ProductMasks

MAX_STORED_CLP = MAX_CLP - 1

CLM_CLASSES = ClassTable((LandCoverClass(CLEAR, "Clear", "#d9e3d4"), LandCoverClass(CLOUD, "Cloud", "#e69f00")))
SNOW_CLASS = LandCoverClass(SNOW, "Snow", "#56b4e9")
THIN_CLOUD_CLASS = LandCoverClass(THIN_CLOUD, "Thin cloud", "#f0e442")
SHADOW_CLASSES = ClassTable(
    (LandCoverClass(CLEAR, "No shadow", "#d9e3d4"), LandCoverClass(CLOUD, "Cloud shadow", "#0072b2"))
)
TERRAIN_CLASSES = ClassTable(
    (LandCoverClass(CLEAR, "No terrain shade", "#d9e3d4"), LandCoverClass(CLOUD, "Terrain shade", "#cc79a7"))
)

TRANSPARENT = (CLEAR,)

CERTAIN = "CERTAIN"
"""Name of the tag of :func:`certain_tag`."""

CERTAIN_PIXELS = 4_000_000
"""Of the largest frame whose tag is written: tiles at 60 m."""

CERTAIN_LETTERS = 1_000_000
"""Of the longest tag that is read."""


def image_kinds(options: CloudMaskOptions) -> list[str]:
    """Which of CLP, CLM, SHADOW and TERRAIN_SHADE are made under these options."""
    left_out = {
        "CLP": "probability" not in options.answers,
        "SHADOW": not options.shadows,
        "TERRAIN_SHADE": options.dem is None,
    }
    return [kind for kind in ("CLP", "CLM", "SHADOW", "TERRAIN_SHADE") if not left_out.get(kind)]


def write_images(
    locations: Mapping[str, str], masks: ProductMasks, options: CloudMaskOptions, tags: Mapping[str, str]
) -> None:
    """Write what is made, each file whole or not at all, and the same bytes for the same masks and tags.

    :param locations: A path or an S3 location of each kind that is written (:func:`image_kinds`).
    :param tags: Of :func:`product_tags`, and more.
    :raises StorageError: when a file cannot be written.
    """
    if "CLP" in locations and masks.probability is not None:
        is_data = masks.mask != NO_DATA
        certain = certain_tag(masks.probability, is_data)
        write_cog(
            locations["CLP"],
            stored_probability(masks.probability, is_data),
            crs=masks.grid.crs,
            bounds=masks.grid.bounds,
            nodata=NO_DATA,
            descriptions=["Cloud probability"],
            tags={
                **tags,
                "ENCODING": f"probability * {MAX_CLP}, at most {MAX_STORED_CLP}; {NO_DATA} no data",
                **({} if certain is None else {CERTAIN: certain}),
            },
            overviews="average",
            scale=1 / MAX_CLP,
        )
    if "CLM" in locations:
        _write_classes(locations["CLM"], masks.mask, clm_classes(options), "Cloud mask", masks, tags)
    if "SHADOW" in locations and masks.shadow is not None:
        _write_classes(locations["SHADOW"], masks.shadow, SHADOW_CLASSES, "Cloud shadow", masks, tags)
    if "TERRAIN_SHADE" in locations and masks.terrain_shade is not None:
        location = locations["TERRAIN_SHADE"]
        _write_classes(location, masks.terrain_shade, TERRAIN_CLASSES, "Terrain shade", masks, tags)


def _write_classes(
    location: str,
    values: NDArray[np.uint8],
    classes: ClassTable,
    description: str,
    masks: ProductMasks,
    tags: Mapping[str, str],
) -> None:
    encoding = ", ".join([*(f"{item.id} {item.name.lower()}" for item in classes), f"{NO_DATA} no data"])
    write_cog(
        location,
        values,
        crs=masks.grid.crs,
        bounds=masks.grid.bounds,
        classes=classes,
        nodata=NO_DATA,
        descriptions=[description],
        tags={**tags, "ENCODING": encoding},
        overviews="mode",
        transparent=TRANSPARENT,
    )


def clm_classes(options: CloudMaskOptions) -> ClassTable:
    """The classes of CLM under these options."""
    asked = [
        each for each, is_asked in ((SNOW_CLASS, options.snow), (THIN_CLOUD_CLASS, options.thin_cloud)) if is_asked
    ]
    return ClassTable((*CLM_CLASSES, *asked))


def stored_probability(probability: NDArray[np.float32], is_data: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Probability 0..1 as uint8: times 255, at most 254, 255 without data."""
    stored = np.empty(probability.shape, dtype=np.uint8)
    for row, values in enumerate(probability):  # one by one: of a full tile all at once take gigabytes
        scaled = np.minimum(_scaled(values), MAX_STORED_CLP)
        stored[row] = np.where(is_data[row], scaled, NO_DATA)
    return stored


def certain_tag(probability: NDArray[np.float32], is_data: NDArray[np.bool_]) -> str | None:
    """Which pixels of 254 are 255, as a tag: bits by rows, packed by zlib, in letters of base64. None where none are,
    or where it would be too long, as of a frame of 10 m.
    """
    if probability.size > CERTAIN_PIXELS:
        return None
    certain = is_data & (_scaled(probability) > MAX_STORED_CLP)
    if not certain.any():
        return None
    return base64.b64encode(zlib.compress(np.packbits(certain).tobytes(), 9)).decode()


def exact_clp(stored: NDArray[np.uint8], tag: str | None) -> NDArray[np.uint8]:
    """CLP 0..255 where there is data, of a whole file; what is no data stays 255.

    :param tag: Of :func:`certain_tag`; None or anything else changes nothing.
    """
    if tag is None:
        return stored
    length = -(-stored.size // 8)
    try:
        bits = zlib.decompressobj().decompress(base64.b64decode(tag, validate=True), length)
    except (ValueError, zlib.error):
        return stored
    if len(bits) != length:
        return stored
    certain = np.unpackbits(np.frombuffer(bits, np.uint8), count=stored.size).reshape(stored.shape).view(bool)
    return np.where(certain & (stored == MAX_STORED_CLP), np.uint8(MAX_CLP), stored)


def _scaled(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = np.rint(probability * np.float32(MAX_CLP))
    return scaled


def product_tags(name: str, masks: ProductMasks, options: CloudMaskOptions) -> dict[str, str]:
    """Metadata of the GeoTIFFs: product, model and every parameter. Nothing in it depends on machine or clock."""
    acquisition = masks.acquisition
    known = {
        "PRODUCT": name,
        "SATELLITE": acquisition.satellite,
        "TILE": f"T{acquisition.tile}",
        "LEVEL": acquisition.level,
        "PROCESSING_BASELINE": acquisition.processing_baseline,
        "RELATIVE_ORBIT": acquisition.relative_orbit,
        "ACQUISITION_TIME": f"{acquisition.time.isoformat()}Z",
        **({} if masks.shadow is None else {name.upper(): value for name, value in sun_angles(masks).items()}),
        **find_detector(options.detector).tags,
        "DETECTOR_PACKAGE": options.detector_package(),
        "TIFFTAG_SOFTWARE": f"eotasks {version('eotasks')}",
        "TIFFTAG_COPYRIGHT": acquisition.attribution,
    }
    settings = {key.upper(): value for key, value in options.to_dict().items()}
    return {key: str(value) for key, value in {**known, **settings}.items() if value not in (None, "")}


def sun_angles(masks: ProductMasks) -> dict[str, float]:
    """Where the sun stood, in degrees: zenith, and azimuth clockwise from north. What shadows are found by, in files of
    results; nothing of products that do not say.
    """
    angles = {"sun_zenith": masks.acquisition.sun_zenith, "sun_azimuth": masks.acquisition.sun_azimuth}
    return {name: value for name, value in angles.items() if value is not None and math.isfinite(value)}
