"""The one step of the batch: the masks of a product, made in a worker that stays warm from one to the next."""

from __future__ import annotations

from eolearn.core import EOTask

from eotasks.errors import ImageryError
from eotasks.imagery.files.origin import Origin
from eotasks.imagery.files.signing import Modifier
from eotasks.imagery.scene import open_scene
from eotasks.storage.place import Place
from eotasks.workflows.cloud_archive.files import ArchivedFiles
from eotasks.workflows.cloud_archive.item import SourceFacts
from eotasks.workflows.cloud_archive.settings import ArchiveSettings
from eotasks.workflows.cloud_archive.source import decode_location
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.product import make_masks, refuse_product


class MakeMasksTask(EOTask):
    """Makes CLP, CLM and SHADOW of a product, and their item; nothing where they are there.

    :param place: The archive.
    :param options: How masks are made.
    :param modifier: Signs the addresses of items before they are read.
    :param anew: Whether masks that are there are made again.
    """

    def __init__(
        self,
        place: Place,
        options: CloudMaskOptions,
        *,
        modifier: Modifier | str | None = None,
        anew: bool = False,
    ) -> None:
        self.place = place
        self.options = options
        self.modifier = modifier
        self.anew = anew

    def execute(
        self,
        *,
        name: str,
        folder: str,
        location: str,
        origin: Origin | None = None,
        source: str = "",  # noqa: ARG002 - what the batch knows an unchanged product by
    ) -> None:
        """
        :param name: Of the product.
        :param folder: Of its masks, in the archive.
        :param location: Of `eotasks.workflows.cloud_archive.source.encode_location`.
        :param origin: Who named it; None for the user himself.
        :raises ImageryError: when the product is damaged, or another than its item says.
        :raises EOTasksError: when no masks can be made of it, or written.
        """
        scene = open_scene(decode_location(location), origin=origin, modifier=self.modifier)
        if scene.name != name:
            raise ImageryError(f"{scene.location}: is called {scene.name}, its item {name}. Describe it again.")
        refuse_product(scene, self.options)
        files = ArchivedFiles(self.place.child(folder), name)
        facts = SourceFacts.of(scene)
        if not self.anew and files.is_current(ArchiveSettings.of(self.options), facts):
            return
        files.write(scene, make_masks(scene, self.options), self.options, facts)
