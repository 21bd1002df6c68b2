"""How often a client may ask."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from eotasks.service.errors import BusyError
from eotasks.service.traffic.rate import Rate


def test_a_burst_and_then_the_rate() -> None:
    now = [0.0]
    rate = Rate(per_minute=60, burst=3, now=lambda: now[0])
    for _ in range(3):
        rate.take("a")
    with pytest.raises(BusyError) as error:
        rate.take("a")
    assert error.value.wait_s == pytest.approx(1)
    rate.take("b")
    now[0] = 1.0
    rate.take("a")
    with pytest.raises(BusyError):
        rate.take("a")


def test_no_rate() -> None:
    rate = Rate(per_minute=0, burst=1)
    for _ in range(1000):
        rate.take("a")


@given(st.lists(st.floats(0, 5), min_size=1, max_size=100), st.integers(1, 10), st.integers(1, 300))
def test_never_more_than_the_rate(steps: list[float], burst: int, per_minute: int) -> None:
    now, passed = [0.0], 0
    rate = Rate(per_minute=per_minute, burst=burst, now=lambda: now[0])
    for step in steps:
        now[0] += step
        try:
            rate.take("a")
            passed += 1
        except BusyError as error:
            now[0] += error.wait_s + 1e-6
            rate.take("a")  # the time that was told is enough
            passed += 1
        assert passed <= burst + now[0] * per_minute / 60 + 1e-6


def test_buckets_of_the_longest_silent_go() -> None:
    now = [0.0]
    rate = Rate(per_minute=60, burst=1, now=lambda: now[0])
    for number in range(20_000):
        rate.take(str(number))
    assert len(rate._buckets) == 10_000
