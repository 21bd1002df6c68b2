"""The Sentinel-2 Cloud Mask Catalogue (Francis, Mrziglod, Sidiropoulos and Muller 2020): npy arrays.

``subscenes/SCENE.npy``: float32 (1022, 1022, 13), reflectance of L1C at 20 m, bands in the order of L1C.
``masks/SCENE.npy``: (1022, 1022, 3), true in one of clear, cloud, shadow. ``classification_tags.csv``: a row for each
of the 513 scenes, with ``scene`` and ``shadows_marked``: in 89 of them nobody looked for shadows, which then count as
"clear" in the mask. There no detector is judged by shadows.

Facts and where they are from: https://zenodo.org/record/4172871 and its README.pdf, as notes and readers of others on
GitHub quote them (order of the mask's layers and of the bands, types, sizes, resolution, the columns of the table). CC
BY 4.0 is what the notice of `microsoft/farmvibes-ai` says. Seen in no file of the data set itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ReferenceDataError
from eotasks.models.sentinel2 import BANDS
from eotasks.reference.cloud_labels.classes import NO_DATA_LABEL, LabelClass
from eotasks.reference.cloud_labels.files import existing, files_ending, none_found, read_npy, read_table
from eotasks.reference.cloud_labels.names import time_in
from eotasks.reference.cloud_labels.protocol import FrameSource, LabelledFrame, LabelSet

SCENES, MASKS, TAGS = "subscenes", "masks", "classification_tags.csv"
LAYERS: tuple[LabelClass, ...] = ("clear", "cloud", "shadow")
CLASSES: Mapping[int, LabelClass] = MappingProxyType({**dict(enumerate(LAYERS)), NO_DATA_LABEL: "not known"})
RESOLUTION = 20.0


class MaskCatalogue(LabelSet):
    """Folders subscenes and masks, and classification_tags.csv."""

    name = "cloud-mask-catalogue"
    title = "Sentinel-2 Cloud Mask Catalogue"
    layout = f"Sentinel-2 Cloud Mask Catalogue: {SCENES}/*.npy, {MASKS}/*.npy, {TAGS}"
    origin = "https://zenodo.org/record/4172871"
    licence = "CC BY 4.0 (by a notice of others)"
    classes = CLASSES

    def frames(self, folder: Path) -> Sequence[FrameSource]:
        """A frame for each scene that lies there; each has its row in the table."""
        scenes = existing(folder, self.title) / SCENES
        files = [file for file in files_ending(scenes, ".npy") if file.parent == scenes] if scenes.is_dir() else []
        if not files:
            raise none_found(folder, self.title, self.layout)
        if not (folder / TAGS).exists():
            raise ReferenceDataError(
                f"{folder / TAGS} is missing: it says in which scenes shadows were marked. Download it too"
                f" ({self.origin})."
            )
        rows = {row["scene"]: row["shadows_marked"].strip() for row in read_table(folder / TAGS, _COLUMNS)}
        unknown = [file.stem for file in files if rows.get(file.stem) not in ("0", "1")]
        if unknown:
            raise ReferenceDataError(
                f"{folder / TAGS}: says of {len(unknown)} scenes not whether shadows were marked, such as {unknown[0]}."
                " Download it again."
            )
        return [
            FrameSource(file.stem, partial(_load, file, folder / MASKS / file.name, rows[file.stem] == "1"))
            for file in files
        ]


_COLUMNS = ("scene", "shadows_marked")


def _load(scene: Path, mask: Path, shadows_marked: bool) -> LabelledFrame:
    bands = read_npy(scene)
    if bands.ndim != 3 or bands.shape[-1] != len(BANDS) or bands.dtype.kind != "f":
        raise ReferenceDataError(
            f"{scene}: {bands.dtype} {bands.shape} where floats (h, w, {len(BANDS)}) are due. Download it again."
        )
    labels = _labels(read_npy(mask), bands.shape[:2], mask)
    is_data = np.asarray(np.isfinite(bands).all(axis=-1) & (bands != 0).any(axis=-1), dtype=bool)
    return LabelledFrame(
        bands, BANDS, is_data, labels, RESOLUTION, time_in(scene.stem), shadows_labelled=shadows_marked
    )


def _labels(layers: NDArray[np.generic], shape: tuple[int, ...], where: Path) -> NDArray[np.uint8]:
    """Number of the one layer that is true; 255 where none is."""
    if layers.shape != (*shape, len(LAYERS)) or not np.isin(layers, (0, 1)).all():
        raise ReferenceDataError(
            f"{where}: {layers.dtype} {layers.shape} where layers of 0 and 1 {(*shape, len(LAYERS))} are due."
        )
    true = layers.astype(bool)
    count = true.sum(axis=-1)
    if (count > 1).any():
        raise ReferenceDataError(
            f"{where}: {int((count > 1).sum()):,} pixels are in several classes. Download it again."
        )
    return np.where(count == 0, NO_DATA_LABEL, true.argmax(axis=-1)).astype(np.uint8)


MASK_CATALOGUE = MaskCatalogue()
