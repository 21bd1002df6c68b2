"""Products in every layout and place: described alike, read alike."""

from __future__ import annotations

import datetime as dt
import json
import pickle
import shutil
import traceback
from pathlib import Path

import numpy as np
import pytest

from eotasks.errors import EOTasksError, ImageryError
from eotasks.imagery.grid import Grid
from eotasks.imagery.products.open import describe_product
from eotasks.imagery.products.product import Product
from eotasks.imagery.scene import Scene, open_scene
from eotasks.models.clouds.pixel import cloud_probability
from eotasks.models.sentinel2 import BANDS, CLOUD_BANDS
from tests.builders.layouts import (
    L2A_NAME,
    PRODUCT_XML,
    TILE_PATH,
    VEGETATION,
    aws_bucket,
    aws_l2a,
    small_l2a,
    small_safe,
    stac_item,
    zipped,
)
from tests.builders.tile import LEFT, NAME, TOP

GRID = Grid("EPSG:32633", LEFT + 240, TOP - 240, 60, 12, 12)


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_safe(tmp_path_factory.mktemp("safe"))


@pytest.fixture(scope="module")
def l2a(safe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_l2a(safe, tmp_path_factory.mktemp("l2a"))


@pytest.fixture(scope="module")
def expected(safe: Path) -> np.ndarray:
    return open_scene(safe).read(BANDS, GRID)


def same(product: Product, expected: np.ndarray) -> None:
    acquisition = product.acquisition
    assert product.name == NAME
    assert acquisition.time == dt.datetime(2017, 2, 16, 10, 21, 1)  # noqa: DTZ001  # naive UTC
    assert (acquisition.satellite, acquisition.tile, acquisition.level) == ("S2A", "33UUU", "L1C")
    assert (acquisition.relative_orbit, acquisition.processing_baseline) == (65, "05.10")
    assert dict(acquisition.offsets) == dict.fromkeys(BANDS, -1000)
    assert (acquisition.cloud_cover, acquisition.quantification) == (50, 10_000)
    assert acquisition.sun_zenith == pytest.approx(66.07)
    assert tuple(product.bands) == BANDS == tuple(product.footprints)
    scene = Scene(pickle.loads(pickle.dumps(product)))
    np.testing.assert_array_equal(scene.read(BANDS, GRID), expected)
    zenith, azimuth = scene.sun_angles(GRID)
    np.testing.assert_allclose([zenith.mean(), azimuth.mean()], [66.07, 163.24], rtol=1e-5)


class TestPlaces:
    def test_safe(self, safe: Path, expected: np.ndarray) -> None:
        same(describe_product(safe), expected)

    def test_a_renamed_folder_is_what_its_metadata_says(self, safe: Path, tmp_path: Path, expected: np.ndarray) -> None:
        same(describe_product(shutil.copytree(safe, tmp_path / "my winter scene")), expected)

    @pytest.mark.parametrize("top", [True, False])
    def test_zip(self, safe: Path, tmp_path: Path, expected: np.ndarray, top: bool) -> None:
        archive = zipped(safe, tmp_path / "a product.zip", top=top)
        same(describe_product(archive), expected)
        assert [path.name for path in tmp_path.iterdir()] == ["a product.zip"]

    def test_aws(self, safe: Path, tmp_path: Path, expected: np.ndarray) -> None:
        same(describe_product(aws_bucket(safe, tmp_path)), expected)

    def test_aws_without_the_metadata_of_the_product(self, safe: Path, tmp_path: Path, expected: np.ndarray) -> None:
        tile = aws_bucket(safe, tmp_path, with_product=False)
        with pytest.raises(ImageryError, match=r"05\.10 has an offset"):
            describe_product(tile)
        shutil.copy(safe / PRODUCT_XML, tile)
        same(describe_product(tile), expected)

    def test_web(self, safe: Path, web_folder: tuple[Path, str], expected: np.ndarray) -> None:
        root, address = web_folder
        shutil.copytree(safe, root / safe.name)
        zipped(safe, root / "product.zip")
        zipped(safe, root / "stored.zip", packed=False)
        aws_bucket(safe, root)
        zipped(safe, root / "6d8a00c5-88ac")
        for name in (safe.name, "product.zip", "stored.zip", "6d8a00c5-88ac", TILE_PATH):
            same(describe_product(f"{address}/{name}"), expected)

    def test_stac_item_on_the_web(self, safe: Path, web_folder: tuple[Path, str], expected: np.ndarray) -> None:
        """Some assets beside the item, some by an address of their own that is signed."""
        root, address = web_folder
        item = stac_item(safe, root)
        for band, asset in item["assets"].items():
            asset["raster:bands"] = [{"scale": 0.0001, "offset": -0.1}]
            if band in ("B02", "B11"):
                asset["href"] = f"{address}/{band}.tif?sig=secret"
        (root / "item.json").write_text(json.dumps(item))
        scene = open_scene(f"{address}/item.json")
        np.testing.assert_array_equal(scene.read(BANDS, GRID), expected)
        assert "secret" not in repr(scene.product)
        (root / "B02.tif").unlink()
        with pytest.raises(ImageryError, match="asset B02 is not at") as raised:
            open_scene(f"{address}/item.json").fingerprints()
        assert "secret" not in str(raised.value)

    def test_s3(self, safe: Path, tmp_path: Path, s3_server: object, expected: np.ndarray) -> None:
        from eotasks.storage.s3 import upload_file

        aws_bucket(safe, tmp_path / "aws")
        zipped(safe, tmp_path / "product.zip")
        bucket = f"s3://{s3_server.bucket}/layouts"  # type: ignore[attr-defined]
        for folder, prefix in ((safe.parent, bucket), (tmp_path / "aws", f"{bucket}/aws")):
            for file in folder.rglob("*"):
                if file.is_file() and not file.name.startswith("."):
                    upload_file(file, f"{prefix}/{file.relative_to(folder).as_posix()}")
        upload_file(tmp_path / "product.zip", f"{bucket}/product.zip")
        upload_file(tmp_path / "product.zip", f"{bucket}/6d8a00c5-88ac")
        for name in (safe.name, f"{safe.name}/", "product.zip", "6d8a00c5-88ac", f"aws/{TILE_PATH}"):
            same(describe_product(f"{bucket}/{name}"), expected)

    def test_tracebacks_show_no_secrets(self, safe: Path, web_folder: tuple[Path, str]) -> None:
        root, address = web_folder
        product = Path(shutil.copytree(safe, root / safe.name))
        (image,) = product.glob("GRANULE/*/IMG_DATA/*_B04.jp2")
        image.write_bytes(image.read_bytes()[:500])
        scene = open_scene(f"{address}/{safe.name}?sig=x9k2")
        with pytest.raises(ImageryError, match=r"_B04\.jp2: missing, damaged") as raised:
            scene.read(["B04"], GRID)
        assert "x9k2" not in "".join(traceback.format_exception(raised.value))

    def test_addresses_show_no_secrets(self, web_folder: tuple[Path, str]) -> None:
        _, address = web_folder
        with pytest.raises(ImageryError) as raised:
            describe_product(f"{address}/nowhere.zip?X-Amz-Signature=secret")
        assert "secret" not in str(raised.value)
        assert "nowhere.zip" in str(raised.value)


class TestSurfaceReflectance:
    """L2A: most bands at several resolutions, no B10, a scene classification."""

    def same(self, location: Path, expected: np.ndarray) -> None:
        scene = open_scene(location)
        bands = tuple(band for band in BANDS if band != "B10")
        assert scene.name == L2A_NAME
        assert (scene.acquisition.level, scene.acquisition.processing_baseline) == ("L2A", "05.10")
        assert scene.bands == bands
        chosen = [BANDS.index(band) for band in bands]
        np.testing.assert_array_equal(scene.read(bands, GRID), expected[..., chosen])
        assert (scene.scene_classification(GRID) == VEGETATION).all()

    def test_safe_and_zip(self, l2a: Path, tmp_path: Path, expected: np.ndarray) -> None:
        self.same(l2a, expected)
        self.same(zipped(l2a, tmp_path / "product.zip"), expected)

    def test_aws(self, l2a: Path, tmp_path: Path, expected: np.ndarray) -> None:
        self.same(aws_l2a(l2a, tmp_path), expected)

    def test_two_files_of_a_band(self, l2a: Path, tmp_path: Path) -> None:
        product = Path(shutil.copytree(l2a, tmp_path / l2a.name))
        (image,) = product.glob("GRANULE/*/IMG_DATA/R10m/*_B02_10m.jp2")
        shutil.copy(image, image.with_name(f"L2A_{image.name}"))
        with pytest.raises(ImageryError, match="two files of B02"):
            describe_product(product)


class TestFilesOfTwoProducts:
    """What goes wrong when folders are mixed by hand."""

    @pytest.fixture
    def product(self, safe: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(safe, tmp_path / safe.name))

    @pytest.mark.parametrize(("old", "new"), [("T33UUU", "T33UUV"), ("20170216T102101", "20170226T102101")])
    def test_image_of_another(self, product: Path, old: str, new: str) -> None:
        (image,) = product.glob("GRANULE/*/IMG_DATA/*_B04.jp2")
        image.rename(image.with_name(image.name.replace(old, new)))
        with pytest.raises(ImageryError, match=f"{new.removeprefix('T')}.* two products"):
            describe_product(product)

    def test_tile_sensed_on_another_day(self, product: Path) -> None:
        (tile,) = product.glob("GRANULE/*/MTD_TL.xml")
        tile.write_text(tile.read_text().replace(">2017-02-16T", ">2017-02-26T"))
        with pytest.raises(ImageryError, match=r"sensed at 2017-02-26T10:21:01.* two products"):
            describe_product(product)

    def test_two_granules(self, product: Path) -> None:
        (granule,) = product.glob("GRANULE/*")
        shutil.copytree(granule, granule.with_name("L1C_T33UUV_A008642_20170216T102101"))
        with pytest.raises(ImageryError, match="2 granules"):
            describe_product(product)

    @pytest.mark.parametrize(
        ("old", "new", "what"),
        [
            ("T33UUU", "T33UUV", "tile"),
            ("20170216T102101", "20170226T102101", "time"),
            ("N0510", "N0204", "processing baseline"),
            ("MSIL1C", "MSIL2A", "level"),
        ],
    )
    def test_folder_named_after_another(self, product: Path, old: str, new: str, what: str) -> None:
        renamed = product.rename(product.with_name(product.name.replace(old, new)))
        with pytest.raises(ImageryError, match=f"named after {what}"):
            describe_product(renamed)


# The oldest rasterio hides its own warning by filters that threads share, and so not always.
@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
class TestRealProducts:
    """Everything under ../shared/data. Cloud shares are those of its README and of s2cloudless."""

    def test_clear_winter_day_of_baseline_5_10(self, shared_data: Path) -> None:
        (path,) = (shared_data / "l1c_safe").glob("S2A_*.SAFE")
        scene = open_scene(path)
        assert scene.acquisition.time == dt.datetime(2024, 1, 20, 10, 53, 41)  # noqa: DTZ001
        assert dict(scene.acquisition.offsets) == dict.fromkeys(BANDS, -1000)
        grid = scene.grid_of("B01")
        assert (grid.bounds, grid.resolution) == ((350_000, 4_849_720, 350_300, 4_850_020), 10)  # not as its XML says
        dn, is_data = scene.read_masked(BANDS, grid)
        assert is_data.all()
        stored = read_raw(scene, "B04")
        np.testing.assert_array_equal(dn[..., BANDS.index("B04")], stored - 1000)
        assert (scene.product_cloud_mask(grid) == 0).all()
        zenith, azimuth = scene.sun_angles(grid)
        assert zenith.mean() == pytest.approx(65.81, abs=0.02)
        assert azimuth.mean() == pytest.approx(162.63, abs=0.02)
        assert 0 < scene.view_angles(grid, "B02")[0].mean() < 3

    def test_cloudy_day_stored_as_int16(self, shared_data: Path) -> None:
        (path,) = (shared_data / "l1c_safe").glob("S2B_*.SAFE")
        scene = open_scene(path)
        grid = scene.grid_of("B02")
        dn, is_data = scene.read_masked(CLOUD_BANDS, grid)
        assert (cloud_probability(dn, valid=is_data) > 0.4).all()
        assert (scene.product_cloud_mask(grid) == 1).all()

    def test_swath_edge_in_the_zip_of_a_safe(self, shared_data: Path) -> None:
        (path,) = (shared_data / "l1c_tiles").glob("S2A_*.zip")
        scene = open_scene(path)
        assert (scene.acquisition.tile, scene.acquisition.relative_orbit) == ("56JMM", 30)
        assert dict(scene.acquisition.offsets) == {}
        self.check_swath(scene, seen=(0.72, 0.74), cloud=(0.0, 0.01))

    def test_swath_edge_in_the_layout_of_the_buckets(self, shared_data: Path) -> None:
        (path,) = (shared_data / "l1c_tiles").glob("S2B_*.zip")
        scene = open_scene(path)
        assert scene.acquisition.time == dt.datetime(2018, 6, 17, 0, 11, 9)  # noqa: DTZ001
        assert (scene.acquisition.tile, scene.acquisition.relative_orbit) == ("55JGF", 73)
        self.check_swath(scene, seen=(0.81, 0.84), cloud=(0.40, 0.48))

    @staticmethod
    def check_swath(scene: Scene, *, seen: tuple[float, float], cloud: tuple[float, float]) -> None:
        """Outside of the swath B05 to B12 hold small numbers (lossy JP2): the footprints say that it is no data."""
        grid = scene.grid_of("B02")
        dn, is_data = scene.read_masked(CLOUD_BANDS, grid)
        assert seen[0] < is_data.mean() < seen[1]
        assert (dn[~is_data] == 0).all()
        assert (read_raw(scene, "B11", grid)[~is_data] > 0).mean() > 0.5
        share = float((cloud_probability(dn, valid=is_data) > 0.4)[is_data].mean())
        assert cloud[0] <= share < cloud[1]
        own = scene.product_cloud_mask(grid)
        assert abs(float((own[own != 255] == 1).mean()) - share) < 0.1
        assert np.isnan(scene.view_angles(grid)[0]).any()


def read_raw(scene: Scene, band: str, grid: Grid | None = None) -> np.ndarray:
    """The numbers of a band as they are stored."""
    import rasterio

    files = scene.product.files
    with rasterio.open(files.raster_path(scene.product.bands[band].name)) as source:
        values: np.ndarray = source.read(1)
        if grid is None:
            return values
        rows = (np.arange(grid.height) + 0.5) * grid.resolution / source.transform.a
        columns = (np.arange(grid.width) + 0.5) * grid.resolution / source.transform.a
        return values[np.ix_(rows.astype(int), columns.astype(int))]


def test_nothing_of_a_kind(tmp_path: Path) -> None:
    (tmp_path / "beach.jpg").write_bytes(b"x")
    with pytest.raises(ImageryError, match="no product of Sentinel-2"):
        describe_product(tmp_path)
    with pytest.raises(EOTasksError, match="nothing there"):
        describe_product(tmp_path / "absent")
