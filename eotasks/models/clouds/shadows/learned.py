"""A look at each pixel by all its bands: the mix that tells shade in this frame is learned from the thrown outlines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from eotasks.models.clouds.shadows.looks import AS_SHADED, Sight
from eotasks.models.clouds.shadows.significance import local_mean

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

_CELL = 300.0
"""Metres over which ground is alike, as in the search."""

_LEAST_CELLS = 10.0
"""Independent cells of thrown and of other ground from which a mix of bands can be learned."""

_WITNESSES = 100_000
"""Pixels that are learned from, at most, spread over the frame."""

_ROUNDS = 2
_NOISE = 1e-4
"""Variance (ln) added in every band: no band tells more than to one in a hundred."""

_BLUR = 0.7
"""Pixels (standard deviation) over which the evidence is smoothed."""

_MOST = 8.0
"""Log likelihood ratio of a single pixel, at most: normal distributions have thin tails, ground has not."""

_REACH = 300.0
"""Metres about an outline within which it can be off."""

_THROWN = (0.5, 0.95)
_NEAR = (0.05, 0.05)
_UNKNOWN = (0.002, 0.6)
"""The least and the greatest share of shadow under thrown outlines, beside them, and where the cloud would lie outside
of the image. Beside an outline it is not estimated: the fading rim of a shadow would count as shadow."""

_WORTH = 0.01
"""Share of shadow below which ground whose cloud would lie outside has none."""

_STEPS = 20

_PATCH = 250.0
"""Metres (standard deviation) over which ground whose cloud would lie outside is shaded alike: shadows are patches."""

_LOCAL = (0.01, 0.9)
"""The least and the greatest share of shadow in such a neighbourhood."""

_LOCAL_STEPS = 3

_SHORE = 100.0
"""Metres (standard deviation) over which the shore of water tells whether the water is shaded."""

_OFFSHORE = 400.0
"""Metres from the shore beyond which nothing tells that."""


@dataclass(frozen=True)
class _Mix:
    """Linear discriminant of shaded and lit ground (Fisher 1936, Annals of Eugenics 7(2), 179-188)."""

    weights: Floats
    middle: Floats

    def evidence(self, logs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(...) log likelihood ratio of "shaded" against "lit", of logs (..., bands)."""
        return np.asarray((logs - self.middle.astype(np.float32)) @ self.weights.astype(np.float32))

    @classmethod
    def between(cls, logs: Floats, shaded: Floats) -> _Mix:
        """The best one for witnesses (n, bands) that are shaded with a probability (n,)."""
        means, spreads = [], []
        for share in (shaded, 1 - shaded):
            total = max(float(share.sum()), 1e-9)
            mean = share @ logs / total
            off = logs - mean
            means.append(mean)
            spreads.append((off * share[:, None]).T @ off / total)
        within = (spreads[0] + spreads[1]) / 2 + _NOISE * np.eye(logs.shape[1])
        weights = np.asarray(np.linalg.solve(within, means[0] - means[1]), dtype=np.float64)
        return cls(weights, (means[0] + means[1]) / 2)


