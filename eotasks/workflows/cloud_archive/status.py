"""How an archive stands: what its catalogue has, and what its builder does or did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eotasks.catalogue.packages import require
from eotasks.catalogue.store import Catalogue, CatalogueSummary
from eotasks.errors import StorageError
from eotasks.storage.place import Place, PlaceLike
from eotasks.workflows.batch.progress import StageProgress, read_progress
from eotasks.workflows.cloud_archive.layout import STAGE, catalogue_of_archive
from eotasks.workflows.cloud_archive.settings import ArchiveSettings, require_settings


@dataclass(frozen=True)
class ArchiveStatus:
    """How an archive stands."""

    place: Place
    settings: ArchiveSettings
    catalogue: CatalogueSummary | None
    """None where nothing is catalogued yet."""

    build: StageProgress | None
    """The last run of a builder; None where its manifest is gone."""

    @property
    def is_running(self) -> bool:
        """Whether a builder is at work."""
        return self.build is not None and self.build.state == "running"

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON; of the products of the last run those that failed."""
        build = None
        if self.build is not None:
            content = self.build.to_dict()
            build = {key: value for key, value in content.items() if key != "outcomes"}
            build["failed"] = {each.name: each.error for each in self.build.missing}
        found = self.catalogue
        return {
            "archive": str(self.place),
            "settings": self.settings.compared(),
            "catalogue": None if found is None else {"items": found.items, "masks": found.masks, "tiles": found.tiles},
            "build": build,
        }


def archive_status(place: PlaceLike) -> ArchiveStatus:
    """How an archive stands, also while it is built. Nothing is written.

    :raises StorageError: there is no archive, or it cannot be read.
    :raises ConfigurationError: it is of a newer version.
    """
    require(*Catalogue.packages)
    place = Place(place)
    settings = require_settings(place)
    catalogue = catalogue_of_archive(place)
    return ArchiveStatus(place, settings, catalogue.summary() if catalogue.exists() else None, last_build(place))


def last_build(place: Place) -> StageProgress | None:
    """The last run of a builder; None where there is no manifest of one."""
    try:
        return read_progress(place, stage=STAGE)[0]
    except StorageError:
        return None
