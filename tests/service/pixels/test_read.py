"""Bands on any grid against rasterio. All pixels are made up."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling as Method
from rasterio.features import geometry_mask
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.warp import reproject, transform_bounds
from shapely.affinity import translate
from shapely.geometry import Polygon

from eotasks.errors import ImageryError
from eotasks.imagery.files.protocol import RasterFile
from eotasks.imagery.scene import Scene
from eotasks.models.sentinel2 import CLOUD_BANDS
from eotasks.service.contract.area import OutputArea
from eotasks.service.contract.data import Resampling
from eotasks.service.errors import NotFoundError, ProductError, RequestError, TooLargeError
from eotasks.service.evalscript.setup import InputBand, Mosaicking
from eotasks.service.pixels import mosaicking
from eotasks.service.pixels.read import ReadingLimits
from tests.builders.products import LEFT, TOP, UTM, write_jp2
from tests.builders.service.pixels import SIDE, area, asked, made, noise, planes_of, reader


def day(number: int, hour: int = 10) -> dt.datetime:
    return dt.datetime(2024, 6, number, hour)  # noqa: DTZ001 - naive UTC


BANDS = ("B02", "B05", "B01")


def transform_of(where: OutputArea) -> Affine:
    across, down = where.pixel_size
    return Affine(across, 0, where.bounds[0], 0, -down, where.bounds[3])


def by_warp(path: Path, where: OutputArea) -> NDArray[np.uint16]:
    """A file on the grid of a request, by rasterio."""
    grid = transform_of(where)
    with (
        rasterio.open(path) as source,
        WarpedVRT(
            source, crs=where.crs, transform=grid, height=where.height, width=where.width, resampling=Method.nearest,
            tolerance=1e-9, nodata=0,
        ) as warped,
    ):  # fmt: skip
        values: NDArray[np.uint16] = warped.read(1)
    return values


def test_reflectance_and_numbers_are_those_of_the_files(tmp_path: Path) -> None:
    values = {band: noise(band) for band in BANDS}
    source = reader(made(tmp_path / "P", values, processing_baseline="02.04"))
    bands = ["B02", InputBand("B05", "DN"), InputBand("B01", "REFLECTANCE"), "dataMask"]
    planes = planes_of(source, area(), bands)
    assert [planes[each].divisor for each in (*BANDS, "dataMask")] == [10_000, 1, 10_000, 1]
    assert planes["B02"].values.dtype == np.uint16
    for band, times in (("B02", 1), ("B05", 2), ("B01", 6)):
        np.testing.assert_array_equal(planes[band].values[0], values[band].repeat(times, 0).repeat(times, 1))
    assert planes["dataMask"].values.dtype == np.uint8
    assert planes["dataMask"].values.all()


@pytest.mark.parametrize("harmonize", [True, False])
def test_the_offset_of_new_products_is_removed_or_left(tmp_path: Path, harmonize: bool) -> None:
    values = noise("B02")
    values[:4] = 500  # below the offset
    source = reader(made(tmp_path / "P", {"B02": values}, offsets={"B02": -1000}))
    raw = [InputBand("B02", "DN")]
    found = planes_of(source, area(), raw, asked(harmonize=harmonize))["B02"].values[0]
    expected = np.maximum(values.astype(int) - 1000, 0) if harmonize else values
    np.testing.assert_array_equal(found, expected)
    smooth = planes_of(source, area(size=5), raw, asked(harmonize=harmonize, upsampling="BILINEAR"))["B02"].values
    assert smooth.dtype == np.float32
    np.testing.assert_allclose(smooth[0, :4], 0 if harmonize else 500)


@pytest.mark.parametrize("harmonize", [True, False])
def test_reflectance_has_its_offset_in_any_case(tmp_path: Path, harmonize: bool) -> None:
    """What is below 0 is that with values that are not harmonized."""
    values = noise("B02")
    values[:4], values[8] = 500, 0  # below the offset; no data
    source = reader(made(tmp_path / "P", {"B02": values}, offsets={"B02": -1000}))
    expected = np.where(values == 0, 0, values.astype(int) - 1000)
    planes = planes_of(source, area(), ["B02", "dataMask"], asked(harmonize=harmonize))
    assert planes["B02"].divisor == 10_000
    np.testing.assert_array_equal(planes["B02"].values[0], np.maximum(expected, 0) if harmonize else expected)
    np.testing.assert_array_equal(planes["dataMask"].values[0], values > 0)
    smooth = planes_of(source, area(size=5), ["B02"], asked(harmonize=harmonize, upsampling="BILINEAR"))["B02"].values
    np.testing.assert_allclose(smooth[0, :4], 0 if harmonize else -500)


def test_two_units_of_one_band_that_differ_are_refused(tmp_path: Path) -> None:
    source = reader(made(tmp_path / "P", {"B02": noise("B02")}, offsets={"B02": -1000}))
    both = [InputBand("B02", "DN"), InputBand("B02", "REFLECTANCE")]
    source.check(asked(), both)
    with pytest.raises(RequestError, match="ask for one"):
        source.check(asked(harmonize=False), both)


@pytest.mark.parametrize(
    ("crs", "shape"),
    [(UTM, (96, 96)), (UTM, (40, 111)), ("EPSG:4326", (70, 50)), ("EPSG:3857", (64, 64)), ("EPSG:32632", (33, 97))],
)
def test_any_grid_and_system_as_rasterio_warps_it(tmp_path: Path, crs: str, shape: tuple[int, int]) -> None:
    source = reader(made(tmp_path / "P", {band: noise(band) for band in BANDS}, processing_baseline="02.04"))
    inner = (LEFT + 95, TOP - SIDE + 103, LEFT + SIDE - 87, TOP - 91)
    where = area(bounds=transform_bounds(UTM, crs, *inner), crs=crs, shape=shape)
    planes = planes_of(source, where, [*BANDS, "dataMask"])
    assert planes["dataMask"].values.all()
    for band in BANDS:
        np.testing.assert_array_equal(planes[band].values[0], by_warp(tmp_path / f"P/{band}.jp2", where), err_msg=band)


def test_a_grid_that_reaches_beyond_the_product(tmp_path: Path) -> None:
    values = noise("B02")
    source = reader(made(tmp_path / "P", {"B02": values}, processing_baseline="02.04"))
    planes = planes_of(source, area(bounds=(LEFT - 200, TOP - 300, LEFT + 200, TOP + 100)), ["B02", "dataMask"])
    expected = np.zeros((40, 40), int)
    expected[10:, 20:] = values[:30, :20]
    np.testing.assert_array_equal(planes["B02"].values[0], expected)
    np.testing.assert_array_equal(planes["dataMask"].values[0], expected > 0)


@pytest.mark.parametrize("method", ["NEAREST", "BILINEAR", "BICUBIC"])
@pytest.mark.parametrize(("crs", "size"), [("EPSG:3857", 16.0), ("EPSG:3857", 60.0), ("EPSG:4326", 0.0004)])
def test_a_pixel_is_the_same_whatever_else_a_request_has(
    tmp_path: Path, crs: str, size: float, method: Resampling
) -> None:
    """In one row, in few columns, and in requests of hundreds of kilometres, in whose middles a pixel is of another
    size: 60 m there are 36 m here. In degrees pixels are squares that are none on the ground.
    """
    bands = ["B02", "B05", "CLP"]
    values = {band: noise(band) for band in CLOUD_BANDS}
    limits = ReadingLimits(threads=2, exact_metres=40.0)
    source = reader(made(tmp_path / "P", values, processing_baseline="02.04"), limits=limits)
    left, _, _, top = transform_bounds(UTM, crs, LEFT, TOP - SIDE, LEFT + SIDE, TOP)
    left, top = round(left / size) * size, round(top / size) * size
    wanted = asked(upsampling=method, downsampling=method)

    def seen(rows: range, columns: range) -> dict[str, np.ndarray]:
        bounds = (
            left + columns.start * size,
            top - rows.stop * size,
            left + columns.stop * size,
            top - rows.start * size,
        )
        where = area(bounds=bounds, crs=crs, shape=(len(rows), len(columns)))
        return {name: plane.values[0] for name, plane in planes_of(source, where, bands, wanted).items()}

    whole = seen(range(24), range(24))
    assert all(each.any() for each in whole.values())
    for rows, columns in (
        (range(7, 8), range(24)), (range(24), range(9, 10)), (range(3, 8), range(3, 20)),
        (range(-3, 2000), range(-9, 24)), (range(-3, 24), range(-2000, 24)),
    ):  # fmt: skip
        part = seen(rows, columns)
        down, across = (
            slice(max(rows.start, 0), min(rows.stop, 24)),
            slice(max(columns.start, 0), min(columns.stop, 24)),
        )
        inner = np.s_[
            down.start - rows.start : down.stop - rows.start, across.start - columns.start : across.stop - columns.start
        ]
        for band in bands:
            np.testing.assert_allclose(
                part[band][inner], whole[band][down, across], atol=1e-2, err_msg=f"{band} {rows}"
            )


@pytest.mark.parametrize(("up", "down"), [("NEAREST", "BILINEAR"), ("BILINEAR", "NEAREST"), ("BICUBIC", "BICUBIC")])
def test_each_direction_has_its_own_method(tmp_path: Path, up: Resampling, down: Resampling) -> None:
    """At 20 m B02 goes down and B01 up; B05 is as wide."""
    methods = {"NEAREST": Method.nearest, "BILINEAR": Method.bilinear, "BICUBIC": Method.cubic}
    source = reader(made(tmp_path / "P", {band: noise(band) for band in BANDS}, processing_baseline="02.04"))
    where = area(bounds=(LEFT + 240, TOP - 720, LEFT + 720, TOP - 240), size=20)
    planes = planes_of(source, where, BANDS, asked(upsampling=up, downsampling=down))
    for band, method in (("B02", down), ("B05", down), ("B01", up)):
        found = planes[band].values[0]
        assert found.dtype == np.float32, "other products may have another method"
        with rasterio.open(tmp_path / f"P/{band}.jp2") as file:
            expected = np.zeros((24, 24), np.float32)
            options = {"dst_transform": transform_of(where), "dst_crs": where.crs, "resampling": methods[method]}
            reproject(file.read(1).astype(np.float32), expected, file.transform, src_crs=file.crs, **options)
        np.testing.assert_allclose(found, np.maximum(expected, 0), rtol=1e-5, err_msg=band)


def test_what_lies_outside_of_the_geometry_is_0(tmp_path: Path) -> None:
    source = reader(
        made(tmp_path / "P", {"B02": noise("B02")}, processing_baseline="02.04", sun_zenith=30.0, sun_azimuth=9.0)
    )
    field = Polygon([(LEFT + 101, TOP - 99), (LEFT + 644, TOP - 310), (LEFT + 222, TOP - 777)])
    where = replace(area(), geometry=field)
    planes = planes_of(source, where, ["B02", "dataMask", "sunZenithAngles"])
    inside = geometry_mask([field], (96, 96), transform_of(where), invert=True)
    np.testing.assert_array_equal(planes["dataMask"].values[0], inside)
    np.testing.assert_array_equal(planes["B02"].values[0], np.where(inside, noise("B02"), 0))
    np.testing.assert_array_equal(planes["sunZenithAngles"].values[0], np.where(inside, 30, 0))
    nowhere = planes_of(source, replace(where, geometry=Polygon([(0, 0), (1, 0), (1, 1)])), ["B02", "dataMask"])
    assert not any(plane.values.any() for plane in nowhere.values())


@pytest.mark.parametrize(("order", "first", "second"), [("mostRecent", 3, 2), ("leastRecent", 1, 2), ("leastCC", 2, 3)])
def test_pixels_come_from_the_first_product_with_data(tmp_path: Path, order: str, first: int, second: int) -> None:
    products = []
    for number, cover in ((1, None), (2, 10.0), (3, 80.0)):
        bands = {band: np.full_like(noise(band), number * 100) for band in ("B02", "B03")}
        if number == first:
            bands["B03"][:, :48] = 0
        facts = {"processing_baseline": "05.10", "offsets": {"B02": -1, "B03": -1}}
        products.append(made(tmp_path / f"P{number}", bands, time=day(number), cloud_cover=cover, **facts))
    planes = planes_of(reader(*products), area(), ["B03", "B02"], asked(order=order))
    expected = np.full((96, 96), first * 100 - 1)
    expected[:, :48] = second * 100 - 1
    for plane in planes.values():
        np.testing.assert_array_equal(plane.values[0], expected)


def test_days_and_products_as_scenes(tmp_path: Path) -> None:
    hours = [(1, 10), (2, 9), (2, 11), (3, 10)]
    products = [
        made(tmp_path / f"P{index}", {"B02": np.full((96, 96), index + 1, np.uint16)}, time=day(*hour),
             processing_baseline="02.04", cloud_cover=cover)
        for index, (hour, cover) in enumerate(zip(hours, (50.0, 40.0, 10.0, 30.0), strict=True))
    ]  # fmt: skip
    source, where = reader(*products), area()

    def seen(mosaicking: Mosaicking, order: str) -> list[int]:
        planes = planes_of(source, where, ["B02"], asked(order=order), mosaicking)
        return [int(values[0, 0]) for values in planes["B02"].values]

    assert seen(Mosaicking.TILE, "mostRecent") == [4, 3, 2, 1]
    assert seen(Mosaicking.TILE, "leastRecent") == [1, 2, 3, 4]
    assert seen(Mosaicking.TILE, "leastCC") == [3, 4, 2, 1]
    assert seen(Mosaicking.ORBIT, "mostRecent") == [4, 3, 1]
    assert seen(Mosaicking.ORBIT, "leastRecent") == [1, 2, 4]
    assert seen(Mosaicking.ORBIT, "leastCC") == [3, 4, 1]
    orbits = source.find(asked(), where, Mosaicking.ORBIT).scenes
    assert [(f"{each.date_from:%d %H:%M:%S}", f"{each.date_to:%d %H:%M:%S}") for each in orbits] == [
        ("03 00:00:00", "03 23:59:59"), ("02 00:00:00", "02 23:59:59"), ("01 00:00:00", "01 23:59:59"),
    ]  # fmt: skip
    assert [tile.id for tile in orbits[1].tiles] == ["P2", "P1"]
    assert orbits[1].tiles[0].cloud_cover == 10
    part = source.find(asked(), where, Mosaicking.ORBIT)
    kept = part._replace(scenes=part.scenes[2:], products=part.products[2:])
    assert source.read(asked(), where, kept, [InputBand("B02")])[0].values[:, 0, 0].tolist() == [1]


@pytest.mark.parametrize("mosaicking", [Mosaicking.ORBIT, Mosaicking.TILE])
def test_products_beside_the_area_are_scenes_where_they_have_pixels_of_it(
    tmp_path: Path, mosaicking: Mosaicking
) -> None:
    """Footprints are straight in degrees, so they may miss a strip; a search looks a little farther."""
    west = made(tmp_path / "WEST", {"B02": noise("B02")}, time=day(1), left=LEFT - SIDE, processing_baseline="02.04")
    here = made(tmp_path / "HERE", {"B02": noise("B02")}, time=day(2), processing_baseline="02.04")
    assert west.footprint is not None
    where = area(bounds=(LEFT - 20, TOP - 400, LEFT + 300, TOP - 200))
    missed = replace(west, footprint=translate(west.footprint, -50 / 66_000))
    for found in (west, missed):
        assert len(reader(found, here).find(asked(), where, mosaicking).scenes) == 2
    planes = planes_of(reader(missed, here), where, ["B02"], mosaicking=mosaicking)
    np.testing.assert_array_equal(planes["B02"].values[1, :, :2], noise("B02")[20:40, -2:])
    beside = area(bounds=(LEFT + 20, TOP - 400, LEFT + 300, TOP - 200))
    assert len(reader(west, here).find(asked(), beside, mosaicking).scenes) == 1
    assert len(reader(west, here).find(asked(), beside, Mosaicking.SIMPLE).scenes[0].tiles) == 2


def test_cloud_cover_is_at_most_what_is_asked_for(tmp_path: Path) -> None:
    values = {"B02": noise("B02")}
    products = [
        made(tmp_path / f"P{cover}", values, time=day(index + 1), cloud_cover=cover)
        for index, cover in enumerate((10.0, 20.0, 30.0, None))
    ]
    found = reader(*products).find(asked(max_cloud_coverage=20), area(), Mosaicking.TILE)
    assert {scene.tiles[0].id for scene in found.scenes} == {"P10.0", "P20.0", "PNone"}


@pytest.mark.parametrize(("mosaicking", "scenes"), [("SIMPLE", 1), ("ORBIT", 0), ("TILE", 0)])
def test_no_product_at_all(tmp_path: Path, mosaicking: str, scenes: int) -> None:
    source = reader(made(tmp_path / "P", {"B02": noise("B02")}))
    far = area(bounds=(LEFT + 50_000, TOP, LEFT + 50_960, TOP + 960))
    bands = ["B02", "dataMask", "CLP", "CLM", "sunAzimuthAngles"]
    planes = planes_of(source, far, bands, mosaicking=Mosaicking(mosaicking))
    assert all(plane.values.shape[0] == scenes and not plane.values.any() for plane in planes.values())


def test_classes_of_l2a_are_nearest(tmp_path: Path) -> None:
    classes = np.random.default_rng(1).integers(1, 12, (48, 48)).astype(np.uint8)
    (tmp_path / "P").mkdir()
    write_jp2(tmp_path / "P/SCL.jp2", classes, 20)
    product = made(
        tmp_path / "P", {"B02": noise("B02")}, level="L2A", classification=RasterFile("SCL.jp2", "JP2OpenJPEG")
    )
    data = asked("sentinel-2-l2a", upsampling="BICUBIC", downsampling="BICUBIC")
    planes = planes_of(reader(product), area(), ["SCL", "CLP", "CLM"], data)
    np.testing.assert_array_equal(planes["SCL"].values[0], classes.repeat(2, 0).repeat(2, 1))
    assert not planes["CLP"].values.any()
    assert (planes["CLM"].values == 255).all()


def test_what_products_of_l2a_hold_beside_it(tmp_path: Path) -> None:
    """Probabilities of snow and cloud and optical depth: of those that hold them."""
    snow = np.random.default_rng(1).integers(0, 101, (48, 48)).astype(np.uint8)
    depth = np.random.default_rng(2).integers(0, 3000, (48, 48)).astype(np.uint16)
    (tmp_path / "P").mkdir()
    write_jp2(tmp_path / "P/SNW.jp2", snow, 20)
    write_jp2(tmp_path / "P/AOT.jp2", depth, 20)
    candidate = made(tmp_path / "P", {"B02": noise("B02")}, level="L2A", time=day(1))
    files = {name: RasterFile(f"{name}.jp2", "JP2OpenJPEG") for name in ("SNW", "AOT")}
    full = replace(candidate, location=Scene(replace(candidate.location.product, layers=files)))
    planes = planes_of(reader(full), area(), ["SNW", "AOT", InputBand("SNW", "percent")], asked("sentinel-2-l2a"))
    np.testing.assert_array_equal(planes["SNW"].values[0], snow.repeat(2, 0).repeat(2, 1))
    np.testing.assert_array_equal(planes["AOT"].values[0], depth.repeat(2, 0).repeat(2, 1))
    assert (planes["SNW"].divisor, planes["AOT"].divisor, planes["AOT"].values.dtype) == (1, 1000, np.uint16)
    with pytest.raises(RequestError, match="Product P does not hold CLD"):
        planes_of(reader(full), area(), ["CLD"], asked("sentinel-2-l2a"))


def test_strips_are_as_small_for_files_that_are_read_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a wide request bands are decoded at a lower level, and the scene classification is not."""
    classes = np.random.default_rng(1).integers(1, 12, (256, 256)).astype(np.uint8)
    (tmp_path / "P").mkdir()
    write_jp2(tmp_path / "P/SCL.jp2", classes, 20)
    bands = {"B02": np.random.default_rng(2).integers(1, 9_000, (512, 512)).astype(np.uint16)}
    file = RasterFile("SCL.jp2", "JP2OpenJPEG")
    source = reader(
        made(tmp_path / "P", bands, level="L2A", classification=file), limits=ReadingLimits(threads=2, exact_metres=79)
    )
    where, wanted = area(bounds=(LEFT, TOP - 5_120, LEFT + 5_120, TOP), size=80), asked("sentinel-2-l2a")
    at_once = planes_of(source, where, ["B02", "SCL"], wanted)
    heights: list[int] = []
    original = mosaicking.read_layer
    monkeypatch.setattr(mosaicking, "read_layer", lambda *args: (heights.append(args[2].height), original(*args))[1])
    monkeypatch.setattr(mosaicking, "STRIP_PIXELS", 30_000)
    in_strips = planes_of(source, where, ["B02", "SCL"], wanted)
    assert heights == [21, 21, 22], "of 16,384 pixels of B02 at 40 m, and 65,536 of the classes"
    for band, plane in at_once.items():
        np.testing.assert_array_equal(in_strips[band].values, plane.values)


