"""``S2PixelCloudDetector`` of s2cloudless 1.7.3, on the tree engine."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from eotasks.errors import BandError, ConfigurationError, FeatureError, GridError, UnusedSettingWarning, warn_caller
from eotasks.models.clouds.pixel import MODEL_FILE, model_path
from eotasks.s2cloudless import suspect
from eotasks.s2cloudless.pixel_classifier import ModelFile, PixelClassifier
from eotasks.s2cloudless.utils import MODEL_BAND_IDS, S2_BANDS, cv2_disk

MODEL_FILENAME = MODEL_FILE


class S2PixelCloudDetector:
    """Clouds in Sentinel-2 L1C, pixel by pixel: the class of s2cloudless 1.7.3, with its parameters and numbers.

    Probabilities and masks equal those of s2cloudless in every bit. Where s2cloudless ends in an error by an oversight
    (dilation without averaging), this works; where it answers what it should not (NaN, raw digital numbers, no data, an
    offset left in), this gives the same answer and a typed warning: ``NoDataPredictedWarning``,
    ``NotReflectanceWarning``, ``NotProbabilityWarning`` or ``UnusedSettingWarning`` of ``eotasks.errors``.

    The threads are those of ``eotasks.models.threads``, or the keyword ``num_threads``. A detector pickles small, also
    one that was used.

    :param threshold: Probability above which (strictly) a pixel is cloud.
    :param all_bands: The images have all thirteen bands, not the ten of the model.
    :param average_over: Radius in pixels of the disk that probabilities are averaged over; None or 0 for no averaging.
    :param dilation_size: Radius in pixels of the disk that clouds grow by; None or 0 for no dilation.
    :param model_filename: Another LightGBM model (text); None for that of s2cloudless.
    :raises ConfigurationError: a radius that is negative or no whole number.
    :raises MissingDependencyError: the model of s2cloudless is not installed.
    """

    def __init__(
        self,
        threshold: float = 0.4,
        all_bands: bool = False,
        average_over: int | None = 1,
        dilation_size: int | None = 1,
        model_filename: str | os.PathLike[str] | None = None,
    ) -> None:
        self.threshold = threshold
        self.all_bands = all_bands
        self.average_over = average_over
        self.dilation_size = dilation_size
        self.model_filename = str(model_path()) if model_filename is None else model_filename
        self._classifier: PixelClassifier | None = None
        self._radii = _radius(average_over, "average_over"), _radius(dilation_size, "dilation_size")
        if self._radii[0]:
            self.conv_filter = _weights(self._radii[0])
        if self._radii[1]:
            self.dilation_filter = cv2_disk(self._radii[1])

    @property
    def classifier(self) -> PixelClassifier:
        """The model, read when it is first needed."""
        if self._classifier is None:
            self._classifier = PixelClassifier(ModelFile(self.model_filename))
        return self._classifier

    def get_cloud_probability_maps(self, data: NDArray[Any], **kwargs: Any) -> NDArray[np.float32]:
        """Probability of cloud.

        :param data: Array (N, height, width, bands) of L1C reflectance (1.0 = 100 %, the baseline offset removed):
            thirteen bands with ``all_bands``, else B01, B02, B04, B05, B08, B8A, B09, B10, B11, B12.
        :param kwargs: Options of ``lightgbm.Booster.predict``. ``num_threads`` and ``raw_score`` are the engine's too;
            with any other LightGBM predicts.
        :return: float32 (N, height, width), 0 clear to 1 cloud.
        :raises GridError: data of another dimension.
        :raises BandError: another number of bands.
        :raises ModelError: the file of ``model_filename`` is missing, damaged or no such model.
        """
        return self._probability(data, kwargs)

    def get_cloud_masks(self, data: NDArray[Any], **kwargs: Any) -> NDArray[np.uint8] | NDArray[np.int8]:
        """Cloud mask: ``get_mask_from_prob`` of ``get_cloud_probability_maps``, with their parameters and errors.

        :return: (N, height, width) of 0 clear and 1 cloud, with the dtypes of ``get_mask_from_prob``.
        """
        return self._mask(self._probability(data, kwargs), None)

    def get_mask_from_prob(
        self, cloud_probs: NDArray[Any], threshold: float | None = None
    ) -> NDArray[np.uint8] | NDArray[np.int8]:
        """Average probabilities, compare with the threshold, dilate.

        :param cloud_probs: Array (N, height, width), 0..1.
        :param threshold: In place of that of the detector; 0 is taken for what it is.
        :return: (N, height, width) of 0 clear and 1 cloud: uint8; int8 when neither is averaged nor dilated; of an
            empty stack that is averaged or dilated, as of s2cloudless, shape (0,).
        :raises GridError: probabilities of another dimension.
        :raises FeatureError: a dtype that OpenCV does not average, or frames without pixels.
        """
        return self._mask(cloud_probs, threshold)

    def _probability(self, data: NDArray[Any], options: dict[str, Any]) -> NDArray[np.float32]:
        data = _array(data, 4)
        expected = len(S2_BANDS if self.all_bands else MODEL_BAND_IDS)
        if data.shape[-1] != expected:
            raise BandError(
                f"Parameter `all_bands` is set to {self.all_bands}, but images have {data.shape[-1]} bands."
                f" Give {expected}: {', '.join(S2_BANDS if self.all_bands else [S2_BANDS[i] for i in MODEL_BAND_IDS])}."
            )
        columns = MODEL_BAND_IDS if self.all_bands else list(range(expected))
        _warn(suspect.of_bands(data, columns))
        return self.classifier.image_predict_cloud(np.asarray(data), columns, **options)

    def _mask(self, probability: NDArray[Any], threshold: float | None) -> NDArray[np.uint8] | NDArray[np.int8]:
        probability = _array(probability, 3)
        threshold = self.threshold if threshold is None else threshold
        _warn([*suspect.of_probability(probability, threshold), *self._unused_settings()])
        if not self.average_over and not self.dilation_size:
            return (probability > threshold).astype(np.int8)
        return np.asarray([self._frame_mask(frame, threshold) for frame in probability], dtype=np.uint8)

    def _frame_mask(self, frame: NDArray[Any], threshold: float) -> NDArray[np.uint8]:
        try:
            if self.average_over:
                frame = cv2.filter2D(frame, -1, self.conv_filter, borderType=cv2.BORDER_REFLECT)
            mask = (frame > threshold).astype(np.uint8)
            return np.asarray(cv2.dilate(mask, self.dilation_filter) if self.dilation_size else mask, dtype=np.uint8)
        except cv2.error as error:
            raise FeatureError(
                f"cloud_probs: OpenCV cannot average or dilate {frame.dtype} of shape {frame.shape} ({error.err})."
                " Give float32 probabilities of frames with pixels."
            ) from error

    def _unused_settings(self) -> list[suspect.Finding]:
        """Radii that were set anew: the disks are those of the constructor, as in s2cloudless."""
        found: list[suspect.Finding] = []
        names = (("average_over", "conv_filter"), ("dilation_size", "dilation_filter"))
        for made, (name, filter_name) in zip(self._radii, names, strict=True):
            now, disk = getattr(self, name), getattr(self, filter_name, None)
            if not now or now == made:
                continue
            if disk is None:
                raise ConfigurationError(f"{name}={now!r} was set on a detector made without: make a new one with it.")
            if disk.shape == (2 * made + 1, 2 * made + 1):
                text = f"{name} was set to {now!r}, the disk is still that of {made}, as in s2cloudless:"
                found.append((UnusedSettingWarning, f"{text} make a new detector with it."))
        return found


def _array(data: Any, dimension: int) -> NDArray[Any]:
    """What NumPy takes for an array; a mask of it stays for the check."""
    array: NDArray[Any] = np.asanyarray(data)
    if array.ndim != dimension:
        raise GridError(
            f"Data should be of dimension {dimension}. Single-image data can be adjusted by using"
            f" `data[np.newaxis, ...]`. It has shape {array.shape}."
        )
    return array


def _radius(value: object, name: str) -> int:
    if value is None or value == 0:
        return 0
    try:
        radius = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        radius = -1
    if radius < 0:
        raise ConfigurationError(f"{name}={value!r} is no radius in pixels: give a whole number from 0, or None.")
    return radius


def _weights(radius: int) -> NDArray[np.float64]:
    disk = cv2_disk(radius)
    return np.asarray(disk / np.sum(disk), dtype=np.float64)


def _warn(findings: Iterable[suspect.Finding]) -> None:
    """In the name of the line that called the public method."""
    for category, text in findings:
        warn_caller(text, category)
