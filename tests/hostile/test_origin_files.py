"""Files of products and EOPatches that name or are other files: links, sidecars, drivers, overviews elsewhere."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from eotasks.eopatches.load import eopatch_info, load_eopatch
from eotasks.errors import EOTasksError, ImageryError, ReferenceDataError, StorageError
from eotasks.imagery.files.folder import FolderFiles
from eotasks.imagery.files.protocol import RasterFile
from eotasks.imagery.grid import Grid
from eotasks.imagery.pixels.raster import describe, read_window
from eotasks.imagery.products.open import describe_product
from eotasks.reference.labels import LabelGrid, read_raster_labels
from eotasks.storage.place import Place
from tests.builders.eopatches import make_eopatch
from tests.builders.layouts import PRODUCT_XML, small_safe

NAME = "eopatch_00"
TRANSFORM = Affine(10, 0, 300_000, 0, -10, 5_900_000)
GRID = Grid("EPSG:32633", 300_000, 5_900_000, 10, 32, 32)


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_safe(tmp_path_factory.mktemp("safe"))


def write(path: Path, value: int = 1, **tags: str) -> Path:
    profile = {"crs": "EPSG:32633", "transform": TRANSFORM, "width": 32, "height": 32, "count": 1, "dtype": "uint16"}
    driver = "JP2OpenJPEG" if path.suffix == ".jp2" else "GTiff"
    options = {"WRITE_METADATA": "YES"} if tags and driver != "GTiff" else {}
    with rasterio.open(path, "w", driver=driver, **profile, **options) as written:
        written.write(np.full((32, 32), value, np.uint16), 1)
        if tags:
            written.update_tags(ns="OVERVIEWS", **tags)
    return path


def read(path: Path) -> np.ndarray:
    files, raster = FolderFiles(path.parent), RasterFile(path.name, "JP2OpenJPEG" if path.suffix == ".jp2" else "GTiff")
    info = describe(files, raster)
    found = [read_window(files, raster, info, level, GRID) for level in info.levels]
    return np.concatenate([pixels.values.ravel() for pixels in found if pixels is not None])


@pytest.mark.parametrize("what", ["file", "folder", "relative", "chain"])
def test_links_that_lead_out_of_a_product(safe: Path, tmp_path: Path, what: str) -> None:
    product = shutil.copytree(safe, tmp_path / safe.name)
    outside = tmp_path / "outside"
    if what == "folder":
        shutil.move(product / "GRANULE", outside)
        (product / "GRANULE").symlink_to(outside)
        with pytest.raises(ImageryError):  # what lies behind a link to a folder is no part of the product
            describe_product(product)
        return
    shutil.move(product / PRODUCT_XML, outside)
    if what == "chain":
        (product / "inside.xml").symlink_to(outside)
        (product / PRODUCT_XML).symlink_to("inside.xml")
    else:
        (product / PRODUCT_XML).symlink_to(outside if what == "file" else "../outside")
    with pytest.raises(ImageryError, match=f"{PRODUCT_XML} is a link that leads out of the product"):
        describe_product(product)


def test_rasters_that_are_links_out_of_a_product(tmp_path: Path) -> None:
    folder = tmp_path / "product"
    folder.mkdir()
    write(tmp_path / "outside.tif")
    (folder / "B02.tif").symlink_to(tmp_path / "outside.tif")
    with pytest.raises(ImageryError, match="leads out of the product"):
        read(folder / "B02.tif")
    with pytest.raises(ImageryError, match="leads out of the product"):
        FolderFiles(folder).fingerprint("B02.tif")


def test_links_inside_of_a_product_and_to_it(safe: Path, tmp_path: Path) -> None:
    product = shutil.copytree(safe, tmp_path / "real" / safe.name)
    shutil.move(product / PRODUCT_XML, product / "real.xml")
    (product / PRODUCT_XML).symlink_to("real.xml")
    link = tmp_path / safe.name
    link.symlink_to(product, target_is_directory=True)
    assert describe_product(link).acquisition == describe_product(safe).acquisition


@pytest.mark.parametrize("path", ["data/BANDS.npy", "bbox.geojson", "data", "timestamps.json"])
def test_links_that_lead_out_of_an_eopatch(tmp_path: Path, path: str) -> None:
    place = Place(tmp_path / "place")
    patch = tmp_path / "place" / NAME
    make_eopatch().save(str(patch))
    target = next(each for each in (patch / path, patch / f"{path}.gz") if each.exists())
    moved = tmp_path / target.name
    shutil.move(target, moved)
    target.symlink_to(moved)
    with pytest.raises(StorageError, match="is a link that leads out of the EOPatch"):
        load_eopatch(place, NAME)
    with pytest.raises(StorageError, match="is a link that leads out of the EOPatch"):
        eopatch_info(place, NAME)


@pytest.mark.parametrize("name", ["a.tif", "a.jp2"])
def test_overviews_that_lie_elsewhere(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A raster's own metadata may name any file as its overviews, and GDAL would open it by any driver."""
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "2")
    secret = write(tmp_path / "secret.tif", 7)
    os.utime(secret, (1, 1))
    with socket.create_server(("127.0.0.1", 0)) as port:
        port.setblocking(False)
        far = f"/vsicurl/http://127.0.0.1:{port.getsockname()[1]}/a.tif"
        vrt = f"<VRTDataset><VRTRasterBand><SourceFilename>{secret}</SourceFilename></VRTRasterBand></VRTDataset>"
        for target in (str(secret), far, vrt, f"vrt://{secret}", f":::BASE:::{secret.name}"):
            path = write(tmp_path / name, OVERVIEW_FILE=target)
            (tmp_path / f"{name}.aux.xml").unlink(missing_ok=True)
            with pytest.raises(ImageryError, match="overviews lie in another file"):
                read(path)
            path.unlink()
        with pytest.raises(BlockingIOError):
            port.accept()
    assert secret.stat().st_atime_ns == 10**9


