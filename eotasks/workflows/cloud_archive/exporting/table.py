"""The items of an export as one GeoParquet file by the conventions of stac-geoparquet, written as they come.

Columns are those of a catalogue of ours, with what items of masks have beside them: sizes, checksums and classes of
images, settings and sources. Hrefs of masks are absolute.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shapely

from eotasks.catalogue.fields import CLOUD_ASSETS
from eotasks.catalogue.packages import package
from eotasks.catalogue.table import ROWS_OF_GROUP
from eotasks.catalogue.table import schema as catalogue_schema
from eotasks.errors import ImageryError, reason_of
from eotasks.imagery import footprints
from eotasks.workflows.cloud_archive.item import DETECTOR_PACKAGE, INPUTS, SETTINGS, SOURCE

if TYPE_CHECKING:
    import pyarrow as pa

_PACKED = 64
"""Rows that become one piece in memory."""

_EXTENT = ("xmin", "ymin", "xmax", "ymax")


def export_schema(settings: Mapping[str, Any]) -> pa.Schema:
    """Columns of the items of an archive.

    :param settings: Of its masks, which are the same for all.
    """
    arrow = package("pyarrow")
    text, columns = arrow.string(), catalogue_schema()
    place, keys = columns.get_field_index("assets"), columns.field("assets").type
    known = {field.name: field.type for field in keys}
    classes = arrow.list_(
        arrow.struct(
            [
                ("value", arrow.int64()),
                ("name", text),
                ("description", text),
                ("color_hint", text),
                ("nodata", arrow.bool_()),
            ]
        )
    )
    more = [("file:size", arrow.int64()), ("file:checksum", text), ("classification:classes", classes)]
    for key in CLOUD_ASSETS:
        known[key] = arrow.struct([*known[key], *(arrow.field(name, kind) for name, kind in more)])
    columns = columns.set(place, arrow.field("assets", arrow.struct(list(known.items()))))
    said = {key: value for key, value in settings.items() if value is not None}
    for name, kind in (
        ("collection", text), ("processing:software", arrow.struct([("eotasks", text)])), (SOURCE, text),
        (INPUTS, text), (DETECTOR_PACKAGE, text), (SETTINGS, arrow.infer_type([said])),
    ):  # fmt: skip
        columns = columns.append(arrow.field(name, kind))
    return columns


def row_of_item(item: Mapping[str, Any], hrefs: Mapping[str, str], columns: pa.Schema) -> pa.Table:
    """An item as a table of one row.

    :param item: As its file has it.
    :param hrefs: Absolute ones of its masks, by their keys.
    :raises ImageryError: when it says something that the columns have no room for, or its place is no polygon.
    """
    arrow = package("pyarrow")
    geometry = footprints.from_geojson(item["geometry"], f"STAC item {item['id']!r}")
    assets = {key: {**asset, "href": hrefs.get(key, asset["href"])} for key, asset in item["assets"].items()}
    row = {**item, **item["properties"], "assets": assets, "geometry": shapely.to_wkb(geometry)}
    del row["properties"]
    row["links"] = [{"rel": "collection", "href": "./collection.json", "type": "application/json"}]
    row["bbox"] = dict(zip(_EXTENT, geometry.bounds, strict=True))
    strange = sorted(
        [*(row.keys() - set(columns.names)), *(assets.keys() - {each.name for each in columns.field("assets").type})]
    )
    if strange:
        raise ImageryError(f"STAC item {item['id']!r}: a table has no column for {', '.join(strange)}.")
    try:
        for key in ("datetime", "s2:generation_time"):
            if row.get(key) is not None:
                row[key] = dt.datetime.fromisoformat(row[key])
        table: pa.Table = arrow.Table.from_pylist([row], schema=columns)
    except (arrow.ArrowException, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ImageryError(f"STAC item {item['id']!r}: a table cannot have it ({reason_of(error)}).") from error
    return table


class ItemTable:
    """A file that grows by rows; its metadata comes at its end.

    :param path: On this machine.
    """

    def __init__(self, path: Path, columns: pa.Schema) -> None:
        parquet = package("pyarrow.parquet")
        self._writer = parquet.ParquetWriter(path, columns, compression="zstd", store_schema=False)
        self._waiting: list[pa.Table] = []
        self._packed: list[pa.Table] = []
        self._kinds: set[str] = set()
        self._bounds: list[tuple[float, float, float, float]] = []

    def add(self, row: pa.Table) -> None:
        """One item more."""
        geometry = shapely.from_wkb(row.column("geometry")[0].as_py())
        self._kinds.add(geometry.geom_type)
        self._bounds = [_around([*self._bounds, geometry.bounds])]
        self._waiting.append(row)
        if len(self._waiting) >= _PACKED:  # a table of one row takes a hundred times its content
            self._packed.append(package("pyarrow").concat_tables(self._waiting).combine_chunks())
            self._waiting = []
        if len(self._packed) * _PACKED >= ROWS_OF_GROUP:
            self._write()

    def close(self) -> None:
        """The end of the file."""
        self._write()
        column = {
            "encoding": "WKB",
            "geometry_types": sorted(self._kinds),
            "covering": {"bbox": {name: ["bbox", name] for name in _EXTENT}},
            "bbox": list(self._bounds[0]),
        }
        geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
        self._writer.add_key_value_metadata({"geo": json.dumps(geo), "stac-geoparquet": '{"version": "1.0.0"}'})
        self._writer.close()

    def _write(self) -> None:
        rows = [*self._packed, *self._waiting]
        if rows:
            self._writer.write_table(package("pyarrow").concat_tables(rows), row_group_size=ROWS_OF_GROUP)
            self._packed, self._waiting = [], []


def _around(boxes: list[tuple[float, float, float, float]]) -> tuple[float, float, float, float]:
    west, south, east, north = zip(*boxes, strict=True)
    return min(west), min(south), max(east), max(north)
