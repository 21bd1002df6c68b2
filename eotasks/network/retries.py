"""When a server is asked again, and when no more: one policy for S3 (boto3), web and STAC APIs (requests), and GDAL.

Asked again is what may be over in seconds: a connection that is refused, breaks off or is silent, a name that cannot be
resolved just now, an answer that breaks off, and the statuses of `is_passing`. Pauses double from `FIRST_PAUSE` up to
`LONGEST_PAUSE` and are shortened at random, by half at most, so that many workers do not come back all at once; a
server that names a time (``Retry-After``) gets it, up to `LONGEST_WAIT`. There are `eotasks.limits.ATTEMPTS` tries of a
request, and none begins later than `PATIENCE` after the first, but that a second one always does: a server that is
silent uses up its time by that alone. Nothing remembers a failure: who asks later asks the server.

Exponential pauses with "equal jitter": Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import errno
import logging
import random
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, IncompleteRead, RemoteDisconnected
from typing import TypeVar

from urllib3.exceptions import InvalidChunkLength

from eotasks.limits import ATTEMPTS
from eotasks.network.answers import excess_of
from eotasks.network.gate import GATE

LOGGER = logging.getLogger(__name__)

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 8.0
LONGEST_WAIT = 20.0
PATIENCE = 120.0
"""Seconds."""

_TOLD_PAUSE = 4.0
"""Seconds from which on a pause is worth a warning: nothing else moves meanwhile."""

_EARLY = frozenset({408, 425, 429})
_LASTING = frozenset({501, 505, 506, 508, 510, 511})
"""Of those from 500 on: a server that cannot do what it is asked, now or later."""

_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, socket.EAI_FAIL, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})

T = TypeVar("T")


class PassingFailure(Exception):  # noqa: N818 - it is an error only when it stays
    """A request failed in a way that may be over soon.

    :param reason: What happened, for the middle of a sentence; no address and no words of the server.
    :param wait: Seconds that the server asks to wait, None when it does not say.
    """

    def __init__(self, reason: str, *, wait: float | None = None, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.wait, self.status = reason, wait, status
        self.asked = "asked once"
        """How often and how long, once nobody asks any more."""


def is_passing(status: int) -> bool:
    """Whether an HTTP status says that the same request may succeed soon."""
    return status in _EARLY or (500 <= status < 600 and status not in _LASTING)


def is_passing_error(error: BaseException) -> bool:
    """Whether an error of a connection may be over soon; for all libraries that stand on urllib3.

    Not: a name that does not exist, a certificate that is not valid, what is no HTTP, an answer beyond its bounds.
    """
    if excess_of(error) is not None:
        return False
    for each in _chain(error):
        if isinstance(each, socket.gaierror) and each.errno in _NO_SUCH_NAME:
            return False
        if isinstance(each, UnicodeError) or "CERTIFICATE_VERIFY_FAILED" in str(each):
            return False
        if isinstance(each, HTTPException) and not isinstance(each, RemoteDisconnected | IncompleteRead):
            return False
        if isinstance(each, InvalidChunkLength):  # one of those, though more than too short
            return False
        if isinstance(each, OSError) and each.errno in (errno.EACCES, errno.EPERM, errno.EINVAL):
            return False
    return True


def seconds_asked(retry_after: str | None) -> float | None:
    """Seconds that a header ``Retry-After`` asks to wait: a number of them, or a date; None when it says neither."""
    text = (retry_after or "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)


def pause_before(tries: int, passed: float, *, wait: float | None = None, attempts: int | None = None) -> float | None:
    """Seconds to wait before the next try; None when there is to be none.

    :param tries: How many there were.
    :param passed: Seconds since the first began.
    :param wait: Seconds that the server asks for.
    :param attempts: How many there may be; None for `eotasks.limits.ATTEMPTS`.
    """
    if tries >= (ATTEMPTS.value if attempts is None else attempts):
        return None
    pause = min(FIRST_PAUSE * 2 ** min(tries - 1, 30), LONGEST_PAUSE) * random.uniform(0.5, 1)  # noqa: S311 - no secret
    pause = max(pause, min(wait or 0, LONGEST_WAIT))
    return pause if tries == 1 or passed + pause <= PATIENCE else None


def persistently(ask: Callable[[], T], where: str, *, attempts: int | None = None) -> T:
    """What a request gives, asked again by the policy.

    :param ask: One try; raises `PassingFailure` for what may be over soon, and anything else for what is not.
    :param where: What is asked for, for the log; without secrets.
    :param attempts: How many tries there may be; None for `eotasks.limits.ATTEMPTS`.
    :raises PassingFailure: of the last try; `PassingFailure.asked` says how often was asked.
    """
    began, tries = time.monotonic(), 0
    while True:
        tries += 1
        try:
            return ask()
        except PassingFailure as failure:
            passed = time.monotonic() - began
            pause = pause_before(tries, passed, wait=failure.wait, attempts=attempts)
            if pause is None:
                failure.asked = "asked once" if tries == 1 else f"asked {tries} times in {passed:.0f} s"
                raise
            log_pause(where, failure.reason, pause, tries)
        GATE.pause(pause)


def log_pause(where: str, reason: str, pause: float, tries: int) -> None:
    """Says in the log what is waited for; a warning where it takes long.

    :param where: What is asked for, without secrets.
    :param reason: What happened.
    :param pause: Seconds before the next try.
    :param tries: How many there were.
    """
    level = logging.WARNING if pause >= _TOLD_PAUSE else logging.INFO
    LOGGER.log(level, "%s: %s; asked again in %.1f s (try %d)", where, reason, pause, tries)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it was made of, as libraries wrap them: as cause, context, argument or ``reason``."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop()
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
            waiting.append(getattr(each, "kwargs", {}).get("error"))  # of botocore
