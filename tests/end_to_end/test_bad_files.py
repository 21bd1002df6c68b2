"""Files and places that a command cannot work with: each is told in one line (what, where, cure), before any work."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.builders.command_line import command, snapshot

SQUARE = [[14.0, 46.0], [14.01, 46.0], [14.01, 46.01], [14.0, 46.01], [14.0, 46.0]]
IN_METRES = [[x * 100_000, y * 100_000] for x, y in SQUARE]
NOT_FINITE = [[14.0, 46.0], [float("nan"), 46.0], [14.0, 47.0], [14.0, 46.0]]


def features(*geometries: dict[str, Any] | None, ids: Iterable[object] = (1, 2, 3)) -> bytes:
    """A FeatureCollection."""
    found = [
        {"type": "Feature", "properties": {"id": each, "name": "a"}, "geometry": geometry}
        for geometry, each in zip(geometries, ids, strict=False)
    ]
    return json.dumps({"type": "FeatureCollection", "features": found}).encode()


def polygon(ring: list[list[float]]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [ring]}


FILES: dict[str, bytes] = {
    "fields.geojson": features(polygon(SQUARE)),
    "empty.geojson": features(),
    "points.geojson": features({"type": "Point", "coordinates": [14.0, 46.0]}),
    "lines.geojson": features({"type": "LineString", "coordinates": SQUARE[:3]}),
    "metres.geojson": features(polygon(IN_METRES)),
    "infinite.geojson": features(polygon(NOT_FINITE)),
    "twice.geojson": features(polygon(SQUARE), polygon(SQUARE), ids=(1, 1)),
    "without_id.geojson": features(polygon(SQUARE), polygon(SQUARE), ids=(1, None)),
    "cut.geojson": features(polygon(SQUARE))[:60],
    "page.geojson": b"<html><body>404 Not Found</body></html>",
    "nothing.geojson": b"",
    "fields.xlsx": b"PK\x03\x04 a table",
    "fields.csv": b"id,wkt\n1,POINT(1 1)\n",
    "dem.tif": b"II*\0 cut short",
    "products.parquet": b"PAR1 cut PAR1",
    "clients.json": b"{",
    "latin.toml": '[source]\nkind = "sample"\n# caf\xe9\n'.encode("latin-1"),
    "notepad.toml": '\ufeff[source]\nkind = "simple"\n'.encode(),
    "picture.toml": b"\x89PNG\r\n\x1a\n",
    "colon.toml": b"[source]\nkind: sample\n",
    "notes/readme.txt": b"no product",
}

FIELDS = "zonal-stats {} --simulated"

CASES: dict[str, tuple[str, list[str]]] = {
    "fields: no polygon": (FIELDS.format("empty.geojson"), ["empty.geojson", "no polygon", "at least one"]),
    "fields: points": (FIELDS.format("points.geojson"), ["none has an area", "points and lines"]),
    "fields: lines": (FIELDS.format("lines.geojson"), ["none has an area", "points and lines"]),
    "fields: metres called degrees": (FIELDS.format("metres.geojson"), ["no place on Earth", "--crs"]),
    "fields: not finite": (FIELDS.format("infinite.geojson"), ["infinite.geojson", "check its coordinates"]),
    "fields: an id twice": (FIELDS.format("twice.geojson --id id"), ["several polygons (1)", "another column"]),
    "fields: an id that lacks": (FIELDS.format("without_id.geojson --id id"), ["1 of 2 polygons have no id"]),
    "fields: cut short": (FIELDS.format("cut.geojson"), ["cut.geojson", "cannot be read as a vector file"]),
    "fields: a page of a server": (FIELDS.format("page.geojson"), ["page.geojson", "does not begin as geojson"]),
    "fields: an empty file": (FIELDS.format("nothing.geojson"), ["nothing.geojson", "does not begin as geojson"]),
    "fields: a table of Excel": (FIELDS.format("fields.xlsx"), ["fields.xlsx", "GeoPackage or GeoJSON"]),
    "fields: a table of text": (FIELDS.format("fields.csv"), ["fields.csv", ".csv", "give GeoPackage or GeoJSON"]),
    "fields: column": (FIELDS.format("fields.geojson --id label"), ["no column 'label'", "id, name"]),
    "fields: layer": (FIELDS.format("fields.geojson --layer x"), ["no layer 'x'", "fields"]),
    "fields: percentiles": (FIELDS.format("fields.geojson --percentiles 5,105"), ["105", "from 0 to 100"]),
    "fields: index": (FIELDS.format("fields.geojson --index NVDI"), ["mean 'NDVI'"]),
    "fields: two sources": (FIELDS.format("fields.geojson --products notes"), ["several sources"]),
    "fields: no source": ("zonal-stats fields.geojson", ["no source", "--products"]),
    "fields: results into a file": (FIELDS.format("fields.geojson --out dem.tif"), ["dem.tif is a file", "a folder"]),
    "lakes: points": ("water-level points.geojson --simulated", ["None of the 1 outlines has an area", "polygons"]),
    "lakes: no outline": ("water-level empty.geojson --simulated", ["has no feature", "at least one outline"]),
    "lakes: share in per cent": ("water-level fields.geojson --simulated --max-cloud 50", ["50.0 is no share"]),
    "lakes: end before the beginning": (
        "water-level fields.geojson --simulated --start 2021-01-01 --end 2020-01-01", ["lies before", "exchange"],
    ),
    "lakes: heights cut short": (
        "water-level fields.geojson --products notes --elevation dem.tif", ["dem.tif", "elevation model as a GeoTIFF"],
    ),
    "archive: nothing there": ("archive build gone --out o", ["gone: nothing is there", "folder of products"]),
    "archive: no product": ("archive build notes --out o", ["no product below notes", "catalogue"]),
    "archive: a catalogue cut short": ("archive build products.parquet --out o", ["products.parquet", "catalogue add"]),
    "archive: a day that there is not": (
        "archive build notes --out o --time 2024-02-30/2024-03-01", ["'2024-02-30' is no time", "write"],
    ),
    "archive: south above north": ("archive build notes --out o --bbox 12 53 13 52", ["south is greater", "exchange"]),
    "archive: no place": ("archive build notes", ["--out PLACE"]),
    "archive: another folder": ("archive verify notes", ["is no archive", "eotasks archive build"]),
    "service: no products": ("serve", ["has no products", "--catalogue FILE", "--demo"]),
    "service: a file that is no catalogue": ("serve --catalogue fields.geojson --open", ["a file", "Give a folder"]),
    "service: port": ("serve --demo --port 99999", ["port", "65535"]),
    "service: open to everybody": ("serve --demo --open --host 0.0.0.0", ["0.0.0.0", "add-client NAME"]),
    "service: clients cut short": ("serve --catalogue notes --clients clients.json", ["clients.json"]),
    "labels: no scene": ("evaluate-clouds notes", ["no labelled scene", "bands.tif and label.tif"]),
    "labels: a set that is not known": ("evaluate-clouds --labels foo:notes", ["'foo' is unknown", "cloudsen12"]),
    "masks: no product": ("cloud-mask notes", ["no product of Sentinel-2", ".SAFE"]),
    "masks: an image": ("cloud-mask dem.tif", ["neither a folder nor a zip"]),
    "masks: a variable that is not set": ("cloud-mask ''", ["PRODUCT is empty", "give its place"]),
    "masks: a radius that is no number": ("cloud-mask --dilation wide", ["--dilation", "'wide' is no number"]),
    "masks: a probability in per cent": ("cloud-mask --threshold 40", ["40.0 is no probability", "0 to 1"]),
    "catalogue: tile": ("catalogue search --catalogue products.parquet --tile 33", ["no tile", "33UUU"]),
    "catalogue: cloud cover in per cent": (
        "catalogue search --catalogue products.parquet --max-cloud-cover 30", ["share from 0 to 1"],
    ),
    "configuration: another encoding": ("land-cover --config latin.toml", ["latin.toml", "save it as UTF-8"]),
    "configuration: a picture": ("land-cover --config picture.toml", ["picture.toml", "no UTF-8 text"]),
    "configuration: a colon": ("land-cover --config colon.toml", ["colon.toml", "line 2"]),
    "configuration: saved by Notepad": ("land-cover --config notepad.toml", ["'simple'", "mean 'sample'"]),
    "configuration: a folder": ("land-cover --config notes", ["'notes' cannot be read", "check the path"]),
    "template: before Sentinel-2": ("new-config land-cover --area fields.geojson --year 1999", ["1999", "since 2015"]),
    "template: metres called degrees": ("new-config land-cover --area metres.geojson", ["no place on Earth", "crs"]),
    "batch: a file": ("status dem.tif", ["dem.tif", "Give a folder"]),
    "saved patches: a file": ("clean dem.tif", ["dem.tif is a file", "folder of EOPatches"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_command(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line, words = CASES[case]
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    before = snapshot(tmp_path)
    result = command(*("" if word == "''" else word for word in line.split()))
    message = " ".join(result.err.split())
    assert (result.code, result.out) == (2, ""), message
    assert [word for word in words if word not in message] == [], message
    assert "Traceback" not in message
    assert snapshot(tmp_path) == before
