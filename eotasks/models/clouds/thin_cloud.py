"""Thin cloud: high ice cloud that the ground is seen through, by the cirrus band.

Water vapour below takes all light of 1.375 um (B10), so that ground and low clouds are dark there and what lies above
the vapour is bright. Of that some is opaque, such as the tops of storms; thin is what is dark in the blue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.models.clouds.surface import reflectance_of
from eotasks.models.scales import ReflectanceScale

THIN_CLOUD_BANDS: tuple[str, ...] = ("B02", "B10")
"""Blue and cirrus."""

MIN_THIN_CIRRUS = 0.012
"""B10 reflectance above which there is cirrus: the lower cirrus threshold of Sen2Cor (T1_B10 of its configuration of
the scene classification; ATBD S2-PDGS-MPC-ATBD-L2A)."""

MAX_THIN_BLUE = 0.22
"""B02 reflectance from which cloud is opaque. Clear ground stays below it but for desert, roofs and snow, and so does
cirrus that adds little: with both limits 95 and 99.8 % of the cirrus of two simulated years over ground without snow is
thin cloud, of their opaque cloud 0.07 % and less."""


def thin_cloud_mask(
    blue: NDArray[np.floating[Any]],
    cirrus: NDArray[np.floating[Any]],
    *,
    min_cirrus: float = MIN_THIN_CIRRUS,
    max_blue: float = MAX_THIN_BLUE,
) -> NDArray[np.bool_]:
    """Thin cloud: bright in the cirrus band, and not in the blue.

    Method: the rule by which ESA's cloud masks of L1C tell cirrus from opaque cloud, "high reflectance in B10" and "not
    detected by the blue threshold" (Sentinel-2 MSI technical guide, Level-1C cloud masks).

    In a hazy tropical scene 17 % of the pixels are thin cloud, nine tenths of which s2cloudless calls cloud. Over high
    mountains, deserts and in polar winters there is little vapour, and B10 sees ground too; over snow and other bright
    ground thin cloud is not told from opaque cloud, and is left to the detector.

    :param blue: B02 reflectance at the top of the atmosphere, any shape.
    :param cirrus: B10 reflectance.
    :param min_cirrus: B10 reflectance strictly above which there is cirrus.
    :param max_blue: B02 reflectance from which cloud is opaque.
    :return: boolean, False where a value is NaN.
    """
    return np.asarray((cirrus > min_cirrus) & (blue < max_blue), dtype=bool)


def thin_cloud_in(
    bands: NDArray[np.generic],
    valid: NDArray[np.bool_] | None,
    names: Sequence[str],
    *,
    min_cirrus: float = MIN_THIN_CIRRUS,
    max_blue: float = MAX_THIN_BLUE,
    scale: ReflectanceScale | None = None,
    check_bands: bool = True,
    where: str = "the bands",
) -> NDArray[np.bool_]:
    """Thin cloud of one frame.

    :param bands: Array (h, w, bands): float reflectance, or integer DN.
    :param valid: Boolean array (h, w) of the pixels with data, or None for all.
    :param names: Names of the bands in their order, B02 and B10 among them.
    :param min_cirrus: B10 reflectance strictly above which there is cirrus.
    :param max_blue: B02 reflectance from which cloud is opaque.
    :param scale: What the numbers are (``eotasks.models.scales``), None for what the dtype says.
    :param check_bands: Whether values that contradict it are refused (``eotasks.models.scale_signs``); False for
        callers that have looked at the whole series.
    :return: boolean (h, w), False where there is no data.
    :raises BandError: a band is missing, as B10 is from L2A.
    :raises ReflectanceError: values that are no reflectance where there is data.
    """
    blue, cirrus = reflectance_of(
        bands, valid, THIN_CLOUD_BANDS, names, scale=scale, check_bands=check_bands, where=where
    )
    thin = thin_cloud_mask(blue, cirrus, min_cirrus=min_cirrus, max_blue=max_blue)
    return thin if valid is None else thin & valid
