"""Files of products in archives and on web servers, of which nothing is believed."""

from __future__ import annotations

import contextlib
import pickle
import stat
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.errors import EOTasksError, ImageryError
from eotasks.imagery.files import http
from eotasks.imagery.files import location as imagery_files
from eotasks.imagery.files.location import FolderFiles, WebFiles, checked, open_files, shown
from eotasks.imagery.files.zip import ZipFiles
from tests.servers.loopback import LoopbackServer

CONTENT = b"<a>metadata</a>" * 100


def archive(path: Path, *names: str, method: int = zipfile.ZIP_DEFLATED) -> ZipFiles:
    with zipfile.ZipFile(path, "w", method) as target:
        for name in names:
            target.writestr(name, CONTENT)
    return ZipFiles(str(path))


class TestNames:
    @pytest.mark.parametrize("name", ["a.xml", "GRANULE/L1C_T33UUU/MTD_TL.xml", "..a", "a..b/c", "é.xml"])
    def test_inside(self, name: str) -> None:
        assert checked(name, "product") == name

    @pytest.mark.parametrize(
        "name", ["", "/a", "../a", "a/../b", "a/./b", "a//b", "a/", "a\\b", "..\\a", "C:/a", "a\0b", ".", ".."]
    )
    def test_outside(self, name: str) -> None:
        with pytest.raises(ImageryError, match="leads out of the product"):
            checked(name, "product")

    def test_folders_read_nothing_outside(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("secret")
        (tmp_path / "product").mkdir()
        files = FolderFiles(tmp_path / "product")
        for use in (files.read_bytes, files.raster_path):
            with pytest.raises(ImageryError, match="leads out of the product"):
                use("../secret")

    @pytest.mark.parametrize(
        ("location", "expected"),
        [
            ("/a/b.zip", "/a/b.zip"),
            ("s3://bucket/a", "s3://bucket/a"),
            ("https://user:password@example.org:8080/a.zip?X-Amz-Signature=s#f", "https://example.org:8080/a.zip"),
        ],
    )
    def test_shown(self, location: str, expected: str) -> None:
        assert shown(location) == expected

    def test_no_repr_has_a_secret(self) -> None:
        for kind in (ZipFiles, WebFiles):
            assert "secret" not in repr(kind("https://user:secret@example.org/a.zip?sig=secret"))


class TestZips:
    def test_names_are_below_the_one_folder(self, tmp_path: Path) -> None:
        files = archive(
            tmp_path / "a.zip", "P.SAFE/MTD.xml", "P.SAFE/GRANULE/T/MTD_TL.xml", "__MACOSX/P.SAFE/._MTD.xml"
        )
        assert files.names() == ["GRANULE/T/MTD_TL.xml", "MTD.xml"]
        assert files.read_bytes("MTD.xml") == CONTENT
        assert files.fingerprint("MTD.xml")[0] == len(CONTENT)
        assert pickle.loads(pickle.dumps(files)).names() == files.names()
        assert archive(tmp_path / "b.zip", "MTD.xml", "a/b").names() == ["MTD.xml", "a/b"]

    def test_absent(self, tmp_path: Path) -> None:
        with pytest.raises(ImageryError, match="b is not in it"):
            archive(tmp_path / "a.zip", "a").read_bytes("b")
        with pytest.raises(ImageryError, match=r"none\.zip: nothing there"):
            ZipFiles(str(tmp_path / "none.zip")).names()

    def test_a_name_twice(self, tmp_path: Path) -> None:
        with pytest.warns(UserWarning, match="Duplicate name"):
            files = archive(tmp_path / "a.zip", "P/a.xml", "P/a.xml")
        with pytest.raises(ImageryError, match=r"holds P/a\.xml twice"):
            files.names()

    @pytest.mark.parametrize("name", ["../a", "/a", "P/../../a", "P\\a", "C:/a"])
    def test_names_that_lead_out(self, tmp_path: Path, name: str) -> None:
        files = archive(tmp_path / "a.zip", "P/a.xml", name)
        with pytest.raises(ImageryError, match="leads out of the product"):
            files.names()

    def test_a_link(self, tmp_path: Path) -> None:
        link = zipfile.ZipInfo("P/MTD.xml")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
            target.writestr(link, "/etc/passwd")
        with pytest.raises(ImageryError, match="is a link"):
            ZipFiles(str(tmp_path / "a.zip")).names()

    def test_too_much(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("eotasks.imagery.files.zip.MAX_NAMES", 2)
        with pytest.raises(ImageryError, match="more than 2 files"):
            archive(tmp_path / "a.zip", "a", "b", "c").names()
        monkeypatch.setattr(imagery_files, "MAX_METADATA", 1000)
        with pytest.raises(ImageryError, match="has 1,500 bytes"):
            archive(tmp_path / "b.zip", "a").read_bytes("a")

    def test_a_file_that_is_longer_than_it_says(self, tmp_path: Path) -> None:
        """A bomb says that it is small."""
        archive(tmp_path / "a.zip", "a")
        content = (tmp_path / "a.zip").read_bytes()
        size = len(CONTENT).to_bytes(4, "little")
        assert content.count(size) == 2
        (tmp_path / "a.zip").write_bytes(content.replace(size, (10).to_bytes(4, "little")))
        with pytest.raises(ImageryError, match="a is "):
            ZipFiles(str(tmp_path / "a.zip")).read_bytes("a")

    def test_encrypted(self, tmp_path: Path) -> None:
        archive(tmp_path / "a.zip", "a")
        content = bytearray((tmp_path / "a.zip").read_bytes())
        for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            content[content.index(signature) + at] |= 1
        (tmp_path / "a.zip").write_bytes(content)
        with pytest.raises(ImageryError, match=r"a is damaged .*encrypted"):
            ZipFiles(str(tmp_path / "a.zip")).read_bytes("a")

    @settings(max_examples=100, deadline=None)
    @given(st.floats(0, 1), st.binary(min_size=1, max_size=8))
    def test_any_bytes_are_read_or_refused(
        self, tmp_path_factory: pytest.TempPathFactory, place: float, noise: bytes
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "noise.zip"
        archive(path, "P/a.xml", "P/b/c.xml")
        content = bytearray(path.read_bytes())
        start = int(place * len(content))
        content[start : start + len(noise)] = noise
        path.write_bytes(content)
        files = ZipFiles(str(path))
        with contextlib.suppress(EOTasksError):
            for name in files.names():
                assert files.read_bytes(name) == CONTENT


Answer = Callable[[BaseHTTPRequestHandler], None]


class Server:
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
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


class TestWeb:
    def test_size_by_head(self, server: Server) -> None:
        server.answers["HEAD", "/a"] = status(200, length=123)
        assert http.size_of(f"{server.url}/a") == 123
        assert http.size_of(f"{server.url}/b") is None

    @pytest.mark.parametrize("code", [403, 405])
    def test_size_where_head_is_not_answered(self, server: Server, code: int) -> None:
        """Signed addresses are often signed for GET alone."""
        server.answers["HEAD", "/a"] = status(code)
        server.answers["GET", "/a"] = status(206, b"x", Content_Range="bytes 0-0/123")
        assert http.size_of(f"{server.url}/a?X-Amz-Signature=s") == 123

    def test_forbidden(self, server: Server) -> None:
        for method in ("HEAD", "GET"):
            server.answers[method, "/a"] = status(403)
        with pytest.raises(ImageryError, match="answers 403") as raised:
            http.size_of(f"{server.url}/a?sig=secret")
        assert "secret" not in str(raised.value)

    def test_no_ranges(self, server: Server) -> None:
        server.answers["GET", "/a"] = status(200, CONTENT)
        with pytest.raises(ImageryError, match="does not answer to ranges"):
            http.read_range(f"{server.url}/a", 0, 10)

    def test_more_than_it_should_be(self, server: Server) -> None:
        server.answers["GET", "/a"] = status(200, CONTENT)
        assert http.read(f"{server.url}/a", len(CONTENT)) == CONTENT
        with pytest.raises(ImageryError, match="more than 100 bytes"):
            http.read(f"{server.url}/a", 100)

    def test_broken_off(self, server: Server) -> None:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            status(200, CONTENT, length=len(CONTENT) + 10)(handler)
            handler.close_connection = True

        server.answers["GET", "/a"] = answer
        with pytest.raises(ImageryError, match="broke off"):
            http.read(f"{server.url}/a", 10_000)

    def test_busy_servers_are_asked_again(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("urllib3.util.retry.Retry.get_backoff_time", lambda _: 0)
        server.answers["GET", "/a"] = status(503)
        with pytest.raises(ImageryError, match="answers 503"):
            http.read(f"{server.url}/a", 10_000)
        assert server.asked == [("GET", "/a")] * http.ATTEMPTS

    def test_nobody_there(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("urllib3.util.retry.Retry.get_backoff_time", lambda _: 0)
        server.close()
        with pytest.raises(ImageryError, match="cannot be reached") as raised:
            http.size_of(f"{server.url}/a?sig=secret")
        assert "secret" not in str(raised.value)
        assert raised.value.__suppress_context__

    def test_redirects_are_followed_on_the_same_machine(self, server: Server) -> None:
        server.answers["GET", "/a"] = status(302, Location="/b")
        server.answers["GET", "/b"] = status(200, CONTENT)
        assert http.read(f"{server.url}/a", 10_000) == CONTENT

    def test_redirects_in_a_circle(self, server: Server) -> None:
        server.answers["GET", "/a"] = status(302, Location="/a")
        with pytest.raises(ImageryError, match="TooManyRedirects"):
            http.read(f"{server.url}/a", 10_000)
        assert len(server.asked) < 10

    @pytest.mark.parametrize(
        ("source", "target", "message"),
        [
            ("https://example.org/a", "http://example.org/a", "http://"),
            ("http://example.org/a", "file:///etc/passwd", "file://"),
            ("http://example.org/a", "http://127.0.0.1:8080/admin", "this machine"),
            ("http://example.org/a", "http://localhost/admin", "this machine"),
            ("http://example.org/a", "http://[::1]/admin", "this machine"),
            ("http://example.org/a", "http://169.254.169.254/latest/meta-data", "this machine"),
        ],
    )
    def test_redirects_that_are_not_followed(self, source: str, target: str, message: str) -> None:
        answer = requests.Response()
        answer.status_code, answer.url = 302, source
        answer.headers["Location"] = target
        with pytest.raises(ImageryError, match=message):
            http._check_redirect(answer)

    def test_manifest_that_leads_out(self, server: Server) -> None:
        manifest = b'<x><fileLocation href="./../../etc/passwd"/></x>'
        server.answers["HEAD", "/P.SAFE/manifest.safe"] = status(200, manifest)
        server.answers["GET", "/P.SAFE/manifest.safe"] = status(200, manifest)
        with pytest.raises(ImageryError, match="leads out of the product"):
            open_files(f"{server.url}/P.SAFE").names()

    def test_zip_that_is_a_page(self, server: Server) -> None:
        page = b"<html>Please log in</html>"
        server.answers["HEAD", "/a.zip"] = status(200, page)
        server.answers["GET", "/a.zip"] = ranged(page)
        with pytest.raises(ImageryError, match=r"a\.zip: cut off or no zip"):
            open_files(f"{server.url}/a.zip").names()
