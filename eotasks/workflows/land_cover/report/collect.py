"""From stored EOPatches to the pictures' arrays: maps of the whole area, frames, the NDVI of one place.

One patch is in memory at a time, and maps are thinned to what a screen shows, so that the size of the area does not
matter.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from eolearn.core import EOPatch, FeatureType
from numpy.typing import NDArray
from scipy.ndimage import label as connected_components

from eotasks.area import Patch
from eotasks.eopatches.load import load_eopatch
from eotasks.models.classes import ClassTable
from eotasks.models.clouds.postprocess import NO_DATA
from eotasks.models.clouds.validity import valid_fraction
from eotasks.storage.place import Place
from eotasks.workflows.land_cover.features import (
    FEATURES,
    IS_VALID,
    LULC,
    PREDICTION,
    SCORES,
    VALID_COUNT,
    ResolvedFeatures,
)
from eotasks.workflows.land_cover.report.results import Frame, Importance, Inspection, Layer, NdviSeries
from eotasks.workflows.land_cover.sections import TimeConfig, ValidConfig
from eotasks.workflows.land_cover.sources.base import BANDS, CLM, CLP, IS_DATA, TRUE_COLOR_BANDS
from eotasks.workflows.land_cover.training import Trained
from eotasks.workflows.report.raster import Bounds, Raster

MAX_MAP_SIDE = 1600
INSPECTION_SIDE = 100
NDVI = (FeatureType.DATA, "NDVI")
PICTURE_VALID_FRACTION = 0.8
"""A picture of a date wants a clear one."""


@dataclass
class Canvas:
    """A map that patches are painted on, thinned by a whole step where the area is large."""

    bounds: Bounds
    resolution: float
    step: int
    values: NDArray[np.generic]
    covered: NDArray[np.bool_]
    """(h, w) where patches have been painted: they may leave corners of the mosaic, and gaps."""

    @classmethod
    def over(cls, patches: Sequence[Patch], resolution: float, fill: float, dtype: str, depth: int = 0) -> Canvas:
        left = min(patch.bbox.min_x for patch in patches)
        bottom = min(patch.bbox.min_y for patch in patches)
        right = max(patch.bbox.max_x for patch in patches)
        top = max(patch.bbox.max_y for patch in patches)
        height, width = round((top - bottom) / resolution), round((right - left) / resolution)
        step = max(1, -(-max(height, width) // MAX_MAP_SIDE))
        rows, columns = -(-height // step), -(-width // step)
        bounds = (left, top - rows * step * resolution, left + columns * step * resolution, top)
        values = np.full((rows, columns, depth) if depth else (rows, columns), fill, dtype=dtype)
        return cls(bounds, resolution, step, values, np.zeros((rows, columns), dtype=bool))

    def paint(self, patch: Patch, image: NDArray[np.generic]) -> None:
        """Paint an image (h, w[, c]) of a patch, every ``step``-th pixel of the whole area's grid."""
        row = round((self.bounds[3] - patch.bbox.max_y) / self.resolution)
        column = round((patch.bbox.min_x - self.bounds[0]) / self.resolution)
        first_row, first_column = -row % self.step, -column % self.step
        thinned = image[first_row :: self.step, first_column :: self.step]
        y, x = (row + first_row) // self.step, (column + first_column) // self.step
        place = slice(y, y + thinned.shape[0]), slice(x, x + thinned.shape[1])
        self.values[place], self.covered[place] = thinned, True

    def raster(self, time: dt.datetime | None = None) -> Raster:
        return Raster(self.values, self.bounds, time, self.covered)


def frames_of(place: Place, patches: Sequence[Patch], valid: ValidConfig) -> list[Frame]:
    """Every acquisition, how much of it is valid, and how many patches kept it in the filter."""
    fractions: dict[dt.datetime, list[float]] = {}
    kept: dict[dt.datetime, int] = {}
    for patch in patches:
        eopatch = load_eopatch(place, patch.name, features=[IS_VALID])
        shares = valid_fraction(eopatch[IS_VALID])
        passing = _kept_frames(shares, valid)
        for time, share, keep in zip(eopatch.timestamps or (), shares, passing, strict=True):
            fractions.setdefault(time, []).append(float(share))
            kept[time] = kept.get(time, 0) + bool(keep)
    return [
        Frame(time=time, valid_fraction=float(np.mean(values)), kept=kept[time], patches=len(values))
        for time, values in sorted(fractions.items())
    ]


