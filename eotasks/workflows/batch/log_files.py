"""Where the logs of patches that failed lie inside a place; names may hold any character, and be of any length."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

BATCH_FOLDER = "batch"
"""Beside the manifest: its parts on S3, the logs of patches that failed, and the report."""

_FILE_NAME_CHARACTERS = 180
"""File systems have no room for more than 255, endings and temporary names included."""


def log_path(stage: str, name: str) -> str:
    """Where the log of a patch lies inside the place; names may hold any character."""
    return f"{log_folder(stage)}/{_file_name(name)}.log"


def log_folder(stage: str) -> str:
    """Where the logs of a batch lie inside the place."""
    return f"{BATCH_FOLDER}/logs/{_file_name(stage)}"


def _file_name(name: str) -> str:
    quoted = quote(name, safe=" ()+,=@", errors="surrogatepass") or "%00"
    if len(quoted) > _FILE_NAME_CHARACTERS:
        digest = hashlib.sha256(quoted.encode()).hexdigest()[:16]
        quoted = f"{quoted[:_FILE_NAME_CHARACTERS]}~{digest}"
    return quoted.replace(".", "%2E", 1) if quoted.startswith(".") else quoted
