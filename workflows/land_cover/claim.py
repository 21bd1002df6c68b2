"""Whose folder a run writes into: a folder holds the results of one configuration, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from models.errors import ConfigurationError
from workflows.land_cover.config import LandCoverConfig
from workflows.land_cover.config_file import parse_config, render_toml
from workflows.places import Place

CONFIG_FILE = "run.toml"
"""The configuration beside the results; a folder that has it was filled by this command."""

_OWN_NAMES = frozenset(
    {
        *("observed", "features", "model", "predictions", "maps", "real"),
        *("manifest.jsonl", "metrics.json", "patches.gpkg", "report.html"),
    }
)
_OWN_MAPS = "land_cover"

_FREE_KEYS: dict[str, Any] = {
    "run": True,
    "title": True,
    "output": True,
    "model": True,
    "validation": True,
    "sampling": {"per_class": True},
}
"""What no stored patch depends on: training is done anew in every run, and maps follow the model."""


def check_place(place: Place, config: LandCoverConfig, *, overwrite: bool = False) -> None:
    """Refuse a place that belongs to another configuration, or to somebody else. Writes nothing.

    :param overwrite: Whether the results of another configuration will be removed first.
    :raises ConfigurationError: names the keys that differ, or what else lies there.
    """
    if place.exists(CONFIG_FILE):
        if overwrite:
            return
        before = parse_config(place.read_bytes(CONFIG_FILE).decode(), where=f"{place}/{CONFIG_FILE}")
        changed = sorted(_differences(before.model_dump(exclude=_FREE_KEYS), config.model_dump(exclude=_FREE_KEYS)))
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


def claim_place(place: Place, config: LandCoverConfig, *, overwrite: bool = False) -> bool:
    """Write the configuration beside the results; says whether there were none before.

    :param overwrite: Whether results that are there are removed first.
    :raises ConfigurationError: as :func:`check_place`.
    """
    check_place(place, config, overwrite=overwrite)
    if overwrite:
        remove_results(place)
    fresh = not place.exists(CONFIG_FILE)
    place.write_bytes(CONFIG_FILE, render_toml(config).encode())
    return fresh


def remove_results(place: Place) -> None:
    """Remove what this command wrote, and the folder where nothing else is left in it.

    The configuration goes last, so that a removal that is cut short can be repeated.
    """
    for name in place.names():
        if name in _OWN_NAMES or name.startswith(_OWN_MAPS):
            place.remove(name)
    place.remove(CONFIG_FILE)
    if place.is_local and place.exists() and not place.names():
        place.local_path().rmdir()


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key in {*before, *now}:
        first, second = before.get(key), now.get(key)
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            yield from _differences(first, second, f"{prefix}{key}.")
        elif first != second:
            yield f"{prefix}{key}"
