from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyproj
import pytest
import rasterio
import rasterio.features
import shapely
from affine import Affine
from eolearn.core import EOPatch, FeatureType
from eolearn.geometry import ErosionTask
from eolearn.ml_tools import FractionSamplingTask
from sentinelhub import CRS, BBox

from eotasks.errors import ConfigurationError, FeatureError, GridError, ReferenceDataError
from eotasks.reference.labels import check_vector_labels
from eotasks.reference.tasks import ErodeReferenceTask, ImportReferenceRasterTask, RasterizeReferenceTask, SampleTask
from eotasks.sources.sample import SAMPLE_BBOX, sample_reference_path

LULC = (FeatureType.MASK_TIMELESS, "LULC")
ERODED = (FeatureType.MASK_TIMELESS, "LULC_ERODED")
VECTORS = (FeatureType.VECTOR_TIMELESS, "FIELDS")
LEFT, TOP = 500_000.0, 5_100_000.0
SAMPLE_CLASSES = {
    "farm": 1, "forest": 2, "grass": 3, "meadow": 3, "scrub": 4, "water": 5, "wetland": 6, "residential": 8,
}  # fmt: skip


def patch(height: int = 10, width: int = 12, resolution: float = 10, column: int = 0) -> EOPatch:
    left = LEFT + column * resolution
    bbox = BBox((left, TOP - height * resolution, left + width * resolution, TOP), CRS("EPSG:32633"))
    eopatch = EOPatch(bbox=bbox, timestamps=["2020-01-01", "2020-02-01"])
    eopatch[FeatureType.MASK, "IS_DATA"] = np.ones((2, height, width, 1), bool)
    return eopatch


def box(left: int, top: int, right: int, bottom: int) -> shapely.Polygon:
    """Pixels of 10 m counted from the top left corner of the patch."""
    return shapely.box(LEFT + 10 * left, TOP - 10 * bottom, LEFT + 10 * right, TOP - 10 * top)


def fields(*rows: tuple[Any, Any], column: str = "lulcid", crs: str | None = "EPSG:32633") -> gpd.GeoDataFrame:
    values, shapes = zip(*rows, strict=True)
    return gpd.GeoDataFrame({column: list(values), "other": "x"}, geometry=list(shapes), crs=crs)


def rasterize(frame: gpd.GeoDataFrame, eopatch: EOPatch | None = None, **options: Any) -> np.ndarray:
    eopatch = eopatch or patch()
    eopatch[VECTORS] = frame
    result = RasterizeReferenceTask(LULC, source=VECTORS, **options).execute(eopatch)[LULC]
    assert result.shape == (*eopatch[FeatureType.MASK, "IS_DATA"].shape[1:3], 1)
    assert result.dtype == np.uint8
    return result[..., 0]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "the labels.gpkg"
    fields((1, box(0, 0, 4, 10)), (7, box(6, 2, 8, 4))).to_file(path, layer="fields", engine="pyogrio")
    return path


