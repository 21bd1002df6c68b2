"""Inputs that change: they are noticed in every file that they are made of."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from eotasks.workflows.land_cover.claim import input_fingerprints


def fingerprint(path: Path) -> str:
    config: Any = SimpleNamespace(
        area=SimpleNamespace(file=None, patch_grid=None),
        reference=SimpleNamespace(path=str(path)),
        clouds=SimpleNamespace(found_by=None),
    )
    return input_fingerprints(config)["reference.path"]


@pytest.mark.parametrize(
    ("named", "other"),
    [("labels.shp", "labels.dbf"), ("labels.shp", "labels.prj"), ("LABELS.SHP", "labels.DBF"),
     ("labels.shp", "labels.cpg"),
     ("labels.tab", "labels.dat"), ("labels.mif", "labels.mid"), ("labels.tif", "labels.tif.aux.xml"),
     ("labels.tif", "labels.tfw"), ("labels.gml", "labels.xsd"), ("labels.gpkg", "labels.gpkg-wal"),
     ("labels.gdb", "labels.gdb/a00000009.gdbtable"), ("labels.gdb", "labels.gdb/below/table"),
     ("shapes", "shapes/a.dbf")],
)  # fmt: skip
def test_a_change_in_any_file_of_an_input_is_noticed(tmp_path: Path, named: str, other: str) -> None:
    """Of a shapefile the classes are in another file than the shapes."""
    path, beside = tmp_path / named, tmp_path / other
    if path.suffix in (".gdb", ""):
        path.mkdir()
    else:
        path.write_bytes(b"shapes")
    beside.parent.mkdir(exist_ok=True)
    beside.write_bytes(b"class 1")
    before = fingerprint(path)
    assert fingerprint(path) == before
    beside.write_bytes(b"class 2")
    assert fingerprint(path) != before
    beside.unlink()
    assert fingerprint(path) != before


@pytest.mark.parametrize(
    ("named", "other"),
    [("labels.shp", "labels.qix"), ("labels.shp", "labels2.dbf"), ("labels.shp", "labels"),
     ("labels.gpkg", "labels.dbf"),
     ("labels.geojson", "labels.tif"), ("labels.gpkg", "labels.gpkg-shm"), ("labels.gml", "labels.gfs")],
)  # fmt: skip
def test_what_belongs_to_no_input_changes_none(tmp_path: Path, named: str, other: str) -> None:
    path = tmp_path / named
    path.write_bytes(b"shapes")
    before = fingerprint(path)
    (tmp_path / other).write_bytes(b"made by who reads")
    assert fingerprint(path) == before
