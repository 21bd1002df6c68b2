"""What a simulated lake is: where it lies, how deep and how steep it is, and how it behaves over the year."""

from __future__ import annotations

from dataclasses import dataclass, fields

from eotasks.errors import ConfigurationError
from eotasks.models.checks import check_number, check_whole

_LIMITS: dict[str, tuple[str, float, float]] = {
    "x": ("map coordinate in metres", -1e8, 1e8),
    "y": ("map coordinate in metres", -1e8, 1e8),
    "radius": ("number of metres", 50, 20_000),
    "depth": ("number of metres", 0.5, 200),
    "shore": ("exponent", 1, 6),
    "raggedness": ("share", 0, 0.6),
    "drawdown": ("share", 0, 0.9),
    "flood": ("share", 0, 0.08),
    "turbid": ("share", 0, 1),
    "frozen": ("share", 0, 1),
}


@dataclass(frozen=True)
class Lake:
    """One lake. The same lake has the same basin and the same level curve in every simulated year."""

    x: float
    """Map coordinate of its middle, metres, in the CRS of the ground."""

    y: float
    name: str = "lake"
    radius: float = 700.0
    """Metres, of the disk with the area of the full lake."""

    depth: float = 12.0
    """Metres of the full lake at its deepest, up to sandbanks and holes."""

    shore: float = 2.0
    """How the bed falls off: as rho^shore from the middle (rho = 0) to the shore (1). The slope of the shore is about
    ``shore * depth / radius``; one side of the lake is gentler, the other one steeper."""

    raggedness: float = 0.3
    """0 for a disk, to 0.6 for many bays."""

    drawdown: float = 0.5
    """Share of the depth that is gone at the lowest, in autumn, 0..0.9."""

    flood: float = 0.0
    """Share of the depth by which the highest level, in spring, stands above the full lake, 0..0.08."""

    turbid: float = 0.3
    """Share of the dates with sediment in the water."""

    frozen: float = 0.8
    """Share of the cold dates of winter with ice."""

    seed: int = 0
    """Of the form of basin and curve."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ConfigurationError(f"name={self.name!r}: give the lake a name.")
        object.__setattr__(self, "seed", check_whole(self.seed, "seed", "seed", at_least=0))
        for field in fields(self):
            if field.name in _LIMITS:
                what, low, high = _LIMITS[field.name]
                value = check_number(getattr(self, field.name), field.name, what, lowest=low, highest=high)
                object.__setattr__(self, field.name, value)
