"""What a client is told of an error: one table from our errors to status, code and text, in Sentinel Hub's shape."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse

from eotasks.errors import AreaError, BandError, EOTasksError, GeometryError, GridError, StorageError, message_of
from eotasks.service.errors import BusyError, EngineError, ServiceError

_REASONS = {413: "Content Too Large"}
"""Those that Pythons of different age name differently."""

_CODES = {
    400: "COMMON_BAD_PAYLOAD",
    401: "COMMON_UNAUTHORIZED",
    403: "COMMON_INSUFFICIENT_PERMISSIONS",
    404: "COMMON_NOT_FOUND",
    429: "RATE_LIMIT_EXCEEDED",
}

TOLD: tuple[type[EOTasksError], ...] = (GridError, GeometryError, AreaError, BandError)
"""Errors of eotasks below the service that are of the request: 400, and a client is told why."""

LATER: tuple[type[BaseException], ...] = (StorageError, OSError, TimeoutError)
"""What may be well when it is tried again: 503. A client is not told which place it was."""

_LIMITS = r" \(EOTASKS_\w+ allows more\)"
"""How limits are lifted (`eotasks.limits`), for whoever runs the service."""
_PLACES = r"(?:\b[a-z][a-z0-9+.-]*://|(?<![\w.])~?/(?=[^\s/]))[^\s'\"]+"
"""Addresses, and paths from the root."""


@dataclass(frozen=True)
class Answer:
    """An error as a client is answered it."""

    status: int
    code: str
    message: str
    wait_s: float | None = None
    """Seconds after which the client may try again."""

    def response(self) -> JSONResponse:
        """With the headers that belong to it."""
        headers = {}
        if self.wait_s is not None:
            headers["Retry-After"] = str(max(1, round(self.wait_s * 1000)))  # milliseconds, as clients read it
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(self.content(), self.status, headers)

    def content(self) -> dict[str, Any]:
        """The body. That of 429 is documented without `error` around it: it has both."""
        told = {
            "status": self.status,
            "reason": reason_of_status(self.status),
            "message": self.message,
            "code": self.code,
        }
        return {"error": told, **(told if self.status == 429 else {})}


def reason_of_status(status: int) -> str:
    """Such as "Bad Request"."""
    return _REASONS.get(status) or HTTPStatus(status).phrase


def code_of_status(status: int) -> str:
    """Sentinel Hub's code where an error has none of its own."""
    return _CODES.get(status, "COMMON_EXCEPTION" if status >= 500 else "COMMON_BAD_PAYLOAD")


def answer_of(error: BaseException, number: str) -> Answer:
    """What a client is told of an error: what it can mend, or a number by which the log has it.

    :param number: Of the request.
    """
    answer = _answer_of(error, number)
    return replace(answer, message=re.sub(_LIMITS, "", answer.message))


def _answer_of(error: BaseException, number: str) -> Answer:
    if isinstance(error, BusyError):
        return Answer(error.status, error.code, message_of(error), error.wait_s)
    if isinstance(error, EngineError):  # whose reasons are of this machine: paths, what a worker has written
        text = "The engine of evalscripts does not work now. Try again later; the log of the service says why."
        return Answer(error.status, error.code, text)
    if isinstance(error, ServiceError):
        return Answer(error.status, error.code, message_of(error))
    if isinstance(error, TOLD):
        return Answer(400, _CODES[400], without_places(message_of(error)))
    status = 503 if isinstance(error, LATER) else 500
    return Answer(status, "COMMON_EXCEPTION", f"The service failed. The log has it under the request {number}.")


def is_ours(error: BaseException) -> bool:
    """Whether an error is a fault of the service, to be looked at: its stack is logged."""
    return answer_of(error, "").status >= 500


def without_places(text: str) -> str:
    """A text without paths and addresses, which are not the client's business."""
    return re.sub(_PLACES, "…", text)
