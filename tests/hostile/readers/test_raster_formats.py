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
