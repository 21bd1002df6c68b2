"""CloudSEN12 as folders: each image patch a folder with Sentinel-2 and its labels as GeoTIFF.

``.../ROI_0051/20200215T082021_20200215T084629_T34JCP/S2L1C.tif`` and beside it ``labels/manual_hq.tif``. Patches with
scribbles (``manual_sc.tif``) or no labels have no ``manual_hq.tif`` and are left out.

Facts and where they are from: the folders and names of files, from `cloudsen12/figures` on GitHub (its R script of
figure 10) and several readers of others, among them with folders such as ``03__ROI_0047__ROI_0069`` above; classes 0 to
3, from the dataset card ``csaybar/CloudSEN12-high`` on Hugging Face, which says CC BY-NC 4.0 too. That ``S2L1C.tif``
has the 13 bands in the order of L1C is what its card says of the same patches; names of bands in the file that say
otherwise are refused. Seen in no file of the data set itself: none was at hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

from eotasks.reference.cloud_labels.classes import LabelClass
from eotasks.reference.cloud_labels.files import existing, none_found, shorter, walk
from eotasks.reference.cloud_labels.protocol import FrameSource, LabelledFrame, LabelSet
from eotasks.reference.cloud_labels.rasters import l1c_frame, read_geotiff

CLOUDSEN12_CLASSES: Mapping[int, LabelClass] = MappingProxyType(
    {0: "clear", 1: "thick cloud", 2: "thin cloud", 3: "shadow"}
)
IMAGE, LABELS = "S2L1C.tif", "labels/manual_hq.tif"
RESOLUTION = 10.0


class CloudSEN12(LabelSet):
    """Folders with S2L1C.tif and labels/manual_hq.tif."""

    name = "cloudsen12"
    title = "CloudSEN12"
    layout = f"CloudSEN12 as folders: ROI/PATCH/{IMAGE} and {LABELS} in it"
    origin = "https://cloudsen12.github.io/download.html"
    licence = "CC BY-NC 4.0 (the card of the same patches on Hugging Face)"
    classes = CLOUDSEN12_CLASSES

    def frames(self, folder: Path) -> Sequence[FrameSource]:
        """A frame for each folder with both files."""
        found = [at for at, _, files in walk(existing(folder, self.title)) if IMAGE in files and (at / LABELS).exists()]
        if not found:
            raise none_found(folder, self.title, self.layout)
        names = [at.resolve().name if at == folder else at.relative_to(folder).as_posix() for at in found]
        names = shorter(names, lambda name: "/".join(name.split("/")[-2:]))  # region and patch
        return [FrameSource(name, partial(_load, at)) for name, at in sorted(zip(names, found, strict=True))]


def _load(folder: Path) -> LabelledFrame:
    image, labels = (read_geotiff(folder / name, str(folder / name)) for name in (IMAGE, LABELS))
    return l1c_frame(
        image, labels, CLOUDSEN12_CLASSES, identifier=folder.resolve().name, where=str(folder), resolution=RESOLUTION
    )


CLOUDSEN12 = CloudSEN12()
