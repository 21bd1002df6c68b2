from __future__ import annotations

from collections.abc import Iterator

import pytest

from eotasks.service.evalscript.isolate import Isolate


@pytest.fixture(scope="package")
def isolate() -> Iterator[Isolate]:
    with Isolate() as made:
        yield made
