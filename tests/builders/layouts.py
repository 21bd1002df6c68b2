"""A small product in any layout, cut from the embedded scene: what the tests of layouts spoil and move about."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from eotasks.models.sentinel2 import BANDS, NATIVE_RESOLUTION
from tests.builders.products import write_jp2
from tests.builders.tile import DATASTRIP, GRANULE, IMAGE, LEFT, NAME, TOP, build_tile

PIXELS = (192, 192)
PRODUCT_XML, TILE_XML = "MTD_MSIL1C.xml", f"GRANULE/{GRANULE}/MTD_TL.xml"
TILE_PATH, PRODUCT_PATH = "tiles/33/U/UU/2017/2/16/0", f"products/2017/2/16/{NAME}"
L2A_NAME = NAME.replace("MSIL1C", "MSIL2A")
VEGETATION = 4

SIDE = 20
MADE, LATER = "20231101T000000", "20231101T030000"
"""When the product of `small_safe` was made, and the other part of it."""


def small_safe(folder: Path) -> Path:
    """The product as a `.SAFE` folder."""
    return build_tile(folder, pixels=PIXELS)


def small_l2a(product: Path, folder: Path) -> Path:
    """Its numbers as if they were of surface reflectance: each band at its own and all coarser resolutions.

    The coarser images hold only 5,000, so that whoever takes one of them is found out; SCL is vegetation.
    """
    target = folder / f"{L2A_NAME}.SAFE"
    granule = target / "GRANULE" / GRANULE.replace("L1C", "L2A")
    shutil.copytree(product / "GRANULE" / GRANULE / "QI_DATA", granule / "QI_DATA")
    text = (product / PRODUCT_XML).read_text().replace("Level-1C", "Level-2A").replace("MSIL1C", "MSIL2A")
    for old, new in (("RADIO_ADD_OFFSET", "BOA_ADD_OFFSET"), ("QUANTIFICATION_VALUE", "BOA_QUANTIFICATION_VALUE")):
        text = text.replace(old, new)
    (target / "MTD_MSIL2A.xml").write_text(text)
    tile = (product / TILE_XML).read_text().replace("Level-1C", "Level-2A").replace("_MSI_L1C_TL_", "_MSI_L2A_TL_")
    (granule / "MTD_TL.xml").write_text(tile)
    for size in (10, 20, 60):
        images = granule / "IMG_DATA" / f"R{size}m"
        images.mkdir(parents=True)
        shape = (PIXELS[0] * 10 // size, PIXELS[1] * 10 // size)
        for band in BANDS:
            if band == "B10" or NATIVE_RESOLUTION[band] > size:
                continue
            path = images / f"{IMAGE}_{band}_{size}m.jp2"
            if NATIVE_RESOLUTION[band] == size:
                shutil.copy(product / "GRANULE" / GRANULE / "IMG_DATA" / f"{IMAGE}_{band}.jp2", path)
            else:
                write_jp2(path, np.full(shape, 5_000, np.uint16), size, left=LEFT, top=TOP)
        if size != 10:
            write_jp2(
                images / f"{IMAGE}_SCL_{size}m.jp2", np.full(shape, VEGETATION, np.uint8), size, left=LEFT, top=TOP
            )
    return target


def zipped(product: Path, target: Path, *, top: bool = True, packed: bool = True) -> Path:
    """The zip of a folder, with the folder itself in it or only its files."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for file in sorted(product.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(product.parent if top else product))
    return target


def aws_bucket(product: Path, root: Path, *, with_product: bool = True) -> Path:
    """The same product in the layout of the AWS buckets below a root; gives the folder of the tile."""
    tile = root / TILE_PATH
    (tile / "qi").mkdir(parents=True)
    for file in product.glob("GRANULE/*/IMG_DATA/*.jp2"):
        shutil.copy(file, tile / file.name.rpartition("_")[2])
    for file in product.glob("GRANULE/*/QI_DATA/*"):
        shutil.copy(file, tile / "qi")
    shutil.copy(product / TILE_XML, tile / "metadata.xml")
    described = {"path": TILE_PATH, "productName": NAME, "productPath": PRODUCT_PATH}
    (tile / "tileInfo.json").write_text(json.dumps(described))
    if with_product:
        (root / PRODUCT_PATH).mkdir(parents=True)
        shutil.copy(product / PRODUCT_XML, root / PRODUCT_PATH / "metadata.xml")
    return tile


