"""Lakes whose dates lie in several EOPatches: judged over all of them, and drawn each in its own system."""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path

import numpy as np
import shapely
from eolearn.core import EOPatch
from numpy.typing import NDArray
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.workflows.water_level.pictures import outline_figure
from eotasks.workflows.water_level.run import Outcome, RunOptions, measure_lakes
from eotasks.workflows.water_level.sources.base import SourceRequest
from eotasks.workflows.water_level.sources.eopatches import EOPatchesSource
from eotasks.workflows.water_level.tables import levels_csv
from tests.builders.water import lakes as builders

LOW, LOWER = builders.disk(150), builders.disk(120)
SHADED = LOW | builders.disk(70, builders.CENTRE[0] + 200)
LAKE = builders.outlines(builders.outline(), name=["Bled"])


def patch_of(day: int, *waters: NDArray[np.bool_]) -> EOPatch:
    patch = builders.lake_patch(*waters)
    patch.timestamps = [dt.datetime(2020, 5, day + index, 10) for index in range(len(waters))]  # noqa: DTZ001 - naive UTC
    return patch


def measured(place: Path) -> Outcome:
    return measure_lakes(EOPatchesSource(SourceRequest(str(place))), LAKE, RunOptions(shadows=False))


def test_a_shadow_is_told_by_the_dates_of_other_patches(tmp_path: Path) -> None:
    for number, waters in enumerate([(LOW, LOWER), (LOW, SHADED), (LOW, LOW)]):
        patch_of(1 + 2 * number, *waters).save(str(tmp_path / f"p{number}"))
    found = measured(tmp_path)
    assert found.levels["status"].tolist() == ["valid", "valid", "valid", "too_cloudy", "valid", "valid"]
    refused = found.levels.iloc[3]
    assert "no mask shows" in refused["reason"]
    assert np.isnan(refused[["level", "area", "threshold"]].astype(float)).all()
    assert refused["algorithm_status"] == -1
    assert refused["geometry"].is_empty
    assert refused["inside_fraction"] < 0.95
    assert found.levels.crs.to_epsg() == 4326
    highest, lowest = found.views["a"].shown
    valid = found.levels[found.levels["status"] == "valid"]["level"]
    assert (highest.level, lowest.level) == (valid.max(), valid.min())


def test_frames_of_two_zones_keep_their_own_system(tmp_path: Path) -> None:
    patch_of(1, LOW).save(str(tmp_path / "a"))
    other = patch_of(2, LOWER)
    west, south, east, north = LAKE.to_crs(32632).total_bounds
    left, bottom = (round(value / 10) * 10 - 300 for value in ((west + east) / 2, (south + north) / 2))
    other.bbox = BBox((left, bottom, left + 600, bottom + 600), CRS(32632))
    other.save(str(tmp_path / "b"))
    view = measured(tmp_path).views["a"]
    assert sorted(frame.crs[-5:] for frame in view.shown) == ["32632", "32633"]
    for frame in view.shown:
        assert shapely.box(*frame.bounds).contains(frame.outline)
        assert frame.extent.within(shapely.box(*frame.bounds))
    figure = outline_figure(view, "Lake, simulated")
    for axes, frame in zip(figure.axes, view.shown, strict=True):
        nominal = axes.lines[-1].get_xdata()
        low, high = sorted(axes.get_xlim())
        assert low < np.min(nominal) < np.max(nominal) < high, frame.crs


def test_one_level_is_one_picture(tmp_path: Path) -> None:
    patch_of(1, LOW).save(str(tmp_path / "a"))
    assert len(measured(tmp_path).views["a"].shown) == 1


def test_areas_of_large_lakes_are_not_rounded_in_the_table(tmp_path: Path) -> None:
    patch_of(1, LOW).save(str(tmp_path / "a"))
    outcome = measured(tmp_path)
    for area, expected in ((123_456_789.04, "123456789.0"), (1234.5678, "1234.57"), (np.nan, "")):
        outcome.levels["nominal_area"] = area
        (row,) = csv.DictReader(levels_csv(outcome).splitlines())
        assert row["nominal_area"] == expected
