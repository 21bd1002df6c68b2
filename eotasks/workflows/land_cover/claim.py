"""Whose folder a run writes into: a folder holds the results of one configuration, and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from eotasks.documents import parse_json_object
from eotasks.errors import ConfigurationError
from eotasks.storage.local_copy import object_tag
from eotasks.storage.location import is_s3
from eotasks.storage.place import Place
from eotasks.workflows.land_cover.config import LandCoverConfig
from eotasks.workflows.land_cover.config_file import parse_config, render_toml
from eotasks.workflows.settings import changed_keys

CONFIG_FILE = "run.toml"
"""The configuration beside the results; a folder that has it was filled by this command."""

INPUTS_FILE = "inputs.json"
"""Fingerprints of the files that went in, beside the configuration that names them."""

_OWN_NAMES = frozenset(
    {
        *("observed", "features", "model", "predictions", "maps", "real"),
        *("manifest.jsonl", "batch", "metrics.json", "patches.gpkg", "report.html", INPUTS_FILE),
    }
)
_OWN_MAPS = re.compile(r"land_cover(_EPSG_?\d+)?\.tif(\.aux\.xml)?")

_FREE_KEYS: dict[str, Any] = {
    "run": True,
    "title": True,
    "output": True,
    "model": True,
    "validation": True,
    "sampling": {"per_class": True},
}
"""What no stored patch depends on: training is done anew in every run, and maps follow the model."""


def check_place(
    place: Place, config: LandCoverConfig, *, read: Mapping[str, str] | None = None, overwrite: bool = False
) -> None:
    """Refuse a place that belongs to another configuration, or holds other things. Writes nothing.

    :param read: Fingerprints of what the source reads, by the key of the input.
    :param overwrite: Whether the results of another configuration will be removed first.
    :raises ConfigurationError: names the keys that differ, or what else lies there.
    """
    if place.exists(CONFIG_FILE):
        if overwrite:
            return
        before = parse_config(place.read_bytes(CONFIG_FILE), where=f"{place}/{CONFIG_FILE}")
        changed = changed_keys(before.model_dump(exclude=_FREE_KEYS), config.model_dump(exclude=_FREE_KEYS))
        if not changed and place.exists(INPUTS_FILE):
            where = f"{place}/{INPUTS_FILE}"
            stored = parse_json_object(
                place.read_bytes(INPUTS_FILE),
                lambda reason: ConfigurationError(f"{where}: {reason}. Start over with --overwrite."),
            )
            changed = [f"content of {name}" for name in changed_keys(stored, input_fingerprints(config, read))]
        if changed:
            raise ConfigurationError(
                f"{place} holds results of another configuration ({', '.join(changed)} changed): choose another"
                " output.folder, or start over with --overwrite."
            )
        return
    foreign = [name for name in place.names() if not name.startswith(".")]
    if foreign:
        raise ConfigurationError(
            f"{place} holds other things ({', '.join(foreign[:3])}{', …' * (len(foreign) > 3)}) and no {CONFIG_FILE} of"
            " this command: choose a new or empty output.folder."
        )


def claim_place(
    place: Place, config: LandCoverConfig, *, read: Mapping[str, str] | None = None, overwrite: bool = False
) -> bool:
    """Write the configuration beside the results; says whether there were none before.

    :param read: Fingerprints of what the source reads, by the key of the input.
    :param overwrite: Whether results that are there are removed first.
    :raises ConfigurationError: as :func:`check_place`.
    """
    check_place(place, config, read=read, overwrite=overwrite)
    if overwrite:
        remove_results(place)
    fresh = not place.exists(CONFIG_FILE)
    if fresh:
        place.write_bytes(INPUTS_FILE, json.dumps(input_fingerprints(config, read), indent=1).encode())
    place.write_bytes(CONFIG_FILE, render_toml(config).encode())
    return fresh


def inputs_of(config: LandCoverConfig) -> dict[str, str]:
    """Files and folders, on disk or on S3, that a run reads, by the key that names them."""
    return _input_files(config) | config.source.inputs()


def input_fingerprints(config: LandCoverConfig, read: Mapping[str, str] | None = None) -> dict[str, str]:
    """What says whether an input has changed: checksums of files (on S3 their ETags), what the source says of its own,
    and the version that made the results of them.

    :param read: What the source says.
    """
    prints = {"eotasks": version("eotasks")}
    for key, path in _input_files(config).items():
        if is_s3(path):
            prints[key] = object_tag(path)
        elif Path(path).is_file():
            with Path(path).open("rb") as file:
                prints[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return {**prints, **(read or {})}


def _input_files(config: LandCoverConfig) -> dict[str, str]:
    named = {
        "area.file": config.area.file,
        "area.patch_grid": config.area.patch_grid,
        "reference.path": config.reference.path,
    }
    return {key: path for key, path in named.items() if path is not None}


def remove_results(place: Place) -> None:
    """Remove what this command wrote, and the folder where nothing else is left in it.

    The configuration goes last, so that a removal that is cut short can be repeated.
    """
    for name in place.names():
        if name in _OWN_NAMES or _OWN_MAPS.fullmatch(name):
            place.remove(name)
    place.remove(CONFIG_FILE)
    if place.is_local and place.exists() and not place.names():
        place.local_path().rmdir()
