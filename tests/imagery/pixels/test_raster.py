"""Levels of files, and files that are not what they should be."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from eotasks.errors import AreaError, ImageryError
from eotasks.imagery.files.folder import FolderFiles
from eotasks.imagery.files.protocol import RasterFile
from eotasks.imagery.grid import Grid
from eotasks.imagery.pixels.raster import MASK_TYPES, Pixels, describe, read_window
from eotasks.imagery.pixels.reduction import reduced_level
from tests.builders.products import LEFT, TOP, UTM, write_cog, write_jp2

JP2, TIFF = RasterFile("a.jp2", "JP2OpenJPEG"), RasterFile("a.tif", "GTiff")
SIDE = 1024
EVERYWHERE = Grid(UTM, LEFT, TOP, 10, SIDE, SIDE)


def ramp(side: int = SIDE) -> NDArray[np.uint16]:
    """Number = metres east of the edge at the pixel's centre, plus twice those south: linear filters keep it."""
    centres = (np.arange(side) + 0.5) * 10
    return np.rint(1000 + centres + 2 * centres[:, np.newaxis]).astype(np.uint16)


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("raster", [JP2, TIFF], ids=["jp2", "cog"])
@pytest.mark.parametrize("tile", [None, 256])
def test_pixels_of_a_level_are_where_its_transform_says(
    tmp_path: Path, raster: RasterFile, level: int, tile: int | None
) -> None:
    if raster is JP2:
        write_jp2(tmp_path / "a.jp2", ramp(), 10, tile=tile)
    else:
        write_cog(tmp_path / "a.tif", ramp(), 10)
    files = FolderFiles(tmp_path)
    info = describe(files, raster)
    chosen = info.levels[level]
    assert chosen.size == 10 * 2**level
    assert (chosen.height, chosen.width) == (SIDE >> level, SIDE >> level)
    pixels = read_window(files, raster, info, chosen, EVERYWHERE)
    assert pixels is not None
    rows, columns = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]]
    x = pixels.transform.c + (columns + 0.5) * pixels.transform.a - LEFT
    y = TOP - (pixels.transform.f + (rows + 0.5) * pixels.transform.e)
    difference = np.abs(pixels.values - (1000 + x + 2 * y))
    if tile is None:
        assert difference[2:-2, 2:-2].max() <= 1  # rounding
    else:  # every tile ends its ramp by mirroring it: its first pixel is above the ramp
        assert np.median(difference) <= 1
    shift = (2**level - 1) / 2 * 10 if raster is JP2 else 0
    assert pixels.transform.c == LEFT - shift
    assert pixels.transform.f == TOP + shift


@pytest.mark.parametrize(
    ("target", "decoded"),
    [(10, 10), (19, 10), (20, 10), (39, 10), (40, 20), (60, 20), (159, 40), (160, 80), (9000, 80)],
)
def test_at_least_two_pixels_to_a_side_of_the_target(tmp_path: Path, target: float, decoded: float) -> None:
    write_jp2(tmp_path / "a.jp2", ramp(), 10, levels=5)
    info = describe(FolderFiles(tmp_path), JP2)
    assert [level.size for level in info.levels] == [10, 20, 40, 80]  # GDAL offers none below 128 pixels
    assert reduced_level(info, target).size == decoded


def test_a_file_without_levels_is_decoded_whole(tmp_path: Path) -> None:
    write_jp2(tmp_path / "a.jp2", ramp(), 10, levels=1)
    info = describe(FolderFiles(tmp_path), JP2)
    assert reduced_level(info, 160) is info.full


def test_an_overview_is_stretched_over_an_image_of_odd_size(tmp_path: Path) -> None:
    write_cog(tmp_path / "a.tif", ramp(301), 10)
    coarser = describe(FolderFiles(tmp_path), TIFF).levels[1]
    assert coarser.width == 151
    assert coarser.transform.a * coarser.width == pytest.approx(3010)


def test_only_the_window_is_read_and_nothing_outside(tmp_path: Path) -> None:
    write_jp2(tmp_path / "a.jp2", ramp(), 10)
    files = FolderFiles(tmp_path)
    info = describe(files, JP2)
    part = read_window(files, JP2, info, info.full, Grid(UTM, LEFT + 35, TOP - 60, 15, 4, 2))
    assert part is not None
    assert part.shape == (6, 4)  # 60 m down; 30 m across that begin within a pixel
    np.testing.assert_array_equal(part.values, ramp()[6:12, 3:7])
    assert (part.transform.c, part.transform.f) == (LEFT + 30, TOP - 60)
    assert read_window(files, JP2, info, info.full, Grid(UTM, LEFT + 10240, TOP, 10, 3, 3)) is None
    assert read_window(files, JP2, info, info.full, Grid(UTM, LEFT + 10240, TOP, 10, 3, 3), margin=1) is not None