class TestRasterize:
    def test_pixels_whose_centre_is_inside(self) -> None:
        labels = rasterize(fields((1, box(0, 0, 4, 10)), (7, box(6, 2, 8, 4))))
        expected = np.zeros((10, 12), np.uint8)
        expected[:, :4] = 1
        expected[2:4, 6:8] = 7
        np.testing.assert_array_equal(labels, expected)

    def test_all_touched(self) -> None:
        sliver = shapely.box(LEFT + 11, TOP - 19, LEFT + 13, TOP - 11)
        assert rasterize(fields((5, sliver))).sum() == 0
        assert rasterize(fields((5, sliver)), all_touched=True)[1, 1] == 5

    def test_file_and_feature_agree(self, saved: Path) -> None:
        frame = gpd.read_file(saved, engine="pyogrio")
        for source in (saved, str(saved)):
            from_file = RasterizeReferenceTask(LULC, source=source).execute(patch())[LULC][..., 0]
            np.testing.assert_array_equal(from_file, rasterize(frame))

    @pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32634", "EPSG:3035"])
    def test_other_coordinate_systems(self, tmp_path: Path, crs: str) -> None:
        frame = fields((1, box(0, 0, 4, 10)), (7, box(6, 2, 8, 4)))
        frame.to_crs(crs).to_file(tmp_path / "moved.gpkg", engine="pyogrio")
        moved = RasterizeReferenceTask(LULC, source=tmp_path / "moved.gpkg").execute(patch())[LULC][..., 0]
        np.testing.assert_array_equal(moved, rasterize(frame))

    @pytest.mark.parametrize(
        ("overlap", "expected"),
        [
            ("smallest", [1, 1, 2, 2, 3, 3, 2, 2, 1, 1]),
            ("largest", [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
            ("last", [1, 1, 2, 2, 2, 2, 2, 2, 1, 1]),
            ("exclude", [1, 1, 0, 0, 0, 0, 0, 0, 1, 1]),
        ],
    )
    def test_overlap(self, overlap: str, expected: list[int]) -> None:
        frame = fields((3, box(4, 0, 6, 1)), (1, box(0, 0, 10, 1)), (2, box(2, 0, 8, 1)))
        labels = rasterize(frame, patch(1, 10), overlap=overlap)
        assert labels[0].tolist() == expected

    def test_polygons_of_one_class_may_overlap(self) -> None:
        frame = fields((3, box(0, 0, 6, 1)), (3, box(4, 0, 10, 1)))
        assert rasterize(frame, patch(1, 10), overlap="exclude").tolist() == [[3] * 10]

    @pytest.mark.parametrize("overlap", ["smallest", "largest"])
    def test_neighbouring_patches_agree_on_an_overlap(self, overlap: str) -> None:
        # Only a corner of the large polygon lies in the right patch; it is the larger one there too.
        frame = fields((1, box(0, 0, 14, 10)), (2, box(11, 0, 24, 10)))
        whole = rasterize(frame, patch(10, 24), overlap=overlap)
        halves = [rasterize(frame, patch(10, 12, column=column), overlap=overlap) for column in (0, 12)]
        np.testing.assert_array_equal(np.hstack(halves), whole)

    @pytest.mark.parametrize("overlap", ["smallest", "largest", "exclude"])
    def test_the_order_of_the_file_does_not_decide(self, overlap: str) -> None:
        random = np.random.default_rng(5)
        corners = random.integers(0, 8, (12, 2))
        rows = [(i + 1, box(x, y, x + i // 3 + 1, y + i % 3 + 1)) for i, (x, y) in enumerate(corners.tolist())]
        rows = [row for i, row in enumerate(rows) if row[1].area not in [other[1].area for other in rows[:i]]]
        frame = fields(*rows)
        shuffled = frame.sample(frac=1, random_state=3)
        np.testing.assert_array_equal(rasterize(frame, overlap=overlap), rasterize(shuffled, overlap=overlap))

    @pytest.mark.parametrize(
        ("values", "classes", "expected"),
        [
            (["wood", "lake"], {"wood": 2, "lake": 5}, [2, 5]),
            ([1300, 3000], {1300: 3, 3000: 8}, [3, 8]),
            ([1300, 3000], {"1300": 3, "3000": 8}, [3, 8]),  # keys of a TOML table are text
            ([1300.0, None], {1300: 3}, [3, 0]),
            (["wood", None], {"wood": 2}, [2, 0]),
            (["wood", "quarry"], {"wood": 2, "quarry": 0}, [2, 0]),
            ([4, 0], None, [4, 0]),
            ([4.0, None], None, [4, 0]),
        ],
        ids=str,
    )
    def test_any_label_set(self, values: list[Any], classes: dict[Any, int] | None, expected: list[int]) -> None:
        frame = fields((values[0], box(0, 0, 1, 1)), (values[1], box(1, 0, 2, 1)))
        assert rasterize(frame, patch(1, 2), classes=classes).tolist() == [expected]

    def test_a_value_without_class(self) -> None:
        frame = fields(("wood", box(0, 0, 1, 1)), ("quarry", box(1, 0, 2, 1)))
        with pytest.raises(ReferenceDataError, match=r"vector_timeless/FIELDS have no class: 'quarry'; add"):
            rasterize(frame, patch(1, 2), classes={"wood": 2})
        assert rasterize(frame, patch(1, 2), classes={"wood": 2}, ignore_unmapped=True).tolist() == [[2, 0]]

    @pytest.mark.parametrize("value", ["wood", 256, -1, 2.5])
    def test_a_value_that_is_no_id(self, value: object) -> None:
        with pytest.raises(ReferenceDataError, match="no class ids from 0 to 255"):
            rasterize(fields((value, box(0, 0, 1, 1))))

    def test_repairs_geometries(self) -> None:
        x, y = LEFT, TOP
        bow_tie = shapely.Polygon([(x, y), (x + 100, y - 100), (x + 100, y), (x, y - 100)])
        labels = rasterize(fields((4, bow_tie), (1, None), (1, shapely.Polygon())), patch(10, 10), all_touched=True)
        assert labels[5, 0] == labels[5, 9] == 4
        assert labels[0, 5] == labels[9, 5] == 0

    def test_three_dimensions_and_multipolygons(self) -> None:
        shape = shapely.force_3d(shapely.MultiPolygon([box(0, 0, 1, 1), box(3, 0, 4, 1)]), 200.0)
        assert rasterize(fields((6, shape)), patch(1, 4)).tolist() == [[6, 0, 0, 6]]

    def test_a_polygon_that_the_projection_cannot_show_whole(self) -> None:
        world = shapely.box(-180, -90, 180, 90)
        assert (rasterize(fields((9, world), crs="EPSG:4326")) == 9).all()

    def test_edges_stay_straight_in_their_own_system(self) -> None:
        # The 46th parallel bends by 7 pixels over this patch; a polygon with corners at its ends only must follow it.
        eopatch = patch(40, 3000)
        south = shapely.box(15.0, 40.0, 15.5, 46.053)
        labels = rasterize(fields((1, south), crs="EPSG:4326"), eopatch)
        rows = (labels == 0).sum(axis=0)
        transformer = pyproj.Transformer.from_crs(32633, 4326, always_xy=True)
        columns, lines = np.meshgrid(LEFT + 10 * np.arange(3000) + 5, TOP - 10 * np.arange(40) - 5)
        longitude, latitude = transformer.transform(columns, lines)
        expected = ((latitude > 46.053) | (longitude < 15.0)).sum(axis=0)
        np.testing.assert_array_equal(rows, expected)
        assert rows.max() - rows.min() >= 4

    def test_no_polygon_here(self, tmp_path: Path) -> None:
        far = fields((1, shapely.box(0, 0, 1, 1)))
        far.to_file(tmp_path / "far.gpkg", engine="pyogrio")
        assert not rasterize(far).any()
        assert not RasterizeReferenceTask(LULC, source=tmp_path / "far.gpkg").execute(patch())[LULC].any()
        assert not rasterize(far.iloc[:0]).any()

    def test_leaves_the_vectors_alone(self) -> None:
        frame = fields((1, box(0, 0, 4, 10)), (7, shapely.force_3d(box(6, 2, 8, 4))))
        before = frame.copy(deep=True)
        rasterize(frame, overlap="largest")
        assert frame.equals(before)

    def test_missing_things_are_named(self, saved: Path, tmp_path: Path) -> None:
        def run(**options: Any) -> None:
            RasterizeReferenceTask(LULC, **{"source": saved, **options}).execute(patch())

        with pytest.raises(ReferenceDataError, match=r"no label file .*nowhere\.gpkg"):
            run(source=tmp_path / "nowhere.gpkg")
        with pytest.raises(
            ReferenceDataError, match=r"no column 'LULC_ID' \(did you mean 'lulcid'\?\), but 'lulcid', 'other'"
        ):
            run(column="LULC_ID")
        with pytest.raises(ReferenceDataError, match="no layer 'fieldz'"):
            run(layer="fieldz")
        (tmp_path / "broken.gpkg").write_bytes(b"no geopackage")
        with pytest.raises(ReferenceDataError, match="Cannot read the label file"):
            run(source=tmp_path / "broken.gpkg")
        with pytest.raises(FeatureError, match=r"mask/NOTHING is not in the EOPatch \(there: mask/IS_DATA\)"):
            run(shape_feature=(FeatureType.MASK, "NOTHING"))
        with pytest.raises(FeatureError, match="vector_timeless/FIELDS is not in the EOPatch"):
            run(source=VECTORS)
        with pytest.raises(ReferenceDataError, match="no column 'id', but 'lulcid', 'other'"):
            rasterize(fields((1, box(0, 0, 1, 1))), column="id")

    def test_several_layers_want_a_choice(self, saved: Path) -> None:
        fields((3, box(0, 0, 12, 10))).to_file(saved, layer="other", engine="pyogrio", mode="a")
        with pytest.raises(ReferenceDataError, match="layers 'fields', 'other'"):
            RasterizeReferenceTask(LULC, source=saved).execute(patch())
        assert (RasterizeReferenceTask(LULC, source=saved, layer="other").execute(patch())[LULC] == 3).all()

    def test_without_coordinate_system(self, tmp_path: Path) -> None:
        with pytest.raises(GridError, match="no coordinate system"):
            rasterize(fields((1, box(0, 0, 1, 1)), crs=None))
        (tmp_path / "bare.geojson").write_text("{}")
        # A shapefile without its .prj is how such files come about.
        fields((1, box(0, 0, 1, 1))).to_file(tmp_path / "bare.shp", engine="pyogrio")
        (tmp_path / "bare.prj").unlink()
        with pytest.raises(GridError, match=r"bare\.shp has no coordinate system"):
            RasterizeReferenceTask(LULC, source=tmp_path / "bare.shp").execute(patch())

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"overlap": "biggest"}, "overlap='biggest'"),
            ({"classes": {}}, "classes is empty"),
            ({"classes": {"a": 256}}, "'a' to 256"),
            ({"classes": {"a": True}}, "'a' to True"),
            ({"classes": {1: 2, "1": 3}}, "'1' twice"),
            ({"source": (FeatureType.DATA, "X")}, "VECTOR_TIMELESS"),
            ({"shape_feature": (FeatureType.SCALAR, "X")}, "FeatureType.MASK"),
        ],
        ids=str,
    )
    def test_refuses_configurations(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigurationError, match=message):
            RasterizeReferenceTask(LULC, **{"source": VECTORS, **options})

    def test_the_sample_reference(self) -> None:
        eopatch = EOPatch(bbox=SAMPLE_BBOX)
        eopatch[FeatureType.MASK_TIMELESS, "GRID"] = np.zeros((384, 768, 1), np.uint8)
        task = RasterizeReferenceTask(
            LULC,
            source=sample_reference_path(),
            column="fclass",
            classes=SAMPLE_CLASSES,
            shape_feature=(FeatureType.MASK_TIMELESS, "GRID"),
        )
        labels = pickle.loads(pickle.dumps(task)).execute(eopatch)[LULC]
        assert set(np.unique(labels).tolist()) == {0, *SAMPLE_CLASSES.values()}
        assert 0.25 < (labels != 0).mean() < 0.5  # "about a third", many of it forest

    @pytest.mark.parametrize("overlap", ["smallest", "largest", "last", "exclude"])
    def test_the_farm_register_gives_the_raster_of_the_real_patch_again(self, shared_data: Path, overlap: str) -> None:
        real = EOPatch.load(str(shared_data / "slovenia" / "eopatch"), features=[LULC, (FeatureType.MASK, "IS_DATA")])
        ours = (FeatureType.MASK_TIMELESS, "OURS")
        source = shared_data / "slovenia" / "eopatch" / "vector_timeless" / "LULC.gpkg"
        RasterizeReferenceTask(ours, source=source, column="LULC_ID", overlap=overlap).execute(real)
        np.testing.assert_array_equal(real[ours], real[LULC])

    def test_checking_a_file_before_the_work(self, saved: Path) -> None:
        found = check_vector_labels(sample_reference_path(), column="fclass", classes=SAMPLE_CLASSES)
        assert sum(found.values()) == 604
        assert set(found) == set(SAMPLE_CLASSES.values())
        with pytest.raises(ReferenceDataError, match="have no class: 7; add"):
            check_vector_labels(saved, column="lulcid", classes={1: 1})
        with pytest.raises(ReferenceDataError, match="no column"):
            check_vector_labels(saved, column="nothing")


class TestImportRaster:
    @staticmethod
    def write(path: Path, values: np.ndarray, *, crs: str | None = "EPSG:32633", size: float = 10, **more: Any) -> Path:
        profile = {
            "driver": "GTiff", "count": 1, "height": values.shape[0], "width": values.shape[1], "dtype": values.dtype,
            "transform": Affine(size, 0, LEFT, 0, -size, TOP), "crs": crs,
        }  # fmt: skip
        with rasterio.open(path, "w", **profile | more) as dataset:
            dataset.write(values, 1)
        return path

    @staticmethod
    def labels(path: Path, eopatch: EOPatch | None = None, **options: Any) -> np.ndarray:
        result = ImportReferenceRasterTask(LULC, path=path, **options).execute(eopatch or patch())[LULC]
        assert result.dtype == np.uint8
        return result[..., 0]

    def test_same_grid(self, tmp_path: Path) -> None:
        values = np.random.default_rng(0).integers(0, 200, (10, 12)).astype(np.uint8)
        path = self.write(tmp_path / "map.tif", values)
        np.testing.assert_array_equal(self.labels(path), values)
        np.testing.assert_array_equal(self.labels(path, patch(10, 6, column=6)), values[:, 6:])

    def test_outside_and_no_data_are_unlabelled(self, tmp_path: Path) -> None:
        values = np.array([[0, 1], [1, 99]], np.int16)
        classes = {0: 5, 1: 6, 99: 7}
        with_nodata = self.labels(self.write(tmp_path / "a.tif", values, nodata=99), patch(3, 3), classes=classes)
        assert with_nodata.tolist() == [[5, 6, 0], [6, 0, 0], [0, 0, 0]]
        without = self.labels(self.write(tmp_path / "b.tif", values), patch(3, 3), classes=classes)
        assert without.tolist() == [[5, 6, 0], [6, 7, 0], [0, 0, 0]]

    def test_coarser_and_finer(self, tmp_path: Path) -> None:
        coarse = self.write(tmp_path / "coarse.tif", np.array([[1, 2]], np.uint8), size=20)
        assert self.labels(coarse, patch(2, 4)).tolist() == [[1, 1, 2, 2], [1, 1, 2, 2]]
        tile = np.array([[1, 1, 3, 3], [1, 2, 3, 3], [1, 1, 3, 4], [1, 1, 3, 3]], np.uint8)
        fine = self.write(tmp_path / "fine.tif", tile, size=5)
        assert self.labels(fine, patch(2, 2), resampling="mode").tolist() == [[1, 3], [1, 3]]

    def test_other_coordinate_system(self, tmp_path: Path) -> None:
        frame = fields((1, box(0, 0, 4, 10)), (7, box(6, 2, 8, 4)))
        expected = rasterize(frame)
        # The same map on a fine geographic grid: at most pixels at the edges of fields can differ.
        left, bottom, right, top = patch().bbox.transform(CRS.WGS84)
        transform = Affine((right - left) / 2400, 0, left, 0, (bottom - top) / 2000, top)
        values = rasterio.features.rasterize(
            zip(frame.to_crs(4326).geometry, frame.lulcid, strict=True),
            (2000, 2400),
            transform=transform,
            dtype="uint8",
        )
        path = self.write(tmp_path / "geo.tif", values, crs="EPSG:4326", transform=transform)
        np.testing.assert_array_equal(self.labels(path), expected)

    def test_errors_name_the_thing(self, tmp_path: Path) -> None:
        path = self.write(tmp_path / "map.tif", np.array([[1, 2], [3, 3]], np.uint8))
        with pytest.raises(ReferenceDataError, match=r"map\.tif have no class: 2, 3; add"):
            self.labels(path, classes={1: 1})
        assert self.labels(path, patch(2, 2), classes={1: 4}, ignore_unmapped=True).tolist() == [[4, 0], [0, 0]]
        with pytest.raises(ReferenceDataError, match=r"1 band\(s\), no band 2"):
            self.labels(path, band=2)
        with pytest.raises(ReferenceDataError, match=r"Cannot read the label raster .*nowhere\.tif"):
            self.labels(tmp_path / "nowhere.tif")
        with pytest.raises(GridError, match="no coordinate system"):
            self.labels(self.write(tmp_path / "bare.tif", np.ones((2, 2), np.uint8), crs=None))
        with pytest.raises(ReferenceDataError, match="no class ids"):
            self.labels(self.write(tmp_path / "big.tif", np.full((2, 2), 300, np.int16)))
        with pytest.raises(ConfigurationError, match="band=0"):
            ImportReferenceRasterTask(LULC, path=path, band=0)
        with pytest.raises(ConfigurationError, match="bilinear"):
            ImportReferenceRasterTask(LULC, path=path, resampling="bilinear")


class TestErode:
    @staticmethod
    def square() -> EOPatch:
        eopatch = patch(35, 35)
        labels = np.zeros((35, 35, 1), np.uint8)
        labels[10:25, 10:25] = 2
        eopatch[LULC] = labels
        return eopatch

    def test_trap_eo_learn_takes_the_radius_for_the_size(self) -> None:
        theirs = ErosionTask((*LULC, "LULC_ERODED"), disk_radius=1).execute(self.square())
        ours = ErodeReferenceTask(LULC, ERODED, radius=1).execute(self.square())
        assert np.count_nonzero(theirs[ERODED]) == 225  # nothing is eroded
        assert np.count_nonzero(ours[ERODED]) == 13 * 13

    def test_leaves_the_labels_alone(self) -> None:
        eopatch = self.square()
        before = eopatch[LULC].copy()
        result = ErodeReferenceTask(LULC, ERODED, radius=2, no_data=9).execute(eopatch)
        np.testing.assert_array_equal(result[LULC], before)
        assert np.count_nonzero(result[ERODED] == 2) == 121
        assert result[ERODED].shape == before.shape

    def test_errors(self) -> None:
        with pytest.raises(FeatureError, match="mask_timeless/LULC is not in the EOPatch"):
            ErodeReferenceTask(LULC, ERODED).execute(patch())
        with pytest.raises(ConfigurationError, match=r"radius=0\.5"):
            ErodeReferenceTask(LULC, ERODED, radius=0.5)
        eopatch = patch()
        eopatch[LULC] = np.zeros((10, 12, 2), np.uint8)
        with pytest.raises(FeatureError, match=r"\(10, 12, 2\): labels are"):
            ErodeReferenceTask(LULC, ERODED).execute(eopatch)


class TestSample:
    FEATURES = (FeatureType.DATA, "FEATURES")
    SAMPLED = (FeatureType.DATA, "FEATURES_SAMPLED")
    LABELS = (FeatureType.MASK_TIMELESS, "LULC_ERODED_SAMPLED")
    POSITIONS = (FeatureType.MASK_TIMELESS, "SAMPLE_ROWS_COLS")

    def patch(self, column: int = 0) -> EOPatch:
        eopatch = patch(20, 30, column=column)
        random = np.random.default_rng(0)
        eopatch[self.FEATURES] = random.random((2, 20, 30, 3), np.float32)
        eopatch[ERODED] = random.choice(np.array([0, 1, 2, 8], np.uint8), (20, 30, 1))
        return eopatch

    def test_samples_are_the_pixels_they_say(self) -> None:
        eopatch = self.patch()
        features, labels = eopatch[self.FEATURES].copy(), eopatch[ERODED].copy()
        result = SampleTask(ERODED, [self.FEATURES], per_class=20).execute(eopatch)
        positions = result[self.POSITIONS]
        assert positions.shape == (60, 1, 2)
        assert positions.dtype == np.int32
        rows, columns = positions[:, 0].T
        assert result[self.SAMPLED].shape == (2, 60, 1, 3)
        assert result[self.SAMPLED].dtype == np.float32
        np.testing.assert_array_equal(result[self.SAMPLED][:, :, 0], features[:, rows, columns])
        np.testing.assert_array_equal(result[self.LABELS][:, 0], labels[rows, columns])
        np.testing.assert_array_equal(result[self.FEATURES], features)
        assert np.bincount(result[self.LABELS].ravel()).tolist() == [0, 20, 20, 0, 0, 0, 0, 0, 20]

    def test_renames(self) -> None:
        task = SampleTask(ERODED, [(*self.FEATURES, "X"), (*ERODED, "Y")], fraction=0.1, suffix="_S")
        result = task.execute(self.patch())
        assert (FeatureType.DATA, "X") in result
        assert (FeatureType.MASK_TIMELESS, "Y") in result
        assert (FeatureType.MASK_TIMELESS, "LULC_ERODED_S") not in result

    def test_patches_differ_and_repeat(self) -> None:
        task = SampleTask(ERODED, [self.FEATURES], fraction=0.25, seed=7)

        def draw(column: int = 0, **options: Any) -> list[Any]:
            return task.execute(self.patch(column), **options)[self.POSITIONS].tolist()

        assert draw() == draw()
        assert draw() != draw(column=30)
        assert draw(name="a") == draw(30, name="a")
        assert draw(name="a") != draw(name="b")
        assert draw(name="a") == draw(name="a", seed=7)
        assert draw(name="a") != draw(name="a", seed=8)

    def test_trap_eo_learn_ignores_a_scalar_fraction(self) -> None:
        theirs = FractionSamplingTask([(*ERODED, "S")], ERODED, fraction=1.0, exclude_values=[0])
        labelled = np.count_nonzero(self.patch()[ERODED])
        for fraction in (0.9, 0.0):
            result = theirs.execute(self.patch(), seed=1, fraction=fraction)
            assert result[FeatureType.MASK_TIMELESS, "S"].shape[0] == labelled  # as if nothing had been said
        ours = SampleTask(ERODED, [], fraction=0.0).execute(self.patch())
        assert ours[self.LABELS].shape == (0, 1, 1)
        most = SampleTask(ERODED, [], fraction=0.9).execute(self.patch())
        assert most[self.LABELS].shape[0] == pytest.approx(0.9 * labelled, abs=2)

    def test_a_patch_without_labels_gives_no_samples(self) -> None:
        eopatch = self.patch()
        eopatch[ERODED] = np.zeros((20, 30, 1), np.uint8)
        result = SampleTask(ERODED, [self.FEATURES], fraction=0.5).execute(eopatch)
        assert result[self.SAMPLED].shape == (2, 0, 1, 3)
        assert result[self.POSITIONS].shape == (0, 1, 2)

    def test_errors(self) -> None:
        with pytest.raises(ConfigurationError, match="either fraction"):
            SampleTask(ERODED, [self.FEATURES])
        with pytest.raises(ConfigurationError, match="suffix is empty"):
            SampleTask(ERODED, [self.FEATURES], fraction=1, suffix="")
        with pytest.raises(ConfigurationError, match="SCALAR"):
            SampleTask(ERODED, [(FeatureType.SCALAR, "X")], fraction=1)
        with pytest.raises(FeatureError, match="data/NOTHING is not in the EOPatch"):
            SampleTask(ERODED, [(FeatureType.DATA, "NOTHING")], fraction=1).execute(self.patch())
        eopatch = self.patch()
        eopatch[FeatureType.DATA_TIMELESS, "SMALL"] = np.zeros((5, 6, 1))
        with pytest.raises(FeatureError, match=r"\(5, 6\) rows and columns, the labels \(20, 30\)"):
            SampleTask(ERODED, [(FeatureType.DATA_TIMELESS, "SMALL")], fraction=1).execute(eopatch)
        assert self.SAMPLED not in eopatch
