"""Thousands of mixed requests while processes are killed, each answer against that of an undisturbed service:
``python -m tests.benchmarks.service.soak``.

Requests are of all kinds (`tests.benchmarks.service.mix`): images in every format and mosaicking, statistics,
catalogue, FIS, tokens, and what is to be refused. One service is asked each of them in peace. Another is asked
thousands, drawn from them, by several clients, while after every so many answers a process that runs evalscripts is
killed, and with ``--workers 2`` every sixth time one that answers requests: by answers and not by seconds, so that a
slow machine has no more kills a request than a fast one. Clients do as sentinelhub does: they try again when a
connection breaks, after a 5xx four times at most, after a 429 when its time is over. The growth of memory is that of
the processes that answer requests and live through it all, by least squares, after a part of the requests to warm up.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import random
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import requests

from tests.benchmarks.service.mix import Asked, requests_of
from tests.benchmarks.service.server import Server, build_days, serving

ATTEMPTS = 4
"""Of a request, as sentinelhub has it."""
PAUSE_S = 0.5
"""Before the second attempt, and three times as long before each further one; sentinelhub waits ten times as long."""
TIMEOUT_S = 300
WARM = 0.3
"""Part of the requests after which memory is looked at."""
SAMPLES = 100
"""Looks at memory, evenly over the requests."""
TELLING = 1000
"""Requests from which on growth is told: in fewer a process still fills what it keeps."""
DATES = 6

Answer = tuple[int, str]
"""Status, and a digest of all of it."""


@dataclass
class Counted:
    """What clients met."""

    wrong: list[str] = field(default_factory=list)
    again: Counter[str] = field(default_factory=Counter)
    """Attempts that were followed by another one, by why."""
    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Of requests with all their attempts, by kind."""
    killed: Counter[str] = field(default_factory=Counter)
    memory: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    """By process: requests that were answered, and bytes."""

    @property
    def looks(self) -> int:
        """At memory."""
        return len({at for samples in self.memory.values() for at, _ in samples})

    @property
    def answered(self) -> int:
        """Requests that are done."""
        return sum(map(len, self.seconds.values()))

    def growth(self, total: int) -> float | None:
        """Bytes a request, of all processes that live through it; None when there is none."""
        grown = []
        for samples in self.memory.values():
            warm = [(at, size) for at, size in samples if at >= WARM * total]
            if len(samples) >= self.looks / 2 and samples[-1][0] >= 0.9 * total and len(warm) > 2:
                grown.append(float(np.polyfit(*np.array(warm, float).T, 1)[0]))
        return sum(grown) if grown else None


class Client:
    """Asks one request after the other, with the newest token that it got."""

    def __init__(self, server: Server, counted: Counted) -> None:
        self._server, self._counted = server, counted
        self._session = requests.Session()
        self._token = server.token()

    def ask(self, asked: Asked) -> Answer:
        """Ask until there is an answer, or attempts are used up."""
        pause, attempts = PAUSE_S, 1
        while True:
            try:
                answer = self._once(asked)
                status, why = answer.status_code, str(answer.status_code)
            except requests.RequestException as error:
                status, why = 0, type(error).__name__
            if status == 429:
                self._counted.again[why] += 1
                time.sleep(int(answer.headers["Retry-After"]) / 1000)
                continue
            if status >= 500 or not status:
                if attempts < ATTEMPTS:
                    self._counted.again[why] += 1
                    attempts += 1
                    time.sleep(pause)
                    pause *= 3
                    continue
                return (status, "") if status else (status, why)
            return self._read(asked, answer)

    def _once(self, asked: Asked) -> requests.Response:
        content = dict(asked.content)
        headers = dict(content.pop("headers", {}))
        if asked.authorized:
            headers["Authorization"] = f"Bearer {self._token}"
        url = f"{self._server.url}{asked.path}"
        return self._session.request(asked.method, url, timeout=TIMEOUT_S, headers=headers, **content)

    def _read(self, asked: Asked, answer: requests.Response) -> Answer:
        if asked.is_login and answer.ok:
            self._token = answer.json()["access_token"]
            return 200, "a token"
        if not asked.is_exact:
            return answer.status_code, ""
        kind = answer.headers.get("Content-Type", "")
        return answer.status_code, f"{kind} {hashlib.sha256(answer.content).hexdigest()}"


class Killer:
    """Kills a process after every so many answers: of the engine, and each sixth time of those that answer where there
    are several.
    """

    def __init__(self, server: Server, every: int, counted: Counted, seed: int) -> None:
        self._server, self._every, self._counted = server, every, counted
        self._chance = random.Random(seed)

    def answered(self) -> None:
        """After each answer, by one thread at a time. A kill that found nobody is made up for after the next one."""
        number = self._counted.killed.total() + 1
        if self._counted.answered < number * self._every:
            return
        answering = self._server.answering()
        what = "answering" if number % 6 == 0 and len(answering) > 1 else "engine"
        found = answering if what == "answering" else _working(self._server.engines())
        with contextlib.suppress(psutil.Error, IndexError):
            self._chance.choice(found).kill()
            self._counted.killed[what] += 1


