"""The network of ukis-csmask (DLR), of L1C and of L2A; the extra ``detectors`` brings it."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from eotasks.clouds.detectors.built_in.network import NetworkDetector
from eotasks.errors import MissingDependencyError
from eotasks.extras import install_line, missing_modules, package_of
from eotasks.models.clouds.evaluation.labels import SHADOW
from eotasks.models.clouds.networks.csmask import (
    CSMASK_BANDS,
    TRAINED_AT,
    Level,
    csmask_probabilities,
    load_csmask,
)
from eotasks.models.clouds.postprocess import CLEAR, CLOUD
from eotasks.models.threads import resolve_threads


class UkisCSMask(NetworkDetector):
    """Clouds and shadows in six bands, by the model of one level of products."""

    bands = CSMASK_BANDS
    trained = TRAINED_AT
    coarsest = 60.0
    classes = (CLEAR, CLOUD, SHADOW)

    def __init__(self, level: Level, name: str) -> None:
        """
        :param level: Of the products that the model was trained for.
        :param name: Of the detector with that model.
        """
        self.name = name
        self.description = f"clouds and shadows by a neural network in six bands of {level.upper()}, seen at 30 m"
        self.tags = MappingProxyType(
            {"MODEL": f"model_6b_{level}.onnx", "MODEL_ORIGIN": "ukis-csmask 1.0.0, DLR, Apache-2.0"}
        )
        self._level = level

    def check_installed(self) -> None:
        """Look for the packages of the extra.

        :raises MissingDependencyError: one of them is not installed.
        """
        missing = missing_modules("detectors")
        if missing:
            raise MissingDependencyError(
                f"detector {self.name!r} needs {' and '.join(map(package_of, missing))}, not installed here:"
                f" {install_line('detectors')}"
            )

    def class_probabilities(
        self, bands: NDArray[np.float32], valid: NDArray[np.bool_], *, threads: int | None
    ) -> NDArray[np.float32]:
        """Clear, cloud and shadow."""
        return csmask_probabilities(bands, valid, level=self._level, threads=threads)

    def prepare(self) -> None:
        """Load the network."""
        load_csmask(self._level, resolve_threads())


CSMASK_L1C = UkisCSMask("l1c", "ukis-csmask")
CSMASK_L2A = UkisCSMask("l2a", "ukis-csmask-l2a")
