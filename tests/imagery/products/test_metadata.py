"""What metadata says, and how it is refused when it contradicts itself."""

from __future__ import annotations

import contextlib
import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.errors import ImageryError, OffsetError
from eotasks.imagery.products.metadata import (
    ProductFacts,
    TileFacts,
    check_same,
    parse_product_name,
    read_angles,
    read_product_metadata,
    read_tile_metadata,
)
from eotasks.imagery.products.offsets import carries_offset
from eotasks.models.sentinel2 import BANDS
from tests.builders.layouts import PRODUCT_XML, TILE_XML, small_l2a, small_safe
from tests.builders.tile import NAME


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_safe(tmp_path_factory.mktemp("safe"))


@pytest.fixture(scope="module")
def product(safe: Path) -> str:
    return (safe / PRODUCT_XML).read_text()


@pytest.fixture(scope="module")
def tile(safe: Path) -> str:
    return (safe / TILE_XML).read_text()


def facts_of(text: str) -> ProductFacts:
    return read_product_metadata(text.encode(), "MTD.xml")


def tile_of(text: str) -> TileFacts:
    return read_tile_metadata(text.encode(), "MTD_TL.xml")


def test_names() -> None:
    facts = parse_product_name(f"{NAME}.SAFE")
    assert facts is not None
    assert (facts.satellite, facts.level, facts.baseline, facts.orbit, facts.tile) == (
        "S2A",
        "L1C",
        "05.10",
        65,
        "33UUU",
    )
    assert facts.time == dt.datetime(2017, 2, 16, 10, 21, 1)  # noqa: DTZ001  # naive UTC
    assert facts.made == dt.datetime(2023, 11, 1)  # noqa: DTZ001  # the same
    for name in ("", "holiday", f"{NAME}_copy", NAME.replace("L1C", "L1B"), f"x{NAME}"):
        assert parse_product_name(name) is None


@pytest.mark.parametrize(
    ("baseline", "carries"), [("02.04", False), ("03.01", False), ("04.00", True), ("05.10", True)]
)
def test_baselines_with_offsets(baseline: str, carries: bool) -> None:
    assert carries_offset(baseline) is carries


def test_product(product: str) -> None:
    facts = facts_of(product)
    assert (facts.satellite, facts.level, facts.baseline, facts.orbit) == ("S2A", "L1C", "05.10", 65)
    assert (facts.direction, facts.quantification, facts.saturated) == ("descending", 10_000, 65_535)
    assert facts.offsets == dict.fromkeys(BANDS, -1000)
    assert facts.made == dt.datetime(2023, 11, 1)  # noqa: DTZ001  # naive UTC
    longitudes, latitudes = np.array(facts.footprint).T
    assert ((longitudes > 11.5) & (longitudes < 13)).all()
    assert ((latitudes > 53) & (latitudes < 54)).all()


def test_offsets_of_every_band_are_kept_apart(product: str) -> None:
    text = product.replace('<RADIO_ADD_OFFSET band_id="8">-1000<', '<RADIO_ADD_OFFSET band_id="8">-900<')
    assert facts_of(text).offsets == {**dict.fromkeys(BANDS, -1000), "B8A": -900}


def test_an_old_product_has_no_offsets(product: str) -> None:
    old = product.replace("05.10", "02.04").replace("N0510", "N0204").replace("N05.10", "N02.04")
    with pytest.raises(
        OffsetError, match=r"RADIO_ADD_OFFSET of B01 is -1000, and products of baseline 02\.04 have none"
    ):
        facts_of(old)
    lines = "\n".join(line for line in old.splitlines() if "RADIO_ADD_OFFSET" not in line)
    assert facts_of(lines).offsets == {}


@pytest.mark.parametrize("offset", [0, 1000])
def test_a_new_product_has_offsets_below_0(product: str, offset: int) -> None:
    changed = product.replace('<RADIO_ADD_OFFSET band_id="3">-1000<', f'<RADIO_ADD_OFFSET band_id="3">{offset}<')
    with pytest.raises(OffsetError, match=rf"of B04 is {offset}, and products of baseline 05\.10 have one below 0"):
        facts_of(changed)


def test_the_quantification_is_the_one_it_says(product: str) -> None:
    assert (
        facts_of(product.replace(">10000</QUANTIFICATION_VALUE>", ">1000</QUANTIFICATION_VALUE>")).quantification
        == 1000
    )


def test_surface_reflectance(safe: Path, tmp_path: Path) -> None:
    text = (small_l2a(safe, tmp_path) / "MTD_MSIL2A.xml").read_text()
    facts = facts_of(text)
    assert (facts.level, facts.quantification) == ("L2A", 10_000)
    assert facts.offsets == dict.fromkeys(BANDS, -1000)
    without_cirrus = "\n".join(line for line in text.splitlines() if 'OFFSET band_id="10"' not in line)
    assert "B10" not in facts_of(without_cirrus).offsets


