"""Made-up spectra of the 13 bands of L1C, and frames of them."""

from __future__ import annotations

from typing import Any

import numpy as np

GRASS = (0.12, 0.10, 0.09, 0.07, 0.11, 0.24, 0.30, 0.32, 0.34, 0.10, 0.002, 0.20, 0.11)
LAKE = (0.13, 0.10, 0.07, 0.04, 0.04, 0.03, 0.03, 0.025, 0.02, 0.01, 0.001, 0.008, 0.005)
CLOUD = (0.50, 0.48, 0.46, 0.47, 0.48, 0.50, 0.52, 0.53, 0.54, 0.25, 0.02, 0.45, 0.35)
SNOW = (0.83, 0.81, 0.74, 0.70, 0.68, 0.77, 0.71, 0.72, 0.69, 0.29, 0.004, 0.18, 0.16)
"""Which the model calls cloud (p = 0.985)."""

CIRRUS_OVER_GRASS = (0.16, 0.14, 0.13, 0.11, 0.15, 0.27, 0.33, 0.35, 0.37, 0.13, 0.03, 0.23, 0.14)
STORM = (0.90, 0.88, 0.85, 0.86, 0.87, 0.88, 0.89, 0.90, 0.90, 0.80, 0.45, 0.30, 0.22)


def stack(*spectra: Any, seed: int = 1, side: int = 12) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A frame of each spectrum, with some noise, as float32 reflectance."""
    noise = np.random.default_rng(seed).normal(1, 0.03, (len(spectra), side, side, 13))
    return (np.array(spectra).reshape(-1, 1, 1, 13) * noise).astype(np.float32)


def numbers(frames: Any) -> Any:
    """Reflectance as uint16 digital numbers."""
    return np.round(frames * 10_000).astype(np.uint16)
