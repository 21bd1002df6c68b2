"""Products as STAC items: what the extensions' own readers (pystac) find in them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import rasterio
from pystac import Item
from pystac.extensions.eo import EOExtension
from pystac.extensions.grid import GridExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import RasterExtension
from pystac.extensions.sat import SatExtension
from pystac.extensions.view import ViewExtension
from shapely.geometry import Point, box, shape

from eotasks.catalogue import Catalogue, item_of, location_of
from eotasks.catalogue.fields import baseline_of, cloud_cover_of, level_of, satellite_of, tile_of_item, time_of
from eotasks.catalogue.items import add_masks, extensions_of
from eotasks.errors import ImageryError
from eotasks.imagery.scene import Scene, open_scene
from eotasks.models.sentinel2 import BANDS
from eotasks.sources.sample import open_sample, sample_path
from tests.builders.stac.validation import validate


@pytest.fixture(scope="module")
def sample() -> Item:
    return item_of(open_sample())


def safe_products(shared_data: Path) -> list[Path]:
    return sorted((shared_data / "l1c_safe").glob("*.SAFE"))


def test_the_sample(sample: Item) -> None:
    assert (sample.id, tile_of_item(sample), level_of(sample)) == ("T33UUU_20170216", "33UUU", "L1C")
    assert (baseline_of(sample), satellite_of(sample), cloud_cover_of(sample)) == ("02.04", "S2A", None)
    assert time_of(sample) == open_sample().acquisition.time
    assert shape(sample.geometry).contains(Point(12.6, 52.49))
    assert location_of(sample) == str(sample_path())
    assert [key for key in sample.assets if key in BANDS] == list(BANDS)


def test_bands_say_where_they_lie_and_how_to_read_them(sample: Item) -> None:
    for band in BANDS:
        asset = sample.assets[band]
        with rasterio.open(asset.href) as file:
            projection = ProjectionExtension.ext(asset)
            assert projection.shape == [file.height, file.width]
            assert projection.transform == list(file.transform)[:6]
        assert EOExtension.ext(asset).bands[0].name == band  # type: ignore[index]
        values = RasterExtension.ext(asset).bands[0]  # type: ignore[index]
        assert (values.scale, values.offset, values.nodata) == (0.0001, 0, 0)
    assert ProjectionExtension.ext(sample).code == "EPSG:32633"


def test_valid_by_the_schemas_of_the_core_and_of_its_extensions(sample: Item) -> None:
    assert validate(sample.to_dict()) == 1 + len(sample.stac_extensions) > 5


def test_only_extensions_that_have_fields_are_named(sample: Item) -> None:
    assert extensions_of(sample) == sample.stac_extensions
    assert any("/sat/" in each for each in sample.stac_extensions)
    bare = sample.clone()
    del bare.properties["sat:relative_orbit"]
    assert not any("/sat/" in each for each in extensions_of(bare))


def test_safe(shared_data: Path) -> None:
    clear, cloudy = (item_of(open_scene(path)) for path in safe_products(shared_data))
    assert clear.id == "S2A_MSIL1C_20240120T105341_N0510_R051_T31TCJ_20240120T125244"
    assert clear.properties["s2:product_uri"] == f"{clear.id}.SAFE"
    assert cloudy.properties["eo:cloud_cover"] == pytest.approx(63.96, abs=0.01)
    assert SatExtension.ext(clear).relative_orbit == 51
    assert str(SatExtension.ext(clear).orbit_state) == "descending"
    assert GridExtension.ext(clear).code == "MGRS-31TCJ"
    assert ViewExtension.ext(clear).sun_elevation == pytest.approx(24.2446, abs=1e-4)
    assert RasterExtension.ext(clear.assets["B02"]).bands[0].offset == -0.1  # type: ignore[index]
    assert shape(clear.geometry).intersects(box(1, 43.5, 1.1, 43.6))


def test_in_zips_hrefs_are_paths_of_gdal(shared_data: Path) -> None:
    archive = next((shared_data / "l1c_tiles").glob("S2A*.zip"))
    item = item_of(open_scene(archive))
    assert location_of(item) == str(archive)
    assert item.assets["B02"].href.startswith("/vsizip/")
    with rasterio.open(item.assets["B02"].href) as file:
        assert file.shape == (439, 439)


def test_every_real_product_comes_back_from_a_catalogue(shared_data: Path, tmp_path: Path, sample: Item) -> None:
    paths = [*safe_products(shared_data), *sorted((shared_data / "l1c_tiles").glob("*.zip"))]
    items = {item.id: item for item in [sample, *(item_of(open_scene(path)) for path in paths)]}
    assert all(validate(item.to_dict()) == 1 + len(item.stac_extensions) for item in items.values())
    catalogue = Catalogue(tmp_path / "c.parquet")
    catalogue.add(items.values())
    found = catalogue.search()
    assert len(found) == 5
    for item in found:
        assert item.to_dict() == items[item.id].to_dict()
        assert open_scene(location_of(item)).name == item.id


def test_masks(sample: Item) -> None:
    item = sample.clone()
    add_masks(item, {"CLP": "s3://bucket/a_CLP.tif", "CLM": "/masks/a_CLM.tif"})
    assert item.assets["CLP"].extra_fields["raster:bands"][0] == {"nodata": 255, "data_type": "uint8", "scale": 1 / 255}
    assert item.assets["CLM"].href == "/masks/a_CLM.tif"


def test_footprints_across_the_antimeridian() -> None:
    scene = Scene(open_sample().product)
    ring = ((179.5, 0.0), (-179.5, 0.0), (-179.5, 1.0), (179.5, 1.0), (179.5, 0.0))
    scene.product = replace(scene.product, acquisition=replace(scene.acquisition, footprint=ring))
    item = item_of(scene)
    assert item.bbox == [179.5, 0, -179.5, 1]
    assert item.geometry is not None
    assert item.geometry["type"] == "MultiPolygon"
    json.dumps(item.to_dict())


def test_a_footprint_that_is_none_is_refused() -> None:
    scene = Scene(open_sample().product)
    scene.product = replace(scene.product, acquisition=replace(scene.acquisition, footprint=((0.0, 0.0), (1.0, 1.0))))
    with pytest.raises(ImageryError, match="no polygon"):
        item_of(scene)


@pytest.mark.parametrize(
    ("properties", "tile", "level", "baseline"),
    [
        ({"grid:code": "MGRS-5QKB", "processing:level": "L2A"}, "05QKB", "L2A", None),
        ({"s2:processing_baseline": "04.00"}, None, None, "04.00"),
        ({"s2:mgrs_tile": "33UUU", "s2:product_type": "S2MSI1C"}, "33UUU", "L1C", None),
        ({"mgrs:utm_zone": 33, "mgrs:latitude_band": "U", "mgrs:grid_square": "UU"}, "33UUU", None, None),
        (
            {"s2:product_uri": "S2A_MSIL2A_20240120T105341_N0510_R051_T31TCJ_20240120T125244.SAFE"},
            "31TCJ", "L2A", "05.10",
        ),
        ({}, None, None, None),
    ],
)  # fmt: skip
def test_what_others_say(
    sample: Item, properties: dict[str, object], tile: str | None, level: str | None, baseline: str | None
) -> None:
    item = Item("x", sample.geometry, sample.bbox, sample.datetime, dict(properties))
    assert (tile_of_item(item), level_of(item), baseline_of(item)) == (tile, level, baseline)
    assert location_of(item) is item
