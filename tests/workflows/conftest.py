"""A product for each test of masks."""

from __future__ import annotations

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
