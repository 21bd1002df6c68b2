"""The benchmark of imagery builds its tile, measures both sides, and says what is missed. No time is judged."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

from eotasks.imagery.scene import open_scene
from eotasks.models.sentinel2 import BANDS
from eotasks.sources.sample import open_sample
from eotasks.workflows.product_masks.options import DEFAULT_SAMPLING
from tests.benchmarks.imagery.__main__ import (
    RESOLUTION,
    WANTED_AGREEMENT,
    Agreement,
    Run,
    compare_masks,
    main,
    measure,
    report,
    verdict,
)
from tests.benchmarks.imagery.web import WebRun
from tests.builders.tile import JP2_TILES, SCENE_PIXELS, build_tile

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("imagery-benchmark")


@pytest.fixture(scope="module")
def scene_product(folder: Path) -> Path:
    """The embedded scene packed like a product, with levels."""
    return build_tile(folder / "scene", pixels=SCENE_PIXELS)


@pytest.mark.trial
def test_the_product_is_the_embedded_scene(scene_product: Path) -> None:
    scene, sample = open_scene(scene_product), open_sample()
    assert scene.acquisition.processing_baseline == "05.10"
    assert scene.acquisition.offset_of("B11") == -1000
    assert set(scene.product.footprints) == set(BANDS)
    for band in BANDS:
        grid, of_sample = scene.grid_of(band), sample.grid_of(band)
        np.testing.assert_array_equal(scene.read([band], grid), sample.read([band], of_sample))
    with rasterio.open(scene.product.files.raster_path(scene.product.bands["B05"].name)) as dataset:
        assert dataset.overviews(1)
        assert dataset.block_shapes == [(384, JP2_TILES[20])] or dataset.block_shapes == [(384, 384)]
    zenith, azimuth = scene.sun_angles(scene.grid_of("B09"))
    np.testing.assert_allclose(zenith, 66.07, atol=1e-4)
    np.testing.assert_allclose(azimuth, 163.24, atol=1e-3)


@pytest.mark.trial
def test_the_default_is_near_the_exact_mean(scene_product: Path) -> None:
    """The evidence for the default of `eotasks cloud-mask`, on the hard embedded scene."""
    agreements = compare_masks(scene_product, [160, 60])
    found = {(each.resolution, each.sampling): each for each in agreements}
    assert found[RESOLUTION, DEFAULT_SAMPLING].mask >= WANTED_AGREEMENT
    assert found[160, "fast"].mask == pytest.approx(0.967, abs=0.002)
    assert found[60, "fast"].mask == pytest.approx(0.995, abs=0.002)
    assert found[160, "nearest"].mask < 0.9
    assert verdict({}, agreements) == []


@pytest.mark.trial
def test_a_tile_is_the_scene_repeated(folder: Path) -> None:
    product = build_tile(folder / "repeated", pixels=(900, 1800))
    dn = open_scene(product).read(["B02"], open_scene(product).grid_of("B02"))[..., 0]
    assert dn.shape == (900, 1800)
    np.testing.assert_array_equal(dn[768:], dn[:132])
    np.testing.assert_array_equal(dn[:, 1536:], dn[:, :264])
    made = (product / "MTD_MSIL1C.xml").stat().st_mtime_ns
    assert build_tile(folder / "repeated", pixels=(900, 1800)) == product
    assert (product / "MTD_MSIL1C.xml").stat().st_mtime_ns == made
    with pytest.raises(ValueError, match="multiples of 6"):
        build_tile(folder / "odd", pixels=(100, 100))


@pytest.mark.trial
def test_it_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both sides on a small tile."""
    assert main(["--folder", str(folder), "--pixels", "960", "--repeats", "1"]) == 0
    out = capsys.readouterr().out
    assert "eotasks, fast" in out
    assert "full decode + resize + s2cloudless" in out
    assert "CLM of the default and of the peer are equal in" in out
    assert "160 m  fast" in out
    assert "CLP is that from disk" in out


def test_a_command_that_fails_is_told() -> None:
    with pytest.raises(RuntimeError, match=r"ended with 2: eotasks: .*nothing there"):
        measure([sys.executable, "-m", "eotasks.workflows.cli", "cloud-mask", "/nowhere"])


def test_verdict() -> None:
    runs = {"eotasks, fast": [Run(2, 3, 301)], "peer": [Run(27, 30, 2000)]}
    missed = verdict(runs, [Agreement(160, "fast", 0.94, 0.1), Agreement(60, "fast", 0.5, 0.1)])
    assert missed == [
        "13.5 times as fast, wanted 14",
        "301 MB at its peak, wanted 300",
        "masks agree to 94.0%, wanted 95%",
    ]
    assert verdict({"eotasks, fast": [Run(1, 2, 290)], "peer": [Run(19, 30, 2000)]}, []) == []
    web = WebRun(90, 1000, 7, 3, 1.5, is_equal=False)
    assert verdict({}, [], web) == ["9.0% of the bytes, wanted 6%", "CLP from the web is another one"]
    assert "13.5x" in report(runs, [], None)
    assert "(9.0%) by 7 requests" in report(runs, [], None, web)
