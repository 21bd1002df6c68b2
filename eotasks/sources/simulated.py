"""A simulated year over the embedded sample: time series with known truth, without an account or a network.

Every number that comes of it is about the simulation. It says nothing about accuracy in the field.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from eolearn.core import EOPatch, EOTask, FeatureType
from geopandas import GeoDataFrame
from numpy.typing import NDArray
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox
from shapely.geometry.polygon import Polygon

from eotasks.errors import ConfigurationError, FeatureError, GridError
from eotasks.features import Feature, feature_of
from eotasks.imagery.grid import Grid
from eotasks.models.clouds.pixel import cloud_probability
from eotasks.models.sentinel2 import BANDS, QUANTIFICATION, band_indices
from eotasks.models.simulation.ground import Ground, check_elevation, prepare_ground
from eotasks.models.simulation.lakes.basin import nominal_area, outline
from eotasks.models.simulation.year import (
    PLAIN,
    Lake,
    LakeOnDate,
    Realism,
    SimulatedAcquisition,
    SimulationSettings,
    acquisition_times,
    reconstructed,
    simulate,
)
from eotasks.sources.bbox import bbox_for, check_resolution, grid_of_bbox
from eotasks.sources.sample import SAMPLE_BBOX, SAMPLE_TIME, SUN_ANGLES, open_sample
from eotasks.times import same_times

TRUTH_CLOUD: Feature = (FeatureType.MASK, "TRUTH_CLOUD")
"""bool (t, h, w, 1): opaque cloud."""

TRUTH_CIRRUS: Feature = (FeatureType.MASK, "TRUTH_CIRRUS")
"""bool (t, h, w, 1): thin cirrus."""

TRUTH_SHADOW: Feature = (FeatureType.MASK, "TRUTH_SHADOW")
"""bool (t, h, w, 1): cloud shadow on ground that is in view."""

TRUTH_SNOW: Feature = (FeatureType.MASK, "TRUTH_SNOW")
"""bool (t, h, w, 1): snow on at least half of the ground."""

TRUTH_HAZE: Feature = (FeatureType.MASK, "TRUTH_HAZE")
"""bool (t, h, w, 1): a veil of smoke or mist, which is no cloud. This and what follows: realistic years only."""

TRUTH_TERRAIN_SHADE: Feature = (FeatureType.MASK, "TRUTH_TERRAIN_SHADE")
"""bool (t, h, w, 1): slopes that the sun does not reach."""

TRUTH_WATER: Feature = (FeatureType.MASK, "TRUTH_WATER")
"""uint8 (t, h, w, 1): 0 none, 1 clear, 2 muddy, 3 flooded field, 4 surf, 5 ice
(``eotasks.models.simulation.water_and_snow.WaterKind``)."""

TRUTH_LAKE_WATER: Feature = (FeatureType.DATA, "TRUTH_LAKE_WATER")
"""float32 (t, h, w, 1): share of the pixel that is water or ice of the lakes asked for. This and what follows: years
with lakes only."""

TRUTH_LAKE_LEVEL: Feature = (FeatureType.SCALAR, "TRUTH_LAKE_LEVEL")
"""float32 (t, lakes): area under water / area of the full lake, of the whole lake."""

TRUTH_LAKE_STATE: Feature = (FeatureType.LABEL, "TRUTH_LAKE_STATE")
"""uint8 (t, lakes): 0 open, 1 turbid, 2 partly frozen, 3 frozen
(``eotasks.models.simulation.lakes.season.LakeState``)."""

LAKE_OUTLINES: Feature = (FeatureType.VECTOR_TIMELESS, "LAKES")
"""A row per lake, in the order of the levels: ``id`` (text, from 1), ``name``, ``nominal_area`` (square metres) and the
outline of the full lake, in the CRS of the sample."""

RECONSTRUCTED: Feature = (FeatureType.MASK_TIMELESS, "RECONSTRUCTED")
"""bool (h, w, 1): ground that lay under real clouds or shadows and was made up from similar clear ground."""

_CLOUD_MODEL_RESOLUTION = 80
_REALISTIC_TRUTH = (TRUTH_HAZE, TRUTH_TERRAIN_SHADE, TRUTH_WATER)


class SimulateYearTask(EOTask):
    """Simulate a year of Sentinel-2 L1C acquisitions for a bounding box, from the embedded real scene.

    Adds the bands, the data mask, timestamps, SUN_ANGLES, the truth masks TRUTH_CLOUD, TRUTH_CIRRUS, TRUTH_SHADOW and
    TRUTH_SNOW, RECONSTRUCTED, and the meta information SIMULATED with the settings (of a DEM its checksum); with
    options of realism or a DEM also TRUTH_HAZE, TRUTH_TERRAIN_SHADE and TRUTH_WATER; with lakes also TRUTH_WATER,
    TRUTH_LAKE_WATER, TRUTH_LAKE_LEVEL, TRUTH_LAKE_STATE and the outlines LAKES. Any place in the CRS of the sample
    (EPSG:32633) will do: beyond the scene the ground goes on as its mirror image. Patches of the same settings fit at
    their edges.
    """

    def __init__(
        self,
        bands_feature: Feature = (FeatureType.DATA, "BANDS"),
        is_data_feature: Feature = (FeatureType.MASK, "IS_DATA"),
        *,
        seed: int = 42,
        year: int = 2017,
        acquisitions: int = 12,
        snow: bool = False,
        cloudiness: float = 0.3,
        cirrus: float = 0.25,
        haze: float = 0.13,
        swath_edges: float = 0.2,
        resolution: float = 20,
        bands: Sequence[str] | None = None,
        realism: Realism = PLAIN,
        elevation: NDArray[np.generic] | None = None,
        lakes: Sequence[Lake] = (),
    ) -> None:
        """
        :param bands_feature: Feature for the bands (t, h, w, bands), float32 reflectance in steps of 1/10000.
        :param is_data_feature: Feature for the mask (t, h, w, 1), bool, False beyond the edge of the swath.
        :param seed: The same seed gives the same values.
        :param year: Calendar year.
        :param acquisitions: Number of dates, spread evenly over the year.
        :param snow: Snow on winter dates.
        :param cloudiness: Mean share of the ground under opaque cloud, 0..0.95.
        :param cirrus: Share of the dates with thin cirrus, 0..1.
        :param haze: Mean aerosol optical thickness at 550 nm, 0.03..0.6.
        :param swath_edges: Share of the dates on which the edge of the swath leaves a wedge without data, 0..1.
        :param resolution: Size of a pixel in metres; the sample's extent must be a whole number of them.
        :param bands: Names of the bands in the order wanted; None for all 13 in the order of
            eotasks.models.sentinel2.BANDS.
        :param realism: What makes masks hard (soft clouds in layers, haze, hills, muddy water and more):
            ``eotasks.models.simulation.realism.REALISTIC`` for all of it, or a Realism(...) of single options.
        :param elevation: (h, w) metres of a DEM on the grid of the whole sample at the resolution, in the place of
            simulated hills; None for none.
        :param lakes: Lakes to lay into the ground (``eotasks.models.simulation.lakes.placing.place_lakes`` finds room).
        :raises GridError: for an elevation of another shape, or with gaps.
        :raises ConfigurationError: when an argument is not usable; BandError for an unknown band.
        """
        self.bands_feature = feature_of(bands_feature, [FeatureType.DATA])
        self.is_data_feature = feature_of(is_data_feature, [FeatureType.MASK])
        self.settings = SimulationSettings(
            seed=seed, year=year, acquisitions=acquisitions, snow=snow, cloudiness=cloudiness, cirrus=cirrus,
            haze=haze, swath_edges=swath_edges, realism=realism,
        )  # fmt: skip
        self.bands: tuple[str, ...] = BANDS if bands is None else tuple(bands)
        if not self.bands:
            raise ConfigurationError("bands=[]: name at least one band, or None for all.")
        band_indices(self.bands, BANDS, where="SimulateYearTask")
        self.resolution = resolution
        _check_fits_the_sample(resolution)
        grid = grid_of_bbox(SAMPLE_BBOX, resolution)
        self.elevation = None if elevation is None else check_elevation(elevation, (grid.height, grid.width))
        self.lakes = tuple(lakes)

    def execute(self, eopatch: EOPatch | None = None, *, bbox: BBox | None = None) -> EOPatch:
        """
        :param eopatch: An EOPatch to add to; None makes a new one.
        :param bbox: The ground wanted, in EPSG:32633; may be left out when the EOPatch has one.
        :raises GridError: for another CRS, or an extent that is no whole number of pixels.
        """
        area = bbox_for(eopatch, bbox)
        grid = grid_of_bbox(area, self.resolution)
        _check_crs(area)
        times = acquisition_times(self.settings)
        if eopatch is not None and eopatch.timestamps and not same_times(eopatch.timestamps, times):
            raise FeatureError(
                f"The EOPatch has {len(eopatch.timestamps)} timestamps that are not those of the simulated year:"
                " simulate into a new EOPatch."
            )
        ground = dataclasses.replace(sample_ground(self.resolution, self.settings.seed), elevation=self.elevation)
        frames = self._frames(ground, grid, len(times))
        patch = EOPatch(bbox=area, timestamps=times) if eopatch is None else eopatch
        patch.bbox, patch.timestamps = area, times
        for feature, values in frames.items():
            patch[feature] = values
        window = (grid.left, grid.top, grid.height, grid.width)
        patch[RECONSTRUCTED] = reconstructed(ground, *window)[..., np.newaxis]
        if self.lakes:
            patch[LAKE_OUTLINES] = lake_outlines(self.lakes)
        patch[(FeatureType.META_INFO, "SIMULATED")] = {
            "simulated": True,
            "from": "T33UUU 2017-02-16 (Copernicus Sentinel data 2017)",
            "resolution": self.resolution,
            **self._described(),
        }
        return patch

    @property
    def _is_realistic(self) -> bool:
        return self.settings.realism != PLAIN or self.elevation is not None

    def _described(self) -> dict[str, object]:
        """The settings as plain values; a plain year says nothing of options that it has not. Which DEM it was is told
        by the checksum of its heights: float32 in little-endian bytes, row by row.
        """
        values = dataclasses.asdict(self.settings)
        if not self._is_realistic:
            del values["realism"]
        if self.lakes:
            values["lakes"] = [dataclasses.asdict(lake) for lake in self.lakes]
        if self.elevation is None:
            return values
        heights = np.ascontiguousarray(self.elevation, dtype="<f4")  # the same on every machine
        return values | {"dem": True, "dem_sha256": hashlib.sha256(heights.tobytes()).hexdigest()}

    def _frames(self, ground: Ground, grid: Grid, count: int) -> dict[Feature, NDArray[np.generic]]:
        chosen = band_indices(self.bands)
        shape = (count, grid.height, grid.width)
        bands = np.empty((*shape, len(chosen)), dtype=np.float32)
        angles = np.empty((count, 2), dtype=np.float32)
        features = [self.is_data_feature, TRUTH_CLOUD, TRUTH_CIRRUS, TRUTH_SHADOW, TRUTH_SNOW]
        features += _REALISTIC_TRUTH if self._is_realistic else ()
        features += (TRUTH_WATER,) if self.lakes and not self._is_realistic else ()
        masks: dict[Feature, NDArray[np.generic]] = {
            feature: np.empty((*shape, 1), dtype=np.uint8 if feature == TRUTH_WATER else np.bool_)
            for feature in features
        }
        frames = []
        for index in range(count):
            frame = simulate(
                ground, self.settings, index, grid.left, grid.top, grid.height, grid.width, lakes=self.lakes
            )
            bands[index] = frame.bands[..., chosen]
            angles[index] = frame.sun_zenith, frame.sun_azimuth
            truth = _masks(frame, self.is_data_feature)
            for feature, mask in masks.items():
                mask[index, ..., 0] = truth[feature]
            frames.append((frame.lake_water, frame.lakes))
        return {self.bands_feature: bands, SUN_ANGLES: angles, **masks, **_lake_truth(frames)}


def _masks(frame: SimulatedAcquisition, is_data_feature: Feature) -> dict[Feature, NDArray[np.generic]]:
    return {
        is_data_feature: frame.is_data,
        TRUTH_CLOUD: frame.cloud,
        TRUTH_CIRRUS: frame.cirrus,
        TRUTH_SHADOW: frame.shadow,
        TRUTH_SNOW: frame.snow,
        TRUTH_HAZE: frame.haze,
        TRUTH_TERRAIN_SHADE: frame.terrain_shade,
        TRUTH_WATER: frame.water_kind,
    }


def _lake_truth(
    frames: Sequence[tuple[NDArray[np.float32] | None, tuple[LakeOnDate, ...]]],
) -> dict[Feature, NDArray[np.generic]]:
    """Of each date the water of its lakes and their states; nothing in a year without lakes."""
    water = [share for share, _ in frames if share is not None]
    if not water:
        return {}
    return {
        TRUTH_LAKE_WATER: np.stack(water)[..., np.newaxis],
        TRUTH_LAKE_LEVEL: np.array([[lake.level for lake in lakes] for _, lakes in frames], dtype=np.float32),
        TRUTH_LAKE_STATE: np.array([[lake.state for lake in lakes] for _, lakes in frames], dtype=np.uint8),
    }


def lake_outlines(lakes: Sequence[Lake]) -> GeoDataFrame:
    """Names, areas and outlines of full lakes: what LAKES is in an EOPatch."""
    return GeoDataFrame(
        {
            "id": [str(number + 1) for number in range(len(lakes))],
            "name": [lake.name for lake in lakes],
            "nominal_area": [nominal_area(lake) for lake in lakes],
        },
        geometry=[Polygon(outline(lake)) for lake in lakes],
        crs=SAMPLE_BBOX.crs.pyproj_crs(),
    )


def _check_crs(bbox: BBox) -> None:
    """In another CRS the same coordinates are another place, and neighbours of two zones would not fit."""
    if bbox.crs != SAMPLE_BBOX.crs:
        raise GridError(
            f"Bounding box {tuple(bbox)} is in {bbox.crs.ogc_string()}, the simulated ground in"
            f" {SAMPLE_BBOX.crs.ogc_string()}: transform it, and round it to whole pixels."
        )


@lru_cache(maxsize=2)
def sample_ground(resolution: float, seed: int) -> Ground:
    """The ground of the embedded sample, prepared once per process for a resolution and a seed.

    :param resolution: Metres.
    """
    grid = grid_of_bbox(SAMPLE_BBOX, resolution)
    scene = open_sample()
    dn, is_data = scene.read_masked(BANDS, grid)
    bands = dn.astype(np.float32) / np.float32(QUANTIFICATION)
    longitude, latitude = SAMPLE_BBOX.transform(CRS.WGS84).middle
    return prepare_ground(
        bands, is_data, _coarse_probability(bands, is_data, resolution),
        resolution=resolution, left=grid.left, top=grid.top, latitude=latitude, longitude=longitude,
        time=SAMPLE_TIME, seed=seed,
    )  # fmt: skip


def _coarse_probability(
    bands: NDArray[np.float32], is_data: NDArray[np.bool_], resolution: float
) -> NDArray[np.float32]:
    """Cloud probability of blocks of about 80 m, on the grid of the bands: clouds to refill are larger than that."""
    factor = max(1, round(_CLOUD_MODEL_RESOLUTION / resolution))
    height, width, count = bands.shape
    rows, columns = -(-height // factor), -(-width // factor)
    edge = ((0, rows * factor - height), (0, columns * factor - width))
    blocks = np.pad(bands, (*edge, (0, 0)), mode="edge").reshape(rows, factor, columns, factor, count).mean(axis=(1, 3))
    whole = np.pad(is_data, edge, mode="edge").reshape(rows, factor, columns, factor)
    valid = np.asarray(whole.all(axis=(1, 3)))
    probability = cloud_probability(blocks, valid=valid, check_bands=False, where="the sample")
    return probability.repeat(factor, axis=0).repeat(factor, axis=1)[:height, :width]


def _check_fits_the_sample(resolution: float) -> None:
    check_resolution(resolution)
    try:
        grid_of_bbox(SAMPLE_BBOX, resolution)
    except GridError as error:
        raise ConfigurationError(
            f"resolution={resolution!r}: the sample of 15360 x 7680 m is no whole number of such pixels: give 10, 20,"
            " 40, 60, 80 or 160."
        ) from error
