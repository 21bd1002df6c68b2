"""What fields looked like: small true-colour images out of an EOPatch, for the pictures of their year."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from eolearn.core import EOPatch, FeatureType
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon

from eotasks.errors import FeatureError, GridError
from eotasks.features import Feature
from eotasks.models.band_sets import band_names
from eotasks.models.sentinel2 import QUANTIFICATION, band_indices
from eotasks.times import naive_utc
from eotasks.workflows.zonal_stats.pictures import FieldImage

TRUE_COLOR = ("B04", "B03", "B02")

_MARGIN = 0.6
"""Of the longer side of the field, that is shown around it."""

_LEAST_MARGIN_PIXELS = 6
_DARK, _BRIGHT = 1, 96
"""Per cent of the pixels, of which the colours are stretched between."""

_HAZE = 0.7
"""Of the darkest ground in each band, that is taken for the light of the air: all of it would turn soil red."""

_HEADROOM = 1.3
"""Of the brightest ground, what is white: clouds are brighter still."""

_NO_DATA = 233


def field_images(
    patch: EOPatch,
    outline: Polygon | MultiPolygon,
    *,
    bands_feature: Feature = (FeatureType.DATA, "BANDS"),
    bands: Sequence[str] | None = None,
    clear_feature: Feature | None = None,
) -> list[FieldImage]:
    """An image of a field for each timestamp, all of one stretch, so that dates can be compared.

    Each band is stretched from its own darkest ground, which takes the blue of the air off L1C, to one brightness.

    :param patch: Bands (t, h, w, bands): reflectance, or integer DN.
    :param outline: Of the field, in the coordinate system of the patch.
    :param bands: Names of the bands in their order; None tells by count.
    :param clear_feature: Boolean mask (t, h, w, 1) of the pixels that the stretch is made of, such as IS_VALID; None
        for those that are darker than clouds.
    :raises FeatureError: the patch has no such feature.
    :raises BandError: B02, B03 or B04 is missing.
    :raises GridError: the field lies outside of the patch.
    """
    if bands_feature not in patch or patch.bbox is None:
        raise FeatureError(f"The EOPatch has no {bands_feature[1]} with a bounding box: nothing to show.")
    values = patch[bands_feature]
    names = band_names(values.shape[-1], bands, where="the images of a field")
    rows, columns, bounds = _window(tuple(patch.bbox), values.shape[1:3], outline)
    chosen = values[:, rows, columns][..., band_indices(TRUE_COLOR, names, where="the images of a field")]
    colors = chosen.astype(np.float32) / (QUANTIFICATION if values.dtype.kind in "iu" else 1)
    known = np.isfinite(colors).all(axis=-1) & (colors != 0).any(axis=-1)
    clear = known if clear_feature is None else known & patch[clear_feature][:, rows, columns, 0].astype(bool)
    pictures = _stretched(colors, known, clear)
    times = [naive_utc(time) for time in patch.timestamps or ()]
    return [FieldImage(time, picture, bounds, outline) for time, picture in zip(times, pictures, strict=True)]


def _window(
    box: tuple[float, ...], shape: tuple[int, int], outline: Polygon | MultiPolygon
) -> tuple[slice, slice, tuple[float, float, float, float]]:
    """Rows and columns around a field, and their bounds."""
    west, south, east, north = box
    wide, high = (east - west) / shape[1], (north - south) / shape[0]
    left, bottom, right, top = outline.bounds
    margin = max(_MARGIN * max(right - left, top - bottom), _LEAST_MARGIN_PIXELS * max(wide, high))
    half = max(right - left, top - bottom) / 2 + margin
    x, y = (left + right) / 2, (bottom + top) / 2
    columns = slice(max(int((x - half - west) / wide), 0), min(int(np.ceil((x + half - west) / wide)), shape[1]))
    rows = slice(max(int((north - y - half) / high), 0), min(int(np.ceil((north - y + half) / high)), shape[0]))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        raise GridError("The field lies outside of the EOPatch: there is no image of it.")
    return rows, columns, (
        west + columns.start * wide, north - rows.stop * high, west + columns.stop * wide, north - rows.start * high
    )  # fmt: skip


def _stretched(colors: NDArray[np.float32], known: NDArray[np.bool_], clear: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Reflectance (t, h, w, 3) as pictures; where nothing is known they are grey."""
    ground = colors[clear] if clear.any() else colors[known]
    if not ground.size:
        return np.full(colors.shape, _NO_DATA, dtype=np.uint8)
    brightness = ground.mean(axis=-1)
    ground = ground[brightness <= 1.8 * max(float(np.median(brightness)), 0.02)]  # clouds that no mask says
    dark = np.percentile(ground, _DARK, axis=0) * _HAZE
    span = max(float((np.percentile(ground, _BRIGHT, axis=0) - dark).max()) * _HEADROOM, 0.02)
    light = np.clip((np.nan_to_num(colors) - dark) / span, 0, 1) ** 0.75
    pictures: NDArray[np.uint8] = np.rint(light * 255).astype(np.uint8)
    pictures[~known] = _NO_DATA
    return pictures
