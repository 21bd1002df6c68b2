"""Field statistics of products: against an EOPatch of the same, and by what is read for them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from eolearn.core import FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox
from shapely.geometry import Point, box

from eotasks.catalogue import Catalogue, item_of
from eotasks.clouds.masks import AddCloudMaskTask
from eotasks.clouds.probability import AddCloudProbabilityTask
from eotasks.errors import AreaError, BandError, ConfigurationError, ImageryError, TooFewFramesError
from eotasks.export.cog import write_cog
from eotasks.imagery.grid import Grid
from eotasks.imagery.scene import open_scene
from eotasks.sources import field_products, field_windows, frames
from eotasks.sources.field_products import FieldProducts
from eotasks.sources.scenes import LoadScenesTask
from eotasks.zonal.polygons import Polygons, polygons_of
from eotasks.zonal.quantities import quantities_of
from eotasks.zonal.table import POLYGON
from eotasks.zonal.task import ZonalStatisticsTask
from tests.builders.sample_products import LEFT, SIDE, TOP, cut_sample

DAYS = ("2017-02-16", "2017-03-18")
FRAME = gpd.GeoDataFrame(
    {"n": ["a", "b", "tiny", "edge", "off"]},
    geometry=[
        box(LEFT + 205, TOP - 415, LEFT + 600, TOP - 240),
        Point(LEFT + 1500, TOP - 1400).buffer(123),
        box(LEFT + 601, TOP - 603, LEFT + 603, TOP - 601),
        box(LEFT + SIDE - 50, TOP - 1000, LEFT + SIDE + 50, TOP - 900),
        box(LEFT + 30_000, TOP, LEFT + 30_100, TOP + 100),
    ],
    crs=32633,
)
NDVI = quantities_of(["B04", "NDVI"])


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same ground on two days, darker on the second."""
    folder = tmp_path_factory.mktemp("products")

    def darker(band: str, values: np.ndarray) -> np.ndarray:
        return (values * 0.75).astype(values.dtype) if band in ("B04", "B08") else values

    return [
        cut_sample(folder / f"T33UUU_{day}", sidecar={"time": f"{day}T10:21:01"}, **options)
        for day, options in zip(DAYS, ({}, {"change": darker}), strict=True)
    ]


@pytest.fixture(scope="module")
def polygons() -> Polygons:
    return polygons_of(FRAME, id_column="n")


def test_equals_an_eopatch_of_the_same_products(products: list[Path], polygons: Polygons) -> None:
    """Clouds too, for fields that are farther from the edge of the EOPatch than masks look."""
    patch = LoadScenesTask(scenes=products).execute(bbox=BBox((LEFT, TOP - SIDE, LEFT + SIDE, TOP), CRS("32633")))
    data = (FeatureType.MASK, "IS_DATA")
    AddCloudProbabilityTask(is_data_feature=data, resolution=60, check_bands=False).execute(patch)
    AddCloudMaskTask(is_data_feature=data, unit="metre").execute(patch)
    task = ZonalStatisticsTask(FRAME, indices=["B04", "NDVI"], shadow_feature=None, percentiles=[5], id_column="n")
    expected = task.statistics(patch)
    found = FieldProducts(NDVI, scenes=products, percentiles=[5]).statistics(polygons)
    assert list(found.columns) == list(expected.columns)
    whole = [
        each[each.id.isin(["a", "b", "tiny"])].sort_values(["id", "time"], kind="stable").reset_index(drop=True)
        for each in (found, expected)
    ]
    assert len(whole[0]) == 3 * 2 * 2 * 2
    assert whole[0]["cloud_fraction"].max() > 0
    pd.testing.assert_frame_equal(*whole, check_categorical=False, atol=1e-9)
    edge = found[(found.id == "edge") & (found.band == "B04") & (found.over == "all")]
    np.testing.assert_allclose(edge["no_data_fraction"], 0.5)
    same = expected[(expected.id == "edge") & (expected.band == "B04") & (expected.over == "all")]
    for name in ("area_pixels", "no_data_fraction"):
        np.testing.assert_allclose(same[name], edge[name])
    assert found[found.id == "off"].status.unique().tolist() == ["outside"]


