"""What `eotasks archive build` takes from a web server: no more of a product than its masks need."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from eotasks.catalogue.request import SearchRequest
from eotasks.catalogue.store import Catalogue
from eotasks.storage.place import Place
from eotasks.workflows.batch.ahead import Prepared
from eotasks.workflows.cloud_archive.source import read_source
from eotasks.workflows.cloud_archive.task import MakeMasksTask
from eotasks.workflows.product_masks.options import CloudMaskOptions
from tests.benchmarks.imagery.web import WANTED_SHARE
from tests.builders.clouds.archives import build, images
from tests.builders.command_line import command
from tests.builders.tile import SCENE_PIXELS, TILE_PIXELS, build_tile
from tests.servers.counting import Counts, counting_server

BLOCK = 65_536
OWN_SERVER = ("EOTASKS_ALLOWED_HOSTS", "127.0.0.1")
FINE, COARSE, UNUSED = ("B02", "B04", "B08"), ("B05", "B8A", "B11", "B12"), ("B03", "B06", "B07")
MEGABYTES, REQUESTS = 26.0, 1600
"""Of a tile of full size: what specs/performance.md measured of a prototype, and some requests for each tile-part."""


def catalogued(address: str, folder: Path) -> Catalogue:
    """A catalogue of a product on the web."""
    catalogue = Catalogue(folder / "source.parquet")
    assert command("catalogue", "add", address, "--catalogue", catalogue.location).code == 0
    return catalogue


@pytest.mark.slow
def test_parts_of_a_product_once(
    counted_folder: tuple[Path, Counts], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, counts = counted_folder
    product = build_tile(root, pixels=SCENE_PIXELS)
    address = f"{counts.url}/{product.name}"
    monkeypatch.setattr("eotasks.imagery.jp2.index.SMALL", 0)  # parts of files so small, too
    monkeypatch.setenv(*OWN_SERVER)
    source = catalogued(address, tmp_path)
    counts.clear()
    result = build(source.location, tmp_path / "out")
    assert (result.done, result.failed) == ([product.stem], {})
    for band in (*FINE, *COARSE):  # the first block with the header and a tile, and the other tile
        assert sum(counts.of(f"_20170216T102101_{band}.jp2")) < BLOCK + 14_000
    for kind in ("MTD_MSIL1C.xml", "MTD_TL.xml"):
        assert np.count_nonzero(counts.of(kind)) == 1
    for band in UNUSED:  # of which only the header is looked at
        assert sum(counts.of(f"_20170216T102101_{band}.jp2")) <= BLOCK
    counts.clear()
    assert build(source.location, tmp_path / "out").kept == [product.stem]
    assert counts.requests == []
    build(product.parent, tmp_path / "disk")
    assert images(tmp_path / "out") == images(tmp_path / "disk")
    _read_before_its_turn(source, tmp_path / "ahead", counts)
    assert images(tmp_path / "ahead") == images(tmp_path / "disk")


def _read_before_its_turn(source: Catalogue, out: Path, counts: Counts) -> None:
    """While a worker has another product; then nothing of it is left to be read."""
    (product,) = read_source(source.location, "L1C", SearchRequest()).products.values()
    task = MakeMasksTask(Place(out), CloudMaskOptions(resolution=160, quicklook=False))
    opened = task.prepare(**product.arguments())
    assert opened is not None
    assert opened.reading is not None
    assert counts.sent > BLOCK
    assert task.prepare(**product.arguments()) is not None
    counts.clear()
    task.execute(**product.arguments(), prepared=Prepared(lambda: opened))
    assert counts.requests == []
    assert task.prepare(**product.arguments()) is None  # the masks are there


@pytest.mark.trial
def test_a_product_of_full_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(*OWN_SERVER)
    folder = Path(os.environ.get("EOTASKS_IMAGERY_TILE") or tmp_path)
    product = build_tile(folder / f"tile-{TILE_PIXELS}")
    whole = sum(path.stat().st_size for path in product.rglob("*") if path.is_file())
    with counting_server(product.parent) as counts:
        source = catalogued(f"{counts.url}/{product.name}", tmp_path)
        counts.clear()
        assert build(source.location, tmp_path / "out").done == [product.stem]
        taken_of_all, requests = counts.sent, len([size for _, size in counts.requests if size])
    print(f"{taken_of_all / 1e6:.1f} MB of {whole / 1e6:.0f} by {requests} requests")
    assert taken_of_all < MEGABYTES * 1e6 < WANTED_SHARE * whole
    assert requests < REQUESTS
