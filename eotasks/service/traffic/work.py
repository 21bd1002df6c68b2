"""Threads for what takes time: so many requests at once, so many that wait, and the others are sent away. No client has
all threads or all places to wait, and those who wait get their turn client by client.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import ClientDisconnect

from eotasks.allocator import give_back
from eotasks.service.errors import BusyError

T = TypeVar("T")

_COME_BACK_S = 1.0
"""Seconds after which who was sent away may try again."""
_WAITING_SHARE = 4
"""A client has one of so many places to wait."""
_GIVE_BACK_EVERY = 100
"""Functions, after which memory that was freed is returned to the system: glibc keeps a little of each, for ever."""


async def _stays() -> bool:
    return False


_LOOK_S = 0.02
"""Between two looks whether all has ended."""


class Work:
    """Runs functions in threads, for the endpoints of one event loop."""

    def __init__(self, *, concurrent: int, waiting: int, waiting_s: float) -> None:
        """
        :param concurrent: Functions that run at the same time; of one client one less, where there are several.
        :param waiting: Others that may wait for their turn; of one client a quarter.
        :param waiting_s: Seconds that one may wait.
        """
        self._pool = ThreadPoolExecutor(concurrent, thread_name_prefix="request")
        self._concurrent, self._most_waiting, self._waiting_s = concurrent, waiting, waiting_s
        self._running: Counter[str | None] = Counter()
        self._lines: OrderedDict[str | None, deque[asyncio.Future[None]]] = OrderedDict()
        """Those who wait, by client; the client whose turn is next comes first."""
        self._ended = 0

    @property
    def load(self) -> tuple[int, int]:
        """How many run and how many wait."""
        return self._running.total(), sum(map(len, self._lines.values()))

    async def run(
        self, job: Callable[[], T], *, client: str | None = None, is_gone: Callable[[], Awaitable[bool]] = _stays
    ) -> T:
        """What a function gives. It runs to its end also when nobody waits for it any more.

        :param client: Whose it is; None has no share that it keeps to.
        :param is_gone: Whether who asked has hung up: asked when the turn has come.
        :raises BusyError: when too many wait already, or this one has waited too long.
        :raises starlette.requests.ClientDisconnect: when who asked has hung up; the function is not begun.
        """
        await self._turn(client)
        try:
            if await is_gone():
                raise ClientDisconnect
            future = asyncio.get_running_loop().run_in_executor(self._pool, job)
        except BaseException:
            self._release(client)
            raise
        future.add_done_callback(lambda done: self._done(done, client))
        return await asyncio.shield(future)

    async def _turn(self, client: str | None) -> None:
        if self._may_run(client):
            self._running[client] += 1
            return
        self._check_waiting(client)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(client, deque()).append(turn)
        try:
            async with asyncio.timeout(self._waiting_s):
                await turn
        except BaseException as error:
            self._leave(client, turn)
            if not isinstance(error, TimeoutError):
                raise
            raise BusyError(
                f"The request waited {self._waiting_s:g} s for others to end: try again in {_COME_BACK_S:.0f} s.",
                wait_s=_COME_BACK_S,
            ) from None

    def _may_run(self, client: str | None) -> bool:
        share = self._concurrent if client is None else max(1, self._concurrent - 1)
        return self._running.total() < self._concurrent and self._running[client] < share

    def _check_waiting(self, client: str | None) -> None:
        waiting, own = self.load[1], len(self._lines.get(client, ()))
        if waiting >= self._most_waiting:
            text = f"{waiting} requests wait already"
        elif client is not None and own >= max(1, self._most_waiting // _WAITING_SHARE):
            text = f"{own} requests of this client wait already, as many as one client may have"
        else:
            return
        raise BusyError(f"{text}: try again in {_COME_BACK_S:.0f} s.", wait_s=_COME_BACK_S)

    def _leave(self, client: str | None, turn: asyncio.Future[None]) -> None:
        """One that waits no more; its turn may have come at this very moment."""
        if turn in self._lines.get(client, ()):
            self._lines[client].remove(turn)
            self._forget(client)
        elif turn.done() and not turn.cancelled():
            self._release(client)

    def _release(self, client: str | None) -> None:
        self._running[client] -= 1
        if not self._running[client]:
            del self._running[client]
        for each in [*self._lines]:
            turn = self._next(each) if self._may_run(each) else None
            if turn is not None:
                turn.set_result(None)
                self._running[each] += 1
                if each in self._lines:
                    self._lines.move_to_end(each)
                return

    def _next(self, client: str | None) -> asyncio.Future[None] | None:
        """The first of a line who still waits: others have been cancelled in this very step of the loop, and leave."""
        line = self._lines[client]
        found = None
        while line and found is None:
            turn = line.popleft()
            found = None if turn.done() else turn
        self._forget(client)
        return found

    def _forget(self, client: str | None) -> None:
        if not self._lines[client]:
            del self._lines[client]

    def _done(self, future: asyncio.Future[T], client: str | None) -> None:
        self._release(client)
        if not future.cancelled():
            future.exception()  # looked at: nobody may wait for it any more
        self._ended += 1
        if self._ended % _GIVE_BACK_EVERY == 0:
            with contextlib.suppress(RuntimeError):  # closed
                self._pool.submit(give_back)

    def close(self) -> None:
        """Takes nothing more. What runs is not waited for: :meth:`ended` does."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def ended(self, wait_s: float) -> bool:
        """Whether all that runs has ended, for which some seconds are waited."""
        until = time.monotonic() + wait_s
        while self.load[0] and time.monotonic() < until:
            await asyncio.sleep(_LOOK_S)
        return not self.load[0]


@dataclass(frozen=True)
class ClientWork:
    """`Work` for one request."""

    work: Work
    client: str
    is_gone: Callable[[], Awaitable[bool]]

    async def run(self, job: Callable[[], T]) -> T:
        """As `Work.run`."""
        return await self.work.run(job, client=self.client, is_gone=self.is_gone)
