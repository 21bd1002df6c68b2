"""Products: metadata, sidecars, images, zips, STAC items."""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from eotasks.catalogue.items import item_of
from eotasks.imagery.files import http
from eotasks.imagery.files.folder import FolderFiles
from eotasks.imagery.files.origin import Origin
from eotasks.imagery.files.protocol import RasterFile
from eotasks.imagery.files.web import WebFiles
from eotasks.imagery.pixels.raster import describe, read_window
from eotasks.imagery.products.open import describe_product
from eotasks.imagery.products.polygons import read_polygons
from eotasks.imagery.products.product import Product
from eotasks.imagery.products.stac import describe_item, read_item
from eotasks.imagery.scene import Scene
from eotasks.limits import ATTEMPTS
from eotasks.sources.sample import open_sample
from tests.benchmarks.hostile.format import Format, Read
from tests.builders.inputs.jp2 import SMALL
from tests.builders.layouts import PRODUCT_XML, TILE_XML, aws_bucket, small_l2a, small_safe, stac_item
from tests.builders.sample_products import cut_sample

AFAR = Origin.of("https://products.example/item.json")

_XML_TOKENS = (b"<a>", b"</a>", b"<!--", b"]]>", b"&lt;", b"xmlns:n1", b'band_id="13"', b'bandId="-1"', b"EPSG:")
_JSON_TOKENS = (b"NaN", b"1e400", b"null", b"{", b"[", b'"', b"\\ud800", b"\\u0000", b",", b":")
_JP2_TOKENS = (
    b"jP  ", b"ftypjp2 ", b"jp2h", b"ihdr", b"colr", b"jp2c", b"uuid", b"asoc", b"lbl ", b"xml ", b"\xff\x4f\xff\x51",
    b"\xff\x52", b"\xff\x5c", b"\xff\x90", b"\xff\x93", b"\xff\xd9", b"\xff\xff\xff\xff", b"<gml:origin>",
)  # fmt: skip
_PACKET_TOKENS = (b"\xff\x58", b"\xff\x55", b"\xff\x91\0\4\0\0", b"\xff\x92", b"\xff\x61", b"\xff\x5f", b"\0", b"\x80")
_GML = """<?xml version="1.0"?><eop:Mask xmlns:eop="e" xmlns:gml="g"><gml:boundedBy><gml:Envelope
 srsName="urn:ogc:def:crs:EPSG:8.7.1:32633"/></gml:boundedBy><eop:maskMembers><eop:MaskFeature><eop:maskType>OPAQUE
</eop:maskType><eop:extentOf><gml:Polygon><gml:exterior><gml:LinearRing><gml:posList srsDimension="2">300000 5900000
 301000 5900000 301000 5899000 300000 5900000</gml:posList></gml:LinearRing></gml:exterior><gml:interior>
<gml:LinearRing><gml:posList srsDimension="2">300700 5899900 300800 5899900 300800 5899800 300700 5899900</gml:posList>
</gml:LinearRing></gml:interior></gml:Polygon></eop:extentOf></eop:MaskFeature></eop:maskMembers></eop:Mask>"""


class _Known:
    """Files of a product of which one is in memory: spoiled, and read as often as there are cases."""

    def __init__(self, folder: Path) -> None:
        scene = Scene(describe_product(folder))
        self._grids = {band: scene._info(band) for band in scene.bands}

    def used(self, product: Product) -> object:
        """What commands make of a product that was accepted; the headers of its images are those of the sound one."""
        scene = Scene(product)
        scene._infos = {band: self._grids[band] for band in scene.bands if band in self._grids}
        if product.angles is not None and product.acquisition.sun_zenith is None:
            product.angles()
        return item_of(scene).to_dict(include_self_link=False)


