"""A web server on loopback that writes what it is told, whatever HTTP says of it, for as long as it is told."""

from __future__ import annotations

import re
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from eotasks.imagery.files.session import session

Bytes = Callable[[str], Iterable[bytes]]
"""What to write to a request: the first line and the headers of that are given."""


class LyingServer(socketserver.ThreadingTCPServer):
    """Counts requests and the bytes that were taken from it."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        self.answer: Bytes = lambda _: [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"]
        self.requests: list[str] = []
        self.sent = 0
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                head = b""
                while b"\r\n\r\n" not in head:
                    received = self.request.recv(65536)
                    if not received:
                        return
                    head += received
                text = head.decode("latin-1")
                body = head.partition(b"\r\n\r\n")[2]
                length = re.search(r"(?i)content-length: (\d+)", text)
                while length is not None and len(body) < int(length[1]):
                    body += self.request.recv(65536)
                outer.requests.append(text.partition("\r\n")[0])
                try:
                    for part in outer.answer(text):
                        self.request.sendall(part)
                        outer.sent += len(part)
                except OSError:  # the client had enough
                    pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


def head(status: str = "200 OK", **headers: object) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Connection: close", *(f"{n.replace('_', '-')}: {v}" for n, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def endless(part: bytes = b"\0" * (1 << 20)) -> Iterator[bytes]:
    while True:
        yield part


def dripping(content: bytes, pause: float = 0.05) -> Iterator[bytes]:
    """A byte at a time, for ever."""
    while True:
        for position in range(len(content)):
            time.sleep(pause)
            yield content[position : position + 1]


@pytest.fixture
def lying_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LyingServer]:
    monkeypatch.setattr("eotasks.network.retries.FIRST_PAUSE", 0)  # no test waits for what fails
    server = LyingServer()
    yield server
    server.close()
    session.cache_clear()  # a later server may get the same port, and connections to this one are kept open
