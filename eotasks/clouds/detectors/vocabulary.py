"""Words of the contract of detectors. Loads nothing, so that commands can name them before they do any work."""

from __future__ import annotations

from typing import Literal, get_args

DEFAULT_DETECTOR = "s2cloudless"

Need = Literal["series", "sun angles", "classification", "stored mask"]
"""What a detector may need beside bands: several frames, the place of the sun, the SCL of L2A, somebody's mask."""

Answer = Literal["cloud", "shadow", "probability"]
"""What a detector may answer. All answer cloud."""

NEEDS: tuple[Need, ...] = get_args(Need)
ANSWERS: tuple[Answer, ...] = get_args(Answer)
