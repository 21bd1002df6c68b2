"""Which parts may have items of some ids, told by digests of eight bytes each: an addition reads these, and no part.

Two ids of one digest are possible, so that a part which may have an id is looked at; one that has not is never missed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ImageryError

_BYTES = 8


def digests_of(ids: Collection[str]) -> NDArray[np.uint64]:
    """(n,) digests of ids, in ascending order.

    :raises ImageryError: when one is no text, as in damaged files.
    """
    if not all(isinstance(each, str) for each in ids):
        raise ImageryError("An item of a part has no id: the part is damaged. Make the catalogue anew.")
    raw = b"".join(hashlib.blake2b(each.encode(), digest_size=_BYTES).digest() for each in ids)
    return np.sort(np.frombuffer(raw, dtype="<u8"))


def encode_digests(digests: NDArray[np.uint64]) -> bytes:
    """As the bytes of a file."""
    return digests.astype("<u8").tobytes()


def parse_digests(data: bytes, rows: int) -> NDArray[np.uint64] | None:
    """What :func:`encode_digests` wrote for a part of so many items; None where it is not that."""
    if len(data) != rows * _BYTES:
        return None
    digests = np.frombuffer(data, dtype="<u8")
    return digests if bool((digests[1:] >= digests[:-1]).all()) else None


def may_have(there: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> bool:
    """Whether one of the wanted digests is there; both are in order."""
    if not len(there) or not len(wanted):
        return False
    if len(wanted) > len(there):
        there, wanted = wanted, there
    places = np.minimum(np.searchsorted(there, wanted), len(there) - 1)
    return bool((there[places] == wanted).any())
