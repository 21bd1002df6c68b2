"""Statistics of an EOPatch: against exactextract called by hand, and what masks, polygons and gaps do to them."""

from __future__ import annotations

import pickle

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from eolearn.core import EOPatch, FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.errors import BandError, ConfigurationError, FeatureError, PolygonWarning
from eotasks.models.sentinel2 import BANDS, CLOUD_BANDS
from eotasks.models.series import normalized_difference
from eotasks.zonal.spectrum import with_mean_spectrum_probability
from eotasks.zonal.task import ZonalStatisticsTask
from eotasks.zonal.vocabulary import Status, columns
from tests.builders.zonal.patches import BY_HAND, LEFT, SIZE, TIMES, TOP, by_hand, some_polygons, zonal_patch

NDVI, B04 = "NDVI", BANDS.index("B04")
DATA_BANDS, CLM, SHADOW, IS_DATA = (
    (FeatureType.DATA, "BANDS"), (FeatureType.MASK, "CLM"), (FeatureType.MASK, "SHADOW"), (FeatureType.MASK, "IS_DATA"),
)  # fmt: skip


@pytest.fixture(scope="module")
def patch() -> EOPatch:
    return zonal_patch()


@pytest.fixture(scope="module")
def table(patch: EOPatch) -> pd.DataFrame:
    task = ZonalStatisticsTask(some_polygons(), indices=[NDVI, "B04"], percentiles=(5, 95), id_column="name")
    return pickle.loads(pickle.dumps(task)).statistics(patch)


def counted(patch: EOPatch, over: str) -> np.ndarray:
    data = patch[IS_DATA][..., 0]
    hidden = (patch[CLM] == 1)[..., 0] | (patch[SHADOW] == 1)[..., 0]
    return data & ~hidden if over == "clear" else data


@pytest.mark.parametrize("over", ["clear", "all"])
@pytest.mark.parametrize("band", [NDVI, "B04"])
def test_equals_exactextract_called_by_hand(patch: EOPatch, table: pd.DataFrame, band: str, over: str) -> None:
    bands = patch[DATA_BANDS]
    index = BANDS.index("B08")
    values = normalized_difference(bands[..., index], bands[..., B04]) if band == NDVI else bands[..., B04]
    rows = table[(table.band == band) & (table.over == over)]
    for number, time in enumerate(TIMES):
        ours = rows[rows.time == pd.Timestamp(time, tz="UTC")]
        theirs = by_hand(values[number], counted(patch, over)[number], tuple(patch.bbox), some_polygons())
        assert len(ours) == 5
        for name, other in BY_HAND.items():
            np.testing.assert_allclose(ours[name].to_numpy(), theirs[other].to_numpy(), rtol=1e-9, atol=1e-9)


def test_columns_are_those_of_the_vocabulary(table: pd.DataFrame) -> None:
    assert list(table.columns) == columns([5, 95])
    assert str(table.time.dtype) == "datetime64[ns, UTC]"


def test_fractions_and_the_clear_part_make_the_polygon(table: pd.DataFrame) -> None:
    areas = some_polygons().area / SIZE**2
    first = table[(table.time == pd.Timestamp(TIMES[0], tz="UTC")) & (table.band == "B04")]
    clear, whole = first[first.over == "clear"], first[first.over == "all"]
    np.testing.assert_allclose(clear.area_pixels, areas, rtol=1e-6)
    np.testing.assert_allclose(whole.pixels, clear.area_pixels * (1 - clear.no_data_fraction), rtol=1e-6)
    assert clear.no_data_fraction.iloc[-1] > 55 / 97  # what of the last one lies beside the patch
    hidden = clear.cloud_fraction + clear.shadow_fraction + clear.no_data_fraction
    np.testing.assert_allclose(clear.pixels, clear.area_pixels * (1 - hidden), rtol=1e-6, atol=1e-6)


def test_a_field_smaller_than_a_pixel_has_its_pixel(patch: EOPatch, table: pd.DataFrame) -> None:
    row = table[(table.id == "small") & (table.band == "B04") & (table.over == "all")].iloc[0]
    assert row.area_pixels == pytest.approx(0.05)
    value = float(patch[DATA_BANDS][0, 3, 21, B04])
    assert row[["mean", "min", "max", "median", "p05"]].astype(float).tolist() == pytest.approx([value] * 5)
    assert row["std"] == 0.0


