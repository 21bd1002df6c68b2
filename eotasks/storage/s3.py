"""How everything here reaches S3: one client, one set of settings, and errors that say what to do.

Endpoint, region and credentials come from where AWS tools take them: the environment (``AWS_ENDPOINT_URL_S3``,
``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID``, ``AWS_PROFILE``, ...) and the files in ``~/.aws``. Without credentials, or
with ``AWS_NO_SIGN_REQUEST=YES`` as GDAL knows it, requests are anonymous, as public buckets want them. Bucket names
stand in the path of a custom endpoint: ``bucket.host`` is a name that such hosts seldom have. Some older servers do not
know the checksums that boto3 sends with an upload: ``AWS_REQUEST_CHECKSUM_CALCULATION=when_required`` leaves them out.
``AWS_REQUEST_PAYER=requester`` goes with every request, as buckets want it whose readers pay (requester pays).

What fails is asked again by the policy of `eotasks.network.retries`, `AWS_MAX_ATTEMPTS` times in all or else as all
servers are; ``AWS_RETRY_MODE`` chooses one of boto3's own ways instead.

Nothing here keeps a secret: settings hold none, and no message repeats one.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from eotasks.errors import ConfigurationError, StorageError
from eotasks.limits import ANSWER_BYTES, RECORD_BYTES, Limit
from eotasks.network.answers import answer_bounds, excess_of
from eotasks.network.retries import FIRST_PAUSE, PassingFailure, is_passing, persistently
from eotasks.network.transfers import at_once
from eotasks.storage.location import plain_scheme
from eotasks.storage.s3_connection import CONNECT_SECONDS, READ_SECONDS, S3Settings, connection
from eotasks.storage.s3_refusals import (
    UNREACHABLE,
    explain,
    is_absent,
    is_unknown,
    lost_race,
    no_bucket,
    s3_errors,
    status_of,
)

__all__ = [
    "ObjectFacts",
    "asking",
    "check_bucket",
    "download_file",
    "explain",
    "gdal_environment",
    "is_absent",
    "is_unknown",
    "lost_race",
    "object_facts",
    "read_object",
    "read_range",
    "read_tagged",
    "s3_client",
    "s3_errors",
    "s3_resource",
    "s3_settings",
    "server_time",
    "split_location",
    "upload_file",
    "write_object",
]

T = TypeVar("T")


class ObjectFacts(NamedTuple):
    """An object, without its content."""

    size: int
    """Bytes."""

    changed: datetime
    """UTC."""

    tag: str
    """ETag: another content has another one."""


PART_BYTES = 8_000_000
"""Larger objects come in parts, several at a time."""

_PARTS = 8
_CHUNK = 1 << 20


def s3_settings() -> S3Settings:
    """The settings of this process, read anew whenever an ``AWS_…`` variable or a file in ``~/.aws`` has changed.

    :raises ConfigurationError: when the endpoint is no URL.
    :raises CredentialsError: when a profile is named that there is not, or credentials are half given.
    """
    return connection().settings


def s3_client() -> Any:
    """The boto3 client of this process: one for all threads, a new one after a fork and when settings change.

    Requests are tried again by the policy of `eotasks.network.retries`.

    :raises ConfigurationError: as `s3_settings`.
    :raises CredentialsError: as `s3_settings`.
    """
    return connection().client


def s3_resource() -> Any:
    """A new boto3 resource of the same session and settings, for libraries that want one; not for several threads.

    :raises ConfigurationError: as `s3_settings`.
    :raises CredentialsError: as `s3_settings`.
    """
    return connection().resource()


def gdal_environment() -> dict[str, Any]:
    """Arguments of ``rasterio.Env`` under which ``/vsis3/bucket/key`` is read as `s3_client` would.

    GDAL keeps what it has read of an object: inside one process, a changed object may be seen as it was, and one that
    could not be read is taken for absent from then on. So nothing here reads by ``/vsis3/``.

    :raises ConfigurationError: as `s3_settings`.
    :raises CredentialsError: as `s3_settings`.
    """
    from rasterio.session import AWSSession

    of_process = connection()
    settings = of_process.settings
    endpoint = urlsplit(settings.endpoint) if settings.endpoint else None
    session = AWSSession(
        of_process.session,
        aws_unsigned=settings.anonymous,
        region_name=settings.region,
        endpoint_url=f"{endpoint.netloc}{endpoint.path.rstrip('/')}" if endpoint else None,
        requester_pays=settings.requester_pays,
    )
    options: dict[str, Any] = {
        "session": session,
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "GDAL_HTTP_MAX_RETRY": of_process.attempts - 1,
        "GDAL_HTTP_RETRY_DELAY": FIRST_PAUSE,
        "GDAL_HTTP_RETRY_CODES": ",".join(map(str, filter(is_passing, range(400, 600)))),
        "GDAL_HTTP_CONNECTTIMEOUT": CONNECT_SECONDS,
        "GDAL_HTTP_LOW_SPEED_TIME": READ_SECONDS,
        "GDAL_HTTP_LOW_SPEED_LIMIT": 1,
    }
    if endpoint:
        options["AWS_HTTPS"] = "YES" if endpoint.scheme == "https" else "NO"
    if settings.addressing != "auto":
        options["AWS_VIRTUAL_HOSTING"] = "FALSE" if settings.addressing == "path" else "TRUE"
    return options


def split_location(location: str) -> tuple[str, str]:
    """Bucket and key (without a slash at its ends, "" for the whole bucket) of ``s3://bucket/key``.

    :raises ConfigurationError: when it is no such location.
    """
    scheme, _, rest = plain_scheme(location).partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise ConfigurationError(f"{location!r} names no bucket: write s3://bucket/prefix.")
    return bucket, key.strip("/")


def read_object(location: str, limit: Limit = RECORD_BYTES) -> bytes:
    """The whole content of ``s3://bucket/key``.

    :param limit: Bytes that it may have.
    :raises StorageError: when it is absent, larger, or cannot be read.
    :raises CredentialsError: when credentials are missing or refused.
    """
    return read_tagged(location, limit)[0]


def read_tagged(location: str, limit: Limit = RECORD_BYTES) -> tuple[bytes, str]:
    """The content of ``s3://bucket/key`` and its ETag, which `write_object` takes as a condition.

    :param limit: Bytes that it may have.
    :raises StorageError: as `read_object`.
    :raises CredentialsError: as `read_object`.
    """

    def content_and_tag(answer: dict[str, Any]) -> tuple[bytes, str]:
        return _content(answer, limit.value, f"{location}: {limit.excess()}. It is not read."), str(answer["ETag"])

    with asking(location, max(limit.value, ANSWER_BYTES.value), limit.excess()):
        return _answer(location, content_and_tag)


def read_range(location: str, start: int, stop: int, *, tag: str | None = None) -> bytes:
    """Bytes ``start`` to ``stop`` (not included) of ``s3://bucket/key``; fewer where it ends before.

    :param tag: ETag that the object has to have still, where several ranges belong together.
    :raises StorageError: as `read_object`, and when the server sends other bytes than it was asked for.
    :raises CredentialsError: as `read_object`.
    """
    options = {"Range": f"bytes={start}-{stop - 1}"} | ({} if tag is None else {"IfMatch": tag})
    fault = f"{location}: {s3_settings()} sends other bytes than {start:,} to {stop:,}. Download it first."

    def part(answer: dict[str, Any]) -> bytes:
        said = re.match(r"bytes ([0-9]{1,18})-", str(answer.get("ContentRange", "")))
        # Some servers send the whole of what is smaller than the range, without saying a range.
        if int(said[1]) != start if said else start:
            raise StorageError(fault)
        if tag is not None and answer.get("ETag", tag) != tag:
            raise StorageError(f"{location} changed while it was read: run the command again.")
        return _content(answer, stop - start, fault)

    with asking(location, max(stop - start, ANSWER_BYTES.value)):
        return _answer(location, part, **options)


def _content(answer: dict[str, Any], most: int, fault: str) -> bytes:
    """The body of an answer.

    :raises StorageError: of that fault, when it has more bytes, as it says itself or shows.
    """
    content = io.BytesIO()  # hands its bytes over without a copy
    if int(answer.get("ContentLength", 0)) <= most:
        while content.tell() <= most and (chunk := answer["Body"].read(min(_CHUNK, most + 1 - content.tell()))):
            content.write(chunk)
        if content.tell() <= most:
            return content.getvalue()
    raise StorageError(fault)


def object_facts(location: str) -> ObjectFacts:
    """What a HEAD request says of ``s3://bucket/key``.

    :raises StorageError: as `read_object`; of an absent bucket only that the object is not there.
    :raises CredentialsError: as `read_object`.
    """
    bucket, key = split_location(location)
    with asking(location):
        try:
            answer = s3_client().head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if status_of(error) not in (400, 401, 403):
                raise
            # An answer to HEAD has no body, so no reason: a GET has one, or is allowed where HEAD is not.
            with contextlib.closing(s3_client().get_object(Bucket=bucket, Key=key, Range="bytes=0-0")["Body"]) as body:
                body.read(1)
            raise
        return ObjectFacts(int(answer["ContentLength"]), answer["LastModified"], str(answer["ETag"]))


def write_object(location: str, data: bytes, *, replaces: str | None = None, new: bool = False) -> str:
    """Writes ``s3://bucket/key`` in one operation; readers see the old content or the new one.

    :param replaces: ETag that the object has to have still (as `read_tagged` gave it), when others may write too.
    :param new: The object must not exist yet.
    :return: Its ETag.
    :raises StorageError: when it cannot be written, or the condition does not hold; see `lost_race`.
    :raises CredentialsError: when credentials are missing or refused.
    """
    bucket, key = split_location(location)
    options = {"IfNoneMatch": "*"} if new else {"IfMatch": replaces} if replaces is not None else {}
    with asking(location):
        return str(s3_client().put_object(Bucket=bucket, Key=key, Body=data, **options)["ETag"])


def upload_file(source: Path, location: str) -> None:
    """Copies a file of this machine to ``s3://bucket/key``, in parts when it is large; it appears whole or not at all.

    :raises StorageError: when it cannot be written.
    :raises CredentialsError: when credentials are missing or refused.
    """
    bucket, key = split_location(location)
    with s3_errors(location), source.open("rb") as stream:
        s3_client().upload_fileobj(stream, bucket, key)


def download_file(location: str, target: Path) -> None:
    """Copies ``s3://bucket/key`` to a file of this machine, which is removed again when that fails.

    :raises StorageError: when it is absent, changes meanwhile, or cannot be read, or the disk has no room for it.
    :raises CredentialsError: when credentials are missing or refused.
    """

    def save(answer: dict[str, Any]) -> tuple[int, str]:
        """One request is enough for what is small."""
        size = int(answer["ContentLength"])
        if size <= PART_BYTES:
            target.write_bytes(_content(answer, size, f"{location}: more bytes than {size:,}, as it said."))
        return size, str(answer["ETag"])

    try:
        with asking(location):
            size, tag = _answer(location, save)
            if size > PART_BYTES:
                _download_parts(location, target, size, tag)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _download_parts(location: str, target: Path, size: int, tag: str) -> None:
    """A large object, several parts at a time; all of one version."""
    free = shutil.disk_usage(target.parent).free
    if size > free:
        raise StorageError(f"{location} has {size:,} bytes, {target.parent} has room for {free:,}: make room there.")

    def fetch(start: int) -> None:
        stop = min(start + PART_BYTES, size)
        content = read_range(location, start, stop, tag=tag)
        if len(content) != stop - start:
            raise StorageError(f"{location}: broke off after {start + len(content):,} of {size:,} bytes. Try again.")
        os.pwrite(descriptor, content, start)

    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        at_once(fetch, range(0, size, PART_BYTES), threads=_PARTS)
    finally:
        os.close(descriptor)


def check_bucket(location: str) -> None:
    """Asks whether the bucket of a location is there: of an absent object a HEAD request does not say why.

    :raises StorageError: when there is no such bucket. Where asking is not allowed, it is taken to be there.
    """
    bucket, _ = split_location(location)
    with asking(location):
        try:
            s3_client().head_bucket(Bucket=bucket)
        except ClientError as error:
            if is_absent(error):
                raise no_bucket(location, str(s3_settings())) from error
            if status_of(error) != 403:
                raise


def server_time(location: str) -> datetime:
    """The time (UTC) by the clock of the server.

    :raises StorageError: when it cannot be asked. Whether the bucket is there does not matter.
    """
    bucket, _ = split_location(location)
    with s3_errors(location):
        try:
            answer = s3_client().head_bucket(Bucket=bucket)
        except ClientError as error:  # it has a date too
            answer = error.response
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return parsedate_to_datetime(date).astimezone(UTC) if date else datetime.now(UTC)


@contextlib.contextmanager
def asking(location: str, size: int | None = None, excess: str | None = None) -> Iterator[None]:
    """As `s3_errors`, and what the server answers in the block is bounded.

    :param size: Bytes that an answer may have; None for those of listings and errors.
    :param excess: What to say of more.
    """
    bounds = answer_bounds(size or max(ANSWER_BYTES.value, PART_BYTES), excess or ANSWER_BYTES.excess())
    with s3_errors(location), bounds:
        yield


def _answer(location: str, use: Callable[[dict[str, Any]], T], **options: str) -> T:
    """What is made of the answer to a GET; one that breaks off in its middle is asked for again."""
    bucket, key = split_location(location)

    def once() -> T:
        answer = s3_client().get_object(Bucket=bucket, Key=key, **options)  # which asks again by itself
        try:
            with contextlib.closing(answer["Body"]):
                return use(answer)
        except UNREACHABLE as error:
            if excess_of(error):
                raise
            raise PassingFailure(f"broke off ({type(error).__name__})") from error

    try:
        return persistently(once, location, attempts=connection().attempts)
    except PassingFailure as failure:
        raise failure.__cause__ or failure from None
