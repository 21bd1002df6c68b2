from __future__ import annotations

import datetime as dt
import hashlib
import pickle
import re
from typing import Any

import numpy as np
import pyogrio
import pytest
from eolearn.core import EOPatch, EOWorkflow, FeatureType, linearly_connect_tasks
from pyproj import Transformer
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.errors import AreaError, BandError, ConfigurationError, FeatureError, GridError
from eotasks.imagery.pixels.resampling import ResamplingName
from eotasks.models.sentinel2 import BANDS
from eotasks.models.sun import sun_position
from eotasks.sources.sample import (
    SAMPLE_BBOX,
    SAMPLE_TIME,
    LoadSampleTask,
    open_sample,
    sample_path,
    sample_reference_path,
)

UTM33 = CRS("EPSG:32633")
CORNER = BBox((330_000, 5_819_480, 332_560, 5_822_040), UTM33)


@pytest.fixture(scope="module")
def whole() -> EOPatch:
    return LoadSampleTask(resolution=60).execute(bbox=SAMPLE_BBOX)


def test_what_the_task_brings(whole: EOPatch) -> None:
    assert whole.timestamps == [SAMPLE_TIME]
    assert whole.bbox == SAMPLE_BBOX
    bands, is_data = whole.data["BANDS"], whole.mask["IS_DATA"]
    assert (bands.shape, bands.dtype) == ((1, 128, 256, 13), np.float32)
    assert (is_data.shape, is_data.dtype) == ((1, 128, 256, 1), bool)
    assert is_data.all()
    assert 0.1 < bands.mean() < 0.2
    angles = whole[FeatureType.SCALAR, "SUN_ANGLES"]
    assert (angles.shape, angles.dtype) == ((1, 2), np.float32)


def test_sun_angles_are_those_of_time_and_place() -> None:
    acquisition = open_sample().acquisition
    longitude, latitude = Transformer.from_crs(32633, 4326, always_xy=True).transform(*SAMPLE_BBOX.middle)
    zenith, azimuth = sun_position(acquisition.time, latitude, longitude)
    assert acquisition.angles_source == "computed"
    assert acquisition.sun_zenith == pytest.approx(zenith, abs=0.01)
    assert acquisition.sun_azimuth == pytest.approx(azimuth, abs=0.01)


def test_what_the_files_do_not_state_is_labelled() -> None:
    assert {"satellite", "relative_orbit", "sun_zenith", "sun_azimuth"} <= set(open_sample().acquisition.derived)


def test_relative_orbit_follows_from_a_known_one() -> None:
    """S2A orbit 44807 was R051 on 2024-01-20; 143 orbits take 10 days."""
    known = np.datetime64("2024-01-20T10:53:41")
    days = (np.datetime64(SAMPLE_TIME) - known) / np.timedelta64(1, "D")
    orbits = round(days * 143 / 10)
    assert (51 + orbits - 1) % 143 + 1 == open_sample().acquisition.relative_orbit


def test_limits_that_the_readme_states() -> None:
    scene = open_sample()
    dn = {band: scene.read([band], scene.grid_of(band)) for band in ("B09", "B10", "B8A")}
    assert set(np.diff(np.unique(dn["B09"]).astype(int)) % 64) == {0}
    assert len(np.unique(dn["B09"])) == 21
    assert len(np.unique(dn["B10"])) == 20
    assert dn["B10"].max() == 25
    assert (dn["B8A"] == 0).sum() == 1


def test_files_are_the_originals() -> None:
    readme = (sample_path() / "README.md").read_text()
    sums = {name: digest for digest, name in re.findall(r"^([0-9a-f]{64})  (T33\S+)$", readme, re.MULTILINE)}
    assert len(sums) == 13
    for name, digest in sums.items():
        assert hashlib.sha256((sample_path() / name).read_bytes()).hexdigest() == digest, name