def _file_of(make: Callable[[Path], Path], name: str) -> Callable[[Path], tuple[Sequence[bytes], Read]]:
    """One file of a product in a folder."""

    def prepare(folder: Path) -> tuple[Sequence[bytes], Read]:
        product = make(folder)
        for tile in (*product.rglob("MTD_TL.xml"), *product.rglob("metadata.xml")):
            tile.write_bytes(_shortened(tile.read_bytes()))
        found = next(product.glob(name))
        sample = found.read_bytes()
        known = _Known(product)

        def read(content: bytes) -> object:
            found.write_bytes(content)
            described = describe_product(product)
            if found.name in ("MTD_TL.xml", "metadata.xml") and described.angles is not None:
                described.angles()
            return known.used(described)

        return [sample], read

    return prepare


def _shortened(content: bytes) -> bytes:
    """Metadata of a tile with two grids of view angles instead of 78, of three rows each."""
    grids = list(re.finditer(rb"\s*<Viewing_Incidence_Angles_Grids.*?</Viewing_Incidence_Angles_Grids>", content, re.S))
    if len(grids) > 2:
        content = content[: grids[2].start()] + content[grids[-1].end() :]
    return re.sub(rb"(?:\s*<VALUES>[^<]*</VALUES>){20}(?=(?:\s*<VALUES>[^<]*</VALUES>){3}\s*</)", b"", content)


def _safe_l2a(folder: Path) -> Path:
    return small_l2a(small_safe(folder), folder)


def _tile(folder: Path) -> Path:
    return aws_bucket(small_safe(folder), folder / "bucket")


def _bare(folder: Path) -> Path:
    return cut_sample(folder / "bare")


def _polygons(folder: Path) -> tuple[Sequence[bytes], Read]:
    class Files:
        location = "mask"

        def read_bytes(self, name: str) -> bytes:
            return self.content

        content = b""

    files: Any = Files()

    def read(content: bytes) -> object:
        files.content = content
        return [area.wkt for _, area in read_polygons(files, "mask.gml", "EPSG:32633").areas]

    return [_GML.encode()], read


def _manifest(folder: Path) -> tuple[Sequence[bytes], Read]:
    content = (small_safe(folder) / "manifest.safe").read_bytes()
    served = {"content": b""}
    http.size_of = lambda *_: len(served["content"])
    http.read = lambda *_: served["content"]

    def read(content: bytes) -> object:
        served["content"] = content
        files = WebFiles("https://products.example/P.SAFE")
        return [files.raster_path(name) for name in files.names()]

    return [content], read


def _images(folder: Path) -> tuple[Sequence[bytes], Read]:
    """A JP2 band, read as a window; a TIFF is tried as one too."""
    product = cut_sample(folder / "bare")
    band = next(product.glob("*_B01.jp2"))
    samples = [band.read_bytes(), next(product.glob("*_B09.jp2")).read_bytes()]
    grid = Scene(describe_product(product)).grid_of("B01")

    def read(content: bytes) -> object:
        band.write_bytes(content)
        scene = Scene(describe_product(product))
        scene.read(["B01"], scene.grid_of("B01"), resampling="nearest", threads=1)
        return scene.read(["B01"], grid, threads=1)

    return samples, read


def _packets(folder: Path) -> tuple[Sequence[bytes], Read]:
    """JP2 bands whose levels are read by their packets, with and without a TLM."""
    path, raster = folder / "a.jp2", RasterFile("a.jp2", "JP2OpenJPEG")
    samples = []
    for layout in (SMALL, replace(SMALL, tile_lengths=True, marks=(True, True), order="RPCL")):
        layout.write(path)
        samples.append(path.read_bytes())
    files = FolderFiles(folder)
    info = describe(files, raster)
    corner = replace(info.grid, height=40, width=40)

    def read(content: bytes) -> object:
        path.write_bytes(content)
        for level in info.levels[1:]:
            found = [read_window(files, raster, info, level, grid) for grid in (corner, info.grid)]
        return found

    return samples, read


