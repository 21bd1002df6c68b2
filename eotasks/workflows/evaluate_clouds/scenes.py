"""Labelled scenes: folders of GeoTIFFs, EOPatches, or simulated ones, read one at a time.

A folder of scenes has a folder for each scene, and may have a `labels.toml` that says how they are labelled. A scene is

- a folder with `bands.tif` (integer DN = reflectance * 10000, 0 in all bands or the file's no-data value where there is
  no data; or float reflectance) and `label.tif` (one band of whole numbers) on one grid, and as they are there
  `scl.tif` (Sen2Cor's scene classification), `clm.tif` (somebody's mask: 0 clear, 1 cloud, 2 shadow, 255 none; 3 snow
  counts as clear and 4 thin cloud as cloud) and `scene.toml` (time and sun); or
- an EOPatch with its bands, labels in a mask of its own, and perhaps IS_DATA, SCL, CLM and SUN_ANGLES.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from eolearn.core import EOPatch
from numpy.typing import NDArray

from eotasks.clouds.detectors.eopatch import BANDS, IS_DATA, SCL, STORED_MASK, SUN_ANGLES, frames_of
from eotasks.clouds.detectors.frames import Frames
from eotasks.clouds.detectors.protocol import Detection
from eotasks.eopatches.load import eopatch_info
from eotasks.errors import AreaError, ConfigurationError, EOTasksError, FeatureError, GridError, ReferenceDataError
from eotasks.models.band_sets import band_names
from eotasks.models.clouds.evaluation import SHADOW, map_labels
from eotasks.models.clouds.postprocess import CLEAR, CLOUD, NO_DATA
from eotasks.sources.eopatches import LoadEOPatchTask, list_source_eopatches
from eotasks.storage.location import is_s3
from eotasks.storage.place import Place
from eotasks.storage.temporary import temporary_folder
from eotasks.text import printable
from eotasks.workflows.evaluate_clouds.labels import LABELS_FILE, LabelFormat, read_label_format
from eotasks.workflows.evaluate_clouds.rasters import BANDS_FILE, LABEL_FILE, read_raster_scene

LABEL = "EVALUATION_LABEL"
_SCENE_FILES = frozenset({BANDS_FILE, LABEL_FILE})


@dataclass(frozen=True, eq=False)
class LabelledScene:
    """One scene: what a detector may see, and what it is judged by."""

    name: str
    eopatch: EOPatch
    """BANDS and IS_DATA, and as they are there SCL, CLM and SUN_ANGLES. The labels are not in it."""

    bands: tuple[str, ...]
    """Names of the bands."""

    reference: NDArray[np.uint8]
    """(t, h, w): 0 clear, 1 cloud, 2 shadow, 255 not judged, which no data is."""

    shadows_labelled: bool = True
    """False where nobody looked for shadows: clear pixels may hold some."""

    def judgeable(self, detection: Detection) -> Detection:
        """What a detector found, as far as the labels can say: without labels of shadows, shadows count as clear."""
        if self.shadows_labelled:
            return detection
        return replace(detection, mask=np.where(detection.mask == SHADOW, CLEAR, detection.mask))

    @cached_property
    def frames(self) -> Frames:
        """What a detector may see, made once: detectors that differ in their masks alone share a probability."""
        return frames_of(self.eopatch, bands=self.bands, where=self.name)

    @cached_property
    def frames_with_labelled_clouds(self) -> Frames:
        """The same with the clouds of the labels as the mask in the scene, unknown where nothing is judged.

        For detectors of shadows alone: what shadows are found of true clouds.
        """
        clouds = np.where(self.reference == NO_DATA, NO_DATA, self.reference == CLOUD).astype(np.uint8)
        return replace(self.frames, stored_mask=clouds)

    @property
    def frame_names(self) -> list[str]:
        """Names of its frames: that of the scene, with the time where there are several."""
        if len(self.reference) == 1:
            return [self.name]
        names = [f"{self.name}_{time:%Y%m%dT%H%M%S}" for time in self.eopatch.timestamps or []]
        # Frames of one second, as of two granules, are told apart by their number.
        return [name if names.count(name) == 1 else f"{name}_{index + 1}" for index, name in enumerate(names)]


@dataclass(frozen=True)
class SceneSource:
    """A scene that is read when it is its turn."""

    name: str
    load: Callable[[], LabelledScene]


@dataclass(frozen=True)
class SceneCollection:
    """The scenes of one evaluation."""

    title: str
    sources: Sequence[SceneSource]
    simulated: bool = False
    attribution: str = ""


def scenes_of_folder(folder: str | Path) -> SceneCollection:
    """The scenes of a folder, sorted by name; nothing but `labels.toml` is read yet.

    :param folder: A folder on disk, or ``s3://bucket/prefix``.
    :raises AreaError: no such folder, or no scene in it.
    :raises ConfigurationError: a `labels.toml` that cannot be used.
    :raises StorageError: on S3, when it cannot be read.
    """
    if is_s3(folder):
        return _scenes_on_s3(Place(str(folder)))
    place = Path(folder)
    if not place.is_dir():
        raise AreaError(f"{place}: no such folder. Give the folder that holds the labelled scenes.")
    label_format = read_label_format(place)
    loaders: dict[str, Callable[[], LabelledScene]] = {}
    for path in _raster_folders(place):
        name = place.resolve().name if path == place else path.name
        if name in loaders:
            raise ConfigurationError(f"{place}: it is a scene and holds one of its own name: rename {path}.")
        loaders[name] = partial(_raster_scene, path, name, label_format)
    for name in _eopatches(place):
        loaders.setdefault(name, partial(_eopatch_scene, place, name, label_format))
    return _collection(str(place), place.resolve().name, loaders, label_format)


def _collection(
    where: str, title: str, loaders: Mapping[str, Callable[[], LabelledScene]], label_format: LabelFormat
) -> SceneCollection:
    if not loaders:
        raise AreaError(
            f"{where}: no labelled scene in it. A scene is a folder with {BANDS_FILE} and {LABEL_FILE}, or an EOPatch."
        )
    sources = [SceneSource(printable(name), loaders[name]) for name in sorted(loaders)]
    return SceneCollection(printable(title), sources, label_format.simulated, label_format.attribution)


def _scenes_on_s3(place: Place) -> SceneCollection:
    """The scenes of a prefix, by one listing. A scene is copied when it is its turn, and the copy removed after it."""
    files = place.files()
    title = place.location.rpartition("/")[2]
    with _copied(place, [LABELS_FILE] if LABELS_FILE in files else []) as folder:
        label_format = read_label_format(folder)
    loaders: dict[str, Callable[[], LabelledScene]] = {}
    for below in sorted({path.rpartition("/")[0] for path in files if path.rpartition("/")[2] in _SCENE_FILES}):
        if "/" in below:
            continue
        name = below or title
        if name in loaders:
            raise ConfigurationError(f"{place}: it is a scene and holds one of its own name: rename {place}/{below}.")
        loaders[name] = partial(_remote_scene, place.child(below) if below else place, name, label_format)
    for name in _eopatches(place):
        loaders.setdefault(name, partial(_eopatch_scene, place, name, label_format))
    return _collection(str(place), title, loaders, label_format)


def _remote_scene(place: Place, name: str, label_format: LabelFormat) -> LabelledScene:
    with _copied(place, [path for path in place.files() if "/" not in path]) as folder:
        return _raster_scene(folder, name, label_format)


@contextmanager
def _copied(place: Place, names: Sequence[str]) -> Iterator[Path]:
    """Files of a place in a folder of this machine; messages name the place."""
    with temporary_folder() as temporary:
        for name in names:
            place.download(name, temporary / name)
        try:
            yield temporary
        except EOTasksError as error:
            raise type(error)(str(error).replace(str(temporary), str(place))) from error


def _raster_folders(place: Path) -> list[Path]:
    """Folders with any of the two files: one that lacks the other is a bad scene, not none."""
    candidates = [place, *sorted(child for child in place.iterdir() if child.is_dir())]
    return [path for path in candidates if (path / BANDS_FILE).exists() or (path / LABEL_FILE).exists()]


def _eopatches(place: Path | Place) -> list[str]:
    try:
        return list_source_eopatches(place)
    except AreaError:  # none in it
        return []


def _raster_scene(folder: Path, name: str, label_format: LabelFormat) -> LabelledScene:
    content = read_raster_scene(folder, name, label_format)
    patch = EOPatch(bbox=content.bbox, timestamps=[content.time])
    patch[BANDS] = content.bands[np.newaxis]
    patch[IS_DATA] = content.is_data[np.newaxis, ..., np.newaxis]
    for feature, mask in ((SCL, content.scl), (STORED_MASK, content.mask)):
        if mask is not None:
            patch[feature] = mask[np.newaxis, ..., np.newaxis]
    if content.sun is not None:
        patch[SUN_ANGLES] = np.array([content.sun], dtype=np.float32)
    return labelled_scene(
        content.name, patch, content.band_names, content.labels[np.newaxis], label_format, where=str(folder)
    )


def _eopatch_scene(folder: Path | Place, name: str, label_format: LabelFormat) -> LabelledScene:
    where = f"EOPatch {name}"
    if label_format.offset:
        raise ConfigurationError(
            f"{where}: offset={label_format.offset} is for GeoTIFFs of digital numbers: leave it out of labels.toml."
        )
    there = eopatch_info(folder, name).features
    features = {"BANDS": label_format.bands_feature, LABEL: label_format.label_feature}
    extras = {"IS_DATA": "mask/IS_DATA", "SCL": "mask/SCL", "CLM": "mask/CLM", "SUN_ANGLES": "scalar/SUN_ANGLES"}
    features |= {key: feature for key, feature in extras.items() if feature in there}
    patch = LoadEOPatchTask(folder, features).execute(name=name)
    bands = patch[BANDS]
    label_type = next(ftype for ftype, key in patch.get_features() if key == LABEL)
    labels = patch[label_type, LABEL]
    del patch[label_type, LABEL]
    if labels.ndim != 4 or labels.shape != (*bands.shape[:3], 1):
        raise GridError(
            f"{where}: {label_format.label_feature} has shape {labels.shape}, the bands {bands.shape}. Labels are a"
            " mask (t, h, w, 1) of the same frames."
        )
    names = band_names(bands.shape[-1], label_format.bands, where=where)
    if IS_DATA not in patch:
        patch[IS_DATA] = (np.isfinite(bands).all(axis=-1) & (bands != 0).any(axis=-1))[..., np.newaxis]
    return labelled_scene(name, patch, tuple(names), labels[..., 0], label_format, where=where)


def labelled_scene(
    name: str,
    patch: EOPatch,
    bands: tuple[str, ...],
    labels: NDArray[np.generic],
    label_format: LabelFormat,
    *,
    where: str,
) -> LabelledScene:
    """A scene of an EOPatch with BANDS and IS_DATA, and labels (t, h, w) in the numbers of the format.

    :raises FeatureError: an EOPatch without frames.
    :raises ReferenceDataError: a label without a class, or no label on any data.
    """
    if not len(labels) or len(patch.timestamps or ()) != len(labels):
        raise FeatureError(
            f"{where}: {len(labels)} frames for {len(patch.timestamps or ())} timestamps. Write it again."
        )
    reference = map_labels(labels, label_format.mapping, where=f"{where}: the labels")
    reference[~patch[IS_DATA][..., 0].astype(bool)] = NO_DATA
    if not (reference != NO_DATA).any():
        raise ReferenceDataError(f"{where}: no labelled pixel has data. Check labels and data, or leave the scene out.")
    return LabelledScene(printable(name), patch, bands, reference)
