"""Names of the collections that there are, as requests write them."""

from __future__ import annotations

from collections.abc import Iterable

from eotasks.service.errors import NotFoundError
from eotasks.text import did_you_mean, excerpt

L1C, L2A = "sentinel-2-l1c", "sentinel-2-l2a"

_OLD_NAMES = {"s2l1c": L1C, "s2l2a": L2A}


def collection_id(name: str, served: Iterable[str] = (L1C, L2A)) -> str:
    """The id of a collection by its name, in any case, as clients write "S2L1C" and "sentinel-2-l1c".

    :param served: Ids of those that are served.
    :raises NotFoundError: names those that there are.
    """
    known = list(served)
    identifier = _OLD_NAMES.get(name.lower(), name.lower())
    if identifier not in known:
        raise NotFoundError(
            f"Collection {excerpt(name)} is not served{did_you_mean(name, known)}. There are {', '.join(known)}."
        )
    return identifier
