"""The classes that are judged, and how labels of any scheme become them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ConfigurationError, GridError, ReferenceDataError
from eotasks.models.clouds.postprocess import CLEAR, CLOUD, NO_DATA
from eotasks.text import did_you_mean, unknown_words

SHADOW = 2
"""Cloud shadow in masks that tell three classes; CLEAR, CLOUD and NO_DATA are those of a cloud mask."""

CLASSES: tuple[str, ...] = ("clear", "cloud", "shadow")
"""Names of the classes 0, 1, 2."""

IGNORED = "ignore"
"""Name, in a mapping of labels, of what is not judged."""

Target = Literal["clear", "cloud", "shadow", "cloud or shadow"]
"""What counts as positive. "cloud or shadow" is what a user of the ground has to mask."""

TARGETS: Mapping[Target, tuple[int, ...]] = {
    "clear": (CLEAR,),
    "cloud": (CLOUD,),
    "shadow": (SHADOW,),
    "cloud or shadow": (CLOUD, SHADOW),
}

LABEL_SCHEMES: Mapping[str, Mapping[int, str]] = {
    "eotasks": {CLEAR: "clear", CLOUD: "cloud", SHADOW: "shadow", NO_DATA: IGNORED},
    "cloudsen12": {0: "clear", 1: "cloud", 2: "cloud", 3: "shadow"},
}
"""Known ways to number labels: the project's own, and CloudSEN12's (clear, thick cloud, thin cloud, shadow)."""


def map_labels(labels: NDArray[np.generic], mapping: Mapping[int, str], *, where: str = "labels") -> NDArray[np.uint8]:
    """Labels of any scheme as the classes that are judged: thick and thin cloud merge by mapping both to cloud.

    :param labels: Whole numbers, any shape; booleans are 0 and 1.
    :param mapping: Value -> "clear", "cloud", "shadow" or "ignore".
    :param where: What the labels are, for messages.
    :return: uint8 of that shape: 0 clear, 1 cloud, 2 shadow, 255 not judged.
    :raises ConfigurationError: a mapping to other names.
    :raises ReferenceDataError: labels that are no whole numbers, or a value that the mapping does not have.
    """
    codes = {name: code for code, name in enumerate(CLASSES)} | {IGNORED: NO_DATA}
    unknown = sorted({str(name) for name in mapping.values()} - set(codes))
    if unknown:
        raise ConfigurationError(
            f"{unknown_words(unknown, list(codes))} is no class of labels: choose of {', '.join(codes)}."
        )
    if labels.dtype.kind not in "iub":
        raise ReferenceDataError(f"{where}: labels of type {labels.dtype}, give whole numbers.")
    values, inverse = np.unique(labels, return_inverse=True)
    missing = [int(value) for value in values if int(value) not in mapping]
    if missing:
        raise ReferenceDataError(
            f"{where}: the label {', '.join(map(str, missing[:5]))} is in no class, the mapping has"
            f" {', '.join(map(str, sorted(mapping)))}. Map it, to {IGNORED!r} if it is not to be judged."
        )
    table = np.array([codes[mapping[int(value)]] for value in values], dtype=np.uint8)
    return table[inverse].reshape(labels.shape) if values.size else np.zeros(labels.shape, dtype=np.uint8)


def positive_classes(target: Target) -> tuple[int, ...]:
    """The classes that a target counts as positive.

    :raises ConfigurationError: no such target.
    """
    if target not in get_args(Target):
        raise ConfigurationError(
            f"target={target!r} is unknown{did_you_mean(target, get_args(Target))}:"
            f" give one of {', '.join(map(repr, TARGETS))}."
        )
    return TARGETS[target]


def checked(
    reference: NDArray[np.generic], mask: NDArray[np.generic], where: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Reference and mask as uint8 classes of one shape.

    :raises GridError: shapes that differ.
    :raises ReferenceDataError: values that are no class.
    """
    if reference.shape != mask.shape:
        raise GridError(f"{where}: shape {mask.shape}, the reference has {reference.shape}. Give both on one grid.")
    return _classes(reference, "the reference"), _classes(mask, where)


def _classes(values: NDArray[np.generic], where: str) -> NDArray[np.uint8]:
    if values.dtype.kind not in "iub":
        raise ReferenceDataError(f"{where}: type {values.dtype} holds no classes. Give whole numbers.")
    known = np.isin(values, (*range(len(CLASSES)), NO_DATA))
    if not known.all():
        raise ReferenceDataError(
            f"{where}: the value {values[~known][0]} is no class: 0 clear, 1 cloud, 2 shadow, 255 none. Map it first"
            " (map_labels)."
        )
    return values.astype(np.uint8)