def _zips(folder: Path) -> tuple[Sequence[bytes], Read]:
    """A zip of a product; its images are empty, as nobody looks into them."""
    product = small_safe(folder / "made")
    tile = product / TILE_XML
    tile.write_bytes(_shortened(tile.read_bytes()))
    samples = []
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2):
        target = folder / "made.zip"
        with zipfile.ZipFile(target, "w", method) as archive:
            for file in sorted(product.rglob("*")):
                if file.is_file():
                    content = b"" if file.suffix == ".jp2" else file.read_bytes()
                    archive.writestr(zipfile.ZipInfo(str(file.relative_to(folder / "made"))), content, method)
        samples.append(target.read_bytes())
    shutil.rmtree(folder / "made")
    spoiled = folder / "spoiled.zip"

    def read(content: bytes) -> object:
        spoiled.write_bytes(content)
        return describe_product(spoiled).acquisition

    return samples, read


def _items(folder: Path) -> tuple[Sequence[bytes], Read]:
    """A STAC item as a file, and as if an API had sent it: its links are then to other machines only."""
    item = stac_item(small_safe(folder), folder)
    known = _Known(folder / f"{item['id']}.SAFE")
    item["assets"] = {key: {"href": f"./{key}.tif", "type": "image/tiff"} for key in item["assets"]}
    item["assets"]["product_metadata"] = {"href": f"./{PRODUCT_XML}", "type": "application/xml"}
    shutil.copy(folder / f"{item['id']}.SAFE" / PRODUCT_XML, folder)
    scaled = json.loads(json.dumps(item))
    for asset in scaled["assets"].values():
        asset["raster:bands"] = [{"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1}]
    other = json.loads(json.dumps(item))
    other["properties"] |= {"earthsearch:boa_offset_applied": True, "mgrs:utm_zone": 33, "mgrs:latitude_band": "U"}
    other["properties"] |= {"mgrs:grid_square": "UU", "s2:generation_time": "2023-11-01T00:00:00Z"}
    del other["properties"]["grid:code"], other["properties"]["s2:datatake_id"]
    file = folder / "item.json"
    os.environ[ATTEMPTS.variable] = "1"

    def read(content: bytes) -> object:
        file.write_bytes(content)
        item = read_item(str(file), Origin.of(file))
        afar = describe_item(item, AFAR)
        for name in afar.files.names():
            afar.files.raster_path(name)
        return known.used(afar)

    return [json.dumps(each).encode() for each in (item, scaled, other)], read


def _sample_item(folder: Path) -> tuple[Sequence[bytes], Read]:
    """The item that a catalogue of ours has, searched for and opened again from a mapping."""
    scene = open_sample()
    sample = json.dumps(item_of(scene).to_dict(include_self_link=False)).encode()

    def read(content: bytes) -> object:
        file = folder / "item.json"
        file.write_bytes(content)
        return describe_product(str(file)).acquisition

    return [sample], read


FORMATS = (
    Format("product-l1c", "xml", _file_of(small_safe, PRODUCT_XML), _XML_TOKENS),
    Format("product-l2a", "xml", _file_of(_safe_l2a, "MTD_MSIL2A.xml"), _XML_TOKENS),
    Format("tile", "xml", _file_of(small_safe, TILE_XML), _XML_TOKENS),
    Format("aws-tile", "xml", _file_of(_tile, "metadata.xml"), _XML_TOKENS),
    Format("aws-info", "json", _file_of(_tile, "tileInfo.json"), _JSON_TOKENS),
    Format("manifest-safe", "xml", _manifest, _XML_TOKENS),
    Format("mask-polygons", "xml", _polygons, _XML_TOKENS),
    Format("sidecar", "json", _file_of(_bare, "acquisition.json"), _JSON_TOKENS),
    Format("jp2", "bytes", _images, _JP2_TOKENS, head=700),
    Format("jp2-packets", "bytes", _packets, (*_JP2_TOKENS, *_PACKET_TOKENS), head=900),
    Format(
        "zip", "bytes", _zips, (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"../", b"\0"), head=3000
    ),
    Format("item", "json", _items, _JSON_TOKENS, online=True),
    Format("own-item", "json", _sample_item, _JSON_TOKENS),
)
