"""What is made once and kept while there is room: open products, masks of products, answers of catalogues."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class _Entry(Generic[_Value]):
    value: _Value
    size: int
    made: float


class Kept(Generic[_Value]):
    """Keeps what was used last. Of threads that ask for the same at the same time one makes it, the others wait.

    What could not be made is not kept: each of those that waited gets the error, the next one tries again.

    :param room: Of all that is kept, in the unit of `size`.
    :param size: Of a value; each takes 1 without.
    :param seconds: How long something is kept at most; None for as long as there is room.
    """

    def __init__(self, room: int, *, size: Callable[[_Value], int] = lambda _: 1, seconds: float | None = None) -> None:
        self._room, self._size, self._seconds = room, size, seconds
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, _Entry[_Value]] = OrderedDict()
        self._taken = 0
        self._making: dict[Hashable, Future[_Value]] = {}

    def get(self, key: Hashable, make: Callable[[], _Value]) -> _Value:
        """What is kept under a key, else what is made now."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and self._is_fresh(entry):
                self._entries.move_to_end(key)
                return entry.value
            future = self._making.get(key)
            mine = future is None
            if future is None:
                future = self._making[key] = Future()
        if not mine:
            return future.result()
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._making[key]
            future.set_exception(error)
            raise
        with self._lock:
            self._put(key, value)
            del self._making[key]
        future.set_result(value)
        return value

    def has(self, key: Hashable) -> bool:
        """Whether it would be given without being made."""
        with self._lock:
            entry = self._entries.get(key)
            return entry is not None and self._is_fresh(entry)

    @property
    def taken(self) -> int:
        """Of the room."""
        return self._taken

    def __len__(self) -> int:
        return len(self._entries)

    def _is_fresh(self, entry: _Entry[_Value]) -> bool:
        return self._seconds is None or time.monotonic() - entry.made < self._seconds

    def _put(self, key: Hashable, value: _Value) -> None:
        self._drop(key)
        size = self._size(value)
        if size > self._room:
            return
        while self._taken + size > self._room:
            self._drop(next(iter(self._entries)))
        self._entries[key] = _Entry(value, size, time.monotonic())
        self._taken += size

    def _drop(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._taken -= entry.size
