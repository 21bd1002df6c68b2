"""The policy of retries and the bounds of answers for clients of boto3, whose options have neither."""

from __future__ import annotations

import time
from typing import Any

from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.exceptions import HTTPClientError

from eotasks.network.answers import bounded_pools, excess_of
from eotasks.network.gate import GATE
from eotasks.network.retries import is_passing, is_passing_error, log_pause, pause_before, seconds_asked

_BEGAN = "eotasks began"
_PASSING = frozenset(
    {"RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete", "Throttling", "ThrottlingException",
     "ThrottledException", "RequestThrottled", "RequestThrottledException", "TooManyRequests",
     "TooManyRequestsException", "RequestLimitExceeded", "BandwidthLimitExceeded", "SlowDown", "ServiceUnavailable",
     "InternalError", "OperationAborted"}
)  # fmt: skip
"""Codes of what may be over soon, whatever the status."""


def prepare(client: Any, attempts: int, *, own: bool) -> None:
    """Has a client keep the bounds of `answer_bounds`, and ask again by the policy of `eotasks.network.retries`.

    :param attempts: Tries of a request; the client's own option is to be 1 where the policy decides.
    :param own: Whether the policy decides, and not boto3.
    """
    pools = client._endpoint.http_session._pool_classes_by_scheme
    pools.update(bounded_pools(pools))
    events = client.meta.events
    events.register("before-call.s3", _begin)
    events.register_first("needs-retry.s3", _Retries(attempts, own=own).pause)


def _begin(params: dict[str, Any], **_: object) -> None:
    params["context"][_BEGAN] = time.monotonic()


class _Retries:
    """The policy of `eotasks.network.retries` for a client of boto3.

    :param attempts: Tries of a request.
    :param own: Whether the policy decides; otherwise boto3 does.
    """

    def __init__(self, attempts: int, *, own: bool) -> None:
        self._attempts, self._own = attempts, own

    def pause(
        self,
        *,
        response: tuple[Any, dict[str, Any]] | None,
        attempts: int,
        caught_exception: Exception | None,
        request_dict: dict[str, Any],
        operation: Any,
        **_: object,
    ) -> float | None:
        """Waits before the next try; gives 0, or None for no other: for boto3's event ``needs-retry``.

        :raises Exception: the one that was caught, of an answer beyond its bounds: it is not asked for again.
        """
        if caught_exception is not None and excess_of(caught_exception):
            raise caught_exception
        found = self._failure(response, caught_exception) if self._own else None
        if found is None:
            return None
        reason, wait = found
        passed = time.monotonic() - request_dict["context"].get(_BEGAN, 0)
        pause = pause_before(attempts, passed, wait=wait, attempts=self._attempts)
        if pause is None:
            return None
        log_pause(f"S3 ({operation.name})", reason, pause, attempts)
        GATE.pause(pause)
        return 0

    def _failure(
        self, response: tuple[Any, dict[str, Any]] | None, error: Exception | None
    ) -> tuple[str, float | None] | None:
        """What may be over soon, and how long the server asks to wait; None for all else."""
        if response is None:
            passes = isinstance(error, BotoConnectionError | HTTPClientError) and is_passing_error(error)
            return (type(error).__name__, None) if passes else None
        answer, parsed = response
        code = str(parsed.get("Error", {}).get("Code", ""))
        if not is_passing(answer.status_code) and code not in _PASSING:
            return None
        return f"answers {code or answer.status_code}"[:80], seconds_asked(answer.headers.get("Retry-After"))
