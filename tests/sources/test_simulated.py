from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import pickle

import numpy as np
import pytest
from eolearn.core import EOPatch, FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

from eotasks.errors import BandError, ConfigurationError, FeatureError, GridError
from eotasks.models.clouds.pixel import cloud_probability
from eotasks.models.sentinel2 import BANDS
from eotasks.models.simulation import refill
from eotasks.models.simulation.refill import _veil_spectrum
from eotasks.models.simulation.year import REALISTIC, Lake, SimulationSettings, acquisition_times, simulate
from eotasks.models.sun import sun_position
from eotasks.sources.sample import SAMPLE_BBOX, SUN_ANGLES
from eotasks.sources.simulated import (
    LAKE_OUTLINES,
    RECONSTRUCTED,
    TRUTH_CIRRUS,
    TRUTH_CLOUD,
    TRUTH_HAZE,
    TRUTH_LAKE_LEVEL,
    TRUTH_LAKE_STATE,
    TRUTH_LAKE_WATER,
    TRUTH_SHADOW,
    TRUTH_SNOW,
    TRUTH_TERRAIN_SHADE,
    TRUTH_WATER,
    SimulateYearTask,
    sample_ground,
)  # fmt: skip

RESOLUTION = 40
BANDS_FEATURE = (FeatureType.DATA, "BANDS")
IS_DATA = (FeatureType.MASK, "IS_DATA")


def box(column: int = 0, row: int = 0, pixels: int = 16, crs: str = "EPSG:32633") -> BBox:
    left, top, size = 330_000 + column * RESOLUTION, 5_822_040 - row * RESOLUTION, pixels * RESOLUTION
    return BBox((left, top - size, left + size, top), CRS(crs))


def task(**options) -> SimulateYearTask:
    return SimulateYearTask(**{"resolution": RESOLUTION, "acquisitions": 4, **options})


@pytest.fixture(scope="module")
def year() -> EOPatch:
    return task(snow=True)(bbox=box())


def test_a_patch_has_bands_truth_dates_and_sun(year):
    assert year[BANDS_FEATURE].shape == (4, 16, 16, 13)
    assert year[BANDS_FEATURE].dtype == np.float32
    for feature in (IS_DATA, TRUTH_CLOUD, TRUTH_CIRRUS, TRUTH_SHADOW, TRUTH_SNOW):
        assert year[feature].shape == (4, 16, 16, 1)
        assert year[feature].dtype == np.bool_
    assert year[RECONSTRUCTED].shape == (16, 16, 1)
    assert year.timestamps == acquisition_times(SimulationSettings(acquisitions=4))
    assert year.bbox == box()
    angles = year[SUN_ANGLES]
    assert angles.shape == (4, 2)
    assert angles.dtype == np.float32
    assert angles[1, 0] == pytest.approx(sun_position(year.timestamps[1], 52.5, 12.6)[0], abs=0.2)


def test_it_says_that_it_is_simulated(year):
    note = year[(FeatureType.META_INFO, "SIMULATED")]
    assert "realism" not in note
    assert note["simulated"] is True
    assert note["seed"] == 42
    assert note["acquisitions"] == 4


def test_a_realistic_patch_has_its_truth_and_says_what_it_is():
    made = task(realism=REALISTIC, elevation=np.zeros((192, 384), dtype=np.float32))(bbox=box())
    assert (made[TRUTH_HAZE].dtype, made[TRUTH_TERRAIN_SHADE].dtype, made[TRUTH_WATER].dtype) == (bool, bool, np.uint8)
    note = made[(FeatureType.META_INFO, "SIMULATED")]
    assert note["simulated"] is True
    assert note["realism"]["haze_veils"] == REALISTIC.haze_veils
    assert note["dem"] is True
    assert note["dem_sha256"] == hashlib.sha256(bytes(4 * 192 * 384)).hexdigest()
    assert json.loads(json.dumps(note)) == note


def test_a_plain_patch_has_no_truth_of_options_that_it_lacks(year):
    options = {TRUTH_HAZE, TRUTH_TERRAIN_SHADE, TRUTH_WATER, TRUTH_LAKE_WATER, TRUTH_LAKE_LEVEL, LAKE_OUTLINES}
    assert not options & set(year.get_features())
    assert "lakes" not in year[(FeatureType.META_INFO, "SIMULATED")]


def test_a_dem_on_another_grid_is_refused():
    with pytest.raises(GridError, match=r"shape \(3, 4\), the ground \(192, 384\)"):
        task(elevation=np.zeros((3, 4)))


def test_the_same_seed_gives_the_same_values_after_pickling(year):
    again = pickle.loads(pickle.dumps(task(snow=True)))(bbox=box())
    assert again == year


def test_neighbours_fit():
    whole = task()(bbox=box(pixels=32))
    for row, column in ((0, 16), (16, 0), (16, 16)):
        part = task()(bbox=box(column, row))
        window = (slice(None), slice(row, row + 16), slice(column, column + 16))
        for feature in (BANDS_FEATURE, IS_DATA, TRUTH_CLOUD, TRUTH_SHADOW):
            np.testing.assert_array_equal(part[feature], whole[feature][window])


def test_bands_come_in_the_order_asked_for(year):
    chosen = task(snow=True, bands=["B08", "B04"])(bbox=box())
    np.testing.assert_array_equal(
        chosen[BANDS_FEATURE], year[BANDS_FEATURE][..., [BANDS.index("B08"), BANDS.index("B04")]]
    )


