"""What errors of boto3 and answers of S3 servers mean, as errors of the project: every one with a cure of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    ParamValidationError,
    ResponseStreamingError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from urllib3.exceptions import HTTPError

from eotasks.errors import ConfigurationError, CredentialsError, EOTasksError, StorageError, reason_of
from eotasks.network.answers import excess_of
from eotasks.network.refusals import REQUESTER_PAYS
from eotasks.network.retries import is_passing
from eotasks.storage.s3_connection import CREDENTIALS_CURE, REQUEST_PAYER, SETTING_ERRORS, connection

_RENEW = "They have expired: renew them, such as by aws sso login"
_OTHER_KEY = "AWS_SECRET_ACCESS_KEY is not the one of AWS_ACCESS_KEY_ID: check both"
_WRONG_CREDENTIALS = {
    "SignatureDoesNotMatch": _OTHER_KEY, "AuthorizationHeaderMalformed": "Check AWS_REGION, and " + CREDENTIALS_CURE,
    "ExpiredToken": _RENEW, "ExpiredTokenException": _RENEW, "TokenRefreshRequired": _RENEW,
    "InvalidAccessKeyId": "", "InvalidToken": "", "InvalidClientTokenId": "", "AuthFailure": "",
}  # fmt: skip
"""Codes, each with what to do; "" for what is always right."""

_LESS = "It takes no more requests for now: run the command again later, with fewer workers or threads"
_REGION = "The bucket lies in another region: set AWS_REGION to it"
_CURES = {
    "429": _LESS, "SlowDown": _LESS, "TooManyRequests": _LESS, "TooManyRequestsException": _LESS, "Throttling": _LESS,
    "ThrottlingException": _LESS, "RequestLimitExceeded": _LESS, "BandwidthLimitExceeded": _LESS,
    "PermanentRedirect": _REGION, "TemporaryRedirect": _REGION, "301": _REGION, "307": _REGION,
    "InvalidObjectState": "The object lies in an archive (Glacier): restore it first",
    "QuotaExceeded": "There is no room left: remove something, or ask for more",
    "InsufficientStorage": "There is no room left: remove something, or ask for more",
    "507": "There is no room left: remove something, or ask for more",
    "409": "Another request changes the same at this moment: run the command again",
    "416": "It is shorter than it was: run the command again",
    "405": "It does not allow this: check AWS_ENDPOINT_URL, and that the bucket is not for reading alone",
}  # fmt: skip
"""Codes and statuses, each with what to do."""

_WRONG_CLOCK = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_UNKNOWN = frozenset({"NotImplemented", "501"})
_ABSENT = frozenset({"NoSuchKey", "404", "NotFound"})
_CONFLICT = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict"})
UNREACHABLE = (BotoConnectionError, HTTPClientError, IncompleteReadError, ResponseStreamingError, HTTPError)


def is_absent(error: BaseException) -> bool:
    """Whether an error of boto3, or what `s3_errors` made of it, says that there is no such object."""
    return _code(error) in _ABSENT


def is_unknown(error: BaseException) -> bool:
    """Whether an error of boto3, or what `s3_errors` made of it, says that the server cannot do what it is asked."""
    return _code(error) in _UNKNOWN


def lost_race(error: BaseException) -> bool:
    """Whether an error of boto3, or what `s3_errors` made of it, says that a condition of a write does not hold."""
    return _code(error) in _CONFLICT


@contextlib.contextmanager
def s3_errors(location: str) -> Iterator[None]:
    """Turns errors of boto3 in its block into those of the project.

    :param location: What is read or written, for the message.
    :raises StorageError: object or bucket absent, no right, server gone or failing.
    :raises CredentialsError: credentials missing, half given, refused or expired.
    """
    try:
        yield
    except (BotoCoreError, ClientError, Boto3Error, HTTPError) as error:  # botocore lets some of urllib3 through
        raise explain(error, location) from error
    except EOTasksError:
        raise
    except (ValueError, TypeError, KeyError, OverflowError) as error:  # over numbers and times that are none
        raise StorageError(
            f"{location}: {connection().settings} answers as no S3 server does ({reason_of(error)}). Check"
            " AWS_ENDPOINT_URL."
        ) from error


def explain(error: Exception, location: str) -> EOTasksError:
    """What an error of boto3 means, as an error of the project to raise."""
    server = str(connection().settings) if not isinstance(error, SETTING_ERRORS) else "S3"
    excess = excess_of(error)
    if excess is not None:
        return StorageError(f"{location}: the answer of {server} took {excess}. It is not read.")
    if isinstance(error, ClientError):
        return _explain_answer(_code(error), status_of(error), location, server)
    if isinstance(error, UNREACHABLE):
        return StorageError(
            f"{location}: {server} cannot be reached or broke off ({type(error).__name__}). Check that it runs,"
            " AWS_ENDPOINT_URL and the network, then run the command again."
        )
    if isinstance(error, SETTING_ERRORS):
        return CredentialsError(
            f"{location}: {reason_of(error)}. {CREDENTIALS_CURE}, as the AWS command line takes them."
        )
    if isinstance(error, ParamValidationError):
        return ConfigurationError(f"{location} is no name that S3 takes: check the bucket's name and the prefix.")
    return StorageError(f"{location}: {server} failed ({reason_of(error)}). Run the command again.")


def _explain_answer(code: str, status: int, location: str, server: str) -> EOTasksError:
    """The error of a refusal: every code and status with a cure of its own."""
    if code == "NoSuchBucket":
        return no_bucket(location, server)
    if code in _ABSENT:
        return StorageError(f"{location} is not there: check the name, or run the step that writes it.")
    if code in _CONFLICT:
        return StorageError(f"{location} was written by another run in the meantime: run the step again.")
    if code in _WRONG_CLOCK:
        return StorageError(
            f"{location}: the clocks of this machine and of {server} differ by too much ({code}): set this one's."
        )
    if code in _WRONG_CREDENTIALS:
        cure = _WRONG_CREDENTIALS[code] or f"{CREDENTIALS_CURE} that are valid there"
        return CredentialsError(f"{location}: {server} refuses the credentials ({code}). {cure}.")
    if code in _CURES or str(status) in _CURES:
        cure = _CURES.get(code) or _CURES[str(status)]
        return StorageError(f"{location}: {server} answers {code} ({status}). {cure}.")
    if status in (401, 403):
        return _no_access(code, location, server)
    if 500 <= status < 600 and is_passing(status):
        return StorageError(
            f"{location}: {server} answers {code} ({status}) and fails, which nothing here mends. Try again later, or"
            " ask who runs it."
        )
    return StorageError(f"{location}: {server} answers {code} ({status}). Try again later, or ask who runs it.")


def _no_access(code: str, location: str, server: str) -> CredentialsError:
    """No right to read or write, or requester pays: AWS gives one answer for both."""
    settings = connection().settings
    bucket = bucket_of(location)
    if bucket in REQUESTER_PAYS and not (settings.requester_pays and not settings.anonymous):
        cures = {
            CREDENTIALS_CURE: settings.anonymous,
            f"Set {REQUEST_PAYER}=requester (the commands' --requester-pays)": not settings.requester_pays,
        }
        return CredentialsError(
            f"{location}: the bucket {bucket} is requester pays, who reads it pays for that."
            f" {'. '.join(cure for cure, missing in cures.items() if missing)}."
        )
    if settings.anonymous:
        return CredentialsError(
            f"{location} is not public at {server}, and there are no credentials. {CREDENTIALS_CURE}"
            f" (and {REQUEST_PAYER}=requester where the bucket is requester pays)."
        )
    pays = "" if settings.requester_pays else f"; if the bucket is requester pays, set {REQUEST_PAYER}=requester"
    return CredentialsError(
        f"{location}: {server} refuses access ({code}). Check that the credentials are valid there"
        f" and may read and write it{pays}."
    )


def no_bucket(location: str, server: str) -> StorageError:
    bucket = bucket_of(location)
    return StorageError(f"{location}: there is no bucket {bucket!r} at {server}. Make it, or check its name.")


def _code(error: BaseException) -> str:
    cause = error if isinstance(error, ClientError) else error.__cause__
    return str(cause.response.get("Error", {}).get("Code", "")) if isinstance(cause, ClientError) else ""


def status_of(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def bucket_of(location: str) -> str:
    """The bucket of ``s3://bucket/key``."""
    return location.removeprefix("s3://").partition("/")[0]
