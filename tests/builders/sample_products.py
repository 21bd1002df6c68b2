"""Small products cut out of the embedded scene, with what a test wants changed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

from eotasks.sources.sample import open_sample, sample_path
from tests.builders.products import write_jp2

LEFT, TOP, SIDE = 337_200.0, 5_821_800.0, 1_920
"""The edge of the large cloud: 1.92 x 1.92 km, 192 pixels of 10 m, 32 of 60 m, 12 of 160 m."""

Change = Callable[[str, np.ndarray], np.ndarray]
MakeProduct = Callable[..., Path]


def cut_sample(
    folder: Path,
    *,
    change: Change = lambda _, values: values,
    without: tuple[str, ...] = (),
    sidecar: dict[str, object] | None = None,
) -> Path:
    """A folder of bare JP2: the bands after ``change(band, values)``, and ``acquisition.json`` with other fields."""
    folder.mkdir(parents=True)
    for band, raster in open_sample().product.bands.items():
        if band in without:
            continue
        path = folder / f"T33UUU_20170216T102101_{band}.jp2"
        values, size = cut_band(raster.name)
        changed = change(band, values.copy())
        if changed.dtype == values.dtype and np.array_equal(changed, values):
            path.write_bytes(cut_file(raster.name))
        else:
            write_jp2(path, changed, size, left=LEFT, top=TOP)
    described = json.loads((sample_path() / "acquisition.json").read_text()) | (sidecar or {})
    kept = {key: value for key, value in described.items() if value is not None}
    (folder / "acquisition.json").write_text(json.dumps(kept))
    return folder


@cache
def cut_band(name: str) -> tuple[np.ndarray, float]:
    """The numbers of a file of the embedded scene, not to be written to, and the side of their pixels in metres."""
    with rasterio.open(sample_path() / name) as source:
        size = source.transform.a
        column, row = (LEFT - source.transform.c) / size, (source.transform.f - TOP) / size
        values = source.read(1, window=Window(column, row, SIDE / size, SIDE / size))
    values.flags.writeable = False
    return values, size


@cache
def cut_file(name: str) -> bytes:
    """The same as a file; most tests want most bands as they are."""
    values, size = cut_band(name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "band.jp2"
        write_jp2(path, values, size, left=LEFT, top=TOP)
        return path.read_bytes()
