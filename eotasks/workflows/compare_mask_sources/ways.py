"""The ways to bands with their cloud masks: what each downloads, and what it computes then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from eotasks.errors import MissingDependencyError
from eotasks.extras import is_installed
from eotasks.models.sentinel2 import CLOUD_BANDS
from eotasks.workflows.compare_mask_sources.plan import COMPUTED, S2CLOUDLESS, SERVICE, Job

if TYPE_CHECKING:
    from eolearn.core import EOPatch, EOTask

LAND_COVER_BANDS = ("B02", "B03", "B04", "B08", "B11", "B12")
"""Of the land-cover example, which is after the masks and these."""

BANDS, IS_DATA, CLP, CLM = "BANDS", "IS_DATA", "CLP", "CLM"

_AVERAGE_OVER, _DILATION, _THRESHOLD = 4, 2, 0.4
"""Of the preset "eo-learn", which AddCloudMaskTask has where nothing else is said, in s2cloudless' own words."""


@dataclass(frozen=True)
class Way:
    """A way."""

    name: str
    title: str
    bands: tuple[str, ...]
    masks: str
    """Where they come from, in words."""


WAYS: Mapping[str, Way] = MappingProxyType(
    {
        SERVICE: Way(SERVICE, "masks of the service", LAND_COVER_BANDS, "CLM and CLP of the service, 160 m"),
        COMPUTED: Way(
            COMPUTED, "masks computed", CLOUD_BANDS, "AddCloudProbabilityTask and AddCloudMaskTask, one thread"
        ),
        S2CLOUDLESS: Way(
            S2CLOUDLESS, "masks by s2cloudless", CLOUD_BANDS, "S2PixelCloudDetector on LightGBM, one thread"
        ),
    }
)


def require_s2cloudless() -> None:
    """:raises MissingDependencyError: when the package is not there."""
    if not is_installed("s2cloudless"):
        raise MissingDependencyError(
            "--with-s2cloudless needs the package s2cloudless, which eotasks brings: install it again, or leave out the"
            " option."
        )


def steps_of(job: Job) -> tuple[EOTask, Sequence[EOTask]]:
    """The task that downloads, and those that compute masks of what came.

    All dates are taken, however cloudy, so that all ways have the same; one request at a time, as one core has it.
    """
    from eolearn.core import FeatureType

    from eotasks.sources.sentinelhub.download import DownloadBandsTask

    served = job.way == SERVICE
    download = DownloadBandsTask(
        (FeatureType.DATA, BANDS),
        (FeatureType.MASK, IS_DATA),
        bands=WAYS[job.way].bands,
        resolution=job.resolution,
        clm_feature=(FeatureType.MASK, CLM) if served else None,
        clp_feature=(FeatureType.DATA, CLP) if served else None,
        maxcc=1.0,
        max_threads=1,
    )
    if served:
        return download, ()
    return download, _computing(job)


def _computing(job: Job) -> Sequence[EOTask]:
    from eolearn.core import FeatureType

    is_data = (FeatureType.MASK, IS_DATA)
    if job.way == S2CLOUDLESS:
        return (_s2cloudless_task(),)
    from eotasks.clouds.masks import AddCloudMaskTask
    from eotasks.clouds.probability import AddCloudProbabilityTask

    return (
        AddCloudProbabilityTask(
            (FeatureType.DATA, BANDS),
            (FeatureType.DATA, CLP),
            is_data_feature=is_data,
            resolution=job.mask_resolution,
            threads=1,
        ),
        AddCloudMaskTask((FeatureType.DATA, CLP), (FeatureType.MASK, CLM), is_data_feature=is_data),
    )


def _s2cloudless_task() -> EOTask:
    """The original package, which is told nothing of what has no data, as it has no way to be told."""
    from eolearn.core import EOTask, FeatureType
    from s2cloudless.cloud_detector import S2PixelCloudDetector

    class S2cloudlessTask(EOTask):
        def __init__(self) -> None:
            self.detector = S2PixelCloudDetector(
                threshold=_THRESHOLD, average_over=_AVERAGE_OVER, dilation_size=_DILATION, all_bands=False
            )

        def execute(self, eopatch: EOPatch) -> EOPatch:
            probability = self.detector.get_cloud_probability_maps(eopatch[FeatureType.DATA, BANDS])
            mask: Any = self.detector.get_mask_from_prob(probability)
            eopatch[FeatureType.DATA, CLP] = probability[..., np.newaxis]
            eopatch[FeatureType.MASK, CLM] = mask.astype(np.uint8)[..., np.newaxis]
            return eopatch

    return S2cloudlessTask()