@pytest.mark.parametrize("name", ["B02.tif", "B02.jp2"])
def test_formats_that_are_not_those_of_the_name(tmp_path: Path, name: str) -> None:
    secret = write(tmp_path / "secret.tif", 7)
    os.utime(secret, (1, 1))
    source = f"<SimpleSource><SourceFilename>{secret}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>"
    band = f'<VRTRasterBand dataType="UInt16" band="1">{source}</VRTRasterBand>'
    contents = {
        "vrt": f'<VRTDataset rasterXSize="32" rasterYSize="32">{band}</VRTDataset>',
        "gti": f"<GDALTileIndexDataset><IndexDataset>{secret}</IndexDataset></GDALTileIndexDataset>",
        "wms": '<GDAL_WMS><Service name="TMS"><ServerUrl>http://127.0.0.1:9/</ServerUrl></Service></GDAL_WMS>',
        "wmts": "<GDAL_WMTS><GetCapabilitiesUrl>http://127.0.0.1:9/</GetCapabilitiesUrl></GDAL_WMTS>",
        "stac": '{"type": "FeatureCollection", "stac_version": "1.0.0", "features": []}',
        "mrf": f"<MRF_META><CachedSource><Source>{secret}</Source></CachedSource></MRF_META>",
        "pds": "PDS_VERSION_ID = PDS3",
        "hdf": "\x89HDF\r\n\x1a\n" + "\0" * 100,
        "netcdf": "CDF\x01" + "\0" * 100,
        "sqlite": "SQLite format 3\0" + "\0" * 100,
    }
    for kind, content in contents.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(ImageryError, match="missing, damaged or no"):
            read(tmp_path / name)
        assert secret.stat().st_atime_ns == 10**9, kind


def test_files_beside_a_raster_have_no_say(tmp_path: Path) -> None:
    path = write(tmp_path / "B02.tif", 5)
    other = write(tmp_path / "other.tif", 9)
    expected = read(path)
    for ending in (".ovr", ".msk", ".aux.xml"):
        shutil.copy(other, tmp_path / f"B02.tif{ending}")
    item = f'<MDI key="OVERVIEW_FILE">{other}</MDI>'
    (tmp_path / "B02.tif.aux.xml").write_text(
        f'<PAMDataset><Metadata domain="OVERVIEWS">{item}</Metadata></PAMDataset>'
    )
    (tmp_path / "B02.tfw").write_text("20\n0\n0\n-20\n500000\n5000000\n")
    np.testing.assert_array_equal(read(path), expected)
    assert (expected == 5).all()


def test_labels_that_are_another_format_than_their_name(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret.tif", 7)
    labels = tmp_path / "labels.tif"
    grid = LabelGrid("EPSG:32633", (300_000, 5_899_680, 300_320, 5_900_000), (32, 32))
    source = f"<SimpleSource><SourceFilename>{secret}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>"
    band = f'<VRTRasterBand dataType="UInt16" band="1">{source}</VRTRasterBand>'
    labels.write_text(f'<VRTDataset rasterXSize="32" rasterYSize="32">{band}</VRTDataset>')
    with pytest.raises(ReferenceDataError):
        read_raster_labels(labels, grid)
    write(labels, 3, OVERVIEW_FILE=str(secret))
    with pytest.raises(EOTasksError, match="overviews lie in another file"):
        read_raster_labels(labels, grid)
