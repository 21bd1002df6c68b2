"""Cloud masks of a patch from an archive of them: what `eotasks archive build` has made, on the grid of the patch."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from eolearn.core import EOPatch, EOTask, FeatureType
from numpy.typing import NDArray
from sentinelhub.geometry import BBox

from eotasks.catalogue.packages import require
from eotasks.catalogue.request import Level, TimeInterval
from eotasks.catalogue.store import ARCHIVE_CATALOGUE, Catalogue
from eotasks.errors import ConfigurationError, GridError, MissingMasksWarning, TooFewFramesError, warn_caller
from eotasks.features import IMAGES, Feature, feature_of
from eotasks.imagery.grid import Grid, parse_crs
from eotasks.models.clouds.mask_classes import without_classes
from eotasks.sources.bbox import bbox_for, check_resolution, grid_of_bbox
from eotasks.sources.frames import NO_MASK, Candidate, candidates_of, group_frames, some_of, stored_mask
from eotasks.sources.replacement import choose_products, newest
from eotasks.times import naive_utc

MaskResampling = Literal["nearest", "bilinear"]

_SLACK = 1_000.0
"""Metres by which a search looks beyond the box: edges of footprints are straight in degrees, curved on the ground."""

_SQUARE = 1e-6


class ArchiveMasksTask(EOTask):
    """CLP, CLM and SHADOW of a patch from an archive of masks, on the grid of the patch.

    Each timestamp gets the masks of the products that are nearest to it in time, no further than ``time_difference``.
    Where several have a pixel, those of the patch's own coordinate system come first, then the newest.

    Missing is not clear: where no product of the archive has data, be it that none is there, CLM and SHADOW are 255
    and CLP is NaN; ``missing_feature`` says where that is.
    """

    def __init__(
        self,
        archive: Catalogue | str | os.PathLike[str],
        clp_feature: Feature | None = (FeatureType.DATA, "CLP"),
        clm_feature: Feature | None = (FeatureType.MASK, "CLM"),
        *,
        shadow_feature: Feature | None = None,
        missing_feature: Feature | None = None,
        like: Feature | None = None,
        resolution: float | None = None,
        resampling: MaskResampling = "nearest",
        level: Level = "L1C",
        time_difference: dt.timedelta = dt.timedelta(hours=2),
    ) -> None:
        """
        :param archive: The archive, a folder or ``s3://bucket/prefix``, or its catalogue.
        :param clp_feature: Feature for the cloud probability (t, h, w, 1): float32 0..1, NaN where it is missing. None
            without.
        :param clm_feature: Feature for the cloud mask: uint8 0 clear, 1 cloud, 255 missing. Of masks that keep snow and
            thin cloud apart, snow is clear and thin cloud is cloud. None without.
        :param shadow_feature: Feature for the cloud shadow: uint8 0 none, 1 shadow, 255 missing. None without.
        :param missing_feature: Feature for where masks are missing: bool (t, h, w, 1). None without.
        :param like: Feature of the EOPatch whose rows and columns are the grid; None for any that it has.
        :param resolution: Metres of a pixel, for an EOPatch without such a feature.
        :param resampling: Of CLP, which is finer than the pixels of the archive show: "nearest" as the service does
            it, or "bilinear". CLM and SHADOW are always nearest.
        :param level: Of the products whose rows of the catalogue are looked for: "L2A" for patches of L2A, and for
            archives that were made of it.
        :param time_difference: Products further in time than this from a timestamp are not of it. Without timestamps,
            products no further apart than this make one frame.
        :raises ConfigurationError: when an argument is not usable.
        :raises MissingDependencyError: the extra of the catalogue is not installed.
        """
        require(*Catalogue.packages)
        self.catalogue = archive if isinstance(archive, Catalogue) else Catalogue(_catalogue_in(os.fspath(archive)))
        self.clp_feature = None if clp_feature is None else feature_of(clp_feature, [FeatureType.DATA])
        self.clm_feature = None if clm_feature is None else feature_of(clm_feature, [FeatureType.MASK])
        self.shadow_feature = None if shadow_feature is None else feature_of(shadow_feature, [FeatureType.MASK])
        self.missing_feature = None if missing_feature is None else feature_of(missing_feature, [FeatureType.MASK])
        self.like = None if like is None else feature_of(like, IMAGES)
        if resolution is not None:
            check_resolution(resolution)
        self.resolution = resolution
        if resampling not in get_args(MaskResampling):
            raise ConfigurationError(f"resampling={resampling!r}: use {' or '.join(get_args(MaskResampling))}.")
        self.resampling: MaskResampling = resampling
        if level not in get_args(Level):
            raise ConfigurationError(f"level={level!r} is not known: use {' or '.join(get_args(Level))}.")
        self.level: Level = level
        if time_difference < dt.timedelta(0):
            raise ConfigurationError(f"time_difference={time_difference!r} is negative: give 0 or more.")
        self.time_difference = time_difference

    def execute(
        self, eopatch: EOPatch | None = None, *, bbox: BBox | None = None, time_interval: TimeInterval | None = None
    ) -> EOPatch:
        """
        :param eopatch: An EOPatch to add to; its timestamps, where it has some, are those of the masks.
        :param bbox: The ground wanted; may be left out when the EOPatch has one.
        :param time_interval: First and last day (or time, UTC), for an EOPatch without timestamps; None for all.
        :raises GridError: when the grid is not known, or the box is no whole number of pixels.
        :raises TooFewFramesError: when there are no timestamps, and no masks either.
        :raises StorageError: when there is no archive.
        :raises ImageryError: when a file of it cannot be read.
        :warns MissingMasksWarning: names timestamps without any mask.
        """
        area = bbox_for(eopatch, bbox)
        grid = self._grid(eopatch, area)
        times = [naive_utc(time) for time in (eopatch.timestamps or ())] if eopatch is not None else []
        if times:
            groups = self._of_times(times, grid)
        else:
            chosen = choose_products(self._candidates(grid, time_interval)).products
            groups = group_frames(chosen, self.time_difference)
            times = [group[0].time for group in groups]
            groups = [self._ordered(group, grid) for group in groups]
            if not times:
                raise TooFewFramesError(
                    f"{self.catalogue.location} has no masks of {self.level} products in {tuple(area)} ({grid.crs}):"
                    " build the archive, or widen the interval."
                )
        patch = eopatch if eopatch is not None else EOPatch(bbox=area, timestamps=times)
        if not patch.timestamps:
            patch.timestamps = times
        patch.bbox = area
        bare = [f"{time:%Y-%m-%d %H:%M}" for time, group in zip(times, groups, strict=True) if not group]
        if bare:
            warn_caller(
                f"{self.catalogue.location} has no masks of {len(bare)} timestamps ({some_of(bare)}): 255 in masks, NaN"
                " in probabilities. Build the archive further, or leave these frames out.",
                MissingMasksWarning,
            )
        self._fill(patch, groups, grid)
        return patch

    def _fill(self, patch: EOPatch, groups: Sequence[Sequence[Candidate]], grid: Grid) -> None:
        frames = [self._frame(group, grid) for group in groups]
        for feature, index in ((self.clp_feature, 0), (self.clm_feature, 1), (self.shadow_feature, 2)):
            if feature is not None:
                patch[feature] = np.stack([frame[index] for frame in frames])[..., np.newaxis]
        if self.missing_feature is not None:
            patch[self.missing_feature] = np.stack([frame[1] == NO_MASK for frame in frames])[..., np.newaxis]

    def _frame(
        self, group: Sequence[Candidate], grid: Grid
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.uint8]]:
        """CLP, CLM and SHADOW of one timestamp."""
        clp = np.full(grid.shape, np.nan, dtype=np.float32)
        clm, shadow = (np.full(grid.shape, NO_MASK, dtype=np.uint8) for _ in range(2))
        for candidate in group:
            empty = clm == NO_MASK
            if not empty.any():
                break
            found = stored_mask(candidate, "CLM", grid)
            use = empty & np.isfinite(found)
            clm[use] = found[use].astype(np.uint8)
            if self.clp_feature is not None and "CLP" in candidate.masks:
                values = stored_mask(candidate, "CLP", grid, method=self.resampling)
                clp[use] = values[use] / np.float32(255)
            if self.shadow_feature is not None and "SHADOW" in candidate.masks:
                values = stored_mask(candidate, "SHADOW", grid)
                shadow[use] = np.where(np.isfinite(values), values, NO_MASK)[use].astype(np.uint8)
        return clp, without_classes(clm), shadow

    def _of_times(self, times: Sequence[dt.datetime], grid: Grid) -> list[list[Candidate]]:
        """Products by timestamp: each goes to the nearest."""
        reach = self.time_difference
        candidates = choose_products(self._candidates(grid, (min(times) - reach, max(times) + reach))).products
        groups: list[list[Candidate]] = [[] for _ in times]
        for candidate in candidates:
            index = min(range(len(times)), key=lambda each: abs(times[each] - candidate.time))
            if abs(times[index] - candidate.time) <= reach:
                groups[index].append(candidate)
        return [self._ordered(group, grid) for group in groups]

    def _ordered(self, group: Sequence[Candidate], grid: Grid) -> list[Candidate]:
        """The first has its say first: those of the grid's zone, which lose nothing, then the newest."""
        zone = str(parse_crs(grid.crs).to_epsg() or "")[-2:]
        rest = sorted(group, key=newest, reverse=True)
        return sorted(rest, key=lambda each: (each.tile or "")[:2] != zone)

    def _candidates(self, grid: Grid, interval: TimeInterval | None) -> list[Candidate]:
        left, bottom, right, top = grid.bounds
        items = self.catalogue.search(
            bbox=(left - _SLACK, bottom - _SLACK, right + _SLACK, top + _SLACK),
            crs=grid.crs,
            time_interval=interval,
            level=self.level,
        )
        return candidates_of(item for item in items if "CLM" in item.assets)

    def _grid(self, eopatch: EOPatch | None, area: BBox) -> Grid:
        """The grid of the patch: that of its images, else of the resolution."""
        shape = None if eopatch is None else _shape_of(eopatch, self.like)
        if shape is None:
            if self.resolution is None:
                raise GridError("The EOPatch has no image that says its grid: give resolution=METRES.")
            return grid_of_bbox(area, self.resolution)
        size = (area.max_x - area.min_x) / shape[1]
        if abs((area.max_y - area.min_y) / shape[0] - size) > _SQUARE * size:
            raise GridError(f"The images of the EOPatch ({shape[0]} x {shape[1]}) have pixels that are no squares.")
        if self.resolution is not None and abs(self.resolution - size) > _SQUARE * size:
            raise GridError(f"resolution={self.resolution:g}: the images of the EOPatch have pixels of {size:g} m.")
        return grid_of_bbox(area, size)


def _catalogue_in(archive: str) -> str:
    return archive if archive.endswith((".parquet", ".geoparquet")) else f"{archive.rstrip('/')}/{ARCHIVE_CATALOGUE}"


def _shape_of(eopatch: EOPatch, like: Feature | None) -> tuple[int, int] | None:
    """Rows and columns of an image of a patch; None where it has none.

    :raises GridError: when the one that is asked for is not there.
    """
    found = [feature for feature in eopatch.get_features() if feature[0] in IMAGES]
    if like is not None and like not in found:
        raise GridError(
            f"The EOPatch has no {like[1]}, whose grid is wanted: name another feature, or give resolution."
        )
    chosen = like if like is not None else (found[0] if found else None)
    if chosen is None:
        return None
    height, width = eopatch.get_spatial_dimension(*chosen)
    return int(height), int(width)
