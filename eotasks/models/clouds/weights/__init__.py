"""Weights that the project carries, in the compact form of its own engine.

What the file is, where it is from and under which licence: README.md beside it. ``python -m
eotasks.models.clouds.weights`` makes it anew from the published wheel, byte for byte.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from eotasks.errors import MissingDependencyError
from eotasks.models.forest import Forest

MULTI_TEMPORAL_FILE = Path(__file__).with_name("interssim_v0.2.forest")
MULTI_TEMPORAL_SHA256 = "2d54473c2ee49d820354ae20c0436917ca1a0ea8f3d8fafa6e9f9965e60eeabd"


def load_multi_temporal() -> Forest:
    """The multi-temporal (InterSSIM) cloud model of 90 features.

    :raises MissingDependencyError: when its file is missing or is not the one that was shipped.
    """
    reinstall = "Install eotasks again."
    try:
        content = MULTI_TEMPORAL_FILE.read_bytes()
    except OSError as error:
        raise MissingDependencyError(
            f"the weights {MULTI_TEMPORAL_FILE.name} of the multi-temporal model cannot be read. {reinstall}"
        ) from error
    if hashlib.sha256(content).hexdigest() != MULTI_TEMPORAL_SHA256:
        raise MissingDependencyError(
            f"the weights {MULTI_TEMPORAL_FILE.name} are not those that were shipped. {reinstall}"
        )
    return Forest.from_bytes(content)
