"""Decoded pixels that are asked for again: a small file without levels is decoded once for masks and for a picture."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock

from eotasks.imagery.pixels.raster import Pixels

KEPT_BYTES = 16 << 20
"""All that is kept at a time."""


class KeptPixels:
    """Keeps what is decoded first, as far as it fits. May be used by several threads."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Pixels] = {}
        self._room = KEPT_BYTES
        self._lock = Lock()

    def read(self, key: Hashable, decode: Callable[[], Pixels | None]) -> Pixels | None:
        """What is kept under a key, else what is decoded now; to be read only.

        :param key: Names a file, of which it is all.
        """
        with self._lock:
            pixels = self._kept.get(key)
        if pixels is not None:
            return pixels
        pixels = decode()
        with self._lock:
            other = self._kept.get(key)  # decoded by another thread in the meantime
            if other is None and pixels is not None and pixels.values.nbytes <= self._room:
                self._room -= pixels.values.nbytes
                self._kept[key] = pixels
        return pixels if other is None else other
