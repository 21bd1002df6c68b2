"""Rasters that are given by names which say no format: GDAL knows many that name other files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from eotasks.errors import ReferenceDataError
from eotasks.reference.labels import LabelGrid, read_raster_labels

GRID = LabelGrid("EPSG:32633", (300_000, 5_800_000, 300_030, 5_800_020), (2, 3))
VRT = """<VRTDataset rasterXSize="3" rasterYSize="2"><SRS>EPSG:32633</SRS>
<GeoTransform>300000, 10, 0, 5800020, 0, -10</GeoTransform><VRTRasterBand dataType="Byte" band="1"><SimpleSource>
<SourceFilename relativeToVRT="1">labels.tif</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"""
MRF = """<MRF_META><Raster><Size x="3" y="2" c="1"/><PageSize x="3" y="2" c="1"/>
<DataFile>labels.tif</DataFile></Raster></MRF_META>"""


def write(path: Path, driver: str) -> None:
    georeference = {"crs": "EPSG:32633", "transform": Affine(10, 0, 300_000, 0, -10, 5_800_020)}
    with rasterio.open(path, "w", driver=driver, width=3, height=2, count=1, dtype="uint8", **georeference) as raster:
        raster.write(np.arange(1, 7, dtype=np.uint8).reshape(1, 2, 3))


@pytest.mark.parametrize(("name", "driver"), [("labels", "GTiff"), ("labels.dat", "ENVI"), ("labels.bil", "EHdr")])
def test_plain_files(name: str, driver: str, tmp_path: Path) -> None:
    write(tmp_path / name, driver)
    assert read_raster_labels(tmp_path / name, GRID).tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("name", ["labels", "labels.dat", "labels.tif.bak"])
@pytest.mark.parametrize("text", [VRT, MRF, "not a raster"], ids=["VRT", "MRF", "text"])
def test_what_names_other_files(text: str, name: str, tmp_path: Path) -> None:
    write(tmp_path / "labels.tif", "GTiff")
    (tmp_path / name).write_text(text)
    with pytest.raises(ReferenceDataError, match="of none of the formats GTiff, JP2OpenJPEG"):
        read_raster_labels(tmp_path / name, GRID)


def test_a_description_by_its_name(tmp_path: Path) -> None:
    write(tmp_path / "labels.tif", "GTiff")
    (tmp_path / "labels.vrt").write_text(VRT)
    assert read_raster_labels(tmp_path / "labels.vrt", GRID).tolist() == [[1, 2, 3], [4, 5, 6]]


GRIDS = (
    'GEOGCS["a",DATUM["b",SPHEROID["c",6378137,298],EXTENSION["PROJ4_GRIDS","/tmp/a.gsb"]],PRIMEM["d",0],'
    'UNIT["degree",0.017453]]'
)


@pytest.mark.parametrize("ending", [".tif.ovr", ".tif.OVR", ".tif.msk", ".aux", ".tif.aux"])
def test_overviews_and_masks_of_other_formats(ending: str, tmp_path: Path) -> None:
    write(tmp_path / "labels.tif", "GTiff")
    (tmp_path / f"labels{ending}").write_text(VRT)
    with pytest.raises(ReferenceDataError, match="it is no TIFF, and could name other files"):
        read_raster_labels(tmp_path / "labels.tif", GRID)


@pytest.mark.parametrize(
    ("name", "driver", "beside", "content"),
    [
        ("labels.bil", "EHdr", "labels.prj", GRIDS),
        ("labels.dat", "ENVI", "labels.hdr", f"coordinate system string = {{\n{GRIDS}}}\n"),
        ("labels.tif", "GTiff", "labels.tif.aux.xml", f"<PAMDataset><SRS>{GRIDS}</SRS></PAMDataset>"),
        ("labels.tif", "GTiff", "labels.tif.ovr.aux.xml", f"<PAMDataset><SRS>{GRIDS}</SRS></PAMDataset>"),
    ],
)
def test_systems_beside(
    name: str, driver: str, beside: str, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / name, driver)
    (tmp_path / beside).write_text(content)
    monkeypatch.setattr("eotasks.imagery.files.gdal.open_by_name", None)  # GDAL is not even asked
    with pytest.raises(ReferenceDataError, match=r"names grids"):
        read_raster_labels(tmp_path / name, GRID)


@pytest.mark.parametrize(("name", "driver"), [("labels.tif", "GTiff"), ("labels.dat", "ENVI"), ("labels.img", "HFA")])
def test_overviews_as_gdal_writes_them(name: str, driver: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write(path, driver)
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as raster:
        raster.build_overviews([2])
    assert (tmp_path / f"{name}.ovr").exists() or driver == "HFA"
    (tmp_path / "labels.prj").write_text(GRIDS if driver == "GTiff" else "")  # which is of another file
    assert read_raster_labels(path, GRID).tolist() == [[1, 2, 3], [4, 5, 6]]


def test_relative_names_that_begin_as_a_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "GTIFF_DIR:1:labels.tif", "GTiff")
    assert read_raster_labels("GTIFF_DIR:1:labels.tif", GRID).tolist() == [[1, 2, 3], [4, 5, 6]]
