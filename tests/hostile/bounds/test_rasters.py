"""Rasters whose headers say more than they hold."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from eotasks.errors import EOTasksError, ImageryError
from eotasks.imagery.files.protocol import RasterFile
from eotasks.imagery.pixels.raster import MASK_TYPES, describe
from eotasks.limits import (
    ARRAY_BYTES,
    BLOCK_PIXELS,
    IMAGE_LAYERS,
    IMAGE_SIDE,
)
from eotasks.reference.labels import LabelGrid, read_raster_labels
from eotasks.workflows.evaluate_clouds.rasters import read_raster_scene
from tests.builders.products import write_jp2
from tests.hostile.bounds.measured import measured
from tests.hostile.bounds.npy import npy_header, write_npy


def with_header(path: Path, width: int, height: int, **profile: Any) -> Path:
    """A GeoTIFF that says it is as large, without its pixels."""
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, sparse_ok=True, crs="EPSG:32633",
        transform=rasterio.Affine(10, 0, 0, 0, -10, 0), **{"count": 1, "dtype": "uint16", **profile},
    ):  # fmt: skip
        pass
    return path


@pytest.mark.parametrize(
    ("profile", "limit"),
    [
        ({"width": 100_000, "height": 64}, IMAGE_SIDE),
        ({"width": 64, "height": 100_000}, IMAGE_SIDE),
        ({"width": 64, "height": 64, "count": 17, "dtype": "uint8"}, IMAGE_LAYERS),
        ({"width": 64, "height": 64, "tiled": True, "blockxsize": 16384, "blockysize": 16384}, BLOCK_PIXELS),
    ],
    ids=["wide", "high", "layers", "blocks"],
)
def test_images_are_no_larger_than_a_tile(tmp_path: Path, profile: dict[str, Any], limit: Any) -> None:
    from eotasks.imagery.files.folder import FolderFiles

    with_header(tmp_path / "a.tif", **profile)
    types = MASK_TYPES if profile.get("dtype") == "uint8" else frozenset({"uint16"})
    with pytest.raises(ImageryError, match=limit.variable):
        describe(FolderFiles(tmp_path), RasterFile("a.tif", "GTiff"), types)


def with_jp2_header(path: Path, width: int, height: int, tile: tuple[int, int]) -> Path:
    """A JP2 of a few pixels whose header says another size."""
    write_jp2(path, np.ones((64, 64), dtype=np.uint16), 10)
    content = bytearray(path.read_bytes())
    siz = content.index(b"\xff\x51")
    struct.pack_into(">II", content, siz + 6, width, height)
    struct.pack_into(">II", content, siz + 22, *tile)
    box = content.index(b"ihdr")
    struct.pack_into(">II", content, box + 4, height, width)
    path.write_bytes(content)
    return path


@pytest.mark.trial
def test_memory_of_headers_that_lie(tmp_path: Path) -> None:
    """JP2, GeoTIFF, npy, XML: all refused by name, for less than 300 MB."""
    with_jp2_header(tmp_path / "one_tile.jp2", 100_000, 100_000, (100_000, 100_000))
    with_jp2_header(tmp_path / "large.jp2", 2**31 - 1, 2**31 - 1, (2**31 - 1, 2**31 - 1))
    with_jp2_header(tmp_path / "tiles.jp2", 10_980, 10_980, (43, 43))
    with_header(tmp_path / "block.tif", 1_000_000, 1_000_000, tiled=True, blockxsize=65536, blockysize=65536)
    write_npy(tmp_path / "a.npy", (10**6, 10**6, 10**6))
    (tmp_path / "b.npy.gz").write_bytes(gzip.compress(npy_header((1 << 30,)) + bytes(1 << 20)))
    (tmp_path / "bomb.npy.gz").write_bytes(gzip.compress(npy_header((10, 10)) + bytes(300 << 20), 1))
    setup = (
        "from eotasks.imagery.files.folder import FolderFiles\nfrom eotasks.imagery.files.protocol import RasterFile\n"
        "from eotasks.imagery.pixels.raster import describe, read_window\nfrom pathlib import Path\n"
        "from eotasks.eopatches.arrays import read_array\nfrom eotasks.imagery.xml import parse_xml\n"
        "from eotasks.reference.labels import LabelGrid, read_raster_labels\n"
        f"folder = Path({str(tmp_path)!r})\nfiles = FolderFiles(folder)\n"
        "grid = LabelGrid('EPSG:32633', (0, -90, 90, 0), (9, 9))\n"
        "names = b''.join(b'<b%d/>' % i for i in range(290_000))\n"
        "def read(raster):\n    info = describe(files, raster)\n"
        "    return read_window(files, raster, info, info.full, info.grid)"
    )
    costs = measured(
        setup,
        {
            "JP2 in one tile": "read(RasterFile('one_tile.jp2', 'JP2OpenJPEG'))",
            "JP2 as large as can be": "read(RasterFile('large.jp2', 'JP2OpenJPEG'))",
            "JP2 of many tiles": "read(RasterFile('tiles.jp2', 'JP2OpenJPEG'))",
            "GeoTIFF in large blocks": "read(RasterFile('block.tif', 'GTiff'))",
            "labels in large blocks": "read_raster_labels(folder / 'block.tif', grid)",
            "npy of 10^18": "read_array(folder / 'a.npy')",
            "npy.gz that says more": "read_array(folder / 'b.npy.gz')",
            "npy.gz that holds more": "read_array(folder / 'bomb.npy.gz')",
            "XML of 24 MB": "parse_xml(b'<a>' + b'<a/>' * 6_000_000 + b'</a>', 'a')",
            "XML of 290,000 names": "parse_xml(b'<a xmlns=\"' + b'u' * 120 + b'\">' + names + b'</a>', 'a')",
        },
    )
    assert all(cost.megabytes < 300 for cost in costs.values())
    del costs["XML of 290,000 names"]
    assert all("Error: " in cost.outcome and "MemoryError" not in cost.outcome for cost in costs.values())


@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_blocks_of_many_bands_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interleave: str) -> None:
    """Bands that lie pixel by pixel are decoded together."""
    profile = {"driver": "GTiff", "count": 20, "height": 8, "width": 8, "dtype": "uint8", "crs": "EPSG:32633"}
    place = Affine(10, 0, 0, 0, -10, 80)
    with rasterio.open(tmp_path / "a.tif", "w", interleave=interleave, transform=place, **profile) as target:
        target.write(np.ones((20, 8, 8), np.uint8))
    grid = LabelGrid("EPSG:32633", (0, 0, 80, 80), (8, 8))
    monkeypatch.setenv(BLOCK_PIXELS.variable, "1000")
    if interleave == "band":
        read_raster_labels(tmp_path / "a.tif", grid)
        return
    with pytest.raises(EOTasksError, match=f"20 band.*{BLOCK_PIXELS.variable}"):
        read_raster_labels(tmp_path / "a.tif", grid)


def test_scenes_to_evaluate_have_a_bound(tmp_path: Path) -> None:
    with_header(tmp_path / "bands.tif", 100_000, 100_000)
    with pytest.raises(ImageryError, match=ARRAY_BYTES.variable):
        read_raster_scene(tmp_path, "a", None)  # type: ignore[arg-type]  # not looked at
