"""A module with the names and signatures of omnicloudmask 1.8.1, as its wheel on PyPI has them, and no network in it.

Torch and the weights are not there for tests. What is asked of the real one is written down, and answered by rules.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

WEIGHTS = ("regnety.safetensors", "edgenext.safetensors")


class FakeOmniCloudMask:
    """Thick cloud where red is above 0.6, thin cloud above 0.3, shadow where near infrared is below 0.1."""

    def __init__(self) -> None:
        self.images: list[NDArray[np.float32]] = []
        self.options: list[dict[str, Any]] = []
        self.threads: list[int] = []

    def install(self, monkeypatch: pytest.MonkeyPatch, folder: Path, *, weights: int = 2 * 1024**2) -> None:
        """Put it in the place of the package.

        :param folder: For its weights.
        :param weights: Bytes of each file; 0 for none.
        """
        index = folder / "links.csv"
        rows = [
            f"{name},timm,id,{version},smp" for version, name in [(3, "old.safetensors"), *((4, n) for n in WEIGHTS)]
        ]
        index.write_text("\n".join(["file_name,timm_model_name,google_drive_id,version,model_library", *rows]))
        for name in WEIGHTS if weights else ():
            (folder / name).write_bytes(bytes(weights))
        self._put(
            monkeypatch,
            "omnicloudmask.download_models",
            get_model_data_dir=lambda: folder,
            model_index_path=index,
        )
        self._put(monkeypatch, "omnicloudmask", predict_from_array=self.predict_from_array)
        self._put(monkeypatch, "torch", set_num_threads=self.threads.append)

    @staticmethod
    def _put(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> None:
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)

    def predict_from_array(
        self,
        input_array: NDArray[np.float32],
        patch_size: int = 1000,
        patch_overlap: int = 300,
        batch_size: int = 1,
        inference_device: Any = None,
        mosaic_device: Any = None,
        inference_dtype: Any = "fp32",
        export_confidence: bool = False,
        softmax_output: bool = True,
        no_data_value: float = 0,
        apply_no_data_mask: bool = True,
        custom_models: Any = None,
        pred_classes: int = 4,
        destination_model_dir: Any = None,
        model_download_source: str = "hugging_face",
        compile_models: bool = False,
        compile_mode: str = "default",
        model_version: float | None = None,
    ) -> NDArray[np.float32]:
        """Confidences (4, h, w) as the package gives them: 0.001 to 0.999, over 1 together."""
        assert export_confidence
        assert softmax_output
        assert min(input_array.shape[1:]) >= 32, "the package refuses smaller ones"
        assert patch_overlap < patch_size <= min(input_array.shape[1:])
        self.images.append(input_array.copy())
        self.options.append({"no_data_value": no_data_value, "model_version": model_version})
        red, _, nir = input_array
        classes = np.select([red > 0.6, red > 0.3, nir < 0.1], [1, 2, 3], 0)
        return np.where(classes == np.arange(4)[:, np.newaxis, np.newaxis], 0.999, 0.001).astype(np.float32)
