"""Windows of a file that several threads read at a time: none waits for the server of another for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from eotasks.errors import ImageryError
from eotasks.imagery.jp2.asked import Asked
from eotasks.imagery.jp2.index import PacketIndex
from eotasks.limits import REQUESTS
from eotasks.network.gate import GATE
from tests.builders.inputs.jp2 import ESA, CountedBytes, taken_apart

LEVEL = 2
FIRST, LAST, WHOLE = (0, 0, 9, 9), (266, 316, 275, 325), (0, 0, 275, 325)
"""Windows at the level: in tile 0, in tile 8, over all nine."""

SOON = 20
"""Seconds within which what does not hang is done."""


class SlowBytes(CountedBytes):
    """A server that is silent to the first who asks for some bytes, until it is let go."""

    def __init__(self, content: bytes, silent: range) -> None:
        super().__init__(content, far=True)
        self.silent, self.asked_for, self.go = silent, threading.Event(), threading.Event()
        self._counting = threading.Lock()

    def exactly(self, start: int, stop: int) -> bytes:
        with self._counting:
            hangs = start in self.silent and not self.asked_for.is_set()
            content = super().exactly(start, stop)
            if hangs:
                self.asked_for.set()
        if hangs and not self.go.wait(SOON):
            raise ImageryError("silent")
        return content


@pytest.fixture(scope="module")
def esa(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("at_once") / "a.jp2"
    ESA.write(path)
    return path.read_bytes()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def read(pool: ThreadPoolExecutor, index: PacketIndex, source: CountedBytes, window: object) -> Future[bytes]:
    return pool.submit(index.small_file, source, "a.jp2", LEVEL, window)


def place_of(content: bytes, tile: int) -> range:
    """Bytes of a tile."""
    part = taken_apart(content).parts[tile].written()
    start = content.index(part)
    return range(start, start + len(part))


def with_tlm(content: bytes) -> bytes:
    taken = taken_apart(content)
    return taken.written(taken.tlm())


def test_a_server_that_is_silent_holds_its_own_window_alone(esa: bytes, pool: ThreadPoolExecutor) -> None:
    content = with_tlm(esa)
    source, index = SlowBytes(content, place_of(content, 0)), PacketIndex()
    held = read(pool, index, source, FIRST)
    assert source.asked_for.wait(SOON)
    read(pool, index, source, LAST).result(SOON / 2)
    assert not held.done()
    source.go.set()
    assert held.result(SOON) == PacketIndex().small_file(CountedBytes(content), "a.jp2", LEVEL, FIRST)


@pytest.mark.parametrize("tile", [0, 3])
def test_who_waits_for_a_silent_server_asks_again(
    esa: bytes, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, tile: int
) -> None:
    """Whether it is a tile that is wanted, or one on the way to it."""
    monkeypatch.setattr("eotasks.imagery.jp2.asked.PATIENCE", 0.05)
    expected = PacketIndex().small_file(CountedBytes(esa), "a.jp2", LEVEL, WHOLE)
    source, index = SlowBytes(esa, place_of(esa, tile)), PacketIndex()
    held = read(pool, index, source, WHOLE)
    assert source.asked_for.wait(SOON)
    others = [read(pool, index, source, WHOLE) for _ in range(3)]
    assert [other.result(SOON / 2) for other in others] == [expected] * 3
    assert not held.done()
    source.go.set()
    assert held.result(SOON) == expected


def test_windows_at_once_ask_for_a_tile_once(esa: bytes, pool: ThreadPoolExecutor) -> None:
    alone = CountedBytes(esa, far=True)
    expected = PacketIndex().small_file(alone, "a.jp2", LEVEL, WHOLE)
    source, index = SlowBytes(esa, place_of(esa, 0)), PacketIndex()
    jobs = [read(pool, index, source, WHOLE) for _ in range(2)]
    assert source.asked_for.wait(SOON)
    source.go.set()
    assert [job.result(SOON) for job in jobs] == [expected] * 2
    assert source.fetched <= 2 * alone.fetched
    assert all(source.asked.count(each) <= 2 for each in source.asked)


def test_one_asks_and_the_others_take_its_answer(pool: ThreadPoolExecutor) -> None:
    asked, all_here, asks = Asked(), threading.Barrier(5), []

    def ask() -> int:
        asks.append(1)
        time.sleep(0.2)  # the others come meanwhile
        return 7

    def come() -> int:
        all_here.wait(SOON)
        return asked.once("a", ask)

    jobs = [pool.submit(come) for _ in range(5)]
    assert asked.once("b", lambda: 8) == 8
    assert [job.result(SOON) for job in jobs] == [7] * 5
    assert len(asks) < 5
    assert asked.once("a", lambda: 9) == 9


def test_a_failure_is_that_of_the_one_who_asked(pool: ThreadPoolExecutor) -> None:
    asked, begun, go = Asked(), threading.Event(), threading.Event()

    def fail() -> int:
        begun.set()
        go.wait(SOON)
        raise ImageryError("broke off")

    failing = pool.submit(asked.once, "a", fail)
    assert begun.wait(SOON)
    others = [pool.submit(asked.once, "a", lambda: 7) for _ in range(2)]
    go.set()
    with pytest.raises(ImageryError, match="broke off"):
        failing.result(SOON)
    assert [other.result(SOON) for other in others] == [7, 7]


def test_questions_of_two_kinds_are_never_equal(esa: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place in the file and a tile are both numbers, which a file may make equal."""
    kinds: set[tuple[object, type]] = set()

    def once(_: Asked, what: tuple[object, ...], ask: Callable[[], object]) -> object:
        found = ask()
        kinds.add((what[0], type(found)))
        return found

    monkeypatch.setattr(Asked, "once", once)
    for content in (esa, with_tlm(esa)):
        PacketIndex().small_file(CountedBytes(content, far=True), "a.jp2", LEVEL, WHOLE)
    assert kinds == {("part", tuple), ("body", bytes)}


