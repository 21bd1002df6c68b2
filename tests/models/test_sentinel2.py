from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eotasks.errors import ReflectanceError
from eotasks.models.scales import as_reflectance


@pytest.mark.parametrize(
    ("dtype", "value"), [("float32", -9999), ("float64", -5), ("int16", -32768), ("int16", -9999), ("int32", -9999)]
)
def test_no_data_values_inside_valid_data_are_refused(dtype: str, value: int) -> None:
    bands = np.full((2, 2, 3), 0.2 if dtype[0] == "f" else 2000, dtype)
    bands[0, 1, 2] = value
    valid = np.array([[[True], [False]], [[True], [True]]])
    with pytest.raises(ReflectanceError, match=rf"patch 7: values down to {value:g}: no-data values inside valid data"):
        as_reflectance(bands, where="patch 7")
    with pytest.raises(ReflectanceError, match="no-data values"):
        as_reflectance(bands, ~valid)
    assert as_reflectance(bands, valid)[0, 0] == pytest.approx(0.2)
    assert as_reflectance(bands, np.zeros((2, 2, 1), bool)).shape == bands.shape


@pytest.mark.parametrize("bands", [np.array([[-0.1, 0.0]]), np.array([[-1000, 0]], np.int16), np.zeros((0, 3), int)])
def test_slightly_negative_reflectance_is_reflectance(bands: Any) -> None:
    assert np.allclose(as_reflectance(bands), bands if bands.dtype.kind == "f" else bands / 10_000)
