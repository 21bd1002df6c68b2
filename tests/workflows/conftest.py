"""A product for each test of masks, and reports without their pictures."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.builders.sample_products import MakeProduct, cut_sample


@pytest.fixture
def make_product(tmp_path: Path) -> MakeProduct:
    """Writes a product: ``make_product("NAME", change=..., without=..., sidecar=...)``."""

    def make(name: str = "small", **options: Any) -> Path:
        return cut_sample(tmp_path / "products" / name, **options)

    return make


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made but not drawn, which takes longest: for tests of pages and files, not of pixels."""
    monkeypatch.setattr("eotasks.workflows.report.page._draw", lambda figure, image_format, dpi: (b"", (10, 10)))
    monkeypatch.setattr(
        "eotasks.workflows.evaluate_clouds.results.save_picture", lambda figure, path: path.write_bytes(b"")
    )


@pytest.fixture
def even_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every detector takes the same time for every scene: for tests of files that two runs make alike."""
    ticks = itertools.count()
    monkeypatch.setattr("eotasks.workflows.evaluate_clouds.run.perf_counter", lambda: float(next(ticks)))
