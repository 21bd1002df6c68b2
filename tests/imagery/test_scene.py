from __future__ import annotations

import itertools
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

from eotasks.errors import BandError, ConfigurationError, ImageryError
from eotasks.imagery.grid import Grid
from eotasks.imagery.pixels.resampling import ResamplingName
from eotasks.imagery.pixels.window import Window
from eotasks.imagery.scene import Scene, open_scene
from eotasks.models.sentinel2 import BANDS, NATIVE_RESOLUTION
from eotasks.sources.sample import sample_path

UTM = "EPSG:32633"
WHOLE = (330_000, 5_814_360, 345_360, 5_822_040)
SIDECAR = {"version": 1, "time": "2017-02-16T10:21:01Z", "satellite": "S2A", "tile": "33UUU"}

WriteScene = Callable[..., Scene]


@pytest.fixture(scope="module")
def scene() -> Scene:
    return open_scene(sample_path())


@pytest.fixture
def write_scene(tmp_path: Path) -> WriteScene:
    """Writes arrays as lossless JP2 files with a sidecar."""

    def write(bands: dict[str, NDArray[np.uint16]], *, sidecar: dict[str, object] | None = None) -> Scene:
        for band, values in bands.items():
            size = NATIVE_RESOLUTION[band]
            with rasterio.open(
                tmp_path / f"T33UUU_20170216T102101_{band}.jp2",
                "w",
                driver="JP2OpenJPEG",
                height=values.shape[0],
                width=values.shape[1],
                count=1,
                dtype=values.dtype,
                crs=UTM,
                transform=rasterio.transform.Affine(size, 0, 300_000, 0, -size, 5_900_040),
                QUALITY="100",
                REVERSIBLE="YES",
            ) as target:
                target.write(values, 1)
        (tmp_path / "acquisition.json").write_text(json.dumps(sidecar or SIDECAR))
        return open_scene(tmp_path)

    return write


def stored(scene: Scene, band: str) -> NDArray[np.uint16]:
    raster = scene.product.bands[band]
    with rasterio.open(scene.product.files.raster_path(raster.name)) as source:
        values: NDArray[np.uint16] = source.read(1)
    return values


def test_bands_and_grids(scene: Scene) -> None:
    assert scene.bands == BANDS
    assert scene.crs == UTM
    for band in BANDS:
        grid = scene.grid_of(band)
        assert grid.resolution == NATIVE_RESOLUTION[band]
        assert grid.bounds == WHOLE


@pytest.mark.slow
def test_native_grid_gives_the_stored_numbers(scene: Scene) -> None:
    for band, method in itertools.product(("B8A", "B10"), ("mean", "nearest", "bilinear")):
        values = scene.read([band], scene.grid_of(band), resampling=method)
        np.testing.assert_array_equal(values[..., 0], stored(scene, band))


def test_order_of_bands_is_the_one_asked_for(scene: Scene) -> None:
    grid = Grid.from_bounds((330_000, 5_814_360, 330_600, 5_814_960), UTM, 60)
    values = scene.read(["B12", "B02", "B12"], grid)
    np.testing.assert_array_equal(values[..., 0], values[..., 2])
    np.testing.assert_array_equal(values[..., [1]], scene.read(["B02"], grid))


def test_a_window_is_the_same_as_a_cut_of_the_whole(scene: Scene) -> None:
    whole = scene.read(BANDS, Grid.from_bounds(WHOLE, UTM, 20))
    part = Grid(UTM, 330_000 + 20 * 101, 5_822_040 - 20 * 33, 20, 50, 70)
    np.testing.assert_array_equal(scene.read(BANDS, part), whole[33:83, 101:171])


def test_mean_of_four_pixels(scene: Scene) -> None:
    values = scene.read(["B04"], Grid.from_bounds(WHOLE, UTM, 20))[..., 0]
    expected = stored(scene, "B04").reshape(384, 2, 768, 2).mean(axis=(1, 3))
    np.testing.assert_array_equal(values, np.rint(expected))


def test_zero_in_one_band_is_data(scene: Scene) -> None:
    zeros = np.argwhere(stored(scene, "B8A") == 0)
    assert len(zeros) == 1
    row, column = zeros[0]
    grid = Grid(UTM, 330_000 + 20 * column, 5_822_040 - 20 * row, 20, 1, 1)
    assert scene.is_data(grid).all()
    assert scene.read(["B8A"], grid).item() == 0
    assert scene.is_data(Grid.from_bounds(WHOLE, UTM, 10)).all()
    around = Grid(UTM, grid.left - 20, grid.top + 20, 60, 1, 1)
    neighbours = stored(scene, "B8A")[row - 1 : row + 2, column - 1 : column + 2]
    assert scene.read(["B8A"], around).item() == np.rint(neighbours.mean())


