"""Web servers on loopback: one that answers as a test says, one that shows a folder, one that breaks off."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from eotasks.imagery.files.session import session
from tests.servers.loopback import LoopbackServer

Answer = Callable[[BaseHTTPRequestHandler], None]


class AnsweringServer:
    """A web server on loopback whose answers a test decides."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Answer] = {}
        self.asked: list[tuple[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: object) -> None:
                pass

            def answer(self) -> None:
                question = (self.command, self.path.partition("?")[0])
                outer.asked.append(question)
                outer.answers.get(question, status(404))(self)

            do_GET = do_HEAD = answer  # the names that http.server calls

        self._server = LoopbackServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def status(code: int, body: bytes = b"", length: int | None = None, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(body)

    return answer


def ranged(content: bytes) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        start, last = handler.headers["Range"].removeprefix("bytes=").split("-")
        status(206, content[int(start) : int(last) + 1])(handler)

    return answer


@pytest.fixture
def web_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[AnsweringServer]:
    monkeypatch.setattr("eotasks.network.retries.FIRST_PAUSE", 0)  # no test waits for what fails
    server = AnsweringServer()
    yield server
    server.close()
    session.cache_clear()  # a later server may get the same port, and connections to this one are kept open


class RangeHandler(SimpleHTTPRequestHandler):
    """Files with ranges, as web servers give them; the standard library's own handler has none."""

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        path, wanted = Path(self.translate_path(self.path)), self.headers.get("Range")
        if wanted is None or not path.is_file():
            super().do_GET()
            return
        size = path.stat().st_size
        first, last = wanted.removeprefix("bytes=").split("-")
        start, stop = int(first), min(int(last or size) + 1, size)
        with path.open("rb") as file:
            file.seek(start)
            content = file.read(stop - start)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def web_folder(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address where a web server on loopback shows it."""
    root = tmp_path / "web"
    root.mkdir()
    server = LoopbackServer(("127.0.0.1", 0), partial(RangeHandler, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield root, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def broken_web(root: Path) -> Iterator[str]:
    """A web server that sends half of every image and closes the connection."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            if not self.path.endswith(".jp2"):
                super().do_GET()
                return
            content = Path(self.translate_path(self.path)).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True

    server = LoopbackServer(("127.0.0.1", 0), partial(Handler, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
