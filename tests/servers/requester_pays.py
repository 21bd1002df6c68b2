"""A server of S3 on loopback whose objects are only for those who say that they pay, as some buckets of AWS are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from tests.servers.loopback import LoopbackServer

DATE = "Sun, 17 Jun 2018 00:00:00 GMT"


class RequesterPaysServer:
    """Objects of one bucket; 403 AccessDenied for every request that does not say who pays."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.asked: list[tuple[str, bool]] = []
        """Method and path, and whether the request said who pays."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: object) -> None:
                pass

            def do_GET(self) -> None:
                pays = self.headers.get("x-amz-request-payer") == "requester"
                outer.asked.append((f"{self.command} {self.path}", pays))
                code, body, headers = outer.answer(self.path, self.headers.get("Range"), pays)
                body = b"" if (self.command, code) == ("PUT", 200) else body
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            do_HEAD = do_GET

        self._server = LoopbackServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, path: str, wanted: str | None, pays: bool) -> tuple[int, bytes, dict[str, str]]:
        parts = urlsplit(path)
        query = parse_qs(parts.query)
        key = unquote(parts.path).lstrip("/").partition("/")[2]
        if not pays:
            return 403, _error("AccessDenied"), {}
        if not key:
            return 200, self._listing(query.get("prefix", [""])[0]), {"Content-Type": "application/xml"}
        content = self.objects.get(key)
        if content is None:
            return 404, _error("NoSuchKey"), {}
        headers = {"ETag": f'"{hash(content)}"', "Last-Modified": DATE, "Accept-Ranges": "bytes"}
        if wanted is None:
            return 200, content, headers
        start, _, last = wanted.removeprefix("bytes=").partition("-")
        part = content[int(start) : int(last) + 1]
        return 206, part, headers | {"Content-Range": f"bytes {start}-{int(start) + len(part) - 1}/{len(content)}"}

    def _listing(self, prefix: str) -> bytes:
        found = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2018-06-17T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;1&quot;</ETag><Size>{len(content)}</Size></Contents>"
            for key, content in sorted(self.objects.items())
            if key.startswith(prefix)
        )
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>".encode()

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which any AWS tool reaches the server."""
        return {
            "AWS_ENDPOINT_URL": self.url, "AWS_ACCESS_KEY_ID": "some-access", "AWS_SECRET_ACCESS_KEY": "some-secret",
            "AWS_REGION": "eu-central-1", "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }  # fmt: skip

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()


@pytest.fixture
def paid_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The server, with the environment of this test pointing at it; nobody pays yet."""
    server = RequesterPaysServer()
    monkeypatch.delenv("AWS_REQUEST_PAYER", raising=False)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    yield server
    server.close()
