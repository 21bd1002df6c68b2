"""The network of ukis-csmask: clouds and their shadows in six bands.

Wieland, Li and Martinis 2019, "Multi-sensor cloud and cloud shadow segmentation with a convolutional neural network",
Remote Sensing of Environment 230 (doi 10.1016/j.rse.2019.05.022); models 1.0.0 of the Python package ukis-csmask (DLR,
Apache License 2.0), whose wheel carries them as ONNX. They are read from the installed package. What is done around the
network is what the package does (its ``CSmask``), and gives the same classes:

- bands blue, green, red, nir, swir16, swir22, reflectance, less the mean of its training data and over their deviation;
- tiles of 256 x 256 pixels, each 204 pixels from the next, the image mirrored at its borders;
- softmax of the three classes, tiles blended with a tapered cosine window.

Unlike there, tiles are made one at a time, tiles without data are left out, and the network is loaded once, not for
every image.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import BandError, MissingDependencyError
from eotasks.extras import install_line
from eotasks.models.threads import resolve_threads

Level = Literal["l1c", "l2a"]
"""Of the products that a model was trained for."""

CSMASK_BANDS = ("B02", "B03", "B04", "B08", "B11", "B12")
"""Blue, green, red, nir, swir16 and swir22 of Sentinel-2, in the order of the network."""

CSMASK_CLASSES = ("clear", "cloud", "shadow")

TRAINED_AT = 30.0
"""Metres of a pixel: the package advises approximately these."""

MODEL_VERSIONS: dict[Level, str] = {"l1c": "1.0.0-6BL1C", "l2a": "1.0.0-6BL2A"}
"""What the package says of its models: results name them, so that others are not taken for them."""

_TILE = 256
_PAD = 51
"""Pixels that the package mirrors before the first one: a fifth of a tile, which is what tiles overlap by."""

_STEP = 204


@dataclass(frozen=True, eq=False)
class _Network:
    session: Any
    """onnxruntime's."""

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]

    def __call__(self, tile: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities (tile, tile, classes) of a tile (tile, tile, bands) of reflectance."""
        values = (tile - self.mean) / self.deviation
        (logits,) = self.session.run(None, {"input": np.moveaxis(values, -1, 0)[np.newaxis]})
        raised: NDArray[np.float64] = np.exp((logits[0] - logits[0].max(axis=0)).astype(np.float64))
        return np.moveaxis(raised / raised.sum(axis=0), 0, -1)


def csmask_probabilities(
    bands: NDArray[np.float32],
    valid: NDArray[np.bool_] | None = None,
    *,
    level: Level = "l1c",
    threads: int | None = None,
) -> NDArray[np.float32]:
    """How likely each pixel is clear, cloud and shadow.

    :param bands: float32 (h, w, 6), reflectance (1.0 = 100 %) of ``CSMASK_BANDS`` in pixels of some 30 m, finite; 0
        where there is no data.
    :param valid: Boolean (h, w), or None where all pixels are.
    :param level: The model: of top-of-atmosphere reflectance (L1C), or of surface reflectance (L2A).
    :param threads: Of the engine, None for the setting.
    :return: float32 (h, w, 3) in the order of ``CSMASK_CLASSES``, summing to 1; 0 where a whole tile has no data.
    :raises BandError: another number of bands.
    :raises MissingDependencyError: ukis-csmask or onnxruntime is not installed, or not in the version that is known.
    """
    if bands.ndim != 3 or bands.shape[-1] != len(CSMASK_BANDS):
        raise BandError(f"ukis-csmask needs (h, w, {len(CSMASK_BANDS)}) of {', '.join(CSMASK_BANDS)}: {bands.shape}.")
    network = load_csmask(level, resolve_threads(threads))
    height, width = bands.shape[:2]
    around = ((_PAD, _TILE + _PAD + 1),) * 2
    padded = np.pad(bands, (*around, (0, 0)), mode="symmetric")
    seen = np.pad(np.ones((height, width), dtype=bool) if valid is None else valid, around)
    total = np.zeros((*padded.shape[:2], len(CSMASK_CLASSES)))
    window = _window()
    for tile in _tiles(padded.shape[0], padded.shape[1]):
        if seen[tile].any():
            total[tile] += network(padded[tile]) * window
    total = total[_PAD : _PAD + height, _PAD : _PAD + width]
    weight = total.sum(axis=-1, keepdims=True)
    shares: NDArray[np.float64] = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    return shares.astype(np.float32)


@functools.lru_cache(maxsize=4)
def load_csmask(level: Level, threads: int) -> _Network:
    """The network of a level, loaded once: half a second and 40 MB.

    :raises MissingDependencyError: ukis-csmask or onnxruntime is not installed, or not in the version that is known.
    """
    cure = f"install it: {install_line('detectors')}"
    try:
        import onnxruntime

        folder = Path(str(files("ukis_csmask")))
    except ImportError as error:
        raise MissingDependencyError(f"ukis-csmask or onnxruntime is not installed ({error}); {cure}") from error
    model = folder / f"model_6b_{level}.onnx"
    try:
        facts = json.loads(model.with_suffix(".json").read_text())
        version = facts["model"]["version"]
        (mean, deviation), names = facts["data"]["dataset_statistics"]["img"], _band_names(facts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MissingDependencyError(f"ukis-csmask is installed without its {model.name}; {cure}") from error
    if version != MODEL_VERSIONS[level] or names != ["blue", "green", "red", "nir", "swir16", "swir22"]:
        raise MissingDependencyError(
            f"ukis-csmask has the model {version} where {MODEL_VERSIONS[level]} is due, that of version 1.0.0; {cure}"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # cores are shared with other workers
    # One provider, so that results do not depend on what else is built into the engine.
    session = onnxruntime.InferenceSession(str(model), sess_options=options, providers=["CPUExecutionProvider"])
    return _Network(session, np.array(mean, np.float32), np.array(deviation, np.float32))


def _band_names(facts: Any) -> list[str]:
    return list(facts["data"]["dataset_statistics"]["band_names"])


def _tiles(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Places of the tiles in a padded image, row by row; what is beyond the last whole one is padding."""
    for top in range(0, height - _TILE + 1, _STEP):
        for left in range(0, width - _TILE + 1, _STEP):
            yield slice(top, top + _TILE), slice(left, left + _TILE)


def _window() -> NDArray[np.float64]:
    """(tile, tile, 1) weights of a tile's pixels: less towards its borders."""
    from scipy.signal.windows import tukey  # a quarter of a second

    line = tukey(_TILE, alpha=0.4)
    return np.asarray(np.outer(line, line)[..., np.newaxis], dtype=np.float64)
