"""The files of one product: Cloud Optimized GeoTIFFs, a quick-look, and a record that says they are complete.

``DIR/NAME/`` holds ``NAME_CLP.tif`` where the detector has a probability, ``NAME_CLM.tif``, ``NAME_SHADOW.tif`` when
asked for, ``NAME_quicklook.png`` unless left out, NAME_CLP.qml and the like when styles are asked for, and
``NAME.json``, the record. Each file is written whole or not at all. The record is there first, and calls itself
complete last: a run that was interrupted is known by it and done again.

CLP is stored as Sentinel Hub serves it, probability * 255, with one difference: 255 means no data, so a certain cloud
is 254. The error is at most 1/255, half of that below. CLM is 0 clear, 1 cloud, 255 no data, and where asked for 3 snow
and 4 thin cloud: its colour table and its tag ENCODING name the classes that it may hold. CLM and SHADOW carry a colour
table, in which clear is transparent (by ``.aux.xml``); CLP does not: GDAL averages the colours of a file that
has one, where probabilities are to be averaged.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from eotasks.clouds.detectors.registry import find_detector
from eotasks.clouds.detectors.vocabulary import DEFAULT_DETECTOR
from eotasks.documents import parse_json, refuse_many_values
from eotasks.errors import ConfigurationError, ImageryError
from eotasks.export.cog import write_cog
from eotasks.export.styles import RampStop, class_style, ramp_style, write_style
from eotasks.imagery.scene import Scene
from eotasks.models.classes import ClassTable, LandCoverClass
from eotasks.models.clouds.mask_classes import SNOW, THIN_CLOUD
from eotasks.models.clouds.postprocess import CLEAR, CLOUD, MAX_CLP, NO_DATA
from eotasks.storage.place import Place
from eotasks.text import NAME_BYTES, redacted, refuse_name
from eotasks.workflows.cloud_mask.options import CloudMaskOptions
from eotasks.workflows.cloud_mask.product import ProductMasks, Shares
from eotasks.workflows.settings import changed_keys, in_words

RECORD_VERSION = 1
MAX_STORED_CLP = MAX_CLP - 1

CLM_CLASSES = ClassTable((LandCoverClass(CLEAR, "Clear", "#d9e3d4"), LandCoverClass(CLOUD, "Cloud", "#e69f00")))
SNOW_CLASS = LandCoverClass(SNOW, "Snow", "#56b4e9")
THIN_CLOUD_CLASS = LandCoverClass(THIN_CLOUD, "Thin cloud", "#f0e442")
SHADOW_CLASSES = ClassTable(
    (LandCoverClass(CLEAR, "No shadow", "#d9e3d4"), LandCoverClass(CLOUD, "Cloud shadow", "#0072b2"))
)

State = Literal["absent", "unfinished", "outdated", "complete"]

_NAMES = {
    "CLP": "{}_CLP.tif",
    "CLM": "{}_CLM.tif",
    "SHADOW": "{}_SHADOW.tif",
    "quicklook": "{}_quicklook.png",
    "CLP style": "{}_CLP.qml",
    "CLM style": "{}_CLM.qml",
    "SHADOW style": "{}_SHADOW.qml",
}

_CLP_STOPS: tuple[RampStop, ...] = (
    (0.0, "#fff7ec", 0, "0 %"),
    (0.2, "#fdd49e", 110, "20 %"),
    (0.4, "#fc8d59", 200, "40 %"),
    (0.7, "#d7301f", 230, "70 %"),
    (1.0, "#7f0000", 255, "100 %"),
)
"""Clear sky lets through the scene beneath."""

_TRANSPARENT = (CLEAR,)


class _Record(BaseModel):
    """Contents of ``NAME.json``."""

    version: int
    complete: bool
    eotasks: str
    detector_package: str | None = None
    """Of a plugin's detector: its package and the version of that."""
    product: str
    settings: dict[str, Any]
    inputs: dict[str, list[int]]
    files: dict[str, int]
    shares: Shares | None
    sun: dict[str, float] | None = None
    """Of results with shadows, in degrees."""


