"""Input from outside that is wrong: every case is told in one line (what, where, cure), and leaves nothing behind.

The products are cut from the embedded scene, as `.SAFE` with complete metadata, and spoiled in one way each.
"""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from eotasks.imagery.scene import open_scene
from tests.benchmarks.imagery_tile import GRANULE, NAME, build_tile
from tests.workflows.land_cover.command_line import command

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
