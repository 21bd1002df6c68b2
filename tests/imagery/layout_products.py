"""A small product in any layout, cut from the embedded scene: what the tests of layouts spoil and move about."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

from tests.benchmarks.imagery_tile import GRANULE, NAME, build_tile

PIXELS = (192, 192)
PRODUCT_XML, TILE_XML = "MTD_MSIL1C.xml", f"GRANULE/{GRANULE}/MTD_TL.xml"
TILE_PATH, PRODUCT_PATH = "tiles/33/U/UU/2017/2/16/0", f"products/2017/2/16/{NAME}"


def small_safe(folder: Path) -> Path:
    """The product as a `.SAFE` folder."""
    return build_tile(folder, pixels=PIXELS)


def zipped(product: Path, target: Path, *, top: bool = True) -> Path:
    """The zip of a folder, with the folder itself in it or only its files."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
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
