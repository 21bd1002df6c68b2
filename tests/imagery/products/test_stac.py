"""STAC items of several catalogues."""

from __future__ import annotations

import contextlib
import copy
import datetime as dt
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, box, mapping

from eotasks.catalogue.items import footprint_of
from eotasks.errors import EOTasksError, ImageryError
from eotasks.imagery.files.origin import Origin
from eotasks.imagery.grid import Grid
from eotasks.imagery.products.open import describe_product
from eotasks.imagery.scene import Scene, open_scene
from eotasks.models.sentinel2 import BANDS
from tests.builders.geometry.places import FORMS
from tests.builders.layouts import PRODUCT_XML, TILE_XML, small_safe, stac_item
from tests.builders.tile import LEFT, NAME, TOP

GRID = Grid("EPSG:32633", LEFT + 240, TOP - 240, 60, 12, 12)
Item = dict[str, Any]


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_safe(tmp_path_factory.mktemp("safe"))


@pytest.fixture(scope="module")
def expected(safe: Path) -> np.ndarray:
    return open_scene(safe).read(BANDS, GRID)


@pytest.fixture(scope="module")
def folder(safe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("item")
    (folder / "bare.json").write_text(json.dumps(stac_item(safe, folder)))
    shutil.copy(safe / PRODUCT_XML, folder)
    shutil.copy(safe / TILE_XML, folder)
    return folder


@pytest.fixture
def item(folder: Path) -> Item:
    content: Item = json.loads((folder / "bare.json").read_text())
    return content


def with_offsets(item: Item) -> Item:
    for asset in item["assets"].values():
        asset["raster:bands"] = [{"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1}]
    return item


def with_offsets_of_stac_1_1(item: Item) -> Item:
    for asset in item["assets"].values():
        asset |= {"raster:scale": 0.0001, "raster:offset": -0.1}
    return item


def with_metadata(item: Item) -> Item:
    item["assets"]["product_metadata"] = {"href": f"./{PRODUCT_XML}", "type": "application/xml"}
    return item


def by_colour(item: Item) -> Item:
    """As Earth Search names its assets."""
    names = [
        "coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "nir09", "cirrus",
        "swir16", "swir22",
    ]  # fmt: skip
    item["assets"] = {name: item["assets"][band] for name, band in zip(names, BANDS, strict=True)}
    item["assets"]["visual"] = item["assets"]["red"] | {"eo:bands": [{"name": "red"}, {"name": "green"}]}
    return with_offsets(item)


def by_what_assets_say(item: Item) -> Item:
    item["assets"] = {
        f"image-{i}": asset | {"eo:bands": [{"name": band}]} for i, (band, asset) in enumerate(item["assets"].items())
    }
    return with_offsets(item)


def same(scene: Scene, expected: np.ndarray) -> None:
    acquisition = scene.acquisition
    assert scene.name == NAME
    assert acquisition.time == dt.datetime(2017, 2, 16, 10, 21, 1)  # noqa: DTZ001  # naive UTC
    assert (acquisition.satellite, acquisition.tile, acquisition.level) == ("S2A", "33UUU", "L1C")
    assert (acquisition.relative_orbit, acquisition.orbit_direction) == (65, "descending")
    assert (acquisition.processing_baseline, acquisition.cloud_cover) == ("05.10", 50)
    assert acquisition.sun_zenith == pytest.approx(66.07)
    assert dict(acquisition.offsets) == dict.fromkeys(BANDS, -1000)
    np.testing.assert_array_equal(scene.read(BANDS, GRID), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", [with_offsets, with_offsets_of_stac_1_1, with_metadata, by_colour, by_what_assets_say]
)
def test_offset_wherever_it_is_said(
    folder: Path, item: Item, expected: np.ndarray, change: Callable[[Item], Item]
) -> None:
    path = folder / f"{change.__name__}.json"
    path.write_text(json.dumps(change(item)))
    same(open_scene(path), expected)


def test_objects_of_pystac(folder: Path, item: Item, expected: np.ndarray) -> None:
    found = pystac.Item.from_dict(with_offsets(item))
    found.set_self_href(str(folder / "item.json"))
    origin = Origin.of(folder / "item.json")
    same(Scene(describe_product(found, origin=origin)), expected)
    found.make_asset_hrefs_absolute()
    found.set_self_href(None)
    same(Scene(describe_product(found, origin=origin)), expected)
    with pytest.raises(ImageryError, match="file of this machine"):
        describe_product(found)


def test_an_offset_that_was_removed_is_not_removed_again(folder: Path, item: Item, expected: np.ndarray) -> None:
    for asset in item["assets"].values():
        asset["raster:bands"] = [{"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": 0}]
    item["properties"]["earthsearch:boa_offset_applied"] = True
    path = folder / "applied.json"
    path.write_text(json.dumps(item))
    np.testing.assert_array_equal(open_scene(path).read(BANDS, GRID), expected + 1000)


def test_baselines_before_4_have_none(folder: Path, item: Item) -> None:
    item["properties"]["s2:processing_baseline"] = "02.04"
    path = folder / "old.json"
    path.write_text(json.dumps(item))
    assert dict(describe_product(path).acquisition.offsets) == {}


def test_angles_where_the_item_has_the_metadata_of_the_tile(folder: Path, item: Item) -> None:
    item = with_offsets(item)
    item["assets"]["granule_metadata"] = {"href": "./MTD_TL.xml", "type": "application/xml"}
    path = folder / "angles.json"
    path.write_text(json.dumps(item))
    zenith, _ = open_scene(path).sun_angles(GRID)
    np.testing.assert_allclose(zenith, 66.07, rtol=1e-5)


def change(*keys: str, to: object) -> Callable[[Item], object]:
    def spoil(item: Item) -> None:
        for key in keys[:-1]:
            item = item[key]
        if to is None:
            del item[keys[-1]]
        else:
            item[keys[-1]] = to

    return spoil


CASES: dict[str, tuple[Callable[[Item], object], str]] = {
    "no offset": (
        lambda item: [asset.pop("raster:bands") for asset in item["assets"].values()],
        "the offset of its numbers",
    ),
    "offset of some": (change("assets", "B04", "raster:bands", to=None), "say their offset"),
    "different scales": (
        change("assets", "B04", "raster:bands", to=[{"scale": 0.001, "offset": -1}]),
        "different scales",
    ),
    "scale of 0": (
        lambda item: [asset.update({"raster:bands": [{"scale": 0, "offset": 0}]}) for asset in item["assets"].values()],
        "or 0",
    ),
    "no time": (change("properties", "s2:datatake_id", to=None), "no time"),
    "another satellite": (change("properties", "platform", to="landsat-8"), "landsat-8"),
    "no tile": (change("properties", "grid:code", to="MGRS-99"), "its tile"),
    "orbit that is a word": (change("properties", "sat:relative_orbit", to="sixty"), "sat:relative_orbit is 'sixty'"),
    "no bands": (change("assets", to={"thumbnail": {"href": "./a.jpg", "type": "image/jpeg"}}), "no asset of a"),
    "no assets": (change("assets", to={}), "no assets"),
    "virtual path": (change("assets", "B02", "href", to="/vsicurl/http://127.0.0.1:1/a.tif"), "no path"),
    "virtual path as address": (change("assets", "B02", "href", to="file:///vsimem/a.tif"), "no path"),
    "kind of address that is not read": (change("assets", "B02", "href", to="gs://bucket/a.tif"), "no path"),
}


@pytest.mark.parametrize("case", CASES)
def test_items_that_are_refused(folder: Path, item: Item, case: str) -> None:
    spoil, message = CASES[case]
    item = with_offsets(item)
    if case == "no time":
        item["properties"]["datetime"] = "yesterday"
    spoil(item)
    path = folder / "refused.json"
    path.write_text(json.dumps(item))
    with pytest.raises(ImageryError, match=message) as raised:
        describe_product(path)
    assert "refused.json" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", ["", "[]", '{"type": "Feature"}', '{"a":' * 100_000])
def test_files_that_are_no_item(tmp_path: Path, content: str) -> None:
    path = tmp_path / "item.json"
    path.write_text(content)
    with pytest.raises(ImageryError, match=r"item\.json: (cut off|no STAC item)"):
        describe_product(path)


@pytest.mark.parametrize("base", ["https://example.org/items/a.json", "s3://bucket/items/a.json"])
def test_items_from_elsewhere_name_no_files_of_this_machine(base: str) -> None:
    resolved = Origin.of(base).resolved
    with pytest.raises(ImageryError, match="file of this machine"):
        resolved("file:///etc/passwd")
    root = base.rpartition("/items")[0]
    assert resolved("/etc/passwd") == f"{root}/etc/passwd"
    assert resolved("./B02.tif") == f"{root}/items/B02.tif"
    assert resolved("../B02.tif") == f"{root}/B02.tif"
    assert resolved("../../../../B02.tif") == f"{root}/B02.tif"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), st.lists, max_leaves=3
)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_value_anywhere_is_read_or_refused(safe: Path, folder: Path, data: st.DataObject) -> None:
    item = with_offsets(json.loads((folder / "bare.json").read_text()))
    item["assets"] = {band: item["assets"][band] for band in ("B02", "B04")}
    holder = data.draw(st.sampled_from([item, item["properties"], item["assets"], item["assets"]["B02"]]))
    holder[data.draw(st.sampled_from(sorted(holder)))] = data.draw(JSON)
    before = copy.deepcopy(item)
    with contextlib.suppress(EOTasksError):
        describe_product(item, origin=Origin.of(folder / "item.json"))
    assert repr(item) == repr(before)


@pytest.mark.parametrize("form", FORMS)
def test_all_parts_of_a_footprint_are_kept(folder: Path, item: Item, form: str) -> None:
    """Over the antimeridian, in every form: STAC's catalogues differ in it, and some put the western part first."""
    item["geometry"] = mapping(FORMS[form]([(179.1, -17.2), (180.3, -17.2), (180.3, -16.2), (179.1, -16.2)]))
    (folder / "fiji.json").write_text(json.dumps(with_offsets(item)))
    acquisition = describe_product(folder / "fiji.json").acquisition
    parts = MultiPolygon([box(179.1, -17.2, 180, -16.2), box(-180, -17.2, -179.7, -16.2)])
    assert footprint_of(acquisition, {}).symmetric_difference(parts).area < 1e-9
    assert not acquisition.other_footprints


def test_footprints_of_several_parts(folder: Path, item: Item) -> None:
    parts = MultiPolygon([box(0, 0, 1, 1), box(2, 0, 3, 1), box(4, 0, 5, 1)])
    item["geometry"] = mapping(parts)
    (folder / "parts.json").write_text(json.dumps(with_offsets(item)))
    assert footprint_of(describe_product(folder / "parts.json").acquisition, {}).equals(parts)


def test_a_footprint_with_latitude_first_is_refused(folder: Path, item: Item) -> None:
    item["geometry"] = mapping(box(-17, 179.1, -16, 179.9))
    (folder / "turned.json").write_text(json.dumps(with_offsets(item)))
    with pytest.raises(ImageryError, match=r"turned\.json: .*latitude 179\.9 lies beyond the pole.*exchange"):
        describe_product(folder / "turned.json")
