"""What a process asks of servers: requests, bytes of their answers, time that it waits for them, and its own pauses."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests

KINDS = ("process", "catalog", "token", "other")


@dataclass(frozen=True)
class Reading:
    """What was measured so far."""

    requests: Counter[str] = field(default_factory=Counter)
    """Kind -> number of requests that were sent, tries that failed too."""

    bytes: int = 0
    """Of the bodies of answers, as they came over the wire."""

    answers_s: float = 0.0
    """Seconds between sending requests and having the whole answers, of all threads."""

    pauses_s: float = 0.0
    """Seconds that the process slept: the client keeps 50 ms between two requests, and waits when it is told to."""

    def __sub__(self, before: Reading) -> Reading:
        return Reading(
            self.requests - before.requests,
            self.bytes - before.bytes,
            self.answers_s - before.answers_s,
            self.pauses_s - before.pauses_s,
        )


class Meter:
    """Counts, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reading = Reading()

    @property
    def reading(self) -> Reading:
        """All so far."""
        with self._lock:
            return self._reading

    def add(self, *, kind: str | None = None, size: int = 0, answers_s: float = 0.0, pauses_s: float = 0.0) -> None:
        """A request of a kind, bytes, or seconds."""
        with self._lock:
            before = self._reading
            self._reading = Reading(
                before.requests + Counter([kind] if kind else []),
                before.bytes + size,
                before.answers_s + answers_s,
                before.pauses_s + pauses_s,
            )


def kind_of(url: str) -> str:
    """What a request is for, by the paths of Sentinel Hub's interfaces."""
    path = urlsplit(url).path
    if "/catalog/" in path:
        return "catalog"
    if path.endswith(("/process", "/process/v1")):
        return "process"
    return "token" if path.endswith("/token") else "other"


@contextmanager
def metered() -> Iterator[Meter]:
    """Measures all that sessions of requests ask, and all sleeping, while the block runs: for a process of its own.

    Clients make a session for each request, so that sessions themselves are measured and not those of one client.
    """
    meter, inside = Meter(), threading.local()
    send, sleep = requests.Session.send, time.sleep

    def measured_send(
        session: requests.Session, request: requests.PreparedRequest, **options: Any
    ) -> requests.Response:
        if getattr(inside, "request", False):  # redirects are sent from within, and counted with their request
            return send(session, request, **options)
        inside.request, start = True, time.perf_counter()
        try:
            answer = send(session, request, **options)
        except requests.RequestException:
            meter.add(kind=kind_of(str(request.url)), answers_s=time.perf_counter() - start)
            raise
        finally:
            inside.request = False
        meter.add(answers_s=time.perf_counter() - start)
        for each in (*answer.history, answer):
            meter.add(kind=kind_of(str(each.url)), size=wire_bytes(each))
        return answer

    def measured_sleep(seconds: float) -> None:
        start = time.perf_counter()
        sleep(seconds)
        meter.add(pauses_s=time.perf_counter() - start)

    _install(measured_send, measured_sleep)
    try:
        yield meter
    finally:
        _install(send, sleep)


def _install(send: Callable[..., requests.Response], sleep: Callable[[float], None]) -> None:
    setattr(requests.Session, "send", send)  # noqa: B010 - a method of a library's class
    setattr(time, "sleep", sleep)  # noqa: B010 - the same


def wire_bytes(answer: requests.Response) -> int:
    """Bytes of the body as they came, packed where the server packs."""
    told = getattr(answer.raw, "tell", None)
    return int(told()) if callable(told) else len(answer.content)
