"""CloudSEN12+ as TACO files (``cloudsen12-l1c.0000.part.taco`` and so on), with image and label of a patch as GeoTIFF.

Facts and where they are from: the format, see `eotasks.reference.cloud_labels.tortilla`; the names of the parts, and
that a patch is a tortilla of the image first and the label second, from readers of others (``dataset.read(i).read(0)``
and ``read(1)``); the columns ``label_type`` (only "high" is read: the labels of others are scribbles or machine made),
``roi_id`` and ``s2_id``, from the same; classes 0 to 3 and 99 for no label, from readers of ``cloudsen12-l2a`` and
``cloudsen12-extra``. A licence was not verified: see the page of the data set. Seen in no file of the data set itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

from eotasks.errors import ReferenceDataError
from eotasks.reference.cloud_labels.classes import LabelClass
from eotasks.reference.cloud_labels.files import existing, files_ending, none_found
from eotasks.reference.cloud_labels.protocol import FrameSource, LabelledFrame, LabelSet
from eotasks.reference.cloud_labels.rasters import l1c_frame, read_geotiff
from eotasks.reference.cloud_labels.sets.cloudsen12 import CLOUDSEN12_CLASSES, RESOLUTION
from eotasks.reference.cloud_labels.tortilla import Item, items_of

CLASSES: Mapping[int, LabelClass] = MappingProxyType({**CLOUDSEN12_CLASSES, 99: "no data"})
_COLUMNS = ("label_type", "roi_id", "s2_id")


class CloudSEN12Plus(LabelSet):
    """Parts of cloudsen12-l1c in a folder."""

    name = "cloudsen12-plus"
    title = "CloudSEN12+"
    layout = "CloudSEN12+ as TACO files: cloudsen12-l1c.*.taco"
    origin = "https://huggingface.co/datasets/tacofoundation/cloudsen12"
    licence = "not verified: see its page"
    classes = CLASSES

    def frames(self, folder: Path) -> Sequence[FrameSource]:
        """A frame for each patch with labels of high quality."""
        files = [
            file for file in files_ending(existing(folder, self.title), ".taco", ".tortilla") if "l2a" not in file.name
        ]
        if not files:
            raise none_found(folder, self.title, self.layout)
        patches = [(_name(item), file, item) for file in files for item in items_of(file, _COLUMNS) if _is_wanted(item)]
        if not patches:
            raise ReferenceDataError(f"{folder}: no patch in its files has labels of high quality.")
        names = [name for name, _, _ in patches]
        if len(set(names)) < len(names):
            raise ReferenceDataError(f"{folder}: a patch is in it twice. Give a folder with each part once.")
        return [
            FrameSource(name, partial(_load, file, item))
            for name, file, item in sorted(patches, key=lambda each: each[0])
        ]


def _is_wanted(item: Item) -> bool:
    return item.kind == "TORTILLA" and item.facts.get("label_type", "high") == "high"


def _name(item: Item) -> str:
    return item.identifier


def _load(file: Path, patch: Item) -> LabelledFrame:
    where = f"{file}, {patch.identifier}"
    inner = items_of(file, inside=patch)
    if len(inner) < 2 or any(each.kind != "GTiff" for each in inner[:2]):
        kinds = ", ".join(each.kind for each in inner[:5]) or "nothing"
        raise ReferenceDataError(f"{where}: {kinds} in it where an image and a label as GTiff are due.")
    image, labels = (read_geotiff(each.gdal_path(file), f"{where}, {each.identifier}") for each in inner[:2])
    identifier = str(patch.facts.get("s2_id") or patch.identifier)
    return l1c_frame(image, labels, CLASSES, identifier=identifier, where=where, resolution=RESOLUTION)


CLOUDSEN12_PLUS = CloudSEN12Plus()
