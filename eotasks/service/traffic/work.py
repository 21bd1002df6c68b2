"""Threads for what takes time: so many requests at once, so many that wait, and the others are sent away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from eotasks.service.errors import BusyError

T = TypeVar("T")

_COME_BACK_S = 1.0
"""Seconds after which who was sent away may try again."""

_LOOK_S = 0.02
"""Between two looks whether all has ended."""


class Work:
    """Runs functions in threads, for the endpoints of one event loop."""

    def __init__(self, *, concurrent: int, waiting: int, waiting_s: float) -> None:
        """
        :param concurrent: Functions that run at the same time.
        :param waiting: Others that may wait for their turn.
        :param waiting_s: Seconds that one may wait.
        """
        self._pool = ThreadPoolExecutor(concurrent, thread_name_prefix="request")
        self._free = asyncio.Semaphore(concurrent)
        self._most_waiting, self._waiting_s = waiting, waiting_s
        self._waiting = self._running = 0

    @property
    def load(self) -> tuple[int, int]:
        """How many run and how many wait."""
        return self._running, self._waiting

    async def run(self, job: Callable[[], T]) -> T:
        """What a function gives. It runs to its end also when nobody waits for it any more.

        :raises BusyError: when too many wait already, or this one has waited too long.
        """
        await self._turn()
        self._running += 1
        try:
            future = asyncio.get_running_loop().run_in_executor(self._pool, job)
        except BaseException:
            self._done()
            raise
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    async def _turn(self) -> None:
        if self._free.locked() and self._waiting >= self._most_waiting:
            raise BusyError(
                f"{self._waiting} requests wait already: try again in {_COME_BACK_S:.0f} s.", wait_s=_COME_BACK_S
            )
        self._waiting += 1
        try:
            async with asyncio.timeout(self._waiting_s):
                await self._free.acquire()
        except TimeoutError:
            raise BusyError(
                f"The request waited {self._waiting_s:g} s for others to end: try again in {_COME_BACK_S:.0f} s.",
                wait_s=_COME_BACK_S,
            ) from None
        finally:
            self._waiting -= 1

    def _done(self, future: asyncio.Future[T] | None = None) -> None:
        self._running -= 1
        self._free.release()
        if future is not None and not future.cancelled():
            future.exception()  # looked at: nobody may wait for it any more

    def close(self) -> None:
        """Takes nothing more. What runs is not waited for: :meth:`ended` does."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def ended(self, wait_s: float) -> bool:
        """Whether all that runs has ended, for which some seconds are waited."""
        until = time.monotonic() + wait_s
        while self.load[0] and time.monotonic() < until:
            await asyncio.sleep(_LOOK_S)
        return not self.load[0]
