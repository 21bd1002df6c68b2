from __future__ import annotations

import hashlib
import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from eolearn.core import EOPatch, FeatureType
from eolearn.core.exceptions import TemporalDimensionWarning
from rasterio._err import CPLE_AppDefinedError
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioIOError
from sentinelhub import CRS, BBox

from eotasks.errors import ConfigurationError, FeatureError, GridError, ImageryError, StorageError
from eotasks.export.cog import read_classes, write_cog
from eotasks.export.mosaics import mosaic_cogs, mosaic_cogs_by_crs
from eotasks.export.tasks import ExportCogTask
from eotasks.models.classes import SLOVENIAN_CLASSES, ClassTable, LandCoverClass
from eotasks.models.threads import ENVIRONMENT_VARIABLE
from tests.builders.cog_layout import assert_is_cloud_optimized

CLASSES = ClassTable((LandCoverClass(2, "Forest & <scrub>", "#054907"), LandCoverClass(8, "Töwn", "#dc143c")))
BOUNDS = (300_000.0, 5_000_000.0, 311_000.0, 5_012_000.0)
UTM = "EPSG:32633"


def class_map(height: int = 1200, width: int = 1100) -> np.ndarray:
    coarse = np.random.default_rng(0).choice(np.array([0, 2, 8], np.uint8), (height // 20 + 1, width // 20 + 1))
    return np.kron(coarse, np.ones((20, 20), np.uint8))[:height, :width]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class TestWriteCog:
    def test_a_map_of_classes(self, tmp_path: Path) -> None:
        image = class_map()
        path = write_cog(tmp_path / "a map.tif", image, crs=UTM, bounds=BOUNDS, classes=CLASSES, descriptions=["LULC"])
        assert_is_cloud_optimized(path, levels=2)
        with rasterio.open(path) as dataset:
            np.testing.assert_array_equal(dataset.read(1), image)
            assert dataset.dtypes == ("uint8",)
            assert dataset.nodata == 0
            assert tuple(dataset.bounds) == BOUNDS
            assert dataset.crs.to_epsg() == 32633
            assert dataset.descriptions == ("LULC",)
            assert dataset.colorinterp == (ColorInterp.palette,)
            assert dataset.colormap(1)[2] == (5, 73, 7, 255)
            assert dataset.colormap(1)[8] == (220, 20, 60, 255)
            assert dataset.tags(1)["CLASS_2"] == "Forest & <scrub>"
            assert dataset.tags(ns="IMAGE_STRUCTURE")["COMPRESSION"] == "DEFLATE"
        with rasterio.open(path, overview_level=0) as overview:
            assert set(np.unique(overview.read(1))) == {0, 2, 8}  # nearest: no values between classes
        assert read_classes(path) == CLASSES

    def test_names_where_gdal_looks_for_them(self, tmp_path: Path) -> None:
        path = write_cog(tmp_path / "map.tif", class_map(40, 40), crs=UTM, bounds=BOUNDS, classes=CLASSES)
        rasterio.shutil.copy(path, tmp_path / "map.vrt", driver="VRT")
        described = (tmp_path / "map.vrt").read_text(encoding="utf-8")
        names = described[described.index("<CategoryNames>") : described.index("</CategoryNames>")]
        assert names.count("<Category") - 1 == 9
        assert "<Category>Forest &amp; &lt;scrub&gt;</Category>" in names
        assert "<Category>Töwn</Category>" in names

    def test_the_attribute_table(self, tmp_path: Path) -> None:
        path = write_cog(
            tmp_path / "map.tif", np.ones((4, 4), np.uint8), crs=UTM, bounds=BOUNDS, classes=SLOVENIAN_CLASSES
        )
        sidecar = Path(f"{path}.aux.xml").read_text(encoding="utf-8")
        rows = [line.strip() for line in sidecar.splitlines() if "<F>" in line]
        cells = [row.removeprefix("<F>").removesuffix("</F>") for row in rows]
        table = [tuple(cells[start : start + 5]) for start in range(0, len(cells), 5)]
        wanted = [(str(item.id), item.name, *map(str, item.rgb)) for item in SLOVENIAN_CLASSES]
        assert table == sorted(wanted, key=lambda row: int(row[0]))

    def test_floats_with_bands(self, tmp_path: Path) -> None:
        image = np.random.default_rng(0).random((600, 700, 3), np.float32)
        image[:300, :300] = np.nan
        path = write_cog(
            tmp_path / "scores.tif", image, crs=UTM, bounds=BOUNDS, descriptions=["a", "b", "c"], tags={"K": "v"}
        )
        assert_is_cloud_optimized(path, levels=3)
        with rasterio.open(path) as dataset:
            np.testing.assert_array_equal(np.moveaxis(dataset.read(), 0, -1), image)
            assert np.isnan(dataset.nodata)
            assert dataset.descriptions == ("a", "b", "c")
            assert dataset.tags()["K"] == "v"
        with rasterio.open(path, overview_level=0) as overview:
            np.testing.assert_allclose(
                overview.read(2)[200:], image[400:, :, 1].reshape(100, 2, 350, 2).mean(axis=(1, 3)), rtol=1e-6
            )
            assert np.isnan(overview.read(1)[:149, :149]).all()
        assert read_classes(path) is None
        assert not Path(f"{path}.aux.xml").exists()

    @pytest.mark.parametrize(
        "dtype",
        ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "uint64", "float32", "float64", "bool"],
    )
    @pytest.mark.parametrize("compression", ["deflate", "zstd", "lzw", "none"])
    def test_every_type_comes_back(self, tmp_path: Path, dtype: str, compression: Any) -> None:
        image = np.random.default_rng(0).integers(0, 2, (9, 7)).astype(dtype)
        path = write_cog(tmp_path / "x.tif", image, crs=UTM, bounds=BOUNDS, compression=compression)
        with rasterio.open(path) as dataset:
            np.testing.assert_array_equal(dataset.read(1), image)
            assert dataset.dtypes[0] == ("uint8" if dtype == "bool" else dtype)
            assert dataset.nodata is None or np.isnan(dataset.nodata)

    def test_the_same_bytes_for_the_same_input(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        found = set()
        for number, threads in enumerate(("1", "2", "2")):
            monkeypatch.setenv(ENVIRONMENT_VARIABLE, threads)
            path = tmp_path / str(number) / f"{number}.tif"
            write_cog(path, class_map(), crs=UTM, bounds=BOUNDS, classes=CLASSES, tags={"B": "2", "A": "1"})
            found.add((sha256(path), sha256(Path(f"{path}.aux.xml"))))
        assert len(found) == 1

    def test_replaces_or_leaves_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "map.tif"
        write_cog(path, class_map(30, 30), crs=UTM, bounds=BOUNDS, classes=CLASSES)
        before = sha256(path)

        def fail(*args: Any, **options: Any) -> None:
            Path(args[1]).write_bytes(b"half")
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(rasterio.shutil, "copy", fail)
            with pytest.raises(StorageError, match=r"map\.tif.*No space left"):
                write_cog(path, class_map(20, 20), crs=UTM, bounds=BOUNDS)
        assert sha256(path) == before
        assert read_classes(path) == CLASSES
        assert files(tmp_path) == ["map.tif", "map.tif.aux.xml"]
        write_cog(path, class_map(20, 20), crs=UTM, bounds=BOUNDS)
        assert files(tmp_path) == ["map.tif"]

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StorageError, match="Check the path"):
            write_cog(tmp_path / "file" / "map.tif", class_map(9, 9), crs=UTM, bounds=BOUNDS)

    @pytest.mark.parametrize(
        ("image", "options", "error", "message"),
        [
            (np.ones((3, 3), np.float16), {}, FeatureError, "no float16"),
            (np.ones((3, 3), complex).astype(object), {}, FeatureError, "no object"),
            (np.ones((3, 0)), {}, FeatureError, r"\(3, 0\) is no image"),
            (np.ones(3), {}, FeatureError, r"\(3,\) is no image"),
            (np.ones((3, 3)), {"crs": "EPSG:1"}, GridError, "'EPSG:1' is no coordinate system"),
            (np.ones((3, 3)), {"bounds": (0, 0, 0, 1)}, GridError, "hold no area"),
            (np.ones((3, 3)), {"classes": CLASSES}, ConfigurationError, "this is float64 with 1"),
            (np.ones((3, 3, 2), np.uint8), {"classes": CLASSES}, ConfigurationError, "this is uint8 with 2"),
            (np.full((3, 3), 7, np.uint8), {"classes": CLASSES}, ConfigurationError, r"values \[7\]"),
            (np.ones((3, 3), np.uint8), {"nodata": -1}, ConfigurationError, "nodata=-1 is no uint8"),
            (np.ones((3, 3), np.uint8), {"nodata": float("nan")}, ConfigurationError, "nodata=nan is no uint8"),
            (np.ones((3, 3)), {"compression": "jpeg"}, ConfigurationError, "compression='jpeg'"),
            (np.ones((3, 3)), {"descriptions": ["a", "b"]}, ConfigurationError, "2 descriptions for 1 bands"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_refuses(self, tmp_path: Path, image: np.ndarray, options: dict, error: type, message: str) -> None:
        with pytest.raises(error, match=message):
            write_cog(tmp_path / "x.tif", image, **{"crs": UTM, "bounds": BOUNDS, **options})
        assert files(tmp_path) == []


class TestExportTask:
    @staticmethod
    def patch() -> EOPatch:
        eopatch = EOPatch(bbox=BBox((0, 0, 90, 160), CRS(UTM)), timestamps=["2020-01-01T10:20:30", "2020-02-01"])
        eopatch[FeatureType.MASK_TIMELESS, "PREDICTION"] = class_map(16, 9)[..., np.newaxis]
        eopatch[FeatureType.DATA, "BANDS"] = np.random.default_rng(0).random((2, 16, 9, 3), np.float32)
        return eopatch

    def test_a_timeless_feature(self, tmp_path: Path) -> None:
        eopatch = self.patch()
        feature = (FeatureType.MASK_TIMELESS, "PREDICTION")
        task = ExportCogTask(feature, folder=tmp_path / "out put", classes=CLASSES, tags={"SIMULATED": "true"})
        result = pickle.loads(pickle.dumps(task)).execute(eopatch, name="patch_r00_c01")
        assert result is eopatch
        wanted = "patch_r00_c01_PREDICTION.tif"
        assert files(tmp_path / "out put") == [wanted, f"{wanted}.aux.xml"]
        with rasterio.open(task.path("patch_r00_c01")) as dataset:
            np.testing.assert_array_equal(dataset.read(1), eopatch[feature][..., 0])
            assert tuple(dataset.bounds) == tuple(eopatch.bbox)
            assert dataset.crs.to_epsg() == 32633
            assert dataset.descriptions == ("PREDICTION",)
            assert dataset.tags()["SIMULATED"] == "true"

    def test_a_temporal_feature_has_a_band_for_each_date(self, tmp_path: Path) -> None:
        task = ExportCogTask((FeatureType.DATA, "BANDS"), folder=tmp_path, filename="{name}.tif")
        eopatch = task.execute(self.patch(), name="p")
        with rasterio.open(tmp_path / "p.tif") as dataset:
            assert dataset.count == 6
            np.testing.assert_array_equal(dataset.read(5), eopatch[FeatureType.DATA, "BANDS"][1, :, :, 1])
            assert dataset.descriptions[0] == "BANDS_0 2020-01-01T10:20:30"
            assert dataset.descriptions[4] == "BANDS_1 2020-02-01T00:00:00"

    @pytest.mark.parametrize("feature", ["BANDS", "SCORES"])
    def test_no_data_where_a_mask_says_so(self, feature: str, tmp_path: Path) -> None:
        eopatch = self.patch()
        eopatch[FeatureType.DATA_TIMELESS, "SCORES"] = np.full((16, 9, 2), 0.5, np.float32)
        kind = FeatureType.DATA if feature == "BANDS" else FeatureType.DATA_TIMELESS
        classes = eopatch[FeatureType.MASK_TIMELESS, "PREDICTION"]
        classes[:5], classes[5:] = 0, 2
        before = eopatch[kind, feature].copy()
        task = ExportCogTask(
            (kind, feature),
            folder=tmp_path,
            filename="{name}.tif",
            valid_feature=(FeatureType.MASK_TIMELESS, "PREDICTION"),
        )
        pickle.loads(pickle.dumps(task)).execute(eopatch, name="p")
        np.testing.assert_array_equal(eopatch[kind, feature], before)
        with rasterio.open(tmp_path / "p.tif") as dataset:
            assert not dataset.read_masks()[:, :5].any()
            assert dataset.read_masks()[:, 5:].all()
            assert np.isnan(dataset.read()[:, :5]).all()

    def test_no_data_of_integers_and_flags(self, tmp_path: Path) -> None:
        eopatch = self.patch()
        eopatch[FeatureType.MASK_TIMELESS, "FLAG"] = np.ones((16, 9, 1), bool)
        eopatch[FeatureType.MASK_TIMELESS, "INSIDE"] = np.arange(144).reshape(16, 9, 1) > 70
        flag, inside = ((FeatureType.MASK_TIMELESS, name) for name in ("FLAG", "INSIDE"))
        ExportCogTask(flag, folder=tmp_path, valid_feature=inside, nodata=255, filename="{name}.tif").execute(
            eopatch, name="p"
        )
        with rasterio.open(tmp_path / "p.tif") as dataset:
            np.testing.assert_array_equal(dataset.read(1), np.where(eopatch[inside][..., 0], 1, 255))
        with pytest.raises(ConfigurationError, match="mask_timeless/FLAG is uint8, which has no value"):
            ExportCogTask(flag, folder=tmp_path, valid_feature=inside).execute(eopatch, name="p")
        with pytest.raises(ConfigurationError, match="valid_feature needs a value"):
            ExportCogTask(flag, folder=tmp_path, valid_feature=inside, nodata=None)
        eopatch[inside] = np.ones((8, 9, 1), bool)
        with pytest.raises(FeatureError, match=r"has shape \(8, 9, 1\), feature mask_timeless/FLAG \(16, 9\) pixels"):
            ExportCogTask(flag, folder=tmp_path, valid_feature=inside, nodata=0).execute(eopatch, name="p")

    def test_errors(self, tmp_path: Path) -> None:
        feature = (FeatureType.MASK_TIMELESS, "PREDICTION")
        task = ExportCogTask(feature, folder=tmp_path)
        with pytest.raises(FeatureError, match="mask_timeless/PREDICTION is not in the EOPatch"):
            task.execute(EOPatch(bbox=self.patch().bbox), name="p")
        dateless = EOPatch(bbox=self.patch().bbox)
        with pytest.warns(TemporalDimensionWarning):
            dateless[FeatureType.DATA, "BANDS"] = np.zeros((2, 16, 9, 3), np.float32)
        with pytest.raises(FeatureError, match="data/BANDS has 2 frames, the EOPatch 0 timestamps"):
            ExportCogTask((FeatureType.DATA, "BANDS"), folder=tmp_path).execute(dateless, name="p")
        for name in ("", "a/b", ".."):
            with pytest.raises(ConfigurationError, match="is no file name"):
                task.execute(self.patch(), name=name)
        for filename in (
            "map.tif",
            "{name}/{feature}.tif",
            "{name}_{date}.tif",
            "{name",
            "{name:d}.tif",
            "{name.real}.tif",
        ):
            with pytest.raises(ConfigurationError, match="filename="):
                ExportCogTask(feature, folder=tmp_path, filename=filename)
        with pytest.raises(ConfigurationError, match="no place that is known"):
            ExportCogTask(feature, folder="ftp://host/maps")
        with pytest.raises(ConfigurationError, match="is no feature that fits"):
            ExportCogTask((FeatureType.SCALAR, "X"), folder=tmp_path)
        with pytest.raises(ConfigurationError, match="compression="):
            ExportCogTask(feature, folder=tmp_path, compression="jpeg")


class TestMosaic:
    SIZE = 10.0

    def tile(
        self, path: Path, image: np.ndarray, row: int, column: int, *, height: int, width: int, **options: Any
    ) -> Path:
        """The part of an image that starts at (row, column), the image's top left corner at (300000, 5012000)."""
        part = image[row : row + height, column : column + width]
        left, top = 300_000 + self.SIZE * column, 5_012_000 - self.SIZE * row
        bounds = (left, top - self.SIZE * part.shape[0], left + self.SIZE * part.shape[1], top)
        return write_cog(path, part, **{"crs": UTM, "bounds": bounds, **options})

    def tiles(self, folder: Path, image: np.ndarray, **options: Any) -> list[Path]:
        starts = itertools.product(range(0, image.shape[0], 500), range(0, image.shape[1], 500))
        return [
            self.tile(folder / f"{row}_{column}.tif", image, row, column, height=500, width=500, **options)
            for row, column in starts
        ]

    def test_the_patches_make_the_map_again(self, tmp_path: Path) -> None:
        image = class_map()
        paths = self.tiles(tmp_path, image, classes=CLASSES, descriptions=["PREDICTION"], tags={"SIMULATED": "true"})
        path = mosaic_cogs(paths, tmp_path / "maps" / "all.tif", tags={"SEED": "42"})
        assert_is_cloud_optimized(path, levels=2)
        with rasterio.open(path) as dataset:
            np.testing.assert_array_equal(dataset.read(1), image)
            assert tuple(dataset.bounds) == BOUNDS
            assert dataset.nodata == 0
            assert dataset.descriptions == ("PREDICTION",)
            assert {key: dataset.tags().get(key) for key in ("SIMULATED", "SEED")} == {
                "SIMULATED": "true",
                "SEED": "42",
            }
            assert dataset.colormap(1)[8] == (220, 20, 60, 255)
        assert read_classes(path) == CLASSES
        assert files(path.parent) == ["all.tif", "all.tif.aux.xml"]

    def test_one_file_and_the_mosaic_are_the_same_bytes(self, tmp_path: Path) -> None:
        image = class_map()
        whole = write_cog(tmp_path / "whole.tif", image, crs=UTM, bounds=BOUNDS, classes=CLASSES)
        mosaics = [
            mosaic_cogs(order, tmp_path / f"mosaic{number}.tif")
            for number, order in enumerate(
                [self.tiles(tmp_path, image, classes=CLASSES), self.tiles(tmp_path, image, classes=CLASSES)[::-1]]
            )
        ]
        assert {sha256(path) for path in mosaics} == {sha256(whole)}

    def test_gaps_have_no_data_and_the_first_with_data_wins(self, tmp_path: Path) -> None:
        first, second = np.full((4, 4), 2, np.uint8), np.full((4, 4), 8, np.uint8)
        first[1] = 0
        paths = [
            write_cog(tmp_path / "a.tif", first, crs=UTM, bounds=(0, 20, 40, 60), classes=CLASSES),
            write_cog(tmp_path / "b.tif", second, crs=UTM, bounds=(20, 0, 60, 40), classes=CLASSES),
            write_cog(tmp_path / "c.tif", second, crs=UTM, bounds=(0, 20, 40, 60), classes=CLASSES),
        ]
        with rasterio.open(mosaic_cogs(paths, tmp_path / "m.tif")) as dataset:
            assert dataset.read(1).tolist() == [
                [2, 2, 2, 2, 0, 0],
                [8, 8, 8, 8, 0, 0],
                [2, 2, 2, 2, 8, 8],
                [2, 2, 2, 2, 8, 8],
                [0, 0, 8, 8, 8, 8],
                [0, 0, 8, 8, 8, 8],
            ]

    def test_floats_with_nan_and_integers_without_no_data(self, tmp_path: Path) -> None:
        nan = float("nan")
        floats = [np.array([[[1, nan], [nan, nan]]], np.float32), np.array([[[5, 6], [7, nan]]], np.float32)]
        paths = [write_cog(tmp_path / f"f{i}.tif", a, crs=UTM, bounds=(0, 0, 20, 10)) for i, a in enumerate(floats)]
        with rasterio.open(mosaic_cogs(paths, tmp_path / "f.tif")) as dataset:
            np.testing.assert_array_equal(dataset.read(), [[[1, 7]], [[6, nan]]])
        counts = [np.array([[0, 3]], np.uint16), np.array([[4, 5]], np.uint16)]
        paths = [write_cog(tmp_path / f"i{i}.tif", a, crs=UTM, bounds=(0, 0, 20, 10)) for i, a in enumerate(counts)]
        with rasterio.open(mosaic_cogs(paths, tmp_path / "i.tif")) as dataset:
            assert dataset.read(1).tolist() == [[0, 3]]
            assert dataset.nodata is None

    def test_several_utm_zones(self, tmp_path: Path) -> None:
        image = np.full((5, 5), 2, np.uint8)
        bounds = (0, 0, 50, 50)
        west = write_cog(tmp_path / "w.tif", image, crs="EPSG:32633", bounds=bounds, classes=CLASSES)
        east = write_cog(tmp_path / "e.tif", image, crs="EPSG:32634", bounds=bounds, classes=CLASSES)
        with pytest.raises(GridError, match="EPSG:32633, EPSG:32634: make one mosaic for each"):
            mosaic_cogs([west, east], tmp_path / "map.tif")
        written = mosaic_cogs_by_crs([east, west], tmp_path / "map.tif")
        assert written == {
            "EPSG:32633": tmp_path / "map_EPSG32633.tif",
            "EPSG:32634": tmp_path / "map_EPSG32634.tif",
        }
        assert all(read_classes(path) == CLASSES for path in written.values())
        assert mosaic_cogs_by_crs([east], tmp_path / "map.tif") == {"EPSG:32634": tmp_path / "map.tif"}

    def test_refuses_maps_that_do_not_fit(self, tmp_path: Path) -> None:
        image = np.full((4, 4), 2, np.uint8)
        good = write_cog(tmp_path / "good.tif", image, crs=UTM, bounds=(0, 0, 40, 40), classes=CLASSES)
        others = {
            "another type": (image.astype(np.int16), (40, 0, 80, 40), {"nodata": 0}),
            "another class table": (image, (40, 0, 80, 40), {"nodata": 0}),
            "another no-data value": (image, (40, 0, 80, 40), {}),
            "another number of bands": (np.dstack([image, image]), (40, 0, 80, 40), {"nodata": 0}),
            "pixels of 20 x 20": (image, (40, 0, 120, 80), {"classes": CLASSES}),
            "off the grid": (image, (43, 0, 83, 40), {"classes": CLASSES}),
        }
        for message, (other, bounds, options) in others.items():
            path = write_cog(tmp_path / "other.tif", other, crs=UTM, bounds=bounds, **options)
            with pytest.raises(GridError, match=message):
                mosaic_cogs([good, path], tmp_path / "map.tif")
        for function in (mosaic_cogs, mosaic_cogs_by_crs):
            with pytest.raises(GridError, match="no maps to put together"):
                function([], tmp_path / "map.tif")
            with pytest.raises(ImageryError, match=r"nowhere\.tif"):
                function([good, tmp_path / "nowhere.tif"], tmp_path / "map.tif")
        assert not list(tmp_path.glob("map*"))
        assert not list(tmp_path.glob(".*"))

    def test_a_damaged_patch_leaves_no_mosaic(self, tmp_path: Path) -> None:
        paths = self.tiles(tmp_path, np.random.default_rng(0).integers(0, 9, (500, 1000)).astype(np.uint8))
        size = paths[1].stat().st_size
        with paths[1].open("r+b") as file:
            file.truncate(size // 2)
        with pytest.raises(ImageryError, match=r"0_500\.tif"):
            mosaic_cogs(paths, tmp_path / "map.tif")
        assert files(tmp_path) == ["0_0.tif", "0_500.tif"]


@pytest.mark.parametrize("error", [CPLE_AppDefinedError(3, 1, "IO error"), OSError(5, "EIO"), RasterioIOError("no")])
def test_a_disk_that_fails_is_told_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Errors of GDAL come out of copying as they are."""

    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("rasterio.shutil.copy", fails)
    with pytest.raises(StorageError, match=r"a\.tif"):
        write_cog(tmp_path / "a.tif", np.ones((4, 4), np.uint8), crs=32633, bounds=(0, 0, 40, 40))
    assert list(tmp_path.iterdir()) == []
