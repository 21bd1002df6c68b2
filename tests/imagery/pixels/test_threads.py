"""What is fetched ahead of those that use it."""

from __future__ import annotations

import threading

import pytest

from eotasks.imagery.pixels.threads import fetched_ahead, in_threads


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("ahead", [0, 1, 3, 20])
def test_each_is_fetched_once_and_used_in_order(threads: int, ahead: int) -> None:
    fetched: list[int] = []
    lock = threading.Lock()
    waiting = 0
    most = 0

    def fetch(item: int) -> int:
        nonlocal waiting, most
        with lock:
            fetched.append(item)
            waiting += 1
            most = max(most, waiting)
        return -item

    def use(item: int, found: int) -> tuple[int, int]:
        nonlocal waiting
        with lock:
            waiting -= 1
        return item, found

    assert fetched_ahead(fetch, use, range(12), threads, ahead) == [(item, -item) for item in range(12)]
    assert sorted(fetched) == list(range(12))
    assert most <= ahead + 2 * threads
    assert fetched_ahead(fetch, use, [], threads, ahead) == []


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_ends_all(threads: int) -> None:
    def fetch(item: int) -> int:
        if item == 2:
            raise ValueError("broken")
        return item

    with pytest.raises(ValueError, match="broken"):
        fetched_ahead(fetch, lambda item, _: item, range(100), threads, 2)


def test_threads_keep_the_order() -> None:
    assert in_threads(lambda item: item + 1, range(9), 3) == list(range(1, 10))
