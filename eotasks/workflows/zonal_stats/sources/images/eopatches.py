"""Field statistics of EOPatches: a folder of them, or a prefix on S3."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from eolearn.core import FeatureType

from eotasks.eopatches.load import EOPatchInfo, eopatch_info, eopatch_version
from eotasks.errors import FeatureError, TooFewFramesError
from eotasks.sources.eopatches import LoadEOPatchTask, list_source_eopatches
from eotasks.text import did_you_mean
from eotasks.workflows.zonal_stats.sources.base import ImagePlace, Window
from eotasks.workflows.zonal_stats.sources.images.interval import day_or_time
from eotasks.workflows.zonal_stats.sources.vocabulary import MASKS
from eotasks.zonal.frames import ZonalFrame
from eotasks.zonal.patch import PatchFeatures, frames_of, grid_of_patch
from eotasks.zonal.quantities import Quantity, resolved

_NONE = "none"


class EOPatchSource:
    """EOPatches of a place.

    :param folder: Folder or ``s3://bucket/prefix`` of EOPatches, or one of them.
    :param bands: Feature of the numbers, such as ``data/BANDS``.
    :param band_names: In their order; None tells by their count, and calls a single one by its feature's name.
    :param masks: ``is_data``, ``cloud_mask`` and ``shadow``: features such as ``mask/CLM``, or "none". One that is not
        named has the project's name where the EOPatches have that.
    :param time: First and last time that is read, ISO 8601 or None.
    :raises ConfigurationError: when these are none.
    """

    def __init__(
        self,
        folder: str,
        *,
        bands: str = "data/BANDS",
        band_names: Sequence[str] | None = None,
        masks: Mapping[str, str] | None = None,
        time: tuple[str | None, str | None] = (None, None),
    ) -> None:
        self.folder = folder
        self.bands = bands
        self.band_names = None if band_names is None else tuple(band_names)
        self.masks = dict(masks or {})
        self.start, self.end = (None if each is None else day_or_time(each) for each in time)
        self._loading()  # which checks all of it
        self.simulated = False
        self.notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What it is."""
        return f"EOPatches in {self.folder}"

    def places(self, quantities: Sequence[Quantity]) -> Sequence[ImagePlace]:
        """The EOPatches.

        :raises AreaError: there is none.
        :raises FeatureError: they have not the features.
        :raises BandError: a quantity needs a band that is not there.
        """
        infos = {name: eopatch_info(self.folder, name) for name in list_source_eopatches(self.folder)}
        self._choose_masks(infos)
        self.simulated = any("meta_info/SIMULATED" in info.features for info in infos.values())
        if self.band_names is not None:
            resolved(quantities, self.band_names, where=self.bands)
        return [
            ImagePlace(name, grid_of_patch(info.bbox, info.shape), eopatch_version(self.folder, name))
            for name, info in infos.items()
        ]

    def frames(
        self, place: ImagePlace, quantities: Sequence[Quantity], window: Window | None = None
    ) -> Iterator[ZonalFrame]:
        """Images of an EOPatch; none where it has no time of those asked for.

        :raises StorageError: it cannot be read.
        :raises FeatureError: it lacks a feature, or one has another shape.
        """
        task, features = self._loading()
        try:
            patch = task.execute(name=place.name)
        except TooFewFramesError:
            return
        for frame in frames_of(patch, features, quantities):
            yield frame if window is None else replace(frame, values=frame.values[window], states=frame.states[window])

    def _choose_masks(self, infos: Mapping[str, EOPatchInfo]) -> None:
        """Masks that are not named: those of the project's names where all have them, none where no EOPatch has."""
        there = {feature for info in infos.values() for feature in info.features}
        for feature in (self.bands, *(each for each in self.masks.values() if each != _NONE)):
            if feature not in there:
                raise FeatureError(
                    f"No EOPatch in {self.folder} has {feature!r}{did_you_mean(feature, there)}; there are"
                    f" {', '.join(sorted(there))}."
                )
        missing = {"is_data": "every pixel counts as data", "cloud_mask": "no pixel counts as cloud",
                   "shadow": "no pixel counts as shadow"}  # fmt: skip
        notes = []
        for argument, (name, option) in MASKS.items():
            if argument in self.masks:
                continue
            found = f"mask/{name}" in there
            self.masks[argument] = f"mask/{name}" if found else _NONE
            if not found:
                notes.append(f"The EOPatches have no mask/{name}, so {missing[argument]}: name another by {option}.")
        self.notes = tuple(notes)

    def _loading(self) -> tuple[LoadEOPatchTask, PatchFeatures]:
        band = "BANDS" if self.bands == "data/BANDS" or self.band_names is not None else self.bands.partition("/")[2]
        mapping = {band: self.bands}
        chosen = {}
        for argument, (name, _) in MASKS.items():
            feature = self.masks.get(argument, _NONE)
            if feature != _NONE:
                mapping[name] = feature
                chosen[argument] = (FeatureType.MASK, name)
        masks = (chosen.get(argument) for argument in MASKS)
        features = PatchFeatures((FeatureType.DATA, band), self.band_names, *masks)
        return LoadEOPatchTask(self.folder, mapping, start=self.start, end=self.end), features
