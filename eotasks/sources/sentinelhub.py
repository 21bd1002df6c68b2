"""Bands, data mask, CLM and CLP from Sentinel Hub's Process API, in one request an acquisition."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np
from eolearn.core import EOPatch, EOTask, FeatureType
from eolearn.io.sentinelhub_process import SentinelHubInputTask
from numpy.typing import NDArray
from oauthlib.oauth2 import OAuth2Error  # type: ignore[import-untyped]  # has no stubs
from sentinelhub.config import SH_CLIENT_ID_ENV_VAR, SH_CLIENT_SECRET_ENV_VAR, SH_PROFILE_ENV_VAR, SHConfig
from sentinelhub.constants import MosaickingOrder, ResamplingType
from sentinelhub.data_collections import DataCollection
from sentinelhub.exceptions import BaseSentinelHubException
from sentinelhub.geometry import BBox
from sentinelhub.time_utils import parse_time_interval

from eotasks._features import Feature, feature_of
from eotasks.sources.areas import bbox_for, grid_of_bbox
from models.errors import (
    ConfigurationError,
    CredentialsError,
    FeatureError,
    GridError,
    ImageryError,
    TooFewFramesError,
)
from models.sentinel2 import QUANTIFICATION, band_indices

LOGGER = logging.getLogger(__name__)

MAX_PIXELS = 2500
"""Rows or columns that the Process API returns at most."""

BandsDtype = Literal["reflectance", "dn"]
Mosaicking = Literal["mostRecent", "leastRecent", "leastCC"]
Resampling = Literal["NEAREST", "BILINEAR", "BICUBIC"]
TimeInterval = tuple[str | dt.date, str | dt.date]

_COPERNICUS_HOST = "dataspace.copernicus.eu"
_CLOUD_BANDS = ("CLM", "CLP")


class DownloadBandsTask(EOTask):
    """Download bands with their data mask, and the service's own CLM and CLP where it has them.

    It is eo-learn's SentinelHubInputTask, made when it runs, so that no credential is kept, pickled, or found in the
    description of the task. Bands are asked for as digital numbers of 16 bits (SentinelHubInputTask asks for floats
    of 32 by default, against its own description: twice the processing units and bytes), with the baseline offset
    removed by the service.

    Credentials come from the sentinelhub profile, or SH_CLIENT_ID and SH_CLIENT_SECRET.
    """

    def __init__(
        self,
        bands_feature: Feature = (FeatureType.DATA, "BANDS"),
        is_data_feature: Feature = (FeatureType.MASK, "IS_DATA"),
        *,
        bands: Sequence[str],
        resolution: float = 10,
        data_collection: str = "SENTINEL2_L1C",
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
    ) -> None:
        """
        :param bands_feature: Feature for the bands (t, h, w, bands).
        :param is_data_feature: Feature for the mask (t, h, w, 1), bool, True where the service has data.
        :param bands: Names of the bands, in the order wanted.
        :param resolution: Size of a pixel in metres.
        :param data_collection: Name of a sentinelhub DataCollection of Sentinel-2.
        :param clm_feature: Feature for the service's cloud mask (uint8: 0 clear, 1 cloud, 255 no data), None without.
        :param clp_feature: Feature for the service's cloud probability (float32, 0..1), None without.
        :param maxcc: Greatest cloud coverage of a whole scene, 0..1, as its metadata says.
        :param time_difference: Acquisitions closer than this count as one.
        :param mosaicking_order: Which acquisition is on top where several overlap; None for the service's default.
        :param upsampling: How bands coarser than the resolution are refined; None for the service's default, NEAREST.
        :param downsampling: How finer bands are coarsened; None for the service's default, NEAREST.
        :param dtype: "reflectance" for float32 (1.0 = 100 %), "dn" for uint16 (reflectance * 10000).
        :param cache_folder: Folder that keeps the service's answers; None keeps none.
        :param profile: Profile of the sentinelhub configuration; None for the default one.
        :param max_threads: Downloads at a time; None for the client's default.
        :raises ConfigurationError: when an argument is not usable, or the profile's service has no CLM and CLP.
        :raises BandError: when the collection lacks a band.
        """
        self.bands_feature = feature_of(bands_feature, [FeatureType.DATA])
        self.is_data_feature = feature_of(is_data_feature, [FeatureType.MASK])
        self.clm_feature = None if clm_feature is None else feature_of(clm_feature, [FeatureType.MASK])
        self.clp_feature = None if clp_feature is None else feature_of(clp_feature, [FeatureType.DATA])
        collection = _collection(data_collection)
        self.bands = tuple(bands)
        if not self.bands or len(set(self.bands)) != len(self.bands):
            raise ConfigurationError(f"bands={list(self.bands)!r}: name at least one band, and each once.")
        band_indices(self.bands, [band.name for band in collection.bands], where=data_collection)
        _check_range("resolution", resolution, above=0)
        _check_range("maxcc", maxcc, least=0, most=1)
        _check_range("time_difference", time_difference.total_seconds(), least=0)
        _check_choice("mosaicking_order", mosaicking_order, [order.value for order in MosaickingOrder])
        _check_choice("upsampling", upsampling, [kind.value for kind in ResamplingType])
        _check_choice("downsampling", downsampling, [kind.value for kind in ResamplingType])
        _check_choice("dtype", dtype, ["reflectance", "dn"])
        if max_threads is not None:
            _check_range("max_threads", max_threads, least=1)
        self.resolution = resolution
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
        if self.clm_feature or self.clp_feature:
            _refuse_where_clouds_are_not_served(_configuration(profile).sh_base_url)

    def execute(
        self, eopatch: EOPatch | None = None, *, bbox: BBox | None = None, time_interval: TimeInterval | None = None
    ) -> EOPatch:
        """
        :param eopatch: An EOPatch to add to; its timestamps are used when no interval is given.
        :param bbox: The ground wanted, in a projected CRS.
        :param time_interval: First and last day; needed where the EOPatch has no timestamps.
        :raises ConfigurationError: when the interval is missing, no two times, or ends before it starts.
        :raises GridError: when the box is no whole number of pixels, or more than 2500 of them a side.
        :raises CredentialsError: when there are none, or the service refuses them.
        :raises FeatureError: when the EOPatch has timestamps that are not those of the interval's acquisitions.
        :raises TooFewFramesError: when there is no acquisition.
        :raises ImageryError: when the service fails.
        """
        area = bbox_for(eopatch, bbox)
        _size(area, self.resolution)
        if time_interval is not None:
            _check_interval(time_interval)
        elif eopatch is None or not eopatch.timestamps:
            raise ConfigurationError("No time interval: give time_interval=(first day, last day).")
        config = load_credentials(self.profile)
        _keep_secrets_out_of_logs()
        try:
            patch = self._input_task(config).execute(eopatch, bbox=area, time_interval=time_interval)
        except OAuth2Error as error:
            raise CredentialsError(
                f"{_host(config.sh_base_url)} refuses the credentials ({error.error}). Correct the client id and secret"
                " of the sentinelhub profile."
            ) from error
        except (BaseSentinelHubException, OSError) as error:
            first_line = (str(error).splitlines() or [type(error).__name__])[0]
            raise ImageryError(
                f"Download from {_host(config.sh_base_url)} failed for {tuple(area)}: {first_line}. Try again later,"
                " or check the account."
            ) from error
        except ValueError as error:
            if "different timestamp" not in str(error):
                raise
            raise FeatureError(
                f"The EOPatch has other timestamps than {self.data_collection} in {time_interval}: give no interval to"
                " download for its own, or download into a new EOPatch."
            ) from error
        if not patch.timestamps:
            raise TooFewFramesError(
                f"{self.data_collection} has no acquisition of {tuple(area)} in {time_interval} with at most"
                f" {self.maxcc:.0%} cloud. Widen the interval or raise maxcc."
            )
        return self._by_convention(patch)

    def _input_task(self, config: SHConfig) -> SentinelHubInputTask:
        """eo-learn's task for this configuration."""
        extra = [(*self.is_data_feature[:1], "dataMask", self.is_data_feature[1])]
        for feature, band in ((self.clm_feature, "CLM"), (self.clp_feature, "CLP")):
            if feature is not None:
                extra.append((feature[0], band, feature[1]))
        return SentinelHubInputTask(
            data_collection=_collection_at(self.data_collection, config.sh_base_url),
            bands_feature=self.bands_feature,
            bands=list(self.bands),
            additional_data=extra,  # type: ignore[arg-type]  # a renamed feature, which the parser takes
            resolution=self.resolution,
            maxcc=self.maxcc,
            time_difference=self.time_difference,
            mosaicking_order=self.mosaicking_order,
            upsampling=None if self.upsampling is None else ResamplingType(self.upsampling),
            downsampling=None if self.downsampling is None else ResamplingType(self.downsampling),
            bands_dtype=np.uint16,
            cache_folder=self.cache_folder,
            config=config,
            max_threads=self.max_threads,
        )

    def _by_convention(self, patch: EOPatch) -> EOPatch:
        if self.dtype == "reflectance":
            patch[self.bands_feature] = _scaled(patch[self.bands_feature], QUANTIFICATION)
        if self.clp_feature is not None:
            patch[self.clp_feature] = _scaled(patch[self.clp_feature], 255)
        patch[self.is_data_feature] = patch[self.is_data_feature].astype(bool)
        return patch