def _kept_frames(shares: NDArray[np.float64], valid: ValidConfig) -> NDArray[np.bool_]:
    """The filter's choice, made again from the valid fractions."""
    passing = shares > valid.min_valid_fraction
    wanted = valid.keep_at_least or 0
    if passing.sum() < wanted:
        best = np.argsort(-shares, kind="stable")[:wanted]
        passing = np.zeros(len(shares), dtype=bool)
        passing[best] = shares[best] > 0
    return np.asarray(passing, dtype=bool)


def picture_time(frames: Sequence[Frame], period: TimeConfig) -> dt.datetime:
    """The clear date nearest to the middle of the period (the first of July in a year), for pictures of one date."""
    start = dt.datetime.combine(period.start, dt.time())
    middle = start + (dt.datetime.combine(period.end, dt.time()) - start) / 2
    best = max(frame.valid_fraction for frame in frames)
    clear = [frame for frame in frames if frame.valid_fraction >= min(best, PICTURE_VALID_FRACTION)]
    return min(clear, key=lambda frame: abs(frame.time - middle)).time


def observation_maps(
    place: Place, patches: Sequence[Patch], resolved: ResolvedFeatures, resolution: float, time: dt.datetime
) -> dict[Layer, Raster]:
    """Maps of what was observed, each where the patches have what it needs."""
    painters: dict[Layer, tuple[Callable[[EOPatch], NDArray[np.generic] | None], float, str, int]] = {
        "TRUE_COLOR": (lambda eopatch: _true_color(eopatch, time, resolved), np.nan, "float32", 3),
        "CLOUD_MASK": (lambda eopatch: _cloud_mask(eopatch, time), NO_DATA, "uint8", 0),
        "REFERENCE": (lambda eopatch: _plane(eopatch, LULC), 0, "uint8", 0),
        "VALID_COUNT": (lambda eopatch: _plane(eopatch, VALID_COUNT), np.nan, "float32", 0),
        "MEAN_CLP": (lambda eopatch: _mean(eopatch, CLP, IS_DATA), np.nan, "float32", 0),
        "MEAN_NDVI": (lambda eopatch: _mean(eopatch, NDVI, IS_VALID), np.nan, "float32", 0),
    }
    canvases: dict[Layer, Canvas] = {}
    for patch in patches:
        eopatch = load_eopatch(place, patch.name)
        for layer, (paint, fill, dtype, depth) in painters.items():
            image = paint(eopatch)
            if image is not None:
                if layer not in canvases:
                    canvases[layer] = Canvas.over(patches, resolution, fill, dtype, depth)
                canvases[layer].paint(patch, image)
    dated = ("TRUE_COLOR", "CLOUD_MASK")
    return {layer: canvas.raster(time if layer in dated else None) for layer, canvas in canvases.items()}


def prediction_maps(
    place: Place, patches: Sequence[Patch], resolution: float
) -> tuple[dict[Layer, Raster], dict[int, int]]:
    """The map and its confidence, and the pixels of each class over the whole area, unthinned.

    The maps show the coordinate system of the first patch, the pixels are those of all patches.
    """
    drawn = [patch for patch in patches if patch.bbox.crs == patches[0].bbox.crs]
    prediction = Canvas.over(drawn, resolution, 0, "uint8")
    confidence = Canvas.over(drawn, resolution, np.nan, "float32")
    pixels: dict[int, int] = {}
    for patch in patches:
        eopatch = load_eopatch(place, patch.name, features=[PREDICTION, SCORES])
        labels = eopatch[PREDICTION][..., 0]
        if patch in drawn:
            prediction.paint(patch, labels)
            score = eopatch[SCORES].max(axis=-1).astype(np.float32)
            confidence.paint(patch, np.where(labels > 0, score, np.nan))
        ids, counts = np.unique(labels, return_counts=True)
        for class_id, count in zip(ids, counts, strict=True):
            pixels[int(class_id)] = pixels.get(int(class_id), 0) + int(count)
    return {"PREDICTION": prediction.raster(), "CONFIDENCE": confidence.raster()}, pixels


