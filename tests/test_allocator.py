"""What glibc is told, that threads share its arenas then, and that another C library is left alone."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from eotasks import allocator
from eotasks.allocator import give_back, give_back_large_arrays, share_arenas
from tests import ROOT

_THREADS = """
import sys, threading
from eotasks.allocator import share_arenas
told = share_arenas() if sys.argv[1] == "shared" else False
ready = threading.Barrier(9)
def hold():
    kept = [bytearray(1000) for _ in range(500)]
    ready.wait()
    ready.wait()
threads = [threading.Thread(target=hold) for _ in range(8)]
for each in threads:
    each.start()
ready.wait()
with open("/proc/self/maps") as maps:  # an arena of a thread begins at a multiple of 64 MB
    lines = [line.split() for line in maps]
print(told, sum(line[1] == "rw-p" and int(line[0].partition("-")[0], 16) % (64 << 20) == 0 for line in lines))
ready.wait()
"""

on_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")


def arenas(how: str) -> tuple[str, int]:
    environment = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    done = subprocess.run(
        [sys.executable, "-c", _THREADS, how], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    told, count = done.stdout.split()
    return told, int(count)


@on_glibc
def test_few_arenas() -> None:
    told, count = arenas("shared")
    assert told == "True"
    assert count < 2 < arenas("not shared")[1]


def test_glibc_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, ...]] = []

    def tell(*values: int) -> int:
        told.append(values)
        return 1

    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    monkeypatch.setattr(allocator, "_library", lambda: SimpleNamespace(malloc_trim=tell, mallopt=tell))
    assert all(share_arenas(threads) for threads in (1, 6))
    give_back_large_arrays()
    give_back()
    assert told == [(-8, 2), (-8, 6), (-3, 2 << 20), (0,)]
    monkeypatch.setenv("MALLOC_ARENA_MAX", "8")  # the user decides
    assert not share_arenas()
    assert len(told) == 4


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Other:
        def __getattr__(self, name: str) -> None:
            asked.append(name)
            raise AttributeError(name)

    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    monkeypatch.setattr(allocator, "_library", Other)
    assert not share_arenas()
    give_back_large_arrays()
    give_back()
    assert asked == ["mallopt", "mallopt", "malloc_trim"]
