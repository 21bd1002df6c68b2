"""Bands and indices by name and by formula, and what is none of them."""

from __future__ import annotations

import numpy as np
import pytest

from eotasks.errors import BandError, ConfigurationError
from eotasks.zonal.quantities import quantities_of, quantity_of, resolved, stacked

BANDS = {"B02": np.array([0.1, 0.0]), "B04": np.array([0.2, 0.0]), "B08": np.array([0.6, 0.0])}


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("NDVI", 0.5),
        ("MINE=(B08 - B04) / (B08 + B04)", 0.5),
        ("B04", 0.2),
        ("EVI2", 2.5 * 0.4 / (0.6 + 2.4 * 0.2 + 1)),
        ("X=-B04*2+1", 0.6),
    ],
)
def test_values(text: str, first: float) -> None:
    assert quantity_of(text).of(BANDS)[0] == pytest.approx(first)


def test_nothing_by_nothing_is_no_number() -> None:
    found = stacked(quantities_of(["NDVI", "MINE=(B08-B04)/(B08+B04)", "R=B04/B08", "B04"]), BANDS)
    assert np.isfinite(found[1]).tolist() == [False, False, False, True]


@pytest.mark.parametrize(
    "text",
    ["", "B 04", "X=", "X=B04**9**9", "X=__import__('os')", "X=B04.real", "X=(B04", "X=1+1", "X=B04 if B08 else 1",
     "X=" + "(" * 300, "X=True*B04"],
    ids=["nothing", "blank", "no formula", "power", "call", "attribute", "bracket", "no band", "if", "deep", "truth"],
)  # fmt: skip
def test_refuses_what_is_no_formula(text: str) -> None:
    with pytest.raises(ConfigurationError, match="NDVI"):
        quantity_of(text)


@pytest.mark.parametrize(
    "text",
    ["X=B04*(1/0)", "X=B04+" + "9" * 400, "X=B04+1e999", "X=B04/(B08-B08)"],
    ids=["1/0", "digits", "infinite", "nothing"],
)
def test_refuses_what_never_has_a_value(text: str) -> None:
    with pytest.raises(ConfigurationError, match="whatever the bands are"):
        quantity_of(text)


def test_refuses_names_twice_and_none() -> None:
    with pytest.raises(ConfigurationError, match="each once"):
        quantities_of(["NDVI", "NDVI=B04"])
    with pytest.raises(ConfigurationError, match="at least one"):
        quantities_of([])


def test_bands_that_are_there_count() -> None:
    assert resolved(quantities_of(["NDVI"]), ["NDVI"], where="x")[0].bands == ("NDVI",)
    with pytest.raises(BandError, match=r"no band 'B8'.*did you mean 'B08'"):
        resolved(quantities_of(["B8"]), list(BANDS), where="x")