def test_clouds_are_not_averaged_into_the_field() -> None:
    """The common mistake: bright clouds over half of a meadow halve its NDVI."""
    patch = zonal_patch()
    bands = np.zeros_like(patch[DATA_BANDS])
    bands[..., B04], bands[..., BANDS.index("B08")] = 0.05, 0.45
    bands[:, :, :20] = 0.6  # cloud: an NDVI of 0
    patch[DATA_BANDS] = bands
    patch[CLM] = np.broadcast_to((np.arange(40) < 20)[:, np.newaxis], patch[CLM].shape).astype(np.uint8)
    patch[SHADOW], patch[IS_DATA] = np.zeros_like(patch[SHADOW]), np.ones_like(patch[IS_DATA])
    field = gpd.GeoDataFrame(geometry=[shapely.box(LEFT + 100, TOP - 200, LEFT + 300, TOP - 100)], crs=32633)
    found = ZonalStatisticsTask(field).statistics(patch).set_index("over")
    assert found.loc["clear", "mean"].to_numpy() == pytest.approx(0.8)
    assert found.loc["all", "mean"].to_numpy() == pytest.approx(0.4)
    assert found["cloud_fraction"].to_numpy() == pytest.approx(0.5)


def test_status_says_why_there_is_no_number() -> None:
    patch = zonal_patch()
    data, cloud = np.ones_like(patch[IS_DATA]), np.zeros_like(patch[CLM])
    data[0], cloud[1] = False, 1
    patch[IS_DATA], patch[CLM], patch[SHADOW] = data, cloud, np.zeros_like(patch[SHADOW])
    shapes = [shapely.box(LEFT + 100, TOP - 200, LEFT + 200, TOP - 100), shapely.Point(0, 0).buffer(9), None]
    with pytest.warns(PolygonWarning, match="1 without an area"):
        table = ZonalStatisticsTask(gpd.GeoDataFrame(geometry=shapes, crs=32633)).statistics(patch)
    clear = table[table.over == "clear"]
    assert clear.status.tolist() == [
        Status.NO_DATA, Status.NO_CLEAR_PIXEL, Status.OK, Status.OUTSIDE, Status.EMPTY,
    ]  # fmt: skip
    assert table[table.over == "all"].status.tolist()[:2] == [Status.NO_DATA, Status.OK]
    assert clear["mean"].isna().tolist() == [True, True, False, True, True]
    assert clear.time.isna().tolist() == [False, False, False, True, True]
    assert clear.no_data_fraction.tolist()[:3] == [1.0, 0.0, 0.0]


def test_an_index_of_nothing_by_nothing_is_left_out() -> None:
    patch = zonal_patch()
    patch[CLM], patch[SHADOW] = np.zeros_like(patch[CLM]), np.zeros_like(patch[SHADOW])
    patch[IS_DATA] = np.ones_like(patch[IS_DATA])
    dark = gpd.GeoDataFrame(geometry=[shapely.box(LEFT + 30, TOP - 60, LEFT + 60, TOP - 30)], crs=32633)
    first = ZonalStatisticsTask(dark, indices=[NDVI, "B04"]).statistics(patch).iloc[:4].set_index(["band", "over"])
    assert first.loc[(NDVI, "all"), "status"] == Status.NO_DATA
    assert first.loc[("B04", "all"), ["mean", "pixels", "no_data_fraction"]].tolist() == [0.0, 9.0, 0.0]


def test_digital_numbers_give_the_same_as_reflectance(patch: EOPatch) -> None:
    """Indices with constants and the bands themselves, and so what the cloud model says of mean spectra."""
    task = ZonalStatisticsTask(some_polygons(), indices=["EVI", "SAVI", "X=B04/(B08+0.1)", *CLOUD_BANDS])
    dn = patch.copy()
    dn[DATA_BANDS] = np.rint(patch[DATA_BANDS] * 10_000).astype(np.uint16)
    found, expected = (with_mean_spectrum_probability(task.statistics(each)) for each in (dn, patch))
    assert expected["mean_spectrum_cloud_probability"].notna().all()
    pd.testing.assert_frame_equal(found, expected, rtol=1e-5, atol=1e-6)
    assert found.loc[found.band == "B04", "max"].max() < 0.51


