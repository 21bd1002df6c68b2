"""What scripts of tests compute, in numpy and independently of the prelude."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Doubles = NDArray[np.float64]


def whole(values: ArrayLike, dtype: str) -> NDArray[Any]:
    """Rounded to the nearest, halves up, and clamped; 0 where it is NaN."""
    info = np.iinfo(dtype)
    numbers = np.nan_to_num(np.asarray(values, float), nan=0, posinf=info.max, neginf=info.min)
    return np.floor(np.clip(numbers, info.min, info.max) + 0.5).clip(info.min, info.max).astype(dtype)


def auto(values: ArrayLike) -> NDArray[np.uint8]:
    """[0, 1] as 0..255."""
    return whole(np.clip(np.asarray(values, float), 0, 1) * 255, "uint8")


def single(values: ArrayLike) -> NDArray[np.float32]:
    return np.asarray(values, float).astype(np.float32)


def ratio(a: Doubles, b: Doubles) -> Doubles:
    """(a - b) / (a + b), as JavaScript divides."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return (a - b) / (a + b)


def blended(values: Doubles, limits: list[float], colours: ArrayLike) -> Doubles:
    """Straight between limits, the first and the last colour beyond them, the last for NaN; (.., components)."""
    table = np.asarray(colours, float).reshape(len(limits), -1)
    result = np.empty((*values.shape, table.shape[1]))
    for at, value in np.ndenumerate(values):
        above = [i for i, limit in enumerate(limits) if value <= limit]
        if not above:
            result[at] = table[-1]
        elif above[0] == 0:
            result[at] = table[0]
        else:
            i = above[0]
            share = (value - limits[i - 1]) / (limits[i] - limits[i - 1])
            result[at] = table[i - 1] * (1 - share) + table[i] * share
    return result


def rgb(color: int) -> list[int]:
    return [color // 65_536, color // 256 % 256, color % 256]


def ramped(values: Doubles, positions: list[float], colours: list[int], *, nearest: bool = False) -> Doubles:
    """Whole 255ths between positions: rounded down, or to the nearest."""
    table = np.array([rgb(each) for each in colours], float)
    result = np.empty((*values.shape, 3))
    for at, value in np.ndenumerate(values):
        i = int(np.searchsorted(positions, value, side="left"))
        if np.isnan(value) or i == len(positions):
            result[at] = table[-1]
        elif i == 0:
            result[at] = table[0]
        else:
            share = (value - positions[i - 1]) / (positions[i] - positions[i - 1])
            if nearest:
                result[at] = np.floor(table[i] * share + table[i - 1] * (1 - share) + 0.5)
            else:
                result[at] = np.floor(table[i - 1] + (table[i] - table[i - 1]) * share)
    return result / 255


def mapped(values: Doubles, positions: list[float], colours: list[int]) -> Doubles:
    """The colour of the greatest position that is not above."""
    table = np.array([rgb(each) for each in colours], float) / 255
    return table[np.maximum(np.searchsorted(positions, values, side="right") - 1, 0)]


def compressed(values: Doubles, low: float, high: float) -> Doubles:
    """Straight to 0.92, then so slowly that twice the range ends at 1."""
    v = (values - low) * (1 / (high - low))
    return np.clip(np.where(v > 0.92, 0.92 + (v - 0.92) * ((1 - 0.92) / (2 - 0.92)), v), 0, 1)
