"""What is said of a band, against numpy in double precision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from eotasks.service.statistics.bins import Binning
from eotasks.service.statistics.summary import Calculation, summary_of

VALUES = np.random.default_rng(7).normal(0.2, 0.1, (40, 30)).astype(np.float32)
MASK = np.random.default_rng(8).random((40, 30)) < 0.7


def test_moments_and_percentiles_are_those_of_numpy() -> None:
    told = summary_of(VALUES, MASK, Calculation(percentiles=(0, 33, 50, 66.6, 100)), "B0")["stats"]
    kept = VALUES[MASK].astype(np.float64)
    assert told["min"] == kept.min()
    assert told["max"] == kept.max()
    assert told["mean"] == kept.mean()
    assert told["stDev"] == kept.std()
    assert (told["sampleCount"], told["noDataCount"]) == (1200, 1200 - kept.size)
    assert list(told["percentiles"]) == ["0.0", "33.0", "50.0", "66.6", "100.0"]
    for name, value in told["percentiles"].items():
        assert value == np.percentile(kept, float(name), method="inverted_cdf")
        assert np.float32(value) in VALUES


@pytest.mark.parametrize(
    ("counts", "mean", "deviation"),
    [
        ({8: 99, 9: 1, 10: 710}, 9.75432098765432, 0.6555648554361158),
        ({2: 29, 4: 235, 5: 103, 6: 428, 7: 13, 8: 1, 9: 1}, 5.1716049382715985, 1.09834157450977),
    ],
    ids=["first", "second"],
)
def test_the_documented_answers(counts: dict[int, int], mean: float, deviation: float) -> None:
    """Of 810 pixels of the scene classification, whose histogram is documented with their moments."""
    values = np.repeat(list(counts), list(counts.values())).astype(np.uint8).reshape(30, 27)
    told = summary_of(values, None, Calculation(Binning(edges=tuple(range(12)))), "output_scl.B0")
    assert told["stats"]["mean"] == pytest.approx(mean, rel=1e-14)
    assert told["stats"]["stDev"] == pytest.approx(deviation, rel=1e-14)
    assert told["histogram"]["bins"] == [
        {"lowEdge": low, "highEdge": low + 1, "count": counts.get(low, 0)} for low in range(11)
    ]


def test_what_is_no_number_is_no_data() -> None:
    values = np.array([[1, np.nan, np.inf], [-np.inf, 3, 5]], np.float32)
    mask = np.array([[True, True, True], [True, True, False]])
    told = summary_of(values, mask, Calculation(Binning(count=2)), "B0")
    assert told["stats"] == {"min": 1.0, "max": 3.0, "mean": 2.0, "stDev": 1.0, "sampleCount": 6, "noDataCount": 4}
    assert [each["count"] for each in told["histogram"]["bins"]] == [1, 1]


def test_without_a_pixel_that_counts() -> None:
    """As the original answers it: NaN as a text, which clients know by sampleCount == noDataCount."""
    asked = Calculation(Binning(count=2, low=0.0, high=1.0), (50,))
    told = summary_of(VALUES, np.zeros_like(MASK), asked, "B0")
    assert told["stats"] == {
        "min": "NaN", "max": "NaN", "mean": "NaN", "stDev": "NaN", "sampleCount": 1200, "noDataCount": 1200,
        "percentiles": {"50.0": "NaN"},
    }  # fmt: skip
    assert [each["count"] for each in told["histogram"]["bins"]] == [0, 0]
    assert summary_of(VALUES, np.zeros_like(MASK), Calculation(Binning(count=2)), "B0")["histogram"]["bins"] == []


def test_an_histogram_and_its_counts_beyond_the_bins() -> None:
    told = summary_of(VALUES, None, Calculation(Binning(count=4, low=0.1, high=0.3)), "B0")["histogram"]
    kept = VALUES.astype(np.float64).ravel()
    counts, edges = np.histogram(kept, 4, (0.1, 0.3))
    assert [each["count"] for each in told["bins"]] == counts.tolist()
    np.testing.assert_allclose([each["lowEdge"] for each in told["bins"]], edges[:-1], rtol=1e-15)
    assert told["underflowCount"] == (kept < 0.1).sum()
    assert told["overflowCount"] == (kept > 0.3).sum()


@pytest.mark.parametrize(
    ("values", "binning", "kind"),
    [
        (np.uint8, Binning(edges=(0, 1, 2)), int),
        (np.int16, Binning(width=2, low=0), int),
        (np.uint8, Binning(count=4), int),
        (np.uint8, Binning(count=3, low=0, high=10), float),
        (np.uint8, Binning(edges=(0.0, 1, 2)), float),
        (np.float32, Binning(edges=(0, 1, 2)), float),
        (np.float32, Binning(count=4, low=0, high=1), float),
    ],
    ids=str,
)
def test_integers_are_binned_as_integers(values: type, binning: Binning, kind: type) -> None:
    bins = summary_of(np.arange(5, dtype=values)[np.newaxis], None, Calculation(binning), "B0")["histogram"]["bins"]
    assert {type(bins[0][edge]) for edge in ("lowEdge", "highEdge")} == {kind}
    assert sum(each["count"] for each in bins) > 0


@settings(max_examples=50)
@given(
    stn.arrays(np.float32, stn.array_shapes(min_dims=2, max_dims=2), elements=st.floats(width=32)),
    st.lists(st.floats(0, 100), max_size=4),
)
def test_whatever_the_values_are(values: np.ndarray, percentiles: list[float]) -> None:
    told = summary_of(values, None, Calculation(Binning(count=3), tuple(dict.fromkeys(percentiles))), "B0")
    kept = values[np.isfinite(values)].astype(np.float64)
    stats = told["stats"]
    assert stats["sampleCount"] - stats["noDataCount"] == kept.size
    assert sum(each["count"] for each in told["histogram"]["bins"]) == kept.size
    if kept.size:
        assert stats["min"] <= stats["mean"] <= stats["max"] or np.isclose(stats["min"], stats["max"])
        assert all(stats["min"] <= each <= stats["max"] for each in stats.get("percentiles", {}).values())
        assert all(np.isfinite(stats[name]) for name in ("min", "max", "mean", "stDev"))
