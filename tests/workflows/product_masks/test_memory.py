"""What is told to the C library, and that another one than glibc is left alone."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from eotasks.workflows.product_masks import memory


def test_glibc_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, ...]] = []
    library = SimpleNamespace(
        malloc_trim=lambda *values: told.append(values), mallopt=lambda *values: told.append(values)
    )
    monkeypatch.setattr(memory, "_library", lambda: library)
    memory.give_back_large_arrays()
    memory.give_back()
    assert told == [(-3, 1 << 20), (0,)]


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Other:
        def __getattr__(self, name: str) -> None:
            asked.append(name)
            raise AttributeError(name)

    monkeypatch.setattr(memory, "_library", Other)
    memory.give_back_large_arrays()
    memory.give_back()
    assert asked == ["mallopt", "malloc_trim"]
