"""`eotasks.imagery.files.http`: what servers answer, and what is made of it."""

from __future__ import annotations

import logging
from http.server import BaseHTTPRequestHandler

import pytest
import requests

from eotasks.errors import ImageryError
from eotasks.imagery.files import http
from eotasks.imagery.files.origin import ALLOWED_HOSTS
from eotasks.imagery.files.session import ATTEMPTS, check_redirect
from eotasks.limits import Limit
from tests.servers.web import AnsweringServer, status

CONTENT = b"<a>metadata</a>" * 100


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOWED_HOSTS, "127.0.0.1")


def at_most(count: int) -> Limit:
    return Limit("test bytes", count, "of a test")


def test_size_by_head(web_server: AnsweringServer) -> None:
    web_server.answers["HEAD", "/a"] = status(200, length=123)
    assert http.size_of(f"{web_server.url}/a") == 123
    assert http.size_of(f"{web_server.url}/b") is None


@pytest.mark.parametrize("code", [403, 405])
def test_size_where_head_is_not_answered(web_server: AnsweringServer, code: int) -> None:
    """Signed addresses are often signed for GET alone."""
    web_server.answers["HEAD", "/a"] = status(code)
    web_server.answers["GET", "/a"] = status(206, b"x", Content_Range="bytes 0-0/123")
    assert http.size_of(f"{web_server.url}/a?X-Amz-Signature=s") == 123


def test_forbidden(web_server: AnsweringServer) -> None:
    for method in ("HEAD", "GET"):
        web_server.answers[method, "/a"] = status(403)
    with pytest.raises(ImageryError, match="answers 403") as raised:
        http.size_of(f"{web_server.url}/a?sig=secret")
    assert "secret" not in str(raised.value)


def test_no_ranges(web_server: AnsweringServer) -> None:
    web_server.answers["GET", "/a"] = status(200, CONTENT)
    with pytest.raises(ImageryError, match="does not answer to ranges"):
        http.read_range(f"{web_server.url}/a", 0, 10)


def test_more_than_it_should_be(web_server: AnsweringServer) -> None:
    web_server.answers["GET", "/a"] = status(200, CONTENT)
    assert http.read(f"{web_server.url}/a", at_most(len(CONTENT))) == CONTENT
    with pytest.raises(ImageryError, match="more than 100 test bytes"):
        http.read(f"{web_server.url}/a", at_most(100))


def test_broken_off(web_server: AnsweringServer) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        status(200, CONTENT, length=len(CONTENT) + 10)(handler)
        handler.close_connection = True

    web_server.answers["GET", "/a"] = answer
    with pytest.raises(ImageryError, match="broke off"):
        http.read(f"{web_server.url}/a", at_most(10_000))


def test_busy_servers_are_asked_again(
    web_server: AnsweringServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "urllib3")  # where it fails, what was seen of the server
    monkeypatch.setattr("urllib3.util.retry.Retry.get_backoff_time", lambda _: 0)
    web_server.answers["GET", "/a"] = status(503)
    with pytest.raises(ImageryError, match="answers 503"):
        http.read(f"{web_server.url}/a", at_most(10_000))
    assert web_server.asked == [("GET", "/a")] * ATTEMPTS


def test_nobody_there(web_server: AnsweringServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib3.util.retry.Retry.get_backoff_time", lambda _: 0)
    web_server.close()
    with pytest.raises(ImageryError, match="cannot be reached") as raised:
        http.size_of(f"{web_server.url}/a?sig=secret")
    assert "secret" not in str(raised.value)
    assert raised.value.__suppress_context__


def test_redirects_are_followed_on_the_same_machine(web_server: AnsweringServer) -> None:
    web_server.answers["GET", "/a"] = status(302, Location="/b")
    web_server.answers["GET", "/b"] = status(200, CONTENT)
    assert http.read(f"{web_server.url}/a", at_most(10_000)) == CONTENT


def test_redirects_in_a_circle(web_server: AnsweringServer) -> None:
    web_server.answers["GET", "/a"] = status(302, Location="/a")
    with pytest.raises(ImageryError, match="TooManyRedirects"):
        http.read(f"{web_server.url}/a", at_most(10_000))
    assert len(web_server.asked) < 10


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("https://example.org/a", "http://example.org/a", "http://"),
        ("http://example.org/a", "file:///etc/passwd", "file://"),
    ],
)
def test_redirects_that_are_not_followed(source: str, target: str, message: str) -> None:
    answer = requests.Response()
    answer.status_code, answer.url = 302, source
    answer.headers["Location"] = target
    with pytest.raises(ImageryError, match=message):
        check_redirect(answer)