@pytest.mark.parametrize("offset", [0, -1000])
def test_pixels_of_a_band_are_gone_before_the_next_is_decoded(
    write_scene: WriteScene, monkeypatch: pytest.MonkeyPatch, offset: int
) -> None:
    """But those of a band that is 0 somewhere: only other bands, gone or not, tell whether that is data."""
    full = np.random.default_rng(1).integers(1100, 3000, (12, 12), dtype=np.uint16)
    dark = full.copy()
    dark[3, 4] = 0
    scene = write_scene(
        {"B02": full, "B08": dark, "B03": full, "B04": full},
        sidecar=SIDECAR if offset == 0 else {**SIDECAR, "radio_add_offset": offset},
    )
    in_memory: list[int] = []
    read = Window._read

    def counted(window: Window, *given: Any) -> Any:
        there = [pixels.values for pixels in window._pixels.values() if pixels is not None]
        in_memory.append(sum(values.strides != (0, 0) for values in there))
        return read(window, *given)

    monkeypatch.setattr(Window, "_read", counted)
    bands = ["B02", "B08", "B03", "B04"]
    values, is_data = scene.read_masked(bands, scene.grid_of("B02"), threads=1)
    assert in_memory == [0, 0, 1, 1]
    assert is_data[3, 4] == (offset == 0)
    known = is_data[..., np.newaxis]
    expected = np.stack([dark if band == "B08" else full for band in bands], axis=-1).astype(int) + offset
    np.testing.assert_array_equal(values, np.where(known, expected, 0))
    for threads in (2, 4):
        again = scene.read_masked(bands, scene.grid_of("B02"), threads=threads)
        np.testing.assert_array_equal(again[0], values)
        np.testing.assert_array_equal(again[1], is_data)


def test_outside_is_zero_and_no_data(scene: Scene) -> None:
    edge = Grid.from_bounds((329_900, 5_821_940, 330_100, 5_822_140), UTM, 10)
    values, is_data = scene.read(BANDS, edge), scene.is_data(edge)
    expected = np.zeros((20, 20), dtype=bool)
    expected[10:, 10:] = True
    np.testing.assert_array_equal(is_data, expected)
    assert (values[~expected] == 0).all()
    assert (values[expected].max(axis=-1) > 0).all()
    far = Grid(UTM, 400_000, 5_900_000, 10, 3, 4)
    assert scene.read(["B02"], far).shape == (3, 4, 1)
    assert not scene.read(["B02"], far).any()
    assert not scene.is_data(far).any()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mean", "nearest", "bilinear", "cubic"])
def test_data_is_where_the_same_method_finds_values(scene: Scene, method: ResamplingName) -> None:
    """Cells that reach 70 m of 160 m into the scene: their centres lie outside."""
    grid = Grid(UTM, 330_000 - 90, 5_822_040, 160, 10, 10)
    values, is_data = scene.read(BANDS, grid, resampling=method), scene.is_data(grid, resampling=method)
    np.testing.assert_array_equal(is_data, values.any(axis=-1))
    assert is_data[:, 1:].all()
    assert is_data[:, 0].all() == (method == "mean")


def test_an_unknown_method_is_refused(scene: Scene) -> None:
    with pytest.raises(ConfigurationError, match="nearest, bilinear"):
        scene.is_data(scene.grid_of("B10"), resampling="lanczos")  # type: ignore[arg-type]  # what is refused


def test_swath_edge_takes_no_part_in_means(write_scene: WriteScene) -> None:
    """Left of a slanted edge all bands are 0; a coarse pixel on it has the mean of its data alone."""
    rows, columns = np.mgrid[0:48, 0:48]
    data = columns >= 10 + rows // 16 * 2
    fine = np.where(data, 4000, 0).astype(np.uint16)
    medium = np.where(data[::2, ::2], 2000, 0).astype(np.uint16)
    scene = write_scene({"B02": fine, "B08": fine, "B8A": medium})
    coarse = Grid(UTM, 300_000, 5_900_040, 160, 3, 3)
    values = scene.read(["B02", "B8A"], coarse)
    is_data = scene.is_data(coarse)
    assert is_data.tolist() == [[True, True, True]] * 3
    assert values[..., 0].tolist() == [[4000, 4000, 4000]] * 3
    assert set(np.unique(values[..., 1])) == {2000}
    native = Grid(UTM, 300_000, 5_900_040, 10, 48, 48)
    np.testing.assert_array_equal(scene.is_data(native), data)


def test_baseline_offset_is_removed_and_negative_numbers_are_zero(write_scene: WriteScene) -> None:
    values = np.full((12, 12), 1500, dtype=np.uint16)
    values[0, 0], values[1, 1] = 0, 900
    scene = write_scene({"B02": values, "B03": values}, sidecar={**SIDECAR, "radio_add_offset": -1000})
    dn = scene.read(["B02"], scene.grid_of("B02"))[..., 0]
    assert dn[2, 2] == 500
    assert dn[1, 1] == 0
    assert dn[0, 0] == 0
    is_data = scene.is_data(scene.grid_of("B02"))
    assert is_data[1, 1]
    assert not is_data[0, 0]


