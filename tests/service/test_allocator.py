"""Threads of the service take memory from a few arenas of glibc, not from one each."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from eotasks.service.allocator import share_arenas
from tests import ROOT

_THREADS = """
import sys, threading
from eotasks.service.allocator import share_arenas
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

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")


def arenas(how: str) -> tuple[str, int]:
    environment = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    done = subprocess.run(
        [sys.executable, "-c", _THREADS, how], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    told, count = done.stdout.split()
    return told, int(count)


def test_few_arenas() -> None:
    told, count = arenas("shared")
    assert told == "True"
    assert count < 2 < arenas("not shared")[1]


def test_the_operator_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "8")
    assert not share_arenas()
