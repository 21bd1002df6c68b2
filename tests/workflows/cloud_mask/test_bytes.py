"""What `eotasks cloud-mask` takes from a web server of a product packed as the ground segment packs one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from eotasks.imagery.jp2.index import PacketIndex
from eotasks.imagery.jp2.verdicts import OtherLayout
from eotasks.limits import REQUESTS
from tests.builders.command_line import command
from tests.builders.tile import SCENE_PIXELS, build_tile
from tests.servers.counting import Counts

pytestmark = pytest.mark.slow

BLOCK = 65_536
FINE, COARSE, UNUSED = ("B02", "B04", "B08"), ("B05", "B8A", "B11", "B12"), ("B03", "B06", "B07")


def masks(product: str | Path, out: Path) -> np.ndarray:
    """CLP at 160 m."""
    arguments = ("--resolution", "160", "--sampling", "fast", "--no-quicklook")
    result = command("cloud-mask", product, "--out", out, *arguments)
    assert (result.code, result.err) == (0, "")
    with rasterio.open(next(out.glob("*/*_CLP.tif"))) as dataset:
        return dataset.read(1)


def by_gdal(*_: object, **__: object) -> bytes:
    raise OtherLayout("the test wants all of it")


def test_masks_of_a_product_on_the_web(
    counted_folder: tuple[Path, Counts], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, counts = counted_folder
    product = build_tile(root, pixels=SCENE_PIXELS)
    counts.pause = 0.02  # requests wait for each other as on the internet
    monkeypatch.setenv("CPL_VSIL_CURL_CHUNK_SIZE", "16384")  # GDAL asks no server itself
    monkeypatch.setattr("eotasks.imagery.jp2.index.SMALL", 0)
    found = masks(f"{counts.url}/{product.name}", tmp_path / "web")
    sizes = {path.stem.rpartition("_")[2]: path.stat().st_size for path in product.glob("GRANULE/*/IMG_DATA/*.jp2")}
    taken = {band: counts.of(f"_20170216T102101_{band}.jp2") for band in sizes}
    for band in FINE:  # the first block with the header and a tile, and the other tile
        assert sum(taken[band]) < BLOCK + 14_000 < sizes[band] / 10
        assert 2 <= np.count_nonzero(taken[band]) <= 3
    for band in COARSE:
        assert sum(taken[band]) < BLOCK + 14_000 < sizes[band] / 2
        assert 2 <= np.count_nonzero(taken[band]) <= 4
    for band in UNUSED:  # of which only the header is looked at
        assert sum(taken[band]) <= BLOCK
    assert 2 <= counts.most_at_once <= REQUESTS.default
    monkeypatch.setattr(PacketIndex, "small_file", by_gdal)
    np.testing.assert_array_equal(found, masks(product, tmp_path / "disk"))
