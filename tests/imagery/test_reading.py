"""What a scene makes of holes, footprints, offsets, masks, levels and other grids. All pixels are simulated."""

from __future__ import annotations

import pickle
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.warp import transform as warp
from shapely.geometry import Polygon, box

from eotasks.errors import BandError, ConfigurationError, ImageryError
from eotasks.imagery.files.protocol import RasterFile
from eotasks.imagery.grid import Grid
from eotasks.imagery.pixels.resampling import ResamplingName
from eotasks.imagery.products.product import MaskPolygons, Product
from eotasks.imagery.scene import Scene
from eotasks.models.sentinel2 import BANDS, NATIVE_RESOLUTION
from tests.builders.products import LEFT, TOP, UTM, product, write_jp2

METHODS: tuple[ResamplingName, ...] = ("mean", "fast", "nearest", "bilinear", "cubic")
SIDE = 960
"""Pixels of 10 m of a scene here."""


def noise(band: str, seed: int = 0) -> NDArray[np.uint16]:
    """Ground that varies over some hundred metres, and a little from pixel to pixel; never near 0."""
    side, size = SIDE * 10 // NATIVE_RESOLUTION[band], NATIVE_RESOLUTION[band]
    generator = np.random.default_rng([seed, BANDS.index(band)])
    nodes = generator.uniform(2000, 8000, (SIDE // 24 + 2, SIDE // 24 + 2))
    places = (np.arange(side) + 0.5) * size / 240
    low = places.astype(int)
    weights = np.zeros((side, len(nodes)))
    weights[np.arange(side), low], weights[np.arange(side), low + 1] = 1 - (places - low), places - low
    return np.rint(weights @ nodes @ weights.T + generator.uniform(0, 500, (side, side))).astype(np.uint16)


def grid(resolution: float, side: float | None = None, across: float = 0, down: float = 0) -> Grid:
    pixels = int((side or SIDE * 10) / resolution)
    return Grid(UTM, LEFT + across, TOP - down, resolution, pixels, pixels)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Three bands of noise, in tiles, with a hole whose edge is slanted."""
    bands = {}
    for band in ("B02", "B8A", "B09"):
        values = noise(band)
        size = NATIVE_RESOLUTION[band]
        rows, columns = (np.indices(values.shape) + 0.5) * size
        values[columns < 1500 + rows / 3] = 0
        bands[band] = values
    return Scene(product(tmp_path_factory.mktemp("noisy"), bands, tile=192))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_threads_make_no_difference(noisy: Scene, method: ResamplingName) -> None:
    results = [noisy.read_masked(noisy.bands, grid(80), resampling=method, threads=each) for each in (1, 2, 5)]
    for dn, is_data in results[1:]:
        np.testing.assert_array_equal(dn, results[0][0])
        np.testing.assert_array_equal(is_data, results[0][1])


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    method=st.sampled_from(METHODS),
    resolution=st.sampled_from([10.0, 60.0, 80.0, 160.0]),
    row=st.integers(0, 40),
    column=st.integers(0, 40),
    height=st.integers(1, 30),
    width=st.integers(1, 30),
)
def test_a_window_is_a_cut_of_the_whole(
    noisy: Scene, method: ResamplingName, resolution: float, row: int, column: int, height: int, width: int
) -> None:
    """At the swath's edge too, and at lower levels."""
    whole, whole_data = _whole(noisy, resolution, method)
    part = Grid(UTM, LEFT + column * resolution, TOP - row * resolution, resolution, height, width)
    dn, is_data = noisy.read_masked(noisy.bands, part, resampling=method)
    rows, columns = slice(row, row + height), slice(column, column + width)
    np.testing.assert_array_equal(is_data, whole_data[rows, columns])
    # GDAL's kernels sum in another order where the window begins elsewhere: a half may fall on either side.
    assert np.abs(dn.astype(int) - whole[rows, columns]).max() <= (method in ("bilinear", "cubic"))


@lru_cache
def _whole(scene: Scene, resolution: float, method: ResamplingName) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    return scene.read_masked(scene.bands, Grid(UTM, LEFT, TOP, resolution, 71, 71), resampling=method)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_is_data_is_where_read_has_values(noisy: Scene, method: ResamplingName) -> None:
    around = Grid(UTM, LEFT - 400, TOP + 400, 80, 130, 130)
    dn, is_data = noisy.read_masked(noisy.bands, around, resampling=method)
    np.testing.assert_array_equal(dn.all(axis=-1), is_data)  # this noise is never 0 where it is data
    np.testing.assert_array_equal(dn.any(axis=-1), is_data)
    np.testing.assert_array_equal(noisy.is_data(around, resampling=method), is_data)
    np.testing.assert_array_equal(noisy.read(["B8A"], around, resampling=method)[..., 0][is_data], dn[..., 1][is_data])
    assert 0.3 < is_data.mean() < 0.9


@pytest.mark.slow
@pytest.mark.parametrize("resolution", [40, 60, 80, 160])
@pytest.mark.parametrize("tile", [None, 192])
def test_fast_leaves_out_what_shares_in_a_hole(tmp_path: Path, resolution: int, tile: int | None) -> None:
    """Flat ground beside a slanted edge stays flat: the wavelet's ripples along the edge take no part."""
    bands = {}
    for band, level in (("B02", 4000), ("B8A", 3000)):
        side, size = SIDE * 10 // NATIVE_RESOLUTION[band], NATIVE_RESOLUTION[band]
        rows, columns = (np.indices((side, side)) + 0.5) * size
        bands[band] = np.where(columns < 3000 + rows / 3, 0, level).astype(np.uint16)
    scene = Scene(product(tmp_path, bands, tile=tile))
    dn, is_data = scene.read_masked(["B02", "B8A"], grid(resolution), resampling="fast")
    exact = scene.is_data(grid(resolution), resampling="mean")
    assert not (is_data & ~exact).any()
    assert (exact & ~is_data).sum() <= 4 * len(exact)  # some pixels along the edge
    assert np.abs(dn[is_data] / [4000, 3000] - 1).max() < 0.01
    assert not dn[~is_data].any()


def test_fast_is_near_the_exact_mean(noisy: Scene) -> None:
    """Nearer than without the shift of the low band put right: by several times."""
    exact, data = noisy.read_masked(["B02"], grid(160), resampling="mean")
    fast, fast_data = noisy.read_masked(["B02"], grid(160), resampling="fast")
    both = data & fast_data
    off = (fast[both].astype(float) - exact[both]).std()
    shifted = Grid(UTM, LEFT - 35, TOP + 35, 160, 60, 60)  # where pixels of 80 m lay if they were blocks
    wrong = noisy.read(["B02"], shifted, resampling="mean")
    assert off < 0.4 * (wrong[both].astype(float) - exact[both]).std()


def test_each_band_has_its_own_offset_and_every_product_its_quantification(tmp_path: Path) -> None:
    bands = {"B02": np.full((6, 6), 1500, np.uint16), "B03": np.full((6, 6), 1500, np.uint16)}
    bands["B02"][0, 0] = bands["B03"][0, 0] = 0
    bands["B02"][1, 1], bands["B03"][1, 1] = 65_535, 900
    scene = Scene(product(tmp_path, bands, offsets={"B02": -1000, "B03": -500}, quantification=5000))
    dn, is_data = scene.read_masked(["B03", "B02"], grid(10, 60))
    assert dn[3, 3].tolist() == [2000, 1000]
    assert dn[0, 0].tolist() == [0, 0]
    assert not is_data[0, 0]
    assert is_data.sum() == 35
    assert dn[1, 1].tolist() == [800, 65_535]  # a saturated pixel is data, and stays saturated


def test_what_no_detector_saw_is_no_data_though_it_is_not_0(tmp_path: Path) -> None:
    """Lossy files leave small numbers outside of the swath; each band has a footprint of its own."""
    bands = {band: np.full((96, 96) if band != "B8A" else (48, 48), 2000, np.uint16) for band in ("B02", "B03", "B8A")}
    for band, values in bands.items():
        values[:, : 300 // NATIVE_RESOLUTION[band]] = 3  # outside
    seen = {band: np.full(values.shape, 5, np.uint8) for band, values in bands.items()}
    seen["B02"][:, :30] = 0
    seen["B8A"][:, :20] = 0
    scene = Scene(product(tmp_path, bands, footprints=dict(seen)))
    fine = grid(10, 960)
    assert scene.is_data(fine, bands=["B03"]).all()
    assert scene.is_data(fine, bands=["B02"])[0].tolist() == [False] * 30 + [True] * 66
    expected = [False] * 40 + [True] * 56
    for bands_read in (["B02", "B8A"], ["B02", "B03", "B8A"], None):
        assert scene.is_data(fine, bands=bands_read)[0].tolist() == expected
    dn = scene.read(["B02", "B8A"], fine)
    assert not dn[:, :40].any()
    assert (dn[:, 40:] == 2000).all()
    coarse = scene.read(["B02"], grid(160, 960))
    assert (coarse[:, 0] == 0).all()
    assert (coarse[:, 1:] == 2000).all()  # the mean of what was seen


@pytest.mark.parametrize("method", ["mean", "fast"])
def test_a_footprint_at_lower_levels(tmp_path: Path, method: ResamplingName) -> None:
    values = np.full((SIDE, SIDE), 2000, np.uint16)
    values[:, :400] = 7
    seen = np.full((SIDE, SIDE), 9, np.uint8)
    seen[:, :400] = 0
    scene = Scene(product(tmp_path, {"B02": values}, footprints={"B02": seen}, tile=192))
    dn, is_data = scene.read_masked(["B02"], grid(160), resampling=method)
    first = np.flatnonzero(is_data[0])[0]
    assert first in ((25,) if method == "mean" else (25, 26))
    assert np.abs(dn[is_data] / 2000 - 1).max() < 0.01
    assert is_data[:, 26:].all()
    beyond = grid(160, 4800, across=4800)  # no edge of the footprint in sight: it is not decoded in full
    np.testing.assert_array_equal(scene.read(["B02"], beyond, resampling=method), dn[:30, 30:])


def test_footprints_as_polygons(tmp_path: Path) -> None:
    west = Polygon([(LEFT + 200, TOP), (LEFT + 500, TOP), (LEFT + 500, TOP - 960), (LEFT + 200, TOP - 960)])
    east = box(LEFT + 480, TOP - 2000, LEFT + 2000, TOP)
    footprint = MaskPolygons(UTM, (("DETECTOR_FOOTPRINT", west), ("DETECTOR_FOOTPRINT", east)))
    bands = {"B02": np.full((96, 96), 2000, np.uint16)}
    scene = Scene(product(tmp_path, bands, footprints={"B02": lambda: footprint}))
    assert scene.is_data(grid(10, 960))[5].tolist() == [False] * 20 + [True] * 76
    assert scene.is_data(Grid(UTM, LEFT + 300, TOP, 10, 20, 20)).all()


def test_footprints_in_another_coordinate_system_and_without_areas(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bands = {"B02": np.full((96, 96), 2000, np.uint16)}
    wrong = product(tmp_path, bands, footprints={"B02": lambda: MaskPolygons("EPSG:32632", (("D", box(0, 0, 1, 1)),))})
    with pytest.raises(ImageryError, match="footprint of B02: in EPSG:32632"):
        Scene(wrong).read(["B02"], grid(10, 960))
    empty = product(tmp_path, bands, footprints={"B02": lambda: MaskPolygons(UTM)})
    assert Scene(empty).is_data(grid(10, 960)).all()
    assert "footprint of B02 names no area" in caplog.text


def test_no_band_reaches_there(noisy: Scene) -> None:
    far = Grid(UTM, LEFT + 90_000, TOP, 60, 3, 4)
    dn, is_data = noisy.read_masked(["B02", "B02"], far, resampling="fast")
    assert dn.shape == (3, 4, 2)
    assert not dn.any()
    assert not is_data.any()
    assert noisy.read_masked([], far)[0].shape == (3, 4, 0)


def test_unknown_bands_and_methods(noisy: Scene) -> None:
    with pytest.raises(BandError, match="band B11 is missing, there are B02, B8A, B09"):
        noisy.read(["B11"], grid(160))
    with pytest.raises(ConfigurationError, match="nearest, bilinear, cubic, mean, fast"):
        noisy.read(["B02"], grid(160), resampling="average")  # type: ignore[arg-type]  # what is refused


@pytest.mark.slow
@pytest.mark.parametrize("resolution", [8.0, 20.0, 33.0, 160.0])
@pytest.mark.parametrize("method", ["mean", "fast"])
def test_means_in_another_coordinate_system(tmp_path: Path, resolution: float, method: ResamplingName) -> None:
    """Against the mean at 900 points of each pixel, looked up one by one."""
    scene = Scene(product(tmp_path, {"B02": noise("B02")[:480, :480]}))
    (x,), (y,) = warp(UTM, "EPSG:32632", [LEFT + 2000], [TOP - 2000])
    target = Grid("EPSG:32632", x, y, resolution, 6, 7)
    steps = (np.arange(30) + 0.5) / 30
    rows = y - resolution * (np.arange(6)[:, np.newaxis] + steps).ravel()
    columns = x + resolution * (np.arange(7)[:, np.newaxis] + steps).ravel()
    points = np.meshgrid(columns, rows)
    east, north = (np.array(each) for each in warp("EPSG:32632", UTM, points[0].ravel(), points[1].ravel()))
    values = noise("B02")[((TOP - north) // 10).astype(int), ((east - LEFT) // 10).astype(int)]
    expected = values.reshape(6, 30, 7, 30).mean(axis=(1, 3))
    found = scene.read(["B02"], target, resampling=method)[..., 0]
    assert np.abs(found - expected).max() < 150
    assert np.abs(found - expected).mean() < 30


def test_masks_of_the_product(tmp_path: Path) -> None:
    write_jp2(tmp_path / "scl.jp2", np.array([[4, 9], [8, 0]], np.uint8).repeat(8, 0).repeat(8, 1), 20)
    layers = np.zeros((3, 8, 8), np.uint8)
    layers[0, :2], layers[1, :, :2], layers[2, :, 4:] = 1, 1, 1
    write_jp2(tmp_path / "classi.jp2", layers, 60)
    scene = Scene(
        product(
            tmp_path, {"B02": np.full((32, 32), 900, np.uint16)}, classification=RasterFile("scl.jp2", "JP2OpenJPEG"),
            cloud_mask=RasterFile("classi.jp2", "JP2OpenJPEG"),
        )
    )  # fmt: skip
    classes = scene.scene_classification(Grid(UTM, LEFT, TOP, 80, 5, 5))
    assert classes.dtype == np.uint8
    assert classes[:4, :4].tolist() == [[4, 4, 9, 9], [4, 4, 9, 9], [8, 8, 0, 0], [8, 8, 0, 0]]
    assert not classes[4].any()
    mask = scene.product_cloud_mask(Grid(UTM, LEFT, TOP, 60, 6, 6))
    assert mask.tolist() == [
        [1, 1, 1, 1, 1, 255], [1, 1, 1, 1, 1, 255], [1, 1, 0, 0, 0, 255], [1, 1, 0, 0, 0, 255], [1, 1, 0, 0, 0, 255],
        [255] * 6,
    ]  # fmt: skip


def test_cloud_polygons_of_the_product(tmp_path: Path) -> None:
    clouds = MaskPolygons(
        UTM,
        (
            ("OPAQUE", box(LEFT, TOP - 40, LEFT + 40, TOP)),
            ("CIRRUS", box(LEFT + 80, TOP - 40, LEFT + 120, TOP)),
            ("OTHER", box(LEFT, TOP - 320, LEFT + 320, TOP)),
        ),
    )
    scene = Scene(product(tmp_path, {"B02": np.full((32, 32), 900, np.uint16)}, cloud_mask=lambda: clouds))
    assert scene.product_cloud_mask(grid(40, 160)).tolist() == [[1, 0, 1, 0]] + [[0] * 4] * 3
    (x,), (y,) = warp(UTM, "EPSG:32632", [LEFT + 10], [TOP - 10])
    assert scene.product_cloud_mask(Grid("EPSG:32632", x, y, 5, 2, 2)).tolist() == [[1, 1], [1, 1]]


def test_what_a_product_does_not_have(noisy: Scene) -> None:
    with pytest.raises(ImageryError, match="no scene classification"):
        noisy.scene_classification(grid(60))
    with pytest.raises(ImageryError, match="no cloud mask of its own"):
        noisy.product_cloud_mask(grid(60))
    with pytest.raises(ImageryError, match="where the sun stood"):
        noisy.sun_angles(grid(60))
    with pytest.raises(ImageryError, match="no angle grids"):
        noisy.view_angles(grid(60))


def test_angles_of_a_scene_with_one_value(tmp_path: Path) -> None:
    scene = Scene(product(tmp_path, {"B02": np.ones((8, 8), np.uint16)}, sun_zenith=66.5, sun_azimuth=160.25))
    zenith, azimuth = scene.sun_angles(grid(10, 80))
    assert zenith.dtype == azimuth.dtype == np.float32
    assert (zenith == np.float32(66.5)).all()
    assert (azimuth == 160.25).all()


def test_what_a_scene_says_of_itself(noisy: Scene, tmp_path: Path) -> None:
    assert noisy.name == "P"
    assert repr(noisy) == f"Scene({noisy.location!r})"
    assert noisy.decoded_size("B02", grid(160), resampling="fast") == 80
    assert noisy.decoded_size("B09", grid(160), resampling="fast") == 60
    assert noisy.decoded_size("B02", grid(160), resampling="mean") == 10
    described = product(
        tmp_path, {"B02": np.ones((8, 8), np.uint16)}, footprints={"B02": np.ones((8, 8), np.uint8)},
        cloud_mask=RasterFile("c.jp2", "JP2OpenJPEG"),
    )  # fmt: skip
    (tmp_path / "c.jp2").write_bytes(b"12345")
    (tmp_path / "MTD_TL.xml").write_text("<a/>")
    (tmp_path / "preview.jpg").write_text("x")
    prints = Scene(described).fingerprints()
    assert list(prints) == ["B02.jp2", "MSK_B02.jp2", "MTD_TL.xml", "c.jp2"]
    assert prints["c.jp2"] == (5, (tmp_path / "c.jp2").stat().st_mtime_ns)


def test_a_scene_is_pickled(noisy: Scene) -> None:
    copy = pickle.loads(pickle.dumps(noisy))
    np.testing.assert_array_equal(copy.read(["B09"], grid(160)), noisy.read(["B09"], grid(160)))


def test_a_preview_decodes_about_as_many_pixels_as_it_has(noisy: Scene) -> None:
    dn, is_data = noisy.preview(["B02", "B8A"], grid(80))
    exact, data = noisy.read_masked(["B02", "B8A"], grid(80))
    both = is_data & data
    assert both.sum() > 0.9 * data.sum()
    assert np.abs(dn[both].astype(int) - exact[both]).mean() < 400


def test_products_are_described_once(tmp_path: Path) -> None:
    described: Product = product(tmp_path, {"B02": np.full((32, 32), 900, np.uint16)})
    scene = Scene(described)
    assert scene.crs == UTM
    (tmp_path / "B02.jp2").unlink()
    assert scene.grid_of("B02").shape == (32, 32)
    with pytest.raises(ImageryError, match=r"B02\.jp2: missing"):
        scene.read(["B02"], grid(10, 320))


def with_hole(values: NDArray[np.uint16], size: float, where: tuple[int, int, int, int]) -> NDArray[np.uint16]:
    """Zeros from a first to a last row and column, in metres."""
    top, bottom, left, right = (round(each / size) for each in where)
    values = values.copy()
    values[top:bottom, left:right] = 0
    return values


HOLE = (1200, 1560, 2400, 2760)


@pytest.mark.parametrize("resolution", [10, 20, 60, 160])
@pytest.mark.parametrize("method", METHODS)
def test_0_in_one_band_with_an_offset_is_no_data_of_it(tmp_path: Path, method: ResamplingName, resolution: int) -> None:
    """Flat ground stays flat beside the hole, at every level, and the other band reads as if there were none."""
    flat = {band: np.full((480, 480), value, np.uint16) for band, value in (("B02", 3000), ("B8A", 4000))}
    flat["B8A"] = with_hole(flat["B8A"][:240, :240], 20, HOLE)
    scene = Scene(product(tmp_path, flat, offsets={"B02": -1000, "B8A": -1000}))
    at = grid(resolution, 4800)
    dn, is_data = scene.read_masked(["B02", "B8A"], at, resampling=method)
    assert set(np.unique(dn[is_data], axis=0).ravel()) == {2000, 3000}
    assert not dn[~is_data].any()
    hole = ~scene.read_masked(["B8A"], at, resampling=method)[1]
    np.testing.assert_array_equal(hole, ~is_data)
    assert scene.read_masked(["B02"], at, resampling=method)[1].all()
    inside = slice(1200 // resolution + 1, 1560 // resolution), slice(2400 // resolution + 1, 2760 // resolution)
    assert hole[inside].all() or method in ("bilinear", "cubic")
    assert hole.sum() * resolution**2 < 3 * 360**2 + 20 * resolution**2


def test_0_in_one_band_without_an_offset_is_data(tmp_path: Path) -> None:
    flat = {band: np.full((48, 48), 3000, np.uint16) for band in ("B02", "B03")}
    flat["B03"][10:20, 10:20] = 0
    scene = Scene(product(tmp_path, flat, offsets={}))
    dn, is_data = scene.read_masked(["B02", "B03"], grid(10, 480))
    assert is_data.all()
    assert (dn[10:20, 10:20, 1] == 0).all()


@pytest.mark.parametrize("method", ["mean", "fast"])
def test_a_ripple_beside_bright_cloud_is_no_hole(tmp_path: Path, method: ResamplingName) -> None:
    """At a lower level the wavelet reaches below 0 there; the pixels themselves hold data."""
    values = np.full((480, 480), 1010, np.uint16)
    values[200:280, 203:290] = 16_000
    bands = {"B02": values, "B03": np.full((480, 480), 3000, np.uint16)}
    scene = Scene(product(tmp_path, bands, offsets=dict.fromkeys(bands, -1000)))
    assert scene.read_masked(["B02", "B03"], grid(160, 4800), resampling=method)[1].all()


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    method=st.sampled_from(METHODS),
    resolution=st.sampled_from([10.0, 20.0, 40.0, 160.0]),
    hole=st.tuples(st.integers(0, 44), st.integers(1, 24), st.integers(0, 44), st.integers(1, 24)),
)
def test_holes_of_one_band_change_no_value_beside_them(
    noisy_alone: NDArray[np.uint16],
    tmp_path_factory: pytest.TempPathFactory,
    method: ResamplingName,
    resolution: float,
    hole: tuple[int, int, int, int],
) -> None:
    """Any value that is told is a mean of pixels that hold data: between the least and the greatest of them."""
    values = noisy_alone.copy()
    values[hole[0] : hole[0] + hole[1], hole[2] : hole[2] + hole[3]] = 0
    scene = Scene(product(tmp_path_factory.mktemp("hole"), {"B02": values}, offsets={"B02": -1000}))
    dn, is_data = scene.read_masked(["B02"], grid(resolution, 480), resampling=method)
    slack = 400 if method in ("fast", "cubic") else 1  # of ripples
    if is_data.any():
        assert dn[is_data].min() >= 1000 - slack
        assert dn[is_data].max() <= 3000 + slack


@pytest.fixture(scope="module")
def noisy_alone() -> NDArray[np.uint16]:
    return np.random.default_rng(3).integers(2000, 4000, (48, 48), dtype=np.uint16)