def test_wide_pixels_are_made_of_lower_levels(tmp_path: Path) -> None:
    """Up to `exact_metres` the pixel under the centre counts; beyond it one of the lowest level that is fine enough."""
    values = np.full((512, 512), 1000, np.uint16)
    values[::2, ::2] = 2000
    source = made(tmp_path / "P", {"B02": values}, processing_baseline="02.04")
    where = area(bounds=(LEFT + 640, TOP - 3840, LEFT + 3840, TOP - 640), size=80)
    exact = planes_of(reader(source), where, ["B02"])["B02"].values[0]
    np.testing.assert_array_equal(exact, by_warp(tmp_path / "P/B02.jp2", where))
    assert set(np.unique(exact)) <= {1000, 2000}
    coarse = planes_of(reader(source, limits=ReadingLimits(exact_metres=79)), where, ["B02"])["B02"].values[0]
    assert ((coarse > 1000) & (coarse < 2000)).all()


def test_angles_are_those_of_the_nearest_node(tmp_path: Path) -> None:
    source = reader(made(tmp_path / "P", {"B02": noise("B02")}, sun_zenith=30.0, sun_azimuth=150.0))
    planes = planes_of(source, area(size=60), ["sunZenithAngles", "sunAzimuthAngles"])
    assert (planes["sunZenithAngles"].values == 30).all()
    assert (planes["sunAzimuthAngles"].values == 150).all()
    with pytest.raises(RequestError, match="P does not say its angles"):
        planes_of(source, area(size=60), ["viewZenithMean"])


