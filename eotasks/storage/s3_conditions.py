"""Writes to S3 under a condition, also where servers answer oddly or know no conditions.

A server without conditional writes is used as a disk without locks is: what is there is compared before, and of two
writers in the same instant the first would not learn of the other. That is told once.
"""

from __future__ import annotations

import logging

from botocore.exceptions import ClientError

from eotasks.errors import StorageError
from eotasks.limits import RECORD_BYTES, Limit
from eotasks.storage import s3

LOGGER = logging.getLogger(__name__)

_TRIES = 4
_WITHOUT: set[str] = set()
"""Servers that have said so, in this process."""


def write_if(location: str, data: bytes, tag: str | None) -> str:
    """Writes ``s3://bucket/key`` when it still has an ETag (None: when it is absent); gives the new one.

    :raises StorageError: when another writer was faster (`s3.lost_race`), or it cannot be written.
    :raises CredentialsError: when credentials are missing or refused.
    """
    for left in reversed(range(_TRIES)):
        try:
            return s3.write_object(location, data, replaces=tag, new=tag is None)
        except StorageError as error:
            if s3.is_unknown(error):
                _compare(location, tag)
                return s3.write_object(location, data)
            if not s3.lost_race(error):
                raise
            there = facts_if_there(location)
            if there is not None and there.size == len(data) and _is_content(location, there, data):
                return there.tag  # it came through, its answer was lost, and the next try met it
            if not left or tag != (None if there is None else there.tag):
                raise
            # It met another request that changed nothing in the end (409).
    raise AssertionError("the loop returns or raises")


def remove_if(location: str, tag: str) -> bool:
    """Removes ``s3://bucket/key`` when it still has an ETag; whether it had.

    :raises StorageError: when it cannot be removed.
    :raises CredentialsError: when credentials are missing or refused.
    """
    bucket, key = s3.split_location(location)
    try:
        with s3.s3_errors(location):
            try:
                s3.s3_client().delete_object(Bucket=bucket, Key=key, IfMatch=tag)
            except ClientError as error:
                if not s3.is_unknown(error):
                    raise
                _compare(location, tag)
                s3.s3_client().delete_object(Bucket=bucket, Key=key)
    except StorageError as error:
        if not (s3.lost_race(error) or s3.is_absent(error)):
            raise
        return False
    return True


def read_if_there(location: str, limit: Limit = RECORD_BYTES) -> tuple[bytes, str] | None:
    """Content and ETag; None when it is absent.

    :param limit: Bytes that it may have.
    :raises StorageError: when it cannot be read, or is larger.
    :raises CredentialsError: when credentials are missing or refused.
    """
    try:
        return s3.read_tagged(location, limit)
    except StorageError as error:
        if not s3.is_absent(error):
            raise
        return None


def facts_if_there(location: str) -> s3.ObjectFacts | None:
    """What is known of an object of any size; None when it is absent.

    :raises StorageError: when it cannot be asked for.
    :raises CredentialsError: when credentials are missing or refused.
    """
    try:
        return s3.object_facts(location)
    except StorageError as error:
        if not s3.is_absent(error):
            raise
        return None


def _is_content(location: str, facts: s3.ObjectFacts, data: bytes) -> bool:
    """Whether an object holds just some data of the same length, as large as that may be."""
    return not data or s3.read_range(location, 0, len(data), tag=facts.tag) == data


def _compare(location: str, tag: str | None) -> None:
    server = str(s3.s3_settings())
    if server not in _WITHOUT:
        _WITHOUT.add(server)
        LOGGER.warning("%s knows no conditional writes: keep other runs out of %s meanwhile.", server, location)
    there = facts_if_there(location)
    if tag != (None if there is None else there.tag):
        error = ClientError({"Error": {"Code": "PreconditionFailed"}}, "PutObject")
        raise s3.explain(error, location) from error
