"""Where a command that writes a report puts its results: over its own of before, and over nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from eotasks.documents import parse_json_object
from eotasks.errors import ConfigurationError
from eotasks.storage.lease import LEASE_FILE
from eotasks.storage.place import Place, check_folder


def claim_place(
    location: str | Path, *, file: str, is_ours: Callable[[Mapping[str, object]], bool], what: str
) -> Place:
    """The place for results: new, empty, or that of an earlier run of the same command.

    :param location: A folder, or ``s3://bucket/prefix``.
    :param file: JSON file that each run of the command leaves there.
    :param is_ours: Whether its content is that of the command: others write files of such names, too.
    :param what: Of the results, for messages.
    :raises ConfigurationError: when it is a file, or holds something else; nothing is touched then.
    :raises StorageError: on S3, when the bucket is absent or cannot be reached.
    :raises CredentialsError: on S3, when the credentials are refused.
    """
    try:
        place = Place(location)
    except ConfigurationError as error:
        raise ConfigurationError(f"--out: {error}") from error
    if place.is_local:
        check_folder(place.local_path())
    if any(name != LEASE_FILE for name in place.names()) and not _holds(place, file, is_ours):
        raise ConfigurationError(f"--out {place} holds other things than {what}: give a new or empty folder.")
    return place


def _holds(place: Place, file: str, is_ours: Callable[[Mapping[str, object]], bool]) -> bool:
    if place.size(file) is None:
        return False
    try:
        return is_ours(parse_json_object(place.read_bytes(file), ConfigurationError))
    except (OSError, ConfigurationError):
        return False
