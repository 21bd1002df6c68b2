"""Catalogues: answers of STAC APIs and GeoParquet files; areas and labels as vector files and rasters."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import requests
import shapely
from rich.console import Console
from shapely.geometry import box

from eotasks.area import read_area, read_patch_grid, split_area
from eotasks.catalogue import Catalogue, StacApi
from eotasks.catalogue.table import table_of
from eotasks.errors import EOTasksError
from eotasks.reference.labels import (
    LabelGrid,
    check_vector_labels,
    class_ids,
    rasterize_polygons,
    read_polygons,
    read_raster_labels,
)
from eotasks.sources.frames import Candidate
from eotasks.workflows.catalogue.command import info_text, items_table
from tests.benchmarks.hostile.format import Format, Read
from tests.builders.products import LEFT, TOP, write_cog
from tests.builders.stac_items import make_item

_URL = "https://api.example"
_AREA = {"type": "Polygon", "coordinates": [[[12, 52], [13, 52], [13, 53], [12, 53], [12, 52]]]}
_TOKENS = (b"PAR1", b"ARROW:schema", b"geo", b"WKB", b"NaN", b"1e400", b"null", b"[", b"{", b"\\ud800", b"\xff" * 8)


def _answers(landing: bool) -> Callable[[Path], tuple[Sequence[bytes], Read]]:
    """What a server says, as its landing page or as a page of items."""

    def prepare(folder: Path) -> tuple[Sequence[bytes], Read]:
        search = {"rel": "search", "type": "application/geo+json", "href": f"{_URL}/search", "method": "POST"}
        page: dict[str, Any] = {
            "type": "Catalog", "stac_version": "1.0.0", "id": "test", "description": "for tests",
            "conformsTo": [f"https://api.stacspec.org/v1.0.0/{part}" for part in ("core", "item-search")],
            "links": [search, {"rel": "self", "href": _URL}, {"rel": "root", "href": _URL}],
        }  # fmt: skip
        items = [make_item(name, time=f"2024-05-0{day}T10:00:00").to_dict() for name, day in (("a", 1), ("b", 2))]
        for item in items:
            item["collection"] = "sentinel-2-l1c"
            item["assets"] = {"B02": {"href": "https://data.example/B02.tif", "type": "image/tiff"}}
        found = {"type": "FeatureCollection", "features": items, "links": []}
        sound = [json.dumps(page).encode(), json.dumps(found).encode()]
        given = list(sound)
        asked = [0]

        def send(self: Any, request: requests.PreparedRequest, **_: object) -> requests.Response:
            asked[0] += 1
            if asked[0] > 50:
                raise AssertionError("asks for ever")
            answer = requests.Response()
            answer.status_code, answer.url, answer.request = 200, str(request.url), request
            answer.headers["Content-Type"] = "application/json"
            answer.raw = io.BytesIO(given["search" in str(request.url)])
            answer.encoding = "utf-8"
            return answer

        requests.adapters.HTTPAdapter.send = send  # type: ignore[assignment]

        def read(content: bytes) -> object:
            given[:] = [content, sound[1]] if landing else [sound[0], content]
            asked[0] = 0
            api = StacApi(_URL)
            found = api.search(
                bbox=(12, 52, 13, 53), time_interval=("2024-01-01", "2024-12-31"), max_cloud_cover=0.9, level="L1C",
                tile="33UUU",
            )  # fmt: skip
            found += api.search(limit=5)
            return [_used(item) for item in found]

        return sound[:1] if landing else sound[1:], read

    return prepare


def _used(item: Any) -> object:
    """What searches and series make of an item that was accepted."""
    _console().print(items_table([item]))
    candidate = Candidate.of_item(item)
    with contextlib.suppress(EOTasksError):
        candidate.open()
    with contextlib.suppress(EOTasksError):
        table_of([item])
    return candidate


def _console() -> Console:
    return Console(file=io.StringIO())


def _parquet(folder: Path) -> tuple[Sequence[bytes], Read]:
    made = Catalogue(folder / "made.parquet")
    made.add(
        make_item(f"S2A_{number}", box(10 + number, 50, 11 + number, 51), cloud=float(number)) for number in range(6)
    )
    sample = Path(made.location).read_bytes()
    item = make_item("new")
    count = [0]

    def read(content: bytes) -> object:
        path = folder / f"{count[0]}.parquet"
        count[0] += 1
        path.write_bytes(content)
        try:
            catalogue = Catalogue(path)
            found = catalogue.search(bbox=(10, 49, 14, 52), max_cloud_cover=0.5, level="L1C", tile="33UUU")
            found += catalogue.search(intersects=_AREA, time_interval=("2024-01-01", None))
            _console().print(items_table(found))
            info_text(catalogue, catalogue.summary())
            return catalogue.add([item])
        finally:
            path.unlink(missing_ok=True)

    return [sample], read


def _rows(folder: Path) -> tuple[Sequence[bytes], Read]:
    """A sound Parquet file whose rows say nonsense: items as JSON, written with our columns."""
    import pyarrow as pa
    from pyarrow import parquet

    table = table_of([make_item("a"), make_item("b")])
    rows = [
        {**row, "geometry": row["geometry"].hex(), "datetime": row["datetime"].isoformat()} for row in table.to_pylist()
    ]
    count = [0]

    def read(content: bytes) -> object:
        path = folder / f"{count[0]}.parquet"
        count[0] += 1
        try:
            given = json.loads(content)
            for row in given:
                with contextlib.suppress(ValueError, TypeError, KeyError):
                    row["geometry"] = bytes.fromhex(row["geometry"])
            parquet.write_table(pa.Table.from_pylist(given), path)
        except Exception:  # noqa: BLE001  # no table can be made of it: not our reader's affair
            return None
        try:
            catalogue = Catalogue(path)
            found = catalogue.search(bbox=(10, 49, 14, 52), max_cloud_cover=0.5, level="L1C", tile="33UUU")
            found += catalogue.search()
            info_text(catalogue, catalogue.summary())
            return [_used(item) for item in found]
        finally:
            path.unlink(missing_ok=True)

    return [json.dumps(rows).encode()], read


def _geojson() -> dict[str, Any]:
    def feature(number: int) -> dict[str, Any]:
        left, low = 300_000 + number * 1000, 5_800_000
        ring = [[left, low], [left + 1000, low], [left + 1000, low + 1000], [left, low + 1000], [left, low]]
        fields = {"name": f"patch_{number}", "row": 0, "column": number, "class": number + 1, "kind": "forest"}
        return {"type": "Feature", "properties": fields, "geometry": {"type": "Polygon", "coordinates": [ring]}}

    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    return {"type": "FeatureCollection", "crs": crs, "features": [feature(0), feature(1)]}


def _areas(folder: Path) -> tuple[Sequence[bytes], Read]:
    file = folder / "area.geojson"

    def read(content: bytes) -> object:
        file.write_bytes(content)
        with contextlib.suppress(EOTasksError):
            read_patch_grid(file, 10)
        area = read_area(file=file, buffer=10)
        if area.crs.ogc_string() != "EPSG:32633" or not area.geometry.area < 1e8:
            return None  # a million patches are no fault of the reader
        return split_area(area, patch_size=1000, resolution=10)

    return [json.dumps(_geojson()).encode()], read


def _area_packages(folder: Path) -> tuple[Sequence[bytes], Read]:
    """The same as a GeoPackage, whose bytes are spoiled."""
    made, file = folder / "made.gpkg", folder / "area.gpkg"
    gpd.GeoDataFrame({"name": ["a"]}, geometry=[box(300_000, 5_800_000, 301_000, 5_801_000)], crs=32633).to_file(made)

    def read(content: bytes) -> object:
        file.write_bytes(content)
        for beside in folder.glob("area.gpkg-*"):
            beside.unlink()
        with contextlib.suppress(EOTasksError):
            read_patch_grid(file, 10)
        return read_area(file=file)

    return [made.read_bytes()], read


_GRID = LabelGrid("EPSG:32633", (300_000, 5_800_000, 302_000, 5_801_000), (100, 200))


def _labels(folder: Path) -> tuple[Sequence[bytes], Read]:
    file = folder / "labels.geojson"

    def read(content: bytes) -> object:
        file.write_bytes(content)
        check_vector_labels(file, column="kind", classes={"forest": 1}, ignore_unmapped=True)
        frame = read_polygons(file, _GRID, column="class")
        ids = class_ids(frame["class"], None, "labels")
        return rasterize_polygons(frame, ids, _GRID)

    return [json.dumps(_geojson()).encode()], read


def _label_rasters(folder: Path) -> tuple[Sequence[bytes], Read]:
    made, file = folder / "made.tif", folder / "labels.tif"
    write_cog(made, np.arange(4096, dtype=np.uint8).reshape(64, 64) % 7, 10)
    grid = LabelGrid("EPSG:32633", (LEFT, TOP - 640, LEFT + 640, TOP), (64, 64))

    def read(content: bytes) -> object:
        file.write_bytes(content)
        return read_raster_labels(file, grid)

    return [made.read_bytes()], read


def _geometries(folder: Path) -> tuple[Sequence[bytes], Read]:
    """GeoJSON that a search is given."""
    catalogue = Catalogue(folder / "made.parquet")
    catalogue.add([make_item("a")])

    def read(content: bytes) -> object:
        try:
            area = json.loads(content)
        except (ValueError, RecursionError):
            return None
        return catalogue.search(intersects=area)

    return [json.dumps(shapely.geometry.mapping(box(12, 52, 13, 53))).encode(), json.dumps(_AREA).encode()], read


FORMATS = (
    Format("api-landing", "json", _answers(landing=True), _TOKENS[4:], online=True),
    Format("api-items", "json", _answers(landing=False), _TOKENS[4:], online=True),
    Format("parquet", "bytes", _parquet, _TOKENS, head=8000),
    Format("parquet-rows", "json", _rows, _TOKENS[4:]),
    Format("search-area", "json", _geometries, _TOKENS[4:]),
    Format("area", "json", _areas, _TOKENS[4:]),
    Format("area-package", "bytes", _area_packages, (b"SQLite format 3", b"GPKG", b"gpkg_contents"), head=4096),
    Format("labels", "json", _labels, _TOKENS[4:]),
    Format("label-raster", "bytes", _label_rasters, (b"II*\0", b"MM\0*", b"GDAL_STRUCTURAL"), head=1500),
)
