"""STAC items as rows of a GeoParquet file, by the conventions of stac-geoparquet.

One row an item: properties are columns, the geometry is WKB, `bbox` a structure whose statistics prune row groups,
assets a structure with a column a field. Rows are sorted along a Hilbert curve and then by time, so that a row group
holds neighbours. The columns are fixed: a file of ours has all of them, whatever its items say.
"""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from eotasks.catalogue.fields import MADE_OF, check_names, plain
from eotasks.catalogue.items import EXTENSIONS, asset_keys, check_addresses
from eotasks.catalogue.packages import package
from eotasks.catalogue.places import check_column
from eotasks.errors import ConfigurationError, ImageryError, reason_of
from eotasks.geometry.antimeridian import bounds_of, crosses
from eotasks.imagery import footprints
from eotasks.limits import CATALOGUE_BYTES, CATALOGUE_ROWS
from eotasks.models.sentinel2 import BANDS
from eotasks.parquet_pages import columns_by_dictionary, repeated_bytes
from eotasks.text import whole_number

if TYPE_CHECKING:
    import pyarrow as pa
    import pystac

VERSION = 3
"""Of our columns. A file of a newer version is refused, and so is a file of others when items are to be added; one of
version 1, which knew no datastrips, no SHADOW and no flag of the offset, or 2, which did not say what masks are made
of, is given the columns."""

VERSION_KEY = b"eotasks:catalogue"
ROWS_OF_GROUP = 4096
HILBERT_BITS = 16

_EXTENT = ("xmin", "ymin", "xmax", "ymax")
_STAC_VERSION, _EXTENSIONS = "1.1.0", frozenset(EXTENSIONS.values())
"""Of items of ours."""

_ITEM = ("type", "stac_version", "stac_extensions", "id", "collection", "geometry", "bbox", "links", "assets")


@cache
def schema() -> pa.Schema:
    """Columns of a catalogue."""
    pa = package("pyarrow")
    text, real, whole = pa.string(), pa.float64(), pa.int64()
    moment, texts = pa.timestamp("us", tz="UTC"), pa.list_(pa.string())
    band = pa.struct([("name", text), ("common_name", text), ("center_wavelength", real)])
    raster = pa.struct([("nodata", real), ("data_type", text), ("scale", real), ("offset", real)])
    asset = pa.struct(
        [
            ("href", text), ("title", text), ("type", text), ("roles", texts), ("gsd", real),
            ("eo:bands", pa.list_(band)), ("raster:bands", pa.list_(raster)), ("proj:shape", pa.list_(whole)),
            ("proj:transform", pa.list_(real)),
        ]
    )  # fmt: skip
    link = pa.struct([("href", text), ("rel", text), ("type", text), ("title", text)])
    return pa.schema(
        [
            ("type", text), ("stac_version", text), ("stac_extensions", texts), ("id", text),
            ("geometry", pa.binary()), ("bbox", pa.struct([(name, real) for name in _EXTENT])),
            ("links", pa.list_(link)), ("assets", pa.struct([(key, asset) for key in asset_keys(BANDS)])),
            ("datetime", moment), ("platform", text), ("constellation", text), ("instruments", texts), ("gsd", real),
            ("eo:cloud_cover", real), ("proj:code", text), ("grid:code", text), ("sat:relative_orbit", whole),
            ("sat:orbit_state", text), ("view:sun_azimuth", real), ("view:sun_elevation", real),
            ("processing:level", text), ("s2:product_uri", text), ("s2:product_type", text),
            ("s2:processing_baseline", text), ("s2:datastrip_id", text), ("s2:generation_time", moment),
            ("earthsearch:boa_offset_applied", pa.bool_()), (MADE_OF, text),
        ]
    )  # fmt: skip


