"""Whose folder a run writes into: a folder holds the results of one configuration, and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from eotasks.clouds.detectors.registry import package_of
from eotasks.documents import parse_json_object
from eotasks.errors import ConfigurationError
from eotasks.reading import open_regular
from eotasks.storage.local_copy import object_tag
from eotasks.storage.location import is_s3
from eotasks.storage.place import Place
from eotasks.workflows.land_cover.config import LandCoverConfig
from eotasks.workflows.land_cover.config_file import parse_config, render_toml
from eotasks.workflows.settings import changed_keys, in_words

CONFIG_FILE = "run.toml"
"""The configuration beside the results; a folder that has it was filled by this command."""

INPUTS_FILE = "inputs.json"
"""Fingerprints of the files that went in, beside the configuration that names them."""

VERSIONS_FILE = "patch_inputs.json"
"""What the results of each patch were made of, for sources that tell."""

_OWN_NAMES = frozenset(
    {
        *("observed", "features", "model", "predictions", "maps", "real"),
        *("manifest.jsonl", "batch", "metrics.json", "patches.gpkg", "report.html", INPUTS_FILE, VERSIONS_FILE),
    }
)
_WHOLE_IN_ONE = frozenset({".gpkg", ".sqlite", ".geojson", ".json", ".parquet", ".fgb", ".kml", ".zip", ".csv"})
"""Endings of formats that are one file."""

_NOT_DATA = frozenset({".qix", ".sbn", ".sbx", ".gfs", ".lock", ".atx", ".tmp"})
"""Endings of indexes and locks that programs make when they only read."""

_OWN_MAPS = re.compile(r"land_cover(_EPSG_?\d+)?\.(tif(\.aux\.xml)?|qml)")

_FREE_KEYS: dict[str, Any] = {
    "run": True,
    "title": True,
    "output": True,
    "model": True,
    "validation": True,
    "sampling": {"per_class": True},
}
"""What no stored patch depends on: a model is trained anew where what made it has changed, and maps follow it."""


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
        wanted = parse_config(render_toml(config), where="The configuration")  # as it is kept: without signatures
        changed = changed_keys(before.model_dump(exclude=_FREE_KEYS), wanted.model_dump(exclude=_FREE_KEYS))
        if not changed and place.exists(INPUTS_FILE):
            where = f"{place}/{INPUTS_FILE}"
            stored = parse_json_object(
                place.read_bytes(INPUTS_FILE),
                lambda reason: ConfigurationError(f"{where}: {reason}. Start over with --overwrite."),
            )
            changed = [f"content of {name}" for name in changed_keys(stored, input_fingerprints(config, read))]
        if changed:
            raise ConfigurationError(
                f"{place} holds results of another configuration ({in_words(changed)} changed): choose another"
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


def outdated_patches(place: Place, versions: Mapping[str, str]) -> list[str]:
    """Patches whose results in a place were made of something else than what is there now, or nobody knows.

    :param versions: What is read for each patch now, by its name.
    :raises ConfigurationError: the file that has it is damaged.
    """
    content = place.read_if_there(VERSIONS_FILE)
    where = f"{place}/{VERSIONS_FILE}"
    before = (
        {}
        if content is None
        else parse_json_object(
            content[0], lambda reason: ConfigurationError(f"{where}: {reason}. Start over with --overwrite.")
        )
    )
    return [name for name, version in versions.items() if before.get(name) != version]


def note_versions(place: Place, versions: Mapping[str, str]) -> None:
    """Write what the results of each patch are made of from now on; outdated ones have to be gone."""
    place.write_bytes(VERSIONS_FILE, json.dumps(versions, indent=1).encode())


def inputs_of(config: LandCoverConfig) -> dict[str, str]:
    """Files and folders, on disk or on S3, that a run reads, by the key that names them."""
    return _input_files(config) | config.source.inputs()


def input_fingerprints(config: LandCoverConfig, read: Mapping[str, str] | None = None) -> dict[str, str]:
    """What says whether an input has changed: checksums of files (on S3 their ETags), what the source says of its own,
    and the versions that made the results of them: ours, and that of a plugin's detector.

    :param read: What the source says.
    """
    prints = {"eotasks": version("eotasks")}
    package = None if config.clouds.found_by is None else package_of(config.clouds.detector)
    if package is not None:
        prints["clouds.detector"] = package
    for key, path in _input_files(config).items():
        if is_s3(path):
            prints[key] = object_tag(path)
        elif Path(path).exists():
            prints[key] = _digest(Path(path))
    return {**prints, **(read or {})}


def _digest(path: Path) -> str:
    """Of a file and those beside it that belong to it, or of all files in a folder (as a file geodatabase is)."""
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.is_file() and each.suffix.lower() not in _NOT_DATA)
    else:
        files = [path, *_parts_beside(path)]
    digests = []
    for each in files:
        with open_regular(each) as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    if files == [path]:
        return digests[0]
    names = [each.relative_to(path if path.is_dir() else path.parent).as_posix() for each in files]
    return hashlib.sha256(json.dumps([names, digests]).encode()).hexdigest()


def _parts_beside(path: Path) -> list[Path]:
    """The other files of a format of several: of a shapefile the attributes, of a GeoPackage what is not yet in it."""
    if path.suffix.lower() in _WHOLE_IN_ONE:
        beside = [path.with_name(f"{path.name}-wal")]
        return [each for each in beside if each.is_file() and each.stat().st_size]
    start = f"{path.stem}.".lower()
    return sorted(
        each
        for each in path.parent.iterdir()
        if each != path
        and each.name.lower().startswith(start)
        and each.suffix.lower() not in _NOT_DATA
        and each.is_file()
    )


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
