"""KappaZeta's labels (KappaSet and its forerunner): a NetCDF-4 file for each sub-tile of 512 x 512 pixels of 10 m.

Each band is an array of floats under its name ("B01" .. "B12"), digital numbers divided by 65535 and any offset of the
baseline still in them; ``Label`` holds the classes as bytes; the attribute ``product_name`` of the file the product.
Sub-tiles have no place on the ground.

Facts and where they are from: the program that wrote the files, `kappazeta/cm-vsm` on GitHub (``netcdf_interface.cpp``:
NetCDF-4, floats of what is deeper than 8 bits divided by 65535, rows first, the attributes; README: names of layers);
`kappazeta/km_predict` (``data_generator.py`` adds the offset divided by 65535 to the same arrays); the description of
KappaSet, https://zenodo.org/record/7100327, as quoted by others: classes 0 to 5, size, no georeferencing. CC BY 4.0 is
what the notice of `microsoft/farmvibes-ai` says of the forerunner, https://zenodo.org/record/5095024; of KappaSet it
was not verified. Seen in no file of the data set itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np

from eotasks.errors import ReferenceDataError
from eotasks.models.sentinel2 import BANDS, NO_DATA_DN
from eotasks.reference.cloud_labels.classes import LabelClass
from eotasks.reference.cloud_labels.files import existing, files_ending, name_below, none_found
from eotasks.reference.cloud_labels.hdf5 import h5py_module, open_hdf5
from eotasks.reference.cloud_labels.names import offset_of, time_in
from eotasks.reference.cloud_labels.protocol import FrameSource, LabelledFrame, LabelSet
from eotasks.reference.cloud_labels.rasters import check_labels

CLASSES: Mapping[int, LabelClass] = MappingProxyType(
    {0: "not known", 1: "clear", 2: "shadow", 3: "thin cloud", 4: "thick cloud", 5: "no data"}
)
LABEL, PRODUCT = "Label", "product_name"
SCALE = 65_535
RESOLUTION = 10.0
_ROUNDING = 1e-3
"""Digital numbers by which a float may miss a whole one, and 0..1 its ends."""


class KappaZeta(LabelSet):
    """Files .nc with the bands of L1C and Label."""

    name = "kappazeta"
    title = "KappaZeta cloud and cloud shadow masks"
    layout = "KappaSet or its forerunner: *.nc with the bands and Label"
    origin = "https://zenodo.org/record/7100327 (KappaSet), https://zenodo.org/record/5095024"
    licence = "CC BY 4.0 (the forerunner, by a notice of others); KappaSet not verified: see its page"
    classes = CLASSES

    def frames(self, folder: Path) -> Sequence[FrameSource]:
        """A frame for each file."""
        files = files_ending(existing(folder, self.title), ".nc")
        if not files:
            raise none_found(folder, self.title, self.layout)
        h5py_module()  # before any work
        return [FrameSource(name_below(folder, file), partial(_load, file)) for file in files]


def _load(file: Path) -> LabelledFrame:
    with open_hdf5(file) as content:
        there = content.names()
        names = tuple(band for band in BANDS if band in there)
        if not names or LABEL not in there:
            missing = "no band of Sentinel-2" if not names else f"no {LABEL!r}"
            raise ReferenceDataError(f"{file}: {missing} in it, but {', '.join(sorted(there))[:200] or 'nothing'}.")
        labels = content.numbers(LABEL)
        shapes = {name: content.shape(name) for name in (LABEL, *names)}
        if labels.ndim != 2 or len(set(shapes.values())) != 1:
            raise ReferenceDataError(f"{file}: its arrays are of several shapes or none of (h, w): {shapes}.")
        product = content.text_attribute(PRODUCT)
        bands = np.stack([_digital_numbers(content.numbers(name), f"{file}, {name}") for name in names], axis=-1)
    check_labels(labels, CLASSES, str(file))
    is_data = np.asarray((bands != NO_DATA_DN).any(axis=-1), dtype=bool)
    offset = offset_of(product)
    if offset:
        bands = np.where(is_data[..., np.newaxis], bands + offset, NO_DATA_DN)
    time = time_in(product) or time_in(file.name)
    return LabelledFrame(bands, names, is_data, labels, RESOLUTION, time)


def _digital_numbers(
    values: np.ndarray[tuple[int, ...], np.dtype[np.generic]], where: str
) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    if values.dtype.kind != "f" or not np.isfinite(values).all() or values.min() < 0 or values.max() > 1 + _ROUNDING:
        raise ReferenceDataError(
            f"{where}: values of type {values.dtype} where floats 0..1, digital numbers / {SCALE}, are due."
        )
    return np.rint(values.astype(np.float64) * SCALE).astype(np.int32)


KAPPAZETA = KappaZeta()
