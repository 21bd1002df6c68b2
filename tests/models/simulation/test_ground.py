from __future__ import annotations

import numpy as np
import pytest

from eotasks.errors import BandError, GridError
from eotasks.models.simulation.fields import calm_outlines, segment_fields
from eotasks.models.simulation.ground import field_traits, prepare_ground
from eotasks.models.simulation.radiation import clear_atmosphere
from eotasks.models.simulation.vegetation import CANOPY, DRY, GREEN, Cover
from tests.models.simulation.scene import (
    CLOUD,
    CLOUDY,
    FOREST,
    LATITUDE,
    LEFT,
    LONGITUDE,
    RESOLUTION,
    SHAPE,
    TIME,
    TOP,
    WATER,
    ground,
    scene,
    surface,
)  # fmt: skip


def test_the_atmosphere_is_undone_exactly():
    sky = clear_atmosphere(66, 0.15, 0.25)
    there = surface()
    np.testing.assert_allclose(sky.to_surface(sky.to_top(there)), there, atol=2e-5)


@pytest.mark.parametrize(("zenith", "aerosol"), [(25, 0.05), (40, 0.2), (75, 0.3)])
def test_the_sky_is_bluest_in_blue_and_gives_no_light_of_its_own(zenith, aerosol):
    sky = clear_atmosphere(zenith, aerosol, 0.3)
    order = [0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12]
    assert np.all(np.diff(sky.path[order]) < 0)
    assert np.all(sky.direct + sky.diffuse <= 1)
    assert np.all(sky.diffuse > 0)


def test_hazier_skies_are_brighter_over_dark_ground():
    clear, hazy = (clear_atmosphere(40, aerosol, 0.3).to_top(np.full(13, 0.02, np.float32)) for aerosol in (0.05, 0.4))
    assert np.all(hazy[:9] > clear[:9])


def test_cloud_and_shadow_are_refilled_and_marked():
    made = ground()
    assert made.reconstructed[CLOUDY].all()
    clear = np.ones(SHAPE, dtype=np.bool_)
    clear[50:90, 80:130] = False
    assert not made.reconstructed[clear & (np.arange(SHAPE[0])[:, None] > 80)].any()
    # What is made up is ground like the ground around it, not a rest of the cloud.
    assert made.soil[CLOUDY][..., 1].max() < 0.15
    assert 0.02 < made.reconstructed.mean() < 0.4


def test_the_cloud_spectrum_is_the_one_of_the_scenes_own_cloud():
    measured = ground().cloud_spectrum
    window = [0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12]
    np.testing.assert_allclose(measured[window], CLOUD[window] * measured[1] / CLOUD[1], rtol=0.12)


def test_a_clear_scene_is_kept_as_it_is():
    made = ground(cloudy=False)
    assert not made.reconstructed.any()
    assert (made.cloud_spectrum > 0).all()


def test_kinds_of_ground_are_told_by_their_spectrum():
    made = ground()
    assert made.wood[FOREST][5:-5, 5:-5].mean() > 0.9
    assert made.evergreen[FOREST][5:-5, 5:-5].mean() > 0.8
    assert made.water[WATER][5:-5, 5:-5].mean() > 0.9
    assert made.water[:60].max() < 0.1
    assert made.green[WATER].max() < 0.1


def test_input_stays_and_output_is_in_range():
    given = scene()
    before = given.copy()
    made = _prepare(given)
    np.testing.assert_array_equal(given, before)
    assert made.soil.min() >= 0
    assert made.soil.max() <= 0.6
    for share in (made.green, made.wood, made.water, made.built, made.evergreen):
        assert 0 <= share.min() <= share.max() <= 1
        assert share.dtype == np.float32


def test_pixels_without_data_do_not_spoil_the_rest():
    bands, is_data = scene(), np.ones(SHAPE, dtype=np.bool_)
    is_data[:10], bands[:10] = False, 0
    made = _prepare(bands, is_data)
    assert np.isfinite(made.soil).all()
    assert made.soil[:10].max() < 0.4


def test_fields_have_one_label_each_and_are_not_cut():
    labels = segment_fields(surface(), RESOLUTION)
    assert labels.shape == SHAPE
    assert set(np.unique(labels)) == set(range(labels.max() + 1))
    for row, column in ((50, 110), (70, 30), (110, 50)):
        inner = labels[row - 4 : row + 4, column - 4 : column + 4]
        assert (inner == inner[0, 0]).mean() > 0.9


def test_fine_pixels_give_the_same_fields():
    coarse = surface()
    fine = coarse.repeat(2, axis=0).repeat(2, axis=1)
    labels = segment_fields(fine, RESOLUTION / 2)
    np.testing.assert_array_equal(labels[::2, ::2], segment_fields(coarse, RESOLUTION))
    np.testing.assert_array_equal(labels[::2, ::2], labels[1::2, 1::2])


def test_frayed_outlines_go_to_the_majority():
    labels = np.zeros((9, 9), dtype=np.int64)
    labels[:, 5:] = 1
    labels[4, 2] = 1
    calm = calm_outlines(labels, np.ones((9, 9), dtype=np.bool_), 60)
    expected = labels.copy()
    expected[4, 2] = 0
    np.testing.assert_array_equal(calm, expected)


def test_mirror_copies_of_a_field_have_lives_of_their_own():
    made = ground()
    labels = np.arange(len(made.field_green)).repeat(2)
    copies = np.tile([0, 1], len(made.field_green))
    traits = field_traits(made, labels, copies)
    assert (traits.shift[::2] != traits.shift[1::2]).all()
    again = field_traits(made, labels[::-1], copies[::-1])
    np.testing.assert_array_equal(again.cover[::-1], traits.cover)


def test_calendars_stay_within_the_ground():
    assert GREEN.shape == DRY.shape == (len(Cover), 367)
    assert GREEN.min() >= 0
    assert (GREEN + DRY).max() <= 1
    np.testing.assert_allclose(GREEN[:, 0], GREEN[:, 366])
    assert CANOPY.shape == (len(Cover), 13)


def test_bad_input_is_refused():
    with pytest.raises(BandError, match="13"):
        _prepare(scene()[..., :10])
    with pytest.raises(GridError, match="one grid"):
        _prepare(scene(), np.ones((3, 3), dtype=np.bool_))
    with pytest.raises(GridError, match="no data"):
        _prepare(scene(), np.zeros(SHAPE, dtype=np.bool_))


def _prepare(bands, is_data=None):
    data = np.ones(SHAPE, dtype=np.bool_) if is_data is None else is_data
    return prepare_ground(
        bands, data, None, resolution=RESOLUTION, left=LEFT, top=TOP, latitude=LATITUDE, longitude=LONGITUDE,
        time=TIME, seed=42,
    )  # fmt: skip
