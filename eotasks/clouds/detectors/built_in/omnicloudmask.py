"""The networks of OmniCloudMask, of L1C or L2A; package and weights are the user's own to install."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from eotasks.clouds.detectors.built_in.network import NetworkDetector
from eotasks.errors import MissingDependencyError
from eotasks.extras import is_installed
from eotasks.models.clouds.evaluation.labels import SHADOW
from eotasks.models.clouds.networks.omnicloudmask import (
    COARSEST,
    FINEST,
    MODEL_VERSION,
    OMNICLOUDMASK_BANDS,
    load_omnicloudmask,
    not_installed,
    omnicloudmask_probabilities,
)
from eotasks.models.clouds.postprocess import CLEAR, CLOUD


class OmniCloudMask(NetworkDetector):
    """Thick and thin cloud, both cloud, and shadow, in three bands of any sensor."""

    name = "omnicloudmask"
    description = "clouds and shadows by neural networks in B03, B04 and B8A; a package and weights of your own"
    bands = OMNICLOUDMASK_BANDS
    trained = FINEST
    coarsest = COARSEST
    classes = (CLEAR, CLOUD, CLOUD, SHADOW)
    tags = MappingProxyType({"MODEL": f"OmniCloudMask {MODEL_VERSION}", "MODEL_ORIGIN": "omnicloudmask, MIT"})

    def check_installed(self) -> None:
        """Look for the package; for its weights when it is loaded, since it has to be imported for that.

        :raises MissingDependencyError: it is not installed.
        """
        if not is_installed("omnicloudmask"):
            raise MissingDependencyError(not_installed())

    def class_probabilities(
        self, bands: NDArray[np.float32], valid: NDArray[np.bool_], *, threads: int | None
    ) -> NDArray[np.float32]:
        """Clear, thick cloud, thin cloud and shadow."""
        return omnicloudmask_probabilities(bands, valid, threads=threads)

    def prepare(self) -> None:
        """Import the package and look for its weights."""
        load_omnicloudmask()


OMNICLOUDMASK = OmniCloudMask()
