"""Tiles side by side and orbits over each other. All pixels are simulated."""

from __future__ import annotations

import datetime as dt
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rasterio.warp import transform as warp

from eotasks.errors import BandError, ConfigurationError, ImageryError
from eotasks.imagery.grid import Grid
from eotasks.imagery.mosaic import NO_SCENE, MosaicOrder, in_order, read_mosaic
from eotasks.imagery.scene import Scene
from tests.builders.products import LEFT, TOP, UTM, product

GRID = Grid(UTM, LEFT, TOP, 20, 24, 24)
"""480 m, that is 48 pixels of 10 m."""


def day(number: int, hour: int = 10) -> dt.datetime:
    return dt.datetime(2024, 6, number, hour)  # noqa: DTZ001 - naive UTC


def flat(
    folder: Path, value: int, *, hole: slice | None = None, shape: tuple[int, int] = (48, 48), **facts: Any
) -> Scene:
    """Two bands of one value each, the second 100 more, with columns that hold nothing."""
    values = np.full(shape, value, np.uint16)
    second = values + np.uint16(100)
    if hole is not None:
        values[:, hole] = second[:, hole] = 0
    return Scene(product(folder, {"B02": values, "B03": second}, name=folder.name, **facts))


def columns(array: NDArray[Any]) -> list[int]:
    """The first row, all rows being the same."""
    assert (array == array[:1]).all()
    row: list[int] = array[0].tolist()
    return row


@pytest.mark.parametrize(("order", "front"), [("mostRecent", 1), ("leastRecent", 0), ("leastCC", 2)])
def test_a_pixel_takes_all_bands_from_the_first_scene_with_data(tmp_path: Path, order: MosaicOrder, front: int) -> None:
    scenes = [
        flat(tmp_path / "a", 1000, hole=slice(0, 16), time=day(1), cloud_cover=None),
        flat(tmp_path / "b", 2000, hole=slice(0, 16), time=day(3), cloud_cover=80.0),
        flat(tmp_path / "c", 3000, hole=slice(32, 48), time=day(2), cloud_cover=10.0),
    ]
    dn, is_data, which = mosaic = read_mosaic(scenes, ["B03", "B02"], GRID, order=order)
    assert mosaic.which is which
    assert is_data.all()
    middle = {0: 0, 1: 1, 2: 2}[front]
    east = {"mostRecent": 1, "leastRecent": 0, "leastCC": 1}[order]
    assert columns(which) == [2] * 8 + [middle] * 8 + [east] * 8
    assert (dn[..., 1] == 1000 * (which + 1)).all()
    assert (dn[..., 0] == dn[..., 1] + 100).all()
    assert [each.dtype.name for each in (dn, is_data, which)] == ["uint16", "bool", "int16"]


def test_what_no_scene_has(tmp_path: Path) -> None:
    scene = flat(tmp_path / "a", 1000, hole=slice(10, 20))
    dn, is_data, which = read_mosaic([scene], ["B02"], GRID)
    assert columns(is_data) == [True] * 5 + [False] * 5 + [True] * 14
    assert columns(which) == [0] * 5 + [NO_SCENE] * 5 + [0] * 14
    assert not dn[~is_data].any()
    nothing = read_mosaic([], ["B02", "B03"], GRID)
    assert nothing.dn.shape == (24, 24, 2)
    assert not nothing.is_data.any()
    assert (nothing.which == NO_SCENE).all()


def test_tiles_of_two_zones_and_of_two_baselines(tmp_path: Path) -> None:
    """The neighbour is in the next zone and carries an offset: both are reflectance on the grid of the first."""
    (x,), (y,) = warp(UTM, "EPSG:32632", [LEFT + 240], [TOP + 300])
    near = flat(tmp_path / "near", 1500, shape=(48, 30), tile="33UUU", processing_baseline="02.04")
    far = flat(
        tmp_path / "far", 3500, left=float(round(x)), top=float(round(y)), crs="EPSG:32632", shape=(120, 120),
        tile="32UPC", offsets={"B02": -1000, "B03": -1000},
    )  # fmt: skip
    dn, is_data, which = read_mosaic([far, near], ["B02"], GRID)
    assert is_data.all()
    assert columns(which) == [1] * 15 + [0] * 9  # the grid's own zone first
    assert columns(dn[..., 0]) == [1500] * 15 + [2500] * 9


