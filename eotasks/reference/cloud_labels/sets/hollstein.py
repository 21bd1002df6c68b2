"""Hollstein, Segl, Guanter, Brell and Enesco 2016: some millions of spectra with a class each, in one HDF5 file.

``20170710_s2_manual_classification_data.h5`` and its forerunners: ``spectra`` (n, 13), reflectance of L1C;
``classes`` (n); ``band`` (13 names); ``class_ids`` and ``class_names``; and as they are there ``product_id`` and
``granule_id`` (n texts). There is no image: neighbours in the file are none on the ground, so each spectrum is judged
by itself. Spectra of one product and granule are one frame, arranged in a square by their classes; without these two
arrays all are one frame.

"Shadow" is that of clouds, cirrus, mountains and buildings alike; water and snow are clear, cirrus is thin cloud.

Facts and where they are from: the page of the data, https://git.gfz-potsdam.de/EnMAP/sentinel2_manual_classification_clouds
(classes, what they cover, that the arrays are aligned by their first dimension, names of the arrays); readers of others
on GitHub (names of all arrays; numbers 10 to 60 of the classes, also in the documentation of SICOR; that spectra are
reflectance, as they multiply by 10000). What the file itself says of bands and classes is compared with this and
refused where it differs. A licence was not verified. Seen in no file of the data set itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import ReferenceDataError
from eotasks.models.sentinel2 import BANDS
from eotasks.reference.cloud_labels.classes import NO_DATA_LABEL, LabelClass
from eotasks.reference.cloud_labels.files import existing, files_ending, none_found, shorter
from eotasks.reference.cloud_labels.hdf5 import Hdf5, open_hdf5
from eotasks.reference.cloud_labels.names import band_called, time_in
from eotasks.reference.cloud_labels.protocol import FrameSource, LabelledFrame, LabelSet

NAMES: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {
        10: ("clear", "clear-sky", "clear sky", "land"),
        20: ("water",),
        30: ("shadow",),
        40: ("cirrus",),
        50: ("cloud", "opaque cloud"),
        60: ("snow",),
    }
)
"""Numbers of the classes and what they are called, in small letters: the page, SICOR and readers differ in a word."""

CLASSES: Mapping[int, LabelClass] = MappingProxyType(
    {10: "clear", 20: "water", 30: "shadow", 40: "thin cloud", 50: "thick cloud", 60: "snow", NO_DATA_LABEL: "no data"}
)
ENDING = "s2_manual_classification_data.h5"
RESOLUTION = 10.0
_MOST_FRAMES = 10_000
_SPECTRA, _LABELS, _BAND, _IDS, _NAMES = "spectra", "classes", "band", "class_ids", "class_names"
_GROUPS = ("product_id", "granule_id")

Rows = NDArray[np.int64]


class Hollstein(LabelSet):
    """The HDF5 file of spectra and classes."""

    name = "hollstein"
    title = "Sentinel-2 spectra of Hollstein et al. 2016"
    layout = f"Hollstein et al. 2016: *{ENDING}, spectra without surroundings"
    origin = "https://git.gfz-potsdam.de/EnMAP/sentinel2_manual_classification_clouds"
    licence = "not verified: see its page"
    classes = CLASSES
    points = True

    def frames(self, folder: Path) -> Sequence[FrameSource]:
        """A frame for each product and granule."""
        files = files_ending(existing(folder, self.title), ENDING)
        if not files:
            raise none_found(folder, self.title, self.layout)
        if len(files) > 1:
            raise ReferenceDataError(f"{folder}: {files[0].name} and {files[1].name} hold the same spectra: keep one.")
        (file,) = files
        with open_hdf5(file) as content:
            _check(content, file)
            groups = _groups(content, content.shape(_LABELS)[0], file)
        return [FrameSource(name, partial(_load, file, name, rows)) for name, rows in sorted(groups.items())]


def _check(content: Hdf5, file: Path) -> None:
    """Refuse a file whose bands, classes or shapes are others than those that are known."""
    spectra, labels = content.shape(_SPECTRA), content.shape(_LABELS)
    if spectra != (*labels, len(BANDS)) or not labels or not labels[0]:
        raise ReferenceDataError(
            f"{file}: spectra {spectra} and classes {labels} where (n, {len(BANDS)}) and (n,) are due."
        )
    bands = tuple(band_called(name) for part in content.texts(_BAND) for name in part)
    if bands != BANDS:
        raise ReferenceDataError(
            f"{file}: its bands are not the 13 of L1C in their order: {', '.join(map(str, bands))}."
        )
    numbers = content.numbers(_IDS).tolist()
    names = [name.strip().lower() for part in content.texts(_NAMES) for name in part]
    pairs = list(zip(numbers, names, strict=False))
    as_known = all(name in NAMES.get(number, ()) for number, name in pairs)
    if not as_known or sorted(numbers) != list(NAMES) or len(names) != len(numbers):
        said, due = (
            ", ".join(f"{number} {name}" for number, name in each)
            for each in (pairs, [(number, names[0]) for number, names in NAMES.items()])
        )
        raise ReferenceDataError(f"{file}: its classes are {said[:300] or 'none'} where {due} are due.")


def _groups(content: Hdf5, count: int, file: Path) -> dict[str, Rows]:
    """Name of a frame to its rows."""
    if not set(_GROUPS) <= content.names():
        return {file.stem: np.arange(count)}
    known: dict[tuple[str, ...], int] = {}
    codes = np.empty(count, dtype=np.int64)
    for name in _GROUPS:
        if content.shape(name) != (count,):
            raise ReferenceDataError(f"{file}: {name} has shape {content.shape(name)} for {count:,} spectra.")
    at = 0
    for products, granules in zip(*(content.texts(name) for name in _GROUPS), strict=True):
        for pair in zip(products, granules, strict=True):
            codes[at] = known.setdefault(pair, len(known))
            at += 1
        if len(known) > _MOST_FRAMES:
            raise ReferenceDataError(f"{file}: more than {_MOST_FRAMES:,} products and granules. Download it again.")
    order = np.argsort(codes, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(codes))[:-1])
    names = [re.sub(r"\.SAFE$", "", f"{granule}_{product}") for product, granule in known]
    names = shorter(names, _short_name)
    if len(set(names)) < len(names):
        raise ReferenceDataError(f"{file}: two of its products have one name. Download it again.")
    return dict(zip(names, parts, strict=True))


def _short_name(name: str) -> str:
    """Granule and time, where the name of the product says one."""
    time = time_in(name)
    return name if time is None else f"{name.partition('_')[0]}_{time:%Y%m%dT%H%M%S}"


def _load(file: Path, name: str, rows: Rows) -> LabelledFrame:
    around = slice(int(rows[0]), int(rows[-1]) + 1)  # in their order; those of a product lie together
    with open_hdf5(file) as content:
        spectra = content.numbers(_SPECTRA, around)[rows - rows[0]]
        labels = content.numbers(_LABELS, around)[rows - rows[0]]
    if spectra.dtype.kind != "f" or labels.dtype.kind not in "iu":
        raise ReferenceDataError(
            f"{file}: spectra {spectra.dtype} and classes {labels.dtype} where floats and whole numbers are due."
        )
    unknown = sorted(set(np.unique(labels).tolist()) - set(NAMES))
    if unknown:
        raise ReferenceDataError(f"{file}: the class {unknown[0]} of a spectrum is none of {list(NAMES)}.")
    order = np.argsort(labels, kind="stable")
    return _arranged(spectra[order].astype(np.float32), labels[order].astype(np.uint8), name)


def _arranged(spectra: NDArray[np.float32], labels: NDArray[np.uint8], name: str) -> LabelledFrame:
    """Spectra as an image as square as can be, the rest of it without data."""
    width = int(np.ceil(np.sqrt(len(labels))))
    height = -(-len(labels) // width)
    image = np.zeros((height * width, len(BANDS)), np.float32)
    classes = np.full(height * width, NO_DATA_LABEL, np.uint8)
    image[: len(labels)], classes[: len(labels)] = spectra, labels
    shaped = image.reshape(height, width, len(BANDS))
    is_data = np.asarray(np.isfinite(shaped).all(axis=-1) & (shaped != 0).any(axis=-1), dtype=bool)
    return LabelledFrame(shaped, BANDS, is_data, classes.reshape(height, width), RESOLUTION, time_in(name))


HOLLSTEIN = Hollstein()