@dataclass(frozen=True)
class RequestPlan:
    """What a download will cost."""

    requests: int
    """Requests: one an acquisition, and one of the catalogue."""

    bytes: int
    """Uncompressed size of the answers: an upper bound of what is transferred."""

    processing_units: float
    """What the service charges."""


def request_plan(
    bbox: BBox, resolution: float, bands: Sequence[str], frames: int, *, clouds: bool = False, months: int = 12
) -> RequestPlan:
    """What the download of one bounding box will cost.

    Processing units by the rules of the Copernicus Data Space documentation, page "Processing Unit definition": area
    over 512 x 512 pixels (at least 0.01), times input bands over 3 (the data mask is free), times 1 for 16 bits; at
    least 0.005 a request. The search in the catalogue costs 0.01 a month (boxes up to 10 000 km2), at most 1.

    :param bbox: In a projected CRS.
    :param resolution: Metres.
    :param bands: Names of the bands.
    :param frames: Number of acquisitions expected.
    :param clouds: Whether CLM and CLP are asked for too.
    :param months: Length of the time interval.
    :raises GridError: when the box is no whole number of pixels, or more than 2500 of them a side.
    """
    height, width = _size(bbox, resolution)
    pixels = height * width
    inputs = len(bands) + (len(_CLOUD_BANDS) if clouds else 0)
    unit = max(pixels / 512**2, 0.01) * inputs / 3
    frame_bytes = pixels * (2 * len(bands) + 1 + (len(_CLOUD_BANDS) if clouds else 0))
    return RequestPlan(
        requests=frames + 1,
        bytes=frames * frame_bytes,
        processing_units=frames * max(unit, 0.005) + min(0.01 * max(months, 1), 1.0),
    )