def test_a_place_far_from_the_scene_works():
    patch = task()(bbox=BBox((510_000, 5_100_000, 510_640, 5_100_640), CRS("EPSG:32633")))
    assert np.isfinite(patch[BANDS_FEATURE]).all()
    assert patch[IS_DATA].any()


def test_it_adds_to_an_eopatch_and_keeps_what_is_there():
    patch = EOPatch(bbox=box())
    patch[(FeatureType.MASK_TIMELESS, "LULC")] = np.ones((16, 16, 1), dtype=np.uint8)
    filled = task()(patch)
    assert (FeatureType.MASK_TIMELESS, "LULC") in filled
    assert filled[BANDS_FEATURE].shape[0] == 4


def test_real_clouds_are_recorded_as_reconstructed():
    made = sample_ground(RESOLUTION, 42)
    # The thick real cloud north of the lake, and clear fields in the south-east.
    assert made.reconstructed[60, 230]
    assert not made.reconstructed[150:190, 300:380].any()
    assert 0.1 < made.reconstructed.mean() < 0.25


@pytest.mark.slow
def test_the_default_veil_is_that_of_the_sample(monkeypatch):
    measured = []

    def measure(*arguments):
        measured.append(_veil_spectrum(*arguments))
        return measured[-1]

    monkeypatch.setattr(refill, "_veil_spectrum", measure)
    sample_ground.__wrapped__(RESOLUTION, 42)
    np.testing.assert_allclose(refill._DEFAULT_VEIL, measured[0], atol=0.02)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"resolution": 0}, ConfigurationError, "resolution"),
        ({"resolution": "20"}, ConfigurationError, "resolution"),
        ({"resolution": math.inf}, ConfigurationError, "resolution"),
        ({"seed": 1.5}, ConfigurationError, "seed"),
        ({"acquisitions": "3"}, ConfigurationError, "acquisitions"),
        ({"resolution": 7}, ConfigurationError, "resolution"),
        ({"bands": []}, ConfigurationError, "bands"),
        ({"bands": ["B8"]}, BandError, "B8"),
        ({"acquisitions": 0}, ConfigurationError, "acquisitions"),
        ({"cloudiness": 2}, ConfigurationError, "cloudiness"),
        ({"bands_feature": (FeatureType.MASK, "BANDS")}, ConfigurationError, "DATA"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_configuration_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        task(**options)


def test_bad_places_are_refused():
    with pytest.raises(GridError, match="degrees"):
        task()(bbox=BBox((12, 52, 12.1, 52.1), CRS.WGS84))
    with pytest.raises(GridError, match=r"EPSG.*32632, the simulated ground in .*32633: transform it"):
        task()(bbox=box(crs="EPSG:32632"))
    with pytest.raises(GridError):
        task()(bbox=BBox((330_000, 5_822_000, 330_039, 5_822_040), CRS("EPSG:32633")))
    with pytest.raises(ConfigurationError, match="bbox"):
        task()()
    with pytest.raises(FeatureError, match="new EOPatch"):
        task(acquisitions=5)(task()(bbox=box()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "resolution"),
    [(1, 40), *(pytest.param(*each, marks=pytest.mark.trial) for each in [(42, 20), (3, 40), (7, 40)])],
)
def test_s2cloudless_sees_the_clouds_and_not_the_clear_ground(seed, resolution):
    """By the engine: that its numbers are those of s2cloudless, other tests say."""
    settings = SimulationSettings(seed=seed)
    ground = dataclasses.replace(sample_ground(resolution, 42), seed=seed)
    left, _, _, top = SAMPLE_BBOX
    clouds, clear_ground = [], []
    for index, time in enumerate(acquisition_times(settings)):
        frame = simulate(ground, settings, index, left, top, *ground.shape)
        clear = frame.is_data & ~(frame.cloud | frame.cirrus | frame.shadow | frame.snow)
        clouds.append(frame.bands[frame.cloud][::29])
        if 4 <= time.month <= 10:
            clear_ground.append(frame.bands[clear][::29])
    found, mistaken = ((cloud_probability(np.concatenate(spectra)) > 0.4).mean() for spectra in (clouds, clear_ground))
    assert sum(map(len, clouds)) > 5_000
    assert sum(map(len, clear_ground)) > 5_000
    assert found >= 0.90
    assert mistaken <= 0.05


def test_a_patch_with_lakes_has_their_outlines_levels_and_states():
    lake = Lake(x=330_320, y=5_821_720, radius=120, name="pond")
    patch = task(lakes=[lake], cloudiness=0.0)(bbox=box())
    assert patch[TRUTH_LAKE_WATER].shape == patch[TRUTH_WATER].shape == (4, 16, 16, 1)
    assert patch[TRUTH_LAKE_LEVEL].shape == patch[TRUTH_LAKE_STATE].shape == (4, 1)
    seen = (
        patch[TRUTH_LAKE_WATER].sum(axis=(1, 2), dtype=np.float64)
        * RESOLUTION**2
        / patch[LAKE_OUTLINES].geometry.area[0]
    )
    assert seen == pytest.approx(patch[TRUTH_LAKE_LEVEL], abs=0.01)
    assert patch[LAKE_OUTLINES].name.tolist() == ["pond"]
    assert patch[LAKE_OUTLINES].nominal_area.tolist() == pytest.approx([np.pi * 120**2])
    described = patch[(FeatureType.META_INFO, "SIMULATED")]["lakes"]
    assert TRUTH_HAZE not in patch.get_features()
    assert [Lake(**values) for values in json.loads(json.dumps(described))] == [lake]