@pytest.mark.parametrize(
    ("collection", "band", "units", "complaint"),
    [
        ("sentinel-2-l1c", "B13", None, r"Band 'B13' of sentinel-2-l1c does not exist.*There are B01, B02"),
        ("sentinel-2-l2a", "B10", None, r"Band 'B10' of sentinel-2-l2a does not exist"),
        ("sentinel-2-l1c", "SCL", None, r"Band 'SCL'"),
        ("sentinel-2-l1c", "SNW", None, r"Band 'SNW' of sentinel-2-l1c does not exist"),
        ("sentinel-2-l2a", "SCL", "REFLECTANCE", r"SCL of sentinel-2-l2a has no units 'REFLECTANCE': give DN"),
        ("sentinel-2-l1c", "B02", "PERCENT", r"give REFLECTANCE or DN"),
    ],
)
def test_bands_and_units_that_there_are_not(
    tmp_path: Path, collection: str, band: str, units: str | None, complaint: str
) -> None:
    with pytest.raises(RequestError, match=complaint):
        reader().check(asked(collection), [InputBand(band, units)])


def test_units_and_collections_in_any_case() -> None:
    reader().check(asked("S2L1C"), [InputBand("B02", "reflectance"), InputBand("CLP", "dn")])
    reader().check(asked("sentinel-2-L2A"), [InputBand("SCL"), InputBand("sunZenithAngles", "degrees")])
    with pytest.raises(NotFoundError, match=r"'landsat' is not served.*There are sentinel-2-l1c, sentinel-2-l2a"):
        reader().check(asked("landsat"), [])


