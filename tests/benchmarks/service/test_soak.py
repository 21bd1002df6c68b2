"""The soak counts what it should, and finds nothing wrong in a short one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import requests

from tests.benchmarks.service import soak
from tests.benchmarks.service.mix import Asked, requests_of
from tests.benchmarks.service.server import Server
from tests.benchmarks.service.soak import SAMPLES, Answer, Client, Counted


class Quiet:
    """A server of which nothing is asked."""

    url = "http://service.test"

    def token(self) -> str:
        return "a token"

    def answering(self) -> list[Any]:
        return []


SERVER = cast("Server", Quiet())


def test_requests_are_the_same_for_a_seed_and_of_all_kinds() -> None:
    asked = requests_of(1, 200, "id", "secret")
    assert asked == requests_of(1, 200, "id", "secret") != requests_of(2, 200, "id", "secret")
    kinds = {each.kind.partition(":")[0] for each in asked}
    assert kinds == {"process", "statistics", "catalog", "fis", "token", "bad"}
    json.dumps([each.content for each in asked], allow_nan=False)


def test_growth_is_of_processes_that_live_through_it() -> None:
    counted, total = Counted(), 1000
    steps = range(0, total, total // SAMPLES)
    counted.memory[1] = [(at, 100_000 + 5 * at + (40_000 if at < 200 else 0)) for at in steps]  # warm from 300 on
    counted.memory[2] = [(at, 100 * at) for at in steps if at < 500]  # killed
    assert counted.growth(total) == pytest.approx(5)
    del counted.memory[1]
    counted.memory[3] = [(at, 100 * at) for at in steps if at >= 600]  # in its place
    assert counted.growth(total) is None


def test_growth_of_few_requests_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    counted = Counted(killed=Counter(engine=1))
    counted.memory[1] = [(at, 100_000 + 1000 * at) for at in range(0, 1000, 25)]
    assert soak.report(counted, 999, 1) == 0
    assert "too few requests" in capsys.readouterr().out
    soak.report(counted, 1000, 1)
    assert "+1.00 MB" in capsys.readouterr().out


def answered(status: int, **headers: str) -> requests.Response:
    answer = requests.Response()
    answer.status_code, answer._content = status, b"{}"
    answer.headers.update(headers)
    return answer


def asking(monkeypatch: pytest.MonkeyPatch, answers: list[requests.Response | Exception]) -> tuple[Client, Counted]:
    """A client that gets these answers, one after the other, and does not wait."""
    coming: Iterator[requests.Response | Exception] = iter(answers)

    def request(*_: Any, **__: Any) -> requests.Response:
        answer = next(coming)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(soak.time, "sleep", lambda _: None)
    monkeypatch.setattr(requests.Session, "request", request)
    counted = Counted()
    return Client(SERVER, counted), counted


def test_clients_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = [answered(503), answered(429, **{"Retry-After": "5"}), requests.ConnectionError(), answered(500)]
    client, counted = asking(monkeypatch, [*bad, answered(200)])
    status, _ = client.ask(Asked("process", "POST", "/api/v1/process"))
    assert status == 200
    assert counted.again == {"503": 1, "429": 1, "ConnectionError": 1, "500": 1}


def test_clients_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    client, _ = asking(monkeypatch, [answered(503)] * soak.ATTEMPTS)
    assert client.ask(Asked("process", "POST", "/api/v1/process")) == (503, "")


def test_wrong_answers_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Told(Client):
        def ask(self, asked: Asked) -> Answer:
            return (200, asked.kind)

    monkeypatch.setattr(soak, "Client", Told)
    asked = [Asked(kind, "GET", "/") for kind in "ab"]
    counted = Counted()
    soak.soak(SERVER, asked, [(200, "a"), (200, "another")], 40, 3, counted)
    assert counted.answered == 40
    assert len(counted.wrong) == len(counted.seconds["b"]) > 0


class Engine:
    """A process that is there from its third look on."""

    def __init__(self) -> None:
        self.looks = self.kills = 0

    def status(self) -> str:
        return "running"

    def kill(self) -> None:
        self.kills += 1


def test_it_goes_on_until_a_kill(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    engine = Engine()

    class Starting(Quiet):
        def engines(self) -> list[Any]:
            engine.looks += 1
            return [engine] if engine.looks > 2 else []

    class Told(Client):
        def ask(self, asked: Asked) -> Answer:
            return (200, asked.kind)

    monkeypatch.setattr(soak, "Client", Told)
    server, counted = cast("Server", Starting()), Counted()
    killer = soak.Killer(server, 10, counted, 1)
    soak.soak(server, [Asked("a", "GET", "/")], [(200, "a")], 10, 1, counted, killer)
    assert (counted.answered, engine.kills) == (12, 1)
    assert soak.report(counted, 10, 1) == 0
    counted.killed.clear()
    assert soak.report(counted, 10, 1) == 1  # what nobody disturbed shows nothing
    capsys.readouterr()


@pytest.mark.trial
def test_a_short_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--requests", "40", "--different", "16", "--clients", "3", "--every", "20", "--dates", "1"]
    code = soak.main([*options, "--folder", str(tmp_path)])
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert "wrong answers: 0" in printed
    assert "killed: {'engine':" in printed
