"""Made-up bands as the readers of others give them: variables or a dimension, lazy or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import rioxarray  # noqa: F401  # adds `.rio`
import xarray
from numpy.typing import NDArray

from eotasks.models.sentinel2 import BANDS
from tests.builders.clouds.spectra import CLOUD, GRASS, LAKE

LEFT, TOP, STEP = 600_000.0, 5_200_020.0, 20.0
EPSG = 32633
START = np.datetime64("2023-06-01T10:10:31", "ns")


def scene(frames: int = 2, height: int = 70, width: int = 150, *, seed: int = 1) -> NDArray[np.uint16]:
    """Digital numbers (t, h, w, 13) of grass, a lake and soft clouds, without offset."""
    numbers = np.random.default_rng(seed)
    grass, lake, cloud = (np.array(each) for each in (GRASS, LAKE, CLOUD))
    result = np.empty((frames, height, width, 13), dtype=np.uint16)
    for index in range(frames):
        smooth = cv2.GaussianBlur(numbers.standard_normal((height, width)).astype(np.float32), (0, 0), 5)
        share = np.clip(smooth / smooth.std() - 0.3, 0, 1)[..., np.newaxis]
        ground = np.broadcast_to(grass, (height, width, 13)).copy()
        ground[: height // 4, : width // 3] = lake
        values = (ground * (1 - share) + cloud * share) * numbers.normal(1, 0.03, ground.shape)
        result[index] = np.round(np.clip(values, 1e-4, 3) * 10_000)
    return result


def coordinates(frames: int, height: int, width: int) -> dict[str, Any]:
    return {
        "time": START + np.arange(frames) * np.timedelta64(5, "D"),
        "y": TOP - (np.arange(height) + 0.5) * STEP,
        "x": LEFT + (np.arange(width) + 0.5) * STEP,
    }


def dataset(
    values: NDArray[Any], *, chunks: Mapping[str, int] | None = None, names: Mapping[str, str] | None = None
) -> xarray.Dataset:
    """As odc-stac gives it: a variable for each band (t, y, x), the CRS in ``spatial_ref``."""
    called = {band: band for band in BANDS} if names is None else names
    made = xarray.Dataset(
        {
            called[band]: (("time", "y", "x"), values[..., index], {"nodata": 0})
            for index, band in enumerate(BANDS)
            if band in called
        },
        coordinates(*values.shape[:3]),
    ).rio.write_crs(EPSG)
    return made if chunks is None else made.chunk(chunks)


def array(values: NDArray[Any], *, chunks: Mapping[str, int] | None = None, band_first: bool = False) -> Any:
    """A DataArray with a dimension of bands, last or before y and x (stackstac)."""
    made = xarray.DataArray(
        values,
        {**coordinates(*values.shape[:3]), "band": list(BANDS[: values.shape[-1]])},
        ("time", "y", "x", "band"),
        name="reflectance",
        attrs={"crs": f"epsg:{EPSG}"},
    )
    made = made.transpose("time", "band", "y", "x") if band_first else made
    return made if chunks is None else made.chunk(chunks)


def item(band_names: list[str] | None = None, *, day: int = 0, offset: float | None = -0.1, **properties: Any) -> Any:
    """A STAC item as JSON of the frame of a day, nothing but what numbers and the sun are told by."""
    time = str(START + np.timedelta64(5 * day, "D"))[:19]
    raster: dict[str, Any] = {"scale": 0.0001} | ({} if offset is None else {"offset": offset})
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": f"item-{day}-{offset}",
        "geometry": None,
        "links": [],
        "properties": {"datetime": f"{time}Z", **properties},
        "assets": {
            band: {
                "href": f"https://example.com/{band}.tif",
                "type": "image/tiff; application=geotiff",
                "raster:bands": [raster],
            }
            for band in band_names or BANDS
        },
    }