def test_the_order_of_the_list_makes_no_difference(tmp_path: Path) -> None:
    scenes = [
        flat(tmp_path / "older-baseline", 1000, time=day(1), processing_baseline="02.09"),
        flat(tmp_path / "newer-baseline", 2000, time=day(1), processing_baseline="05.10"),
        flat(tmp_path / "unknown", 3000, time=day(1), processing_baseline=None),
        flat(tmp_path / "earlier", 4000, time=day(1, 9), processing_baseline="05.11"),
    ]
    for several in permutations(scenes):
        names = [several[index].name for index in in_order(several, "mostRecent", GRID)]
        assert names == ["newer-baseline", "older-baseline", "unknown", "earlier"]


def test_scenes_of_one_acquisition_stand_together_the_newest_first(tmp_path: Path) -> None:
    """Whatever their own seconds and clouds: another orbit lies between none of them."""
    scenes = [
        flat(tmp_path / "first", 1000, time=day(1), cloud_cover=90.0, generation_time=day(2)),
        flat(tmp_path / "later", 2000, time=day(1).replace(second=7), cloud_cover=50.0, generation_time=day(3)),
        flat(tmp_path / "next-orbit", 3000, time=day(1, 12), cloud_cover=70.0),
        flat(tmp_path / "other", 4000, time=day(1).replace(second=3), cloud_cover=60.0, satellite="S2B"),
    ]
    expected = {
        "mostRecent": ["next-orbit", "other", "later", "first"],
        "leastRecent": ["later", "first", "other", "next-orbit"],
        "leastCC": ["later", "first", "other", "next-orbit"],
    }
    for several in permutations(scenes):
        for order, names in expected.items():
            assert [several[index].name for index in in_order(several, order, GRID)] == names  # type: ignore[arg-type]


def test_scenes_behind_are_read_only_where_there_are_holes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = [
        flat(tmp_path / "front", 1000, hole=slice(30, 36), time=day(3)),
        flat(tmp_path / "behind", 2000, time=day(2)),
        flat(tmp_path / "never", 3000, time=day(1)),
    ]
    asked: list[tuple[str, Grid]] = []
    read = Scene.read_masked

    def recorded(self: Scene, bands: Any, grid: Grid, **options: Any) -> Any:
        asked.append((self.name, grid))
        return read(self, bands, grid, **options)

    monkeypatch.setattr(Scene, "read_masked", recorded)
    assert read_mosaic(scenes, ["B02"], GRID).is_data.all()
    assert [name for name, _ in asked] == ["front", "behind"]
    assert asked[1][1] == Grid(UTM, LEFT + 300, TOP, 20, 24, 3)


def test_what_is_refused(tmp_path: Path) -> None:
    scene = flat(tmp_path / "a", 1000)
    with pytest.raises(ConfigurationError, match="order='newest' is not known: use one of mostRecent, leastRecent"):
        read_mosaic([scene], ["B02"], GRID, order="newest")  # type: ignore[arg-type]  # what is refused
    with pytest.raises(ConfigurationError, match="resampling='best'"):
        read_mosaic([scene], ["B02"], GRID, resampling="best")  # type: ignore[arg-type]  # what is refused
    with pytest.raises(BandError, match="band B11 is missing"):
        read_mosaic([scene], ["B11"], GRID)
    (tmp_path / "a" / "B02.jp2").write_bytes(b"nothing")
    with pytest.raises(ImageryError, match=r"B02\.jp2: missing, damaged"):
        read_mosaic([Scene(scene.product)], ["B02"], GRID)
