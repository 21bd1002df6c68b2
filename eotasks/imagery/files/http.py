"""Files on web servers: their size, their content, ranges of it. Addresses may carry a signature: none is repeated.

What fails is asked again by the policy of `eotasks.network.retries`: also an answer that breaks off.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, TypeVar

import requests

from eotasks.errors import AddressRefusedError, ImageryError
from eotasks.imagery.files.location import is_other
from eotasks.imagery.files.origin import InternalAddressError
from eotasks.imagery.files.session import CONNECT_SECONDS, READ_SECONDS, session
from eotasks.limits import Limit
from eotasks.network.answers import answer_bounds, excess_of
from eotasks.network.refusals import WORDS, cure_of, sentence
from eotasks.network.retries import PassingFailure, is_passing, is_passing_error, persistently, seconds_asked
from eotasks.text import redacted, whole_number

NO_INTERNAL_SERVERS: frozenset[str] = frozenset()
"""What may be asked inside of the user's network where nothing is said."""

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

T = TypeVar("T")


class WebFacts(NamedTuple):
    """A file on a web server, without its content."""

    size: int
    """Bytes."""

    tag: str | None
    """What the server says of its version, as of `tag_of`."""


class Part(NamedTuple):
    """Bytes of a file on a web server."""

    content: bytes
    size: int | None
    """Bytes of the whole file, None when not said."""

    tag: str | None
    """As of `tag_of`."""


def tag_of(answer: requests.Response) -> str | None:
    """What tells the version of a file from others: its ETag, else when it was changed; None when neither is said."""
    tag = answer.headers.get("ETag", "").strip()
    if tag:
        return tag.removeprefix("W/")[:200]
    changed = answer.headers.get("Last-Modified", "").strip()
    return f"changed {changed[:60]}" if changed else None


def size_of(url: str, internal: frozenset[str] = NO_INTERNAL_SERVERS) -> int | None:
    """Bytes of the file at an address; None when there is none.

    :param internal: Servers of the user's network that may be asked, as in `eotasks.imagery.files.origin.Origin`.
    :raises ImageryError: when the server cannot be reached, fails, or does not say the size.
    """
    found = facts_of(url, internal)
    return None if found is None else found.size


def facts_of(url: str, internal: frozenset[str] = NO_INTERNAL_SERVERS) -> WebFacts | None:
    """Size and version of the file at an address; None when there is none.

    :param internal: As in `size_of`.
    :raises ImageryError: as `size_of`.
    """

    def by_head(answer: requests.Response) -> tuple[bool, WebFacts | None]:
        """Whether it is known, and what is."""
        size = whole_number(answer.headers.get("Content-Length", ""))
        if _is_absent(answer):
            return True, None
        if answer.ok and size is not None:
            return True, WebFacts(size, tag_of(answer))
        if not answer.ok and answer.status_code not in _NOT_BY_HEAD:
            _refuse(answer, url)
        return False, None

    def by_range(answer: requests.Response) -> WebFacts | None:
        if _is_absent(answer):
            return None
        if answer.status_code != requests.codes.requested_range_not_satisfiable:  # of an empty file
            _refuse(answer, url)
        match = re.fullmatch(r"bytes (?:0-0|\*)/([0-9]{1,18})", answer.headers.get("Content-Range", ""))
        if match is None:
            raise ImageryError(f"{redacted(url)}: the server does not say its size. Download the product first.")
        return WebFacts(int(match.group(1)), tag_of(answer))

    is_known, found = _ask("HEAD", url, internal, by_head, _PLAIN)
    if is_known:
        return found
    return _ask("GET", url, internal, by_range, {"Range": "bytes=0-0", **_PLAIN})


def read(url: str, limit: Limit, internal: frozenset[str] = NO_INTERNAL_SERVERS) -> bytes:
    """The whole file at an address.

    :param limit: Bytes that it may have.
    :param internal: As in `size_of`.
    :raises AddressRefusedError: when the server refuses the address.
    :raises ImageryError: when it is absent or larger, breaks off, or the server fails.
    """
    too_much = f"{redacted(url)}: {limit.excess()}. It is not read."

    def whole(answer: requests.Response) -> bytes:
        _refuse(answer, url)
        expected = whole_number(answer.headers.get("Content-Length", ""))
        if expected is not None and expected > limit.value:
            raise ImageryError(too_much)
        content = _content(answer, url, limit.value, too_much)
        if expected is not None and not answer.headers.get("Content-Encoding") and expected != len(content):
            raise PassingFailure(f"broke off after {len(content):,} of {expected:,} bytes")
        return content

    return _ask("GET", url, internal, whole, size=limit.value)