def _working(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those in the middle of a script, where there are such."""
    found = []
    for each in processes:
        with contextlib.suppress(psutil.Error):
            if each.status() == psutil.STATUS_RUNNING:
                found.append(each)
    return found or processes


def undisturbed(server: Server, asked: Sequence[Asked], clients: int) -> list[Answer]:
    """The answers of a service in peace.

    :raises RuntimeError: when one is none: a fault of the service, or of what is asked.
    """
    counted = Counted()
    with ThreadPoolExecutor(clients) as pool:
        each = [Client(server, counted) for _ in range(clients)]
        answers = list(pool.map(lambda pair: each[pair[0] % clients].ask(pair[1]), enumerate(asked)))
    for one, (status, _) in zip(asked, answers, strict=True):
        if not status or status >= 500 or (status >= 400) != one.kind.startswith(("bad", "token: refused")):
            raise RuntimeError(f"{one.kind} is answered {status} by a service in peace: {one.content}")
    return answers


def soak(
    server: Server,
    asked: Sequence[Asked],
    expected: Sequence[Answer],
    count: int,
    clients: int,
    counted: Counted,
    killer: Killer | None = None,
) -> None:
    """Ask thousands, drawn from some, and count what is wrong.

    With a killer up to ten times as many are asked, until there was a kill.
    """
    drawn = random.Random(5).choices(range(len(asked)), k=count if killer is None else 10 * count)
    looking, every = threading.Lock(), max(1, count // SAMPLES)

    def work(number: int) -> None:
        client = Client(server, counted)
        for turn in range(number, len(drawn), clients):
            if turn >= count and counted.killed:
                return
            place = drawn[turn]
            begun = time.perf_counter()
            answer = client.ask(asked[place])
            took_s = time.perf_counter() - begun
            if answer != expected[place]:
                counted.wrong.append(f"{asked[place].kind} ({place}): {answer} in the place of {expected[place]}")
            with looking:
                counted.seconds[asked[place].kind].append(took_s)
                if killer is not None:
                    killer.answered()
                if counted.answered % every == 0:
                    _look(server, counted)
                if counted.answered % (10 * every) == 0:
                    print(f"{counted.answered:,}: {_sizes(counted)}, {len(counted.wrong)} wrong", flush=True)

    with ThreadPoolExecutor(clients) as pool:
        for done in [pool.submit(work, number) for number in range(clients)]:
            done.result()


def _look(server: Server, counted: Counted) -> None:
    for each in server.answering():
        try:
            counted.memory[each.pid].append((counted.answered, each.memory_info().rss))
        except psutil.Error:
            continue


def _sizes(counted: Counted) -> str:
    """Memory of each process, at the first look and at the last."""
    sizes = (f"{samples[0][1] / 1e6:.0f} to {samples[-1][1] / 1e6:.0f} MB" for samples in counted.memory.values())
    return ", ".join(sizes)


def report(counted: Counted, total: int, took_s: float) -> int:
    """Prints what was met; 1 where an answer was wrong, or nothing was killed."""
    print("\n| requests | number | p50 ms | p99 ms |\n| --- | ---: | ---: | ---: |")
    for kind, seconds in sorted(counted.seconds.items()):
        p50, p99 = np.quantile(seconds, [0.5, 0.99]) * 1000
        print(f"| {kind} | {len(seconds):,} | {p50:.0f} | {p99:.0f} |")
    print(f"\n{counted.answered:,} requests in {took_s:.0f} s; killed: {dict(counted.killed) or 'none'}")
    print(f"tried again: {dict(counted.again) or 'none'}")
    print(f"memory after {WARM:.0%} of them: {_growth_text(counted, total)} ({_sizes(counted)})")
    for fault in counted.wrong[:20]:
        print(f"FAULT {fault}")
    print(f"wrong answers: {len(counted.wrong)}")
    return 1 if counted.wrong or not counted.killed else 0


def _growth_text(counted: Counted, total: int) -> str:
    if total < TELLING:
        return "too few requests to tell"
    growth = counted.growth(total)
    return "no process lived through it" if growth is None else f"{growth * 1000 / 1e6:+.2f} MB in 1,000 requests"


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a table; 1 where an answer was wrong, or none came, or nothing was killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000, help="(10,000)")
    parser.add_argument("--different", type=int, default=250, help="requests that they are drawn from (250)")
    parser.add_argument("--clients", type=int, default=16, help="at a time (16)")
    parser.add_argument("--workers", type=int, default=1, help="processes that answer (1)")
    parser.add_argument("--every", type=int, default=100, help="answers between two kills (100)")
    parser.add_argument("--dates", type=int, default=DATES, help=f"acquisitions ({DATES})")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where products and logs are kept; else they are made anew")
    options = parser.parse_args(arguments)
    counted = Counted()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        catalogue = build_days(folder, options.dates)
        with serving(folder / "peace", catalogue) as server:
            asked = requests_of(options.seed, options.different, server.client_id, server.client_secret)
            expected = undisturbed(server, asked, min(4, options.clients))
        print(f"{len(asked)} requests have their answers", flush=True)
        with serving(folder / "disturbed", catalogue, workers=options.workers) as server:
            asked = requests_of(options.seed, options.different, server.client_id, server.client_secret)
            begun = time.perf_counter()
            killer = Killer(server, options.every, counted, options.seed)
            soak(server, asked, expected, options.requests, options.clients, counted, killer)
            took_s = time.perf_counter() - begun
    return report(counted, options.requests, took_s)


if __name__ == "__main__":
    raise SystemExit(main())