def test_other_systems_give_the_same(patch: EOPatch, table: pd.DataFrame) -> None:
    moved = some_polygons().to_crs(4326)
    found = ZonalStatisticsTask(moved, indices=[NDVI, "B04"], percentiles=(5, 95), id_column="name").statistics(patch)
    # not min, max and percentiles: edges that lay between pixels now touch the next ones, with a billionth of them
    numbers = ["mean", "std", "pixels", "area_pixels", "cloud_fraction", "shadow_fraction", "no_data_fraction"]
    np.testing.assert_allclose(found[numbers], table[numbers], rtol=1e-5, atol=1e-5)


def test_adds_a_vector_and_changes_nothing_else(patch: EOPatch, table: pd.DataFrame) -> None:
    arrays = {feature: patch[feature].copy() for feature in (DATA_BANDS, CLM, SHADOW, IS_DATA)}
    task = ZonalStatisticsTask(
        (FeatureType.VECTOR_TIMELESS, "FIELDS"), indices=[NDVI, "B04"], percentiles=(5, 95), id_column="name"
    )
    copy = patch.copy()
    copy[FeatureType.VECTOR_TIMELESS, "FIELDS"] = some_polygons()
    vector = task.execute(copy)[FeatureType.VECTOR, "FIELD_STATISTICS"]
    assert vector.TIMESTAMP.tolist() == table.time.dt.tz_convert(None).tolist()
    assert vector["mean"].tolist() == pytest.approx(table["mean"].tolist(), nan_ok=True)
    assert vector.crs == some_polygons().crs
    assert vector.geometry.iloc[0].equals(some_polygons().geometry.iloc[0])
    for feature, before in arrays.items():
        np.testing.assert_array_equal(copy[feature], before)


def test_patches_in_degrees_count_their_own_pixels() -> None:
    patch = zonal_patch(4, 4)
    patch.bbox = BBox((15.0, 45.0, 15.0008, 45.0004), CRS.WGS84)
    field = gpd.GeoDataFrame(geometry=[shapely.box(15.0002, 45.0001, 15.0006, 45.0003)], crs=4326)
    found = ZonalStatisticsTask(field, indices=["B04"]).statistics(patch)
    assert found.area_pixels.to_numpy() == pytest.approx(4.0)


def test_refuses_what_does_not_fit(patch: EOPatch) -> None:
    fields = some_polygons()
    with pytest.raises(ConfigurationError, match="polygons is a int"):
        ZonalStatisticsTask(5)  # type: ignore[arg-type]
    with pytest.raises(BandError, match="no band 'B99', which X is made of"):
        ZonalStatisticsTask(fields, indices=["X=B99-B04"]).statistics(patch)
    with pytest.raises(FeatureError, match="add it first, or say that there is none"):
        ZonalStatisticsTask(fields, cloud_mask_feature=(FeatureType.MASK, "OTHER")).statistics(patch)
    odd = patch.copy()
    odd[CLM] = np.full_like(patch[CLM], 7)
    with pytest.raises(FeatureError, match="CLM holds 7"):
        ZonalStatisticsTask(fields).statistics(odd)
    odd[CLM] = np.zeros((3, 2, 2, 1), dtype=np.uint8)
    with pytest.raises(FeatureError, match="give it for each pixel"):
        ZonalStatisticsTask(fields).statistics(odd)


def test_a_single_band_has_the_name_of_its_feature(patch: EOPatch) -> None:
    own = EOPatch(bbox=patch.bbox, timestamps=patch.timestamps)
    own[FeatureType.DATA, "NDVI"] = patch[DATA_BANDS][..., :1]
    none = {"is_data_feature": None, "cloud_mask_feature": None, "shadow_feature": None}
    found = ZonalStatisticsTask(some_polygons(), bands_feature=(FeatureType.DATA, "NDVI"), **none).statistics(own)
    assert set(found.band) == {"NDVI"}
    assert (found.cloud_fraction == 0).all()
