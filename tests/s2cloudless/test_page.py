"""The code of the page for those who come from s2cloudless runs as it stands."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np

from tests import ROOT
from tests.builders.clouds.spectra import CLOUD, GRASS, stack

PAGE = ROOT / "docs" / "how-to-s2cloudless.md"


def test_the_code_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 3
    names: dict[str, Any] = {"bands": stack(GRASS, CLOUD)}
    with warnings.catch_warnings():  # the page sets filters
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), names)
    assert names["mask"].mean(axis=(1, 2)).tolist() == [0, 1]
    assert np.array_equal(names["clm"], names["mask"])
    assert np.array_equal(names["clp"], names["probability"])
