"""A few transfers at a time: most of the time from and to a server is waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

TRANSFERS = 4

T = TypeVar("T")


def at_once(transfer: Callable[[T], object], things: Iterable[T], *, threads: int = TRANSFERS) -> None:
    """A few transfers at a time; the first that fails is raised when those under way are over."""
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(transfer, thing) for thing in things]
        try:
            for future in waiting:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
