"""Files of fields and lakes that lead elsewhere: to files of this machine, and to servers inside."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import shapely
from pyarrow import parquet

from eotasks.area import read_area
from eotasks.errors import EOTasksError
from eotasks.imagery.elevation import ElevationFile
from eotasks.reference.labels import check_vector_labels
from eotasks.water import read_outlines
from eotasks.zonal.polygons import read_polygons
from tests.hostile.canary import FILES, SERVERS, Canary

FORMS = (*FILES, *SERVERS)
FEW = FORMS[::9]
"""Where each takes some milliseconds."""
READERS: dict[str, Callable[[Path], Any]] = {
    "fields": read_polygons,
    "lakes": read_outlines,
    "area": lambda path: read_area(file=path),
    "labels": lambda path: check_vector_labels(path, column="class", classes=None, ignore_unmapped=True),
}


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Canary]:
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "2")  # of a GDAL that would ask it
    made = Canary(tmp_path)
    made.reached()
    yield made
    made.close()


def leads_nowhere(canary: Canary, attempt: Callable[[str], object], forms: tuple[str, ...] = FORMS) -> None:
    """Each form is refused by an error of ours, and reaches nothing."""
    wrong = {}
    for form in forms:
        try:
            attempt(canary.form(form))
            told = "was read"
        except EOTasksError as error:
            told = str(error)
        if canary.reached() or told == "was read":
            wrong[form] = told
    assert wrong == {}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("ending", ["geojson", "gpkg", "shp", "txt"])
def test_vector_files_that_name_another_one(canary: Canary, tmp_path: Path, reader: str, ending: str) -> None:
    """GDAL goes by the content of a file: one of its formats names another file or address, which it opened."""
    file = tmp_path / f"shapes.{ending}"

    def attempt(link: str) -> None:
        text = link.replace("&", "&amp;").replace("<", "&lt;").replace("\0", "")
        file.write_text(
            f"<OGRVRTDataSource><OGRVRTLayer name='a'><SrcDataSource>{text}</SrcDataSource></OGRVRTLayer>"
            "</OGRVRTDataSource>"
        )
        READERS[reader](file)

    leads_nowhere(canary, attempt)


_VRT = "<OGRVRTDataSource><OGRVRTLayer name='a'><SrcDataSource>{}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>"
_EMPTY = '"type": "FeatureCollection", "features": []'
DISGUISES = {
    "behind a declaration": ("kml", f'<?xml version="1.0"?>{_VRT}'),
    "behind a comment": ("shp", f"<!-- x -->{_VRT}"),
    "behind a letter": ("gml", f"x{_VRT}"),
    "in other letters": ("txt", _VRT.replace("OGRVRT", "ogrVRT")),
    "behind a brace": ("geojson", f"{{{{ {_VRT}"),
    "in a text of JSON": ("json", f'{{{{"note": "{_VRT}", {_EMPTY}}}}}'),
    "a recorded command": (
        "json",
        '{{"type": "gdal_streamed_alg", "command_line": "gdal vector pipeline ! read {} ! write --format=stream s"}}',
    ),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("disguise", DISGUISES)
def test_vector_files_that_name_another_one_in_disguise(
    canary: Canary, tmp_path: Path, reader: str, disguise: str
) -> None:
    ending, text = DISGUISES[disguise]
    file = tmp_path / f"shapes.{ending}"

    def attempt(link: str) -> None:
        file.write_text(text.format(link.replace("&", "&amp;").replace("<", "&lt;").replace("\0", "")))
        READERS[reader](file)

    leads_nowhere(canary, attempt, FEW)


def test_honest_files_of_any_head_are_read(tmp_path: Path) -> None:
    text = json.dumps(shapely.geometry.mapping(shapely.box(12, 52, 13, 53)))
    for name, begin in (("plain", ""), ("mark", "\ufeff"), ("blanks", " \n\t")):
        file = tmp_path / f"{name}.geojson"
        file.write_text(f'{begin}{{"type": "Feature", "properties": {{}}, "geometry": {text}}}')
        assert len(read_polygons(file)) == 1


@pytest.mark.parametrize("reader", ["fields", "lakes"])
def test_coordinate_systems_that_name_a_file(canary: Canary, tmp_path: Path, reader: str) -> None:
    file = tmp_path / "shapes.parquet"
    gpd.GeoDataFrame({"id": [1]}, geometry=[shapely.box(12, 52, 13, 53)], crs=4326).to_parquet(file)
    table = parquet.read_table(file)
    geo = json.loads(table.schema.metadata[b"geo"])

    def attempt(link: str) -> None:
        for system in (link, f"+init={link}:1", f"+proj=utm +zone=33 +nadgrids={link}"):
            geo["columns"]["geometry"]["crs"] = system
            parquet.write_table(table.replace_schema_metadata({b"geo": json.dumps(geo).encode()}), file)
            with pytest.raises(EOTasksError):
                READERS[reader](file)
        READERS[reader](file)

    leads_nowhere(canary, attempt, FEW)


def test_elevation_models_that_name_another_file(canary: Canary, tmp_path: Path) -> None:
    """A DEM is a GeoTIFF and nothing else, whatever its name."""
    file = tmp_path / "dem.tif"

    def attempt(link: str) -> None:
        text = link.replace("&", "&amp;").replace("<", "&lt;")
        file.write_text(
            "<VRTDataset rasterXSize='9' rasterYSize='9'><VRTRasterBand dataType='Int16' band='1'><SimpleSource>"
            f"<SourceFilename>{text}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
        )
        ElevationFile(file).check()

    leads_nowhere(canary, attempt)