def learned(sight: Sight, logs: NDArray[np.float32], thrown: Mask, origin_known: Mask, *, beyond: bool) -> Mask | None:
    """Shadow by geometry and by the looks of each pixel, None where there is too little to learn from.

    One ratio of bands tells shade from dark ground in most frames; which mix does it best depends on the air, the sun
    and the ground. Thrown outlines say what shade looks like in this frame: right at most of their pixels, they are
    enough for a linear discriminant of all bands, whose direction does not suffer from errors that are made on both
    sides. Geometry stays as the prior: shadow is likely under an outline, rare beside it, impossible elsewhere, and
    as frequent where the cloud would lie outside of the image as the looks there say (the share that makes them most
    likely, half of the frame and half of the neighbourhood), unless that is too much to be true (``AS_SHADED``). Water
    tells nothing by its looks, and the deepest shade looks like water: it keeps the outline, and where the cloud would
    lie outside it is what its shore is.

    :param logs: (h, w, bands) ln of reflectance.
    :param thrown: (h, w) shadow of the match.
    :param origin_known: (h, w) whether the cloud that would shade a pixel lies in the image.
    :param beyond: Whether ground whose cloud would lie outside can be shadow.
    """
    cells_per_pixel = sight.pixel_size[0] * sight.pixel_size[1] / _CELL**2
    known = sight.clear & origin_known
    if min(np.count_nonzero(known & thrown), np.count_nonzero(known & ~thrown)) * cells_per_pixel < _LEAST_CELLS:
        return None
    unknown = ~thrown & ~origin_known if beyond else np.zeros_like(thrown)
    near = ndimage.distance_transform_edt(~thrown, sampling=sight.pixel_size) <= _REACH
    zones = ((thrown, _THROWN), (near & ~thrown & origin_known, _NEAR), (unknown, _UNKNOWN))
    where, shaded = _spread(known), thrown.astype(np.float64)
    mix = _Mix.between(logs[where].astype(np.float64), shaded[where])
    most = AS_SHADED * np.count_nonzero(known & thrown) / np.count_nonzero(known)
    prior = np.full(thrown.shape, -np.inf, dtype=np.float32)
    for step in range(_ROUNDS):
        evidence = mix.evidence(logs)
        prior[:] = -np.inf
        for zone, limits in zones:
            share = _share(evidence[_spread(zone & sight.clear)], limits)
            if share >= _WORTH and (limits is not _UNKNOWN or share <= most):
                prior[zone] = np.log(share / (1 - share))
        if step < _ROUNDS - 1:
            where = _spread(sight.clear & np.isfinite(prior))
            belief = _probability(evidence[where] + prior[where])
            mix = _Mix.between(logs[where].astype(np.float64), belief.astype(np.float64))
    evidence, water = np.clip(_smooth(evidence, sight.ground), -_MOST, _MOST), sight.black | sight.turbid
    unknown &= np.isfinite(prior)
    patches = (unknown | thrown) & sight.seen & ~water
    if unknown.any():
        prior[unknown] = _local_prior(evidence, prior, patches, sight.pixel_size)[unknown]
    dark = np.where(water, thrown, prior + evidence > 0)
    if unknown.any():
        dark |= unknown & water & _shore(dark, patches, sight.pixel_size)
    return _without_specks(dark & sight.seen, thrown) & sight.seen


def _local_prior(
    evidence: NDArray[np.float32], prior: NDArray[np.float32], ground: Mask, pixel_size: tuple[float, float]
) -> NDArray[np.float32]:
    """(h, w) log odds of shadow by its share in the frame and its share about a pixel, half each."""
    local = prior
    for _ in range(_LOCAL_STEPS):
        belief = np.where(ground, _probability(evidence + local), np.float32(0))
        share = np.clip(local_mean(belief, ground, pixel_size, _PATCH)[0], *_LOCAL)
        local = (np.log(share / (1 - share)) + prior) / 2
    return local


def _shore(dark: Mask, ground: Mask, pixel_size: tuple[float, float]) -> Mask:
    """(h, w) whether the nearest ground is mostly dark about there."""
    if not ground.any():
        return np.zeros_like(dark)
    share, _ = local_mean(dark.astype(np.float32), ground, pixel_size, _SHORE)
    distance, nearest = ndimage.distance_transform_edt(~ground, sampling=pixel_size, return_indices=True)
    return np.asarray((share[tuple(nearest)] > 0.5) & (distance <= _OFFSHORE))


def _spread(mask: Mask) -> tuple[NDArray[np.intp], ...]:
    """Indices of the pixels of a mask, or of every n-th of them where they are many."""
    rows, columns = np.nonzero(mask)
    every = -(-len(rows) // _WITNESSES) or 1
    return rows[::every], columns[::every]


def _probability(log_odds: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -30, 30))))


def _share(evidence: NDArray[np.float32], limits: tuple[float, float]) -> float:
    """The share of shadow that makes what is seen most likely (expectation and maximization), within limits."""
    low, high = limits
    share = (low + high) / 2
    if not len(evidence):
        return share
    for _ in range(_STEPS):
        share = float(np.clip(_probability(evidence + np.float32(np.log(share / (1 - share)))).mean(), low, high))
    return share


def _smooth(evidence: NDArray[np.float32], ground: Mask) -> NDArray[np.float32]:
    weight = ndimage.gaussian_filter(ground.astype(np.float32), _BLUR)
    total = ndimage.gaussian_filter(np.where(ground, evidence, np.float32(0)), _BLUR)
    return np.asarray(total / np.maximum(weight, np.float32(1e-6)))


def _without_specks(shadow: Mask, thrown: Mask) -> Mask:
    """Neither shadow beside outlines nor holes in it that are a pixel wide: those are noise."""
    square = np.ones((2, 2), dtype=bool)
    wide = ndimage.binary_opening(shadow, square) | (shadow & thrown)
    return np.asarray(~ndimage.binary_opening(~wide, square))
