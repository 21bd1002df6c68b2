"""Area of each class with its uncertainty, corrected for the errors of the map.

Counting pixels of a map is biased: the errors of a class do not cancel. The estimators here are those of Olofsson et
al. (2014), Good practices for estimating area and assessing accuracy of land change, Remote Sensing of Environment
148, 42-57, doi:10.1016/j.rse.2014.02.015: stratified estimators, strata = mapped classes.

They are unbiased for test samples drawn at random within each mapped class, from the whole area. Samples from labelled
polygons only say how the map does there; neighbouring samples are alike, which makes true intervals wider.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import JsonValue

from eotasks.errors import ModelError
from eotasks.models.classes import ClassTable
from eotasks.models.landcover.validation import ConfusionMatrix

Z_95 = 1.96
"""Half-width of a 95 % confidence interval in standard errors, as the paper rounds it."""

_SQUARE_METRES_PER_HECTARE = 10_000.0
_MIN_SAMPLES = 2  # of a mapped class: one sample has no variance


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error; NaN where undefined."""

    value: float
    standard_error: float

    @property
    def ci95(self) -> float:
        """Half-width of the 95 % confidence interval."""
        return Z_95 * self.standard_error


@dataclass(frozen=True)
class ClassArea:
    """Area and accuracy of one class."""

    class_id: int
    name: str
    samples: int
    """Test samples that the map calls this class."""

    mapped_ha: float
    """Area the map calls this class, hectares."""

    area_ha: Estimate
    """Error-adjusted area, hectares."""

    users_accuracy: Estimate
    """Share of the mapped area that is right, 0..1."""

    producers_accuracy: Estimate
    """Share of the true area that the map found, 0..1."""

    reason: str = ""
    """Why numbers are NaN; empty when all are there."""


@dataclass(frozen=True)
class AreaEstimates:
    """Error-adjusted areas of a map."""

    classes: tuple[ClassArea, ...]
    overall_accuracy: Estimate
    """Area-weighted share of the map that is right, 0..1."""

    total_ha: float
    """Area that the estimates speak about: the mapped classes with enough samples."""

    excluded_ha: float
    """Mapped area of classes with too few samples; it is part of no estimate."""

    note: str = ""
    """What was left out, in a sentence or two; empty when nothing was."""

    def to_dict(self) -> dict[str, JsonValue]:
        """Everything as plain values for JSON; None where a number is undefined."""
        return {
            "total_ha": self.total_ha,
            "excluded_ha": self.excluded_ha,
            "overall_accuracy": _plain(self.overall_accuracy),
            "note": self.note,
            "classes": {
                item.name: {
                    "id": item.class_id,
                    "samples": item.samples,
                    "mapped_ha": item.mapped_ha,
                    "area_ha": _plain(item.area_ha),
                    "users_accuracy": _plain(item.users_accuracy),
                    "producers_accuracy": _plain(item.producers_accuracy),
                    "reason": item.reason,
                }
                for item in self.classes
            },
        }


def areas_of(
    matrix: ConfusionMatrix, mapped_pixels: Mapping[int, int], *, pixel_area: float, classes: ClassTable
) -> AreaEstimates:
    """Error-adjusted areas from a confusion matrix and the pixels of a map.

    Samples without a prediction lie outside of the map and are not part of the estimate.

    :param matrix: Test samples by reference (rows) and predicted class (columns).
    :param mapped_pixels: Class id -> pixels of the whole map; 0 (no prediction) is ignored.
    :param pixel_area: Area of a pixel in square metres.
    :param classes: Table that has every id.
    :raises ModelError: see :func:`estimate_areas`, and for a mapped id that is not in the table.
    """
    pixels = {int(key): int(value) for key, value in mapped_pixels.items() if key != 0 and value}
    unknown = sorted(set(pixels) - set(classes.ids))
    if unknown:
        raise ModelError(f"class id {', '.join(map(str, unknown))} is not in the class table: add it or map it.")
    table = classes.select(set(pixels) | set(matrix.classes.ids))
    position = [table.ids.index(class_id) for class_id in matrix.classes.ids]
    counts = np.zeros((len(table), len(table)), np.int64)
    counts[np.ix_(position, position)] = matrix.counts.T
    return estimate_areas(counts, [pixels.get(value, 0) for value in table.ids], pixel_area=pixel_area, classes=table)


