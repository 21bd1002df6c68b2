"""How users make cloud masks of a product without this project: decode all, resize, s2cloudless, write.

Run in a process of its own: ``python -m tests.benchmarks.imagery.peer PRODUCT.SAFE ... OUT``. GDAL decodes with all
cores, as it does unless told otherwise; bands are averaged to 160 m by OpenCV, which is the fastest way at hand. Wall
clock and CPU seconds of each product are printed; of several each gets a folder of its own.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine
from s2cloudless.cloud_detector import S2PixelCloudDetector

BANDS = ("B01", "B02", "B04", "B05", "B08", "B8A", "B09", "B10", "B11", "B12")
RESOLUTION = 160
OFFSET = 1000
QUANTIFICATION = 10_000


def read_bands(product: Path) -> tuple[NDArray[np.float32], str, float, float]:
    """Reflectance (h, w, 10) at 160 m, coordinate system, western and northern edge."""
    bands = []
    for band in BANDS:
        (path,) = product.glob(f"GRANULE/*/IMG_DATA/*_{band}.jp2")
        with rasterio.open(path) as source:
            dn = source.read(1)
            crs, transform = source.crs.to_string(), source.transform
        side = round(dn.shape[0] * transform.a / RESOLUTION)
        reflectance = (dn.astype(np.float32) - OFFSET) / QUANTIFICATION
        bands.append(cv2.resize(reflectance, (side, side), interpolation=cv2.INTER_AREA))
    return np.stack(bands, axis=-1), crs, transform.c, transform.f


def make_masks(product: Path, out: Path, detector: S2PixelCloudDetector) -> None:
    """Write CLP.tif and CLM.tif of a product."""
    out.mkdir(parents=True, exist_ok=True)
    bands, crs, left, top = read_bands(product)
    probability = detector.get_cloud_probability_maps(bands[np.newaxis])
    mask = detector.get_mask_from_prob(probability)[0]
    for name, values in (("CLP", np.rint(probability[0] * 254).astype(np.uint8)), ("CLM", mask.astype(np.uint8))):
        with rasterio.open(
            out / f"{name}.tif", "w", driver="COG", height=values.shape[0], width=values.shape[1], count=1,
            dtype="uint8", crs=crs, transform=Affine(RESOLUTION, 0, left, 0, -RESOLUTION, top), nodata=255,
        ) as target:  # fmt: skip
            target.write(values, 1)


def main(arguments: list[str]) -> int:
    """Masks of some products, and a line of JSON for each."""
    *products, out = map(Path, arguments)
    detector = S2PixelCloudDetector(threshold=0.4, average_over=1, dilation_size=1)
    detector.get_cloud_probability_maps(np.zeros((1, 1, 1, len(BANDS)), dtype=np.float32))  # loads the model
    for product in products:
        began, used = time.perf_counter(), time.process_time()
        make_masks(product, out if len(products) == 1 else out / product.stem, detector)
        took = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - used}
        print(json.dumps(took), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