def ndvi_of_a_meadow(
    observed: Place, features: Place, patches: Sequence[Patch], resolved: ResolvedFeatures
) -> NdviSeries | None:
    """NDVI of the largest labelled meadow: all observations, the masked ones, and the cleaned curve.

    Where nothing is labelled grassland, the largest piece of the most frequent class takes its place. None without
    labels, and without NDVI among the features.
    """
    if "NDVI" not in resolved.names:
        return None
    found = _largest_piece(observed, patches, resolved.classes)
    if found is None:
        return None
    patch, piece, name = found
    eopatch = load_eopatch(observed, patch.name, features=[NDVI, IS_DATA, IS_VALID])
    has_data = eopatch[IS_DATA][..., 0].astype(bool) & piece
    valid = eopatch[IS_VALID][..., 0].astype(bool) & piece
    cleaned = load_eopatch(features, patch.name, features=[FEATURES])
    curve = cleaned[FEATURES][..., resolved.names.index("NDVI")][:, piece].astype(np.float64)
    return NdviSeries(
        label=f"{name}, {int(piece.sum())} pixels in {patch.name}",
        times=list(eopatch.timestamps or ()),
        ndvi=_mean_where(eopatch[NDVI][..., 0].astype(np.float64), has_data),
        masked=valid.sum(axis=(1, 2)) * 2 < piece.sum(),
        curve_times=list(cleaned.timestamps or ()),
        curve=_mean_where(curve, np.isfinite(curve)),
        spread=_spread(curve),
    )


def importance(
    trained: Trained,
    features: Place,
    patches: Sequence[Patch],
    resolved: ResolvedFeatures,
    resolution: float,
    times: Sequence[dt.datetime],
) -> Importance:
    """Gain of the model by date and feature, and true colour at the date that counts most."""
    gain = trained.model.feature_importance()
    names = resolved.names
    image = None
    if all(band in names for band in TRUE_COLOR_BANDS):
        columns = [names.index(band) for band in TRUE_COLOR_BANDS]
        date = int(gain.sum(axis=1).argmax())
        canvas = Canvas.over(patches, resolution, np.nan, "float32", 3)
        for patch in patches:
            canvas.paint(patch, load_eopatch(features, patch.name, features=[FEATURES])[FEATURES][date][..., columns])
        image = canvas.raster(times[date])
    return Importance(gain=gain, times=list(times), names=list(names), image=image)


def inspection(
    observed: Place,
    predictions: Place,
    patches: Sequence[Patch],
    resolved: ResolvedFeatures,
    resolution: float,
    time: dt.datetime,
) -> Inspection | None:
    """The 100 x 100 pixel window (smaller in smaller patches) that has most classes, then most labels, of the patches
    given: those held out where there are any.
    """
    best: tuple[tuple[int, int], Patch, tuple[slice, slice]] | None = None
    for patch in patches:
        labels = load_eopatch(observed, patch.name, features=[LULC])[LULC][..., 0]
        for window in _windows(labels.shape):
            part = labels[window]
            rank = (len(np.unique(part[part > 0])), int((part > 0).sum()))
            if best is None or rank > best[0]:
                best = (rank, patch, window)
    if best is None or not best[0][1]:
        return None
    _, patch, window = best
    eopatch = load_eopatch(observed, patch.name)
    color = _true_color(eopatch, time, resolved)
    rows, columns = window
    bounds = (
        patch.bbox.min_x + columns.start * resolution,
        patch.bbox.max_y - rows.stop * resolution,
        patch.bbox.min_x + columns.stop * resolution,
        patch.bbox.max_y - rows.start * resolution,
    )
    return Inspection(
        bounds=bounds,
        reference=eopatch[LULC][..., 0][window],
        prediction=load_eopatch(predictions, patch.name, features=[PREDICTION])[PREDICTION][..., 0][window],
        true_color=None if color is None else color[window],
        time=time,
        label=patch.name,
    )


