"""A web server on loopback that answers only to signed addresses, as storage of Azure does, and who signs them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from eotasks.imagery.files.session import session
from tests.servers.loopback import LoopbackServer

WORD = "secret-word"
"""In every signature."""

EXPIRED = (
    "<Error><Code>AuthenticationFailed</Code><Detail>Signature not valid in the specified time frame</Detail></Error>"
)
UNSIGNED = "<Error><Code>PublicAccessNotPermitted</Code></Error>"


class SignedServer:
    """Files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[tuple[str, int]] = []
        """Names of files, and what was answered."""
        self.signed = 0
        """How often somebody was given signatures."""
        self.revoked = 0
        """Signatures up to this one are refused, though their time has not come."""
        self.holds = timedelta(hours=1)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: object) -> None:
                pass

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                code, body, headers = outer.answer(parts.path.lstrip("/"), parts.query, self.headers.get("Range"))
                outer.asked.append((parts.path.lstrip("/"), code))
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET

        self._server = LoopbackServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def signature(self) -> str:
        """The query of an address that is signed now."""
        self.signed += 1
        end = (datetime.now(UTC) + self.holds).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"se={quote(end)}&sp=rl&sig={WORD}-{self.signed}"

    def sign(self, item: Any) -> None:
        """A modifier of STAC items, as of the Planetary Computer: what is signed stays as it is."""
        query = self.signature()
        for asset in item.assets.values():
            if asset.href.startswith(self.url) and "?" not in asset.href:
                asset.href += f"?{query}"

    def answer(self, name: str, query: str, wanted: str | None) -> tuple[int, bytes, dict[str, str]]:
        fields = {key: values[0] for key, values in parse_qs(query).items()}
        if "sig" not in fields:
            return 409, UNSIGNED.encode(), {}
        end = datetime.fromisoformat(fields["se"])
        if end < datetime.now(UTC) or int(fields["sig"].rpartition("-")[2]) <= self.revoked:
            return 403, EXPIRED.encode(), {}
        file = self.folder / name
        if not file.is_file():
            return 404, b"", {}
        content = file.read_bytes()
        if wanted is None:
            return 200, content, {}
        start, _, last = wanted.removeprefix("bytes=").partition("-")
        part = content[int(start) : int(last) + 1]
        return 206, part, {"Content-Range": f"bytes {start}-{int(start) + len(part) - 1}/{len(content)}"}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def signed_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SignedServer]:
    """The server over a new folder, which items may lead to."""
    monkeypatch.setenv("EOTASKS_ALLOWED_HOSTS", "127.0.0.1")
    folder = tmp_path / "signed"
    folder.mkdir()
    server = SignedServer(folder)
    yield server
    server.close()
    session.cache_clear()
