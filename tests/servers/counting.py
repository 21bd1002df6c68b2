"""A web server on loopback that shows a folder and counts what is taken from it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from eotasks.imagery.files.session import session
from tests.servers.loopback import LoopbackServer
from tests.servers.web import RangeHandler


@dataclass
class Counts:
    """What was asked of a server."""

    url: str = ""
    requests: list[tuple[str, int]] = field(default_factory=list)
    """Path, and bytes of the body that was sent."""

    pause: float = 0
    """Seconds before each answer."""

    most_at_once: int = 0
    now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, name: str) -> list[int]:
        """Bytes of each request for files whose path has a name in it."""
        return [size for path, size in self.requests if name in path]

    @property
    def sent(self) -> int:
        """Bytes of all bodies."""
        return sum(size for _, size in self.requests)

    def clear(self) -> None:
        """Count from here on."""
        self.requests.clear()
        self.most_at_once = 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        with self._lock:
            self.now += 1
            self.most_at_once = max(self.most_at_once, self.now)
        try:
            yield
        finally:
            with self._lock:
                self.now -= 1


@contextmanager
def counting_server(root: Path) -> Iterator[Counts]:
    """Shows a folder; what it has sent is counted."""
    counts = Counts()

    class Handler(RangeHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # headers and body are two packets: the second would wait for the first

        def do_GET(self) -> None:
            with counts.counting():
                time.sleep(counts.pause)
                super().do_GET()

        def send_header(self, keyword: str, value: str) -> None:
            if keyword == "Content-Length":  # before the body: who has that may look at the counts
                counts.requests.append((self.path, int(value) if self.command == "GET" else 0))
            super().send_header(keyword, value)

    server = LoopbackServer(("127.0.0.1", 0), partial(Handler, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    counts.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield counts
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        session.cache_clear()  # a later server may get the same port, and connections to this one are kept open


@pytest.fixture
def counted_folder(tmp_path: Path) -> Iterator[tuple[Path, Counts]]:
    """A folder, and what is asked of the server that shows it."""
    root = tmp_path / "counted"
    root.mkdir()
    with counting_server(root) as counts:
        yield root, counts