def test_who_waits_for_a_place_is_not_silent(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor who pauses before another try: those who wait for its answer do not ask, too."""
    monkeypatch.setenv(REQUESTS.variable, "1")
    monkeypatch.setattr("eotasks.imagery.jp2.asked.PATIENCE", 0.05)
    asked, asks, pause = Asked(), 0, time.sleep

    def ask() -> int:
        nonlocal asks
        asks += 1
        with GATE.passed():
            GATE.pause(0)
            return 7

    def long_pause(_: float) -> None:
        pause(0.3)

    monkeypatch.setattr("eotasks.network.gate.time.sleep", long_pause)
    with GATE.passed():
        jobs = [pool.submit(asked.once, "a", ask) for _ in range(4)]
        pause(0.3)
    assert [job.result(SOON) for job in jobs] == [7] * 4
    assert asks == 1


def test_whose_answer_comes_first_is_taken(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the one who asked first, too, while another one asks again."""
    monkeypatch.setattr("eotasks.imagery.jp2.asked.PATIENCE", 0.05)
    asked, begun = Asked(), threading.Semaphore(0)
    go = [threading.Event(), threading.Event(), threading.Event()]
    numbers = iter(range(3))

    def ask() -> int:
        number = next(numbers)
        begun.release()
        go[number].wait(SOON)
        return number

    jobs = []
    for _ in range(2):
        jobs.append(pool.submit(asked.once, "a", ask))
        assert begun.acquire(timeout=SOON)
    monkeypatch.setattr("eotasks.imagery.jp2.asked.PATIENCE", SOON)
    jobs += [pool.submit(asked.once, "a", ask) for _ in range(3)]
    while asked._questions["a"].waiting < 3:
        time.sleep(0.01)
    go[0].set()
    assert [job.result(SOON / 2) for job in (jobs[0], *jobs[2:])] == [0] * 4
    assert not jobs[1].done()
    go[1].set()
    assert jobs[1].result(SOON) == 1
