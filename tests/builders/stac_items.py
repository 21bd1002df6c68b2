"""STAC items made up for tests: of our own kind, without files behind them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pystac
from shapely.geometry import Polygon, box, mapping
from shapely.geometry.base import BaseGeometry

from eotasks.catalogue.fields import PRODUCT_ASSET
from eotasks.catalogue.items import extensions_of


def make_item(
    name: str,
    area: BaseGeometry | None = None,
    *,
    time: str = "2024-05-01T10:00:00",
    tile: str = "33UUU",
    level: str = "L1C",
    baseline: str = "05.10",
    cloud: float | None = 10.0,
    **properties: Any,
) -> pystac.Item:
    """An item as `item_of` would make it; ``cloud`` in per cent."""
    shape = area or box(12, 52, 13, 53)
    fields = {
        "platform": "sentinel-2a",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "gsd": 10.0,
        "eo:cloud_cover": cloud,
        "proj:code": "EPSG:32633",
        "grid:code": f"MGRS-{tile}",
        "processing:level": level,
        "s2:product_type": f"S2MSI{level[1:]}",
        "s2:processing_baseline": baseline,
        **properties,
    }
    item = pystac.Item(
        id=name,
        geometry=_lists(mapping(shape)),
        bbox=list(shape.bounds),
        datetime=dt.datetime.fromisoformat(time).replace(tzinfo=dt.UTC),
        properties={key: value for key, value in fields.items() if value is not None},
    )
    item.add_asset(PRODUCT_ASSET, pystac.Asset(f"/archive/{name}.SAFE", "The product", roles=["data", "archive"]))
    item.stac_extensions = extensions_of(item)
    return item


def footprint(west: float, south: float, size: float = 1.0) -> Polygon:
    """A square in degrees."""
    return box(west, south, west + size, south + size)


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lists(each) for key, each in value.items()}
    return [_lists(each) for each in value] if isinstance(value, tuple | list) else value