def test_int16_files_are_read(shared_data: Path, tmp_path: Path) -> None:
    """The second SAFE product has JP2 of signed integers and the offset of baseline 05.10."""
    images = next((shared_data / "l1c_safe").glob("S2B_MSIL1C_20240305*/GRANULE/*/IMG_DATA"))
    for file in images.glob("*_B??.jp2"):
        shutil.copy(file, tmp_path)
    sidecar = {"version": 1, "time": "2024-03-05T10:48:19Z", "satellite": "S2B", "tile": "31TCJ"}
    (tmp_path / "acquisition.json").write_text(json.dumps({**sidecar, "radio_add_offset": -1000}))
    scene = open_scene(tmp_path)
    assert scene.bands == BANDS
    dn = scene.read(BANDS, scene.grid_of("B02"))
    assert dn.shape == (30, 30, 13)
    assert dn.dtype == np.uint16
    np.testing.assert_array_equal(dn[..., 1], stored(scene, "B02").astype(int) - 1000)


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    folder = tmp_path / "scene"
    shutil.copytree(sample_path(), folder)
    return folder


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_truncated_file_is_an_error_and_never_zeros(damaged: Path, kept: float) -> None:
    file = damaged / "T33UUU_20170216T102101_B04.jp2"
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ImageryError, match=r"B04\.jp2: missing, damaged or no JP2"):
        open_scene(damaged).read(["B04"], Grid.from_bounds(WHOLE, UTM, 20))


def test_overwritten_bytes_are_an_error(damaged: Path) -> None:
    file = damaged / "T33UUU_20170216T102101_B04.jp2"
    content = bytearray(file.read_bytes())
    content[len(content) // 2 : len(content) * 3 // 4] = bytes(len(content) // 4)
    file.write_bytes(content)
    with pytest.raises(ImageryError, match="B04"):
        open_scene(damaged).read(["B04"], Grid.from_bounds(WHOLE, UTM, 20))


def test_missing_band_names_those_there_are(damaged: Path) -> None:
    (damaged / "T33UUU_20170216T102101_B04.jp2").unlink()
    scene = open_scene(damaged)
    with pytest.raises(BandError, match="band B04 is missing, there are B01, B02, B03, B05"):
        scene.read(["B02", "B04"], Grid.from_bounds(WHOLE, UTM, 160))


def test_two_acquisitions_in_a_folder(damaged: Path) -> None:
    shutil.copy(damaged / "T33UUU_20170216T102101_B04.jp2", damaged / "T33UUU_20170226T102101_B04.jp2")
    with pytest.raises(ImageryError, match="two files of B04"):
        open_scene(damaged)


def test_nothing_to_open(tmp_path: Path, damaged: Path) -> None:
    with pytest.raises(ImageryError, match="nothing there"):
        open_scene(tmp_path / "absent")
    with pytest.raises(ImageryError, match=r"no product of Sentinel-2 .* acquisition\.json"):
        open_scene(tmp_path)
    for file in damaged.glob("*.jp2"):
        file.unlink()
    with pytest.raises(ImageryError, match="no band files"):
        open_scene(damaged)


def test_file_without_a_coordinate_system(damaged: Path) -> None:
    file = damaged / "T33UUU_20170216T102101_B10.jp2"
    file.unlink()
    with (
        warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning),
        rasterio.open(
            file,
            "w",
            driver="JP2OpenJPEG",
            height=64,
            width=64,
            count=1,
            dtype="uint16",
            QUALITY="100",
            REVERSIBLE="YES",
        ) as target,
    ):
        target.write(np.ones((64, 64), dtype=np.uint16), 1)
    with (
        warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning),
        pytest.raises(ImageryError, match=r"B10\.jp2: not on a north-up grid"),
    ):
        open_scene(damaged).read(["B10"], Grid.from_bounds(WHOLE, UTM, 160), threads=1)


def test_a_file_that_is_something_else_than_its_name_says(damaged: Path) -> None:
    file = damaged / "T33UUU_20170216T102101_B10.jp2"
    with rasterio.open(damaged / "T33UUU_20170216T102101_B09.jp2") as source:
        profile, values = source.profile, source.read(1)
    with rasterio.open(file, "w", **{**profile, "driver": "GTiff", "blockxsize": None, "tiled": False}) as target:
        target.write(values, 1)
    with pytest.raises(ImageryError, match=r"B10\.jp2: missing, damaged or no JP2"):
        open_scene(damaged).read(["B10"], Grid.from_bounds(WHOLE, UTM, 160))