def load_credentials(profile: str | None = None) -> SHConfig:
    """The sentinelhub configuration of a profile, with credentials.

    :raises CredentialsError: when the profile does not exist, cannot be read, or holds no credentials.
    """
    config = _configuration(profile)
    if not (config.sh_client_id and config.sh_client_secret):
        raise CredentialsError(
            f"Sentinel Hub needs an account: set {SH_CLIENT_ID_ENV_VAR} and {SH_CLIENT_SECRET_ENV_VAR}, or keep them in"
            f" profile {_profile_name(profile)!r} of the sentinelhub package."
        )
    return config


def _configuration(profile: str | None) -> SHConfig:
    """The configuration of a profile; unlike SHConfig() itself it never writes a file."""
    file = Path(SHConfig.get_config_location())
    if not file.is_file():
        if profile is not None or SH_PROFILE_ENV_VAR in os.environ:
            raise CredentialsError(
                f"Profile {_profile_name(profile)!r} is not there: no {file}. Make it, or name none."
            )
        return SHConfig(
            use_defaults=True,
            sh_client_id=os.environ.get(SH_CLIENT_ID_ENV_VAR, ""),
            sh_client_secret=os.environ.get(SH_CLIENT_SECRET_ENV_VAR, ""),
        )
    try:
        return SHConfig(profile)
    except KeyError as error:
        raise CredentialsError(
            f"Profile {_profile_name(profile)!r} is not in {file}. Add it, or name another."
        ) from error
    except (OSError, TypeError, ValueError) as error:
        raise CredentialsError(f"{file} cannot be read as a sentinelhub configuration. Correct it.") from error


