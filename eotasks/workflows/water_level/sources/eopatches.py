"""EOPatches as a source: each outline in the patches that it meets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from functools import partial
from typing import ClassVar

import geopandas as gpd
import numpy as np
import shapely
from eolearn.core import EOPatch

from eotasks.eopatches.load import eopatch_info, feature_shape, load_eopatch
from eotasks.errors import BandError, EOTasksError, FeatureError
from eotasks.models.sentinel2 import BANDS as ALL_BANDS
from eotasks.models.sentinel2 import CLOUD_BANDS, band_indices
from eotasks.sources.eopatches import list_source_eopatches
from eotasks.sources.sample import SUN_ANGLES
from eotasks.storage.place import Place
from eotasks.times import naive_utc
from eotasks.workflows.water_level.sources.base import BANDS, CLM, IS_DATA, SHADOW, Job, PixelSource, SourceRequest

_OPTIONAL = (IS_DATA, CLM, SHADOW, SUN_ANGLES)


class EOPatchesSource(PixelSource):
    """Patches with data/BANDS and, where they are there, mask/IS_DATA, mask/CLM, mask/SHADOW and scalar/SUN_ANGLES."""

    title: ClassVar[str] = "EOPatches"

    def __init__(self, request: SourceRequest) -> None:
        self._place = Place(request.location)
        self._names = list_source_eopatches(self._place)
        self._start, self._end = request.start, request.end
        self.band_names = request.bands or ALL_BANDS
        band_indices(self.band_names, ALL_BANDS, where="--bands")
        if len(set(self.band_names)) != len(self.band_names):
            raise BandError(f"--bands {','.join(self.band_names)}: name each band once.")

    def prepare(self) -> None:
        """Looks for an EOPatch with the bands that are named; headers are read until one has as many.

        :raises FeatureError: none has.
        """
        counts = []
        for name in self._names:
            try:
                shape = feature_shape(self._place, name, BANDS)
            except EOTasksError:  # its job will say so
                continue
            if shape is not None:
                counts.append(shape[-1])
                if shape[-1] == len(self.band_names):
                    return
        if counts:
            raise self._other_bands(str(self._place), counts[0])

    def jobs(self, outlines: gpd.GeoDataFrame) -> Sequence[Job]:
        jobs, met = [], np.zeros(len(outlines), dtype=bool)
        unread: dict[str, EOTasksError] = {}
        for name in self._names:
            try:
                box = eopatch_info(self._place, name).bbox
            except EOTasksError as error:
                unread[name] = error
                continue
            here = outlines.to_crs(box.crs.pyproj_crs())
            inside = np.asarray(shapely.intersects(here.geometry.to_numpy(), shapely.box(*box)))
            met |= inside
            if inside.any():
                jobs.append(Job(f"EOPatch {name}", outlines[inside], partial(self._load, name)))
        if len(unread) == len(self._names):
            raise next(iter(unread.values()))
        beyond = outlines[~met & ~outlines.geometry.is_empty.to_numpy()]
        for name, why in unread.items():  # outlines that lie in no other may lie in the first of these
            jobs.append(Job(f"EOPatch {name}", beyond, partial(_fail, why)))
            beyond = beyond.iloc[:0]
        if len(beyond):  # a row that says so, from the first patch
            jobs.append(Job(f"EOPatch {self._names[0]}", beyond, partial(self._load, self._names[0])))
        return jobs

    def _load(self, name: str) -> Iterator[EOPatch]:
        patch = load_eopatch(self._place, name, features=[BANDS], optional=_OPTIONAL)
        where = f"EOPatch {self._place}/{name}"
        count = patch[BANDS].shape[-1]
        if count != len(self.band_names):
            raise self._other_bands(where, count)
        times = [naive_utc(time) for time in patch.timestamps or ()]
        kept = [index for index, time in enumerate(times) if self._is_wanted(time)]
        result = EOPatch(bbox=patch.bbox, timestamps=[times[index] for index in kept])
        for feature in (BANDS, *_OPTIONAL):
            if feature in patch:
                result[feature] = patch[feature] if len(kept) == len(times) else patch[feature][kept]
        if IS_DATA not in result:
            bands = result[BANDS]
            known = np.isfinite(bands).all(axis=-1) if bands.dtype.kind == "f" else np.ones(bands.shape[:3], dtype=bool)
            result[IS_DATA] = (known & (bands != 0).any(axis=-1))[..., np.newaxis]
        if result[IS_DATA].dtype != bool:
            result[IS_DATA] = result[IS_DATA] == 1
        if kept:
            yield result

    def _other_bands(self, where: str, count: int) -> FeatureError:
        return FeatureError(
            f"{where}: data/BANDS has {count} bands where {len(self.band_names)} are expected: name them in their"
            f" order, such as --bands {','.join(CLOUD_BANDS)}."
        )

    def _is_wanted(self, time: dt.datetime) -> bool:
        day = time.date()
        return (self._start is None or day >= self._start) and (self._end is None or day <= self._end)


def _fail(error: EOTasksError) -> Iterator[EOPatch]:
    raise error


def open_source(request: SourceRequest) -> PixelSource:
    """The source.

    :raises AreaError: no EOPatch is there.
    :raises BandError: bands that are not known, or one twice.
    :raises FeatureError: no EOPatch has as many bands.
    """
    source = EOPatchesSource(request)
    source.prepare()
    return source
