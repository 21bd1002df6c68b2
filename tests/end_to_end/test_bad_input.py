"""Input from outside that is wrong: every case is told in one line (what, where, cure), and leaves nothing behind.

The products are cut from the embedded scene, as `.SAFE` with complete metadata, and spoiled in one way each.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from eolearn.core import EOPatch, FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks import (
    DetectCloudsTask,
    LoadSavedEOPatchTask,
    Place,
    load_eopatch,
    read_progress,
    run_batch,
    save_eopatch,
)
from eotasks.errors import (
    BandError,
    BatchError,
    ConfigurationError,
    ImageryError,
    MissingDependencyError,
    ModelError,
    ProductSkippedWarning,
    StorageError,
    TooFewFramesError,
)
from eotasks.export.cog import check_compression
from eotasks.extras import install_line
from eotasks.imagery.scene import open_scene
from eotasks.models.clouds.presets import mask_settings
from eotasks.models.clouds.scene_classification import scene_classes
from eotasks.models.landcover.parameters import training_parameters
from eotasks.models.sentinel2 import BANDS, band_indices
from eotasks.sources.scenes import LoadScenesTask
from tests.builders.batches import behaving
from tests.builders.command_line import command
from tests.builders.tile import GRANULE, LEFT, NAME, TOP, build_tile
from tests.servers.loopback import LoopbackServer
from tests.servers.s3 import S3Server

PIXELS = (192, 192)
"""Rows and columns of 10 m: 32 pixels of 60 m."""

PRODUCT_XML, TILE_XML = "MTD_MSIL1C.xml", f"GRANULE/{GRANULE}/MTD_TL.xml"


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


def band_file(product: Path, band: str) -> Path:
    return next(product.glob(f"GRANULE/*/IMG_DATA/*_{band}.jp2"))


def replaced(name: str, old: str, new: str) -> Callable[[Path], Path]:
    def spoil(product: Path) -> Path:
        text = (product / name).read_text()
        assert old in text
        (product / name).write_text(text.replace(old, new))
        return product

    return spoil


def without(name: str) -> Callable[[Path], Path]:
    def spoil(product: Path) -> Path:
        (product / name).unlink()
        return product

    return spoil


def truncated(name: str, share: float) -> Callable[[Path], Path]:
    def spoil(product: Path) -> Path:
        os.truncate(product / name, int((product / name).stat().st_size * share))
        return product

    return spoil


def truncated_band(product: Path) -> Path:
    path = band_file(product, "B04")
    os.truncate(path, path.stat().st_size // 2)
    return product


def band_that_is_text(product: Path) -> Path:
    band_file(product, "B02").write_text("<html>404 not found</html>")
    return product


def band_that_is_a_vrt(product: Path) -> Path:
    """GDAL would follow a virtual raster to any file of this machine."""
    path = band_file(product, "B02")
    elsewhere = path.with_name("elsewhere.bin")
    path.rename(elsewhere)
    path.write_text(
        f'<VRTDataset rasterXSize="{PIXELS[1]}" rasterYSize="{PIXELS[0]}"><VRTRasterBand dataType="UInt16" band="1">'
        f'<SimpleSource><SourceFilename relativeToVRT="0">{elsewhere}</SourceFilename></SimpleSource>'
        "</VRTRasterBand></VRTDataset>"
    )
    return product


def missing_band(product: Path) -> Path:
    band_file(product, "B10").unlink()
    return product


def band_in_another_crs(product: Path) -> Path:
    path = band_file(product, "B11")
    with rasterio.open(path) as source:
        values, profile = source.read(), source.profile | {"crs": "EPSG:32632"}
    path.unlink()
    with rasterio.open(path, "w", **profile, REVERSIBLE="YES", QUALITY="100") as target:
        target.write(values)
    return product


def empty_bands(product: Path) -> Path:
    for path in product.glob("GRANULE/*/IMG_DATA/*.jp2"):
        with rasterio.open(path) as source:
            values, profile = source.read(), source.profile
        path.unlink()
        with rasterio.open(path, "w", **profile, REVERSIBLE="YES", QUALITY="100") as target:
            target.write(np.zeros_like(values))
    return product


def bomb(product: Path) -> Path:
    """Ten entities of ten of the one before: 10 GB from 1 kB."""
    text = (product / PRODUCT_XML).read_text()
    entities = ['<!ENTITY a0 "aaaaaaaaaa">'] + [f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10)]
    head, body = text.split("?>", 1)
    body = body.replace(f"<PRODUCT_URI>{NAME}", f"<PRODUCT_URI>&a9;{NAME}")
    (product / PRODUCT_XML).write_text(f"{head}?><!DOCTYPE x [{''.join(entities)}]>{body}")
    return product


def external_entity(product: Path) -> Path:
    secret = product.parent / "secret.txt"
    secret.write_text("the content of another file")
    text = (product / PRODUCT_XML).read_text()
    head, body = text.split("?>", 1)
    body = body.replace(f"<PRODUCT_URI>{NAME}.SAFE", "<PRODUCT_URI>&secret;")
    entity = f'<!ENTITY secret SYSTEM "{secret.as_uri()}">'
    (product / PRODUCT_XML).write_text(f"{head}?><!DOCTYPE x [{entity}]>{body}")
    return product


def zipped(product: Path, *, extra: Callable[[zipfile.ZipFile], None] | None = None) -> Path:
    path = product.parent / f"{NAME}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(product.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(product.parent))
        if extra is not None:
            extra(archive)
    shutil.rmtree(product)
    return path


def zip_with(name: str) -> Callable[[Path], Path]:
    return lambda product: zipped(product, extra=lambda archive: archive.writestr(name, "x"))


def zip_with_a_link(product: Path) -> Path:
    def add(archive: zipfile.ZipFile) -> None:
        link = zipfile.ZipInfo(f"{NAME}.SAFE/link.xml")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")

    return zipped(product, extra=add)


def zip_cut_short(product: Path) -> Path:
    path = zipped(product)
    os.truncate(path, path.stat().st_size // 2)
    return path


def two_products_in_a_zip(product: Path) -> Path:
    other = NAME.replace("33UUU", "33UUV")

    def add(archive: zipfile.ZipFile) -> None:
        archive.writestr(f"{other}.SAFE/{PRODUCT_XML}", "<a/>")

    return zipped(product, extra=add)


def no_product(product: Path) -> Path:
    folder = product.parent / "holiday"
    folder.mkdir()
    (folder / "beach.jpg").write_bytes(b"\xff\xd8")
    return folder


def not_there(product: Path) -> Path:
    return product.parent / "nowhere.SAFE"


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


def snapshot(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.lstat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() or path.is_symlink()
    }


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


def cog_item(product: Path, folder: Path) -> Path:
    """A STAC item of the bands as GeoTIFF, as Earth Search describes them."""
    assets = {}
    for band in BANDS:
        with rasterio.open(band_file(product, band)) as source:
            profile = {"crs": source.crs, "transform": source.transform, "compress": "deflate"}
            values = source.read(1)
        with rasterio.open(
            folder / f"{band}.tif", "w", driver="GTiff", height=values.shape[0], width=values.shape[1], count=1,
            dtype=values.dtype, **profile,
        ) as target:  # fmt: skip
            target.write(values, 1)
        numbers = {"scale": 0.0001, "offset": -0.1}
        assets[band] = {"href": f"./{band}.tif", "type": "image/tiff", "raster:bands": [numbers]}
    properties = {
        "datetime": "2017-02-16T10:21:01Z", "platform": "sentinel-2a", "grid:code": "MGRS-33UUU",
        "s2:processing_baseline": "05.10", "s2:product_type": "S2MSI1C",
    }  # fmt: skip
    item = {"type": "Feature", "id": NAME, "properties": properties, "geometry": None, "assets": assets}
    path = folder / "item.json"
    path.write_text(json.dumps(item))
    return path


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


def without_offset(product: Path) -> Path:
    """The same acquisition as baseline 02.04 had it: other numbers, the same reflectance."""
    name = NAME.replace("N0510", "N0204").replace("20231101T000000", "20170216T120000")
    older = Path(shutil.copytree(product, product.with_name(f"{name}.SAFE")))
    for path in (older / PRODUCT_XML, older / TILE_XML):
        text = path.read_text()
        for old, new in (("N0510", "N0204"), ("05.10", "02.04"), ("20231101T000000", "20170216T120000")):
            text = text.replace(old, new)
        kept = [line for line in text.splitlines() if "RADIO_ADD_OFFSET" not in line]
        path.write_text("\n".join(kept).replace("2023-11-01T00:00:00", "2017-02-16T12:00:00"))
    for path in older.glob("GRANULE/*/IMG_DATA/*.jp2"):
        with rasterio.open(path) as source:
            values, profile = source.read(), source.profile
        path.unlink()
        with rasterio.open(path, "w", **profile, REVERSIBLE="YES", QUALITY="100") as target:
            target.write(values - 1000)
    return older


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
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=200, env=environment
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


AREA = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"class": "forest"},
            "geometry": {"type": "Polygon", "coordinates": [[[14.0, 46.0], [14.2, 46.0], [14.1, 46.1], [14.0, 46.0]]]},
        }
    ],
}

SOURCE = '[source]\nkind = "sample"\n'
SCENES = '[source]\nkind = "scenes"\nproducts = "archive"\n[reference]\nkind = "vector"\npath = "area.geojson"\n'

CONFIGURATIONS: dict[str, tuple[str, list[str]]] = {
    "key with a typing error": (SOURCE + "[clouds]\nthreshhhold = 0.3\n", ["clouds.threshhhold", "mean 'threshold'"]),
    "key of another table": (SOURCE + "[area]\nthreshold = 0.3\n", ["area.threshold", "belongs to [clouds]"]),
    "key before the tables": ("bbox = [14, 46, 15, 47]\n" + SOURCE, ["bbox", "belongs to [area]"]),
    "table with a typing error": (SOURCE + "[cloud]\nthreshold = 0.3\n", ["cloud: unknown key", "mean 'clouds'"]),
    "source with a typing error": ('[source]\nkind = "simulate"\n', ["'simulate'", "mean 'simulated'"]),
    "no source": ("[time]\n", ["[source]", "sample, simulated, eopatches"]),
    "source without its place": ('[source]\nkind = "scenes"\n', ["source.products", "Folder or s3:// prefix"]),
    "detector with a typing error": (SOURCE + '[clouds]\ndetector = "s2cloudles"\n', ["mean 's2cloudless'"]),
    "band with a typing error": (SOURCE + '[features]\nbands = ["B4"]\n', ["features.bands", "B4", "mean 'B04'"]),
    "band in small letters": (SOURCE + '[features]\nbands = ["b8a"]\n', ["features.bands", "b8a", "mean 'B8A'"]),
    "band that there is not": (SOURCE + '[features]\nbands = ["B13"]\n', ["B13 unknown", "B01, B02"]),
    "bands of a level that it has not": (
        SCENES.replace("[ref", 'level = "L2A"\nbands = ["B10"]\n[ref'), ["source.bands", "B10", "L2A has"],
    ),
    "index with a typing error": (SOURCE + '[features]\nindices = ["NVDI"]\n', ["features.indices", "mean 'NDVI'"]),
    "executor with a typing error": (SOURCE + '[run]\nexecutor = "prozesses"\n', ["run.executor", "mean 'processes'"]),
    "model parameter with a typing error": (
        SOURCE + "[model]\nparameters = { num_iteration = 5 }\n", ["num_iteration", "mean 'num_iterations'"],
    ),
    "class that is in no table": (
        SOURCE + '[reference]\nclasses = { a = "Forrest" }\n', ["Forrest", "mean 'Forest'", "class table"],
    ),
    "degrees with a system in metres": (
        SOURCE + '[area]\nbbox = [14, 46, 15, 47]\ncrs = "EPSG:32633"\n', ["is in degrees", "crs = 'EPSG:4326'"],
    ),
    "a grid in metres over degrees": (
        SOURCE + '[area]\nbbox = [14, 46, 15, 47]\ncrs = "EPSG:4326"\ngrid = "bbox"\n', ["in degrees", "grid = 'utm'"],
    ),
    "box without a system": (SOURCE + "[area]\nbbox = [14, 46, 15, 47]\n", ["bbox needs crs", "EPSG:4326"]),
    "system that there is not": (
        SOURCE + '[area]\nbbox = [14, 46, 15, 47]\ncrs = "EPSG:99999"\n', ["EPSG:99999", "EPSG:32633"],
    ),
    "south above north": (
        SOURCE + '[area]\nbbox = [14, 47, 15, 46]\ncrs = "EPSG:4326"\n', ["is empty", "south below north"],
    ),
    "pixels that do not fill a patch": (SOURCE + "[area]\npatch_size = 1005\n", ["1005 m", "whole number of pixels"]),
    "day that there is not": (SOURCE + "[time]\nstart = 2023-02-30\n", ["no valid TOML", "line 4"]),
    "end before the beginning": (SOURCE + "[time]\nstart = 2023-02-03\nend = 2022-01-01\n", ["end 2022-01-01"]),
    "text where a number is due": (SOURCE + '[area]\nresolution = "10 m"\n', ["area.resolution", "not '10 m'"]),
    "area far from the only pixels": (
        SOURCE + '[area]\nfile = "area.geojson"\n', ["outside of the embedded scene", "eotasks new-config land-cover"],
    ),
    "labels without the column": (
        SCENES.replace("[ref", '[area]\nfile = "area.geojson"\n[ref').replace("path", 'column = "clas"\npath'),
        ["no column 'clas'", "mean 'class'"],
    ),
    "several at once": (
        SOURCE + "[clouds]\nthreshhhold = 1\n[time]\nend = 2001-01-01\n[run]\nworkers = 0\n",
        ["clouds.threshhhold", "end 2001-01-01", "run.workers"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_configuration(case: str, tmp_path: Path) -> None:
    text, words = CONFIGURATIONS[case]
    (tmp_path / "area.geojson").write_text(json.dumps(AREA))
    (tmp_path / "archive").mkdir()
    (tmp_path / "mine.toml").write_text(f'{text}[output]\nfolder = "{tmp_path}/out"\n')
    refused(["land-cover", "--config", str(tmp_path / "mine.toml")], words, tmp_path)


COMMANDS: dict[str, tuple[list[str], list[str]]] = {
    "command with a typing error": (["land-covr"], ["mean 'land-cover'"]),
    "command with an underscore": (["cloud_mask"], ["mean 'cloud-mask'"]),
    "action with a typing error": (["catalogue", "seerch"], ["mean 'search'"]),
    "option with a typing error": (["cloud-mask", "--resoluton", "60"], ["mean '--resolution'"]),
    "option of another command": (["clean", "x", "--watch"], ["unrecognized arguments: --watch"]),
    "value with a typing error": (["cloud-mask", "--preset", "sentinelhub"], ["mean 'sentinel-hub'"]),
    "detector of a command": (["cloud-mask", "--detector", "slc"], ["no detector 'slc'", "s2cloudless"]),
    "preset of a contestant": (["evaluate-clouds", "--simulated", "--detector", "scl:gee"], ["has no preset"]),
    "configuration by a wrong name": (["land-cover", "--config", "sampple"], ["'sampple'", "mean 'sample'"]),
    "place that there is not": (["status", "results/nowhere"], ["nowhere", "manifest.jsonl"]),
    "place of another kind": (["clean", "gs://bucket/x"], ["gs://bucket/x", "s3://bucket/prefix"]),
    "box of three numbers": (["catalogue", "search", "--bbox", "1", "2", "3"], ["--bbox", "4 arguments"]),
    "level in small letters": (["catalogue", "search", "--level", "l1c"], ["mean 'L1C'"]),
    "catalogue with another ending": (["catalogue", "info", "--catalogue", "c.csv"], ["c.csv", ".parquet"]),
    "new configuration without an area": (["new-config", "land-cover"], ["--area"]),
    "area that there is not": (["new-config", "land-cover", "--area", "gone.gpkg"], ["gone.gpkg", "check the path"]),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_command(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments, words = COMMANDS[case]
    monkeypatch.chdir(tmp_path)
    refused(arguments, words, tmp_path)


def refused(arguments: list[str], words: list[str], folder: Path) -> None:
    before = snapshot(folder)
    result = command(*arguments)
    assert (result.code, result.out) == (2, ""), result.err
    message = " ".join(result.err.split())
    assert [word for word in words if word not in message] == [], message
    assert "Traceback" not in result.err
    assert snapshot(folder) == before


BANDS_FEATURE = (FeatureType.DATA, "BANDS")

CALLS: dict[str, tuple[Callable[[], object], type[Exception], list[str]]] = {
    "place that is a number": (lambda: load_eopatch(5, "a"), ConfigurationError, ["5 (int)", "folder"]),  # type: ignore[arg-type]
    "place of another kind": (lambda: LoadSavedEOPatchTask("gs://b/x"), ConfigurationError, ["gs://b/x", "s3://"]),
    "executor": (
        lambda: run_batch(*behaving("a"), executor="process"), ConfigurationError, ["mean 'processes'"],  # type: ignore[arg-type]
    ),
    "start of workers": (
        lambda: run_batch(*behaving("a"), start_method="fork"), ConfigurationError, ["'fork'", "'spawn'"],  # type: ignore[arg-type]
    ),
    "workers": (lambda: run_batch(*behaving("a"), workers="two"), ConfigurationError, ["'two'", "whole number"]),  # type: ignore[arg-type]
    "no patches": (lambda: run_batch(behaving("a")[0], {}), BatchError, ["no patches", "area"]),
    "preset": (lambda: mask_settings("eolearn"), ConfigurationError, ["'eolearn'", "mean 'eo-learn'"]),  # type: ignore[arg-type]
    "detector": (lambda: DetectCloudsTask("shadow-geometric"), ConfigurationError, ["mean 'shadows-geometric'"]),
    "class of a scene": (lambda: scene_classes(["CIRUS"]), ConfigurationError, ["CIRUS", "THIN_CIRRUS"]),
    "band": (lambda: band_indices(["B8"], BANDS), BandError, ["B8", "mean 'B08'"]),
    "compression": (lambda: check_compression("deflat"), ConfigurationError, ["mean 'deflate'"]),
    "parameter of a model": (lambda: training_parameters({"learning_rates": 1}), ModelError, ["mean 'learning_rate'"]),
    "stage of a batch": (lambda: stage_of_a_batch("obsrve"), StorageError, ["mean 'observe'"]),
}  # fmt: skip


def stage_of_a_batch(stage: str) -> object:
    with tempfile.TemporaryDirectory() as folder:
        run_batch(*behaving("a"), executor="serial", place=folder, stage="observe", progress=False)
        return read_progress(folder, stage=stage)


@pytest.mark.parametrize("case", CALLS)
def test_call(case: str) -> None:
    call, kind, words = CALLS[case]
    with pytest.raises(kind) as error:
        call()
    message = str(error.value)
    assert [word for word in words if word not in message] == [], message


@pytest.mark.parametrize("module", ["duckdb", "pystac", "pyarrow"])
def test_extra_that_is_missing(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the line that installs it in this environment."""
    from eotasks.catalogue import packages

    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError) as error:
        packages.package(module)
    assert str(error.value).endswith(install_line("catalogue"))


@contextmanager
def broken_web(root: Path) -> Iterator[str]:
    """A web server that sends half of every image and closes the connection."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            if not self.path.endswith(".jp2"):
                super().do_GET()
                return
            content = Path(self.translate_path(self.path)).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True

    server = LoopbackServer(("127.0.0.1", 0), partial(Handler, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