def test_a_product_is_opened_once_for_all_fields_on_it(
    products: list[Path], polygons: Polygons, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: Counter[str] = Counter()

    def counted(location: Any, **options: Any) -> Any:
        opened[Path(str(location)).name] += 1
        return open_scene(location, **options)

    monkeypatch.setattr(frames, "open_scene", counted)
    monkeypatch.setattr(field_windows, "SIDE", 64)
    windows = field_windows.windows_of(polygons, 10)
    assert len(windows) == 5
    source = FieldProducts(NDVI, scenes=products, clouds="none")
    told: list[tuple[int, int]] = []
    tables = list(source.tables(polygons, key=POLYGON, advance=lambda *each: told.append(each)))
    assert opened == {path.name: 2 for path in products}  # for its metadata, and for its pixels
    assert told == [(1, 2), (2, 2)]
    assert [sorted(each["polygon"].unique()) for each in tables] == [[0, 1, 2, 3], [0, 1, 2, 3], [4]]


def test_other_frames_go_on_where_one_fails(
    products: list[Path], polygons: Polygons, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_frame = field_products.read_frame

    def failing(group: Any, *details: Any, **options: Any) -> Any:
        if group[0].name == products[0].name:
            raise ImageryError("boom")
        return read_frame(group, *details, **options)

    monkeypatch.setattr(field_products, "read_frame", failing)
    source = FieldProducts(NDVI, scenes=products, clouds="none")
    with pytest.raises(ImageryError, match="boom"):
        source.statistics(polygons)
    told: dict[str, str] = {}
    table = pd.concat(source.tables(polygons, fail=told.__setitem__))
    assert told == {products[0].name: "boom"}
    own = table[table.id == "a"]
    states = own.groupby("time").status.unique().map(list).tolist()
    assert sorted(states) == [["failed"], ["ok"]]
    assert own["area_pixels"].nunique() == 1
    assert own[own.status == "failed"]["mean"].isna().all()
    monkeypatch.setattr(field_products, "_HOPELESS", 1)
    with pytest.raises(ImageryError, match="boom"):
        list(source.tables(polygons, fail=told.__setitem__))


def test_catalogue_masks_and_time(products: list[Path], polygons: Polygons, tmp_path: Path) -> None:
    grid = Grid("EPSG:32633", LEFT, TOP, 60, SIDE // 60, SIDE // 60)
    cloud, shadow = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.uint8)
    cloud[:6], shadow[6:], cloud[:, -6:] = 1, 1, 255
    for name, values in (("CLM", cloud), ("SHADOW", shadow)):
        write_cog(tmp_path / f"{name}.tif", values, crs=grid.crs, bounds=grid.bounds, nodata=255)
    masks = {name: tmp_path / f"{name}.tif" for name in ("CLM", "SHADOW")}
    catalogue = Catalogue(tmp_path / "catalogue.parquet")
    catalogue.add([item_of(open_scene(products[0]), masks=masks), item_of(open_scene(products[1]))])
    source = FieldProducts(NDVI, catalogue=catalogue, clouds="stored")
    table = source.statistics(polygons, (DAYS[0], DAYS[0]))
    row = table[(table.id == "a") & (table.band == "B04") & (table.over == "clear")].iloc[0]
    rows = (415 - 240) / 10
    assert row["cloud_fraction"] == pytest.approx((36 - 24) / rows)  # to 360 m from the north
    assert row["shadow_fraction"] == pytest.approx((41.5 - 36) / rows)
    assert row["status"] == "no clear pixel"
    assert table.loc[table.id == "edge", "no_data_fraction"].unique() == pytest.approx(1)
    with pytest.raises(ImageryError, match="no CLM of it"):
        source.statistics(polygons)


def test_refuses_what_it_cannot_do(products: list[Path], polygons: Polygons) -> None:
    with pytest.raises(ConfigurationError, match="clouds='scl' is not of L1C"):
        FieldProducts(NDVI, scenes=products, clouds="scl")
    with pytest.raises(ConfigurationError, match="clouds='s2cloudless' is not of L2A"):
        FieldProducts(NDVI, scenes=products, level="L2A")
    with pytest.raises(ConfigurationError, match="Give one of catalogue"):
        FieldProducts(NDVI)
    with pytest.raises(BandError, match="B99"):
        FieldProducts(quantities_of(["B99"]), scenes=products)
    with pytest.raises(TooFewFramesError, match="No L1C product over the fields"):
        FieldProducts(NDVI, scenes=products, clouds="none").statistics(polygons, ("2020-01-01", "2020-02-01"))
    with pytest.warns(UserWarning, match="without an area"):
        nothing = polygons_of(gpd.GeoDataFrame(geometry=[Point(0, 0)], crs=32633))
    with pytest.raises(AreaError, match="No polygon has an area"):
        FieldProducts(NDVI, scenes=products).statistics(nothing)
