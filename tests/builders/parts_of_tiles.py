"""Products that show parts of one tile: made for the rules by which products complete or replace each other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from tests.builders.layouts import stac_item
from tests.builders.products import write_jp2
from tests.builders.tile import DATASTRIP, build_tile

SIDE = 20
MADE, LATER = "20231101T000000", "20231101T030000"
"""When the product of `build_tile` was made, and the other part of it."""

PIXELS = 192
"""Of 10 m along a side of the tiles."""


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
    first = build_tile(folder / "first", pixels=(PIXELS, PIXELS))
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
