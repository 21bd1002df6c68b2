"""Field statistics of the Statistical API: the unmodified client, against a service whose pixels are known."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from sentinelhub.download.sentinelhub_client import SentinelHubDownloadClient
from shapely.geometry import Point, Polygon, box

from eotasks.errors import BandError, ConfigurationError, GeometryError, GridError, ImageryError, PolygonWarning
from eotasks.service.api import statistics
from eotasks.service.contract.area import OutputArea
from eotasks.service.errors import ScriptError
from eotasks.sources.sentinelhub import field_statistics
from eotasks.sources.sentinelhub.field_script import field_script, output_name
from eotasks.sources.sentinelhub.field_statistics import FieldStatisticsRequest
from eotasks.sources.sentinelhub.statistics import StatisticalClient
from eotasks.zonal.polygons import Polygons, polygons_of
from eotasks.zonal.quantities import quantities_of
from eotasks.zonal.table import POLYGON
from eotasks.zonal.vocabulary import Over, columns
from tests.builders.inputs.sentinelhub import write_profile
from tests.builders.service.fake_renderer import (
    FakeScript,
    Product,
    centres,
    days,
    inside_of,
    renderer_of,
    setup_of,
    value,
)
from tests.servers.routes import Loopback

# pyproj at its floor converts arrays of one point as NumPy 2 no longer likes
pytestmark = pytest.mark.filterwarnings("ignore:Conversion of an array with ndim:DeprecationWarning")

JUNE = ("2019-06-01", "2019-06-16")
WEST, SOUTH = 330_000.0, 5_814_000.0
QUANTITIES = quantities_of(["B04", "NDVI"])
SCRIPT = field_script(QUANTITIES, "CLM")
NAMES = [output_name(over, number) for over in (Over.CLEAR, Over.ALL) for number in range(2)]


def states(clm: Any) -> Any:
    """Seen, and cloud, of the numbers that the fake service has for CLM."""
    digit = np.rint(clm * 10_000) % 10
    return digit < 9, digit > 6


def draw(bands: Any) -> Any:
    """What the script says, in other words."""
    known, cloud = states(bands["CLM"])
    seen = (bands["dataMask"] == 1) & known
    clear = seen & ~cloud
    with np.errstate(invalid="ignore"):
        ndvi = (bands["B08"] - bands["B04"]) / (bands["B08"] + bands["B04"])
    ndvi = np.where(np.rint(bands["B04"] * 10_000) % 10 == 3, np.nan, ndvi)  # where an index has no value
    values = [bands["B04"], ndvi]
    found = {output_name(over, number): [values[number]] for over in Over for number in range(2)}
    masks = [
        mask & np.isfinite(values[number])
        for mask in (clear, seen)
        for number in range(2)
    ]  # fmt: skip
    return found | {"cloud": [cloud], "shadow": [np.zeros_like(cloud)], "dataMask": [*masks, seen, seen]}


OUTPUTS = {name: ["B0"] for name in (*NAMES, "cloud", "shadow")} | {"dataMask": [*NAMES, "cloud", "shadow"]}
SCRIPTS = {SCRIPT: FakeScript(setup_of(["B04", "B08", "CLM", "dataMask"], OUTPUTS), draw)}


@pytest.fixture(scope="module")
def running() -> Iterator[Loopback]:
    with Loopback.running([statistics.router], renderer=renderer_of(SCRIPTS, [])) as service:
        yield service


@pytest.fixture
def service(running: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Loopback]:
    running.engine.faults, running.engine.runs = {}, []
    running.reader.products = [Product(time) for time in days("2019-06-01", 3, step=5)]
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("SH_PROFILE", "mine")
    write_profile(
        tmp_path / "sentinelhub" / "config.toml", sh_base_url=running.url, sh_token_url=f"{running.url}/token",
        sh_client_id="client", sh_client_secret="secret", download_sleep_time=0.01,
    )  # fmt: skip
    SentinelHubDownloadClient.clear_cache()
    yield running
    SentinelHubDownloadClient.clear_cache()


def fields(*shapes: Any, crs: int = 32633) -> Polygons:
    """Polygons f0, f1, ..."""
    names = [f"f{index}" for index in range(len(shapes))]
    return polygons_of(gpd.GeoDataFrame({"n": names}, geometry=list(shapes), crs=crs), id_column="n")


ALIGNED = box(WEST + 20, SOUTH + 30, WEST + 220, SOUTH + 130)
TRIANGLE = Polygon([(WEST + 3, SOUTH + 4), (WEST + 207, SOUTH + 9), (WEST + 11, SOUTH + 187)])
TINY = box(WEST + 1, SOUTH + 1, WEST + 3, SOUTH + 3)


def pixels(bounds: tuple[float, ...], shape: Any, day: int, band: str) -> np.ndarray:
    """Values of the pixels whose middles lie in a shape; `bounds` are on whole pixels."""
    left, bottom, right, top = bounds
    area = OutputArea("EPSG:32633", bounds, round((top - bottom) / 10), round((right - left) / 10), shape)  # type: ignore[arg-type]  # four numbers
    time = dt.datetime.fromisoformat(f"2019-06-{day:02}T10:10:00")
    return np.asarray(value(band, *centres(area), time)[inside_of(area)], dtype=np.float64)


def check_rows(rows: pd.DataFrame, bounds: tuple[float, ...], shape: Any) -> None:
    """All of a field, by numpy on the pixels."""
    for day in (1, 6, 11):
        red, near, clm = (pixels(bounds, shape, day, band) for band in ("B04", "B08", "CLM"))
        known, cloud = states(clm)
        ndvi = np.where(np.rint(red * 10_000) % 10 == 3, np.nan, ((near - red) / (near + red)).astype(np.float32))
        for band, values in (("B04", red), ("NDVI", ndvi)):
            for over, mask in (("clear", known & ~cloud), ("all", known)):
                (row,) = rows[(rows.time.dt.day == day) & (rows.band == band) & (rows.over == over)].to_dict("records")
                kept = values[mask & np.isfinite(values)]
                assert row["pixels"] == kept.size
                assert row["mean"] == pytest.approx(kept.mean(), abs=1e-9)
                assert row["std"] == pytest.approx(kept.std(), abs=1e-9)
                assert (row["min"], row["max"]) == (pytest.approx(kept.min()), pytest.approx(kept.max()))
                for name, percent in (("median", 50), ("p05", 5), ("p97.5", 97.5)):
                    assert row[name] == pytest.approx(np.percentile(kept, percent, method="inverted_cdf"))
                assert row["area_pixels"] == red.size
                assert row["cloud_fraction"] == pytest.approx((known & cloud).sum() / red.size)
                assert row["no_data_fraction"] == pytest.approx((~known).sum() / red.size)
                assert (row["shadow_fraction"], row["status"]) == (0, "ok")


def test_numbers_are_those_of_the_pixels_whose_middles_are_inside(service: Loopback) -> None:
    request = FieldStatisticsRequest(QUANTITIES, percentiles=[97.5, 5])
    table = request.statistics(fields(ALIGNED, TRIANGLE, TINY), JUNE)
    assert list(table.columns) == columns([5, 97.5])
    assert len(table) == 3 * 3 * 2 * 2
    assert str(table["time"].dtype) == "datetime64[ns, UTC]"
    around = (WEST, SOUTH, WEST + 210, SOUTH + 190)
    check_rows(table[table.id == "f0"], ALIGNED.bounds, ALIGNED)
    check_rows(table[table.id == "f1"], around, TRIANGLE)
    tiny = table[(table.id == "f2") & (table.band == "B04") & (table.over == "all")]
    assert (tiny["area_pixels"] == 1).all()
    one = (WEST, SOUTH, WEST + 10, SOUTH + 10)
    for _, row in tiny[tiny.status == "ok"].iterrows():
        assert row["mean"] == pixels(one, None, row["time"].day, "B04")[0]
    assert len(service.engine.runs) == 9  # a request for each polygon, a day of products each


def test_degrees_and_two_zones(service: Loopback) -> None:
    degrees = gpd.GeoSeries([ALIGNED], crs=32633).to_crs(4326).iloc[0]
    east, west = (Point(longitude, 52.5).buffer(1e-3) for longitude in (18.01, 17.99))
    there = FieldStatisticsRequest(QUANTITIES).statistics(fields(degrees, west, east, crs=4326), JUNE)
    here = FieldStatisticsRequest(QUANTITIES).statistics(fields(ALIGNED), JUNE)
    numbers = ["mean", "median", "pixels", "area_pixels"]
    np.testing.assert_allclose(there.loc[there.id == "f0", numbers], here[numbers], atol=1e-9)
    assert (there.groupby("id").size() == 12).all()


def test_days_without_products_and_fields_without_any(service: Loopback) -> None:
    service.reader.products = [Product(time, bounds=(12.0, 50.0, 12.6, 55.0)) for time in days("2019-06-01", 2, step=5)]
    east = box(WEST + 90_000, SOUTH, WEST + 90_100, SOUTH + 100)
    told: list[tuple[int, int]] = []
    with pytest.warns(PolygonWarning, match="'f2'"):
        asked = fields(ALIGNED, east, Point(0, 0))
    tables = FieldStatisticsRequest(QUANTITIES).tables(
        asked, JUNE, key=POLYGON, advance=lambda *each: told.append(each)
    )
    table = pd.concat(list(tables))
    assert table.groupby("polygon")["time"].count().to_dict() == {0: 8, 1: 0, 2: 0}
    assert table[table.polygon == 1].status.unique().tolist() == ["outside"]
    assert table[table.polygon == 2].status.unique().tolist() == ["empty polygon"]
    assert told == [(2, 2)]


def test_a_day_with_nothing_is_left_out(service: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """Services say it of days without products; the other days count, and polygons without a zone ask for nothing."""
    asked = fields(ALIGNED, box(1e8, 1e8, 1e8 + 50, 1e8 + 50))
    expected = FieldStatisticsRequest(QUANTITIES).statistics(asked, JUNE)
    fetch = StatisticalClient.fetch

    def with_nothing(self: StatisticalClient, requests: Any, **options: Any) -> list[Any]:
        interval = {"from": "2019-06-02T00:00:00Z", "to": "2019-06-03T00:00:00Z"}
        nothing = {"interval": interval, "outputs": {}}
        return [{"data": [nothing, *each["data"]]} for each in fetch(self, requests, **options)]

    monkeypatch.setattr(StatisticalClient, "fetch", with_nothing)
    found = FieldStatisticsRequest(QUANTITIES).statistics(asked, JUNE)
    pd.testing.assert_frame_equal(found, expected)
    assert found[found.id == "f1"].status.unique().tolist() == ["outside"]
    assert found[found.id == "f0"].time.nunique() == 3


def test_a_failure_names_the_polygon(service: Loopback) -> None:
    service.engine.faults = {dt.date(2019, 6, 6): [ScriptError("always")] * 20}
    with pytest.raises(ImageryError, match=r"polygon f0: the day 2019-06-06 failed \(EXECUTION_ERROR\)"):
        FieldStatisticsRequest(QUANTITIES).statistics(fields(ALIGNED), JUNE)
    with pytest.raises(ImageryError, match=r"statistics of 1 of 1 polygons failed: f0 \("):
        FieldStatisticsRequest(quantities_of(["B03"])).statistics(fields(ALIGNED), JUNE)  # an unknown script


def test_others_go_on_where_some_fail(service: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fields(*(box(WEST + x, SOUTH, WEST + x + 40, SOUTH + 40) for x in (0, 100, 200, 300, 400)))
    monkeypatch.setattr(field_statistics, "_TOGETHER", 2)
    fetch = StatisticalClient.fetch
    calls: list[int] = []

    def failing(self: StatisticalClient, requests: Any, **options: Any) -> list[Any]:
        calls.append(len(requests))
        answers = [OSError("boom")] * len(requests)
        return [*fetch(self, requests[:1], **options), *answers[1:]] if len(calls) == 1 else answers

    monkeypatch.setattr(StatisticalClient, "fetch", failing)
    told: dict[int, str] = {}
    table = pd.concat(FieldStatisticsRequest(QUANTITIES).tables(asked, JUNE, key=POLYGON, fail=told.__setitem__))
    assert calls == [2, 2]  # the service is down: the last one is not asked for
    assert sorted(told) == [1, 2, 3, 4]
    assert "boom" in told[1]
    assert "not asked for" in told[4]
    states = table.groupby("polygon").status.first().astype(str).tolist()
    assert (states[0] != "failed", states[1:]) == (True, ["failed"] * 4)
    with pytest.raises(ImageryError, match="2 of 2 polygons failed"):
        list(FieldStatisticsRequest(QUANTITIES).tables(asked, JUNE, fail=told.__setitem__))


def test_too_large_and_too_many_corners() -> None:
    with pytest.raises(GridError, match="f0 is 4,000 x 10 pixels of 10 m"):
        FieldStatisticsRequest(QUANTITIES).statistics(fields(box(WEST, SOUTH, WEST + 40_000, SOUTH + 100)), JUNE)
    angles = np.linspace(0, 2 * np.pi, 6000)
    radius = 600 + 200 * (np.arange(6000) % 2)
    star = Polygon(np.column_stack([WEST + 1000 + radius * np.cos(angles), SOUTH + 1000 + radius * np.sin(angles)]))
    with pytest.raises(GeometryError, match="f0 has 6,001 corners"):
        FieldStatisticsRequest(QUANTITIES).statistics(fields(star), JUNE)


def test_many_corners_on_a_line_are_left_out(service: Loopback) -> None:
    fine = ALIGNED.segmentize(0.1)
    assert len(fine.exterior.coords) > 5_000  # more than a service takes
    table = FieldStatisticsRequest(QUANTITIES).statistics(fields(fine), JUNE)
    pd.testing.assert_frame_equal(table, FieldStatisticsRequest(QUANTITIES).statistics(fields(ALIGNED), JUNE))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"clouds": "CLP"}, ConfigurationError, "clouds='CLP'"),
        ({"clouds": "SCL"}, ConfigurationError, "SENTINEL2_L2A"),
        ({"data_collection": "LANDSAT"}, ConfigurationError, "LANDSAT"),
        ({"quantities": quantities_of(["B10"]), "data_collection": "SENTINEL2_L2A"}, BandError, "B10"),
        ({"maxcc": 2}, ConfigurationError, "maxcc"),
        ({"resolution": 0}, ConfigurationError, "resolution"),
        ({"percentiles": [101]}, ConfigurationError, "percentiles"),
    ],
)
def test_refuses_before_it_asks(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        FieldStatisticsRequest(options.pop("quantities", QUANTITIES), **options)


def test_formulas_are_written_in_brackets() -> None:
    """Two signs that meet are another operator in the language of scripts."""
    script = field_script(quantities_of(["X=-B04--2*(B08+1e3)/B02"]), "SCL")
    assert "((-s.B04) - (((-2.0) * (s.B08 + 1000.0)) / s.B02))" in script
    assert "[8, 9, 10].includes(s.SCL)" in script