def table_of(items: Sequence[pystac.Item]) -> pa.Table:
    """Items as a table, in their order.

    :raises ImageryError: when an item has no place or time, or says something that the columns have no room for.
    """
    arrow = package("pyarrow")
    try:
        table: pa.Table = arrow.Table.from_pylist([_row(item) for item in items], schema=schema())
    except (arrow.ArrowInvalid, arrow.ArrowTypeError, UnicodeError) as error:
        raise ImageryError(
            f"STAC items cannot be kept in a catalogue ({reason_of(error)}): correct the field."
        ) from error
    return table


def items_of(table: pa.Table, where: str) -> list[pystac.Item]:
    """Rows as items, whoever wrote the file.

    :param where: For the message.
    :raises ImageryError: when a row is no STAC item.
    """
    item = package("pystac").Item
    try:
        items = [_parsed(item, _item(row)) for row in table.to_pylist()]
        for each in items:
            check_names(each)
    except MemoryError:
        raise
    except Exception as error:  # pystac and shapely raise whatever they stumble over in columns of others
        raise ImageryError(f"{where}: a row is no STAC item ({reason_of(error)}): write it again.") from error
    return items


def _parsed(kind: Any, content: dict[str, Any]) -> pystac.Item:
    """A dictionary as an item, which has it for its own. Items of ours are not brought up to date, which copies them
    whole and changes nothing.

    :param kind: ``pystac.Item``.
    """
    is_ours = content["stac_version"] == _STAC_VERSION and _EXTENSIONS.issuperset(content["stac_extensions"])
    item: pystac.Item = kind.from_dict(content, migrate=not is_ours, preserve_dict=False)
    return item


