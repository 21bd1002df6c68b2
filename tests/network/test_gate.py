"""No more requests are under way at a time than may be, and none keeps a place while it waits."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from eotasks.errors import ConfigurationError
from eotasks.limits import REQUESTS
from eotasks.network.gate import GATE, Gate
from eotasks.network.retries import PassingFailure, persistently

SOON = 20


def most_inside(threads: int) -> int:
    gate, lock, inside, most = Gate(), threading.Lock(), 0, 0

    def enter(_: int) -> None:
        nonlocal inside, most
        with gate.passed():
            with lock:
                inside += 1
                most = max(most, inside)
            threading.Event().wait(0.01)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(enter, range(3 * threads)))
    return most


def test_the_limit_is_that_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUESTS.variable, "2")
    assert most_inside(6) <= 2
    monkeypatch.setenv(REQUESTS.variable, "1")
    assert most_inside(3) == 1
    monkeypatch.setenv(REQUESTS.variable, "many")
    with pytest.raises(ConfigurationError, match=REQUESTS.variable), GATE.passed():
        pass


def test_who_waits_lets_another_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUESTS.variable, "1")
    tries: list[str] = []

    def fail_once() -> str:
        tries.append("held")
        if len(tries) == 1:
            raise PassingFailure("the server answers 503")
        return "done"

    def enter() -> None:
        with GATE.passed():
            tries.append("another")

    def sleep(_: float) -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(enter).result(SOON)

    monkeypatch.setattr("eotasks.network.gate.time.sleep", sleep)
    with GATE.passed():
        assert persistently(fail_once, "file") == "done"
    assert tries == ["held", "another", "held"]


def test_a_forked_child_has_all_places() -> None:
    gate = Gate()
    with gate.passed():
        gate.forget()
        assert gate._inside == 0
    assert gate._inside == 0  # it leaves what its parent entered


def test_who_is_interrupted_in_a_pause_has_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """And waits for none before it hears of it."""
    monkeypatch.setenv(REQUESTS.variable, "1")
    gate, entered, go = Gate(), threading.Event(), threading.Event()

    def hold() -> None:
        with gate.passed():
            entered.set()
            go.wait(SOON)

    with ThreadPoolExecutor(1) as pool:

        def interrupt(_: float) -> None:
            pool.submit(hold)
            assert entered.wait(SOON)
            raise KeyboardInterrupt

        monkeypatch.setattr("eotasks.network.gate.time.sleep", interrupt)
        with pytest.raises(KeyboardInterrupt), gate.passed():
            gate.pause(1)
        assert gate._inside == 1  # the other one
        go.set()
    assert gate._inside == 0


def test_a_bound_that_becomes_none_in_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    monkeypatch.setattr("eotasks.network.gate.time.sleep", lambda _: monkeypatch.setenv(REQUESTS.variable, "many"))
    with pytest.raises(ConfigurationError), gate.passed():
        gate.pause(1)
    assert gate._inside == 0
