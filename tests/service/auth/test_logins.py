"""Secrets are looked at one after the other; strangers keep no client from its token."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
import requests

from eotasks.service.auth.clients import Client, Clients, add_client
from eotasks.service.auth.logins import Logins
from eotasks.service.errors import BusyError
from tests.servers.service import running_service


class Slow(Clients):
    """Clients whose secrets are looked at when `gate` is open."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.gate = threading.Event()

    def known(self, client_id: str, secret: str) -> Client | None:
        self.gate.wait(60)
        return self.get(client_id) if secret == "right" else None


async def outcomes(asked: list[asyncio.Task[Client | None]]) -> list[str]:
    found = await asyncio.gather(*asked, return_exceptions=True)
    return ["busy" if isinstance(each, BusyError) else "in" if isinstance(each, Client) else "no" for each in found]


def test_strangers_and_one_client_have_their_part_of_the_line(tmp_path: Path) -> None:
    path = tmp_path / "clients.json"
    first, second = add_client(path, "first")[0], add_client(path, "second")[0]

    async def main() -> None:
        clients = Slow(path)
        logins = Logins(clients, waiting_s=60)

        def ask(client_id: str, address: str, secret: str = "wrong") -> asyncio.Task[Client | None]:
            return asyncio.create_task(logins.client(client_id, secret, address))

        strangers = [ask(f"nobody-{number}", f"10.0.0.{number // 10}") for number in range(100)]
        guesses = [ask(first, f"10.1.0.{number}") for number in range(100)]
        honest = ask(second, "10.0.0.1", "right")
        for _ in range(5):
            await asyncio.sleep(0)
        clients.gate.set()
        told = await outcomes(strangers)
        assert (told.count("no"), told.count("busy")) == (17, 83)
        assert [told[start : start + 10].count("no") for start in range(0, 40, 10)] == [4] * 4
        told = await outcomes(guesses)
        assert (told.count("no"), told.count("busy")) == (16, 84)
        assert await outcomes([honest]) == ["in"]
        assert await outcomes([ask(first, "10.1.0.1", "right")]) == ["in"]  # all places are free again
        logins.close()

    asyncio.run(main())


def test_busy_is_told_so_that_clients_try_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def busy(*_: object) -> None:
        raise BusyError("Too many.", wait_s=1)

    monkeypatch.setattr(Logins, "client", busy)
    form = {"grant_type": "client_credentials", "client_id": "me", "client_secret": "x"}
    with running_service(tmp_path) as service:
        answer = requests.post(f"{service.url}/oauth/token", data=form, timeout=60)
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
