"""Whether all that is said of the offset of a product's numbers agrees: a wrong one spoils all values without a sign.

From processing baseline 04.00 on the ground segment adds 1000 to reflectance * 10,000, so that the metadata says -1000
(RADIO_ADD_OFFSET, BOA_ADD_OFFSET). Some catalogues keep the numbers as they are and say an offset of -0.1; others
remove it, and say that in a flag. What they say does not always fit: Element84/earth-search#9 #66 #71,
cirrus-geo/cirrus-earth-search#33, gjoseph92/stackstac#241.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from eotasks.errors import OffsetError
from eotasks.models.sentinel2 import BASELINE_OFFSET, QUANTIFICATION
from eotasks.text import excerpt

OFFSET_BASELINE = (4, 0)
"""Since processing baseline 04.00 (January 2022) products carry an offset."""

SEN2COR_BASELINE = "99.99"
"""What users' own runs of Sen2Cor write: it tells nothing of an offset. Releases before 2.10 knew of none."""

APPLIED_FLAGS = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
"""Properties of STAC items that say whether the offset was removed from the numbers."""

STATED = -BASELINE_OFFSET / QUANTIFICATION
"""The offset as reflectance, the only one so far."""

_NEAR = 1e-6


def carries_offset(baseline: str) -> bool:
    """Whether products of a processing baseline have an offset in their digital numbers."""
    major, _, minor = baseline.partition(".")
    return (int(major), int(minor)) >= OFFSET_BASELINE


def says_offset(level: Literal["L1C", "L2A"], baseline: str | None) -> bool | None:
    """The same of a product; None where its baseline tells nothing."""
    if baseline is None or (level, baseline) == ("L2A", SEN2COR_BASELINE):
        return None
    return carries_offset(baseline)


def offset_removed(properties: Mapping[str, Any], where: str) -> bool | None:
    """What flags of a STAC item say: True where the offset was removed, None where none says anything.

    :raises OffsetError: when one is neither true nor false, or two differ.
    """
    said = {name: properties[name] for name in APPLIED_FLAGS if properties.get(name) is not None}
    for name, value in said.items():
        if not isinstance(value, bool):
            raise OffsetError(f"{where}: {name} is {excerpt(value)}, not true or false. Search for it again.")
    if len(set(said.values())) > 1:
        raise OffsetError(f"{where}: {' and '.join(said)} differ. {_CURE}")
    return next(iter(said.values()), None)


def check_baselines(said: Mapping[str, str], where: str) -> None:
    """Refuse baselines of which some have an offset and some have none.

    :param said: Baselines by who says them.
    :raises OffsetError: naming both.
    """
    if len({carries_offset(baseline) for baseline in said.values() if baseline != SEN2COR_BASELINE}) > 1:
        named = ", ".join(f"{who} says {baseline}" for who, baseline in said.items())
        raise OffsetError(f"{where}: its baselines contradict each other: {named}. {_CURE}")


def check_statement(
    offsets: Mapping[str, float], *, expected: bool | None, removed: bool | None, baseline: str | None, where: str
) -> None:
    """Refuse offsets that do not fit the baseline or the flag of a STAC item.

    :param offsets: As reflectance, by band; empty where nothing says any.
    :param expected: Whether products of the baseline have an offset; None where nobody knows.
    :param removed: Whether a flag says that it was removed; None without one.
    :raises OffsetError: naming what contradicts.
    """
    if removed and expected is False:
        raise OffsetError(
            f"{where}: a flag says that the offset was removed, and products of its baseline {baseline} have none."
            f" {_CURE}"
        )
    wrong = {band: offset for band, offset in offsets.items() if not _fits(offset, expected, removed)}
    if wrong:
        band, offset = next(iter(wrong.items()))
        if removed:
            right = "a flag says that it was removed from the numbers, which leaves 0"
        elif expected:
            right = f"products of its baseline {baseline} have {STATED:g}, and no flag says that it was removed"
        elif expected is False:
            right = f"products of its baseline {baseline} have none"
        else:
            right = f"an offset is {STATED:g} or 0"
        raise OffsetError(f"{where}: {band} states an offset of {offset:g} of reflectance; {right}. {_CURE}")
    if len({math.isclose(offset, 0, abs_tol=_NEAR) for offset in offsets.values()}) > 1:
        raise OffsetError(f"{where}: some of its bands state an offset and some state 0. {_CURE}")


def check_scale(offset: int, quantification: float, where: str) -> None:
    """Refuse an offset in digital numbers that no product has: its scale is another one than that of the numbers.

    :param offset: In digital numbers, as offset and scale of the item give it.
    :raises OffsetError: naming both.
    """
    if offset and offset != -BASELINE_OFFSET:
        raise OffsetError(
            f"{where}: its offset over its scale of {1 / quantification:g} is {offset} digital numbers, and products"
            f" have {-BASELINE_OFFSET}: the scale is another one than {1 / QUANTIFICATION:g}. {_CURE}"
        )


def check_metadata(
    offsets: Mapping[str, int], *, level: Literal["L1C", "L2A"], baseline: str, where: str, name: str
) -> None:
    """Refuse offsets of a product's own metadata that do not fit its baseline.

    :param offsets: In digital numbers, by band.
    :param name: Of the element.
    :raises OffsetError: naming what contradicts.
    """
    expected = says_offset(level, baseline)
    for band, offset in offsets.items():
        if offset > 0 or (expected is not None and expected != bool(offset)):
            right = "none" if expected is False else "one below 0"
            raise OffsetError(
                f"{where}: {name} of {band} is {offset}, and products of baseline {baseline} have {right}."
                " Fetch the original again."
            )


def _fits(offset: float, expected: bool | None, removed: bool | None) -> bool:
    none, stated = (math.isclose(offset, value, abs_tol=_NEAR) for value in (0, STATED))
    if removed or expected is False:
        return none
    return stated if expected else none or stated


_CURE = (
    "Either -1000 would be taken off twice or be left in: read the product itself or another collection (Earth Search"
    " has sentinel-2-c1-l2a), or correct items by what their pixels show (StacApi(..., modifier=...))."
)