def _windows(shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """Windows of the inspection's size, as many as fit side by side; one where a patch is smaller."""
    height, width = min(INSPECTION_SIDE, shape[0]), min(INSPECTION_SIDE, shape[1])
    return [
        (slice(row, row + height), slice(column, column + width))
        for row in range(0, shape[0] - height + 1, height)
        for column in range(0, shape[1] - width + 1, width)
    ]


def _largest_piece(
    observed: Place, patches: Sequence[Patch], classes: ClassTable
) -> tuple[Patch, NDArray[np.bool_], str] | None:
    """The largest connected piece of grassland, or of the most frequent class where there is none."""
    labels = {patch.name: load_eopatch(observed, patch.name, features=[LULC])[LULC][..., 0] for patch in patches}
    counts = sum(np.bincount(image.ravel(), minlength=256) for image in labels.values())
    counts = np.asarray(counts)
    counts[0] = 0
    if not counts.any():
        return None
    grass = [item.id for item in classes if "grass" in item.name.lower() and counts[item.id]]
    chosen = grass[0] if grass else int(counts.argmax())
    best: tuple[int, Patch, NDArray[np.bool_]] | None = None
    for patch in patches:
        pieces, _ = connected_components(labels[patch.name] == chosen)
        sizes = np.bincount(pieces.ravel())[1:]
        if sizes.size and (best is None or sizes.max() > best[0]):
            best = (int(sizes.max()), patch, np.asarray(pieces == sizes.argmax() + 1, dtype=bool))
    if best is None:
        return None
    return best[1], best[2], classes.by_id[chosen].name


def _true_color(eopatch: EOPatch, time: dt.datetime, resolved: ResolvedFeatures) -> NDArray[np.float32] | None:
    positions = resolved.true_color
    if BANDS not in eopatch or positions is None:
        return None
    image = _at(eopatch, BANDS, time, squeeze=False)
    if image is None:
        return None
    has_data = eopatch[IS_DATA][_nearest(eopatch, time)].astype(bool)
    color = image[..., positions].astype(np.float32)
    return np.where(has_data, color, np.float32(np.nan)).astype(np.float32)


def _cloud_mask(eopatch: EOPatch, time: dt.datetime) -> NDArray[np.generic] | None:
    """CLM of a date; no data also where a mask of booleans has no value for it."""
    mask = _at(eopatch, CLM, time)
    if mask is None or IS_DATA not in eopatch:
        return mask
    return np.where(eopatch[IS_DATA][_nearest(eopatch, time)][..., 0].astype(bool), mask, NO_DATA)


def _at(
    eopatch: EOPatch, feature: tuple[FeatureType, str], time: dt.datetime, *, squeeze: bool = True
) -> NDArray[np.generic] | None:
    """The frame of a feature nearest to a time; None where there is none of that day."""
    if feature not in eopatch:
        return None
    index = _nearest(eopatch, time)
    if abs((eopatch.timestamps or [])[index] - time) > dt.timedelta(hours=12):
        return None
    frame: NDArray[np.generic] = eopatch[feature][index]
    return frame[..., 0] if squeeze else frame


def _nearest(eopatch: EOPatch, time: dt.datetime) -> int:
    times = eopatch.timestamps or []
    return min(range(len(times)), key=lambda index: abs(times[index] - time))


def _plane(eopatch: EOPatch, feature: tuple[FeatureType, str]) -> NDArray[np.generic] | None:
    return eopatch[feature][..., 0] if feature in eopatch else None


def _mean(
    eopatch: EOPatch, feature: tuple[FeatureType, str], mask: tuple[FeatureType, str]
) -> NDArray[np.float32] | None:
    """Mean over time where a mask is true; NaN where it never is."""
    if feature not in eopatch:
        return None
    values = eopatch[feature][..., 0]
    good = eopatch[mask][..., 0].astype(bool) & np.isfinite(values)
    count = good.sum(axis=0)
    total = np.where(good, values, 0).sum(axis=0, dtype=np.float64)
    mean: NDArray[np.float64] = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return mean.astype(np.float32)


def _mean_where(values: NDArray[np.float64], good: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean of each date over the chosen finite values; NaN where there are none."""
    dates = len(values)
    flat, chosen = values.reshape(dates, -1), (good & np.isfinite(values)).reshape(dates, -1)
    count = chosen.sum(axis=1)
    total = np.where(chosen, flat, 0).sum(axis=1)
    mean: NDArray[np.float64] = np.divide(total, count, out=np.full(dates, np.nan), where=count > 0)
    return mean


def _spread(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviation over the pixels of each date; NaN where there are none."""
    good = np.isfinite(curve)
    mean = _mean_where(curve, good)
    return np.sqrt(_mean_where((curve - mean[:, np.newaxis]) ** 2, good))