def test_size_and_no_path_of_a_machine() -> None:
    files = [file for file in sample_path().rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 5_000_000
    for file in files:
        assert b"/home/" not in file.read_bytes(), file.name


def test_reference() -> None:
    frame = pyogrio.read_dataframe(sample_reference_path(), layer="landuse")
    assert list(frame.columns) == ["osm_id", "fclass", "name", "geometry"]
    assert len(frame) == 604
    assert frame.crs.to_epsg() == 32633
    assert frame.fclass.value_counts().to_dict() == {
        "meadow": 118, "wetland": 112, "farm": 107, "scrub": 103, "forest": 90, "water": 36, "residential": 28,
        "grass": 10,
    }  # fmt: skip


def test_a_part_equals_that_part_of_the_whole(whole: EOPatch) -> None:
    bbox = BBox((330_000 + 60 * 10, 5_822_040 - 60 * 40, 330_000 + 60 * 30, 5_822_040 - 60 * 5), UTM33)
    part = LoadSampleTask(resolution=60).execute(bbox=bbox)
    np.testing.assert_array_equal(part.data["BANDS"], whole.data["BANDS"][:, 5:40, 10:30])


def test_bands_order_and_dtype() -> None:
    digital = LoadSampleTask(bands=["B08", "B04"], resolution=20, dtype="dn").execute(bbox=CORNER)
    reflectance = LoadSampleTask(resolution=20).execute(bbox=CORNER)
    assert digital.data["BANDS"].dtype == np.uint16
    expected = reflectance.data["BANDS"][..., [BANDS.index("B08"), BANDS.index("B04")]]
    np.testing.assert_array_equal(digital.data["BANDS"].astype(np.float32) / np.float32(10_000), expected)


def test_partly_outside_is_no_data() -> None:
    bbox = BBox((329_400, 5_821_440, 330_600, 5_822_640), UTM33)
    patch = LoadSampleTask(resolution=60).execute(bbox=bbox)
    is_data = patch.mask["IS_DATA"][0, ..., 0]
    assert is_data[10:, 10:].all()
    assert is_data.sum() == 100
    assert not patch.data["BANDS"][0][~is_data].any()


@pytest.mark.slow
@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic"])
def test_pixels_without_a_value_are_no_data(resampling: ResamplingName) -> None:
    bbox = BBox((330_000 - 90, 5_820_440, 331_600 - 90, 5_822_040), UTM33)
    patch = LoadSampleTask(resolution=160, resampling=resampling).execute(bbox=bbox)
    np.testing.assert_array_equal(patch.mask["IS_DATA"][..., 0], patch.data["BANDS"].any(axis=-1))
    assert patch.mask["IS_DATA"].sum() == 90


def test_another_zone_sees_the_same_ground(whole: EOPatch) -> None:
    x, y = Transformer.from_crs(32633, 32632, always_xy=True).transform(*SAMPLE_BBOX.middle)
    left, top = round(x / 60) * 60 - 600, round(y / 60) * 60 + 600
    patch = LoadSampleTask(resolution=60).execute(bbox=BBox((left, top - 1200, left + 1200, top), CRS("EPSG:32632")))
    assert patch.mask["IS_DATA"].all()
    middle = whole.data["BANDS"][0, 54:74, 118:138]
    np.testing.assert_allclose(patch.data["BANDS"][0].mean(axis=(0, 1)), middle.mean(axis=(0, 1)), rtol=0.1)


def test_adds_to_an_eopatch_that_brings_the_box() -> None:
    eopatch = EOPatch(bbox=CORNER)
    patch = LoadSampleTask((FeatureType.DATA, "S2"), (FeatureType.MASK, "DATA_MASK"), resolution=20).execute(eopatch)
    assert patch.data["S2"].shape == (1, 128, 128, 13)
    assert patch.mask["DATA_MASK"].all()


@pytest.mark.parametrize("hours", [0, 2, -7])
def test_adds_to_an_eopatch_of_the_same_instant_in_another_zone(hours: int) -> None:
    zone = dt.timezone(dt.timedelta(hours=hours))
    eopatch = EOPatch(bbox=CORNER, timestamps=[SAMPLE_TIME.replace(tzinfo=dt.UTC).astimezone(zone)])
    assert LoadSampleTask(resolution=160).execute(eopatch).timestamps == [SAMPLE_TIME]


def test_in_a_workflow_and_pickled() -> None:
    task = pickle.loads(pickle.dumps(LoadSampleTask(bands=["B02"], resolution=160)))
    nodes = linearly_connect_tasks(task)
    bbox = BBox((330_000, 5_820_440, 331_600, 5_822_040), UTM33)
    results = EOWorkflow(nodes).execute({nodes[0]: {"bbox": bbox}})
    assert results.workflow_failed() is False


@pytest.mark.parametrize(
    ("bbox", "error", "message"),
    [
        (BBox((400_000, 5_814_360, 402_000, 5_816_360), UTM33), AreaError, "lies outside of the sample"),
        (BBox((330_000, 5_814_360, 330_005, 5_814_380), UTM33), GridError, "no whole number"),
        (BBox((12.5, 52.4, 12.6, 52.5), CRS.WGS84), GridError, "degrees are no metres"),
        (BBox((500_000, 5_814_360, 502_000, 5_816_360), CRS("EPSG:32601")), AreaError, "."),
        (None, ConfigurationError, "No bounding box"),
    ],
)
def test_refused_boxes(bbox: BBox | None, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        LoadSampleTask(resolution=20).execute(bbox=bbox)
    assert "\n" not in str(caught.value)


def test_refused_eopatches() -> None:
    other = EOPatch(bbox=CORNER, timestamps=["2020-01-01", "2020-01-02"])
    with pytest.raises(FeatureError, match="2 timestamps"):
        LoadSampleTask(resolution=20).execute(other)
    with pytest.raises(GridError, match="not that of the EOPatch"):
        LoadSampleTask(resolution=20).execute(EOPatch(bbox=CORNER), bbox=SAMPLE_BBOX)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"bands": ["B02", "B14"]}, BandError, "B14"),
        ({"bands": []}, ConfigurationError, "at least one"),
        ({"resolution": 0}, ConfigurationError, "above 0"),
        ({"resolution": "20"}, ConfigurationError, "above 0"),
        ({"resampling": "lanczos"}, ConfigurationError, "nearest, bilinear"),
        ({"dtype": "float64"}, ConfigurationError, "'reflectance' or 'dn'"),
        ({"bands_feature": (FeatureType.MASK, "BANDS")}, ConfigurationError, "FeatureType.DATA"),
    ],
)
def test_refused_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LoadSampleTask(**arguments)
