"""Fields of a scene: parcels of like ground, found in its spectra."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import felzenszwalb

from eotasks.models.sentinel2 import BANDS

Labels = NDArray[np.int64]

_SEGMENTED = [BANDS.index(band) for band in ("B04", "B8A", "B11")]
_CONTRAST = 6.0
"""Square roots of reflectance times this give field boundaries a step of about 0.1 to 0.5."""

_SMALLEST_FIELD = 8_000.0
"""Square metres."""

_LARGEST_FIELD = 600_000.0
_SAME_FIELD = 0.13
"""Neighbours whose means differ less than this (in the contrast above) are one field."""

_ROUNDS = 12
_FINEST = 20.0


def segment_fields(ground: NDArray[np.float32], resolution: float) -> Labels:
    """Labels of fields, 0..n-1.

    Small parcels by graph-based segmentation (Felzenszwalb & Huttenlocher 2004, IJCV 59(2)), then mutually most similar
    neighbours are merged while they are alike and the field stays below 60 ha (local mutual best fitting, Baatz &
    Schaepe 2000).

    :param ground: (h, w, 13) reflectance, cloudless, >= 0.
    :param resolution: Metres per pixel.
    """
    channels = np.asarray(np.sqrt(np.maximum(ground[..., _SEGMENTED], 0)) * _CONTRAST, dtype=np.float32)
    height, width = channels.shape[:2]
    # Finer than about 20 m there is nothing to gain but texture, and time to lose.
    factor = max(1, round(_FINEST / resolution))
    channels, resolution = _block_mean(channels, factor), resolution * factor
    smallest = max(4, round(_SMALLEST_FIELD / resolution**2))
    # Smoothed here, with one width in metres, so that resolutions give about the same fields.
    channels = np.stack([ndimage.gaussian_filter(channels[..., i], 12 / resolution) for i in range(3)], axis=-1)
    parcels = felzenszwalb(channels.astype(np.float64), scale=20 * (20 / resolution) ** 2, sigma=0, min_size=smallest)
    labels = np.asarray(parcels, dtype=np.int64)
    for _ in range(_ROUNDS):
        merged = _merge_mutual_best(labels, channels, _LARGEST_FIELD / resolution**2)
        if merged is None:
            break
        labels = merged
    return labels.repeat(factor, axis=0).repeat(factor, axis=1)[:height, :width]


def _block_mean(channels: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    height, width, count = channels.shape
    rows, columns = -(-height // factor), -(-width // factor)
    padded = np.pad(channels, ((0, rows * factor - height), (0, columns * factor - width), (0, 0)), mode="edge")
    return np.asarray(padded.reshape(rows, factor, columns, factor, count).mean(axis=(1, 3)), dtype=np.float32)


def calm_outlines(labels: Labels, where: NDArray[np.bool_], resolution: float) -> Labels:
    """The same labels with the pixels of ``where`` given to the majority within 60 m: frayed outlines become calm.

    :param labels: (h, w), 0..n-1.
    :param where: (h, w) bool.
    :param resolution: Metres per pixel.
    """
    reach = max(1, round(60 / resolution))
    rows, columns = np.nonzero(where)
    steps = np.arange(-reach, reach + 1)
    round_about = [(dy, dx) for dy in steps for dx in steps if dy * dy + dx * dx <= reach * reach]
    padded = np.pad(labels, reach, mode="edge")
    votes = np.stack([padded[rows + reach + dy, columns + reach + dx] for dy, dx in round_about])
    votes.sort(axis=0)
    best, run = np.ones(len(rows), dtype=np.int64), np.ones(len(rows), dtype=np.int64)
    winner = votes[0].copy()
    for this, before in zip(votes[1:], votes[:-1], strict=True):
        run = np.where(this == before, run + 1, 1)
        ahead = run > best
        winner[ahead], best[ahead] = this[ahead], run[ahead]
    calm = labels.copy()
    calm[rows, columns] = winner
    return calm


def _merge_mutual_best(labels: Labels, channels: NDArray[np.float32], largest: float) -> Labels | None:
    """One round of merging pairs that are each other's most similar neighbour; None when there is no such pair."""
    count = int(labels.max()) + 1
    size = np.bincount(labels.ravel(), minlength=count)
    mean = np.stack(
        [np.bincount(labels.ravel(), weights=channels[..., i].ravel(), minlength=count) / size for i in range(3)],
        axis=1,
    )
    first, second = np.divmod(np.unique(np.concatenate([_borders(labels, count), _borders(labels.T, count)])), count)
    distance = np.sqrt(np.square(mean[first] - mean[second]).sum(axis=1))
    alike = (distance < _SAME_FIELD) & (size[first] + size[second] <= largest)
    if not alike.any():
        return None
    here = np.concatenate([first[alike], second[alike]])
    there = np.concatenate([second[alike], first[alike]])
    order = np.lexsort((there, np.tile(distance[alike], 2), here))
    here, there = here[order], there[order]
    start = np.r_[True, here[1:] != here[:-1]]
    best = np.arange(count)
    best[here[start]] = there[start]
    mutual = (best[best] == np.arange(count)) & (best != np.arange(count))
    target = np.where(mutual, np.minimum(best, np.arange(count)), np.arange(count))
    return np.unique(target, return_inverse=True)[1].reshape(-1)[labels].astype(np.int64)


def _borders(labels: Labels, count: int) -> Labels:
    """Pairs of touching labels, each as one number: the smaller times count plus the larger."""
    left, right = labels[:, :-1], labels[:, 1:]
    differ = left != right
    left, right = left[differ], right[differ]
    return np.asarray(np.minimum(left, right) * count + np.maximum(left, right))
