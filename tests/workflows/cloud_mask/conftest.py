"""Small products cut out of the embedded scene, with what a test wants changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine
from rasterio.windows import Window

from eotasks.sources.sample import open_sample, sample_path

LEFT, TOP, SIDE = 337_200.0, 5_821_800.0, 1_920
"""The edge of the large cloud: 1.92 x 1.92 km, 192 pixels of 10 m, 32 of 60 m, 12 of 160 m."""

Change = Callable[[str, np.ndarray], np.ndarray]
MakeProduct = Callable[..., Path]


def write_band(path: Path, values: np.ndarray, size: float, left: float = LEFT, top: float = TOP) -> None:
    with rasterio.open(
        path,
        "w",
        driver="JP2OpenJPEG",
        height=values.shape[0],
        width=values.shape[1],
        count=1,
        dtype="uint16",
        crs="EPSG:32633",
        transform=Affine(size, 0, left, 0, -size, top),
        QUALITY="100",
        REVERSIBLE="YES",
    ) as target:
        target.write(values, 1)


@pytest.fixture
def make_product(tmp_path: Path) -> MakeProduct:
    """Writes a product: ``make_product("NAME", change=..., without=..., sidecar=...)``."""

    def make(
        name: str = "small",
        *,
        change: Change = lambda _, values: values,
        without: tuple[str, ...] = (),
        sidecar: dict[str, object] | None = None,
    ) -> Path:
        folder = tmp_path / "products" / name
        folder.mkdir(parents=True)
        for band, raster in open_sample().product.bands.items():
            if band in without:
                continue
            with rasterio.open(sample_path() / raster.name) as source:
                size = source.transform.a
                column, row = (LEFT - source.transform.c) / size, (source.transform.f - TOP) / size
                values = source.read(1, window=Window(column, row, SIDE / size, SIDE / size))
            write_band(folder / f"T33UUU_20170216T102101_{band}.jp2", change(band, values), size)
        described = json.loads((sample_path() / "acquisition.json").read_text()) | (sidecar or {})
        kept = {key: value for key, value in described.items() if value is not None}
        (folder / "acquisition.json").write_text(json.dumps(kept))
        return folder

    return make
