"""What detectors by a neural network have in common: cells of the size it was trained on, and classes of its own."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from eotasks.clouds.detectors.frames import Frames
from eotasks.clouds.detectors.protocol import Detection, Detector
from eotasks.clouds.detectors.settings import DetectorSettings
from eotasks.clouds.detectors.vocabulary import Answer
from eotasks.models.clouds.networks.cells import cell_size, probabilities_by_cells
from eotasks.models.clouds.postprocess import CLOUD
from eotasks.models.sentinel2 import band_indices


@runtime_checkable
class NetworkDetector(Detector, Protocol):
    """The likeliest class of each pixel, and the probability of cloud of any kind.

    Bands come to cells of ``trained`` metres (pixels that are larger stay as they are), and the probabilities of the
    classes back to the pixels, bilinearly, where the likeliest class is taken.
    """

    answers: frozenset[Answer] = frozenset({"cloud", "shadow", "probability"})
    uses: tuple[str, ...] = ("resolution", "sampling")

    trained: float
    """Metres of a pixel that it is given where nothing else is asked for."""

    coarsest: float | None
    classes: tuple[int, ...]
    """What its classes are of ours: 0 clear, 1 cloud, 2 shadow."""

    @abstractmethod
    def class_probabilities(
        self, bands: NDArray[np.float32], valid: NDArray[np.bool_], *, threads: int | None
    ) -> NDArray[np.float32]:
        """(H, W, classes) of reflectance (H, W, bands) of ``self.bands``, 0 where it is not valid."""

    def detect(self, frames: Frames, settings: DetectorSettings) -> Detection:
        """Frame by frame.

        :raises GridError: pixels too coarse for the network, or without a size in metres.
        :raises MissingDependencyError: the package or its weights are not there.
        """
        size = frames.pixel_size()
        assert self.coarsest is not None
        cell = cell_size(size, settings.resolution, trained=self.trained, coarsest=self.coarsest, where=frames.where)
        predict = partial(self.class_probabilities, threads=settings.threads)
        indices = band_indices(self.bands, frames.names, where=frames.where)
        table = np.array(self.classes, dtype=np.uint8)
        mask = np.empty(frames.shape, dtype=np.uint8)
        probability = np.empty(frames.shape, dtype=np.float32)
        for index, where in enumerate(frames.frame_names):
            found = probabilities_by_cells(
                predict,
                frames.bands[index][..., indices],
                frames.is_data[index],
                pixel_size=size,
                cell=cell,
                sampling=settings.sampling,
                where=where,
            )
            mask[index] = table[found.argmax(axis=-1)]
            probability[index] = np.clip(found[..., table == CLOUD].sum(axis=-1), 0, 1)
        return Detection(mask, probability)
