"""What a worker process sets up before anything is loaded."""

from __future__ import annotations

import ctypes

import pytest

from eotasks.workflows.batch.workers.entry import limit_arenas

M_ARENA_MAX = -8


class LibC:
    """The C library, as far as it is asked here."""

    def __init__(self) -> None:
        self.set: list[tuple[int, int]] = []

    def mallopt(self, number: int, value: int) -> None:
        self.set.append((number, value))


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"EOTASKS_NUM_THREADS": "1"}, [(M_ARENA_MAX, 2)]),
        ({"EOTASKS_NUM_THREADS": "6"}, [(M_ARENA_MAX, 6)]),
        ({}, [(M_ARENA_MAX, 2)]),
        ({"EOTASKS_NUM_THREADS": "6", "MALLOC_ARENA_MAX": "9"}, []),
    ],
)
def test_threads_share_pools_of_memory(
    environment: dict[str, str], expected: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = LibC()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    limit_arenas(environment)
    assert library.set == expected


def test_a_library_without_pools_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    limit_arenas({})
