"""A product spoiled in one way each, and what becomes of it: a zip, an item of a catalogue, an older baseline."""

from __future__ import annotations

import json
import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio

from eotasks.models.sentinel2 import BANDS
from tests.builders.tile import GRANULE, NAME

PIXELS = (192, 192)
"""Rows and columns of 10 m: 32 pixels of 60 m."""

PRODUCT_XML, TILE_XML = "MTD_MSIL1C.xml", f"GRANULE/{GRANULE}/MTD_TL.xml"


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
