"""Threads for requests: so many at once, so many that wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from eotasks.service.errors import BusyError
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
