"""A row of a catalogue without its bands: what `eotasks.catalogue.fields` asks an item of pystac for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from eotasks.catalogue.fields import CLOUD_ASSETS, MADE_OF, PRODUCT_ASSET, plain
from eotasks.catalogue.foreign import may_cross
from eotasks.catalogue.places import check_column
from eotasks.errors import ImageryError
from eotasks.imagery import footprints
from eotasks.imagery.files.origin import Origin, mark
from eotasks.times import naive_utc

if TYPE_CHECKING:
    import pyarrow as pa

_ASSETS = (PRODUCT_ASSET, *CLOUD_ASSETS)
_PROPERTIES = (
    "platform", "grid:code", "s2:mgrs_tile", "mgrs:utm_zone", "mgrs:latitude_band", "mgrs:grid_square",
    "processing:level", "product:type", "s2:product_type", "s2:processing_baseline", "processing:version",
    "s2:datastrip_id", "eo:cloud_cover", "s2:generation_time", "processing:datetime", "s2:product_uri",
    "eopf:datastrip_id", MADE_OF,
)  # fmt: skip
COLUMNS = ("id", "collection", "geometry", "datetime", *_PROPERTIES, *(f"assets.{key}.href" for key in _ASSETS))
"""Leaves that are read, of those that a file has."""


@dataclass(frozen=True)
class BriefAsset:
    """A file of a product."""

    href: str


@dataclass(eq=False)
class BriefItem:
    """A product; the names are those of pystac."""

    id: str
    datetime: dt.datetime | None
    """Naive UTC."""

    properties: dict[str, Any]
    collection_id: str | None = None
    assets: dict[str, BriefAsset] = field(default_factory=dict)
    """The product itself, and its masks."""

    footprint: BaseGeometry | None = field(default=None, repr=False)
    """Its place, valid and in our form; None without one."""

    fault: str | None = None
    """Why its place is none that can be used; None where nothing is wrong."""


def brief_items(table: pa.Table, where: str, origin: Origin) -> Iterator[BriefItem]:
    """Rows as brief items.

    :param table: With those of :data:`COLUMNS` that the file has.
    :param where: For messages.
    :param origin: Of the catalogue.
    :raises ImageryError: when a row is no STAC item.
    """
    lists = {name: table.column(name).to_pylist() for name in table.column_names if name != "geometry"}
    places = _footprints(table.column("geometry"), where)
    properties = [name for name in _PROPERTIES if name in lists]
    assets = lists.get("assets")
    for row, name in enumerate(lists["id"]):
        moment, collection = lists["datetime"][row], lists["collection"][row] if "collection" in lists else None
        named = isinstance(name, str) and isinstance(collection, str | None)
        if not named or not isinstance(moment, dt.datetime | None):
            raise ImageryError(f"{where}: a row is no STAC item (its name or time is none): write it again.")
        item = BriefItem(
            name,
            None if moment is None else naive_utc(moment),
            {key: plain(value) for key in properties if (value := lists[key][row]) is not None},
            collection,
            _assets(None if assets is None else assets[row]),
        )
        try:
            place = places[row]
            item.footprint = _slow(place, name) if isinstance(place, bytes) else place
        except ImageryError as error:
            item.fault = str(error)
        mark(item, origin)
        yield item


def _footprints(column: pa.ChunkedArray, where: str) -> list[BaseGeometry | bytes | None]:
    """Places of rows: those that are valid and in our form, as nearly all are, and the WKB of the others.

    :raises ImageryError: when one is no polygon.
    """
    found: list[BaseGeometry | bytes | None] = []
    for chunk in column.chunks:
        stored = getattr(chunk, "storage", chunk)
        if hasattr(stored, "dictionary"):
            stored = stored.dictionary_decode()
        check_column(stored, f"{where}: row", first=len(found))
        content = stored.to_pylist()
        with np.errstate(invalid="ignore"):  # of NaN, which the slow way refuses
            given = shapely.from_wkb(content)
            usual = shapely.is_valid(given) & ~may_cross(shapely.bounds(given)) & ~shapely.has_z(given)
        found += [geometry if fits else wkb for geometry, fits, wkb in zip(given, usual.tolist(), content, strict=True)]
    return found


def _slow(wkb: bytes, name: str) -> BaseGeometry:
    where = f"STAC item {name!r}"
    return footprints.repaired(footprints.from_wkb(wkb, where), where)


def _assets(content: Any) -> dict[str, BriefAsset]:
    if not isinstance(content, dict):
        return {}
    hrefs = {key: asset.get("href") for key, asset in content.items() if isinstance(asset, dict)}
    return {key: BriefAsset(href) for key, href in hrefs.items() if isinstance(href, str)}