def aws_l2a(product: Path, root: Path) -> Path:
    """An L2A product in the layout of the AWS bucket of that level, its metadata beside it; gives the folder."""
    tile = root / "l2a"
    for size in (10, 20, 60):
        (tile / f"R{size}m").mkdir(parents=True)
        for file in product.glob(f"GRANULE/*/IMG_DATA/R{size}m/*.jp2"):
            shutil.copy(file, tile / f"R{size}m" / f"{file.name.split('_')[2]}.jp2")
    shutil.copytree(next(product.glob("GRANULE/*/QI_DATA")), tile / "qi")
    shutil.copy(next(product.glob("GRANULE/*/MTD_TL.xml")), tile / "metadata.xml")
    shutil.copy(product / "MTD_MSIL2A.xml", tile)
    return tile


def stac_item(product: Path, folder: Path) -> dict[str, Any]:
    """A STAC item with the bands as Cloud Optimized GeoTIFF in its folder; it does not say an offset yet."""
    assets: dict[str, Any] = {}
    for file in sorted(product.glob("GRANULE/*/IMG_DATA/*.jp2")):
        band = file.stem.rpartition("_")[2]
        with rasterio.open(file) as source:
            values, profile = source.read(), source.profile
        profile = {key: profile[key] for key in ("dtype", "count", "height", "width", "crs", "transform")}
        with rasterio.open(folder / f"{band}.tif", "w", driver="COG", blocksize=128, **profile) as target:
            target.write(values)
        assets[band] = {"href": f"./{band}.tif", "type": "image/tiff; application=geotiff; profile=cloud-optimized"}
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": NAME,
        "collection": "sentinel-2-l1c",
        "geometry": {"type": "Polygon", "coordinates": [[[12, 53], [13, 53], [13, 54], [12, 54], [12, 53]]]},
        "bbox": [12, 53, 13, 54],
        "properties": {
            "datetime": "2017-02-16T10:25:46Z",
            "platform": "sentinel-2a",
            "grid:code": "MGRS-33UUU",
            "s2:datatake_id": "GS2A_20170216T102101_008642_N05.10",
            "s2:processing_baseline": "05.10",
            "s2:product_type": "S2MSI1C",
            "sat:relative_orbit": 65,
            "sat:orbit_state": "descending",
            "eo:cloud_cover": 50,
            "view:sun_elevation": 23.93,
            "view:sun_azimuth": 163.24,
        },
        "links": [],
        "assets": assets,
    }


def sidecar_part(
    folder: Path, name: str, value: int, has_data: NDArray[np.bool_], *, baseline: str | None, **facts: Any
) -> Path:
    """A folder of two bands of one value, 0 where there is no data: (SIDE, SIDE) of 10 m."""
    place = folder / name
    place.mkdir(parents=True)
    for step, band in enumerate(("B02", "B04")):
        write_jp2(place / f"X_{band}.jp2", np.where(has_data, value + step, 0).astype(np.uint16), 10, levels=1)
    sidecar = {"version": 1, "time": "2024-05-01T10:00:00", "satellite": "S2A", "tile": "33UUU"}
    (place / "acquisition.json").write_text(json.dumps(sidecar | {"processing_baseline": baseline} | facts))
    return place


def safe_parts(folder: Path, columns: NDArray[np.bool_], bands: Sequence[str]) -> tuple[Path, Path]:
    """One tile of one datatake in two `.SAFE` folders: one with some columns of 60 m, a later one with the others.

    :param bands: Those that the products have, the others are left out.
    """
    first = small_safe(folder / "first")
    second = folder / "second" / first.name.replace(MADE, LATER)
    shutil.copytree(first, second)
    for file in [*second.glob("*.xml"), *second.glob("GRANULE/*/MTD_TL.xml")]:
        file.write_text(file.read_text().replace(MADE, LATER))
    for product, kept in ((first, columns), (second, ~columns)):
        for image in product.glob("GRANULE/*/IMG_DATA/*.jp2"):
            if image.stem[-3:] not in bands:
                image.unlink()
                continue
            with rasterio.open(image) as source:
                values, size = source.read(1), source.transform.a
                left, top = source.transform.c, source.transform.f
            values[:, ~np.repeat(kept, round(60 / size))] = 0
            write_jp2(image, values, size, left=left, top=top)
    return first, second


def item_parts(folder: Path, columns: NDArray[np.bool_]) -> tuple[Path, Path]:
    """The same as STAC items `_0_` and `_1_` with one footprint, as Earth Search names them."""
    items = []
    for index, (product, made) in enumerate(
        zip(safe_parts(folder, columns, ["B02", "B04"]), (MADE, LATER), strict=True)
    ):
        place = folder / f"item-{index}"
        place.mkdir()
        item = stac_item(product, place)
        item["id"] = f"S2A_33UUU_20170216_{index}_L1C"
        for asset in item["assets"].values():
            asset["raster:bands"] = [{"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1}]
        item["properties"]["s2:datastrip_id"] = DATASTRIP.replace(MADE, made)
        (place / "item.json").write_text(json.dumps(item))
        items.append(place / "item.json")
    return items[0], items[1]
