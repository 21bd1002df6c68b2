"""What makes masks hard on real frames and the plain simulated year leaves out, each as an option; and its dates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from eotasks.errors import ConfigurationError
from eotasks.models.checks import check_number
from eotasks.models.simulation.weather import CloudLayer, HazeVeil, SoftCloudLayer

_FIRST_DRAW = 20
"""Streams of random numbers from here on belong to these options: those of the plain year stay what they are."""


@dataclass(frozen=True)
class Realism:
    """Options of the simulated year, all off by default. Shares are of the dates of a year, 0..1."""

    soft_clouds: bool = False
    """Clouds by optical thickness: rims fade, thin parts let the ground through, shadows are as deep as the cloud."""

    second_layer: float = 0.0
    """Share of the dates with a second, higher layer of clouds with a wind of its own; it takes part of the date's
    cloud cover. Needs soft_clouds."""

    relief: float = 0.0
    """Standard deviation of the elevation of simulated hills, metres, 0..500: shadows break on them, and slopes are
    shaded. Not used where the ground has a DEM, which stands in its place."""

    haze_veils: float = 0.0
    """Share of the dates with veils of smoke or mist over parts of the ground; no cloud, and nothing in B10."""

    turbid_water: float = 0.0
    """Share of the dates with muddy water."""

    frozen_water: bool = False
    """Ice on waters on cold winter dates, clear or white; snow may lie on it."""

    surf: float = 0.0
    """Share of the dates with foam along the shores of open water; the shore is then wet."""

    snow_ages: bool = False
    """Snow from fresh to old and dirty, by date and place; needs snow in the settings to show."""

    flooding: float = 0.0
    """Share of the dates with fields under shallow water, where the fields lie low; of them those without snow or
    frost."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, bool):
                if not isinstance(value, bool):
                    raise ConfigurationError(f"{field.name}={value!r}: give True or False.")
            else:
                what, highest = ("number of metres", 500) if field.name == "relief" else ("share", 1)
                # A plain float: NumPy's cannot be written to JSON.
                object.__setattr__(self, field.name, check_number(value, field.name, what, lowest=0, highest=highest))
        if self.second_layer and not self.soft_clouds:
            raise ConfigurationError(f"second_layer={self.second_layer!r} needs soft_clouds=True.")


PLAIN = Realism()
"""The plain year: hard-edged clouds of one layer over flat ground, clear water, one kind of snow."""

REALISTIC = Realism(
    soft_clouds=True,
    second_layer=0.5,
    relief=60.0,
    haze_veils=0.35,
    turbid_water=0.4,
    frozen_water=True,
    surf=0.4,
    snow_ages=True,
    flooding=0.35,
)
"""All of it together: the preset to judge masks by."""


@dataclass(frozen=True)
class DateConditions:
    """What the options make of one date; the default is a date of the plain year."""

    layers: tuple[SoftCloudLayer, ...] = ()
    """Clouds by optical thickness, the lowest first; empty in the plain year, whose clouds have an opacity only."""

    veil: HazeVeil | None = None
    turbidity: float = 0.0
    """Of the muddiest water, 0 clear to 1."""

    frost: float = 0.0
    """Share of the water that is frozen, 0..1."""

    surf: float = 0.0
    """Share of foam in the surf, 0..1."""

    snow_age: float | None = None
    """0 fresh to 1 old and dirty; None for the snow of the plain year."""

    flooding: float = 0.0
    """Share of the fields under water, 0..1."""


def date_conditions(
    realism: Realism,
    clouds: CloudLayer,
    *,
    cold: bool,
    snowy: bool,
    rank: Callable[[int], float],
    draw: Callable[[int], float],
) -> DateConditions:
    """The conditions of one date.

    :param clouds: Of the date in the plain year.
    :param cold: Whether the date lies in the cold of the winter.
    :param snowy: Whether snow lies on it. Fields are under water where there is neither snow nor frost.
    :param rank: Stream -> place of the date in a random order of all dates, a quantile in (0, 1).
    :param draw: Stream -> a number of the date in [0, 1).
    """
    first = _FIRST_DRAW
    frost = 0.45 + 0.55 * draw(first + 13) if realism.frozen_water and cold else 0.0
    floods = rank(first + 4) < realism.flooding and not snowy and not frost
    return DateConditions(
        layers=_layers(clouds, rank(first) < realism.second_layer, draw) if realism.soft_clouds else (),
        veil=_veil(clouds.seed, draw) if rank(first + 1) < realism.haze_veils else None,
        turbidity=0.5 + 0.5 * draw(first + 12) if rank(first + 2) < realism.turbid_water else 0.0,
        frost=frost,
        surf=0.45 + 0.4 * draw(first + 14) if rank(first + 3) < realism.surf else 0.0,
        snow_age=draw(first + 15) if realism.snow_ages else None,
        flooding=0.08 + 0.22 * draw(first + 16) if floods else 0.0,
    )


def _layers(clouds: CloudLayer, second: bool, draw: Callable[[int], float]) -> tuple[SoftCloudLayer, ...]:
    first = _FIRST_DRAW
    cumulus = clouds.sharpness > _SHARPEST_STRATUS
    wind = 360 * draw(first)
    high_cover = clouds.cover * (0.25 + 0.3 * draw(first + 1)) if second else 0.0
    low = SoftCloudLayer(
        # Both together cover what one layer covers in the plain year, where they lie by chance over each other.
        cover=1 - (1 - clouds.cover) / (1 - high_cover),
        height=clouds.height,
        wavelength=clouds.wavelength,
        rim=(0.2 + 0.25 * draw(first + 2)) if cumulus else (0.35 + 0.4 * draw(first + 2)),
        wind=wind,
        stretch=1 + 0.8 * draw(first + 3),
        seed=clouds.seed,
        level=0,
    )
    if not high_cover:
        return (low,)
    high = SoftCloudLayer(
        cover=high_cover,
        height=clouds.height + 1200 + 2200 * draw(first + 4),
        wavelength=1800 + 3000 * draw(first + 5),
        rim=0.5 + 0.4 * draw(first + 6),
        wind=wind + 20 + 70 * draw(first + 7),
        stretch=1.4 + 1.4 * draw(first + 8),
        seed=clouds.seed,
        level=1,
    )
    return low, high


_SHARPEST_STRATUS = 4.0


def _veil(seed: int, draw: Callable[[int], float]) -> HazeVeil:
    first = _FIRST_DRAW
    return HazeVeil(
        strength=0.7 + 0.9 * draw(first + 9),
        exponent=0.5 + 0.9 * draw(first + 10),
        wavelength=6000 + 8000 * draw(first + 11),
        seed=seed,
    )