def test_surface_reflectance_of_2018(safe: Path, tmp_path: Path) -> None:
    """Sen2Cor up to 2.5 names some elements otherwise."""
    target = small_l2a(safe, tmp_path)
    text = (target / "MTD_MSIL2A.xml").read_text()
    for old, new in (
        ("BOA_QUANTIFICATION_VALUE", "L2A_BOA_QUANTIFICATION_VALUE"), ("PRODUCT_URI", "PRODUCT_URI_2A"),
        (">Level-2A<", ">Level-2Ap<"), ("05.10", "02.06"), ("N0510", "N0206"),
    ):  # fmt: skip
        text = text.replace(old, new)
    text = "\n".join(line for line in text.splitlines() if "BOA_ADD_OFFSET" not in line)
    facts = facts_of(text)
    assert facts.name is not None
    assert (facts.level, facts.baseline, facts.quantification, facts.offsets) == ("L2A", "02.06", 10_000, {})
    (path,) = target.glob("GRANULE/*/MTD_TL.xml")
    assert tile_of(path.read_text().replace("TILE_ID", "TILE_ID_2A")).tile == "33UUU"


def test_tile(tile: str) -> None:
    facts = tile_of(tile)
    assert (facts.satellite, facts.level, facts.tile, facts.baseline) == ("S2A", "L1C", "33UUU", "05.10")
    assert (facts.crs, facts.sun_zenith, facts.sun_azimuth, facts.cloud_cover) == ("EPSG:32633", 66.07, 163.24, 50)


PRODUCT_CASES = [
    (">Level-1C<", ">Level-1B<", "only Level-1C and Level-2A"),
    (">Level-1C<", ">Level-2A<", "in a document of 'Level-1C"),
    ("Sentinel-2A<", "Landsat-8<", "is no Sentinel-2"),
    ("Sentinel-2A<", "Sentinel-2B<", "satellite S2B"),
    ("<PROCESSING_BASELINE>05.10", "<PROCESSING_BASELINE>5", "expected a number"),
    ("<PROCESSING_BASELINE>05.10", "<PROCESSING_BASELINE>04.00", "processing baseline 04.00"),
    (">65</SENSING_ORBIT_NUMBER>", ">x</SENSING_ORBIT_NUMBER>", "not a number"),
    ("<DATATAKE_SENSING_START>2017-02-16", "<DATATAKE_SENSING_START>2017-02-26", "time 2017-02-26"),
    ("<DATATAKE_SENSING_START>2017-02-16", "<DATATAKE_SENSING_START>2017-02-30", "is no time"),
    ("DATATAKE_SENSING_START", "OTHER", "has no DATATAKE_SENSING_START"),
    (">10000</QUANTIFICATION_VALUE>", ">-1</QUANTIFICATION_VALUE>", "QUANTIFICATION_VALUE is -1"),
    (">10000</QUANTIFICATION_VALUE>", ">inf</QUANTIFICATION_VALUE>", "not a number"),
    ("QUANTIFICATION_VALUE", "OTHER", "QUANTIFICATION_VALUE is missing"),
    ('<RADIO_ADD_OFFSET band_id="3">', '<RADIO_ADD_OFFSET band_id="2">', "B03 is given twice"),
    ('<RADIO_ADD_OFFSET band_id="3">', '<RADIO_ADD_OFFSET band_id="13">', "'13' is none of 0 to 12"),
    ('<RADIO_ADD_OFFSET band_id="3">', "<RADIO_ADD_OFFSET>", "None is none of 0 to 12"),
    ('<RADIO_ADD_OFFSET band_id="3">-1000', '<RADIO_ADD_OFFSET band_id="3">-1000.5', "-1000.5"),
    ('<RADIO_ADD_OFFSET band_id="3">-1000', '<RADIO_ADD_OFFSET band_id="3">', "not a number"),
    ("RADIO_ADD_OFFSET", "OTHER", "no RADIO_ADD_OFFSET, which products of baseline 05.10 have"),
    ("<SPECIAL_VALUE_INDEX>0<", "<SPECIAL_VALUE_INDEX>1<", "no data is not 0"),
    ("<EXT_POS_LIST>", "<EXT_POS_LIST>1 ", "odd count"),
    ("<EXT_POS_LIST>", "<EXT_POS_LIST>north east ", "not a number"),
]


@pytest.mark.parametrize(("old", "new", "message"), PRODUCT_CASES)
def test_product_that_is_refused(product: str, old: str, new: str, message: str) -> None:
    assert old in product
    with pytest.raises(ImageryError, match=message) as raised:
        facts_of(product.replace(old, new))
    assert str(raised.value).startswith("MTD.xml: ")
    assert "\n" not in str(raised.value)


