"""What the masks of an archive are made with: the same for all, kept in ``archive.json``."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from eotasks.documents import first_problem, parse_json_object, refuse_many_values
from eotasks.errors import ConfigurationError, StorageError, reason_of
from eotasks.models.clouds.presets import MaskSettings, mask_settings
from eotasks.storage.place import Place
from eotasks.text import shortened
from eotasks.workflows.cloud_archive.layout import ARCHIVE_FILE
from eotasks.workflows.product_masks.options import (
    DEFAULT_BEYOND,
    DEFAULT_PRESET,
    DEFAULT_SHADOW_METHOD,
    CloudMaskOptions,
)
from eotasks.workflows.settings import changed_keys, in_words

VERSION = 1
_TOLD = 1_000
"""Characters of what is wrong with settings: the file may hold what it likes."""


class ArchiveSettings(BaseModel):
    """Contents of ``archive.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = VERSION
    settings: dict[str, Any]
    """Of `CloudMaskOptions.to_dict`."""

    detector_package: str | None = None
    """Of a plugin's detector: its package and the version of that."""

    @classmethod
    def of(cls, options: CloudMaskOptions) -> ArchiveSettings:
        """Those of some options, as they read back from JSON.

        :raises ConfigurationError: they ask for terrain shade, which an archive has no place for.
        """
        if options.dem is not None:
            raise ConfigurationError(
                "dem goes with single products, not with an archive: leave it out, or use eotasks cloud-mask."
            )
        settings: dict[str, Any] = json.loads(json.dumps(options.to_dict()))
        return cls(settings=settings, detector_package=options.detector_package())

    def compared(self) -> dict[str, Any]:
        """What is compared with the settings of another build."""
        return {**self.settings, "detector_package": self.detector_package}

    def changed(self, now: ArchiveSettings) -> list[str]:
        """Keys that differ."""
        return changed_keys(self.compared(), now.compared())

    def write(self, place: Place) -> None:
        """Write them to an archive, if they are not there.

        :raises StorageError: when that cannot be done.
        """
        data = (self.model_dump_json(indent=1) + "\n").encode()
        before = place.read_if_there(ARCHIVE_FILE)
        if before is None or before[0] != data:
            place.write_bytes(ARCHIVE_FILE, data)


def read_settings(place: Place) -> ArchiveSettings | None:
    """The settings of an archive; None where there is none.

    :raises ConfigurationError: when the file is of a newer version, or none of ours.
    :raises StorageError: when it cannot be read.
    """
    found = place.read_if_there(ARCHIVE_FILE)
    if found is None:
        return None
    where = f"{place}/{ARCHIVE_FILE}"
    content = parse_json_object(
        found[0], lambda reason: ConfigurationError(f"{where}: {reason}. Build into another place.")
    )
    refuse_many_values(content, lambda reason: ConfigurationError(f"{where}: {reason}. Build into another place."))
    version = content.get("version")
    if isinstance(version, int) and version > VERSION:
        raise ConfigurationError(f"{where}: version {version}, this eotasks reads up to {VERSION}: upgrade it.")
    try:
        return ArchiveSettings.model_validate(content)
    except ValidationError as error:
        raise ConfigurationError(
            f"{where} is none of an archive ({first_problem(error, 'the file')}): build into another place."
        ) from error


def require_settings(place: Place) -> ArchiveSettings:
    """The settings of an archive.

    :raises StorageError: when there is no archive.
    :raises ConfigurationError: as :func:`read_settings`.
    """
    found = read_settings(place)
    if found is None:
        raise StorageError(f"{place} is no archive, it has no {ARCHIVE_FILE}: make one with eotasks archive build.")
    return found


def refuse_other_settings(place: Place, before: ArchiveSettings | None, now: ArchiveSettings) -> None:
    """Refuse to build with other settings than those of the masks that are there.

    :raises ConfigurationError: names the keys that changed.
    """
    changed = [] if before is None else before.changed(now)
    if changed:
        raise ConfigurationError(
            f"{place} is an archive of other settings ({in_words(changed)} changed): build into another place, or make"
            " its masks anew with --overwrite."
        )


def options_of(settings: ArchiveSettings) -> CloudMaskOptions:
    """The options that an archive is made with.

    :raises ConfigurationError: this version of eotasks, or the detectors that are installed, cannot make such masks.
    """
    given = dict(settings.settings)
    try:
        mask = {key: given[key] for key in (each.name for each in fields(MaskSettings)) if key in given}
        options = CloudMaskOptions(
            resolution=given["resolution"],
            sampling=given["sampling"],
            preset=given.get("preset", DEFAULT_PRESET),
            mask=replace(mask_settings(given.get("preset", DEFAULT_PRESET)), **mask),
            shadows=given["shadows"],
            shadow_method=given.get("shadow_method", DEFAULT_SHADOW_METHOD),
            beyond=given.get("beyond", DEFAULT_BEYOND),
            quicklook=False,
            detector=given["detector"],
            snow="snow" in given,
            thin_cloud="thin_cloud" in given,
        )
    except ConfigurationError as error:
        raise ConfigurationError(f"{ARCHIVE_FILE}: {shortened(str(error), _TOLD)}") from error
    except (KeyError, TypeError) as error:
        raise ConfigurationError(f"{ARCHIVE_FILE}: its settings are none of masks ({reason_of(error)}).") from error
    now = ArchiveSettings.of(options)
    if changed := settings.changed(now):
        raise ConfigurationError(
            f"{ARCHIVE_FILE}: the masks were made in a way that cannot be repeated here ({in_words(changed)} changed):"
            " install what they were made with."
        )
    return options
