"""Folders of labelled scenes, made for a test: a bright block is cloud, with a shadow beside it. Nothing is real."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from eolearn.core import EOPatch, FeatureType
from numpy.typing import NDArray
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

SHAPE = (20, 24)
PIXEL = 20.0
LEFT, TOP = 500_000.0, 5_000_000.0
TRANSFORM = Affine(PIXEL, 0, LEFT, 0, -PIXEL, TOP)
GROUND = (0.12, 0.10, 0.09, 0.08, 0.11, 0.22, 0.26, 0.27, 0.28, 0.10, 0.001, 0.20, 0.12)
CLOUD_SPECTRUM = (0.62, 0.64, 0.62, 0.66, 0.67, 0.68, 0.69, 0.68, 0.70, 0.35, 0.02, 0.55, 0.45)


def truth() -> NDArray[np.uint8]:
    """(20, 24): a cloud of 8 x 8 pixels and a shadow of 4 x 6."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:12, 4:12] = 1
    labels[13:17, 14:20] = 2
    return labels


def digital_numbers(labels: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """(h, w, 13) uint16 DN of labels 0, 1, 2."""
    ground, cloud = np.array(GROUND), np.array(CLOUD_SPECTRUM)
    spectra = np.stack([ground, cloud, ground * 0.4])
    values: NDArray[np.uint16] = np.rint(spectra[labels] * 10_000).astype(np.uint16)
    return values


def write_image(file: Path, values: NDArray[Any], **options: Any) -> None:
    """A GeoTIFF of an array (h, w) or (h, w, bands)."""
    bands = np.moveaxis(np.atleast_3d(values), -1, 0)
    names = options.pop("names", None)
    profile: dict[str, Any] = {
        "driver": "GTiff", "count": len(bands), "height": bands.shape[1], "width": bands.shape[2],
        "dtype": bands.dtype, "crs": "EPSG:32633", "transform": TRANSFORM, **options,
    }  # fmt: skip
    file.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(file, "w", **profile) as image:
        image.write(bands)
        if names:
            image.descriptions = names


def write_scene(folder: Path, *, mask: NDArray[np.uint8] | None = None) -> None:
    """A scene; the mask of its own is the truth where none is given."""
    labels = truth()
    write_image(folder / "bands.tif", digital_numbers(labels))
    write_image(folder / "label.tif", labels)
    write_image(folder / "clm.tif", labels if mask is None else mask)


def write_eopatch(folder: Path, *, frames: int = 2) -> None:
    """An EOPatch with data/BANDS, mask/LABEL and mask/CLM."""
    labels = truth()
    height, width = SHAPE
    bbox = BBox((LEFT, TOP - PIXEL * height, LEFT + PIXEL * width, TOP), CRS(32633))
    times = [dt.datetime(2020, 6, 1 + index, 10) for index in range(frames)]  # noqa: DTZ001 - as EOPatches have them
    patch = EOPatch(bbox=bbox, timestamps=times)
    patch[FeatureType.DATA, "BANDS"] = np.stack([digital_numbers(labels)] * frames)
    patch[FeatureType.MASK, "LABEL"] = np.stack([labels] * frames)[..., np.newaxis]
    patch[FeatureType.MASK, "CLM"] = np.stack([(labels == 1).astype(np.uint8)] * frames)[..., np.newaxis]
    patch.save(str(folder))
