"""What is said of an offset, in all combinations; and offsets that do not fit the pixels. All pixels are simulated."""

from __future__ import annotations

import copy
import json
import warnings
from itertools import product as combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.catalogue import item_of
from eotasks.errors import ImageryError, OffsetError, OffsetWarning
from eotasks.imagery.files.origin import Origin
from eotasks.imagery.files.protocol import RasterFile
from eotasks.imagery.grid import Grid
from eotasks.imagery.pixels.offset_signs import left_in
from eotasks.imagery.products.acquisition import parse_sidecar
from eotasks.imagery.products.offsets import says_offset
from eotasks.imagery.products.open import describe_product
from eotasks.imagery.scene import Scene, open_scene
from tests.builders.layouts import sidecar_part
from tests.builders.products import LEFT, TOP, UTM, product, write_jp2

FLAGS = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
BASELINES = (None, "02.04", "03.01", "04.00", "05.10")
OFFSETS = (None, 0.0, -0.1, 0.1, -0.05, -1000.0)
HERE = Origin.of("/items/a.json")


def item(
    baseline: str | None = "05.10", offset: float | None = None, flag: bool | None = None, **properties: Any
) -> dict[str, Any]:
    said = {} if offset is None else {"raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": offset}]}
    facts = {"datetime": "2024-05-01T10:00:00Z", "platform": "sentinel-2a", "grid:code": "MGRS-33UUU"}
    facts |= {"s2:processing_baseline": baseline} if baseline else {}
    facts |= {} if flag is None else {FLAGS[0]: flag}
    return {
        "type": "Feature",
        "id": "S2A_33UUU_20240501_0_L2A",
        "collection": "sentinel-2-l2a",
        "properties": facts | properties,
        "assets": {
            band: {"href": f"./{band}.tif", "type": "image/tiff"} | copy.deepcopy(said) for band in ("B02", "B04")
        },
    }


def right(baseline: str | None, offset: float | None, flag: bool | None) -> int | type[ImageryError]:
    """The rule in words: the offset that is to be removed, or the error."""
    carries = None if baseline is None else baseline >= "04.00"
    if flag and carries is False:
        return OffsetError  # nothing to remove
    if offset is None:
        return 0 if flag or carries is False else ImageryError  # nobody says it
    if flag or carries is False:
        return 0 if offset == 0 else OffsetError
    if carries:
        return -1000 if offset == -0.1 else OffsetError
    return {0.0: 0, -0.1: -1000}.get(offset, OffsetError)


@pytest.mark.parametrize("baseline", BASELINES)
def test_all_combinations_of_baseline_offset_and_flag(baseline: str | None) -> None:
    for offset, flag in combinations(OFFSETS, (None, False, True)):
        expected, given = right(baseline, offset, flag), item(baseline, offset, flag)
        if isinstance(expected, int):
            acquisition = describe_product(given, origin=HERE).acquisition
            assert acquisition.offset_of("B04") == expected, (offset, flag)
            continue
        with pytest.raises(expected) as raised:
            describe_product(given, origin=HERE)
        assert type(raised.value) is expected, (offset, flag, raised.value)
        assert str(raised.value).startswith("/items/a.json: ")


CONTRADICTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "two flags": (item(offset=0.0, flag=True, **{FLAGS[1]: False}), "differ"),
    "a flag that is a word": (item(offset=-0.1, **{FLAGS[0]: "yes"}), "not true or false"),
    "a flag that is a number": (item(offset=-0.1, **{FLAGS[1]: 1}), "not true or false"),
    "name and baseline": (
        item("02.04", **{"s2:product_uri": "S2A_MSIL2A_20240501T100031_N0510_R122_T33UUU_20240501T150931.SAFE"}),
        "the product's name says 05.10",
    ),
    "two properties": (item("05.10", -0.1, **{"processing:version": "02.14"}), "processing:version says 02.14"),
    "removed twice": (item("05.10", -0.1, True), "a flag says that it was removed from the numbers, which leaves 0"),
    "left in": (item("05.10", 0.0), "and no flag says that it was removed"),
    "old with an offset": (item("02.04", -0.1), r"products of its baseline 02\.04 have none"),
    "a sign": (item("05.10", 0.1), r"products of its baseline 05\.10 have -0\.1"),
    "digital numbers": (item("05.10", -1000.0), r"states an offset of -1000"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_contradictions_are_named(case: str) -> None:
    given, message = CONTRADICTIONS[case]
    with pytest.raises(OffsetError, match=message) as raised:
        describe_product(given, origin=HERE)
    assert "\n" not in str(raised.value)


def test_bands_that_differ() -> None:
    given = item(None, -0.1)
    given["assets"]["B04"]["raster:bands"][0]["offset"] = 0
    with pytest.raises(OffsetError, match="some of its bands state an offset and some state 0"):
        describe_product(given, origin=HERE)


@settings(max_examples=50, deadline=None)
@given(
    baseline=st.sampled_from(BASELINES),
    offset=st.none() | st.floats(-2, 2),
    flag=st.sampled_from([None, False, True]),
    scale=st.sampled_from([0.0001, 0.0002, 0.00001]),
)
def test_whatever_is_taken_is_one_of_two_offsets(
    baseline: str | None, offset: float | None, flag: bool | None, scale: float
) -> None:
    """Nothing is added to reflectance but -0.1 or nothing, and -0.1 only where nobody contradicts."""
    given = item(baseline, offset, flag)
    for asset in given["assets"].values():
        for band in asset.get("raster:bands", []):
            band["scale"] = scale
    try:
        acquisition = describe_product(given, origin=HERE).acquisition
    except ImageryError:
        return
    taken_off = acquisition.offset_of("B02")
    assert taken_off == 0 or (taken_off == -1000 and not flag and baseline not in ("02.04", "03.01"))
    assert taken_off == 0 or acquisition.quantification == 10_000


def test_a_scale_that_does_not_fit_the_offset() -> None:
    given = item("05.10", -0.1)
    for asset in given["assets"].values():
        asset["raster:bands"][0]["scale"] = 0.001
    with pytest.raises(OffsetError, match=r"over its scale of 0\.001 is -100 digital numbers, and products have -1000"):
        describe_product(given, origin=HERE)


def test_own_items_of_products_whose_offset_was_removed_say_so(tmp_path: Path) -> None:
    part = sidecar_part(tmp_path, "P", 2000, np.ones((20, 20), dtype=bool), baseline="05.10", radio_add_offset=0)
    own = item_of(open_scene(part)).to_dict()
    assert own["properties"][FLAGS[0]] is True
    described = describe_product(own, origin=Origin.of(tmp_path / "item.json"))
    assert described.acquisition.offset_of("B02") == 0


SIDECAR = {"version": 1, "time": "2024-05-01T10:00:00Z", "satellite": "S2A", "tile": "33UUU"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"processing_baseline": "05.10"}, "no radio_add_offset, and products of baseline 05.10 have one: give -1000"),
        ({"processing_baseline": "02.04", "radio_add_offset": -1000}, "is -1000, and products of baseline 02.04 have"),
    ],
)
def test_sidecars(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(OffsetError, match=message):
        parse_sidecar(json.dumps(SIDECAR | fields).encode(), "acquisition.json")


def test_what_users_own_runs_of_sen2cor_say_is_taken() -> None:
    assert says_offset("L2A", "99.99") is None
    assert says_offset("L1C", "99.99") is True


GRID = Grid(UTM, LEFT, TOP, 10, 48, 48)


def scene(folder: Path, values: np.ndarray, **facts: Any) -> Scene:
    return Scene(product(folder, {"B02": values, "B08": values + np.uint16(2000)}, **facts))


OFFSET, BLACK = {"B02": -1000, "B08": -1000}, {"B12": -1000, "B8A": -1000}


def test_an_offset_that_was_removed_before_is_seen_in_the_pixels(tmp_path: Path) -> None:
    """Once a scene, however often it is read, and never of pixels that are only dark."""
    dark = np.random.default_rng(1).normal(1005, 12, (24, 24)).round().astype(np.uint16)
    honest = Scene(product(tmp_path / "honest", {"B12": dark, "B8A": dark + np.uint16(60)}, offsets=BLACK))
    removed = scene(tmp_path / "removed", np.full((48, 48), 700, np.uint16), offsets=OFFSET)
    none = scene(tmp_path / "none", np.full((48, 48), 700, np.uint16), offsets={})
    with warnings.catch_warnings():
        warnings.simplefilter("error", OffsetWarning)
        honest.read(["B12", "B8A"], GRID)
        none.read(["B02"], GRID)
        removed.read(["B08"], GRID)
        removed.read(["B02"], Grid(UTM, LEFT, TOP, 10, 7, 9))  # too few to tell
    with pytest.warns(OffsetWarning, match=r"offset of -1000 that its metadata says takes 100% of the pixels of B02"):
        removed.read(["B08", "B02"], GRID)
    with warnings.catch_warnings():
        warnings.simplefilter("error", OffsetWarning)
        removed.read(["B02"], GRID)


@pytest.mark.parametrize(("level", "value", "told"), [("L1C", 995, True), ("L2A", 900, False), ("L2A", 700, True)])
@pytest.mark.parametrize("share", [0.03, 0.08])
def test_more_than_a_few_per_cent_tell(tmp_path: Path, level: str, value: int, told: bool, share: float) -> None:
    values = np.full((48, 48), 1500, np.uint16)
    values.ravel()[: round(share * values.size)] = value
    seen = scene(tmp_path, values, offsets=OFFSET, level=level)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        seen.read(["B02"], GRID)
    assert [each.category for each in caught] == ([OffsetWarning] if told and share > 0.05 else [])


def test_other_quantifications_are_compared_as_reflectance(tmp_path: Path) -> None:
    values = np.full((48, 48), 470, np.uint16)
    with pytest.warns(OffsetWarning):
        scene(tmp_path, values, offsets={"B02": -500, "B08": -500}, quantification=5000).read(["B02"], GRID)


VEGETATION, BARE, SNOW, CLOUD = 4, 5, 11, 9
DARK = {"B02": 300, "B04": 450, "B08": 3500}
"""Vegetation, reflectance * 10000."""


def classified(folder: Path, bands: dict[str, int], kind: int, *, facts: dict[str, Any] | None = None) -> Scene:
    """L2A of two kinds of ground, bright sand and what is asked for, that says its numbers have no offset."""
    classes = np.full((24, 24), BARE, np.uint8)
    classes[:12] = kind
    folder.mkdir()
    write_jp2(folder / "SCL.jp2", classes, 20)
    values = {band: np.full((48, 48), 2500, np.uint16) for band in bands}
    for band, value in bands.items():
        values[band][:24] = value
    said = {"level": "L2A", "processing_baseline": "05.10", "offsets": {}} | (facts or {})
    return Scene(product(folder, values, classification=RasterFile("SCL.jp2", "JP2OpenJPEG"), **said))


def warned(seen: Scene, bands: list[str], grid: Grid = GRID) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        seen.read(bands, grid)
    assert all(each.category is OffsetWarning for each in caught)
    return [str(each.message) for each in caught]


LEFT_IN = {band: value + 1000 for band, value in DARK.items()}


@pytest.mark.parametrize(
    ("bands", "kind", "facts", "told"),
    [
        (LEFT_IN, VEGETATION, {}, True),
        (LEFT_IN, VEGETATION, {"processing_baseline": None}, True),
        (LEFT_IN, VEGETATION, {"processing_baseline": "99.99"}, True),
        (LEFT_IN, VEGETATION, {"processing_baseline": "02.14"}, False),
        (LEFT_IN, VEGETATION, {"offsets": OFFSET | {"B04": -1000}}, False),
        ({band: max(value - 150, 1) + 1000 for band, value in DARK.items()}, VEGETATION, {}, True),
        (DARK, VEGETATION, {}, False),
        ({"B02": 9000, "B04": 9000, "B08": 8500}, SNOW, {}, False),
        ({"B02": 1100, "B04": 1800, "B08": 2600}, BARE, {}, False),
        ({"B02": 5000, "B04": 5000, "B08": 5200}, CLOUD, {}, False),
    ],
    ids=[
        "left in", "unknown baseline", "own run of Sen2Cor", "old baseline", "offset stated", "overcorrected", "honest",
        "snow", "desert", "cloud",
    ],
)  # fmt: skip
def test_an_offset_left_in_l2a_is_seen_in_its_vegetation(
    tmp_path: Path, bands: dict[str, int], kind: int, facts: dict[str, Any], told: bool
) -> None:
    """Once a scene, and never of what is bright by nature."""
    seen = classified(tmp_path / "in", bands, kind, facts=facts)
    assert warned(seen, ["B08"]) == []  # in which vegetation is bright
    messages = warned(seen, list(bands))
    assert len(messages) == told
    assert not told or "0.0% of the vegetation of its scene classification" in messages[0]
    assert warned(seen, list(bands)) == []


def test_a_little_vegetation_tells_nothing_and_thin_cloud_over_it_neither(tmp_path: Path) -> None:
    small = Grid(UTM, LEFT, TOP, 10, 7, 9)
    assert warned(classified(tmp_path / "few", LEFT_IN, VEGETATION), ["B02", "B04"], small) == []
    hazy = classified(tmp_path / "hazy", {"B02": 1100, "B04": 900, "B08": 3000}, VEGETATION)
    values = np.full((48, 48), 1100, np.uint16)
    values[:24, :2] = 750  # where it is thinner: 4 % of the vegetation
    write_jp2(tmp_path / "hazy" / "B02.jp2", values, 10)
    assert warned(hazy, ["B02", "B04"]) == []


def test_a_classification_that_cannot_be_read_does_not_take_the_bands_along(tmp_path: Path) -> None:
    seen = classified(tmp_path / "in", LEFT_IN, VEGETATION)
    (tmp_path / "in" / "SCL.jp2").write_bytes(b"no image")
    assert warned(seen, ["B02", "B04"]) == []
    assert seen.read(["B02"], GRID).max() == 2500


def test_the_classes_are_read_where_the_pixels_are_that_are_looked_at() -> None:
    """Every third row and second column, from the first one on."""
    grid = Grid(UTM, LEFT, TOP, 10, 1100, 1024)
    asked: list[Grid] = []

    def classes(of: Grid) -> np.ndarray:
        asked.append(of)
        return np.full(of.shape, VEGETATION, np.uint8)

    dn, everywhere = np.full((*grid.shape, 1), 1300, np.uint16), np.ones(grid.shape, dtype=bool)
    assert left_in(dn, everywhere, ["B02"], grid, classes) == (367 * 512, 0.0)
    (of,) = asked
    assert (of.shape, of.across, of.down) == ((367, 512), 20, 30)
    assert (of.left + of.across / 2, of.top - of.down / 2) == (LEFT + 5, TOP - 5)
    asked.clear()
    dn[::3, ::40] = 300
    assert left_in(dn, everywhere, ["B02"], grid, classes) == (0, 1.0)
    assert left_in(dn, everywhere, ["B08"], grid, classes) == (0, 1.0)
    assert asked == []
