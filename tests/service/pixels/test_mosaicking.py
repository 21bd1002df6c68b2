"""Scenes of several products are the mosaics of `eotasks.imagery.mosaic`. All pixels are made up."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from rasterio.warp import transform

from eotasks.imagery.grid import Grid
from eotasks.imagery.mosaic import read_mosaic
from eotasks.service.evalscript.setup import Mosaicking
from tests.builders.products import LEFT, TOP, UTM
from tests.builders.service.pixels import SIDE, SceneCandidate, area, asked, made, noise, planes_of, reader

BANDS = ("B03", "B05", "B01")
Order = Literal["mostRecent", "leastRecent", "leastCC"]


def several(folder: Path, seed: int) -> list[SceneCandidate]:
    """Products of few days, two zones, two baselines, with holes."""
    generator = np.random.default_rng(seed)
    (x,), (y,) = transform(UTM, "EPSG:32632", [LEFT + SIDE / 2], [TOP - SIDE / 2])
    products = []
    for number in range(5):
        bands = {band: noise(band, 10 * seed + number) for band in BANDS}
        west, north = (int(each) * 6 for each in generator.integers(0, 10, 2))  # in pixels of 10 m
        for values in bands.values():
            scale = 96 // len(values)
            values[: north // scale, west // scale :] = 0
        near = generator.random() < 0.7
        place = (
            {} if near else {"crs": "EPSG:32632", "left": round(x / 60) * 60 - 480.0, "top": round(y / 60) * 60 + 480.0}
        )
        products.append(
            made(
                folder / f"P{number}",
                bands,
                time=dt.datetime(2024, 6, int(generator.integers(1, 4)), 10, int(generator.integers(0, 59))),  # noqa: DTZ001
                satellite=str(generator.choice(["S2A", "S2B"])),
                of_tile="33UUU" if near else "32UQD",
                processing_baseline=str(generator.choice(["05.09", "05.10"])),
                cloud_cover=None if generator.random() < 0.3 else float(generator.integers(0, 100)),
                radio_add_offset=-1,
                footprint=(),
                **place,  # type: ignore[arg-type]  # numbers and a text
            )
        )
    return products


def test_a_datatake_over_midnight_is_a_scene_of_each_day(tmp_path: Path) -> None:
    """As documented of the original, whose ORBIT is a scene for each day of UTC. Products of one tile have one time."""
    moments = {"P0": ("33UUU", "01T23:59:40"), "P1": ("33UUU", "02T00:00:05"), "P2": ("33UUT", "02T00:00:20")}
    products = [
        made(
            tmp_path / name,
            {"B03": noise("B03", number)},
            of_tile=tile,
            time=dt.datetime.fromisoformat(f"2024-06-{moment}"),
        )
        for number, (name, (tile, moment)) in enumerate(moments.items())
    ]
    found = reader(*products).find(asked(), area(), Mosaicking.ORBIT)
    ends = [(f"{scene.date_from:%d %H:%M:%S}", f"{scene.date_to:%d %H:%M:%S}") for scene in found.scenes]
    assert ends == [("02 00:00:00", "02 23:59:59"), ("01 00:00:00", "01 23:59:59")]
    assert [[tile.id for tile in scene.tiles] for scene in found.scenes] == [["P2"], ["P1", "P0"]]


@pytest.mark.parametrize(("seed", "order"), [(2, "mostRecent"), (0, "leastRecent"), (1, "leastCC")])
def test_scenes_are_mosaics(tmp_path: Path, order: Order, seed: int) -> None:
    products = several(tmp_path, seed)
    where = area(bounds=(LEFT + 100, TOP - 800, LEFT + 900, TOP - 50), shape=(75, 40))
    grid = Grid(UTM, where.bounds[0], where.bounds[3], 20, 75, 40, pixel_height=10)
    source = reader(*products)
    for mosaicking in Mosaicking:
        found = source.find(asked(order=order), where, mosaicking)
        planes = planes_of(source, where, [*BANDS, "dataMask"], asked(order=order), mosaicking)
        for number, scene in enumerate(found.scenes):
            names = {tile.id for tile in scene.tiles}
            scenes = [each.open() for each in products if each.name in names]
            expected = read_mosaic(scenes, BANDS, grid, order=order, resampling="nearest")
            np.testing.assert_array_equal(planes["dataMask"].values[number], expected.is_data)
            for index, band in enumerate(BANDS):
                np.testing.assert_array_equal(planes[band].values[number], expected.dn[..., index], err_msg=band)
    assert sum(len(scene.tiles) for scene in source.find(asked(), where, Mosaicking.ORBIT).scenes) == len(
        source.find(asked(), where, Mosaicking.TILE).scenes
    )
