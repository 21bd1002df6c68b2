"""Lakes for a scene by chance: where they have room, each with a basin and habits of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from eotasks.errors import ConfigurationError
from eotasks.models.checks import check_number, check_whole
from eotasks.models.simulation.ground import Ground
from eotasks.models.simulation.lakes.basin import reach
from eotasks.models.simulation.lakes.lake import Lake
from eotasks.models.simulation.noise import hash_uniform

_PLACE = 631
_TRIES = 150
_APART = 150.0
"""Metres between a basin and the next one, the waters of the scene, or its edge."""


def place_lakes(
    ground: Ground, count: int, *, seed: int, smallest: float = 250.0, largest: float = 900.0
) -> tuple[Lake, ...]:
    """Lakes within the scene, apart from each other and from its waters.

    :param count: Of lakes.
    :param seed: The same seed gives the same lakes on the same ground.
    :param smallest: Metres, the least radius of a disk with the area of a full lake.
    :param largest: The greatest.
    :raises ConfigurationError: when the scene has no room for so many.
    """
    check_whole(count, "count", "number of lakes", at_least=0)
    smallest = check_number(smallest, "smallest", "radius in metres", lowest=50, highest=20_000)
    largest = check_number(largest, "largest", "radius in metres", lowest=smallest, highest=20_000)
    size = ground.resolution
    # The free room of every pixel, metres: distance to water, to the edge and, below, to the lakes that are there.
    free = np.pad((ground.water < 0.5) & ground.is_data, 1)
    room = ndimage.distance_transform_edt(free)[1:-1, 1:-1] * size - _APART
    x = ground.left + (np.arange(ground.shape[1]) + 0.5) * size
    y = ground.top - (np.arange(ground.shape[0]) + 0.5) * size
    lakes: list[Lake] = []
    for attempt in range(_TRIES):
        if len(lakes) == count:
            break
        lake = _drawn(seed, attempt, len(lakes), smallest, largest)
        rows, columns = np.nonzero(room >= reach(lake))
        if not rows.size:
            continue
        chosen = int(hash_uniform(seed, _PLACE, attempt, 99)[0] * rows.size)
        lake = replace(lake, x=float(x[columns[chosen]]), y=float(y[rows[chosen]]))
        lakes.append(lake)
        room = np.minimum(room, np.hypot(x[None, :] - lake.x, y[:, None] - lake.y) - reach(lake) - _APART)
    if len(lakes) < count:
        raise ConfigurationError(
            f"The scene has room for {len(lakes)} of {count} lakes of {smallest:g} to {largest:g} m: ask for fewer, or"
            " for smaller ones."
        )
    return tuple(lakes)


def _drawn(seed: int, attempt: int, number: int, smallest: float, largest: float) -> Lake:
    """A lake at (0, 0)."""
    draw = [float(hash_uniform(seed, _PLACE, attempt, stream)[0]) for stream in range(7)]
    return Lake(
        x=0,
        y=0,
        name=f"lake {number + 1}",
        radius=smallest * (largest / smallest) ** draw[0],
        depth=6 + 14 * draw[1],
        shore=1.4 + 2.2 * draw[2],
        raggedness=0.15 + 0.35 * draw[3],
        drawdown=0.15 + 0.5 * draw[4],
        flood=max(0.0, 0.08 * (draw[5] - 0.5)),
        seed=int(draw[6] * 2**31),
    )
