"""The networks of OmniCloudMask: clouds and their shadows in red, green and near infrared, of any sensor.

Wright et al. 2025, Remote Sensing of Environment 322, 114694; the Python package omnicloudmask (MIT). The package is no
part of an extra of eotasks, since it needs torch. Its weights are not in it. It would download them by itself at its
first use; here they are looked for before, and a run without them ends at once, with the line that gets them.
"""

from __future__ import annotations

import csv
import shlex
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import BandError, MissingDependencyError
from eotasks.extras import package_line
from eotasks.models.threads import resolve_threads

OMNICLOUDMASK_BANDS = ("B04", "B03", "B8A")
"""Red, green and near infrared of Sentinel-2, those that the package reads of its products."""

OMNICLOUDMASK_CLASSES = ("clear", "thick cloud", "thin cloud", "shadow")

FINEST, COARSEST = 10.0, 50.0
"""Metres of the pixels that the package takes of Sentinel-2."""

MODEL_VERSION = 4.0
"""Of the weights. Named, so that results do not change when the package brings others."""

PACKAGE = "omnicloudmask>=1.8"

_PATCH, _OVERLAP = 1000, 300
"""Pixels, the package's defaults."""

_SMALLEST = 32
"""Pixels of an image that the networks can see, both ways."""

_SMALLEST_FILE = 1024**2
"""Bytes: what is smaller is a broken download to the package, which would begin another one."""


def omnicloudmask_probabilities(
    bands: NDArray[np.float32], valid: NDArray[np.bool_], *, threads: int | None = None
) -> NDArray[np.float32]:
    """How likely each pixel is of each class.

    Each band is normalised by its own mean and deviation within a patch, so that its unit does not matter.

    :param bands: float32 (h, w, 3) of ``OMNICLOUDMASK_BANDS`` in pixels of 10 to 50 m, finite.
    :param valid: Boolean (h, w). Pixels without data are given to the networks as 0, which is none to them.
    :param threads: Of torch on the processor, None for the setting.
    :return: float32 (h, w, 4) in the order of ``OMNICLOUDMASK_CLASSES``, 0.001 to 0.999; any value where not valid.
    :raises BandError: another number of bands.
    :raises MissingDependencyError: omnicloudmask or its weights are not there.
    """
    if bands.ndim != 3 or bands.shape[-1] != len(OMNICLOUDMASK_BANDS):
        raise BandError(f"omnicloudmask needs (h, w, 3) of {', '.join(OMNICLOUDMASK_BANDS)}: {bands.shape}.")
    predict = load_omnicloudmask()
    height, width = valid.shape
    if not valid.any():
        return np.zeros((height, width, len(OMNICLOUDMASK_CLASSES)), np.float32)
    _hold_threads(resolve_threads(threads))
    missing = (max(_SMALLEST - height, 0), max(_SMALLEST - width, 0))
    seen = np.where(valid[..., np.newaxis], bands, np.float32(0))
    image = np.pad(np.moveaxis(seen, -1, 0), ((0, 0), (0, missing[0]), (0, missing[1])))
    patch = min(_PATCH, *image.shape[1:])
    with warnings.catch_warnings():
        # It warns of small images and of much no data, where it takes smaller patches: nothing that a user can change.
        warnings.simplefilter("ignore", UserWarning)
        answer = predict(
            np.ascontiguousarray(image, dtype=np.float32),
            patch_size=patch,
            patch_overlap=min(_OVERLAP, patch // 2),
            export_confidence=True,
            no_data_value=0,
            apply_no_data_mask=False,
            model_version=MODEL_VERSION,
        )
    return np.moveaxis(np.asarray(answer, dtype=np.float32), 0, -1)[:height, :width]


def load_omnicloudmask() -> Any:
    """The package's ``predict_from_array``, when it is installed with its weights.

    :raises MissingDependencyError: one of both is not there; the message says how to get it.
    """
    try:
        from omnicloudmask import predict_from_array
        from omnicloudmask.download_models import get_model_data_dir, model_index_path
    except ImportError as error:
        raise MissingDependencyError(not_installed(str(error))) from error
    with model_index_path.open() as stream:
        names = [row["file_name"] for row in csv.DictReader(stream) if float(row["version"]) == MODEL_VERSION]
    folder = Path(get_model_data_dir())
    missing = [name for name in names if not _is_whole(folder / name)]
    if missing or not names:
        get = f"from omnicloudmask.download_models import get_models; get_models(model_version={MODEL_VERSION})"
        raise MissingDependencyError(
            f"the weights {MODEL_VERSION} of omnicloudmask are not in {folder}. They are your own download, from"
            f" Hugging Face (NickWright/OmniCloudMask): {shlex.quote(sys.executable)} -c {shlex.quote(get)}"
        )
    return predict_from_array


def not_installed(reason: str = "") -> str:
    """What is said where the package is missing."""
    why = f" ({reason})" if reason else ""
    return (
        f"omnicloudmask is not installed{why}; it brings torch, and its weights are another download. Install it:"
        f" {package_line(PACKAGE)}"
    )


def _is_whole(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > _SMALLEST_FILE


def _hold_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
