"""The manifest of a place without what nobody asks for any more: a run of a million patches writes some hundred MB.

For batches whose results are known otherwise, as those of an archive by its catalogue. What stays is what counts for
the next run: the head of the last one (its configuration, its number) and the patches that failed or are quarantined;
and all that other batches have written.
"""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime

from eotasks.documents import check_signs
from eotasks.storage.place import Place
from eotasks.workflows.batch.log_files import BATCH_FOLDER
from eotasks.workflows.batch.manifest import MANIFEST, is_part, manifest_lines, part_name

TRIM_BYTES = 16_000_000
"""A manifest that has less is left as it is."""

_RUN = "trimmed"


def trim_manifest(place: Place, stage: str, *, above: int | None = None) -> bool:
    """Takes lines of a stage out of a manifest that nobody asks for; whether it did. The caller has the place's lease.

    A run that is killed meanwhile leaves the manifest as it was, or lines that are there twice, which says the same.

    :param above: Bytes; what has less is left. None: `TRIM_BYTES`.
    :raises StorageError: when it cannot be read or written.
    """
    sizes = place.files(BATCH_FOLDER)
    parts = [name for name in sizes if is_part(name)]
    whole = place.size(MANIFEST) or 0
    if whole + sum(sizes[name] for name in parts) <= (TRIM_BYTES if above is None else above):
        return False
    heads: list[str] = []
    missing: dict[str, str] = {}
    kept: list[str] = []
    for line, _ in manifest_lines(place):
        content: object = None
        with contextlib.suppress(ValueError, RecursionError):
            check_signs(line)
            content = json.loads(line)
        if not isinstance(content, dict) or content.get("stage") != stage:
            kept += [line] if isinstance(content, dict) else []
            continue
        name = content.get("name")
        if content.get("kind") == "batch":
            heads = [line]
        elif content.get("kind") == "end":
            heads.append(line)
        elif content.get("kind") == "outcome" and isinstance(name, str):
            if content.get("state") in ("failed", "quarantined"):
                missing[name] = line
            else:
                missing.pop(name, None)
    data = ("\n".join([*heads, *kept, *missing.values()]) + "\n").encode()
    if place.is_local:
        place.write_bytes(MANIFEST, data)
    else:
        place.write_bytes(f"{BATCH_FOLDER}/{part_name(_RUN, datetime.now(UTC))}", data)
    place.remove_files([f"{BATCH_FOLDER}/{name}" for name in parts])
    if not place.is_local and whole:
        place.remove(MANIFEST)
    return True
