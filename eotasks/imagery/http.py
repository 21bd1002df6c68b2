"""Files on web servers: their size, their content, ranges of it. Addresses may carry a signature: none is repeated."""

from __future__ import annotations

from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from models.errors import ImageryError

CONNECT_SECONDS = 10
READ_SECONDS = 60
ATTEMPTS = 3

GDAL_SETTINGS: dict[str, Any] = {
    "GDAL_HTTP_MAX_RETRY": ATTEMPTS - 1,
    "GDAL_HTTP_RETRY_DELAY": 0.5,
    "GDAL_HTTP_CONNECTTIMEOUT": CONNECT_SECONDS,
    "GDAL_HTTP_LOW_SPEED_TIME": READ_SECONDS,
    "GDAL_HTTP_LOW_SPEED_LIMIT": 1,
}

_CHUNK = 1 << 20
_CURE = "Check the address and the network, then run the command again."


def size_of(url: str) -> int | None:
    """Bytes of the file at an address; None when there is none.

    :raises ImageryError: when the server cannot be reached, fails, or does not say the size.
    """
    answer = _ask("HEAD", url)
    with answer:
        if answer.status_code in (404, 410):
            return None
        _check(answer, url)
        size = answer.headers.get("Content-Length")
        if size is None or not size.isdigit():
            raise ImageryError(f"{_shown(url)}: the server does not say its size. Download the product first.")
        return int(size)


def read(url: str, limit: int) -> bytes:
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
                if len(content) > limit:
                    raise ImageryError(f"{_shown(url)}: more than {limit:,} bytes. It is not read.")
        except requests.RequestException as error:
            raise ImageryError(f"{_shown(url)}: broke off ({type(error).__name__}). {_CURE}") from error
        expected = answer.headers.get("Content-Length", "")
        if expected.isdigit() and not answer.headers.get("Content-Encoding") and int(expected) != len(content):
            raise ImageryError(f"{_shown(url)}: broke off after {len(content):,} of {expected} bytes. {_CURE}")
        return bytes(content)


def read_range(url: str, start: int, stop: int) -> bytes:
    """Bytes ``start`` to ``stop`` (not included) of the file at an address.

    :raises ImageryError: when the server fails, or does not answer to ranges.
    """
    with _ask("GET", url, {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}) as answer:
        _check(answer, url)
        if answer.status_code != requests.codes.partial_content:
            raise ImageryError(f"{_shown(url)}: the server does not answer to ranges. Download the product first.")
        try:
            content = bytes(answer.content)
        except requests.RequestException as error:
            raise ImageryError(f"{_shown(url)}: broke off ({type(error).__name__}). {_CURE}") from error
        if len(content) != stop - start:
            raise ImageryError(f"{_shown(url)}: broke off after {len(content)} of {stop - start} bytes. {_CURE}")
        return content


def _ask(method: str, url: str, headers: dict[str, str] | None = None) -> requests.Response:
    retry = Retry(ATTEMPTS - 1, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False)
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=retry))
        session.mount("https://", HTTPAdapter(max_retries=retry))
        try:
            return session.request(
                method, url, headers=headers, timeout=(CONNECT_SECONDS, READ_SECONDS), stream=True, allow_redirects=True
            )
        except requests.RequestException as error:
            raise ImageryError(f"{_shown(url)}: cannot be reached ({type(error).__name__}). {_CURE}") from None


def _check(answer: requests.Response, url: str) -> None:
    if not answer.ok:
        raise ImageryError(f"{_shown(url)}: the server answers {answer.status_code} {answer.reason}. {_CURE}")


def _shown(url: str) -> str:
    from eotasks.imagery.files import shown

    return shown(url)
