"""Products of an archive as an EOPatch: found in a catalogue, a STAC API or a list, read and mosaicked."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from eolearn.core import EOPatch, EOTask, FeatureType
from numpy.typing import NDArray
from sentinelhub.geometry import BBox

from eotasks.errors import (
    ConfigurationError,
    FeatureError,
    FrameDroppedWarning,
    TooFewFramesError,
    warn_caller,
)
from eotasks.features import Feature, feature_of
from eotasks.imagery.files.signing import Modifier, modifier_of
from eotasks.imagery.grid import Grid
from eotasks.imagery.mosaic import MosaicOrder, check_order
from eotasks.imagery.pixels.resampling import ResamplingName, check_resampling
from eotasks.models.sentinel2 import BANDS, QUANTIFICATION, band_indices
from eotasks.sources.bbox import bbox_for, check_resolution, grid_of_bbox, snap_bbox
from eotasks.sources.frame_reading import MaskKind, SceneFrame, WantedOfFrame, read_frame
from eotasks.sources.frames import (
    NO_MASK,
    Angles,
    Candidate,
    candidates_of,
    group_frames,
    mean_direction,
    meets,
    open_candidates,
    some_of,
)
from eotasks.sources.replacement import Choice, Replaced, choose_products
from eotasks.sources.sample import SUN_ANGLES, BandsDtype
from eotasks.times import naive_utc, same_times

if TYPE_CHECKING:
    from eotasks.catalogue.api import StacApi
    from eotasks.catalogue.request import TimeInterval
    from eotasks.catalogue.store import Catalogue

Level = Literal["L1C", "L2A"]
SceneLocation = str | os.PathLike[str]

L2A_BANDS = tuple(band for band in BANDS if band != "B10")
"""B10 sees no ground and is left out of surface reflectance."""

FOOTPRINT_SLACK = 1_000.0
"""Metres by which a search looks beyond the box: edges of footprints are straight in degrees and curved on the ground,
by 300 m on a tile. Products that turn out to hold no pixel of the box make no frame."""

MAX_CLP = np.float32(255)


class LoadScenesTask(EOTask):
    """Load bands, data mask, angles and cloud masks of products for a bounding box.

    The products are those that a search of a catalogue or a STAC API finds, or a list. Frames are made by these rules:

    - Of one acquisition of a tile there may be several products. One replaces another only where they show the same
      pixels (:func:`eotasks.sources.replacement.choose_products`), otherwise all contribute, the newest on top.
    - Products no further in time than ``time_difference`` from the first of them make one frame; its timestamp is that
      first one's. Two hours keep neighbouring orbits together, 12 hours make one frame a day.
    - Where products of a frame overlap, a pixel has all its bands, angles and masks from one of them: see
      :func:`eotasks.imagery.mosaic.read_mosaic` for which. Offsets of baselines are removed product by product.
    - A frame without a single pixel of data in the box is left out.
    """

    def __init__(
        self,
        bands_feature: Feature = (FeatureType.DATA, "BANDS"),
        is_data_feature: Feature = (FeatureType.MASK, "IS_DATA"),
        *,
        catalogue: Catalogue | StacApi | str | os.PathLike[str] | None = None,
        scenes: Sequence[SceneLocation] | None = None,
        masks: Mapping[str, Mapping[str, str]] | None = None,
        modifier: Modifier | str | None = None,
        bands: Sequence[str] | None = None,
        resolution: float = 10,
        resampling: ResamplingName = "mean",
        dtype: BandsDtype = "reflectance",
        level: Level = "L1C",
        maxcc: float = 1.0,
        time_difference: dt.timedelta = dt.timedelta(hours=2),
        mosaicking_order: MosaicOrder = "mostRecent",
        sun_angles_feature: Feature | None = SUN_ANGLES,
        view_angles_feature: Feature | None = None,
        clp_feature: Feature | None = None,
        clm_feature: Feature | None = None,
        shadow_feature: Feature | None = None,
        scl_feature: Feature | None = None,
        snap: bool = False,
        threads: int | None = None,
    ) -> None:
        """
        :param bands_feature: Feature for the bands (t, h, w, bands).
        :param is_data_feature: Feature for the mask (t, h, w, 1), bool, True where a product holds data.
        :param catalogue: A Catalogue, a StacApi, the name of a catalogue's file or the address of an API.
        :param scenes: Products instead of a catalogue: whatever `open_scene` reads, and folders of products. Their
            metadata is read once, when the task is first executed.
        :param masks: For products of a list, their files of "CLP", "CLM" and "SHADOW" by the product's name, as
            `eotasks.catalogue.find_products` finds them.
        :param modifier: Signs the addresses of STAC items before they are read: a function as `pystac_client` takes it,
            or "planetary-computer"; see :class:`eotasks.catalogue.api.StacApi`.
        :param bands: Names of the bands in the order wanted; None for all that the level has.
        :param resolution: Size of a pixel in metres.
        :param resampling: "mean" (weighted by area), "nearest", "bilinear", "cubic", or "fast" for coarse grids.
        :param dtype: "reflectance" for float32 (1.0 = 100 %), "dn" for uint16 (reflectance * 10000).
        :param level: "L1C" or "L2A".
        :param maxcc: Greatest cloud coverage of a whole scene, 0..1, as its metadata says; one that says none is read.
        :param time_difference: Products no further apart than this make one frame.
        :param mosaicking_order: Which product is on top: "mostRecent", "leastRecent" or "leastCC".
        :param sun_angles_feature: Feature for zenith and azimuth of the sun in degrees: SCALAR (t, 2), the mean over
            the data, or DATA (t, h, w, 2). None without.
        :param view_angles_feature: The same for the direction of the satellite, mean of the bands.
        :param clp_feature: Feature for the cloud probability (t, h, w, 1) that the catalogue or `masks` have: float32
            0..1, NaN without data. None without.
        :param clm_feature: Feature for the cloud mask that they have: uint8 0 clear, 1 cloud, 255 no data. Files that
            keep snow and thin cloud apart give snow as clear and thin cloud as cloud.
        :param shadow_feature: Feature for the cloud shadow that they have: uint8 0 none, 1 shadow, 255 no data.
        :param scl_feature: Feature for the scene classification of L2A: uint8, 0 no data.
        :param snap: Widen a box that is given to whole pixels, and bring one in degrees to the UTM zone of its middle
            (:func:`eotasks.snap_bbox`), instead of refusing it; the EOPatch then has that box.
        :param threads: Files that are decoded at a time; None for the setting.
        :raises ConfigurationError: when an argument is not usable; BandError for an unknown band.
        :raises MissingDependencyError: a catalogue, an API or a modifier needs packages that are not installed.
        """
        self.bands_feature = feature_of(bands_feature, [FeatureType.DATA])
        self.is_data_feature = feature_of(is_data_feature, [FeatureType.MASK])
        angle_types = [FeatureType.SCALAR, FeatureType.DATA]
        self.sun_angles_feature = _optional(sun_angles_feature, angle_types)
        self.view_angles_feature = _optional(view_angles_feature, angle_types)
        self.clp_feature = _optional(clp_feature, [FeatureType.DATA])
        self.clm_feature = _optional(clm_feature, [FeatureType.MASK])
        self.shadow_feature = _optional(shadow_feature, [FeatureType.MASK])
        self.scl_feature = _optional(scl_feature, [FeatureType.MASK])
        if level not in get_args(Level):
            raise ConfigurationError(f"level={level!r} is not known: use {' or '.join(get_args(Level))}.")
        if scl_feature is not None and level != "L2A":
            raise ConfigurationError("scl_feature: only L2A products have a scene classification: give level='L2A'.")
        there = BANDS if level == "L1C" else L2A_BANDS
        self.bands: tuple[str, ...] = there if bands is None else tuple(bands)
        if not self.bands or len(set(self.bands)) != len(self.bands):
            raise ConfigurationError(f"bands={list(self.bands)!r}: name at least one band, and each once.")
        band_indices(self.bands, there, where=f"LoadScenesTask ({level})")
        check_resolution(resolution)
        check_resampling(resampling)
        check_order(mosaicking_order)
        if dtype not in get_args(BandsDtype):
            raise ConfigurationError(f"dtype={dtype!r}: use 'reflectance' or 'dn'.")
        if not 0 <= maxcc <= 1:
            raise ConfigurationError(f"maxcc={maxcc!r}: give a share from 0 to 1, such as 0.8.")
        if time_difference < dt.timedelta(0):
            raise ConfigurationError(f"time_difference={time_difference!r} is negative: give 0 or more.")
        self.catalogue, self.scenes = source_of(catalogue, scenes, modifier)
        if self.scenes is not None and masks is None and self._masks_wanted():
            raise ConfigurationError(
                "clp_feature, clm_feature and shadow_feature need a catalogue, which knows the files of CLP, CLM and"
                " SHADOW, or masks."
            )
        if self.catalogue is not None and masks is not None:
            raise ConfigurationError(
                "masks belongs to scenes: a catalogue knows the files of CLP, CLM and SHADOW itself."
            )
        self.masks = masks
        self.modifier = modifier_of(modifier)
        self._listed: list[Candidate] | None = None
        self.resolution = resolution
        self.resampling: ResamplingName = resampling
        self.dtype: BandsDtype = dtype
        self.level: Level = level
        self.maxcc = maxcc
        self.time_difference = time_difference
        self.mosaicking_order: MosaicOrder = mosaicking_order
        self.snap = snap
        self.threads = threads

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_listed": None}

    def execute(
        self, eopatch: EOPatch | None = None, *, bbox: BBox | None = None, time_interval: TimeInterval | None = None
    ) -> EOPatch:
        """
        :param eopatch: An EOPatch to add to; one that has timestamps must have those of the frames found.
        :param bbox: The ground wanted, in a projected CRS; may be left out when the EOPatch has one.
        :param time_interval: First and last day (or time, UTC); None for all, or for the times of the EOPatch.
        :raises ConfigurationError: when the interval is no two times, or ends before it starts.
        :raises GridError: when the box is no whole number of pixels, or its CRS not in metres of the ground.
        :raises TooFewFramesError: when no product has data there.
        :raises FeatureError: when the EOPatch has other timestamps.
        :raises ImageryError: when a product is damaged, or lacks what is asked for.
        :warns ProductSkippedWarning: when products are left out because others show the same pixels, masks are
            missing, or their items cannot be used.
        :warns FrameDroppedWarning: when frames are left out that have no data in the box.
        """
        if self.snap and bbox is not None:
            bbox = snap_bbox(bbox, self.resolution)
        area = bbox_for(eopatch, bbox)
        grid = grid_of_bbox(area, self.resolution)
        known = [naive_utc(time) for time in eopatch.timestamps or ()] if eopatch is not None else []
        if time_interval is None and known:
            time_interval = (min(known), max(known) + self.time_difference)
        candidates = self._candidates(grid, time_interval)
        choice = choose_products(candidates)
        groups = group_frames(choice.products, self.time_difference)
        left_out, lost = list[Replaced](), list[Replaced]()
        wanted = self._wanted()
        frames = [
            read_frame(group, grid, wanted, replaced=choice.replaced, left_out=left_out, lost=lost) for group in groups
        ]
        Choice((), tuple(left_out), tuple(lost)).warn()
        filled = [frame for frame in frames if frame is not None]
        if not filled:
            span = "at any time" if time_interval is None else f"from {time_interval[0]} to {time_interval[1]}"
            raise TooFewFramesError(
                f"No {self.level} product with data in {tuple(area)} ({grid.crs}) {span} with at most"
                f" {self.maxcc:.0%} cloud ({len(candidates)} products looked at). Widen the interval, raise maxcc, or"
                " add products to the catalogue."
            )
        empty = [each.name for group, frame in zip(groups, frames, strict=True) if frame is None for each in group]
        if empty:
            warn_caller(
                f"{len(frames) - len(filled)} frames without a pixel of data in {tuple(area)} ({grid.crs}) are left"
                f" out: {some_of(empty)}.",
                FrameDroppedWarning,
            )
        return self._as_patch(eopatch, area, filled)

    def prepare(self) -> None:
        """Open what products are taken from, so that what is wrong with it shows before any work: the products of a
        list, whose metadata is kept; of a catalogue or an API one search for a single item.

        :raises EOTasksError: as `execute`.
        """
        if self.catalogue is not None:
            self.catalogue.search(level=self.level, limit=1)
        else:
            self._open_listed()

    def _open_listed(self) -> list[Candidate]:
        if self._listed is None:
            self._listed = open_candidates(self.scenes or (), self.masks, self.modifier)
        return self._listed

    def _candidates(self, grid: Grid, time_interval: TimeInterval | None) -> list[Candidate]:
        left, bottom, right, top = grid.bounds
        around = (left - FOOTPRINT_SLACK, bottom - FOOTPRINT_SLACK, right + FOOTPRINT_SLACK, top + FOOTPRINT_SLACK)
        if self.scenes is not None:
            return matching(
                self._open_listed(),
                bbox=around,
                crs=grid.crs,
                time_interval=time_interval,
                level=self.level,
                maxcc=self.maxcc,
            )
        items = self.catalogue.search(  # type: ignore[union-attr]  # one of the two is there: see source_of
            bbox=around,
            crs=grid.crs,
            time_interval=time_interval,
            max_cloud_cover=self.maxcc,
            level=self.level,
        )
        return candidates_of(items)

    def _masks_wanted(self) -> list[MaskKind]:
        features: dict[MaskKind, Feature | None] = {
            "CLP": self.clp_feature,
            "CLM": self.clm_feature,
            "SHADOW": self.shadow_feature,
        }
        return [kind for kind, feature in features.items() if feature is not None]

    def _wanted(self) -> WantedOfFrame:
        return WantedOfFrame(
            bands=self.bands,
            order=self.mosaicking_order,
            resampling=self.resampling,
            masks=tuple(self._masks_wanted()),
            masks_are_catalogued=self.masks is None,
            sun_angles=self.sun_angles_feature is not None,
            view_angles=self.view_angles_feature is not None,
            classification=self.scl_feature is not None,
            threads=self.threads,
        )

    def _as_patch(self, eopatch: EOPatch | None, area: BBox, frames: Sequence[SceneFrame]) -> EOPatch:
        times = [frame.time for frame in frames]
        if eopatch is None:
            eopatch = EOPatch(bbox=area, timestamps=times)
        elif eopatch.timestamps and not same_times(eopatch.timestamps, times):
            raise FeatureError(
                f"The EOPatch has {len(eopatch.timestamps)} timestamps, the products found make {len(times)} frames of"
                " other times: load them into a new EOPatch."
            )
        else:
            eopatch.bbox, eopatch.timestamps = area, times
        digital = np.stack([frame.bands for frame in frames])
        eopatch[self.bands_feature] = digital if self.dtype == "dn" else digital / np.float32(QUANTIFICATION)
        eopatch[self.is_data_feature] = np.stack([frame.is_data for frame in frames])[..., np.newaxis]
        _put_angles(eopatch, self.sun_angles_feature, [frame.sun for frame in frames])
        _put_angles(eopatch, self.view_angles_feature, [frame.view for frame in frames])
        _put(eopatch, self.clm_feature, [frame.clm for frame in frames])
        _put(eopatch, self.shadow_feature, [frame.shadow for frame in frames])
        _put(eopatch, self.scl_feature, [frame.scl for frame in frames])
        _put(eopatch, self.clp_feature, [frame.clp for frame in frames], _probability)
        return eopatch


def _optional(feature: Feature | None, allowed: Sequence[FeatureType]) -> Feature | None:
    return None if feature is None else feature_of(feature, allowed)


def source_of(
    catalogue: Catalogue | StacApi | str | os.PathLike[str] | None,
    scenes: Sequence[SceneLocation] | None,
    modifier: Modifier | str | None,
) -> tuple[Catalogue | StacApi | None, tuple[SceneLocation, ...] | None]:
    """Where products are looked for: a catalogue or an API, else the list.

    :raises ConfigurationError: both are given, or none.
    :raises MissingDependencyError: it needs packages that are not installed.
    """
    if (catalogue is None) == (scenes is None):
        raise ConfigurationError("Give one of catalogue (a file, an address) and scenes (a list of products).")
    if scenes is not None:
        if isinstance(scenes, str | os.PathLike) or not scenes:
            raise ConfigurationError(f"scenes={scenes!r}: give a list of at least one product.")
        return None, tuple(scenes)
    from eotasks.catalogue.open import catalogue_of
    from eotasks.catalogue.packages import require

    found = catalogue_of(catalogue, modifier=modifier)  # type: ignore[arg-type]  # not None: see above
    require(*found.packages)
    return found, None


def matching(
    candidates: Sequence[Candidate],
    *,
    bbox: Sequence[float],
    crs: str,
    time_interval: TimeInterval | None,
    level: Level,
    maxcc: float,
) -> list[Candidate]:
    """Products of a list that a search of a catalogue for the same would find.

    :param bbox: (west, south, east, north).
    :param crs: Coordinate system of the box.
    :param time_interval: First and last day or time; None for all.
    :param maxcc: Greatest cloud coverage, 0..1; products that say none are among them.
    """
    from eotasks.catalogue.request import SearchRequest

    request = SearchRequest.of(bbox=bbox, crs=crs, time_interval=time_interval, max_cloud_cover=maxcc, level=level)
    return [each for each in candidates if meets(each, request)]


def _put(
    eopatch: EOPatch,
    feature: Feature | None,
    values: Sequence[NDArray[Any] | None],
    convert: Callable[[NDArray[Any]], NDArray[Any]] = lambda stored: stored,
) -> None:
    if feature is not None:
        eopatch[feature] = convert(np.stack([each for each in values if each is not None])[..., np.newaxis])


def _put_angles(eopatch: EOPatch, feature: Feature | None, angles: Sequence[Angles | None]) -> None:
    if feature is None:
        return
    there = [each for each in angles if each is not None]
    if feature[0] is FeatureType.SCALAR:
        eopatch[feature] = np.array([mean_direction(each) for each in there], dtype=np.float32)
    else:
        eopatch[feature] = np.stack([np.stack(each, axis=-1) for each in there])


def _probability(stored: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.where(stored == NO_MASK, np.float32(np.nan), stored / MAX_CLP).astype(np.float32)
