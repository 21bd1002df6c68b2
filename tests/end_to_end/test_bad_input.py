"""Products and places that are wrong: every case is told in one line (what, where, cure), and leaves nothing behind.

The products are cut from the embedded scene, as `.SAFE` with complete metadata, and spoiled in one way each.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from eolearn.core import EOPatch
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks import LoadSavedEOPatchTask, Place, load_eopatch, save_eopatch
from eotasks.errors import ImageryError, ProductSkippedWarning, StorageError, TooFewFramesError
from eotasks.imagery.scene import open_scene
from eotasks.sources.scenes import LoadScenesTask
from tests.builders.command_line import command, snapshot
from tests.builders.inputs.spoiled_products import (
    PIXELS,
    PRODUCT_XML,
    TILE_XML,
    band_in_another_crs,
    band_that_is_a_vrt,
    band_that_is_text,
    bomb,
    cog_item,
    empty_bands,
    external_entity,
    missing_band,
    no_product,
    not_there,
    replaced,
    truncated,
    truncated_band,
    two_products_in_a_zip,
    without,
    without_offset,
    zip_cut_short,
    zip_with,
    zip_with_a_link,
)
from tests.builders.tile import LEFT, NAME, TOP, build_tile
from tests.servers.s3 import S3Server
from tests.servers.web import broken_web


@pytest.fixture(scope="module")
def sound_product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tile(tmp_path_factory.mktemp("sound"), pixels=PIXELS)


@pytest.fixture
def product(sound_product: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound_product, tmp_path / "in" / sound_product.name))


def test_the_product_is_sound(product: Path, tmp_path: Path) -> None:
    result = command("cloud-mask", product, "--out", tmp_path / "out", "--resolution", "160")
    assert result.code == 0, result.err
    assert (tmp_path / "out" / NAME / f"{NAME}_CLM.tif").is_file()


OFFSETS = '<RADIO_ADD_OFFSET band_id="4">-1000</RADIO_ADD_OFFSET>'

CASES: dict[str, tuple[Callable[[Path], Path], list[str]]] = {
    "truncated JP2": (truncated_band, ["_B04.jp2", "etch"]),
    "band that is text": (band_that_is_text, ["_B02.jp2", "etch"]),
    "band that is a virtual raster": (band_that_is_a_vrt, ["_B02.jp2", "etch"]),
    "missing band": (missing_band, ["B10", NAME]),
    "band in another CRS": (band_in_another_crs, ["coordinate system", "etch"]),
    "no data at all": (empty_bands, ["no data", NAME]),
    "missing product metadata": (without(PRODUCT_XML), [NAME, PRODUCT_XML]),
    "missing tile metadata": (without(TILE_XML), [NAME, "MTD_TL.xml"]),
    "truncated product metadata": (truncated(PRODUCT_XML, 0.5), [PRODUCT_XML, "etch"]),
    "truncated tile metadata": (truncated(TILE_XML, 0.5), ["MTD_TL.xml", "etch"]),
    "entities that multiply": (bomb, [PRODUCT_XML]),
    "external entity": (external_entity, [PRODUCT_XML]),
    "quantification of 0": (
        replaced(PRODUCT_XML, ">10000</QUANTIFICATION_VALUE>", ">0</QUANTIFICATION_VALUE>"),
        [PRODUCT_XML, "QUANTIFICATION_VALUE"],
    ),
    "offset of one band missing": (replaced(PRODUCT_XML, OFFSETS, ""), [PRODUCT_XML, "B05"]),
    "offset that is no number": (
        replaced(PRODUCT_XML, OFFSETS, OFFSETS.replace("-1000", "minus")),
        [PRODUCT_XML, "RADIO_ADD_OFFSET"],
    ),
    "tile that contradicts": (replaced(TILE_XML, "T33UUU", "T34UUU"), ["33UUU", "34UUU"]),
    "level that contradicts": (replaced(PRODUCT_XML, ">Level-1C<", ">Level-2A<"), [PRODUCT_XML]),
    "baseline that contradicts": (
        replaced(PRODUCT_XML, "<PROCESSING_BASELINE>05.10", "<PROCESSING_BASELINE>02.04"),
        ["02.04", "05.10"],
    ),
    "zip that climbs out": (zip_with("../escaped.txt"), ["../escaped.txt"]),
    "zip with an absolute name": (zip_with("/escaped.txt"), ["/escaped.txt"]),
    "zip with a backslash": (zip_with(f"{NAME}.SAFE\\..\\escaped.txt"), ["escaped.txt"]),
    "zip with a link": (zip_with_a_link, ["link.xml"]),
    "zip cut short": (zip_cut_short, [f"{NAME}.zip", "etch"]),
    "two products in a zip": (two_products_in_a_zip, [f"{NAME}.zip"]),
    "a folder of something else": (no_product, ["holiday"]),
    "nothing there": (not_there, ["nowhere.SAFE"]),
}


@pytest.mark.parametrize("case", CASES)
def test_product(case: str, product: Path, tmp_path: Path) -> None:
    spoil, words = CASES[case]
    location = spoil(product)
    before = snapshot(tmp_path)
    result = command("cloud-mask", location, "--out", tmp_path / "out", "--resolution", "160")
    assert result.code in (1, 2), result.out
    told = result.err + result.out
    message = " ".join(told.split())
    assert all(word in message for word in words), message
    assert "Traceback" not in told
    assert "content of another file" not in told
    assert snapshot(tmp_path) == before


class TestCogs:
    """A product as STAC item of Cloud Optimized GeoTIFFs, one of them cut short."""

    def test_truncated(self, sound_product: Path, tmp_path: Path) -> None:
        item = cog_item(sound_product, tmp_path)
        assert command("cloud-mask", item, "--out", tmp_path / "sound", "--resolution", "160").code == 0
        shutil.rmtree(tmp_path / "sound")
        victim = tmp_path / "B08.tif"
        os.truncate(victim, victim.stat().st_size // 2)
        before = snapshot(tmp_path)
        result = command("cloud-mask", item, "--out", tmp_path / "out", "--resolution", "160")
        assert result.code == 1
        assert "B08" in result.out
        assert "Fetch it again" in result.out
        assert snapshot(tmp_path) == before

    def test_offset_that_nobody_states(self, sound_product: Path, tmp_path: Path) -> None:
        item = cog_item(sound_product, tmp_path)
        described = json.loads(item.read_text())
        for asset in described["assets"].values():
            del asset["raster:bands"]
        item.write_text(json.dumps(described))
        with pytest.raises(ImageryError, match="does not say the offset"):
            open_scene(item)


class TestScenes:
    """Several products in one EOPatch."""

    BBOX = BBox((LEFT, TOP - 1_920, LEFT + 1_920, TOP), CRS("EPSG:32633"))
    DAY = ("2017-02-16", "2017-02-16")

    def load(self, *products: Path, **options: Any) -> EOPatch:
        task = LoadScenesTask(scenes=[str(product) for product in products], resolution=60, dtype="dn", **options)
        return task.execute(bbox=self.BBOX, time_interval=self.DAY)

    def test_empty_search(self, product: Path) -> None:
        task = LoadScenesTask(scenes=[str(product)], resolution=60)
        with pytest.raises(TooFewFramesError, match="2020-01-01"):
            task.execute(bbox=self.BBOX, time_interval=("2020-01-01", "2020-01-31"))
        far = BBox((LEFT + 500_000, TOP, LEFT + 501_920, TOP + 1_920), CRS("EPSG:32633"))
        with pytest.raises(TooFewFramesError):
            task.execute(bbox=far, time_interval=self.DAY)

    def test_mixed_baselines_of_one_acquisition(self, product: Path) -> None:
        """Processed twice: the newer counts, and each has its own offset; neither is taken for another date."""
        older = without_offset(product)
        with pytest.warns(ProductSkippedWarning, match=r"baseline 02\.04"):
            both = self.load(product, older)
        assert len(both.timestamps) == 1
        np.testing.assert_array_equal(both.data["BANDS"], self.load(older).data["BANDS"])
        assert both == self.load(product)

    def test_the_same_product_twice(self, product: Path, tmp_path: Path) -> None:
        copy = Path(shutil.copytree(product, tmp_path / "copy" / product.name))
        with pytest.warns(ProductSkippedWarning):
            twice = self.load(product, copy)
        assert twice == self.load(product)

    def test_mixed_crs(self, product: Path) -> None:
        """A box in the neighbouring zone is warped to, not refused: no data lies where none is."""
        box = BBox((LEFT, TOP - 1_920, LEFT + 1_920, TOP), CRS("EPSG:32633")).transform(CRS("EPSG:32632"))
        left, top = (round(each, -1) for each in (box.min_x, box.max_y))
        task = LoadScenesTask(scenes=[str(product)], resolution=60, dtype="dn")
        patch = task.execute(
            bbox=BBox((left, top - 1_920, left + 1_920, top), CRS("EPSG:32632")), time_interval=self.DAY
        )
        assert patch.mask["IS_DATA"].mean() > 0.5
        assert (patch.data["BANDS"][~patch.mask["IS_DATA"][..., 0]] == 0).all()


class TestPlaces:
    """Where results go, and patches lie."""

    def test_wrong_secret(self, product: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret-value")
        self.check_refused(product, s3_server.location("wrong-secret"), ["refuses the credentials"])

    def test_missing_bucket(self, product: Path, s3_server: S3Server) -> None:
        self.check_refused(product, "s3://no-such-bucket-here/masks", ["no-such-bucket-here"])

    def test_read_only_place(self, product: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        place = f"s3://{s3_server.make_public_bucket()}/masks"
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        self.check_refused(product, place, ["s3://"])

    @staticmethod
    def check_refused(product: Path, place: str, words: list[str]) -> None:
        result = command("cloud-mask", product, "--out", place, "--resolution", "160")
        assert result.code in (1, 2)
        told = result.err + result.out
        assert all(word in told for word in words), told
        assert "Traceback" not in told
        assert "another-secret-value" not in told

    def test_disk_full(self, product: Path, tmp_path: Path) -> None:
        """Files of more than 20 kB cannot be written: a limit of the system, as a full disk would be."""
        out = tmp_path / "out"
        program = (
            "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000));"
            "from eotasks.workflows.cli import main; sys.exit(main(sys.argv[1:]))"
        )
        arguments = ["cloud-mask", str(product), "--out", str(out), "--resolution", "10"]
        environment = os.environ | {"NUMBA_DISABLE_JIT": "0"}
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=400, env=environment
        )
        assert done.returncode in (1, 2), done.stderr
        assert "Traceback" not in done.stderr
        assert "Cannot write" in done.stdout + done.stderr
        assert not list(out.rglob(".tmp-*"))
        for image in out.rglob("*.tif"):  # small ones came through, whole
            with rasterio.open(image) as source:
                source.read()
        assert not json.loads((out / NAME / f"{NAME}.json").read_text())["complete"]
        assert command(*arguments).code == 0
        assert json.loads((out / NAME / f"{NAME}.json").read_text())["complete"]

    def test_a_patch_of_another_version(self, tmp_path: Path) -> None:
        place = Place(tmp_path / "patches")
        patch = EOPatch(bbox=BBox((0, 0, 10, 10), CRS("EPSG:32633")))
        save_eopatch(place, "one", patch)
        marker = tmp_path / "patches" / "one" / "_current.json"
        marker.write_text(marker.read_text().replace('"version": 2', '"version": 99'))
        before = snapshot(tmp_path)
        for touch in (lambda: load_eopatch(place, "one"), lambda: LoadSavedEOPatchTask(place).execute(name="one")):
            with pytest.raises(StorageError, match=r"version 99.*upgrade"):
                touch()
        assert snapshot(tmp_path) == before

    def test_server_gone_in_mid_read(self, product: Path, tmp_path: Path) -> None:
        """The server breaks off every band in its middle."""
        with broken_web(product.parent) as address:
            result = command(
                "cloud-mask", f"{address}/{product.name}", "--out", tmp_path / "out", "--resolution", "160"
            )
        assert result.code == 1
        assert ".jp2" in " ".join(result.out.split())
        assert "Traceback" not in result.out + result.err
        assert not (tmp_path / "out").exists()