def test_limits_are_looked_at_before_anything_is_read(tmp_path: Path) -> None:
    products = [made(tmp_path / f"P{number}", {"B02": noise("B02")}, time=day(number)) for number in (1, 2, 3)]
    with pytest.raises(TooLargeError, match="3 products of sentinel-2-l1c are asked for, more than the 2"):
        reader(*products, limits=ReadingLimits(max_products=2)).find(asked(), area(), Mosaicking.SIMPLE)
    wide = OutputArea("EPSG:3857", (0, 0, 2_000_000, 2_000_000), 512, 512)
    with pytest.raises(RequestError, match=r"Pixels of 3,8\d\d m are wider than the 1,500 m"):
        reader(*products).find(asked(), wide, Mosaicking.SIMPLE)
    with pytest.raises(RequestError, match=r"no place on Earth|not known"):
        reader(*products).find(asked(), OutputArea("EPSG:99999", (0, 0, 1, 1), 8, 8), Mosaicking.SIMPLE)


def test_a_damaged_product_is_told_without_its_place(tmp_path: Path) -> None:
    product = made(tmp_path / "SECRET", {"B02": noise("B02")}, name="S2A_X")
    (tmp_path / "SECRET/B02.jp2").write_bytes(b"nothing")
    with pytest.raises(ProductError, match="Product S2A_X cannot be read") as caught:
        planes_of(reader(product), area(), ["B02"])
    assert "SECRET" not in str(caught.value)
    with pytest.raises(RequestError, match="Product S2A_X does not hold all bands"):
        planes_of(reader(product), area(), ["B12"])
    assert isinstance(caught.value.__cause__, ImageryError)


def test_threads_see_the_same(tmp_path: Path) -> None:
    products = [
        made(tmp_path / f"P{number}", {"B02": noise("B02", number)}, time=day(number), processing_baseline="02.04")
        for number in range(1, 5)
    ]
    source, found = reader(*products), []

    def read() -> None:
        found.append(planes_of(source, area(), ["B02"], mosaicking=Mosaicking.TILE)["B02"].values)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = np.stack([noise("B02", number) for number in (4, 3, 2, 1)])
    assert len(found) == 4
    for each in found:
        np.testing.assert_array_equal(each, expected)


def test_scenes_behind_are_not_opened_where_nothing_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    products = [
        made(tmp_path / f"P{number}", {"B02": noise("B02", number)}, time=day(number), processing_baseline="02.04")
        for number in (1, 2)
    ]
    opened: list[str] = []
    original = type(products[0]).open
    monkeypatch.setattr(type(products[0]), "open", lambda self: (opened.append(self.name), original(self))[1])
    found = planes_of(reader(*products), area(), ["B02"])
    np.testing.assert_array_equal(found["B02"].values[0], noise("B02", 2))
    assert opened == ["P2"]
    assert isinstance(products[0].location, Scene)
