"""Files on web servers: their size, their content, ranges of it. Addresses may carry a signature: none is repeated."""

from __future__ import annotations

import io
import re
from ipaddress import ip_address
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from eotasks.errors import ImageryError
from eotasks.imagery.files.adapter import ATTEMPTS, BoundedAdapter
from eotasks.limits import Limit
from eotasks.storage.answers import answer_bounds, excess_of
from eotasks.text import redacted

CONNECT_SECONDS = 10
READ_SECONDS = 60

GDAL_SETTINGS: dict[str, Any] = {
    "GDAL_HTTP_MAX_RETRY": ATTEMPTS - 1,
    "GDAL_HTTP_RETRY_DELAY": 0.5,
    "GDAL_HTTP_CONNECTTIMEOUT": CONNECT_SECONDS,
    "GDAL_HTTP_LOW_SPEED_TIME": READ_SECONDS,
    "GDAL_HTTP_LOW_SPEED_LIMIT": 1,
    # Signed addresses are often signed for GET alone.
    "CPL_VSIL_CURL_USE_HEAD": "NO",
}

_CHUNK = 1 << 16
"""Bytes that are taken at a time: packed ones may grow a thousandfold before they can be counted."""

_ENCODINGS = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
"""One of these, never several: each could make a file of another a thousand times as large."""

_SMALL = 1 << 20
"""Bytes of answers whose body nobody wants: errors, redirects."""

_MAX_REDIRECTS = 5
_NOT_BY_HEAD = frozenset({400, 401, 403, 405, 501})
"""Answers to HEAD of servers that would answer to GET: addresses are often signed for GET alone."""
_PLAIN = {"Accept-Encoding": "identity"}
_CURE = "Check the address and the network, then run the command again."


def size_of(url: str) -> int | None:
    """Bytes of the file at an address; None when there is none.

    :raises ImageryError: when the server cannot be reached, fails, or does not say the size.
    """
    with _ask("HEAD", url, _PLAIN) as answer:
        if answer.status_code in (404, 410):
            return None
        size = _number(answer.headers.get("Content-Length"))
        if answer.ok and size is not None:
            return size
        if not answer.ok and answer.status_code not in _NOT_BY_HEAD:
            _check(answer, url)
    return _size_by_range(url)


def _size_by_range(url: str) -> int | None:
    with _ask("GET", url, {"Range": "bytes=0-0", **_PLAIN}) as answer:
        if answer.status_code in (404, 410):
            return None
        if answer.status_code != requests.codes.requested_range_not_satisfiable:  # of an empty file
            _check(answer, url)
        match = re.fullmatch(r"bytes (?:0-0|\*)/([0-9]{1,18})", answer.headers.get("Content-Range", ""))
        if match is None:
            raise ImageryError(f"{redacted(url)}: the server does not say its size. Download the product first.")
        return int(match.group(1))


def read(url: str, limit: Limit) -> bytes:
    """The whole file at an address.

    :param limit: Bytes that it may have.
    :raises ImageryError: when it is absent or larger, breaks off, or the server fails.
    """
    too_much = f"{redacted(url)}: {limit.excess()}. It is not read."
    with _ask("GET", url, size=limit.value) as answer:
        _check(answer, url)
        expected = _number(answer.headers.get("Content-Length"))
        if expected is not None and expected > limit.value:
            raise ImageryError(too_much)
        content = _content(answer, url, limit.value, too_much)
        if expected is not None and not answer.headers.get("Content-Encoding") and expected != len(content):
            raise ImageryError(f"{redacted(url)}: broke off after {len(content):,} of {expected:,} bytes. {_CURE}")
        return content


def read_range(url: str, start: int, stop: int) -> bytes:
    """Bytes ``start`` to ``stop`` (not included) of the file at an address.

    :raises ImageryError: when the server fails, or does not answer to ranges.
    """
    with _ask("GET", url, {"Range": f"bytes={start}-{stop - 1}", **_PLAIN}, size=stop - start) as answer:
        _check(answer, url)
        if answer.status_code != requests.codes.partial_content:
            raise ImageryError(f"{redacted(url)}: the server does not answer to ranges. Download the product first.")
        other = f"{redacted(url)}: sends other bytes than {start:,} to {stop:,}. Download the product first."
        said = re.match(r"bytes ([0-9]{1,18})-", answer.headers.get("Content-Range", ""))
        if (said is not None and int(said[1]) != start) or answer.headers.get(
            "Content-Encoding", "identity"
        ) != "identity":
            raise ImageryError(other)
        content = _content(answer, url, stop - start, other)
        if len(content) != stop - start:
            raise ImageryError(f"{redacted(url)}: broke off after {len(content)} of {stop - start} bytes. {_CURE}")
        return content


def _content(answer: requests.Response, url: str, most: int, fault: str) -> bytes:
    """The body of an answer.

    :raises ImageryError: of that fault, when it has more bytes, unpacked ones counted; when it breaks off.
    """
    encoding = answer.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in _ENCODINGS:
        raise ImageryError(f"{redacted(url)}: packed by {encoding[:40]!r}, which was not asked for. {_CURE}")
    content = io.BytesIO()  # hands its bytes over without a copy
    try:
        for chunk in answer.iter_content(_CHUNK):
            content.write(chunk)
            if content.tell() > most:
                raise ImageryError(fault)
    except requests.RequestException as error:
        raise ImageryError(f"{redacted(url)}: broke off ({_reason(error)}). {_CURE}") from error
    return content.getvalue()


def _reason(error: Exception) -> str:
    return excess_of(error) or type(error).__name__


def _number(text: str | None) -> int | None:
    """Bytes as a header says them; None when it does not."""
    return int(text) if text and re.fullmatch("[0-9]{1,18}", text) else None


def _ask(method: str, url: str, headers: dict[str, str] | None = None, *, size: int = _SMALL) -> requests.Response:
    """The head of an answer.

    :param size: Bytes that its body may have, as they come.
    """
    with requests.Session() as session, answer_bounds(size + _SMALL, f"more than {size:,} bytes"):
        session.mount("http://", BoundedAdapter())
        session.mount("https://", BoundedAdapter())
        session.max_redirects = _MAX_REDIRECTS
        session.hooks["response"].append(_check_redirect)
        try:
            return session.request(
                method, url, headers=headers, timeout=(CONNECT_SECONDS, READ_SECONDS), stream=True, allow_redirects=True
            )
        except requests.RequestException as error:
            raise ImageryError(f"{redacted(url)}: cannot be reached ({_reason(error)}). {_CURE}") from None


def _check_redirect(answer: requests.Response, **_: object) -> None:
    """Refuse to be sent from the web to this machine, or from an encrypted connection to one in the clear."""
    if not answer.is_redirect:
        return
    target = urlsplit(urljoin(answer.url, answer.headers["Location"]))
    source = urlsplit(answer.url)
    if target.scheme not in ("http", "https") or (source.scheme == "https" and target.scheme == "http"):
        raise ImageryError(f"{redacted(answer.url)}: sends on to {target.scheme}://, which is not followed. {_CURE}")
    if _is_local(target.hostname) and not _is_local(source.hostname):
        raise ImageryError(f"{redacted(answer.url)}: sends on to this machine, which is not followed. {_CURE}")


def _is_local(host: str | None) -> bool:
    if host is None or host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_link_local or address.is_unspecified


def _check(answer: requests.Response, url: str) -> None:
    if not answer.ok:
        raise ImageryError(f"{redacted(url)}: the server answers {answer.status_code} {answer.reason}. {_CURE}")
