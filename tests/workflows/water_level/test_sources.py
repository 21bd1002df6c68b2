"""Sources of pixels: frames around lakes, the embedded scene, its simulated lakes, products."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from eolearn.core import EOPatch, FeatureType
from sentinelhub.constants import CRS

from eotasks.errors import AreaError
from eotasks.sources.sample import SAMPLE_BBOX
from eotasks.sources.sample_files import sample_path
from eotasks.workflows.water_level.run import Outcome, RunOptions, measure_lakes
from eotasks.workflows.water_level.sources.base import SourceRequest, frame_resolution, lake_box, on_scene
from eotasks.workflows.water_level.sources.demo import DemoSource
from eotasks.workflows.water_level.sources.products import ProductsSource
from eotasks.workflows.water_level.sources.sample import SampleSource, scene_lakes
from eotasks.workflows.water_level.sources.simulated import SimulatedSource
from eotasks.workflows.water_level.tables import errors_by_state
from tests.builders.water import lakes as builders

QUICK = RunOptions(shadows=False)


def test_a_frame_is_a_tenth_wider_on_each_side_and_whole_pixels() -> None:
    lake = builders.outlines(shapely.box(500_000, 5_000_000, 501_000, 5_000_500))
    box, size = lake_box(lake, None)
    assert (tuple(box), size) == ((499_900, 4_999_950, 501_100, 5_000_550), 10)
    assert tuple(lake_box(lake, 20, 1000)[0]) == (498_900, 4_998_940, 502_100, 5_001_560)


def test_degrees_come_to_the_zone_of_the_middle_also_over_the_antimeridian() -> None:
    lake = builders.outlines(shapely.box(500_000, 5_000_000, 501_000, 5_000_500)).to_crs(4326)
    assert lake_box(lake, None)[0].crs.epsg == 32633
    parts = shapely.MultiPolygon([shapely.box(179.99, 10, 180, 10.01), shapely.box(-180, 10, -179.99, 10.01)])
    box, _ = lake_box(builders.outlines(parts, crs="EPSG:4326"), None)
    assert box.max_x - box.min_x < 4000


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        pytest.param(shapely.box(-180, 89, 180, 90), "beyond UTM", id="pole"),
        pytest.param(shapely.box(0, 100, 1, 101), "no place on Earth", id="nowhere"),
    ],
)
def test_places_without_a_frame(shape: shapely.Polygon, words: str) -> None:
    with pytest.raises(AreaError, match=words):
        lake_box(builders.outlines(shape, crs="EPSG:4326"), None)


def test_an_outline_on_the_other_side_of_the_earth_has_no_frame_in_the_zone_of_the_scene() -> None:
    far = builders.outlines(shapely.box(105.0, -0.05, 105.1, 0.05), crs="EPSG:4326")
    with pytest.raises(AreaError, match="has no coordinates"):
        lake_box(far, None, system=CRS(32633))


def test_whatever_one_job_raises_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(SampleSource):
        def _load(self, outline: gpd.GeoDataFrame) -> Iterator[EOPatch]:
            if outline["id"].iloc[0] == "odd":
                raise AttributeError("no such thing")
            yield from super()._load(outline)

    away = shapely.box(400_000, 5_814_360, 401_000, 5_815_000)
    here = shapely.box(*SAMPLE_BBOX).centroid.buffer(100)
    lakes = builders.outlines(here, away, id=["odd", "away"], name="")
    found = measure_lakes(Odd(SourceRequest(resolution=20, surroundings=0)), lakes, QUICK)
    assert found.levels["status"].tolist() == ["request_error", "no_data"]
    assert found.failures == [("outline odd", "AttributeError: no such thing")]
    assert "no such thing" in caplog.text


@pytest.mark.parametrize(("width", "size"), [(100, 10), (50_000, 10), (50_001, 20), (170_000, 40)])
def test_large_lakes_are_seen_in_coarser_pixels(width: float, size: float) -> None:
    assert frame_resolution((0, 0, width, 50)) == size


def test_lakes_of_the_embedded_scene() -> None:
    lakes = scene_lakes()
    assert lakes["id"].is_unique
    assert (lakes.area >= 20_000).all()
    assert lakes.area.is_monotonic_decreasing
    assert lakes.within(shapely.box(*SAMPLE_BBOX).buffer(1000)).all()


def test_outlines_in_degrees_bring_no_warning_of_areas() -> None:
    frame = shapely.box(*SAMPLE_BBOX.transform(CRS.WGS84))
    outlines = gpd.GeoDataFrame({"id": ["a"]}, geometry=[frame], crs=4326)
    assert len(on_scene(outlines, SAMPLE_BBOX, "the scene")) == 1


def test_the_embedded_scene_and_outlines_beyond_it() -> None:
    source = SampleSource(SourceRequest(resolution=20, surroundings=0))
    inside = source.own_outlines().iloc[3:4]
    beyond = builders.outlines(shapely.box(400_000, 5_814_360, 401_000, 5_815_000), id=["away"])
    larger = builders.outlines(shapely.box(329_000, 5_817_000, 332_000, 5_818_000), id=["larger"])
    lakes = gpd.GeoDataFrame(
        {"id": [*inside["id"], "away", "larger"], "name": ""},
        geometry=[*inside.geometry, *beyond.geometry, *larger.geometry],
        crs=inside.crs,
    )
    found = measure_lakes(source, lakes, QUICK).levels
    assert found["status"].tolist()[1:] == ["no_data", "invalid_data"]
    assert found["TIMESTAMP"].iloc[0] == dt.datetime(2017, 2, 16, 10, 21, 1)  # noqa: DTZ001 - naive UTC


def test_products_are_read_by_window(tmp_path: Path) -> None:
    """The embedded scene as a product of one's own: the same level as by the source of that scene."""
    lake = scene_lakes().iloc[3:4]
    request = SourceRequest(str(sample_path()), resolution=20, surroundings=0)
    own = measure_lakes(ProductsSource(request), lake, QUICK)
    expected = measure_lakes(SampleSource(request), lake, QUICK).levels
    assert own.failures == []
    assert own.levels["status"].tolist() == expected["status"].tolist()
    np.testing.assert_allclose(own.levels["level"], expected["level"], atol=1e-3)


