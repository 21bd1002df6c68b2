"""Products of one acquisition of a tile: which complete each other, and which stand for another."""

from __future__ import annotations

import datetime as dt
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
from eolearn.core import FeatureType
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox
from shapely.geometry import Polygon, box, mapping

from eotasks.catalogue import Catalogue
from eotasks.errors import ProductSkippedWarning
from eotasks.export.cog import write_cog
from eotasks.imagery.grid import Grid
from eotasks.imagery.scene import open_scene
from eotasks.sources.frames import Candidate
from eotasks.sources.replacement import choose_products, still_needed
from eotasks.sources.scenes import LoadScenesTask
from eotasks.workflows.catalogue.adding import add_products
from tests.builders.layouts import PIXELS, SIDE, item_parts, safe_parts, sidecar_part
from tests.builders.products import LEFT, TOP

UTM33 = CRS("EPSG:32633")
BOX = BBox((LEFT, TOP - SIDE * 10, LEFT + SIDE * 10, TOP), UTM33)
COLUMNS = np.arange(PIXELS[1] // 6) < 20
STRIP = "S2A_OPER_MSI_L1C_DS_2APS_{}_S20240501T100000_N05.10"
TILE = box(12, 53, 13, 54)


def load(scenes: list[Path], bbox: BBox = BOX, **options: Any) -> Any:
    task = LoadScenesTask(scenes=scenes, bands=["B02", "B04"], dtype="dn", sun_angles_feature=None, **options)
    return task.execute(bbox=bbox)


def candidate(name: str, **facts: Any) -> Candidate:
    fields: dict[str, Any] = {
        "time": dt.datetime(2024, 5, 1, 10),  # noqa: DTZ001 - naive UTC
        "satellite": "S2A",
        "tile": "33UUU",
        "baseline": "05.10",
        "footprint": TILE,
    }
    return Candidate(name, name, **(fields | facts))


@pytest.mark.slow
def test_two_products_of_one_datatake_complete_each_other(tmp_path: Path) -> None:
    """Named in a list, and found in a catalogue."""
    products = safe_parts(tmp_path, COLUMNS, ["B02", "B04"])
    left, right = map(open_scene, products)
    grid = left.grid_of("B02")
    add_products(Catalogue(tmp_path / "c.parquet"), [str(tmp_path)])
    parts = [scene.read(["B02", "B04"], grid) for scene in (left, right)]
    for source in ({"scenes": products}, {"scenes": products[::-1]}, {"catalogue": tmp_path / "c.parquet"}):
        patch = LoadScenesTask(**source, bands=["B02", "B04"], dtype="dn").execute(bbox=BBox(grid.bounds, UTM33))
        assert len(patch.timestamps) == 1
        assert patch.mask["IS_DATA"].all()
        np.testing.assert_array_equal(patch.data["BANDS"][0], np.maximum(*parts))


@pytest.mark.slow
def test_items_that_complete_each_other(tmp_path: Path) -> None:
    """As Earth Search names them, with one footprint, and whether they say their datastrips or not."""
    items = item_parts(tmp_path, COLUMNS)
    bounds = open_scene(items[0]).grid_of("B02").bounds
    for item in items:
        assert open_scene(item).acquisition.datastrip is not None
    assert load(list(items), BBox(bounds, UTM33)).mask["IS_DATA"].all()
    for item in items:
        content = json.loads(item.read_text())
        del content["properties"]["s2:datastrip_id"]
        item.write_text(json.dumps(content))
    assert load(list(items), BBox(bounds, UTM33)).mask["IS_DATA"].all()


def test_a_newer_processing_stands_for_the_older(tmp_path: Path) -> None:
    everywhere = np.ones((SIDE, SIDE), dtype=bool)
    old = sidecar_part(tmp_path, "OLD", 1000, everywhere, baseline="02.04")
    new = sidecar_part(tmp_path, "NEW", 3000, everywhere, baseline="05.10", radio_add_offset=-1000)
    reason = r"OLD \(baseline 02\.04\) for NEW \(baseline 05\.10\): the same ground in a newer processing"
    with pytest.warns(ProductSkippedWarning, match=reason):
        patch = load([old, new])
    assert (patch.data["BANDS"][..., 0] == 2000).all()


def test_metadata_that_says_too_much_loses_nothing(tmp_path: Path) -> None:
    """Footprints agree, the newer product lacks half of the pixels all the same."""
    half = np.broadcast_to(np.arange(SIDE) < SIDE // 2, (SIDE, SIDE))
    old = sidecar_part(tmp_path, "OLD", 1000, np.ones_like(half), baseline="02.04")
    new = sidecar_part(tmp_path, "NEW", 3000, half, baseline="05.10", radio_add_offset=-1000)
    patch = load([old, new])
    np.testing.assert_array_equal(patch.data["BANDS"][0, ..., 0], np.where(half, 2000, 1000))


def test_ground_that_is_lost_for_lack_of_masks_is_told(tmp_path: Path) -> None:
    """It is not said that another product shows it."""
    half = np.broadcast_to(np.arange(SIDE) < SIDE // 2, (SIDE, SIDE))
    old = sidecar_part(tmp_path, "OLD", 1000, np.ones_like(half), baseline="02.04")
    new = sidecar_part(tmp_path, "NEW", 3000, half, baseline="05.10", radio_add_offset=-1000)
    bounds = (LEFT, TOP - SIDE * 10, LEFT + SIDE * 10, TOP)
    clear = np.zeros((SIDE, SIDE), dtype=np.uint8)
    clm = write_cog(tmp_path / "NEW_CLM.tif", clear, crs="EPSG:32633", bounds=bounds, nodata=255)
    with pytest.warns(ProductSkippedWarning, match="for lack of masks, with ground that no other .*: OLD") as told:
        patch = load([old, new], masks={"NEW": {"CLM": str(clm)}}, clm_feature=(FeatureType.MASK, "CLM"))
    assert not [each for each in told if "show the same pixels" in str(each.message)]
    np.testing.assert_array_equal(patch.mask["IS_DATA"][0, ..., 0], half)


def test_of_the_same_product_in_two_places_one_is_read(tmp_path: Path) -> None:
    everywhere = np.ones((SIDE, SIDE), dtype=bool)
    one = sidecar_part(tmp_path / "a", "P", 1000, everywhere, baseline=None)
    two = sidecar_part(tmp_path / "b", "P", 1000, everywhere, baseline=None)
    with pytest.warns(ProductSkippedWarning, match=r"1 products are left out, .*: the same product"):
        patch = load([one, two])
    assert (patch.data["BANDS"][..., 0] == 1000).all()


def test_the_newest_is_on_top_in_any_order_of_mosaics(tmp_path: Path) -> None:
    everywhere = np.ones((SIDE, SIDE), dtype=bool)
    first = sidecar_part(tmp_path, "S2A_33UUU_20240501_0_L1C", 1000, everywhere, baseline="02.04")
    second = sidecar_part(
        tmp_path, "S2A_33UUU_20240501_1_L1C", 2000, everywhere, baseline="02.04", time="2024-05-01T10:00:07"
    )
    for order in ("mostRecent", "leastRecent", "leastCC"):
        patch = load([first, second], mosaicking_order=order, time_difference=dt.timedelta(0))
        assert patch.data["BANDS"][..., 0].max() == 2000, order
        assert patch.timestamps == [dt.datetime(2024, 5, 1, 10)]  # noqa: DTZ001


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(
    parts=st.lists(
        st.tuples(
            st.integers(0, SIDE), st.integers(0, SIDE), st.sampled_from([None, "02.04", "02.09"]), st.integers(0, 7)
        ),
        min_size=1,
        max_size=4,
    )
)
def test_no_pixel_that_a_product_has_is_lost(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[int, int, str | None, int]]
) -> None:
    """Whatever the metadata says. Where it says that a newer processing shows all, edges of the footprint may be."""
    folder = tmp_path_factory.mktemp("parts")
    everything = np.zeros((SIDE, SIDE), dtype=bool)
    products = []
    for index, (start, stop, baseline, second) in enumerate(parts):
        has_data = np.zeros((SIDE, SIDE), dtype=bool)
        has_data[:, start:stop] = True
        everything |= has_data
        products.append(
            sidecar_part(folder, f"P{index}", 1000 + 10 * index, has_data, baseline=baseline,
                         time=f"2024-05-01T10:00:0{second}")
        )  # fmt: skip
    if not everything.any():
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ProductSkippedWarning)
        is_data = load(products).mask["IS_DATA"][0, ..., 0]
    assert not is_data[~everything].any()
    np.testing.assert_array_equal(is_data[2:-2, 2:-2], everything[2:-2, 2:-2])
    if len({baseline for _, _, baseline, _ in parts}) == 1:
        np.testing.assert_array_equal(is_data, everything)


CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str | None]] = {
    "one datastrip": ({"datastrip": STRIP.format("20240501T120000")},
                      {"datastrip": STRIP.format("20240501T120000")}, "the same datastrip"),
    "two datastrips of one baseline": ({"datastrip": STRIP.format("20240501T120000")},
                                       {"datastrip": STRIP.format("20240501T130000")}, None),
    "one baseline, nobody says the datastrip": ({}, {}, None),
    "baselines differ, footprints agree": ({}, {"baseline": "02.04"}, "newer processing"),
    "baselines differ, footprints do not": ({}, {"baseline": "02.04", "footprint": box(12, 53, 12.5, 54)}, None),
    "baselines differ, no footprint": ({}, {"baseline": "02.04", "footprint": None}, None),
    "an unknown baseline": ({}, {"baseline": None}, None),
    "one datastrip, other ground": ({"datastrip": STRIP.format("20240501T120000")},
                                    {"datastrip": STRIP.format("20240501T120000"),
                                     "footprint": box(12, 53, 12.5, 54)}, None),
    "an hour later": ({}, {"baseline": "02.04", "time": dt.datetime(2024, 5, 1, 11, 1)}, None),  # noqa: DTZ001
    "another satellite": ({}, {"baseline": "02.04", "satellite": "S2B"}, None),
    "another tile": ({}, {"baseline": "02.04", "tile": "33UVU"}, None),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_who_stands_for_whom(case: str) -> None:
    one, other, reason = CASES[case]
    choice = choose_products([candidate("A", **one), candidate("B", **other)])
    assert len(choice.products) + len(choice.replaced) == 2
    assert [reason in str(each) for each in choice.replaced if reason is not None] == ([True] if reason else [])
    assert bool(choice.replaced) == (reason is not None)


def test_of_three_the_newest_stands_for_both_of_its_kind() -> None:
    anew = candidate("NEW", baseline="05.11")
    parts = [candidate("A", baseline="02.04"), candidate("B", baseline="02.04", footprint=box(12, 53, 12.4, 54))]
    choice = choose_products([*parts, anew])
    assert [each.product.name for each in choice.replaced] == ["A"]
    assert sorted(each.name for each in choice.products) == ["B", "NEW"]


def test_footprints_that_cross_themselves() -> None:
    """They are mended where items are read; those that come crossed all the same are not compared, both contribute."""
    bow = Polygon([(12, 53), (13, 54), (13, 53), (12, 54), (12, 53)])
    item = pystac.Item("OLD", mapping(bow), list(bow.bounds), dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC), {})
    item.add_asset("B02", pystac.Asset("/x/B02.tif"))
    item.set_self_href("/x/OLD.json")
    footprint = Candidate.of_item(item).footprint
    assert footprint is not None
    assert footprint.is_valid
    assert footprint.area == pytest.approx(0.5)
    old, new = candidate("OLD", baseline="02.04", footprint=footprint), candidate("NEW", footprint=footprint)
    assert [each.product.name for each in choose_products([old, new]).replaced] == ["OLD"]
    crossed = [replace(each, footprint=bow) for each in (old, new)]
    assert len(choose_products([replace(old, footprint=TILE), crossed[1]]).products) == 2


def test_holes_at_edges_of_a_footprint_need_no_other_product() -> None:
    (gone,) = choose_products([candidate("OLD", baseline="02.04"), candidate("NEW")]).replaced
    grid = Grid("EPSG:32633", 300_000, 5_900_000, 100, 200, 200)
    holes = np.ones(grid.shape, dtype=bool)
    assert still_needed([gone], holes, grid) == []
    inside = _with_hole(holes, 100)
    assert still_needed([gone], inside, grid) == [gone]
    nowhere = replace(gone, product=replace(gone.product, footprint=box(-170, 53, -169, 54)))
    assert still_needed([nowhere], inside, grid) == []
    unknown = replace(gone, product=replace(gone.product, footprint=None))
    assert still_needed([unknown], inside, grid) == [unknown]


def _with_hole(is_data: NDArray[np.bool_], at: int) -> NDArray[np.bool_]:
    holed = is_data.copy()
    holed[at, at] = False
    return holed