def _profile_name(profile: str | None) -> str:
    return profile or os.environ.get(SH_PROFILE_ENV_VAR, "default-profile")


def _keep_secrets_out_of_logs() -> None:
    """The OAuth client writes client secrets and tokens into its debug log."""
    for name in ("requests_oauthlib", "oauthlib"):
        logger = logging.getLogger(name)
        if logger.getEffectiveLevel() < logging.INFO:
            logger.setLevel(logging.INFO)


def _refuse_where_clouds_are_not_served(base_url: str) -> None:
    host = _host(base_url)
    if host == _COPERNICUS_HOST or host.endswith("." + _COPERNICUS_HOST):
        raise ConfigurationError(
            f"{host} (Copernicus Data Space) serves no CLM and CLP: set clm_feature=None and clp_feature=None, download"
            " the ten bands of the cloud model and add AddCloudProbabilityTask and AddCloudMaskTask."
        )


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _check_interval(interval: TimeInterval) -> None:
    try:
        first, last = interval
        parse_time_interval((first, last))
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigurationError(
            f"time_interval={interval!r}: {str(error).rstrip('.')}. Give (first day, last day), such as"
            " ('2019-01-01', '2019-12-31')."
        ) from error


def _collection(name: str) -> DataCollection:
    known = [member for member in DataCollection.__members__ if member.startswith("SENTINEL2")]
    if name not in known:
        raise ConfigurationError(f"data_collection={name!r} is not known: use one of {', '.join(known)}.")
    collection: DataCollection = DataCollection[name]
    return collection


def _collection_at(name: str, base_url: str) -> DataCollection:
    """The collection as another deployment serves it: a collection names its host, whatever the profile says."""
    collection = _collection(name)
    if not base_url or base_url == collection.service_url:
        return collection
    label = hashlib.sha256(base_url.encode()).hexdigest()[:8].upper()
    return collection.define_from(f"{name}_AT_{label}", service_url=base_url)


def _size(bbox: BBox, resolution: float) -> tuple[int, int]:
    grid = grid_of_bbox(bbox, resolution)
    if max(grid.shape) > MAX_PIXELS:
        raise GridError(
            f"Bounding box {tuple(bbox)}: {grid.height} x {grid.width} pixels of {resolution:g} m, the service returns"
            f" {MAX_PIXELS} a side. Use smaller patches (up to {MAX_PIXELS * resolution:g} m) or a coarser resolution."
        )
    return grid.shape


def _scaled(values: NDArray[Any], divisor: int) -> NDArray[np.float32]:
    return values.astype(np.float32) / np.float32(divisor)


def _check_range(
    name: str, value: float, *, least: float | None = None, most: float | None = None, above: float | None = None
) -> None:
    inside = (least is None or value >= least) and (most is None or value <= most) and (above is None or value > above)
    if not inside:
        limits = [f"above {above}" if above is not None else "", f"at least {least}" if least is not None else ""]
        limits.append(f"at most {most}" if most is not None else "")
        raise ConfigurationError(f"{name}={value!r}: give a number {' and '.join(filter(None, limits))}.")


def _check_choice(name: str, value: str | None, known: Sequence[str]) -> None:
    if value is not None and value not in known:
        raise ConfigurationError(f"{name}={value!r} is not known: use one of {', '.join(known)}.")
