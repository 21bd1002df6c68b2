"""Threads for requests: so many at once, so many that wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from eotasks.service.errors import BusyError
from eotasks.service.traffic import work as work_module
from eotasks.service.traffic.work import Work


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


def test_results_and_errors_come_back() -> None:
    async def main() -> None:
        work = Work(concurrent=2, waiting=2, waiting_s=60)
        assert await work.run(lambda: 5) == 5
        with pytest.raises(ZeroDivisionError):
            await work.run(lambda: 1 // 0)
        assert await asyncio.gather(*[work.run(lambda: 6) for _ in range(2)]) == [6, 6]
        assert work.load == (0, 0)
        work.close()

    run(main)


def test_freed_memory_is_returned_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr(work_module, "_GIVE_BACK_EVERY", 3)
    monkeypatch.setattr(work_module, "give_back", lambda: given.append(threading.get_ident()))

    async def main() -> None:
        work = Work(concurrent=1, waiting=1, waiting_s=60)
        threads = [await work.run(threading.get_ident) for _ in range(7)]  # the last one begins when they have been
        assert given == threads[:2]
        await work.run(lambda: None)
        begun, gate = threading.Event(), threading.Event()
        last = asyncio.create_task(work.run(lambda: (begun.set(), gate.wait())))
        await asyncio.to_thread(begun.wait)
        work.close()
        gate.set()
        await last

    run(main)
    assert len(given) == 2, "nothing is begun by what is closed"


def test_who_comes_when_too_many_wait_is_sent_away() -> None:
    async def main() -> None:
        gate = threading.Event()
        work = Work(concurrent=1, waiting=1, waiting_s=60)
        first = asyncio.create_task(work.run(gate.wait))
        second = asyncio.create_task(work.run(lambda: "second"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert work.load == (1, 1)
        with pytest.raises(BusyError) as error:
            await work.run(lambda: "third")
        assert error.value.wait_s > 0
        gate.set()
        assert await second == "second"
        await first
        work.close()

    run(main)


def test_who_waits_too_long_is_sent_away() -> None:
    async def main() -> None:
        gate = threading.Event()
        work = Work(concurrent=1, waiting=5, waiting_s=0.01)
        first = asyncio.create_task(work.run(gate.wait))
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="waited"):
            await work.run(lambda: "second")
        gate.set()
        await first
        assert await work.run(lambda: 7) == 7
        work.close()

    run(main)


def test_its_end_is_waited_for_as_long_as_is_said() -> None:
    async def main() -> None:
        gate = threading.Event()
        work = Work(concurrent=1, waiting=5, waiting_s=60)
        first = asyncio.create_task(work.run(gate.wait))
        await asyncio.sleep(0)
        work.close()
        assert not await work.ended(0.05)
        gate.set()
        assert await work.ended(60)
        assert await first

    run(main)


def test_a_place_is_free_again_when_the_work_is_done_and_not_when_nobody_waits_for_it() -> None:
    async def main() -> None:
        gate = threading.Event()
        work = Work(concurrent=1, waiting=0, waiting_s=60)
        first = asyncio.create_task(work.run(gate.wait))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert work.load == (1, 0)
        with pytest.raises(BusyError):
            await work.run(lambda: 7)
        gate.set()
        while work.load != (0, 0):
            await asyncio.sleep(0.001)
        assert await work.run(lambda: 7) == 7
        work.close()

    run(main)


def test_one_client_has_neither_all_threads_nor_all_places_to_wait() -> None:
    async def main() -> None:
        gate = threading.Event()
        work = Work(concurrent=3, waiting=8, waiting_s=60)
        greedy = [asyncio.create_task(work.run(gate.wait, client="greedy")) for _ in range(4)]
        await asyncio.sleep(0)
        assert work.load == (2, 2)
        with pytest.raises(BusyError, match="of this client"):
            await work.run(gate.wait, client="greedy")
        assert await work.run(lambda: 7, client="other") == 7
        gate.set()
        assert all(await asyncio.gather(*greedy))
        assert work.load == (0, 0)
        work.close()

    run(main)


def test_who_waits_gets_the_turn_client_by_client() -> None:
    async def main() -> None:
        gate = threading.Event()
        order: list[str] = []
        work = Work(concurrent=1, waiting=40, waiting_s=60)
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(work.run(gate.wait, client="a"))]
        tasks += [
            asyncio.create_task(work.run(partial(order.append, client), client=client))
            for client in ("a", "a", "a", "b", "b", "c")
        ]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*tasks)
        assert order == ["a", "b", "c", "a", "b", "a"]
        work.close()

    run(main)


def test_what_nobody_waits_for_any_more_is_not_begun() -> None:
    async def gone() -> bool:
        return True

    async def main() -> None:
        done: list[int] = []
        work = Work(concurrent=1, waiting=4, waiting_s=60)
        with pytest.raises(ClientDisconnect):
            await work.run(lambda: done.append(1), client="a", is_gone=gone)
        assert (done, work.load) == ([], (0, 0))
        gate = threading.Event()
        first = asyncio.create_task(work.run(gate.wait, client="a"))
        second = asyncio.create_task(work.run(lambda: done.append(1), client="b"))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert work.load == (1, 0)
        gate.set()
        await first
        assert await work.run(lambda: 7) == 7
        assert done == []
        work.close()

    run(main)


@pytest.mark.parametrize("gone", [["b"], ["b", "b"], ["b", "c"]])
def test_who_leaves_in_the_moment_of_its_turn_costs_nobody_a_place(gone: list[str]) -> None:
    """Its time to wait is over, or its request is cancelled, in the step of the loop in which a place becomes free: all
    who came later waited for ever, and more ran at a time than may.
    """

    async def main() -> None:
        work = Work(concurrent=1, waiting=16, waiting_s=60)
        gate = threading.Event()
        first = asyncio.create_task(work.run(gate.wait, client="a"))
        waiting = [asyncio.create_task(work.run(lambda: 1, client=client)) for client in gone]
        later = [asyncio.create_task(work.run(lambda: 2, client=client)) for client in ("b", "c", "d")]
        while work.load != (1, len(waiting) + 3):
            await asyncio.sleep(0)
        done = work._done

        def cancelled_first(future: asyncio.Future[Any], client: str | None) -> None:
            for each in waiting:
                each.cancel()
            done(future, client)

        work._done = cancelled_first  # type: ignore[method-assign]
        gate.set()
        assert await asyncio.wait_for(asyncio.gather(first, *later), 60) == [True, 2, 2, 2]
        assert all(
            isinstance(each, asyncio.CancelledError) for each in await asyncio.gather(*waiting, return_exceptions=True)
        )
        assert work.load == (0, 0)
        work.close()

    run(main)
