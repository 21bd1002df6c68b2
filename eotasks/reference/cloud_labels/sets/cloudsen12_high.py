"""CloudSEN12, its high-quality part as plain arrays: a file for each band, all patches one after the other.

``test/L1C_B1.dat`` to ``L1C_B12.dat`` (int16, n x 512 x 512), ``LABEL_manual_hq.dat`` (int8, the same shape) and
``metadata.csv`` with a row for each patch; ``train`` has 8,490, ``val`` 535, ``test`` 975. The patches are 509 pixels
wide, with zeros to 512.

Facts and where they are from: dataset card ``csaybar/CloudSEN12-high`` on Hugging Face (bands, scale 0.0001, int16,
classes, CC BY-NC 4.0); shapes and types as readers of others open them, and as the sizes of files on the pages of the
sister set ``CloudSEN12-nolabel`` agree (3.08 GB a band and 1.54 GB of labels of 5,880 patches). The columns ``roi_id``
and ``s2_id_gee`` of ``metadata.csv`` are those of `cloudsen12/figures`; without them patches are numbered.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from eotasks.errors import ReferenceDataError
from eotasks.models.sentinel2 import BANDS, NO_DATA_DN
from eotasks.reference.cloud_labels.files import existing, file_size, none_found, read_part, read_table, walk
from eotasks.reference.cloud_labels.names import time_in
from eotasks.reference.cloud_labels.protocol import FrameSource, LabelledFrame, LabelSet
from eotasks.reference.cloud_labels.rasters import check_labels
from eotasks.reference.cloud_labels.sets.cloudsen12 import CLOUDSEN12_CLASSES, RESOLUTION

SIDE = 512
LABELS, TABLE = "LABEL_manual_hq.dat", "metadata.csv"
BAND_FILES = tuple(f"L1C_{band[0]}{band[1:].lstrip('0')}.dat" for band in BANDS)
BAND_TYPE, LABEL_TYPE = np.dtype("<i2"), np.dtype("int8")


class CloudSEN12High(LabelSet):
    """Folders train, val and test with L1C_B*.dat and LABEL_manual_hq.dat, or one of them."""

    name = "cloudsen12-high"
    title = "CloudSEN12 (high quality)"
    layout = f"CloudSEN12 as arrays: L1C_B*.dat and {LABELS}, in train, val and test or in one of them"
    origin = "https://huggingface.co/datasets/csaybar/CloudSEN12-high"
    licence = "CC BY-NC 4.0"
    classes = CLOUDSEN12_CLASSES

    def frames(self, folder: Path) -> Sequence[FrameSource]:
        """A frame for each patch of each folder with labels."""
        parts = [at for at, _, files in walk(existing(folder, self.title)) if LABELS in files]
        if not parts:
            raise none_found(folder, self.title, self.layout)
        sources: list[FrameSource] = []
        for part in sorted(parts):
            prefix = "" if part == folder else f"{part.relative_to(folder).as_posix()}/"
            names = _names(part, _count(part))
            sources += [
                FrameSource(f"{prefix}{name}", partial(_load, part, index, name)) for index, name in enumerate(names)
            ]
        return sources


def _count(part: Path) -> int:
    size, each = file_size(part / LABELS), SIDE * SIDE
    if not size or size % each:
        raise ReferenceDataError(f"{part / LABELS}: {size:,} bytes are no whole number of patches of {SIDE} x {SIDE}.")
    for name in BAND_FILES:
        found = file_size(part / name)
        if found != size * BAND_TYPE.itemsize:
            raise ReferenceDataError(
                f"{part / name}: {found:,} bytes where {size * BAND_TYPE.itemsize:,} are due for the {size // each}"
                f" patches of {LABELS}. Download it again."
            )
    return size // each


def _names(part: Path, count: int) -> list[str]:
    """Number of each patch, with the identifier of its image where the table has a row for each."""
    numbers = [f"{index:05d}" for index in range(count)]
    if not (part / TABLE).exists():
        return numbers
    rows = read_table(part / TABLE, ())
    if len(rows) != count:
        raise ReferenceDataError(f"{part / TABLE}: {len(rows)} rows for {count} patches. Download it again.")
    identifiers = ["_".join(filter(None, (row.get("roi_id"), row.get("s2_id_gee")))) for row in rows]
    return [f"{number}_{name}" if name else number for number, name in zip(numbers, identifiers, strict=True)]


def _load(part: Path, index: int, name: str) -> LabelledFrame:
    shape = (SIDE, SIDE)
    bands = np.stack([read_part(part / each, BAND_TYPE, shape, index) for each in BAND_FILES], axis=-1)
    labels = read_part(part / LABELS, LABEL_TYPE, shape, index)
    check_labels(labels, CLOUDSEN12_CLASSES, f"{part / LABELS}, patch {index}")
    is_data = np.asarray((bands != NO_DATA_DN).any(axis=-1), dtype=bool)
    return LabelledFrame(bands, BANDS, is_data, labels, RESOLUTION, time_in(name))


CLOUDSEN12_HIGH = CloudSEN12High()
