"""The embedded sample: one real Sentinel-2 acquisition and the land use of the same ground.

Tile 33UUU, 2017-02-16, 13 bands, 15.4 x 7.7 km west of Berlin. Origin, licences and limits: README.md beside the data.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from eolearn.core import EOPatch, EOTask, FeatureType
from numpy.typing import NDArray
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.errors import AreaError, ConfigurationError, FeatureError
from eotasks.features import Feature, feature_of
from eotasks.imagery.grid import Grid
from eotasks.imagery.pixels.resampling import ResamplingName, check_resampling
from eotasks.imagery.scene import Scene, open_scene
from eotasks.models.sentinel2 import BANDS, QUANTIFICATION, band_indices
from eotasks.sources.bbox import bbox_for, check_resolution, grid_of_bbox
from eotasks.sources.sample_files import SAMPLE_NAME as SAMPLE_NAME
from eotasks.sources.sample_files import sample_path as sample_path
from eotasks.sources.sample_files import sample_reference_path as sample_reference_path
from eotasks.times import same_times

SAMPLE_TIME = dt.datetime(2017, 2, 16, 10, 21, 1)  # noqa: DTZ001 - EOPatch timestamps are naive UTC
SAMPLE_BBOX = BBox((330_000, 5_814_360, 345_360, 5_822_040), CRS("EPSG:32633"))

SUN_ANGLES: Feature = (FeatureType.SCALAR, "SUN_ANGLES")
"""float32 (t, 2): zenith and azimuth (clockwise from north) of the sun in degrees."""

BandsDtype = Literal["reflectance", "dn"]


@lru_cache(maxsize=1)
def open_sample() -> Scene:
    """The embedded acquisition as a scene."""
    return open_scene(sample_path())


class LoadSampleTask(EOTask):
    """Load the embedded acquisition for a bounding box.

    Adds bands, data mask, the timestamp and the scalar feature SUN_ANGLES.
    """

    def __init__(
        self,
        bands_feature: Feature = (FeatureType.DATA, "BANDS"),
        is_data_feature: Feature = (FeatureType.MASK, "IS_DATA"),
        *,
        bands: Sequence[str] | None = None,
        resolution: float = 10,
        resampling: ResamplingName = "mean",
        dtype: BandsDtype = "reflectance",
    ) -> None:
        """
        :param bands_feature: Feature for the bands (1, h, w, bands).
        :param is_data_feature: Feature for the mask (1, h, w, 1), bool, True where the scene holds data.
        :param bands: Names of the bands in the order wanted; None for all 13 in the order of
            eotasks.models.sentinel2.BANDS.
        :param resolution: Size of a pixel in metres.
        :param resampling: "mean" (weighted by area), "nearest", "bilinear" or "cubic".
        :param dtype: "reflectance" for float32 (1.0 = 100 %), "dn" for uint16 (reflectance * 10000).
        :raises ConfigurationError: when an argument is not usable; BandError for an unknown band.
        """
        self.bands_feature = feature_of(bands_feature, [FeatureType.DATA])
        self.is_data_feature = feature_of(is_data_feature, [FeatureType.MASK])
        self.bands: tuple[str, ...] = BANDS if bands is None else tuple(bands)
        if not self.bands:
            raise ConfigurationError("bands=[]: name at least one band, or None for all.")
        band_indices(self.bands, BANDS, where="LoadSampleTask")
        check_resolution(resolution)
        check_resampling(resampling)
        if dtype not in ("reflectance", "dn"):
            raise ConfigurationError(f"dtype={dtype!r}: use 'reflectance' or 'dn'.")
        self.resolution = resolution
        self.resampling: ResamplingName = resampling
        self.dtype: BandsDtype = dtype

    def execute(self, eopatch: EOPatch | None = None, *, bbox: BBox | None = None) -> EOPatch:
        """
        :param eopatch: An EOPatch to add to; None makes a new one.
        :param bbox: The ground wanted, in a projected CRS; may be left out when the EOPatch has one.
        :raises AreaError: when it does not meet the scene.
        :raises GridError: when it is no whole number of pixels.
        """
        area = bbox_for(eopatch, bbox)
        grid = grid_of_bbox(area, self.resolution)
        scene = open_sample()
        dn, is_data = self._read(scene, grid)
        if not is_data.any():
            raise AreaError(
                f"Bounding box {tuple(area)} ({grid.crs}) lies outside of the sample, which covers"
                f" {tuple(SAMPLE_BBOX)} (EPSG:32633). Choose a place inside of it."
            )
        patch = _with_time(eopatch, area, scene.acquisition.time)
        patch[self.bands_feature] = (dn if self.dtype == "dn" else _reflectance(dn))[np.newaxis]
        patch[self.is_data_feature] = is_data[np.newaxis, ..., np.newaxis]
        angles = (scene.acquisition.sun_zenith, scene.acquisition.sun_azimuth)
        patch[SUN_ANGLES] = np.array([angles], dtype=np.float32)
        return patch

    def _read(self, scene: Scene, grid: Grid) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
        """The bands wanted, and where all bands of the scene are data: each file is decoded once where it can be."""
        if set(self.bands) == set(scene.bands):
            return scene.read_masked(self.bands, grid, resampling=self.resampling)
        is_data = scene.is_data(grid, resampling=self.resampling)
        return scene.read(self.bands, grid, resampling=self.resampling), is_data


def _reflectance(dn: NDArray[np.uint16]) -> NDArray[np.float32]:
    return dn.astype(np.float32) / np.float32(QUANTIFICATION)


def _with_time(eopatch: EOPatch | None, bbox: BBox, time: dt.datetime) -> EOPatch:
    if eopatch is None:
        return EOPatch(bbox=bbox, timestamps=[time])
    if eopatch.timestamps and not same_times(eopatch.timestamps, [time]):
        raise FeatureError(
            f"The EOPatch has {len(eopatch.timestamps)} timestamps, the sample is the one of {time}: load it into a"
            " new EOPatch."
        )
    eopatch.bbox = bbox
    eopatch.timestamps = [time]
    return eopatch
