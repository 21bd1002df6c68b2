"""How often a client may ask."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from eotasks.errors import ConfigurationError
from eotasks.service.errors import BusyError
from eotasks.service.traffic.buckets import (
    SHARED_VARIABLE,
    Bucket,
    OwnBuckets,
    SharedBuckets,
    buckets_of_process,
    make_shared,
)
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
    buckets = OwnBuckets()
    rate = Rate(per_minute=60, burst=1, now=lambda: 0.0, buckets=buckets)
    for number in range(20_000):
        rate.take(str(number))
    assert len(buckets) == 10_000


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[list[SharedBuckets]]:
    """Three that open one file, as processes do."""
    make_shared(tmp_path / "rates")
    opened = [SharedBuckets(tmp_path / "rates") for _ in range(3)]
    yield opened
    for each in opened:
        each.close()


def test_one_rate_for_all_who_share_a_file(shared: list[SharedBuckets]) -> None:
    now = [0.0]
    rates = [Rate(per_minute=60, burst=3, now=lambda: now[0], buckets=each) for each in shared]
    for rate in rates:
        rate.take("a")
    for rate in rates:
        with pytest.raises(BusyError) as error:
            rate.take("a")
        assert error.value.wait_s == pytest.approx(1)
        rate.take("b")
    now[0] = 1.0
    rates[1].take("a")
    with pytest.raises(BusyError):
        rates[0].take("a")


def test_nobody_takes_what_another_has_taken(shared: list[SharedBuckets]) -> None:
    rates = [Rate(per_minute=1, burst=300, now=lambda: 0.0, buckets=each) for each in shared]
    passed = [0] * 6

    def ask(number: int) -> None:
        with contextlib.suppress(BusyError):
            while True:
                rates[number % 3].take("a")
                passed[number] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(passed))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(passed) == 300


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.floats(0, 3)), max_size=30))
def test_a_file_is_as_good_as_a_dictionary_property(asked: list[tuple[str, int, float]]) -> None:
    now = [0.0]
    with tempfile.TemporaryDirectory() as folder:
        make_shared(Path(folder) / "rates")
        files = [SharedBuckets(Path(folder) / "rates") for _ in range(3)]
        one, *others = (
            Rate(per_minute=30, burst=2, now=lambda: now[0], buckets=each) for each in (OwnBuckets(), *files)
        )
        for client, number, step in asked:
            now[0] += step
            assert waits(one, client) == waits(others[number], client)
        for each in files:
            each.close()


def waits(rate: Rate, client: str) -> float:
    try:
        rate.take(client)
    except BusyError as error:
        return error.wait_s
    return 0


def test_a_file_has_room_for_so_many_clients_and_the_longest_silent_go(shared: list[SharedBuckets]) -> None:
    now = [0.0]
    rate = Rate(per_minute=0.001, burst=1, now=lambda: now[0], buckets=shared[0])
    for number in range(20_000):
        now[0] += 1e-3
        rate.take(str(number))
    with pytest.raises(BusyError):
        rate.take("19999")
    rate.take("0")  # forgotten


@pytest.mark.parametrize("left", [float("nan"), -5.0, 1e300])
def test_what_a_killed_process_wrote_by_half_keeps_nobody_out(shared: list[SharedBuckets], left: float) -> None:
    shared[0].change("a", lambda _: Bucket(left, 0.0))
    rate = Rate(per_minute=60, burst=2, now=lambda: 1.0, buckets=shared[1])
    rate.take("a")
    rate.take("a")
    with pytest.raises(BusyError):
        rate.take("a")


def test_a_file_of_a_service_that_has_ended_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SHARED_VARIABLE, str(tmp_path / "rates"))
    with pytest.raises(ConfigurationError, match=f"{SHARED_VARIABLE}=.*rates is no file of a service that runs"):
        buckets_of_process()


@pytest.mark.parametrize("content", [b"", b"short", bytes(10**6)], ids=["empty", "short", "long"])
def test_a_file_of_something_else_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    path = tmp_path / "rates"
    path.write_bytes(content)
    monkeypatch.setenv(SHARED_VARIABLE, str(path))
    with pytest.raises(ConfigurationError, match=r"no file of a service that runs \(it is no file of .* bytes\): take"):
        buckets_of_process()
