"""The one step of the batch: the masks of a product, made in a worker that stays warm from one to the next.

A product that lies far away is read while the worker has the one before it: of its reading most is waiting. One on disk
is not, whose reading is decoding, for which the processor has no time then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from eolearn.core import EOTask

from eotasks.errors import ImageryError
from eotasks.imagery.files.origin import Origin
from eotasks.imagery.files.signing import Modifier
from eotasks.imagery.scene import Scene, open_scene
from eotasks.storage.place import Place
from eotasks.workflows.batch.ahead import Prepared
from eotasks.workflows.cloud_archive.files import ArchivedFiles
from eotasks.workflows.cloud_archive.item import SourceFacts
from eotasks.workflows.cloud_archive.settings import ArchiveSettings
from eotasks.workflows.cloud_archive.source import decode_location
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.product import make_masks, refuse_product
from eotasks.workflows.product_masks.reading import ProductReading


@dataclass(frozen=True)
class OpenedProduct:
    """A product whose masks are not there."""

    scene: Scene
    files: ArchivedFiles
    facts: SourceFacts
    reading: ProductReading | None = None
    """What was read of it before its turn."""


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
        prepared: Prepared[OpenedProduct | None] | None = None,
    ) -> None:
        """
        :param name: Of the product.
        :param folder: Of its masks, in the archive.
        :param location: Of `eotasks.workflows.cloud_archive.source.encode_location`.
        :param origin: Who named it; None for the user himself.
        :param prepared: What :meth:`prepare` has done of it.
        :raises ImageryError: when the product is damaged, or another than its item says.
        :raises EOTasksError: when no masks can be made of it, or written.
        """
        product = self._open(name, folder, location, origin) if prepared is None else prepared.result()
        if product is not None:
            masks = make_masks(product.scene, self.options, reading=product.reading)
            product.files.write(product.scene, masks, self.options, product.facts)

    def prepare(
        self,
        *,
        name: str,
        folder: str,
        location: str,
        origin: Origin | None = None,
        source: str = "",  # noqa: ARG002 - as in execute
    ) -> OpenedProduct | None:
        """What can be done of a product before its turn, with the parameters and errors of :meth:`execute`.

        :return: What `prepared` gives; None where the masks are there.
        """
        product = self._open(name, folder, location, origin)
        if product is not None and is_far(product.scene):
            reading = ProductReading(product.scene, self.options)
            reading.read_ahead()
            return replace(product, reading=reading)
        return product

    def _open(self, name: str, folder: str, location: str, origin: Origin | None) -> OpenedProduct | None:
        scene = open_scene(decode_location(location), origin=origin, modifier=self.modifier)
        if scene.name != name:
            raise ImageryError(f"{scene.location}: is called {scene.name}, its item {name}. Describe it again.")
        refuse_product(scene, self.options)
        files = ArchivedFiles(self.place.child(folder), name)
        facts = SourceFacts.of(scene)
        if not self.anew and files.is_current(ArchiveSettings.of(self.options), facts):
            return None
        return OpenedProduct(scene, files, facts)


def is_far(scene: Scene) -> bool:
    """Whether bands of a product lie on a server."""
    files = scene.product.files
    return any(files.is_far(raster.name) for raster in scene.product.bands.values())
