"""Files on web servers: their size, their content, ranges of it. Addresses may carry a signature: none is repeated."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from eotasks.errors import ImageryError
from eotasks.limits import Limit
from eotasks.text import redacted, whole_number

CONNECT_SECONDS = 10
READ_SECONDS = 60
ATTEMPTS = 3

GDAL_SETTINGS: dict[str, Any] = {
    "GDAL_HTTP_MAX_RETRY": ATTEMPTS - 1,
    "GDAL_HTTP_RETRY_DELAY": 0.5,
    "GDAL_HTTP_CONNECTTIMEOUT": CONNECT_SECONDS,
    "GDAL_HTTP_LOW_SPEED_TIME": READ_SECONDS,
    "GDAL_HTTP_LOW_SPEED_LIMIT": 1,
    # Signed addresses are often signed for GET alone.
    "CPL_VSIL_CURL_USE_HEAD": "NO",
}

_CHUNK = 1 << 20
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
        size = answer.headers.get("Content-Length", "")
        if answer.ok and whole_number(size) is not None:
            return whole_number(size)
        if not answer.ok and answer.status_code not in _NOT_BY_HEAD:
            _check(answer, url)
    return _size_by_range(url)


def _size_by_range(url: str) -> int | None:
    with _ask("GET", url, {"Range": "bytes=0-0", **_PLAIN}) as answer:
        if answer.status_code in (404, 410):
            return None
        if answer.status_code != requests.codes.requested_range_not_satisfiable:  # of an empty file
            _check(answer, url)
        match = re.fullmatch(r"bytes (?:0-0|\*)/(\d+)", answer.headers.get("Content-Range", ""))
        if match is None:
            raise ImageryError(f"{redacted(url)}: the server does not say its size. Download the product first.")
        return int(match.group(1))


def read(url: str, limit: Limit) -> bytes:
    """The whole file at an address.

    :param limit: Bytes that it may have.
    :raises ImageryError: when it is absent or larger, breaks off, or the server fails.
    """
    with _ask("GET", url) as answer:
        _check(answer, url)
        content = bytearray()
        try:
            for chunk in answer.iter_content(_CHUNK):
                content += chunk
                if len(content) > limit.value:
                    raise ImageryError(f"{redacted(url)}: {limit.excess()}. It is not read.")
        except requests.RequestException as error:
            raise ImageryError(f"{redacted(url)}: broke off ({type(error).__name__}). {_CURE}") from error
        expected = whole_number(answer.headers.get("Content-Length", ""))
        if expected not in (None, len(content)) and not answer.headers.get("Content-Encoding"):
            raise ImageryError(f"{redacted(url)}: broke off after {len(content):,} of {expected} bytes. {_CURE}")
        return bytes(content)


def read_range(url: str, start: int, stop: int) -> bytes:
    """Bytes ``start`` to ``stop`` (not included) of the file at an address.

    :raises ImageryError: when the server fails, or does not answer to ranges.
    """
    with _ask("GET", url, {"Range": f"bytes={start}-{stop - 1}", **_PLAIN}) as answer:
        _check(answer, url)
        if answer.status_code != requests.codes.partial_content:
            raise ImageryError(f"{redacted(url)}: the server does not answer to ranges. Download the product first.")
        try:
            content = bytes(answer.content)
        except requests.RequestException as error:
            raise ImageryError(f"{redacted(url)}: broke off ({type(error).__name__}). {_CURE}") from error
        if len(content) != stop - start:
            raise ImageryError(f"{redacted(url)}: broke off after {len(content)} of {stop - start} bytes. {_CURE}")
        return content


def _ask(method: str, url: str, headers: dict[str, str] | None = None) -> requests.Response:
    retry = Retry(ATTEMPTS - 1, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False)
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=retry))
        session.mount("https://", HTTPAdapter(max_retries=retry))
        session.max_redirects = _MAX_REDIRECTS
        session.hooks["response"].append(_check_redirect)
        try:
            return session.request(
                method, url, headers=headers, timeout=(CONNECT_SECONDS, READ_SECONDS), stream=True, allow_redirects=True
            )
        except requests.RequestException as error:
            raise ImageryError(f"{redacted(url)}: cannot be reached ({type(error).__name__}). {_CURE}") from None


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