@dataclass(frozen=True)
class MaskFiles:
    """Where the results of one product go."""

    place: Place
    """``DIR/NAME``, on disk or on S3."""

    name: str
    """Of the product."""

    @property
    def record(self) -> str:
        """Name of the record of what was done."""
        return f"{self.name}.json"

    def file(self, kind: str) -> str:
        """Name of the file of "CLP", "CLM", "SHADOW" or "quicklook"."""
        return _NAMES[kind].format(self.name)

    def location(self, kind: str) -> str:
        """Path or S3 location of that file."""
        return f"{self.place}/{self.file(kind)}"

    def kinds(self, options: CloudMaskOptions) -> list[str]:
        """What is written under these options."""
        left_out = {
            "CLP": "probability" not in options.answers,
            "SHADOW": not options.shadows,
            "quicklook": not options.quicklook,
        }
        left_out |= {f"{kind} style": left_out.get(kind, False) or not options.styles for kind in _STYLES}
        return [kind for kind in _NAMES if not left_out.get(kind)]

    def state(self, scene: Scene, options: CloudMaskOptions, *, overwrite: bool = False) -> State:
        """What lies there already. Writes nothing.

        "outdated" are results of the same settings whose input or eotasks has changed since.

        :param overwrite: Whether files of other settings, or of unknown origin, may be replaced.
        :raises ConfigurationError: when such files are there and may not be.
        """
        sizes = self.place.files()
        there = [self.file(kind) for kind in _NAMES if self.file(kind) in sizes]
        record = self._read_record() if self.record in sizes else None
        if record is None:
            if self.record in sizes:
                there.append(self.record)
            if there and not overwrite:
                raise ConfigurationError(
                    f"{self.place} holds {', '.join(there)} and no record of this command: give another --out, or"
                    " replace them with --overwrite."
                )
            return "unfinished" if there else "absent"
        wanted = _as_json(options.to_dict())
        # Records that name no detector are of s2cloudless, the only one when they were written.
        changed = changed_keys({"detector": DEFAULT_DETECTOR, **record.settings}, wanted)
        if changed and record.complete and not overwrite:
            raise ConfigurationError(
                f"{self.place} holds results of other settings ({in_words(changed)} changed): give another --out, or"
                " replace them with --overwrite."
            )
        wanted_files = {self.file(kind) for kind in self.kinds(options)}
        if not record.complete or not _is_whole(record, sizes) or not wanted_files <= record.files.keys():
            return "unfinished"
        software = (version("eotasks"), options.detector_package())
        current = (record.eotasks, record.detector_package) == software and record.inputs == _inputs(scene)
        return "complete" if current and not changed else "outdated"

    def shares(self) -> Shares:
        """What a complete record says about the product."""
        record = self._read_record() if self.place.exists(self.record) else None
        if record is None or record.shares is None:
            raise ConfigurationError(f"{self.place}/{self.record} is no complete record: replace it with --overwrite.")
        return record.shares

    def write(self, scene: Scene, masks: ProductMasks, options: CloudMaskOptions) -> None:
        """Write everything, the record last.

        :raises ValueError: when the masks lack what the options ask for: a file of another run would stand for it.
        :raises StorageError: when a file cannot be written.
        """
        kinds = self.kinds(options)
        made: dict[str, object] = {
            "CLP": masks.probability,
            "CLM": masks.mask,
            "SHADOW": masks.shadow,
            "quicklook": masks.picture,
        }
        lacking = [kind for kind in kinds if made.get(kind, _STYLES) is None]
        if lacking:
            raise ValueError(f"{self.name}: the masks have no {', '.join(lacking)}, which their options ask for")
        record = _Record(
            version=RECORD_VERSION,
            complete=False,
            eotasks=version("eotasks"),
            detector_package=options.detector_package(),
            product=self.name,
            settings=options.to_dict(),
            inputs=_inputs(scene),
            files={},
            shares=None,
            sun=None if masks.shadow is None else sun_angles(masks),
        )
        self._write_record(record)
        for kind in _NAMES.keys() - set(kinds):  # of a run with other options
            for name in (self.file(kind), f"{self.file(kind)}.aux.xml"):
                self.place.remove(name)
        tags = product_tags(self.name, masks, options)
        self._write_images(masks, kinds, clm_classes(options), tags)
        for kind, style in _STYLES.items():
            if f"{kind} style" in kinds:
                content = class_style(clm_classes(options), transparent=_TRANSPARENT) if kind == "CLM" else style()
                write_style(self.location(kind), content)
        if "quicklook" in kinds:
            from eotasks.workflows.cloud_mask.quicklook import draw_quicklook  # loads Pillow

            with self.place.writing(self.file("quicklook")) as temporary:
                draw_quicklook(masks, options, self.name, temporary)
        there = self.place.files()
        sizes = {name: there[name] for name in map(self.file, kinds)}
        self._write_record(record.model_copy(update={"complete": True, "files": sizes, "shares": masks.shares}))

    def _write_images(
        self, masks: ProductMasks, kinds: Sequence[str], clm: ClassTable, tags: Mapping[str, str]
    ) -> None:
        if "CLP" in kinds and masks.probability is not None:
            write_cog(
                self.location("CLP"),
                stored_probability(masks.probability, masks.mask != NO_DATA),
                crs=masks.grid.crs,
                bounds=masks.grid.bounds,
                nodata=NO_DATA,
                descriptions=["Cloud probability"],
                tags={**tags, "ENCODING": f"probability * {MAX_CLP}, at most {MAX_STORED_CLP}; {NO_DATA} no data"},
                overviews="average",
                scale=1 / MAX_CLP,
            )
        self._write_mask("CLM", masks.mask, clm, masks, tags)
        if "SHADOW" in kinds and masks.shadow is not None:
            self._write_mask("SHADOW", masks.shadow, SHADOW_CLASSES, masks, tags)

    def _write_mask(
        self, kind: str, mask: NDArray[np.uint8], classes: ClassTable, masks: ProductMasks, tags: Mapping[str, str]
    ) -> None:
        encoding = ", ".join([*(f"{item.id} {item.name.lower()}" for item in classes), f"{NO_DATA} no data"])
        write_cog(
            self.location(kind),
            mask,
            crs=masks.grid.crs,
            bounds=masks.grid.bounds,
            classes=classes,
            nodata=NO_DATA,
            descriptions=["Cloud mask" if kind == "CLM" else "Cloud shadow"],
            tags={**tags, "ENCODING": encoding},
            overviews="mode",
            transparent=_TRANSPARENT,
        )

    def _read_record(self) -> _Record | None:
        """The record; None where there is nothing of ours under its name."""
        try:
            content = parse_json(self.place.read_bytes(self.record), ValueError)
            refuse_many_values(content, ValueError)
            record = _Record.model_validate(content)
        except ValueError:  # pydantic's own too
            return None
        if record.version > RECORD_VERSION:
            raise ConfigurationError(
                f"{self.place}/{self.record}: version {record.version}, this eotasks reads up to {RECORD_VERSION}:"
                " upgrade it, or give another --out."
            )
        return record

    def _write_record(self, record: _Record) -> None:
        # what is kept apart is named where it was asked for only
        shares = record.shares
        absent = {name for name in ("snow", "thin_cloud") if shares is not None and getattr(shares, name) is None}
        text = record.model_dump_json(indent=1, exclude={"shares": absent} if absent else None)
        self.place.write_bytes(self.record, (text + "\n").encode())