def test_a_grid_at_the_other_end_of_the_world(tmp_path: Path) -> None:
    write_jp2(tmp_path / "a.jp2", ramp(64), 10)
    files = FolderFiles(tmp_path)
    info = describe(files, JP2)
    with pytest.raises(AreaError, match="too far away"):
        read_window(files, JP2, info, info.full, Grid("EPSG:4326", 105, 0.05, 0.01, 5, 5))


@pytest.fixture(scope="module", params=[None, 256], ids=["no tiles", "tiles"])
def noise(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Pixels]]:
    """A file that compresses badly, and the pixels of its levels."""
    folder = tmp_path_factory.mktemp("noise")
    values = np.random.default_rng(1).integers(1, 9000, (SIDE, SIDE)).astype(np.uint16)
    write_jp2(folder / "a.jp2", values, 10, tile=request.param)
    files = FolderFiles(folder)
    info = describe(files, JP2)
    found = [read_window(files, JP2, info, level, EVERYWHERE) for level in info.levels[:4]]
    return folder / "a.jp2", [each for each in found if each is not None]


@pytest.mark.parametrize("level", [0, 1, 2, 3])
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.95])
def test_a_truncated_file_is_an_error_at_every_level(
    tmp_path: Path, level: int, kept: float, noise: tuple[Path, list[Pixels]]
) -> None:
    """Or gives the right numbers, where the level's part of the file is there."""
    file, whole = noise
    info = describe(FolderFiles(file.parent), JP2)
    content = file.read_bytes()
    (tmp_path / "a.jp2").write_bytes(content[: int(len(content) * kept)])
    files = FolderFiles(tmp_path)
    if level == 0:
        with pytest.raises(ImageryError, match=r"a\.jp2: missing, damaged or no JP2 image"):
            read_window(files, JP2, info, info.full, EVERYWHERE)
        return
    with contextlib.suppress(ImageryError):
        found = read_window(files, JP2, info, info.levels[level], EVERYWHERE)
        assert found is not None
        np.testing.assert_array_equal(found.values, whole[level].values)


@pytest.mark.parametrize("driver", ["VRT", "GTiff"])
def test_a_file_of_another_format_than_its_name_says(tmp_path: Path, driver: str) -> None:
    write_cog(tmp_path / "secret.tif", ramp(), 10)
    if driver == "VRT":
        text = (
            f'<VRTDataset rasterXSize="{SIDE}" rasterYSize="{SIDE}"><VRTRasterBand dataType="UInt16" band="1">'
            '<SimpleSource><SourceFilename relativeToVRT="1">secret.tif</SourceFilename></SimpleSource>'
            "</VRTRasterBand></VRTDataset>"
        )
        (tmp_path / "a.jp2").write_text(text)
    else:
        (tmp_path / "a.jp2").write_bytes((tmp_path / "secret.tif").read_bytes())
    with pytest.raises(ImageryError, match=r"a\.jp2: missing, damaged or no JP2 image"):
        describe(FolderFiles(tmp_path), JP2)


def test_files_beside_a_band_have_no_say(tmp_path: Path) -> None:
    write_jp2(tmp_path / "a.jp2", ramp(), 10)
    (tmp_path / "a.jp2.aux.xml").write_text(
        "<PAMDataset><SRS>EPSG:32601</SRS><GeoTransform>0,1,0,0,0,-1</GeoTransform></PAMDataset>"
    )
    (tmp_path / "a.j2w").write_text("1\n0\n0\n-1\n0\n0\n")
    write_cog(tmp_path / "a.jp2.ovr", np.zeros((256, 256), dtype=np.uint16), 20)
    files = FolderFiles(tmp_path)
    info = describe(files, JP2)
    assert info.grid == EVERYWHERE
    pixels = read_window(files, JP2, info, info.levels[1], EVERYWHERE)
    assert pixels is not None
    assert pixels.values.min() > 0


def test_numbers_that_no_band_has(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path)
    write_jp2(tmp_path / "a.jp2", np.full((64, 64), -5, dtype=np.int16), 10)
    info = describe(files, JP2)
    with pytest.raises(ImageryError, match="negative digital numbers"):
        read_window(files, JP2, info, info.full, EVERYWHERE)
    write_jp2(tmp_path / "a.jp2", np.ones((2, 64, 64), dtype=np.uint16), 10)
    with pytest.raises(ImageryError, match="2 layers of uint16, expected one layer of 16-bit"):
        describe(files, JP2)
    write_jp2(tmp_path / "a.jp2", np.ones((64, 64), dtype=np.uint16), 10)
    with pytest.raises(ImageryError, match="1 layers of uint16, expected bytes"):
        describe(files, JP2, MASK_TYPES)
    with pytest.raises(ImageryError, match=r"absent\.jp2: missing"):
        describe(files, RasterFile("absent.jp2", "JP2OpenJPEG"))
