"""Clouds seen through time: the InterSSIM method."""

from __future__ import annotations

from eotasks.clouds.detectors.built_in.s2cloudless import S2CLOUDLESS
from eotasks.clouds.detectors.frames import Frames
from eotasks.clouds.detectors.protocol import Detection, Detector
from eotasks.clouds.detectors.settings import DetectorSettings
from eotasks.clouds.detectors.vocabulary import Answer, Need
from eotasks.models.sentinel2 import CLOUD_BANDS


class MultiTemporal(Detector):
    """The multi-temporal model, its single-scene one and their mask, with settings of its own."""

    name = "multi-temporal"
    description = "clouds seen through time (InterSSIM), with its own settings"
    bands = CLOUD_BANDS
    needs: frozenset[Need] = frozenset({"series"})
    answers: frozenset[Answer] = frozenset({"cloud", "probability"})
    uses = ("resolution",)

    def detect(self, frames: Frames, settings: DetectorSettings) -> Detection:
        """As ``AddMultiTemporalCloudProbabilityTask`` with its defaults."""
        from eolearn.core import FeatureType

        from eotasks.clouds.detectors.eopatch import BANDS, IS_DATA, eopatch_of
        from eotasks.clouds.temporal import AddMultiTemporalCloudProbabilityTask  # loads an engine of its own

        probability, mask = (FeatureType.DATA, "CLP"), (FeatureType.MASK, "DETECTED")
        task = AddMultiTemporalCloudProbabilityTask(
            BANDS,
            probability,
            mask_feature=mask,
            is_data_feature=IS_DATA,
            bands=frames.names,
            resolution=settings.resolution,
            check_bands=False,  # the caller of every detector does
            threads=settings.threads,
        )
        patch = task.execute(eopatch_of(frames))
        return Detection(patch[mask][..., 0], patch[probability][..., 0])

    def prepare(self) -> None:
        """As s2cloudless, whose model is one of both."""
        S2CLOUDLESS.prepare()


MULTI_TEMPORAL = MultiTemporal()