_STYLES: Mapping[str, Callable[[], bytes]] = {
    "CLP": partial(ramp_style, _CLP_STOPS),
    "CLM": partial(class_style, CLM_CLASSES, transparent=_TRANSPARENT),
    "SHADOW": partial(class_style, SHADOW_CLASSES, transparent=_TRANSPARENT),
}
"""Of each kind of file that QGIS shows."""


def clm_classes(options: CloudMaskOptions) -> ClassTable:
    """The classes of CLM under these options."""
    asked = [
        each for each, is_asked in ((SNOW_CLASS, options.snow), (THIN_CLOUD_CLASS, options.thin_cloud)) if is_asked
    ]
    return ClassTable((*CLM_CLASSES, *asked))


def _is_whole(record: _Record, sizes: Mapping[str, int]) -> bool:
    return bool(record.files) and all(sizes.get(name) == size for name, size in record.files.items())


def stored_probability(probability: NDArray[np.float32], is_data: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Probability 0..1 as uint8: times 255, at most 254, 255 without data."""
    stored = np.empty(probability.shape, dtype=np.uint8)
    for row, values in enumerate(probability):  # one by one: of a full tile all at once take gigabytes
        scaled = np.minimum(np.rint(values * np.float32(MAX_CLP)), MAX_STORED_CLP)
        stored[row] = np.where(is_data[row], scaled, NO_DATA)
    return stored


def product_tags(name: str, masks: ProductMasks, options: CloudMaskOptions) -> dict[str, str]:
    """Metadata of the GeoTIFFs: product, model and every parameter. Nothing in it depends on machine or clock."""
    acquisition = masks.acquisition
    known = {
        "PRODUCT": name,
        "SATELLITE": acquisition.satellite,
        "TILE": f"T{acquisition.tile}",
        "LEVEL": acquisition.level,
        "PROCESSING_BASELINE": acquisition.processing_baseline,
        "RELATIVE_ORBIT": acquisition.relative_orbit,
        "ACQUISITION_TIME": f"{acquisition.time.isoformat()}Z",
        **({} if masks.shadow is None else {name.upper(): value for name, value in sun_angles(masks).items()}),
        **find_detector(options.detector).tags,
        "DETECTOR_PACKAGE": options.detector_package(),
        "TIFFTAG_SOFTWARE": f"eotasks {version('eotasks')}",
        "TIFFTAG_COPYRIGHT": acquisition.attribution,
    }
    settings = {key.upper(): value for key, value in options.to_dict().items()}
    return {key: str(value) for key, value in {**known, **settings}.items() if value not in (None, "")}


def sun_angles(masks: ProductMasks) -> dict[str, float]:
    """Where the sun stood, in degrees: zenith, and azimuth clockwise from north. What shadows are found by, in files of
    results; nothing of products that do not say.
    """
    angles = {"sun_zenith": masks.acquisition.sun_zenith, "sun_azimuth": masks.acquisition.sun_azimuth}
    return {name: value for name, value in angles.items() if value is not None and math.isfinite(value)}


def check_name(name: str, location: str) -> None:
    """Refuse a product whose name cannot be that of the folder and files of its results, before any work.

    :raises ImageryError: it holds what nobody sees, leads elsewhere, or is too long.
    """
    reason = refuse_name(name, longest=NAME_BYTES - max(len(ending.format("")) for ending in _NAMES.values()))
    if reason is not None:
        raise ImageryError(f"{redacted(location)}: its name {name!r} cannot be that of a folder: {reason}.")


def product_name(location: str | Path) -> str:
    """Name of a product by where it lies: that of its folder, archive or item, without .SAFE, .zip and .json."""
    text = redacted(str(location))
    name = text.rstrip("/").rpartition("/")[2] if "://" in text else resolved(location).name
    for ending in (".zip", ".json", ".SAFE"):
        name = name.removesuffix(ending)
    return name


def resolved(location: str | Path) -> Path:
    """A path without links, as far as it can be followed."""
    try:
        return Path(location).resolve()
    except (OSError, RuntimeError, ValueError):  # a circle of links, a character that no path has
        return Path(os.path.abspath(location))  # noqa: PTH100 - looks at nothing


def _inputs(scene: Scene) -> dict[str, list[int]]:
    """Size and time of change of what a product is read from, as make looks at them."""
    return {name: list(facts) for name, facts in scene.fingerprints().items()}


def _as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a record of these values reads back as."""
    decoded: dict[str, Any] = json.loads(json.dumps(values))
    return decoded
