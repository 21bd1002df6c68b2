"""Names of ``s2cloudless.utils``: band orders, the disk of averaging and dilation, the download."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.models.clouds.smoothing import disk
from eotasks.models.sentinel2 import BANDS, CLOUD_BANDS, band_indices

S2_BANDS = list(BANDS)
MODEL_BAND_IDS = band_indices(CLOUD_BANDS)
MODEL_BANDS = list(CLOUD_BANDS)


def cv2_disk(radius: int) -> NDArray[np.uint8]:
    """Filled circle of 0/1 in a square of ``2 * radius + 1`` pixels."""
    return disk((radius, radius)).copy()


def download_bands_and_valid_data_mask(*args: Any, **kwargs: Any) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Bands and data mask from Sentinel Hub: the function of the installed s2cloudless itself, with its parameters.

    ``eotasks.DownloadBandsTask`` is what knows of the Copernicus Data Space, limits of requests and storage.

    :return: float32 (N, height, width, bands) reflectance, and boolean (N, height, width).
    """
    from s2cloudless.utils import download_bands_and_valid_data_mask as download

    bands, mask = download(*args, **kwargs)
    return bands, mask
