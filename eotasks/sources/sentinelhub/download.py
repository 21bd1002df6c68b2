"""Bands, data mask, CLM and CLP from Sentinel Hub's Process API, in one request an acquisition."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import shapely
from eolearn.core import EOPatch, EOTask, FeatureType
from eolearn.io.sentinelhub_process import SentinelHubInputTask
from numpy.typing import NDArray
from sentinelhub.api.catalog import SentinelHubCatalog
from sentinelhub.config import SHConfig
from sentinelhub.constants import MosaickingOrder, ResamplingType
from sentinelhub.geometry import BBox
from sentinelhub.time_utils import filter_times, parse_time_interval

from eotasks.errors import ConfigurationError, FeatureError, GridError, ImageryError, TooFewFramesError
from eotasks.features import Feature, feature_of
from eotasks.imagery.grid import parse_crs
from eotasks.models.sentinel2 import CLOUD_BANDS, QUANTIFICATION, band_indices
from eotasks.sources.bbox import bbox_for, check_resolution, grid_of_bbox, snap_bbox
from eotasks.sources.sentinelhub.account import (
    collection_at,
    collection_named,
    configuration,
    host,
    keep_secrets_out_of_logs,
    load_credentials,
    reason,
    serves_clouds,
    service_errors,
)
from eotasks.sources.sentinelhub.checks import (
    TimeInterval,
    check_choice,
    check_count,
    check_interval,
    check_number,
    whole_percent,
)
from eotasks.sources.sentinelhub.clouds import RESOLUTION, clouds_of, coarse_area, to_area
from eotasks.sources.sentinelhub.places import check_place, search_boxes, utm_zone
from eotasks.sources.sentinelhub.plan import Part, split, windows
from eotasks.times import naive_utc, parse_time, same_times

LOGGER = logging.getLogger(__name__)

BandsDtype = Literal["reflectance", "dn"]
Mosaicking = Literal["mostRecent", "leastRecent", "leastCC"]
Resampling = Literal["NEAREST", "BILINEAR", "BICUBIC"]

_L1C = "SENTINEL2_L1C"
_DATA_MASK = "dataMask"
_NAMED_DATES = 5
_warned: set[str] = set()
"""Services of which was said that they serve no clouds."""


class DownloadBandsTask(EOTask):
    """Download bands with their data mask, and the service's own CLM and CLP where it has them.

    It is eo-learn's SentinelHubInputTask, made when it runs, so that no credential is kept, pickled, or found in the
    description of the task. Bands are asked for as digital numbers of 16 bits (SentinelHubInputTask asks for floats
    of 32 by default, against its own description: twice the processing units and bytes), with the baseline offset
    removed by the service. Other than it, areas beyond the 2500 pixels of a request are cut up and put together again,
    one failed date is named and costs no other, and damaged answers are fetched again.

    An area over the antimeridian is searched for on both sides, and downloaded as one piece in its UTM zone. In a
    system of the whole world it would be a band round it, and is refused.

    The Copernicus Data Space has no CLM and CLP: there the ten L1C bands of the cloud model are downloaded too, at
    160 m, and both are computed from them (eotasks.sources.sentinelhub.clouds). It takes twice the requests.

    Credentials come from the sentinelhub profile, or SH_CLIENT_ID and SH_CLIENT_SECRET.
    """

    def __init__(
        self,
        bands_feature: Feature = (FeatureType.DATA, "BANDS"),
        is_data_feature: Feature = (FeatureType.MASK, "IS_DATA"),
        *,
        bands: Sequence[str],
        resolution: float | None = None,
        size: tuple[int, int] | None = None,
        data_collection: str = _L1C,
        clm_feature: Feature | None = (FeatureType.MASK, "CLM"),
        clp_feature: Feature | None = (FeatureType.DATA, "CLP"),
        maxcc: float = 0.8,
        time_difference: dt.timedelta = dt.timedelta(hours=2),
        mosaicking_order: Mosaicking | None = None,
        upsampling: Resampling | None = None,
        downsampling: Resampling | None = None,
        dtype: BandsDtype = "reflectance",
        cache_folder: str | None = None,
        profile: str | None = None,
        max_threads: int | None = None,
        snap: bool = False,
    ) -> None:
        """
        :param bands_feature: Feature for the bands (t, h, w, bands).
        :param is_data_feature: Feature for the mask (t, h, w, 1), bool, True where the service has data.
        :param bands: Names of the bands, in the order wanted.
        :param resolution: Size of a pixel in metres; 10 unless ``size`` is given.
        :param size: (width, height) of the whole area in pixels, instead of a resolution.
        :param data_collection: Name of a sentinelhub DataCollection of Sentinel-2.
        :param clm_feature: Feature for the service's cloud mask (uint8: 0 clear, 1 cloud, 255 no data), None without.
        :param clp_feature: Feature for the service's cloud probability (float32, 0..1), None without.
        :param maxcc: Greatest cloud coverage of a whole scene, 0..1, as its metadata says.
        :param time_difference: Acquisitions no further than this from the first of them count as one, whose date the
            frame has.
        :param mosaicking_order: Which acquisition is on top where several overlap; None for the service's default.
        :param upsampling: How bands coarser than the resolution are refined; None for the service's default, NEAREST.
        :param downsampling: How finer bands are coarsened; None for the service's default, NEAREST.
        :param dtype: "reflectance" for float32 (1.0 = 100 %), "dn" for uint16 (reflectance * 10000).
        :param cache_folder: Folder that keeps the service's answers, so that nothing is asked for twice; None keeps
            none. The catalogue is asked each time: there may be new acquisitions.
        :param profile: Profile of the sentinelhub configuration; None for the default one.
        :param max_threads: Downloads at a time; None for the client's default.
        :param snap: Widen a box that is given to whole pixels, and bring one in degrees to the UTM zone of its middle
            (:func:`eotasks.snap_bbox`), instead of refusing it; the EOPatch then has that box.
        :raises ConfigurationError: when an argument is not usable.
        :raises CredentialsError: when the profile does not exist or cannot be read.
        :raises BandError: when the collection lacks a band.
        """
        self.bands_feature = feature_of(bands_feature, [FeatureType.DATA])
        self.is_data_feature = feature_of(is_data_feature, [FeatureType.MASK])
        self.clm_feature = None if clm_feature is None else feature_of(clm_feature, [FeatureType.MASK])
        self.clp_feature = None if clp_feature is None else feature_of(clp_feature, [FeatureType.DATA])
        collection = collection_named(data_collection)
        self.bands = tuple(bands)
        if not self.bands or len(set(self.bands)) != len(self.bands):
            raise ConfigurationError(f"bands={list(self.bands)!r}: name at least one band, and each once.")
        band_indices(self.bands, [band.name for band in collection.bands], where=data_collection)
        self.size = None if size is None else _checked_size(size, resolution)
        self.resolution = 10.0 if resolution is None else resolution
        check_resolution(self.resolution)
        check_number("maxcc", maxcc, least=0, most=1)
        if not isinstance(time_difference, dt.timedelta) or time_difference < dt.timedelta(0):
            raise ConfigurationError(f"time_difference={time_difference!r}: give a timedelta of at least 0.")
        check_choice("mosaicking_order", mosaicking_order, [order.value for order in MosaickingOrder])
        check_choice("upsampling", upsampling, [kind.value for kind in ResamplingType])
        check_choice("downsampling", downsampling, [kind.value for kind in ResamplingType])
        check_choice("dtype", dtype, ["reflectance", "dn"])
        if max_threads is not None:
            check_count("max_threads", max_threads)
        self.data_collection = data_collection
        self.maxcc = maxcc
        self.time_difference = time_difference
        self.mosaicking_order = mosaicking_order
        self.upsampling = upsampling
        self.downsampling = downsampling
        self.dtype: BandsDtype = dtype
        self.cache_folder = cache_folder
        self.profile = profile
        self.max_threads = max_threads
        self.snap = snap
        if snap and size is not None:
            raise ConfigurationError(f"size={size!r} and snap=True: snap needs a resolution; give one of them.")
        configuration(profile)

    def execute(
        self, eopatch: EOPatch | None = None, *, bbox: BBox | None = None, time_interval: TimeInterval | None = None
    ) -> EOPatch:
        """
        :param eopatch: An EOPatch to add to; its timestamps are used when no interval is given.
        :param bbox: The ground wanted, in a projected CRS.
        :param time_interval: First and last day; needed where the EOPatch has no timestamps.
        :raises ConfigurationError: when the interval is missing, no two times, or ends before it starts.
        :raises GridError: when the box is no whole number of pixels, far beyond what requests can return, or goes
            round the world or beyond the edge of its CRS.
        :raises CredentialsError: when there are none, or the service refuses them.
        :raises FeatureError: when the EOPatch has timestamps that are not those of the interval's acquisitions.
        :raises TooFewFramesError: when there is no acquisition.
        :raises ImageryError: when the service fails; the dates are named. With a ``cache_folder`` the others are kept,
            and a repetition asks for the failed ones only.
        """
        if self.snap and bbox is not None:
            bbox = snap_bbox(bbox, self.resolution)
        area = bbox_for(eopatch, bbox)
        shape = self._shape(area)
        check_place(shapely.box(*area), area.crs, f"Bounding box {tuple(area)}", ground_metres=False)
        parts = split(area, shape)
        if time_interval is not None:
            check_interval(time_interval)
        elif eopatch is None or not eopatch.timestamps:
            raise ConfigurationError("No time interval: give time_interval=(first day, last day).")
        config = load_credentials(self.profile)
        keep_secrets_out_of_logs()
        compute = (self.clm_feature or self.clp_feature) and not serves_clouds(config.sh_base_url)
        service = _Service(self, config, own_clouds=not compute)
        timestamps = service.timestamps(area, eopatch, time_interval)
        arrays = service.download(parts, shape, timestamps)
        patch = EOPatch(bbox=area, timestamps=timestamps) if eopatch is None else eopatch
        patch.bbox, patch.timestamps = area, timestamps
        if compute:
            arrays |= self._computed_clouds(config, area, shape, timestamps)
        return self._by_convention(patch, arrays)

    def _shape(self, bbox: BBox) -> tuple[int, int]:
        """Rows and columns."""
        if self.size is None:
            return grid_of_bbox(bbox, self.resolution).shape
        if parse_crs(bbox.crs.ogc_string()).is_geographic:
            zone = utm_zone(shapely.box(*bbox), bbox.crs.ogc_string())
            raise GridError(
                f"Bounding box {tuple(bbox)} in {bbox.crs.ogc_string()}: degrees are no metres. Give it in the UTM zone"
                f" of the place, {zone.ogc_string()}."
            )
        return self.size[1], self.size[0]

    def _computed_clouds(
        self, config: SHConfig, area: BBox, shape: tuple[int, int], timestamps: list[dt.datetime]
    ) -> dict[str, NDArray[Any]]:
        name = host(config.sh_base_url)
        if name not in _warned:
            _warned.add(name)
            LOGGER.warning(
                "%s has no CLM and CLP: the ten L1C bands are downloaded at 160 m, and both are computed.", name
            )
        coarse = DownloadBandsTask(
            bands=CLOUD_BANDS,
            resolution=RESOLUTION,
            data_collection=_L1C,
            clm_feature=None,
            clp_feature=None,
            maxcc=self.maxcc if self.data_collection == _L1C else 1.0,  # L2A counts clouds in its own way
            time_difference=self.time_difference,
            mosaicking_order=self.mosaicking_order,
            upsampling="NEAREST",
            downsampling="NEAREST",
            dtype="dn",
            cache_folder=self.cache_folder,
            profile=self.profile,
            max_threads=self.max_threads,
        )
        bbox, coarse_shape = coarse_area(area)
        arrays = _Service(coarse, config, own_clouds=False).download(
            split(bbox, coarse_shape), coarse_shape, timestamps
        )
        bands = np.concatenate([arrays[band] for band in CLOUD_BANDS], axis=-1)
        seen = arrays[_DATA_MASK][..., 0].astype(bool)
        clp, clm = to_area(clouds_of(bands, seen, f"clouds of {tuple(area)}"), area, shape)
        return {"CLP": clp[..., np.newaxis], "CLM": clm[..., np.newaxis]}

    def _by_convention(self, patch: EOPatch, arrays: Mapping[str, NDArray[Any]]) -> EOPatch:
        bands = np.concatenate([arrays[band] for band in self.bands], axis=-1)
        patch[self.bands_feature] = _scaled(bands, QUANTIFICATION) if self.dtype == "reflectance" else bands
        patch[self.is_data_feature] = arrays[_DATA_MASK].astype(bool)
        if self.clm_feature is not None:
            patch[self.clm_feature] = arrays["CLM"]
        if self.clp_feature is not None:
            clp = arrays["CLP"]
            patch[self.clp_feature] = _scaled(clp, 255) if clp.dtype == np.uint8 else clp
        return patch


class _Service:
    """Asks the service for what a task wants."""

    def __init__(self, task: DownloadBandsTask, config: SHConfig, *, own_clouds: bool) -> None:
        self._task, self._config = task, config
        features = (("CLM", task.clm_feature), ("CLP", task.clp_feature))
        self._extra = [_DATA_MASK, *(name for name, feature in features if feature is not None and own_clouds)]
        self._input = SentinelHubInputTask(
            data_collection=collection_at(task.data_collection, config.sh_base_url),
            bands_feature=task.bands_feature,
            bands=list(task.bands),
            additional_data=[(FeatureType.MASK, name) for name in self._extra],
            resolution=task.resolution,
            maxcc=whole_percent(task.maxcc),
            time_difference=task.time_difference,
            mosaicking_order=task.mosaicking_order,
            upsampling=None if task.upsampling is None else ResamplingType(task.upsampling),
            downsampling=None if task.downsampling is None else ResamplingType(task.downsampling),
            bands_dtype=np.uint16,
            cache_folder=task.cache_folder,
            config=config,
        )

    def timestamps(self, area: BBox, eopatch: EOPatch | None, time_interval: TimeInterval | None) -> list[dt.datetime]:
        """Times of the acquisitions: those of the catalogue in an interval, or of the EOPatch."""
        known = [] if eopatch is None else [naive_utc(time) for time in eopatch.timestamps or ()]
        if time_interval is None:
            return known
        task = self._task
        with service_errors(self._config, f"The search for acquisitions of {tuple(area)}"):
            found = self._search(area, time_interval)
        if not found:
            raise TooFewFramesError(
                f"{task.data_collection} has no acquisition of {tuple(area)} in {time_interval} with at most"
                f" {task.maxcc:.0%} cloud. Widen the interval or raise maxcc."
            )
        if known and not same_times(known, found):
            raise FeatureError(
                f"The EOPatch has other timestamps than {task.data_collection} in {time_interval}: give no interval to"
                " download for its own, or download into a new EOPatch."
            )
        return found

    def _search(self, area: BBox, time_interval: TimeInterval) -> list[dt.datetime]:
        """Times in UTC, none within the time difference of another.

        The client's own search wants less cloud than maxcc where downloads take what has as much: a wholly clouded
        scene would be in no search.
        """
        from eotasks.sources.sentinelhub.client import PatientClient, quiet_waiting

        task, collection = self._task, self._input.data_collection
        catalogue = SentinelHubCatalog(config=self._config)
        catalogue.client = PatientClient(config=self._config)
        with quiet_waiting():
            times = [
                parse_time(scene["properties"]["datetime"])
                for box in search_boxes(area)
                for scene in catalogue.search(
                    collection,
                    time=parse_time_interval(time_interval),
                    bbox=box,
                    filter=f"eo:cloud_cover <= {task.maxcc * 100:.6g}" if collection.has_cloud_coverage else None,
                    fields={"include": ["properties.datetime"], "exclude": []},
                )
            ]
        found: list[dt.datetime] = filter_times(times, task.time_difference)
        return found

    def download(
        self, parts: Sequence[Part], shape: tuple[int, int], timestamps: Sequence[dt.datetime]
    ) -> dict[str, NDArray[Any]]:
        """Arrays (t, h, w, 1) by name of band.

        :raises ImageryError: naming the dates that failed.
        """
        from eotasks.sources.sentinelhub.client import Failure, LastingClient

        wanted = [(frame, part) for frame in range(len(timestamps)) for part in parts]
        intervals = windows(timestamps, self._task.time_difference)
        requests = [self._request(intervals[frame], part) for frame, part in wanted]
        client = LastingClient(config=self._config)
        with service_errors(self._config, "The download"):
            answers = client.fetch(requests, max_threads=self._task.max_threads)
        failed: dict[int, Exception] = {}
        for (frame, _), answer in zip(wanted, answers, strict=True):
            if isinstance(answer, Failure):
                failed.setdefault(frame, answer.error)
        if failed:
            raise self._failure({timestamps[frame]: error for frame, error in failed.items()}, len(timestamps))
        arrays: dict[str, NDArray[Any]] = {}
        for (frame, part), answer in zip(wanted, answers, strict=True):
            for name, values in answer.items() if isinstance(answer, dict) else ():
                if name not in arrays:
                    arrays[name] = np.zeros((len(timestamps), *shape, 1), dtype=values.dtype)
                arrays[name][frame, part.rows, part.columns, 0] = values
        return arrays

    def _request(self, interval: tuple[dt.datetime, dt.datetime], part: Part) -> Any:
        width, height = part.size
        # not by _build_requests, which takes the time difference on both sides of a date
        return self._input._create_sh_request(interval, part.bbox, width, height, None).download_list[0]

    def _failure(self, failed: Mapping[dt.datetime, Exception], total: int) -> ImageryError:
        named = [f"{time:%Y-%m-%d %H:%M} ({reason(error)})" for time, error in failed.items()]
        more = f" and {len(named) - _NAMED_DATES} more" if len(named) > _NAMED_DATES else ""
        cure = (
            "give cache_folder to keep what comes, and run it again"
            if self._task.cache_folder is None
            else "the others are kept, run it again for these"
        )
        return ImageryError(
            f"{host(self._config.sh_base_url)}: {len(failed)} of {total} acquisitions could not be downloaded:"
            f" {'; '.join(named[:_NAMED_DATES])}{more}. Check the account and the network; {cure}."
        )


def _checked_size(size: tuple[int, int], resolution: float | None) -> tuple[int, int]:
    if resolution is not None:
        raise ConfigurationError(f"size={size!r} and resolution={resolution!r}: give one of them.")
    try:
        width, height = size
        check_count("width", width)
        check_count("height", height)
    except (TypeError, ValueError, ConfigurationError) as error:
        raise ConfigurationError(f"size={size!r}: give (width, height) in pixels, each at least 1.") from error
    return int(width), int(height)


def _scaled(values: NDArray[Any], divisor: int) -> NDArray[np.float32]:
    return values.astype(np.float32) / np.float32(divisor)
