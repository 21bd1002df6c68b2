"""What odc-stac and rioxarray load from an exported catalogue: the pixels of the archive, on their grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import odc.stac
import pyarrow.parquet as pq
import pystac
import pytest
import rasterio
import rioxarray

from eotasks.storage.place import Place
from eotasks.workflows.cloud_archive.exporting.export import export_stac
from tests.builders.clouds.archives import add_product, build, images, pixels
from tests.servers.s3 import S3Server

pytestmark = [
    pytest.mark.slow,  # and not with the lowest pystac, whose items odc-stac finds no grid in
    pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Dataset has no geotransform"),
    pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning"),
]

L1C = "cloud-masks-l1c"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    add_product(folder / "source", "A", 16)
    add_product(folder / "source", "B", 17, change=lambda _, values: values[::-1])
    build(folder / "source", folder / "masks")
    return folder / "masks"


def items_of(out: Path) -> list[pystac.Item]:
    return list(pystac.Catalog.from_file(str(out / "catalog.json")).get_items(recursive=True))


def expected(archive: Path, kind: str) -> list[np.ndarray]:
    return [pixels(archive / path) for path in sorted(images(archive)) if path.endswith(f"{kind}.tif")]


@pytest.mark.parametrize("copy", [False, True], ids=["linked", "copied"])
def test_odc_stac_loads_the_masks(archive: Path, tmp_path: Path, copy: bool) -> None:
    """Without being told a grid: it is that of the tile, which the items say."""
    export_stac(archive, tmp_path / "stac", copy=copy)
    loaded = odc.stac.load(items_of(tmp_path / "stac"), bands=["CLP", "CLM"])
    assert dict(loaded.sizes) == {"time": 2, "y": 12, "x": 12}
    assert loaded["CLM"].dtype == np.uint8
    assert loaded["CLM"].odc.nodata == 255
    for kind in ("CLP", "CLM"):
        np.testing.assert_array_equal(loaded[kind].values, expected(archive, kind))
    with rasterio.open(next(archive.rglob("*_CLM.tif"))) as file:
        assert list(loaded.odc.geobox.transform)[:6] == list(file.transform)[:6]
        assert loaded.odc.geobox.crs.to_epsg() == file.crs.to_epsg() == 32633


def test_odc_stac_loads_from_the_table(archive: Path, tmp_path: Path) -> None:
    """Rows lead to the masks by themselves, from whatever folder."""
    arrow = pytest.importorskip("stac_geoparquet.arrow")
    export_stac(archive, tmp_path / "stac")
    rows = arrow.stac_table_to_items(pq.read_table(tmp_path / f"stac/{L1C}/items.parquet"))
    items = [pystac.Item.from_dict(row) for row in rows]
    loaded = odc.stac.load(items, bands=["CLM"], chunks={"x": 5})
    np.testing.assert_array_equal(loaded["CLM"].compute().values, expected(archive, "CLM"))


def test_rioxarray_opens_them(archive: Path, tmp_path: Path) -> None:
    export_stac(archive, tmp_path / "stac")
    for item, mask, probability in zip(
        items_of(tmp_path / "stac"), expected(archive, "CLM"), expected(archive, "CLP"), strict=True
    ):
        with rioxarray.open_rasterio(item.assets["CLM"].get_absolute_href()) as clouds:
            np.testing.assert_array_equal(clouds[0].values, mask)
            assert clouds.rio.nodata == item.assets["CLM"].extra_fields["raster:bands"][0]["nodata"]
            assert str(clouds.rio.crs) == item.properties["proj:code"]
        with rioxarray.open_rasterio(item.assets["CLP"].get_absolute_href(), masked=True) as share:
            scale = item.assets["CLP"].extra_fields["raster:bands"][0]["scale"]
            known = probability != 255
            np.testing.assert_allclose(share[0].values[known] * scale, probability[known] / 255, rtol=1e-6)


def test_a_bucket_has_the_same(archive: Path, tmp_path: Path, s3_server: S3Server) -> None:
    """Both in a bucket: relative paths lead from one to the other. And copies of an archive of this machine."""
    bucket = Place(s3_server.location())
    for path in sorted(archive.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            bucket.upload(f"masks/{path.relative_to(archive)}", path)
    there = bucket.child("masks")
    assert export_stac(there, there.child("stac")).items == {L1C: 2}
    export_stac(archive, archive.parent / "stac")
    local = {str(each.relative_to(archive.parent / "stac")): each for each in (archive.parent / "stac").rglob("A.json")}
    for path, file in local.items():
        found = there.child("stac").read_bytes(path).decode()
        assert found == file.read_text().replace("../masks/masks/", "../masks/")  # one is in its archive, one beside it
    copied = bucket.child("copied")
    assert export_stac(archive, copied, copy=True).written == 2
    assert export_stac(archive, copied, copy=True).kept == 2
    for path, data in images(archive).items():
        _, tile, *rest = path.split("/")
        assert copied.read_bytes("/".join([L1C, tile[:3], tile, *rest])) == data
    table = pq.read_table(tmp_path / copied_table(copied, tmp_path)).to_pylist()
    assert table[0]["assets"]["CLM"]["href"] == f"{copied}/{L1C}/33U/33UUU/2017/A/A_CLM.tif"


def copied_table(place: Place, folder: Path) -> str:
    place.download(f"{L1C}/items.parquet", folder / "items.parquet")
    return "items.parquet"
