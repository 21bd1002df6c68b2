"""Made-up cloud probabilities."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np


def smooth_probability(seed: int, shape: tuple[int, int] = (40, 50)) -> np.ndarray[Any, np.dtype[np.float32]]:
    """(h, w) float32 0..1 with soft edges, from a seed."""
    noise = np.random.default_rng(seed).random(shape, dtype=np.float32)
    return np.clip(cv2.GaussianBlur(noise, (0, 0), 3) * 3 - 1, 0, 1)
