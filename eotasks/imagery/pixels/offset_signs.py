"""What pixels say of the offset of processing baseline 04.00, where what is said of it in metadata can be wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from eotasks.imagery.grid import Grid
from eotasks.models.sentinel2 import BASELINE_OFFSET, SceneClass

OVERCORRECTED = 200
"""Reflectance * 10000 that honest pixels of L2A go below 0 by: atmospheric correction takes too much off dark water."""

_NOISE = 50
"""The same of L1C. Only bands in which ground can be black do, by their noise, which is 10 at most (B10, by the signal
to noise of the User Handbook): in the others the air is seen."""

_BLACK_BANDS = frozenset({"B09", "B10", "B11", "B12"})

MOST_IMPOSSIBLE = 0.05
"""Share of the pixels of a band that may be below that: defects, and kernels beside bright cloud."""

FEWEST = 64
"""Pixels with data by which an offset is judged."""

MOST_DARK = 0.01
"""Share of the vegetation that may be darker than an offset which was left in lets it be: defects, and errors of its
classification. Of honest vegetation nearly all is."""

_LOOKED_AT = 512
"""Rows and columns that are looked at, at most."""

_DARK_BANDS = frozenset({"B01", "B02", "B04"})
"""In which vegetation is well below 0.08, because chlorophyll swallows their light. Snow, sand, rock and cloud have no
such bands, and water, which is dark in the infrared, shines there where the sun glints."""


def impossible(numbers: NDArray[np.float32], band: str, *, is_l2a: bool) -> int:
    """Pixels that an offset has brought to where no noise reaches.

    :param numbers: Reflectance * 10000, NaN where there is none.
    """
    slack = OVERCORRECTED if is_l2a else _NOISE if band in _BLACK_BANDS else 0
    return int(np.count_nonzero(numbers < -slack))


def left_in(
    dn: NDArray[np.uint16],
    is_data: NDArray[np.bool_],
    bands: Sequence[str],
    grid: Grid,
    classes_on: Callable[[Grid], NDArray[np.uint8]],
) -> tuple[int, float]:
    """Whether numbers of L2A that are said to have no offset have it: by vegetation that is not dark.

    What its producer called so, in a classification made from the right values, is darker in blue and red than any
    pixel with an offset of 1000 can be. Where the bands show that no pixel at all is dark, which is so under clouds, in
    snow and in deserts as well, the classification is read.

    :param dn: (h, w, bands), reflectance * 10000.
    :param is_data: (h, w).
    :param bands: Of ``dn``, in order.
    :param grid: Of both.
    :param classes_on: Reads the scene classification on a grid.
    :return: The number of pixels of vegetation that were looked at and the share of them that is dark; 0 and 1 where
        nothing can be told.
    """
    columns = [index for index, band in enumerate(bands) if band in _DARK_BANDS]
    down, across = (max(1, -(-size // _LOOKED_AT)) for size in is_data.shape)
    few, seen = dn[::down, ::across], is_data[::down, ::across]
    pixels = int(np.count_nonzero(seen))
    if not columns or pixels < FEWEST:
        return 0, 1.0
    dark = (few[..., columns] < BASELINE_OFFSET - OVERCORRECTED).any(axis=-1)
    if np.count_nonzero(dark & seen) > MOST_DARK * pixels:
        return 0, 1.0
    green = seen & (classes_on(_every(grid, down, across)) == SceneClass.VEGETATION)
    pixels = int(np.count_nonzero(green))
    return (pixels, np.count_nonzero(green & dark) / pixels) if pixels >= FEWEST else (0, 1.0)


def _every(grid: Grid, down: int, across: int) -> Grid:
    """A grid whose pixels have their centres where every so many of another have them, from the first one on."""
    return replace(
        grid,
        left=grid.left + grid.across * (1 - across) / 2,
        top=grid.top - grid.down * (1 - down) / 2,
        resolution=grid.across * across,
        pixel_height=grid.down * down,
        height=-(-grid.height // down),
        width=-(-grid.width // across),
    )
