"""A few files at a time: a patch has a handful, and most of their time from and to S3 is waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

TRANSFERS = 4


def at_once(transfer: Callable[[str], None], paths: Iterable[str]) -> None:
    """A few transfers at a time; the first that fails is raised when those under way are over."""
    with ThreadPoolExecutor(TRANSFERS) as pool:
        waiting = [pool.submit(transfer, path) for path in paths]
        try:
            for future in waiting:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