def estimate_areas(
    counts: ArrayLike, mapped_pixels: Sequence[int] | NDArray[np.integer], *, pixel_area: float, classes: ClassTable
) -> AreaEstimates:
    """Error-adjusted areas with 95 % confidence intervals, stratified by the map.

    A mapped class with fewer than two samples has no variance. Its area is left out of every estimate, its own numbers
    are NaN, and ``reason`` and ``note`` say so. Samples predicted as a class that the map does not have, by the model
    of another fold, are left out likewise.

    :param counts: (k, k) samples, row = mapped class, column = reference class (the transpose of
        :attr:`ConfusionMatrix.counts`).
    :param mapped_pixels: (k,) pixels that the map gives to each class.
    :param pixel_area: Area of a pixel in square metres.
    :param classes: The k classes.
    :raises ModelError: for shapes that do not fit, or numbers that are no counts.
    """
    samples, pixels = _checked(counts, mapped_pixels, classes, pixel_area)
    sampled = samples.sum(axis=1)
    used = (sampled >= _MIN_SAMPLES) & (pixels > 0)
    hectares = pixels * (pixel_area / _SQUARE_METRES_PER_HECTARE)
    total, excluded = float(hectares[used].sum()), float(hectares[~used].sum())
    strata = _Strata.build(samples, np.where(used, hectares, 0.0) / (total or 1.0), used)
    area, users, producers = strata.areas(total), strata.users(), strata.producers()
    rows = []
    for index, item in enumerate(classes):
        left_out = not used.any() or (bool(pixels[index]) and not used[index])
        rows.append(
            ClassArea(
                class_id=item.id,
                name=item.name,
                samples=int(sampled[index]),
                mapped_ha=float(hectares[index]),
                # Only the part of it that the map missed could be estimated, which is not its area.
                area_ha=_UNDEFINED if left_out else area[index],
                users_accuracy=users[index],
                producers_accuracy=_UNDEFINED if left_out else producers[index],
                reason=_reason(int(sampled[index]), int(pixels[index]), int(samples[used, index].sum())),
            )
        )
    overall = strata.overall() if used.any() else _UNDEFINED
    return AreaEstimates(tuple(rows), overall, total, excluded, _note(rows, used))


_UNDEFINED = Estimate(math.nan, math.nan)


