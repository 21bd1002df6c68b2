"""Packets of the tiles in which the last window of a file ended, for the one that goes on below.

Results that are computed in strips share rows of tiles, whatever the strips: tiles of 10, 20 and 60 m have other
heights on the ground. Without this their bytes would be asked for once for each strip.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping

MOST = 1 << 27
"""Bytes of all files of a process. Of a product at 10 m the tiles at an edge have some 60 MB, of ten bands."""


class Edge:
    """Of one file: packets of some tiles, by how many resolutions there are of them."""

    def __init__(self) -> None:
        self._kept: dict[int, Mapping[int, bytes]] = {}

    def of(self, kept: int) -> Mapping[int, bytes]:
        """Tiles of which the packets of so many resolutions are kept."""
        return self._kept.get(kept, {})

    def keep(self, kept: int, bodies: Mapping[int, bytes]) -> None:
        """Keep these in place of the last ones; of other files as long as there is room."""
        with _LOCK:
            _EDGES[:] = [
                each for each in _EDGES if each[0]() is not None and (each[0]() is not self or each[1] != kept)
            ]
            self._kept[kept] = bodies
            _EDGES.append((weakref.ref(self), kept, sum(map(len, bodies.values()))))
            excess = sum(size for *_, size in _EDGES) - MOST
            while excess > 0:
                oldest, resolutions, size = _EDGES.pop(0)
                edge = oldest()
                if edge is not None:
                    edge._kept.pop(resolutions, None)
                excess -= size


_LOCK = threading.Lock()
_EDGES: list[tuple[weakref.ref[Edge], int, int]] = []
"""File, resolutions and bytes of what is kept, the oldest first."""
