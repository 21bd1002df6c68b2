"""Which pixels to train on: a fraction or a fixed number of each class, without replacement."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError, FeatureError


def patch_generator(seed: int, name: str) -> np.random.Generator:
    """A generator for one patch: patches of one seed draw differently, and the same in any order of processing.

    :param seed: Seed of the whole run, >= 0.
    :param name: What tells the patch apart from the others: its name, or its place.
    """
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.default_rng([check_seed(seed), int.from_bytes(digest[:16], "little")])


def sample_pixels(
    labels: NDArray[np.integer],
    *,
    fraction: float | Mapping[int, float] | None = None,
    per_class: int | Mapping[int, int] | None = None,
    exclude: Collection[int] = (0,),
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw pixels of each class without replacement.

    Every pixel gets a random key and a class takes its pixels of smallest key. So the draw of a class does not depend
    on which other classes are asked for, and a smaller sample is part of a larger one of the same generator state.

    :param labels: Labels (h, w), any integer type.
    :param fraction: Share 0..1 of each class, or by label; the number is rounded to the nearest (half to even, as
        eo-learn). A label that a mapping leaves out is not drawn.
    :param per_class: Number of pixels of each class, or by label; a class that has fewer gives all it has.
    :param exclude: Labels never drawn; 0 (unlabelled) unless told otherwise.
    :param rng: Source of randomness; advanced by h * w numbers.
    :return: Rows and columns, int64 (n,), in row-major order.
    :raises ConfigurationError: unless exactly one of fraction and per_class is given, in its range.
    :raises FeatureError: when the labels are not a 2-D array of integers.
    """
    check_amounts(fraction, per_class)
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
        raise FeatureError(f"Labels to sample from are {labels.dtype} {labels.shape}: give integers of shape (h, w).")

    keys = rng.random(labels.size)
    flat = labels.ravel()
    drawn = [np.empty(0, np.int64)]
    for label in np.unique(flat).tolist():
        if label in exclude:
            continue
        members = np.flatnonzero(flat == label)
        count = _amount(label, members.size, fraction, per_class)
        drawn.append(members[np.argsort(keys[members], kind="stable")[:count]])
    rows, columns = np.divmod(np.sort(np.concatenate(drawn)), max(labels.shape[1], 1))
    return rows, columns


def check_amounts(fraction: float | Mapping[int, float] | None, per_class: int | Mapping[int, int] | None) -> None:
    """Refuse what is no amount to sample.

    :raises ConfigurationError: unless exactly one of the two is given, fractions within 0..1, counts whole and >= 0.
    """
    if (fraction is None) == (per_class is None):
        raise ConfigurationError("Give either fraction (share of each class) or per_class (pixels of each class).")
    if fraction is not None:
        for label, share in _items(fraction):
            if not _is_number(share) or not 0 <= share <= 1:
                raise ConfigurationError(f"fraction{label} is {share!r}: give a share from 0 to 1.")
    if per_class is not None:
        for label, count in _items(per_class):
            if not _is_whole(count) or count < 0:
                raise ConfigurationError(f"per_class{label} is {count!r}: give a whole number of pixels, at least 0.")


def check_seed(seed: int) -> int:
    """The seed as a plain int.

    :raises ConfigurationError: when it is not a whole number of at least 0.
    """
    if not _is_whole(seed) or seed < 0:
        raise ConfigurationError(f"seed is {seed!r}: give a whole number of at least 0.")
    return int(seed)


def _amount(
    label: int,
    available: int,
    fraction: float | Mapping[int, float] | None,
    per_class: int | Mapping[int, int] | None,
) -> int:
    if fraction is not None:
        share = fraction.get(label, 0.0) if isinstance(fraction, Mapping) else fraction
        return round(available * share)
    count = per_class.get(label, 0) if isinstance(per_class, Mapping) else per_class
    return min(available, count or 0)


def _items(amounts: float | Mapping[int, float]) -> list[tuple[str, float]]:
    """Amounts with how a message should name them."""
    if isinstance(amounts, Mapping):
        bad = [label for label in amounts if not _is_whole(label)]
        if bad:
            raise ConfigurationError(f"Label {bad[0]!r} of an amount per class is no whole number: give label ids.")
        return [(f"[{label}]", amount) for label, amount in amounts.items()]
    return [("", amounts)]


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_whole(value) or (isinstance(value, float | np.floating) and math.isfinite(value))
