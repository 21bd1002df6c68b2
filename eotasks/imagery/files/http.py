"""Files on web servers: their size, their content, ranges of it. Addresses may carry a signature: none is repeated."""

from __future__ import annotations

import io
import re
from http.client import responses

import requests

from eotasks.errors import ImageryError
from eotasks.imagery.files.origin import InternalAddressError
from eotasks.imagery.files.session import CONNECT_SECONDS, READ_SECONDS, session
from eotasks.limits import Limit
from eotasks.storage.answers import answer_bounds, excess_of
from eotasks.text import redacted, whole_number

NOBODY: frozenset[str] = frozenset()
"""No server of the user's network: what may be asked where nothing is said."""

_CHUNK = 1 << 16
"""Bytes that are taken at a time: packed ones may grow a thousandfold before they can be counted."""

_ENCODINGS = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
"""One of these, never several: each could make a file of another a thousand times as large."""

_SMALL = 1 << 20
"""Bytes of answers whose body nobody wants: errors, redirects."""

_NOT_BY_HEAD = frozenset({400, 401, 403, 405, 501})
"""Answers to HEAD of servers that would answer to GET: addresses are often signed for GET alone."""
_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/(?:([0-9]{1,18})|\*)")
_PLAIN = {"Accept-Encoding": "identity"}
_CURE = "Check the address and the network, then run the command again."


def size_of(url: str, internal: frozenset[str] = NOBODY) -> int | None:
    """Bytes of the file at an address; None when there is none.

    :param internal: Servers of the user's network that may be asked, as in `eotasks.imagery.files.origin.Origin`.
    :raises ImageryError: when the server cannot be reached, fails, or does not say the size.
    """
    with _ask("HEAD", url, internal, _PLAIN) as answer:
        if answer.status_code in (404, 410):
            return None
        size = whole_number(answer.headers.get("Content-Length", ""))
        if answer.ok and size is not None:
            return size
        if not answer.ok and answer.status_code not in _NOT_BY_HEAD:
            _check(answer, url)
    return _size_by_range(url, internal)


def _size_by_range(url: str, internal: frozenset[str]) -> int | None:
    with _ask("GET", url, internal, {"Range": "bytes=0-0", **_PLAIN}) as answer:
        if answer.status_code in (404, 410):
            return None
        if answer.status_code != requests.codes.requested_range_not_satisfiable:  # of an empty file
            _check(answer, url)
        match = re.fullmatch(r"bytes (?:0-0|\*)/([0-9]{1,18})", answer.headers.get("Content-Range", ""))
        if match is None:
            raise ImageryError(f"{redacted(url)}: the server does not say its size. Download the product first.")
        return int(match.group(1))


def read(url: str, limit: Limit, internal: frozenset[str] = NOBODY) -> bytes:
    """The whole file at an address.

    :param limit: Bytes that it may have.
    :param internal: As in `size_of`.
    :raises ImageryError: when it is absent or larger, breaks off, or the server fails.
    """
    too_much = f"{redacted(url)}: {limit.excess()}. It is not read."
    with _ask("GET", url, internal, size=limit.value) as answer:
        _check(answer, url)
        expected = whole_number(answer.headers.get("Content-Length", ""))
        if expected is not None and expected > limit.value:
            raise ImageryError(too_much)
        content = _content(answer, url, limit.value, too_much)
        if expected is not None and not answer.headers.get("Content-Encoding") and expected != len(content):
            raise ImageryError(f"{redacted(url)}: broke off after {len(content):,} of {expected:,} bytes. {_CURE}")
        return content


def read_range(url: str, start: int, stop: int, internal: frozenset[str] = NOBODY) -> bytes:
    """Bytes ``start`` to ``stop`` (not included) of the file at an address.

    :param internal: As in `size_of`.
    :raises ImageryError: when the server fails, or does not answer to ranges.
    """
    content, _ = read_part(url, start, stop, internal)
    if len(content) != stop - start:
        raise ImageryError(f"{redacted(url)}: broke off after {len(content)} of {stop - start} bytes. {_CURE}")
    return content


def read_part(url: str, start: int, stop: int, internal: frozenset[str] = NOBODY) -> tuple[bytes, int | None]:
    """As `read_range`, fewer bytes where the file ends before; and the bytes of the whole file, None when not said."""
    with _ask("GET", url, internal, {"Range": f"bytes={start}-{stop - 1}", **_PLAIN}, size=stop - start) as answer:
        _check(answer, url)
        if answer.status_code != requests.codes.partial_content:
            raise ImageryError(f"{redacted(url)}: the server does not answer to ranges. Download the product first.")
        other = f"{redacted(url)}: sends other bytes than {start:,} to {stop:,}. Download the product first."
        said = _RANGE.match(answer.headers.get("Content-Range", ""))
        packed = answer.headers.get("Content-Encoding", "identity") != "identity"
        if packed or (said is not None and int(said[1]) != start):
            raise ImageryError(other)
        content = _content(answer, url, stop - start, other)
        return content, None if said is None or said[2] is None else int(said[2])


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


def _ask(
    method: str, url: str, internal: frozenset[str], headers: dict[str, str] | None = None, *, size: int = _SMALL
) -> requests.Response:
    """The head of an answer.

    :param size: Bytes that its body may have, as they come.
    """
    try:
        with answer_bounds(size + _SMALL, f"more than {size:,} bytes"):
            return session(internal).request(
                method, url, headers=headers, timeout=(CONNECT_SECONDS, READ_SECONDS), stream=True, allow_redirects=True
            )
    except InternalAddressError as error:
        raise ImageryError(f"{redacted(url)}: {error}") from None
    except (requests.RequestException, ValueError) as error:  # a redirect to what is no address
        raise ImageryError(f"{redacted(url)}: cannot be reached ({_reason(error)}). {_CURE}") from None


def _check(answer: requests.Response, url: str) -> None:
    if not answer.ok:
        said = responses.get(answer.status_code, "")  # the server's own words may repeat what it was sent
        raise ImageryError(f"{redacted(url)}: the server answers {answer.status_code} {said}. {_CURE}")
