"""`ArchiveMasksTask`: masks of an archive on the grid of a patch, and missing told apart from clear."""

from __future__ import annotations

import datetime as dt
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks import ArchiveMasksTask, Catalogue, LoadScenesTask
from eotasks.errors import ConfigurationError, GridError, MissingMasksWarning, StorageError, TooFewFramesError
from eotasks.workflows.product_masks.options import CloudMaskOptions
from tests.builders.clouds.archives import add_product, build, pixels
from tests.builders.sample_products import LEFT, SIDE, TOP

pytestmark = pytest.mark.filterwarnings("ignore::eotasks.errors.ShadowWarning")  # products of some kilometres

DAYS = [dt.datetime(2017, 2, day, 10, 21, 1) for day in (16, 17)]  # noqa: DTZ001 - naive UTC
BOX = BBox((LEFT, TOP - SIDE, LEFT + SIDE, TOP), CRS("EPSG:32633"))
CLP, CLM, SHADOW = (FeatureType.DATA, "CLP"), (FeatureType.MASK, "CLM"), (FeatureType.MASK, "SHADOW")
MISSING = (FeatureType.MASK, "MISSING")


def east_missing(_: str, values: np.ndarray) -> np.ndarray:
    values[:, values.shape[1] // 2 :] = 0
    return values


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A is whole, B has data in its western half."""
    folder = tmp_path_factory.mktemp("archive")
    add_product(folder / "source", "A")
    add_product(folder / "source", "B", 17, change=east_missing)
    build(folder / "source", folder / "out", options=CloudMaskOptions(resolution=160, shadows=True))
    return folder / "out"


def stored(archive: Path, name: str, kind: str) -> np.ndarray:
    return pixels(archive / f"masks/33UUU/2017/{name}/{name}_{kind}.tif")


def patch(times: list[dt.datetime] | None = None, side: int = 12) -> EOPatch:
    """With an image of some rows and columns."""
    times = DAYS if times is None else times
    return EOPatch(bbox=BOX, timestamps=times, data={"BANDS": np.zeros((len(times), side, side, 1), dtype=np.float32)})


def test_masks_on_the_grid_of_the_archive(archive: Path) -> None:
    task = ArchiveMasksTask(archive, shadow_feature=SHADOW, missing_feature=MISSING)
    found = pickle.loads(pickle.dumps(task)).execute(patch())
    for index, name in enumerate("AB"):
        clp = stored(archive, name, "CLP")
        expected = np.where(clp == 255, np.nan, clp / np.float32(255)).astype(np.float32)
        np.testing.assert_array_equal(found[CLP][index, ..., 0], expected)
        np.testing.assert_array_equal(found[CLM][index, ..., 0], stored(archive, name, "CLM"))
        np.testing.assert_array_equal(found[SHADOW][index, ..., 0], stored(archive, name, "SHADOW"))
    assert (found[CLP].dtype, found[CLM].dtype) == (np.float32, np.uint8)
    np.testing.assert_array_equal(found[MISSING], found[CLM] == 255)
    assert found[MISSING][1, :, 6:].all()
    assert not found[MISSING][0].any()


def test_a_finer_grid(archive: Path) -> None:
    found = ArchiveMasksTask(archive).execute(patch(side=192))
    for kind, feature in (("CLP", CLP), ("CLM", CLM)):
        numbers = np.kron(stored(archive, "B", kind), np.ones((16, 16), dtype=np.uint8))
        values = found[feature][1, ..., 0]
        got = np.where(np.isnan(values), 255, np.rint(values * 255)) if kind == "CLP" else values
        np.testing.assert_array_equal(got, numbers)
    smooth = ArchiveMasksTask(archive, clm_feature=None, resampling="bilinear").execute(patch(side=192))[CLP]
    np.testing.assert_array_equal(np.isnan(smooth), np.isnan(found[CLP]))
    assert np.nanmax(np.abs(np.diff(smooth, axis=2))) < np.nanmax(np.abs(np.diff(found[CLP], axis=2)))


def test_timestamps_without_masks_are_missing_not_clear(archive: Path) -> None:
    late = DAYS[0] + dt.timedelta(days=30)
    with pytest.warns(MissingMasksWarning, match="no masks of 1 timestamps \\(2017-03-18 10:21\\)"):
        found = ArchiveMasksTask(archive, missing_feature=MISSING).execute(patch([DAYS[0], late]))
    assert (found[CLM][1] == 255).all()
    assert np.isnan(found[CLP][1]).all()
    assert found[MISSING][1].all()
    assert not (found[CLM][0] == 255).any()


def test_what_is_beyond_the_products_is_missing(archive: Path) -> None:
    box = BBox((LEFT + SIDE - 640, TOP - 640, LEFT + SIDE + 640, TOP + 640), CRS("EPSG:32633"))
    found = ArchiveMasksTask(archive, resolution=160).execute(bbox=box, time_interval=("2017-02-16", "2017-02-16"))
    assert (found.timestamps, found[CLM].shape) == ([DAYS[0]], (1, 8, 8, 1))
    inside = np.zeros((8, 8), dtype=bool)
    inside[4:, :4] = True
    np.testing.assert_array_equal(found[CLM][0, ..., 0] != 255, inside)
    np.testing.assert_array_equal(found[CLM][0, 4:, :4, 0], stored(archive, "A", "CLM")[:4, 8:])


def test_times_need_not_be_the_same(archive: Path) -> None:
    """Services give the time of the tile, products the start of the datatake."""
    near = [time + dt.timedelta(minutes=9) for time in DAYS]
    expected = ArchiveMasksTask(archive).execute(patch())[CLM]
    np.testing.assert_array_equal(ArchiveMasksTask(archive).execute(patch(near))[CLM], expected)
    with pytest.warns(MissingMasksWarning, match="no masks of 2 timestamps"):
        ArchiveMasksTask(archive, time_difference=dt.timedelta(minutes=5)).execute(patch(near))


def test_scenes_find_them_by_the_catalogue(archive: Path) -> None:
    task = LoadScenesTask(catalogue=archive / "catalogue.parquet", bands=["B02"], resolution=160, clm_feature=CLM)
    loaded = task.execute(bbox=BOX)
    np.testing.assert_array_equal(loaded[CLM], ArchiveMasksTask(archive).execute(patch())[CLM])


@pytest.mark.parametrize(
    "options",
    [
        {"clp_feature": CLM},
        {"resampling": "cubic"},
        {"level": "L1B"},
        {"resolution": 0},
        {"time_difference": dt.timedelta(hours=-1)},
    ],
    ids=["type", "resampling", "level", "resolution", "time"],
)
def test_bad_arguments(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        ArchiveMasksTask(tmp_path, **options)


def test_what_cannot_be_done_is_refused(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such catalogue"):
        ArchiveMasksTask(tmp_path).execute(patch())
    task = ArchiveMasksTask(archive)
    with pytest.raises(GridError, match="resolution=METRES"):
        task.execute(bbox=BOX)
    with pytest.raises(GridError, match="have pixels of 160 m"):
        ArchiveMasksTask(archive, resolution=60).execute(patch())
    with pytest.raises(GridError, match="has no CLOUDS"):
        ArchiveMasksTask(archive, like=(FeatureType.DATA, "CLOUDS")).execute(patch())
    with pytest.raises(TooFewFramesError, match="no masks of L2A products"):
        ArchiveMasksTask(archive, resolution=160, level="L2A").execute(bbox=BOX)
    catalogue = ArchiveMasksTask(Catalogue(archive / "catalogue.parquet"), resolution=160)
    assert len(catalogue.execute(bbox=BOX).timestamps) == 2
