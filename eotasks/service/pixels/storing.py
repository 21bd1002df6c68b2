"""Masks that were computed for a request go to an archive, as ``eotasks archive build`` would have put them there."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from eotasks.errors import ConfigurationError, EOTasksError, StorageError, message_of
from eotasks.imagery.scene import Scene
from eotasks.service.pixels.clouds import SERVED
from eotasks.storage.lease import hold_lease
from eotasks.storage.place import Place, PlaceLike
from eotasks.workflows.cloud_archive.build import check_place
from eotasks.workflows.cloud_archive.cataloguing import row_of
from eotasks.workflows.cloud_archive.files import ArchivedFiles
from eotasks.workflows.cloud_archive.item import SourceFacts
from eotasks.workflows.cloud_archive.layout import catalogue_of_archive, folder_of
from eotasks.workflows.cloud_archive.settings import ArchiveSettings, options_of, read_settings
from eotasks.workflows.product_masks.names import check_name
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.product import ProductMasks

LOGGER = logging.getLogger(__name__)

WHAT = "eotasks serve"
"""What a lease says is running."""

_MOST_WAITING = 16
"""Products whose masks wait to be written, three megabytes each: a build that takes long has the archive for itself."""

_PATIENCE, _PAUSE = 120, 1.0
"""Attempts while another process has the archive, and seconds between them."""


class MaskStore:
    """Writes masks to an archive, one product after the other, in a thread of its own.

    Each file is whole or not there, and its item and the row of the catalogue come last: who reads the archive
    meanwhile sees none of a product or all. It is in use by one process at a time, for a second each.

    :param archive: A folder or ``s3://bucket/prefix``: an archive, or a place where one is begun.
    :raises ConfigurationError: when the masks there are made otherwise than s2cloudless at 160 m from nearest pixels.
    :raises StorageError: when the place cannot be reached.
    """

    def __init__(self, archive: PlaceLike) -> None:
        self._place = Place(archive)
        check_place(self._place)
        known = read_settings(self._place)
        self.options = SERVED if known is None else options_of(known)
        """How masks are to be made for this archive."""
        named = ("detector", "resolution", "sampling")
        other = [f"{name} {getattr(self.options, name)}" for name in named if self._differs(name)]
        if other:
            raise ConfigurationError(
                f"{self._place} has masks of {', '.join(other)}: those that are served are of {SERVED.detector},"
                f" {SERVED.resolution} m, {SERVED.sampling}. Name another archive, or keep none."
            )
        self._settings = ArchiveSettings.of(self.options)
        self._closed = threading.Event()
        self._places = threading.BoundedSemaphore(_MOST_WAITING)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="eotasks-masks")

    def __call__(self, scene: Scene, masks: ProductMasks, options: CloudMaskOptions) -> None:
        """Write masks, soon; a failure is told by the log alone, since the request has its masks."""
        if ArchiveSettings.of(options) != self._settings:
            if masks.shadow is None or self.options.shadows:
                return
            masks = replace(masks, shadow=None)  # the archive has none
        if not self._places.acquire(blocking=False):
            LOGGER.warning("Masks of %s are not kept: those of %d others wait already", scene.name, _MOST_WAITING)
            return
        try:
            written = self._pool.submit(self._write, scene, masks)
        except RuntimeError:  # it was closed, maybe a moment ago
            self._places.release()
            LOGGER.warning("Masks of %s are not kept: the service ends", scene.name)
            return
        written.add_done_callback(lambda _: self._places.release())

    def close(self) -> None:
        """Ends when what was told of is written, or does not wait for another process any more."""
        self._closed.set()
        self._pool.shutdown(wait=True)

    def _differs(self, name: str) -> bool:
        return bool(getattr(self.options, name) != getattr(SERVED, name))

    def _write(self, scene: Scene, masks: ProductMasks) -> None:
        for attempt in range(_PATIENCE):
            try:
                with hold_lease(self._place, WHAT) as lease:
                    self._add(scene, masks)
                    lease.check()
                return
            except StorageError as error:
                if attempt + 1 == _PATIENCE or self._closed.wait(_PAUSE):
                    LOGGER.warning("Masks of %s are not kept: %s", scene.name, message_of(error))
                    return
            except (EOTasksError, OSError) as error:
                LOGGER.warning("Masks of %s are not kept: %s", scene.name, message_of(error))
                return

    def _add(self, scene: Scene, masks: ProductMasks) -> None:
        check_name(scene.name, scene.location)
        facts, acquisition = SourceFacts.of(scene), scene.acquisition
        folder = folder_of(scene.name, acquisition.tile, acquisition.time)
        files = ArchivedFiles(self._place.child(folder), scene.name)
        self._settings.write(self._place)
        if not files.is_current(self._settings, facts):
            files.write(scene, masks, self.options, facts)
        row, _ = row_of(self._place, scene.name, folder)
        catalogue_of_archive(self._place).add([row])
        LOGGER.info("Masks of %s are kept in the archive", scene.name)
