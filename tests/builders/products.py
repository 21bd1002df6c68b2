"""Products made for tests: simulated bands in a folder, with what a test wants added to their description."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine

from eotasks.imagery.files.folder import FolderFiles
from eotasks.imagery.files.protocol import RasterFile
from eotasks.imagery.products.acquisition import Acquisition
from eotasks.imagery.products.product import MaskSource, Product
from eotasks.models.sentinel2 import BANDS, NATIVE_RESOLUTION

UTM = "EPSG:32633"
LEFT, TOP = 300_000.0, 5_900_040.0
TAKEN = Acquisition(dt.datetime(2024, 3, 5, 10, 20, 31), "S2A", "33UUU", processing_baseline="05.10")  # noqa: DTZ001


def write_jp2(
    path: Path,
    values: NDArray[Any],
    size: float,
    *,
    left: float = LEFT,
    top: float = TOP,
    crs: str = UTM,
    tile: int | None = None,
    levels: int = 6,
) -> None:
    """A lossless JP2 with resolution levels; the tile is the whole image unless said otherwise."""
    blocks = {} if tile is None else {"tiled": True, "blockxsize": tile, "blockysize": tile}
    layers = values if values.ndim == 3 else values[np.newaxis]
    with rasterio.open(
        path, "w", driver="JP2OpenJPEG", count=len(layers), height=values.shape[-2], width=values.shape[-1],
        dtype=values.dtype, crs=crs, transform=Affine(size, 0, left, 0, -size, top), QUALITY="100", REVERSIBLE="YES",
        RESOLUTIONS=str(levels), **blocks,
    ) as target:  # fmt: skip
        target.write(layers)


def write_cog(path: Path, values: NDArray[Any], size: float, *, left: float = LEFT, top: float = TOP) -> None:
    """A Cloud Optimized GeoTIFF with averaged overviews."""
    with rasterio.open(
        path, "w", driver="COG", count=1, height=values.shape[0], width=values.shape[1], dtype=values.dtype, crs=UTM,
        transform=Affine(size, 0, left, 0, -size, top), blocksize=128, overview_resampling="average",
    ) as target:  # fmt: skip
        target.write(values, 1)


def product(
    folder: Path,
    bands: dict[str, NDArray[np.uint16]],
    *,
    name: str = "P",
    left: float = LEFT,
    top: float = TOP,
    crs: str = UTM,
    tile: int | None = None,
    footprints: dict[str, MaskSource | NDArray[np.uint8]] | None = None,
    cloud_mask: MaskSource | None = None,
    classification: RasterFile | None = None,
    **facts: Any,
) -> Product:
    """Bands at their native resolution; ``facts`` are fields of the acquisition."""
    folder.mkdir(parents=True, exist_ok=True)
    for band, values in bands.items():
        write_jp2(folder / f"{band}.jp2", values, NATIVE_RESOLUTION[band], left=left, top=top, crs=crs, tile=tile)
    masks: dict[str, MaskSource] = {}
    for band, mask in (footprints or {}).items():
        if isinstance(mask, np.ndarray):
            write_jp2(folder / f"MSK_{band}.jp2", mask, NATIVE_RESOLUTION[band], left=left, top=top, crs=crs)
            masks[band] = RasterFile(f"MSK_{band}.jp2", "JP2OpenJPEG")
        else:
            masks[band] = mask
    return Product(
        name,
        FolderFiles(folder),
        replace(TAKEN, **facts),
        {band: RasterFile(f"{band}.jp2", "JP2OpenJPEG") for band in BANDS if band in bands},
        footprints=masks,
        cloud_mask=cloud_mask,
        classification=classification,
    )
