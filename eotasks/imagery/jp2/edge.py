"""Packets of the tiles in which the last window of a file ended, for the one that goes on below.

Results that are computed in strips share rows of tiles, whatever the strips: tiles of 10, 20 and 60 m have other
heights on the ground. Without this their bytes would be asked for once for each strip.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping

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
        with _EDGES.lock:
            self._kept.pop(kept, None)
            size = sum(map(len, bodies.values()))
            if size:
                self._kept[kept] = bodies
            for edge, resolutions in _EDGES.pushed_out(self, kept, size):
                edge._kept.pop(resolutions, None)


class _Edges:
    """What the files of a process keep, the oldest first."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._sizes: OrderedDict[tuple[int, int], tuple[weakref.ref[Edge], int]] = OrderedDict()
        """By number of the file's edge and resolutions; bytes."""

        self._sum = 0
        self._gone: deque[tuple[int, int]] = deque()
        """Of files that nobody has any more. Filled at any moment, also while the lock is held."""

    def pushed_out(self, edge: Edge, resolutions: int, size: int) -> Iterator[tuple[Edge, int]]:
        """What there is no room for beside so many bytes that are new; 0 for none. The lock is held."""
        while self._gone:
            self._drop(self._gone.popleft())
        key = id(edge), resolutions
        self._drop(key)
        if size:
            self._sizes[key] = weakref.ref(edge, lambda _: self._gone.append(key)), size
            self._sum += size
        while self._sum > MOST:
            oldest, (reference, _) = next(iter(self._sizes.items()))
            self._drop(oldest)
            if (found := reference()) is not None:
                yield found, oldest[1]

    def _drop(self, key: tuple[int, int]) -> None:
        _, size = self._sizes.pop(key, (None, 0))
        self._sum -= size


_EDGES = _Edges()
