"""The guard itself: the network is blocked but for loopback, in worker processes too."""

from __future__ import annotations

import multiprocessing
import socket
import threading

import pytest

DOCUMENTATION_ADDRESS = ("192.0.2.1", 443)  # RFC 5737: never routed


def attempt(address: tuple[str, int]) -> str:
    try:
        with socket.create_connection(address, timeout=2):
            return "connected"
    except OSError as error:
        return type(error).__name__


def test_blocks_addresses_and_names() -> None:
    assert attempt(DOCUMENTATION_ADDRESS) == "NetworkBlockedError"
    assert attempt(("example.org", 443)) == "NetworkBlockedError"


def test_loopback_stays_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: server.accept()[0].close())
        thread.start()
        assert attempt(server.getsockname()) == "connected"
        thread.join(timeout=300)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_blocks_in_worker_processes(method: str) -> None:
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(attempt, (DOCUMENTATION_ADDRESS,)) == "NetworkBlockedError"