def test_days_without_a_product_are_no_data() -> None:
    request = SourceRequest(str(sample_path()), dt.date(2018, 1, 1), dt.date(2018, 3, 1), resolution=20, surroundings=0)
    found = measure_lakes(ProductsSource(request), scene_lakes().iloc[:1], QUICK).levels
    assert found["status"].tolist() == ["no_data"]
    assert "2018" in found["reason"].iloc[0]


def test_long_times_are_read_in_parts() -> None:
    source = ProductsSource(SourceRequest("x", dt.date(2020, 1, 1), dt.date(2020, 1, 10)))
    parts = list(source._parts(25e6))
    assert parts[0] == (dt.date(2020, 1, 1), dt.date(2020, 1, 3))
    assert parts[-1] == (dt.date(2020, 1, 10), dt.date(2020, 1, 10))
    days = [first + dt.timedelta(days=number) for first, last in parts for number in range((last - first).days + 1)]
    assert days == [dt.date(2020, 1, 1) + dt.timedelta(days=number) for number in range(10)]
    assert list(ProductsSource(SourceRequest("x"))._parts(1e9)) == [None]


@pytest.fixture(scope="module")
def demo() -> Outcome:
    source = DemoSource(SourceRequest(resolution=40, surroundings=0))
    return measure_lakes(source, source.own_outlines().iloc[:2], QUICK)


@pytest.mark.slow
def test_levels_of_simulated_lakes_are_near_the_truth(demo: Outcome) -> None:
    """At 40 m, pixels of the shore are a tenth of these lakes: what holds at 10 m is in the benchmark."""
    valid = demo.levels[demo.levels["status"] == "valid"]
    assert len(valid) > 10
    assert (valid["level"] - valid["true_level"]).abs().median() < 0.04
    assert set(valid["true_state"]) <= {"open", "turbid"}
    assert {"open", "turbid"} <= {state for state, *_ in errors_by_state(demo)}


@pytest.mark.slow
def test_a_simulated_year_keeps_the_lakes_of_the_scene() -> None:
    source = SimulatedSource(SourceRequest(resolution=40, surroundings=0))
    (job,) = source.jobs(source.own_outlines().iloc[:1])
    (patch,) = job.load()
    assert len(patch.timestamps) == 24
    assert patch[FeatureType.DATA, "BANDS"].shape[-1] == 13


@pytest.mark.parametrize("source", [SampleSource, SimulatedSource])
def test_a_scene_takes_outlines_that_lie_on_it(source: type[SampleSource | SimulatedSource]) -> None:
    """The simulated ground goes on beyond the scene, as nowhere on Earth."""
    left, bottom, *_ = SAMPLE_BBOX
    here, far = (shapely.box(left + x, bottom, left + x + 500, bottom + 500) for x in (0, 500_000))
    opened = source(SourceRequest())
    assert [job.outlines["id"].tolist() for job in opened.jobs(builders.outlines(here, far))] == [["a"]]
    with pytest.raises(AreaError, match=r"None of the 1 outlines lies on .* between 12\.49.*Check the place"):
        opened.jobs(builders.outlines(far))
