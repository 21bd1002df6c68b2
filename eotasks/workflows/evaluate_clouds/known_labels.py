"""Published data sets of labels as scenes to be evaluated, and detectors on spectra without surroundings."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from eolearn.core import EOPatch
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.clouds.detectors.eopatch import BANDS, IS_DATA, SUN_ANGLES
from eotasks.clouds.detectors.settings import DetectorSettings
from eotasks.errors import ConfigurationError
from eotasks.models.clouds.presets import FROM_PRESET
from eotasks.reference.cloud_labels.classes import ThinCloud, judged_as
from eotasks.reference.cloud_labels.protocol import FrameSource, LabelledFrame, LabelSet
from eotasks.reference.cloud_labels.registry import LABEL_SETS, find_label_set
from eotasks.storage.location import is_s3
from eotasks.text import printable
from eotasks.workflows.evaluate_clouds.contestants import Contestant
from eotasks.workflows.evaluate_clouds.labels import LabelFormat
from eotasks.workflows.evaluate_clouds.scenes import LabelledScene, SceneCollection, SceneSource, labelled_scene

NO_PLACE = (500_000.0, 5_000_000.0, 32633)
"""Left, top and EPSG number of frames whose data set does not say where they lie: their pixels have a size by it, and
nothing else is taken from it."""


def named_labels(text: str) -> tuple[LabelSet, Path]:
    """Data set and folder of ``NAME:FOLDER``.

    :raises ConfigurationError: another form, an unknown data set, or a folder that is not on this machine.
    """
    name, colon, folder = text.partition(":")
    if not colon or not folder:
        raise ConfigurationError(
            f"--labels {text!r}: give NAME:FOLDER, such as cloudsen12:data/cloudsen12. The names are"
            f" {', '.join(LABEL_SETS)}."
        )
    label_set = find_label_set(name)
    if is_s3(folder):
        raise ConfigurationError(f"--labels {text}: published labels are read from a folder on disk: copy them there.")
    return label_set, Path(folder)


def scenes_of_labels(label_set: LabelSet, folder: Path, *, thin_cloud: ThinCloud = "cloud") -> SceneCollection:
    """The frames of a published data set; each is read when it is its turn.

    :param thin_cloud: What thin cloud counts as: cloud, or nothing that is judged.
    :raises ConfigurationError: another word than these two.
    :raises AreaError: no such folder, or nothing of the data set in it.
    :raises ReferenceDataError: files that differ from what is known of the layout.
    :raises MissingDependencyError: a package that reads its files is not installed.
    """
    scheme = LabelFormat(classes=judged_as(label_set.classes, thin_cloud=thin_cloud))
    sources = [
        SceneSource(printable(source.name), partial(_scene, source, scheme)) for source in label_set.frames(folder)
    ]
    notes = [f"Labels: {label_set.title}, {label_set.origin}. Licence: {label_set.licence}."]
    if thin_cloud == "ignore":
        notes.append("Thin cloud is not judged.")
    if label_set.points:
        notes.append("Spectra without surroundings: nothing is averaged, eroded or grown.")
    return SceneCollection(label_set.title, sources, attribution=" ".join(notes))


def _scene(source: FrameSource, scheme: LabelFormat) -> LabelledScene:
    frame = source.load()
    patch = EOPatch(bbox=_bbox(frame), timestamps=[frame.time or dt.datetime(1970, 1, 1)])  # noqa: DTZ001 - naive UTC
    patch[BANDS] = frame.bands[np.newaxis]
    patch[IS_DATA] = frame.is_data[np.newaxis, ..., np.newaxis]
    if frame.sun is not None:
        patch[SUN_ANGLES] = np.array([frame.sun], dtype=np.float32)
    scene = labelled_scene(
        source.name, patch, frame.band_names, frame.labels[np.newaxis], scheme, where=printable(source.name)
    )
    return replace(scene, shadows_labelled=frame.shadows_labelled)


def _bbox(frame: LabelledFrame) -> BBox:
    if frame.crs is not None and frame.bounds is not None:
        return BBox(frame.bounds, CRS(frame.crs))
    left, top, epsg = NO_PLACE
    height, width = frame.labels.shape
    return BBox((left, top - height * frame.resolution, left + width * frame.resolution, top), CRS(epsg))


def on_spectra(chosen: Sequence[Contestant]) -> list[Contestant]:
    """Detectors for spectra without surroundings: their masks are the threshold and nothing else.

    :raises ConfigurationError: a detector that looks at neighbours, or at more than a spectrum; radii or a resolution
        that were asked for.
    """
    return [replace(each, settings=_pixel_by_pixel(each)) for each in chosen]


def _pixel_by_pixel(contestant: Contestant) -> DetectorSettings:
    detector, settings = contestant.detector, contestant.settings
    if not detector.per_pixel or contestant.clouds is not None or detector.needs:
        raise ConfigurationError(
            f"detector {contestant.name!r} needs more than the spectrum of a pixel, and these labels have nothing else:"
            " leave it out, or use s2cloudless."
        )
    asked = {
        "--average-over": settings.average_over not in (FROM_PRESET, None, 0),
        "--dilation": settings.dilation_size not in (FROM_PRESET, None, 0),
        "--resolution": settings.resolution is not None,
    }
    given = [option for option, is_given in asked.items() if is_given]
    if given:
        raise ConfigurationError(
            f"{', '.join(given)}: there is nothing around the spectra of these labels. Leave it out."
        )
    # Of a preset the threshold is left: others smooth and erode by what cannot be turned off one by one.
    return replace(
        settings, preset="eo-learn", threshold=settings.mask.threshold, average_over=None, dilation_size=None
    )
