"""The files of one product: Cloud Optimized GeoTIFFs, a quick-look, and a record that says they are complete.

``DIR/NAME/`` holds ``NAME_CLP.tif`` where the detector has a probability, ``NAME_CLM.tif``, ``NAME_SHADOW.tif`` and
``NAME_TERRAIN_SHADE.tif`` when asked for, ``NAME_quicklook.png`` unless left out, NAME_CLP.qml and the like when
styles are asked for, and ``NAME.json``, the record. Each file is written whole or not at all. The record is there
first, and calls itself complete last: a run that was interrupted is known by it and done again.

`eotasks.workflows.product_masks.images` has what the GeoTIFFs hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any, Literal

from pydantic import BaseModel

from eotasks.allocator import give_back
from eotasks.clouds.detectors.vocabulary import DEFAULT_DETECTOR
from eotasks.documents import parse_json, refuse_many_values
from eotasks.errors import ConfigurationError
from eotasks.export.styles import RampStop, class_style, ramp_style, write_style
from eotasks.imagery.scene import Scene
from eotasks.storage.place import Place
from eotasks.workflows.product_masks.images import (
    CLM_CLASSES,
    SHADOW_CLASSES,
    TERRAIN_CLASSES,
    TRANSPARENT,
    clm_classes,
    image_kinds,
    product_tags,
    sun_angles,
    write_images,
)
from eotasks.workflows.product_masks.options import CloudMaskOptions
from eotasks.workflows.product_masks.product import ProductMasks, Shares
from eotasks.workflows.settings import changed_keys, in_words

RECORD_VERSION = 1

State = Literal["absent", "unfinished", "outdated", "complete"]

_NAMES = {
    "CLP": "{}_CLP.tif",
    "CLM": "{}_CLM.tif",
    "SHADOW": "{}_SHADOW.tif",
    "TERRAIN_SHADE": "{}_TERRAIN_SHADE.tif",
    "quicklook": "{}_quicklook.png",
    "CLP style": "{}_CLP.qml",
    "CLM style": "{}_CLM.qml",
    "SHADOW style": "{}_SHADOW.qml",
    "TERRAIN_SHADE style": "{}_TERRAIN_SHADE.qml",
}

_CLP_STOPS: tuple[RampStop, ...] = (
    (0.0, "#fff7ec", 0, "0 %"),
    (0.2, "#fdd49e", 110, "20 %"),
    (0.4, "#fc8d59", 200, "40 %"),
    (0.7, "#d7301f", 230, "70 %"),
    (1.0, "#7f0000", 255, "100 %"),
)
"""Clear sky lets through the scene beneath."""


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
        """Name of the file of "CLP", "CLM", "SHADOW", "TERRAIN_SHADE" or "quicklook"."""
        return _NAMES[kind].format(self.name)

    def location(self, kind: str) -> str:
        """Path or S3 location of that file."""
        return f"{self.place}/{self.file(kind)}"

    def kinds(self, options: CloudMaskOptions) -> list[str]:
        """What is written under these options."""
        images = image_kinds(options)
        styles = [f"{kind} style" for kind in images] if options.styles else []
        made = {*images, *styles, *(["quicklook"] if options.quicklook else [])}
        return [kind for kind in _NAMES if kind in made]

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
        current = (record.eotasks, record.detector_package) == software and record.inputs == _inputs(scene, options)
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
            "TERRAIN_SHADE": masks.terrain_shade,
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
            inputs=_inputs(scene, options),
            files={},
            shares=None,
            sun=None if masks.shadow is None else sun_angles(masks),
        )
        self._write_record(record)
        for kind in _NAMES.keys() - set(kinds):  # of a run with other options
            for name in (self.file(kind), f"{self.file(kind)}.aux.xml"):
                self.place.remove(name)
        tags = product_tags(self.name, masks, options)
        write_images({kind: self.location(kind) for kind in image_kinds(options)}, masks, options, tags)
        for kind, style in _STYLES.items():
            if f"{kind} style" in kinds:
                content = class_style(clm_classes(options), transparent=TRANSPARENT) if kind == "CLM" else style()
                write_style(self.location(kind), content)
        if "quicklook" in kinds:
            from eotasks.workflows.cloud_mask.quicklook import draw_quicklook  # loads Pillow

            give_back()  # of what was written: the picture is where a product takes most memory
            with self.place.writing(self.file("quicklook")) as temporary:
                draw_quicklook(masks, options, self.name, temporary)
        there = self.place.files()
        sizes = {name: there[name] for name in map(self.file, kinds)}
        self._write_record(record.model_copy(update={"complete": True, "files": sizes, "shares": masks.shares}))

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
        named = ("snow", "thin_cloud", "terrain_shade")
        absent = {name for name in named if shares is not None and getattr(shares, name) is None}
        text = record.model_dump_json(indent=1, exclude={"shares": absent} if absent else None)
        self.place.write_bytes(self.record, (text + "\n").encode())


_STYLES: Mapping[str, Callable[[], bytes]] = {
    "CLP": partial(ramp_style, _CLP_STOPS),
    "CLM": partial(class_style, CLM_CLASSES, transparent=TRANSPARENT),
    "SHADOW": partial(class_style, SHADOW_CLASSES, transparent=TRANSPARENT),
    "TERRAIN_SHADE": partial(class_style, TERRAIN_CLASSES, transparent=TRANSPARENT),
}
"""Of each kind of file that QGIS shows."""


def _is_whole(record: _Record, sizes: Mapping[str, int]) -> bool:
    return bool(record.files) and all(sizes.get(name) == size for name, size in record.files.items())


def _inputs(scene: Scene, options: CloudMaskOptions) -> dict[str, list[int]]:
    """Size and time of change of what a product, and the height of its ground, are read from, as make looks at them."""
    inputs = {name: list(facts) for name, facts in scene.fingerprints().items()}
    if options.dem is not None:
        from eotasks.imagery.elevation import ElevationFile  # few products are masked with one

        inputs["dem"] = list(ElevationFile(options.dem).fingerprint())
    return inputs


def _as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a record of these values reads back as."""
    decoded: dict[str, Any] = json.loads(json.dumps(values))
    return decoded
