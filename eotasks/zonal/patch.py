"""Images of an EOPatch, as statistics of polygons take them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from eolearn.core import EOPatch, FeatureType
from numpy.typing import NDArray
from sentinelhub.geometry import BBox

from eotasks.errors import FeatureError
from eotasks.features import Feature, array_of, bbox_of, describe, feature_of
from eotasks.imagery.grid import Grid
from eotasks.models.band_sets import band_names
from eotasks.models.sentinel2 import BANDS, QUANTIFICATION
from eotasks.times import naive_utc
from eotasks.zonal.frames import ZonalFrame, pixel_states
from eotasks.zonal.quantities import Quantity, resolved, stacked


@dataclass(frozen=True)
class PatchFeatures:
    """Where the numbers and masks of an EOPatch are."""

    bands: Feature = (FeatureType.DATA, "BANDS")
    """(t, h, w, bands), any number; integers of bands of Sentinel-2 are DN (reflectance * 10000)."""

    band_names: tuple[str, ...] | None = None
    """In their order; None tells by their count (13 or 10), and calls a single one by the name of its feature."""

    is_data: Feature | None = (FeatureType.MASK, "IS_DATA")
    """(t, h, w, 1) boolean; None: all pixels have data."""

    cloud_mask: Feature | None = (FeatureType.MASK, "CLM")
    """(t, h, w, 1) as `eotasks.zonal.frames.pixel_states` has it; None: no clouds."""

    shadow: Feature | None = (FeatureType.MASK, "SHADOW")
    """(t, h, w, 1) 0 none, 1 shadow, 255 no data; None: no shadows."""

    def checked(self) -> PatchFeatures:
        """:raises ConfigurationError: when one is no feature that fits."""
        masks = [
            None if each is None else feature_of(each, [FeatureType.MASK])
            for each in (self.is_data, self.cloud_mask, self.shadow)
        ]
        return PatchFeatures(feature_of(self.bands, [FeatureType.DATA]), self.band_names, *masks)

    def all(self) -> list[Feature]:
        """Those that are read."""
        return [each for each in (self.bands, self.is_data, self.cloud_mask, self.shadow) if each is not None]

    def names_of(self, count: int) -> tuple[str, ...]:
        """Names of the bands.

        :raises BandError: names that do not fit the count, or a count that fits no known set.
        """
        if self.band_names is None and count == 1:
            return (self.bands[1],)
        return band_names(count, self.band_names, where=describe(self.bands))


def grid_of_patch(bbox: BBox, shape: tuple[int, int]) -> Grid:
    """The grid of the images of a patch, in any coordinate system.

    :param shape: Rows and columns.
    """
    return Grid(
        crs=bbox.crs.ogc_string(),
        left=bbox.min_x,
        top=bbox.max_y,
        resolution=(bbox.max_x - bbox.min_x) / shape[1],
        height=shape[0],
        width=shape[1],
        pixel_height=(bbox.max_y - bbox.min_y) / shape[0],
    )


def grid_of(eopatch: EOPatch, features: PatchFeatures) -> Grid:
    """The grid of the images of an EOPatch.

    :raises FeatureError: the bands are missing.
    :raises GridError: it has no bounding box.
    """
    _, height, width, _ = _bands(eopatch, features).shape
    return grid_of_patch(bbox_of(eopatch), (height, width))


def frames_of(eopatch: EOPatch, features: PatchFeatures, quantities: Sequence[Quantity]) -> Iterator[ZonalFrame]:
    """Images of an EOPatch, one at a time; its arrays stay as they are.

    Bands of Sentinel-2 are taken as reflectance, whatever their dtype: indices with constants, as EVI, are of that.

    :raises FeatureError: a feature is missing, or of another shape.
    :raises BandError: a quantity needs a band that is not there.
    """
    bands = _bands(eopatch, features)
    names = features.names_of(bands.shape[-1])
    chosen = resolved(quantities, names, where=describe(features.bands))
    is_data, cloud_mask, shadow = (
        _mask(eopatch, each, bands.shape) for each in (features.is_data, features.cloud_mask, features.shadow)
    )
    times = [naive_utc(time) for time in eopatch.timestamps or ()]
    if len(times) != len(bands):
        raise FeatureError(
            f"The EOPatch has {len(times)} timestamps and {len(bands)} frames of {describe(features.bands)}: give each"
            " frame its time."
        )
    for index, time in enumerate(times):
        shown = _frame(is_data, index), _frame(cloud_mask, index), _frame(shadow, index)
        states = pixel_states(*shown, bands.shape[1:3])
        planes = {name: _reflectance(name, bands[index, ..., band]) for band, name in enumerate(names)}
        yield ZonalFrame(time, stacked(chosen, planes), states)


def _reflectance(name: str, band: NDArray[Any]) -> NDArray[Any]:
    """A band as reflectance; of what is no band of Sentinel-2, the numbers as they are."""
    is_dn = band.dtype.kind in "iu" and name in BANDS
    return band / np.float32(QUANTIFICATION) if is_dn else band


def _bands(eopatch: EOPatch, features: PatchFeatures) -> NDArray[Any]:
    return array_of(eopatch, features.bands, "load or download the bands first")


def _frame(mask: NDArray[Any] | None, index: int) -> NDArray[Any] | None:
    return None if mask is None else mask[index]


def _mask(eopatch: EOPatch, feature: Feature | None, shape: tuple[int, ...]) -> NDArray[Any] | None:
    if feature is None:
        return None
    mask = array_of(eopatch, feature, "add it first, or say that there is none (None)")
    if mask.shape != (*shape[:-1], 1):
        raise FeatureError(f"Feature {describe(feature)} is {mask.shape}, the bands {shape}: give it for each pixel.")
    result: NDArray[Any] = mask[..., 0]
    return result