@dataclass(frozen=True)
class _Strata:
    """The mapped classes as strata; those that are not in use have weight 0 and rates 0."""

    weights: NDArray[np.float64]
    """(k,) share of the area of each stratum."""

    rates: NDArray[np.float64]
    """(k, k) share of a stratum's samples that belongs to each reference class."""

    variances: NDArray[np.float64]
    """(k, k) variance of the rates."""

    used: NDArray[np.bool_]

    @classmethod
    def build(cls, samples: NDArray[np.int64], weights: NDArray[np.float64], used: NDArray[np.bool_]) -> _Strata:
        sizes = np.where(used, samples.sum(axis=1), _MIN_SAMPLES)[:, None]
        rates = np.where(used[:, None], samples, 0) / sizes
        return cls(weights, rates, rates * (1.0 - rates) / (sizes - 1), used)

    @property
    def spread(self) -> NDArray[np.float64]:
        """(k, k) variance that each stratum brings to the area of each reference class."""
        return self.weights[:, None] ** 2 * self.variances

    def overall(self) -> Estimate:
        """Sum of the correctly mapped shares of the area."""
        return _estimate(float(self.weights @ np.diag(self.rates)), float(np.diag(self.spread).sum()))

    def users(self) -> list[Estimate]:
        """Rates on the diagonal; undefined for strata that are not in use."""
        return [
            _estimate(float(rate), float(variance)) if use else _UNDEFINED
            for rate, variance, use in zip(np.diag(self.rates), np.diag(self.variances), self.used, strict=True)
        ]

    def producers(self) -> list[Estimate]:
        """Correctly mapped share over the whole share of a class; undefined without a reference sample."""
        found = self.weights * np.diag(self.rates)
        shares, own, spread = self.weights @ self.rates, np.diag(self.spread), self.spread.sum(axis=0)
        estimates = []
        for hit, share, mine, every in zip(found, shares, own, spread, strict=True):
            if share > 0:
                accuracy = hit / share
                variance = ((1.0 - accuracy) ** 2 * mine + accuracy**2 * (every - mine)) / share**2
                estimates.append(_estimate(float(accuracy), float(variance)))
            else:
                estimates.append(_UNDEFINED)
        return estimates

    def areas(self, total: float) -> list[Estimate]:
        """Shares of the reference classes, in the unit of ``total``."""
        shares = self.weights @ self.rates
        return [
            _estimate(float(share) * total, float(variance) * total**2)
            for share, variance in zip(shares, self.spread.sum(axis=0), strict=True)
        ]


def _estimate(value: float, variance: float) -> Estimate:
    return Estimate(value, math.sqrt(max(variance, 0.0)))


def _reason(samples: int, pixels: int, reference: int) -> str:
    if pixels and samples < _MIN_SAMPLES:
        return f"{samples} test samples in the mapped class, {_MIN_SAMPLES} are needed"
    if not pixels:
        return "the map does not have the class"
    if not reference:
        return "no test sample is of the class: its area cannot be told from 0"
    return ""


def _note(rows: Sequence[ClassArea], used: NDArray[np.bool_]) -> str:
    left_out = [row for row, use in zip(rows, used, strict=True) if not use]
    sentences = []
    names = [row.name for row in left_out if row.mapped_ha > 0]
    if names:
        hectares = sum(row.mapped_ha for row in left_out)
        sentences.append(
            f"{hectares:.1f} ha mapped as {', '.join(names)} have fewer than {_MIN_SAMPLES} test samples and are part "
            "of no estimate."
        )
    outside = sum(row.samples for row in left_out if not row.mapped_ha)
    if outside:
        names = [row.name for row in left_out if row.samples and not row.mapped_ha]
        sentences.append(
            f"Test samples predicted as {', '.join(names)} ({outside}) are part of no estimate: the map does not have "
            "the class."
        )
    return " ".join(sentences)


def _checked(
    counts: ArrayLike, mapped_pixels: Sequence[int] | NDArray[np.integer], classes: ClassTable, pixel_area: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    samples, pixels, size = np.asarray(counts), np.asarray(mapped_pixels), len(classes)
    if samples.shape != (size, size) or pixels.shape != (size,):
        raise ModelError(
            f"counts have shape {samples.shape} and mapped pixels {pixels.shape}: {size} classes need ({size}, {size}) "
            f"and ({size},)."
        )
    if samples.dtype.kind not in "iu" or pixels.dtype.kind not in "iu" or (samples < 0).any() or (pixels < 0).any():
        raise ModelError("counts and mapped pixels must be whole numbers of at least 0.")
    if not (math.isfinite(pixel_area) and pixel_area > 0):
        raise ModelError(f"pixel_area={pixel_area}: give the area of a pixel in square metres.")
    return samples.astype(np.int64), pixels.astype(np.int64)


def _plain(estimate: Estimate) -> JsonValue:
    if math.isnan(estimate.value):
        return None
    return {"value": estimate.value, "standard_error": estimate.standard_error, "ci95": estimate.ci95}