TILE_CASES = [
    ("_MSI_L1C_TL_", "_MSI_L1C_DS_", "no Sentinel-2 tile"),
    ("TILE_ID", "OTHER", "has no TILE_ID"),
    (">2017-02-16T10:21:01.026Z</SENSING_TIME>", ">noon</SENSING_TIME>", "is no time"),
    (">EPSG:32633<", ">/etc/passwd<", "no EPSG code"),
    (">66.07</ZENITH_ANGLE>", ">high</ZENITH_ANGLE>", "not a number"),
]


@pytest.mark.parametrize(("old", "new", "message"), TILE_CASES)
def test_tile_that_is_refused(tile: str, old: str, new: str, message: str) -> None:
    assert old in tile
    with pytest.raises(ImageryError, match=message):
        tile_of(tile.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("_T33UUU_", "_T33UUV_", "tile 33UUV"),
        ("_MSI_L1C_TL_", "_MSI_L2A_TL_", "level L2A"),
        ('<TILE_ID metadataLevel="Brief">S2A', '<TILE_ID metadataLevel="Brief">S2B', "satellite S2B"),
        ("_T33UUU_N05.10<", "_T33UUU_N03.01<", "processing baseline 03.01"),
        ("2017-02-16T10:21:01.026Z", "2017-02-16T10:18:01.026Z", "sensed at 2017-02-16T10:18:01"),
        ("2017-02-16T10:21:01.026Z", "2017-02-17T10:21:01.026Z", "sensed at 2017-02-17T10:21:01"),
    ],
)
def test_tile_of_another_product(product: str, tile: str, old: str, new: str, what: str) -> None:
    check_same(tile_of(tile), facts_of(product), "MTD_TL.xml")
    with pytest.raises(ImageryError, match=f"{what}.* two products"):
        check_same(tile_of(tile.replace(old, new)), facts_of(product), "MTD_TL.xml")


def test_angles(tile: str) -> None:
    grids = read_angles(tile.encode(), "MTD_TL.xml")
    assert (grids.left, grids.top, grids.column_step, grids.row_step) == (300_000, 5_900_040, 5_000, 5_000)
    assert tuple(grids.view_nodes) == BANDS
    assert {len(pairs) for pairs in grids.view_nodes.values()} == {6}
    assert grids.sun_nodes[0].shape == (23, 23)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Sun_Angles_Grid", "Other", "no grid of sun angles"),
        ('<COL_STEP unit="m">5000<', '<COL_STEP unit="m">0<', "COL_STEP is 0"),
        ('<ROW_STEP unit="m">5000<', '<ROW_STEP unit="m">far<', "not a number"),
        ("<VALUES>66.07 ", "<VALUES>", "22"),
        ("<VALUES>66.07 ", "<VALUES>high ", "no number"),
        ("<VALUES>5.0 ", "<VALUES>", "22"),
        ('bandId="12"', 'bandId="99"', "none of 0 to 12"),
    ],
)
def test_angles_that_are_refused(tile: str, old: str, new: str, message: str) -> None:
    assert old in tile
    with pytest.raises(ImageryError, match=message):
        read_angles(tile.replace(old, new).encode(), "MTD_TL.xml")


@settings(max_examples=150, deadline=None)
@given(st.floats(0, 1), st.binary(max_size=6), st.integers(0, 200))
def test_any_bytes_are_read_or_refused(product: str, tile: str, place: float, noise: bytes, cut: int) -> None:
    for text, readers in ((product, [read_product_metadata]), (tile, [read_tile_metadata, read_angles])):
        content = text.encode()
        start = int(place * min(len(content), 8_000))
        content = content[:start] + noise + content[start + cut :]
        for reader in readers:
            with contextlib.suppress(ImageryError):
                reader(content, "x.xml")


@pytest.mark.parametrize("baseline", ["05.09", "99.99"])
def test_tile_of_a_baseline_with_the_same_offsets(product: str, tile: str, baseline: str) -> None:
    check_same(tile_of(tile.replace("_N05.10<", f"_N{baseline}<")), facts_of(product), "MTD_TL.xml")


def test_seconds_between_name_and_datatake(product: str) -> None:
    """The name counts, after which the images are named."""
    old = "<DATATAKE_SENSING_START>2017-02-16T10:21:01"
    assert old in product
    assert facts_of(product.replace(old, f"{old[:-2]}03")).time == facts_of(product).time


def test_own_run_of_sen2cor_without_offsets(safe: Path, tmp_path: Path) -> None:
    (path,) = small_l2a(safe, tmp_path).glob("MTD_MSIL2A.xml")
    text = path.read_text().replace("BOA_ADD_OFFSET", "OTHER").replace("05.10", "99.99").replace("N0510", "N9999")
    facts = facts_of(text)
    assert (facts.baseline, facts.offsets) == ("99.99", {})


def test_values_are_quoted_in_short(product: str) -> None:
    with pytest.raises(ImageryError, match="is no Sentinel-2") as raised:
        facts_of(product.replace(">Sentinel-2A<", f">{'1' * 100_000}<"))
    assert len(str(raised.value)) < 1000
