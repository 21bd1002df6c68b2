"""Work on several files at a time: in threads of which each waits or computes, and what is fetched ahead of those."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_Found = TypeVar("_Found")


def in_threads(function: Callable[[_Item], _Result], items: Sequence[_Item], threads: int) -> list[_Result]:
    """Results in the order of the items; the first error is raised when all that had begun are done."""
    if threads == 1 or len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(min(threads, len(items)), thread_name_prefix="eotasks-read") as pool:
        return list(pool.map(function, items))


def fetched_ahead(
    fetch: Callable[[_Item], _Found],
    use: Callable[[_Item, _Found], _Result],
    items: Sequence[_Item],
    threads: int,
    ahead: int,
) -> list[_Result]:
    """What is made of what was fetched, in the order of the items; errors as of `in_threads`.

    :param fetch: Waits, mostly.
    :param use: Computes, mostly; in as many threads as that.
    :param ahead: Items that are fetched at a time and not used yet, besides those of the threads that use them.
    """
    if ahead < 1 or not items:
        return in_threads(lambda item: use(item, fetch(item)), items, threads)
    jobs: dict[int, Future[_Found]] = {}
    waiting = iter(range(len(items)))
    begun: set[int] = set()
    lock = threading.Lock()
    with ThreadPoolExecutor(min(ahead, len(items)), thread_name_prefix="eotasks-fetch") as pool:

        def fetch_next() -> None:
            with lock:
                number = next((each for each in waiting if each not in begun), None)
                if number is not None:
                    jobs[number] = pool.submit(fetch, items[number])

        def result(number: int) -> _Result:
            with lock:
                begun.add(number)
                job = jobs.pop(number, None)
            found = fetch(items[number]) if job is None else job.result()
            fetch_next()
            return use(items[number], found)

        try:
            for _ in range(ahead):
                fetch_next()
            return in_threads(result, range(len(items)), threads)
        finally:
            pool.shutdown(cancel_futures=True)
