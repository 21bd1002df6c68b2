"""Bins: the documented answers of the original, edges that are refused, and that every value is counted once."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.service.contract.statistics import MOST_BINS
from eotasks.service.errors import RequestError
from eotasks.service.statistics.bins import Binning, as_integers, check, histogram_of

SOME = np.array([0.0, 0.05, 0.0999, 0.1, 0.5338])


def test_bins_of_the_documented_answers() -> None:
    """Edges as the original computes them, to the last digit; of an open end the last is beyond the greatest value."""
    three = histogram_of(Binning(count=3, low=0.0, high=0.3), SOME, "B0")
    assert three.edges == [0.0, 0.09999999999999999, 0.19999999999999998, 0.3]
    assert (three.counts, three.underflow, three.overflow) == ([3, 1, 0], 0, 1)
    assert histogram_of(Binning(count=5, low=0.0, high=0.3), SOME, "B0").edges == [0.0, 0.06, 0.12, 0.18, 0.24, 0.3]
    by_width = histogram_of(Binning(width=0.05, low=0.0), SOME, "B0")
    assert by_width.edges == [
        0.0, 0.05, 0.1, 0.15000000000000002, 0.2, 0.25, 0.30000000000000004, 0.35000000000000003, 0.4, 0.45, 0.5, 0.55,
    ]  # fmt: skip
    classes = histogram_of(Binning(edges=tuple(range(12))), np.array([8.0, 8, 9, 10, 11]), "B0")
    assert (classes.counts[8:], classes.overflow) == ([2, 1, 2], 0)


def test_edges_belong_to_the_bin_above_but_the_last() -> None:
    found = histogram_of(Binning(edges=(0, 1, 2)), np.array([-1e-9, 0, 1, 2, 2.0000001]), "B0")
    assert found == ([0, 1, 2], [1, 2], 1, 1)


def test_without_edges_they_are_of_the_values() -> None:
    found = histogram_of(Binning(count=2), np.array([1.0, 2, 3]), "B0")
    assert found == ([1, 2, 3], [1, 2], 0, 0)
    found = histogram_of(Binning(width=1.5), np.array([1.0, 2, 4]), "B0")
    assert found == ([1, 2.5, 4], [2, 1], 0, 0)
    assert histogram_of(Binning(count=7), np.array([3.0, 3.0]), "B0") == ([3, 3], [2], 0, 0)
    assert histogram_of(Binning(width=7), np.array([3.0]), "B0") == ([3, 3], [1], 0, 0)


def test_a_last_edge_cuts_the_last_bin() -> None:
    assert histogram_of(Binning(width=0.3, low=0, high=1), np.array([1.0]), "B0") == (
        [0, 0.3, 0.6, 0.8999999999999999, 1], [0, 0, 0, 1], 0, 0,
    )  # fmt: skip
    for width, high in ((0.1, 0.3), (0.1, 0.7), (0.1, 1.1), (0.2, 0.6), (0.01, 1.0)):
        found = histogram_of(Binning(width=width, low=0, high=high), np.array([]), "B0")
        assert len(found.counts) == round(high / width)


def test_values_that_leave_no_bin() -> None:
    values = np.array([1.0, 2])
    assert histogram_of(Binning(count=4, low=3), values, "B0") == ([], [], 2, 0)
    assert histogram_of(Binning(width=4, high=0), values, "B0") == ([], [], 0, 2)
    assert histogram_of(Binning(count=4), np.array([]), "B0") == ([], [], 0, 0)
    assert histogram_of(Binning(count=2, low=0, high=1), np.array([]), "B0") == ([0, 0.5, 1], [0, 0], 0, 0)


@pytest.mark.parametrize(
    ("binning", "reason"),
    [
        (Binning(), "one of nBins"),
        (Binning(count=3, width=1), "one of nBins"),
        (Binning(edges=(0, 1), count=3), "one of nBins"),
        (Binning(edges=(0, 1), low=0), "leave out"),
        (Binning(edges=(0,)), "two edges"),
        (Binning(edges=()), "two edges"),
        (Binning(edges=(0, 1, 1)), "greater"),
        (Binning(edges=(1, 0)), "greater"),
        (Binning(edges=(2**60, 2**60 + 1)), "greater"),
        (Binning(edges=(0, math.nan)), "finite"),
        (Binning(edges=(-math.inf, 0)), "finite"),
        (Binning(count=2, low=10**400), "finite"),
        (Binning(count=2, high=-1e308), "finite"),
        (Binning(count=0), "1 or more"),
        (Binning(count=-5), "1 or more"),
        (Binning(count=MOST_BINS + 1), "10,000"),
        (Binning(count=10**30), "10,000"),
        (Binning(count=10**400), "10,000"),
        (Binning(width=10**400), "finite"),
        (Binning(edges=tuple(range(MOST_BINS + 2))), "10,000"),
        (Binning(width=0), "above 0"),
        (Binning(width=-1.0), "above 0"),
        (Binning(width=1e-9, low=0, high=1), "10,000"),
        (Binning(width=5e-324, low=0, high=1), "10,000"),
        (Binning(count=2, low=1, high=1), "not below"),
        (Binning(count=2, low=2, high=1), "not below"),
        (Binning(count=9_000, low=1.0, high=1.0000000000000002), "narrow"),
    ],
    ids=str,
)
def test_what_cannot_be_binned(binning: Binning, reason: str) -> None:
    with pytest.raises(RequestError, match=reason):
        check(binning, "histogram of B0")


def test_a_width_that_the_values_make_too_many_bins_of() -> None:
    check(Binning(width=1e-9), "B0")
    with pytest.raises(RequestError, match="10,000"):
        histogram_of(Binning(width=1e-9), np.array([0.0, 1]), "B0")
    with pytest.raises(RequestError, match="narrow"):
        histogram_of(Binning(width=1, low=1e17), np.array([1e17 + 1000]), "B0")


def test_integers_stay_integers() -> None:
    assert as_integers([0, 2.0, 4]) == [0, 2, 4]
    assert all(type(edge) is int for edge in as_integers([0, 2.0, 4]))
    assert as_integers([0, 2.5, 5]) == [0, 2.5, 5]


FLOATS = st.floats(-(2**40), 2**40, width=32)
VALUES = st.lists(FLOATS | st.sampled_from([0.0, 0.1, 0.3, 1.0, -1.0]), max_size=40)
EDGES = st.none() | FLOATS | st.integers(-100, 100)
BINNINGS = st.one_of(
    st.lists(FLOATS, min_size=2, max_size=10, unique=True).map(lambda edges: Binning(edges=tuple(sorted(edges)))),
    st.builds(lambda count, low, high: Binning(count=count, low=low, high=high), st.integers(1, 300), EDGES, EDGES),
    st.builds(
        lambda width, low, high: Binning(width=width, low=low, high=high),
        st.floats(1e-3, 1e12) | st.sampled_from([0.1, 0.05, 0.3, 1, 2]), EDGES, EDGES,
    ),
)  # fmt: skip


@settings(max_examples=60)
@given(BINNINGS, VALUES)
def test_every_value_is_counted_once(binning: Binning, values: list[float]) -> None:
    array = np.array(values, dtype=np.float64)
    try:
        check(binning, "B0")
        found = histogram_of(binning, array, "B0")
    except RequestError:
        return
    assert sum(found.counts) + found.underflow + found.overflow == len(values)
    assert len(found.edges) == len(found.counts) + 1 if found.counts else not found.edges
    edges = [float(edge) for edge in found.edges]
    if len(edges) > 2:
        assert all(first < second for first, second in pairwise(edges))
    for place, count in enumerate(found.counts):
        low, high = edges[place], edges[place + 1]
        is_last = place == len(found.counts) - 1
        assert count == int(((array >= low) & ((array <= high) if is_last else (array < high))).sum())
    if binning.low is None and binning.edges is None and binning.high is None:
        assert found.underflow == found.overflow == 0
    if binning.count is not None and len(found.counts) > 1:
        assert len(found.counts) == binning.count
