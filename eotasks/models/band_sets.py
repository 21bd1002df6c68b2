"""Which bands an array has, told by their number."""

from __future__ import annotations

from collections.abc import Sequence

from eotasks.errors import BandError
from eotasks.models.sentinel2 import BANDS, CLOUD_BANDS


def band_names(count: int, names: Sequence[str] | None = None, *, where: str = "the bands") -> tuple[str, ...]:
    """Names of the bands of an array, in order.

    :param count: Number of bands in the array.
    :param names: Their names where the user gives them; None tells by count: all 13 of L1C, or the ten of the cloud
        model in its order.
    :param where: What the array is, for the message.
    :raises BandError: names that do not fit the count, or a count that fits no known set.
    """
    if names is not None:
        if len(names) != count:
            raise BandError(f"{where}: {len(names)} band names are given for {count} bands. Name each band once.")
        return tuple(names)
    known = {len(each): each for each in (BANDS, CLOUD_BANDS)}
    if count not in known:
        raise BandError(
            f"{where}: {count} bands without names; only {len(BANDS)} (all of L1C) and {len(CLOUD_BANDS)} (those of"
            " the cloud model) are known by their number. Name the bands in their order."
        )
    return known[count]
