"""Plugins in this process: folders of installed packages, forgotten after the test."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eotasks.clouds.detectors import registry


@pytest.fixture
def use_packages(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """Puts folders of packages before all others on the path."""
    before = set(sys.modules)

    def use(folder: Path) -> None:
        monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
        importlib.invalidate_caches()

    yield use
    registry._load.cache_clear()
    for name in set(sys.modules) - before:
        if name.startswith("eotasks_"):
            del sys.modules[name]