def pick_rows(
    source: str | bytes,
    metadata: Any,
    where: str,
    groups: Sequence[int] | None = None,
    rows: NDArray[np.int64] | None = None,
    *,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """Rows of a Parquet file, unpacked a few at a time; a value that is stored once may stand in a million of them.

    Columns of texts that may be repeated often are dictionaries in the answer.

    :param source: Its path, or its content.
    :param metadata: Its ``pyarrow.parquet.FileMetaData``.
    :param where: For the message.
    :param groups: Row groups; None for all.
    :param rows: Numbers of rows in these groups, in the order that they are wanted in; None for all.
    :param columns: Names of columns, or of their leaves; None for all.
    :raises ImageryError: when they are more than a catalogue has.
    """
    arrow, parquet = package("pyarrow"), package("pyarrow.parquet")
    with arrow.OSFile(source) if isinstance(source, str) else arrow.BufferReader(source) as file:
        if metadata.num_rows > CATALOGUE_ROWS.value:
            raise ImageryError(f"{where}: {CATALOGUE_ROWS.excess(metadata.num_rows)}. Make a smaller catalogue.")
        groups = range(metadata.num_row_groups) if groups is None else groups
        by_dictionary = columns_by_dictionary(source, where, groups=groups)
        reader = parquet.ParquetFile(file, metadata=metadata, read_dictionary=sorted(by_dictionary))
        order = None if rows is None else np.argsort(rows, kind="stable")
        wanted = None if rows is None else rows[order]
        parts, start, size = [], 0, 0
        batches = (
            reader.iter_batches(batch_size=ROWS_OF_GROUP, row_groups=[group], columns=columns) for group in groups
        )
        for batch in chain.from_iterable(batches):  # each group has dictionaries of its own
            part, count = arrow.Table.from_batches([batch]), batch.num_rows
            if wanted is not None:
                first, last = np.searchsorted(wanted, (start, start + count))
                part = part.take(wanted[first:last] - start)
            parts.append(part)
            start, size = start + count, size + part.nbytes + repeated_bytes(part, by_dictionary)
            if size > CATALOGUE_BYTES.value:
                raise ImageryError(
                    f"{where}: rows of {CATALOGUE_BYTES.excess()}. Search for fewer, or make a smaller one."
                )
        table = arrow.concat_tables(parts) if parts else reader.schema_arrow.empty_table()
    return table if order is None else table.take(np.argsort(order, kind="stable"))


def sorted_table(table: pa.Table) -> pa.Table:
    """Rows along a Hilbert curve of their places; those of one place by time, then by name."""
    if not table.num_rows:
        return table
    extent = [_numbers(table, name) for name in _EXTENT]
    place = hilbert((extent[0] + extent[2]) / 2, (extent[1] + extent[3]) / 2)
    names = np.array(table.column("id").to_pylist(), dtype=str)
    times = table.column("datetime").cast("int64").to_numpy()
    return table.take(np.lexsort((names, times, place)))


def to_parquet(table: pa.Table, *, rows_of_group: int | None = None) -> bytes:
    """A sorted catalogue as bytes of a GeoParquet file.

    :param rows_of_group: None: as files have it.
    """
    parquet = package("pyarrow.parquet")
    buffer = io.BytesIO()
    metadata = {b"geo": json.dumps(_geo(table)).encode(), b"stac-geoparquet": b'{"version": "1.0.0"}'}
    parquet.write_table(
        table.replace_schema_metadata({**metadata, VERSION_KEY: str(VERSION).encode()}),
        buffer,
        compression="zstd",
        row_group_size=rows_of_group or ROWS_OF_GROUP,
        store_schema=True,
    )
    return buffer.getvalue()


def from_parquet(data: bytes, where: str) -> pa.Table:
    """A catalogue that items can be added to.

    :param where: For the message.
    :raises ConfigurationError: when it is not ours, or of a newer version.
    :raises ImageryError: when it is no Parquet file.
    """
    arrow, parquet = package("pyarrow"), package("pyarrow.parquet")
    try:
        table = pick_rows(data, parquet.read_metadata(io.BytesIO(data)), where)
    except ImageryError:  # an OSError too
        raise
    except (arrow.ArrowInvalid, OSError) as error:
        raise ImageryError(
            f"{where} is no sound Parquet file ({reason_of(error)}): make the catalogue anew."
        ) from error
    return in_our_columns(table, where)


def in_our_columns(table: pa.Table, where: str) -> pa.Table:
    """Rows of a catalogue of ours, of this version or of an older one, with all columns that it has today.

    :param where: For the message.
    :raises ConfigurationError: when it is not ours, or of a newer version.
    """
    version = (table.schema.metadata or {}).get(VERSION_KEY)
    if version is None:
        raise ConfigurationError(
            f"{where} was not written by eotasks: it can be searched, not added to. Name another file."
        )
    if (whole_number(version.decode(errors="replace")) or VERSION + 1) > VERSION:
        raise ConfigurationError(
            f"{where}: version {version[:20].decode(errors='replace')}, this eotasks reads up to {VERSION}: upgrade it."
        )
    return _completed(table).select(schema().names).cast(schema())


def _completed(table: pa.Table) -> pa.Table:
    """With the columns and assets that files of older versions have not, or rows that were read have no value of."""
    arrow = package("pyarrow")
    for field in schema():
        if field.name not in table.column_names:
            table = table.append_column(field, arrow.nulls(table.num_rows, field.type))
    assets = table.column("assets").combine_chunks()
    return table.set_column(
        table.column_names.index("assets"), "assets", _of_type(assets, schema().field("assets").type)
    )


def _of_type(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    """An array as another type, of whose structures it may lack fields: casts of older Arrow do not add them."""
    arrow = package("pyarrow")
    if array.type == wanted:
        return array
    if not (arrow.types.is_struct(wanted) and arrow.types.is_struct(array.type)):
        return array.cast(wanted)
    there = {array.type.field(index).name for index in range(array.type.num_fields)}
    parts = [
        _of_type(array.field(field.name), field.type) if field.name in there else arrow.nulls(len(array), field.type)
        for field in wanted
    ]
    return arrow.StructArray.from_arrays(parts, names=[field.name for field in wanted], mask=array.is_null())


def hilbert(longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> NDArray[np.uint32]:
    """Position of places along a Hilbert curve over the world (Hamilton and Rau-Chaplin, 2008, in two dimensions)."""
    side = np.uint32(1 << HILBERT_BITS)
    x = _cell(longitude, -180.0, 360.0)
    y = _cell(latitude, -90.0, 180.0)
    position = np.zeros(x.shape, dtype=np.uint32)
    step = side >> np.uint32(1)
    while step:
        right = ((x & step) > 0).astype(np.uint32)
        upper = ((y & step) > 0).astype(np.uint32)
        position += step * step * ((np.uint32(3) * right) ^ upper)
        flip = (upper == 0) & (right == 1)
        x, y = np.where(flip, side - 1 - x, x), np.where(flip, side - 1 - y, y)
        x, y = np.where(upper == 0, y, x), np.where(upper == 0, x, y)
        step >>= np.uint32(1)
    return position


def _cell(values: NDArray[np.float64], low: float, span: float) -> NDArray[np.uint32]:
    cells = (values - low) / span * (1 << HILBERT_BITS)
    return np.clip(cells, 0, (1 << HILBERT_BITS) - 1).astype(np.uint32)


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    compute = package("pyarrow.compute")
    values: NDArray[np.float64] = compute.struct_field(table.column("bbox"), name).to_numpy()
    return values


def _row(item: pystac.Item) -> dict[str, Any]:
    if item.geometry is None or item.datetime is None:
        raise ImageryError(f"STAC item {item.id!r} has no place or no time: it cannot be found again.")
    check_addresses(item)
    fields = item.to_dict(include_self_link=False, transform_hrefs=False)
    geometry = footprints.from_geojson(item.geometry, f"STAC item {item.id!r}")
    properties = dict(fields.pop("properties"))
    row = {**fields, **properties, "datetime": item.datetime}
    if properties.get("s2:generation_time"):
        row["s2:generation_time"] = dt.datetime.fromisoformat(properties["s2:generation_time"])
    row["geometry"] = shapely.to_wkb(geometry)
    row["bbox"] = dict(zip(_EXTENT, geometry.bounds, strict=True))
    unknown = sorted(row.keys() - set(schema().names))
    strange = sorted(row["assets"].keys() - set(asset_keys(BANDS)))
    if unknown or strange:
        raise ImageryError(
            f"STAC item {item.id!r}: a catalogue has no column for {', '.join([*unknown, *strange])}. Add the product,"
            " not its item."
        )
    return row


def _item(row: Mapping[str, Any]) -> dict[str, Any]:
    geometry = footprints.from_wkb(row["geometry"], f"STAC item {row['id']!r}")
    extent = row.get("bbox")
    # Of the box, west and east are those of a map without an antimeridian, or whatever others write there.
    bounds = bounds_of(geometry) if extent is None or crosses(geometry) else [extent[name] for name in _EXTENT]
    fields = {key: plain(row[key]) for key in _ITEM if row.get(key) is not None and key not in ("geometry", "bbox")}
    return {
        "type": "Feature",
        "stac_version": _STAC_VERSION,
        "links": [],
        "stac_extensions": [],
        **fields,
        "geometry": json.loads(shapely.to_geojson(geometry)),
        "bbox": list(bounds),
        "properties": {key: plain(value) for key, value in row.items() if key not in _ITEM and value is not None},
    }


def _geo(table: pa.Table) -> dict[str, Any]:
    """The metadata of GeoParquet 1.1."""
    for chunk in table.column("geometry").chunks:
        check_column(chunk, "The catalogue: row")
    try:
        geometry = shapely.from_wkb(table.column("geometry").to_pylist())
    except shapely.errors.ShapelyError as error:
        raise ImageryError(f"A place of the catalogue is no polygon ({reason_of(error)}): make it anew.") from error
    if shapely.is_missing(geometry).any():
        raise ImageryError("An item of the catalogue has no place: make it anew.")
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": sorted({each.geom_type for each in geometry}),
        "covering": {"bbox": {name: ["bbox", name] for name in _EXTENT}},
    }
    if table.num_rows:
        column["bbox"] = [float(value) for value in shapely.total_bounds(geometry)]
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
