"""Errors of the service, each with what a client is answered: a status, and Sentinel Hub's code."""

from __future__ import annotations

from eotasks.errors import EOTasksError


class ServiceError(EOTasksError):
    """Base of what ends a request. A client is answered its message."""

    status = 500
    code = "COMMON_EXCEPTION"


class RequestError(ServiceError, ValueError):
    """A request that cannot be served as it is: the client has to change it."""

    status = 400
    code = "COMMON_BAD_PAYLOAD"


class ScriptError(RequestError):
    """An evalscript that cannot be read, fails, or takes more time or memory than it may."""

    code = "RENDERER_EXCEPTION"


class ScriptTimeoutError(ScriptError):
    """An evalscript that was ended because its time was over."""


class TooLargeError(RequestError):
    """A request for more than is served: bytes, pixels, scenes."""

    status = 413


class ProductError(ServiceError, OSError):
    """A product or a catalogue that cannot be read: whoever runs the service has to mend it."""


class UnauthorizedError(ServiceError, PermissionError):
    """No token, or one that is forged or has expired."""

    status = 401
    code = "COMMON_UNAUTHORIZED"


class ForbiddenError(ServiceError, PermissionError):
    """A token without the scope that the request needs."""

    status = 403
    code = "COMMON_INSUFFICIENT_PERMISSIONS"


class NotFoundError(ServiceError, LookupError):
    """A collection, an item or an address that is not there."""

    status = 404
    code = "COMMON_NOT_FOUND"


class BusyError(ServiceError, RuntimeError):
    """Too many requests, of one client or of all."""

    status = 429
    code = "RATE_LIMIT_EXCEEDED"

    def __init__(self, message: str, *, wait_s: float) -> None:
        """:param wait_s: Seconds after which the client may try again."""
        super().__init__(message)
        self.wait_s = wait_s


class EngineError(ServiceError, RuntimeError):
    """The engine of evalscripts does not work at all: not the script's fault."""

    status = 503