def read_range(
    url: str,
    start: int,
    stop: int,
    internal: frozenset[str] = NO_INTERNAL_SERVERS,
    *,
    facts: WebFacts | None = None,
) -> bytes:
    """Bytes ``start`` to ``stop`` (not included) of the file at an address.

    :param internal: As in `size_of`.
    :param facts: Those that the file has to have still, as `facts_of` gave them, where several ranges belong together.
    :raises AddressRefusedError: when the server refuses the address.
    :raises ImageryError: when the server fails, does not answer to ranges, or the file is another one.
    """
    return _ask_range(url, start, stop, internal, facts, least=stop - start).content


def read_part(url: str, start: int, stop: int, internal: frozenset[str] = NO_INTERNAL_SERVERS) -> Part:
    """As `read_range`, fewer bytes where the file ends before; what is said of the whole file comes with them."""
    return _ask_range(url, start, stop, internal)


def _ask_range(
    url: str, start: int, stop: int, internal: frozenset[str], facts: WebFacts | None = None, least: int | None = None
) -> Part:
    other = f"{redacted(url)}: sends other bytes than {start:,} to {stop:,}. Download the product first."

    def part(answer: requests.Response) -> Part:
        _refuse(answer, url)
        if answer.status_code != requests.codes.partial_content:
            raise ImageryError(f"{redacted(url)}: the server does not answer to ranges. Download the product first.")
        said = _RANGE.match(answer.headers.get("Content-Range", ""))
        packed = answer.headers.get("Content-Encoding", "identity") != "identity"
        if packed or (said is not None and int(said[1]) != start):
            raise ImageryError(other)
        size = None if said is None or said[2] is None else int(said[2])
        if facts is not None and (is_other(tag_of(answer), facts.tag) or size not in (None, facts.size)):
            raise ImageryError(f"{redacted(url)}: changed while it was read. Read it again.")
        content = _content(answer, url, stop - start, other)
        expected = least if least is not None else stop - start if size is None else min(stop, size) - start
        if len(content) < expected and (least is not None or size is not None):
            raise PassingFailure(f"broke off after {len(content):,} of {expected:,} bytes")
        return Part(content, size, tag_of(answer))

    return _ask("GET", url, internal, part, {"Range": f"bytes={start}-{stop - 1}", **_PLAIN}, size=stop - start)


def _content(answer: requests.Response, url: str, most: int, fault: str) -> bytes:
    """The body of an answer.

    :raises ImageryError: of that fault, when it has more bytes, unpacked ones counted.
    :raises PassingFailure: when it breaks off.
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
        if is_passing_error(error):
            raise PassingFailure(f"broke off ({_reason(error)})") from None
        raise ImageryError(f"{redacted(url)}: broke off ({_reason(error)}). {_CURE}") from error
    return content.getvalue()


def _reason(error: Exception) -> str:
    return excess_of(error) or type(error).__name__


def _ask(
    method: str,
    url: str,
    internal: frozenset[str],
    use: Callable[[requests.Response], T],
    headers: dict[str, str] | None = None,
    *,
    size: int = _SMALL,
) -> T:
    """What is made of an answer, asked for by the policy of retries.

    :param use: Makes it, of any answer but those that may be others soon.
    :param size: Bytes that the body may have, as they come.
    """

    def once() -> T:
        try:
            with (
                answer_bounds(size + _SMALL, f"more than {size:,} bytes"),
                session(internal).request(
                    method, url, headers=headers, timeout=(CONNECT_SECONDS, READ_SECONDS), stream=True,
                    allow_redirects=True,
                ) as answer,
            ):  # fmt: skip
                if is_passing(answer.status_code):
                    wait = seconds_asked(answer.headers.get("Retry-After"))
                    raise PassingFailure(sentence(answer.status_code), wait=wait, status=answer.status_code)
                return use(answer)
        except InternalAddressError as error:
            raise ImageryError(f"{redacted(url)}: {error}") from None
        except (requests.RequestException, ValueError) as error:  # a redirect to what is no address
            reason = f"cannot be reached ({_reason(error)})"
            if isinstance(error, requests.ConnectionError | requests.Timeout) and is_passing_error(error):
                raise PassingFailure(reason) from None
            raise ImageryError(f"{redacted(url)}: {reason}. {_CURE}") from None

    try:
        return persistently(once, redacted(url))
    except PassingFailure as failure:
        cure = _CURE if failure.status is None else cure_of(failure.status, url)
        raise ImageryError(f"{redacted(url)}: {failure.reason}, {failure.asked}. {cure}") from None


def _is_absent(answer: requests.Response) -> bool:
    return answer.status_code in (404, 410)


def _refuse(answer: requests.Response, url: str) -> None:
    """:raises ImageryError: when an answer is none of success, with what to do."""
    if answer.ok:
        return
    words = b""
    if answer.headers.get("Content-Encoding", "identity") == "identity":  # what is packed may be a thousandfold
        with suppress(requests.RequestException):  # the status says enough
            words = next(answer.iter_content(WORDS), b"")
    kind = AddressRefusedError if answer.status_code in (400, 401, 403, 404, 409) else ImageryError
    raise kind(f"{redacted(url)}: {sentence(answer.status_code)}. {cure_of(answer.status_code, url, words)}")
