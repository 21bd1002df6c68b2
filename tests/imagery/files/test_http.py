"""`eotasks.imagery.files.http`: what servers answer, and what is made of it."""

from __future__ import annotations

import logging
import socket
from http.server import BaseHTTPRequestHandler

import pytest
import requests

from eotasks.errors import ImageryError
from eotasks.imagery.files import http
from eotasks.imagery.files.origin import ALLOWED_HOSTS
from eotasks.imagery.files.session import check_redirect
from eotasks.limits import ATTEMPTS, Limit
from tests.servers.web import Answer, AnsweringServer, status

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


def in_turn(*answers: Answer) -> Answer:
    """One answer after the other; the last again and again."""
    left = list(answers)
    return lambda handler: (left.pop(0) if len(left) > 1 else left[0])(handler)


def torn(content: bytes, sent: int, code: int = 200, **headers: str) -> Answer:
    """Breaks off after some bytes."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        status(code, content[:sent], length=len(content), **headers)(handler)
        handler.close_connection = True

    return answer


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_busy_servers_are_asked_again(web_server: AnsweringServer, caplog: pytest.LogCaptureFixture, code: int) -> None:
    caplog.set_level(logging.INFO, "eotasks.network.retries")
    web_server.answers["GET", "/a"] = status(code)
    with pytest.raises(ImageryError, match=rf"answers {code} .*, asked {ATTEMPTS.value} times in .* s\. .*later|again"):
        http.read(f"{web_server.url}/a?sig=secret", at_most(10_000))
    # Each try is in the log, also one that the server never saw: a connection that was refused under load counts.
    tries = [record.getMessage() for record in caplog.records]
    assert len(tries) == ATTEMPTS.value - 1
    answered = sum(f"answers {code}" in each for each in tries)
    assert web_server.asked == [("GET", "/a")] * (answered + 1)
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "failure", [status(503), status(429, Retry_After="0"), torn(CONTENT, 10)], ids=["503", "429", "torn"]
)
def test_a_failure_that_passes_is_not_noticed(web_server: AnsweringServer, failure: Answer) -> None:
    web_server.answers["GET", "/a"] = in_turn(failure, failure, status(200, CONTENT))
    assert http.read(f"{web_server.url}/a", at_most(10_000)) == CONTENT
    web_server.answers["HEAD", "/a"] = in_turn(status(503), status(200, length=7))
    assert http.size_of(f"{web_server.url}/a") == 7


@pytest.mark.parametrize(
    "broken",
    [torn(b"0123456789", 4, 206), torn(b"0123456789", 4, 206, Content_Range="bytes 0-9/100"), status(206, b"0123")],
    ids=["breaks off", "breaks off with a range", "fewer bytes"],
)
def test_a_torn_range_is_asked_again(web_server: AnsweringServer, broken: Answer) -> None:
    web_server.answers["GET", "/a"] = in_turn(broken, broken, status(206, b"0123456789"))
    assert http.read_range(f"{web_server.url}/a", 0, 10) == b"0123456789"
    web_server.answers["GET", "/a"] = broken
    with pytest.raises(ImageryError, match=rf"broke off .*asked {ATTEMPTS.value} times"):
        http.read_range(f"{web_server.url}/a", 0, 10)


def test_what_failed_is_asked_again_later(web_server: AnsweringServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ATTEMPTS.variable, "1")
    for code in (403, 404, 429, 500, 503):
        web_server.answers["GET", "/a"] = in_turn(status(code), status(200, CONTENT))
        with pytest.raises(ImageryError, match=str(code)):
            http.read(f"{web_server.url}/a", at_most(10_000))
        assert http.read(f"{web_server.url}/a", at_most(10_000)) == CONTENT


def test_nobody_there(web_server: AnsweringServer) -> None:
    web_server.close()
    with pytest.raises(ImageryError, match="cannot be reached") as raised:
        http.size_of(f"{web_server.url}/a?sig=secret")
    assert "secret" not in str(raised.value)
    assert raised.value.__suppress_context__


def test_a_name_that_does_not_exist_is_asked_for_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setattr("eotasks.imagery.files.origin.socket.getaddrinfo", unknown)
    caplog.set_level(logging.INFO, "eotasks.network.retries")
    with pytest.raises(ImageryError, match="cannot be reached"):
        http.size_of("http://no-such-server.invalid/a")
    assert not caplog.records


@pytest.mark.parametrize(
    ("code", "query", "body", "cure"),
    [
        (400, "", b"", "does not take the address"),
        (401, "", b"", "wants a login"),
        (401, "?token=secret-word", b"", "refuses the signature"),
        (403, "", b"", "is not public"),
        (403, "?sig=secret-word&se=2199-01-01T00:00:00Z", b"", "refuses the signature"),
        (403, "?sig=secret-word&se=2024-01-02T00:00:00Z", b"", "expired at 2024-01-02 00:00 UTC: sign"),
        (403, "?X-Amz-Signature=secret-word&X-Amz-Date=20240102T000000Z&X-Amz-Expires=60", b"", "expired at 2024"),
        (403, "?Signature=secret-word&Expires=1704153600", b"", "expired at 2024-01-02 00:00 UTC"),
        (403, "?sig=secret-word", b"<a>Signature not valid in the specified time frame</a>", "address expired"),
        (400, "?X-Amz-Signature=secret-word", b"<Code>ExpiredToken</Code>", "address expired"),
        (403, "?sig=secret-word", b"<Code>RequestTimeTooSkewed</Code>", "clocks"),
        (404, "", b"", "is not there"),
        (410, "", b"", "is not there"),
        (407, "", b"", "proxy"),
        (409, "", b"<Code>PublicAccessNotPermitted</Code>", "wants a signed address: sign .*--sign planetary-computer"),
        (409, "", b"", "changed or is locked"),
        (403, "", b"<Code>QuotaExceeded</Code>", "takes no more requests"),
        (451, "", b"", "for access"),
        (418, "", b"", "Check the address"),
    ],
)  # fmt: skip
def test_each_refusal_has_its_cure(web_server: AnsweringServer, code: int, query: str, body: bytes, cure: str) -> None:
    web_server.answers["GET", "/a"] = status(code, body)
    with pytest.raises(ImageryError, match=f"answers {code}.*{cure}") as raised:
        http.read(f"{web_server.url}/a{query}", at_most(10_000))
    assert "secret-word" not in str(raised.value)
    assert len(web_server.asked) == 1


def test_a_file_that_changes_is_refused_by_name(web_server: AnsweringServer) -> None:
    url = f"{web_server.url}/a"
    for first, later in (
        ({"ETag": '"1"'}, {"ETag": '"2"'}),
        ({"Last_Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, {"Last_Modified": "Tue, 02 Jan 2024 00:00:00 GMT"}),
    ):
        web_server.answers["HEAD", "/a"] = status(200, length=20, **first)
        facts = http.facts_of(url)
        assert facts is not None
        web_server.answers["GET", "/a"] = status(206, b"x" * 10, **first)
        assert http.read_range(url, 0, 10, facts=facts) == b"x" * 10
        web_server.answers["GET", "/a"] = status(206, b"x" * 10, **later)
        with pytest.raises(ImageryError, match=r"/a: changed while it was read"):
            http.read_range(url, 0, 10, facts=facts)
        web_server.answers["GET", "/a"] = status(206, b"x" * 10)  # says nothing of its version
        assert http.read_range(url, 0, 10, facts=facts) == b"x" * 10


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
