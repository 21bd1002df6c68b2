"""Coordinate systems of others: PROJ opens what they name, so it never sees one that names a file.

Nothing here proves it by what PROJ does: whoever gets a text that should have been refused ends the test.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyproj
import pytest
import rasterio
import xarray
from pyproj import CRS
from rioxarray.rioxarray import XRasterBase

from eotasks.errors import EOTasksError, GridError, ImageryError
from eotasks.geometry.descriptions import check_description, system_of
from eotasks.geometry.systems import is_wgs84
from eotasks.geometry.vector_head import check_info
from eotasks.imagery.files.gdal import open_raster
from eotasks.xarray.grid import ground_of
from tests.builders.geometry.systems import FILE, HONEST, PROJJSON, TEXTS, UTM, WKT, bound, reached


@pytest.fixture
def no_proj(monkeypatch: pytest.MonkeyPatch) -> None:
    """PROJ and GDAL get nothing."""
    for name in [each for each in dir(CRS) if each.startswith("from_")]:
        monkeypatch.setattr(pyproj.CRS, name, reached)
    monkeypatch.setattr(pyproj.CRS, "__init__", reached)
    for name in ("read_info", "list_layers", "read_dataframe"):
        monkeypatch.setattr(pyogrio, name, reached)


@pytest.mark.usefixtures("no_proj")
@pytest.mark.parametrize(("given", "named"), PROJJSON.values(), ids=PROJJSON)
def test_projjson_that_names_files(given: Any, named: str) -> None:
    with pytest.raises(ValueError, match="its coordinate system") as refusal:
        system_of(given)
    assert named in str(refusal.value)
    with pytest.raises(ValueError, match="its coordinate system"):
        system_of(json.dumps(given))


@pytest.mark.usefixtures("no_proj")
@pytest.mark.parametrize(("given", "named"), WKT.values(), ids=WKT)
def test_wkt_that_names_files(given: str, named: str) -> None:
    with pytest.raises(ValueError, match="its coordinate system") as refusal:
        system_of(given)
    assert named in str(refusal.value)


@pytest.mark.usefixtures("no_proj")
@pytest.mark.parametrize("given", TEXTS.values(), ids=TEXTS)
def test_texts_that_name_files(given: str) -> None:
    with pytest.raises(ValueError, match="its coordinate system"):
        system_of(given)


def test_grids_of_a_bound_system_are_left_out() -> None:
    assert system_of(bound(UTM)) == CRS.from_json_dict(UTM)


@pytest.mark.parametrize("system", HONEST.values(), ids=HONEST)
def test_honest_systems(system: CRS) -> None:
    for form in (system.to_json_dict(), system.to_json(), system.to_wkt()):
        assert system_of(form) == CRS.from_user_input(form)
    for version in ("WKT1_GDAL", "WKT1_ESRI"):
        try:
            older = system.to_wkt(version)
        except pyproj.exceptions.CRSError:  # as that of a rotated pole
            continue
        if older:
            check_description(older)


@pytest.mark.parametrize("given", ["EPSG:4326", "urn:ogc:def:crs:OGC:1.3:CRS84", "+proj=utm +zone=33 +datum=WGS84"])
def test_honest_texts(given: str) -> None:
    assert system_of(given) == CRS(given)


def test_mercator_on_a_sphere_has_a_grid_that_is_none() -> None:
    given = "+proj=merc +a=6378137 +b=6378137 +nadgrids=@null +wktext"
    for text in (rasterio.CRS.from_proj4(given).to_wkt(), CRS(given).to_wkt(), given):
        assert "@null" in text
        check_description(text)
        with pytest.raises(ValueError, match="its coordinate system"):
            check_description(text.replace("@null", f"@null,{FILE}"))


def test_names_in_the_web_of_the_ogc() -> None:
    check_description("http://www.opengis.net/def/crs/OGC/1.3/CRS84")
    assert is_wgs84(system_of("OGC:CRS84"))


def test_what_gdal_made_of_a_system() -> None:
    with pytest.raises(ValueError, match="PROJ4_GRIDS"):
        check_info({"crs": WKT["grids of a datum"][0]})
    check_info({"crs": None})


@pytest.mark.parametrize("name", ["spatial_ref", "crs_wkt", "geoid_name", "crs"])
def test_attributes_of_a_dataset(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"PROJ {FILE}" if name == "geoid_name" else f"+proj=longlat +nadgrids={FILE}"
    dataset = xarray.Dataset({"a": (("y", "x"), np.zeros((2, 2)))}, attrs={"crs": text} if name == "crs" else {})
    if name != "crs":
        dataset = dataset.assign_coords(spatial_ref=xarray.DataArray(0, attrs={name: text}))
    monkeypatch.setattr(XRasterBase, "crs", property(reached))
    with pytest.raises(GridError, match="its coordinate system"):
        ground_of(dataset)


def test_another_text_of_a_dataset_than_that_of_its_system() -> None:
    corners = {"y": [15.0, 5.0], "x": [5.0, 15.0]}
    dataset = xarray.Dataset({"a": (("y", "x"), np.zeros((2, 2)))}, corners).rio.write_crs("EPSG:32633")
    assert ground_of(dataset.assign_attrs(crs="WGS 84 / UTM zone 33N")).bbox.crs.epsg == 32633


def test_rasters(tmp_path: Path) -> None:
    path = tmp_path / "labels.vrt"
    path.write_text(
        f'<VRTDataset rasterXSize="2" rasterYSize="2"><SRS>{in_xml(WKT["string of PROJ"][0])}</SRS>'
        "<GeoTransform>0,1,0,0,0,-1</GeoTransform>"
        '<VRTRasterBand dataType="Byte" band="1"/></VRTDataset>'
    )
    with pytest.raises(ImageryError, match="nadgrids") as refusal, open_raster(path, "The labels"):
        pytest.fail("it was opened")
    assert isinstance(refusal.value, EOTasksError)


SIDECARS = {
    "system": "<PAMDataset><SRS>{}</SRS></PAMDataset>",
    "system in small letters": "<PAMDataset><srs>{}</srs></PAMDataset>",
    "points": '<PAMDataset><GCPList Projection="{}"/></PAMDataset>',
    "ESRI's": '<PAMDataset><Metadata domain="xml:ESRI" format="xml"><GeodataXform><SpatialReference><WKT>{}</WKT>'
    "</SpatialReference></GeodataXform></Metadata></PAMDataset>",
    "no XML": "<PAMDataset><SRS>{}",
}


@pytest.mark.parametrize("form", SIDECARS.values(), ids=SIDECARS)
def test_files_beside_rasters(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "labels.tif"
    profile = {"driver": "GTiff", "width": 2, "height": 2, "count": 1, "dtype": "uint8", "crs": 32633}
    with rasterio.open(path, "w", **profile, transform=rasterio.Affine(1, 0, 0, 0, -1, 2)):
        pass
    sidecar = tmp_path / "labels.tif.aux.xml"
    if form.endswith("</PAMDataset>"):
        sidecar.write_text(form.format(in_xml(HONEST["WebMercator"].to_wkt("WKT1_GDAL"))))
        with open_raster(path, "The labels"):
            pass
    sidecar.write_text(form.format(in_xml(WKT["grids of a datum"][0])))
    monkeypatch.setattr(rasterio, "open", reached)
    with pytest.raises(ImageryError, match=r"aux\.xml"), open_raster(path, "The labels"):
        pass


def in_xml(text: str) -> str:
    return text.replace('"', "&quot;")
