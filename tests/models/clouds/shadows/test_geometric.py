from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.errors import BandError, ConfigurationError, FeatureError, GridError, ReflectanceError, ShadowWarning
from eotasks.models.clouds.shadows import geometric as module
from eotasks.models.clouds.shadows.angles import shadow_shift
from eotasks.models.clouds.shadows.frame import cloud_shadow
from eotasks.models.clouds.shadows.geometric import GeometricMethod, ShadowMatch, geometric_shadow
from eotasks.models.clouds.shadows.light import light_of
from eotasks.models.clouds.shadows.search import clouds_of
from eotasks.models.clouds.shadows.significance import Significance
from tests.builders.clouds.shadow_scene import LAKE, NAMES, PIXEL, SUN, Blob, f1, frame

LOW = [Blob(200, 60, 12, 1200), Blob(120, 120, 17, 1200), Blob(215, 200, 9, 1200)]
OPTIONS: dict[str, Any] = {"sun": SUN, "pixel_size": PIXEL, "names": NAMES}


def match(blobs: list[Blob], **changes: Any) -> tuple[ShadowMatch, np.ndarray]:
    sun, view = changes.get("sun", SUN), changes.get("view", (0.0, 0.0))
    pixel = changes.get("pixel", PIXEL)
    bands, cloud, truth = frame(blobs, **changes)
    shift = shadow_shift(sun, view, pixel_size=pixel)
    found = geometric_shadow(
        light_of(bands, names=NAMES), cloud, shift, pixel_size=pixel, method=GeometricMethod(beyond="clear")
    )
    return found, truth


def height_at(found: ShadowMatch, blob: Blob) -> float:
    return float(found.heights[found.labels[round(blob.row), round(blob.column)] - 1])


def test_clouds_of_one_layer() -> None:
    found, truth = match(LOW)
    assert f1(found.shadow, truth) > 0.98
    assert [height_at(found, blob) for blob in LOW] == pytest.approx([1200] * 3, abs=15)


def test_every_cloud_has_its_own_height() -> None:
    blobs = [Blob(200, 60, 14, 900), Blob(120, 200, 15, 1150), Blob(215, 160, 13, 2100)]
    found, truth = match(blobs)
    assert f1(found.shadow, truth) > 0.97
    assert [height_at(found, blob) for blob in blobs] == pytest.approx([900, 1150, 2100], abs=25)


@pytest.mark.parametrize(
    ("sun", "view"), [((60, 150), (0, 0)), ((40, 200), (11, 104)), ((40, 160), (11, 286)), ((35, 90), (8, 0))]
)
def test_angles_of_sun_and_sensor(sun: tuple[float, float], view: tuple[float, float]) -> None:
    blobs = [Blob(150, 130, 15, 1000), Blob(110, 190, 11, 1000)]
    found, truth = match(blobs, sun=sun, view=view)
    assert truth.any()
    assert f1(found.shadow, truth) > 0.97


def test_ground_that_darkens_over_kilometres_draws_no_outlines_away() -> None:
    bands, cloud, truth = frame(LOW)
    darker = np.exp(np.linspace(-2, 0, cloud.shape[1]))
    bands[..., 1:] *= np.where(cloud, 1, darker)[..., np.newaxis]
    light, shift = light_of(bands, names=NAMES), shadow_shift(SUN, pixel_size=PIXEL)
    found = geometric_shadow(light, cloud, shift, pixel_size=PIXEL, method=GeometricMethod(beyond="clear"))
    assert f1(found.shadow, truth) > 0.5


def test_weak_shade_is_told_where_the_match_is_significant(monkeypatch: pytest.MonkeyPatch) -> None:
    bands, cloud, truth = frame(LOW)
    bands[truth, 1:] *= np.exp(0.65)  # shade of 0.11 is left, in ln
    light, shift = light_of(bands, names=NAMES), shadow_shift(SUN, pixel_size=PIXEL)
    options: dict[str, Any] = {"pixel_size": PIXEL, "method": GeometricMethod(beyond="clear")}
    assert f1(geometric_shadow(light, cloud, shift, **options).shadow, truth) > 0.9
    monkeypatch.setattr(module, "_SIGNIFICANT_CONTRAST", 0.15)
    assert geometric_shadow(light, cloud, shift, **options).reason == "height"


@pytest.mark.parametrize(("ratio", "told"), [(1.4, False), (1.6, True)])
def test_a_mask_of_little_cloud_has_to_fit_better(monkeypatch: pytest.MonkeyPatch, ratio: float, told: bool) -> None:
    monkeypatch.setattr(module, "significance", lambda *_, **__: Significance(ratio, 1.0, 1200.0))
    few, _ = match(LOW)
    many, _ = match([*LOW, Blob(180, 130, 17, 1200), Blob(220, 130, 12, 1200)])
    assert np.count_nonzero(few.labels) < 0.03 * few.labels.size < np.count_nonzero(many.labels)
    assert few.shadow.any() == told
    assert few.reason == (None if told else "height")
    assert many.shadow.any()


def test_how_well_clouds_must_fit_goes_by_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = [Blob(row, column, 22, 1200) for row in (100, 150, 200) for column in (40, 90, 140, 190)]
    for count, least in ((1, 1.5), (4, 1.1), (12, 0.6)):
        for ratio in (least - 0.05, least + 0.05):
            monkeypatch.setattr(module, "significance", lambda *_, ratio=ratio, **__: Significance(ratio, 1.0, 1200.0))
            found, _ = match(blobs[:count])
            assert (found.reason is None) == (ratio > least), (count, ratio)


def test_pixels_that_are_not_square() -> None:
    found, truth = match(LOW[:2], pixel=(20.0, 30.0))
    assert f1(found.shadow, truth) > 0.97


def test_shadow_on_water_follows_from_the_height_of_the_frame() -> None:
    over_lake = Blob(LAKE[0].start + 75, 55, 10, 1200)
    found, truth = match([*LOW[1:], over_lake])
    assert truth[LAKE].any()
    assert f1(found.shadow[LAKE], truth[LAKE]) > 0.9


def test_the_last_and_the_first_cloud_count() -> None:
    # a loop over 1..n-1 drops the last object; the objects are numbered from the top
    blobs = [Blob(100, 60, 8, 1200), Blob(150, 130, 8, 1200), Blob(220, 200, 8, 1200)]
    found, truth = match(blobs)
    for blob in blobs:
        assert height_at(found, blob) == pytest.approx(1200, abs=25)
    assert f1(found.shadow, truth) > 0.97


def test_a_false_cloud_throws_no_shadow() -> None:
    bands, cloud, truth = frame(LOW)
    cloud[205:215, 95:105] = True  # a bright roof, say: all ground along its line is lit
    found = cloud_shadow(bands, cloud, method=GeometricMethod(highest=2000), **OPTIONS) == 1
    assert f1(found, truth & ~cloud) > 0.97


def test_lit_ground_everywhere_gives_no_shadow() -> None:
    bands, cloud, _ = frame([Blob(120, 120, 15, 20_000)])
    with pytest.warns(ShadowWarning, match="frame 7: has clouds, but no shadow can be told: at no height") as told:
        assert not cloud_shadow(bands, cloud, **OPTIONS, where="frame 7").any()
    assert [each.message.reason for each in told] == ["height"]


def test_shadow_from_outside_of_the_image() -> None:
    outside = Blob(262, 130, 20, 1200)
    bands, cloud, truth = frame([*LOW, outside])
    shift = shadow_shift(SUN, pixel_size=PIXEL)
    dark = cloud_shadow(bands, cloud, **OPTIONS) == 1
    clear = cloud_shadow(bands, cloud, method=GeometricMethod(beyond="clear"), **OPTIONS) == 1
    reach = np.indices(truth.shape)[0] - round(1200 * shift[0]) >= truth.shape[0]
    assert truth[reach].any()
    assert not (clear & reach).any()
    assert f1(dark & reach, truth & reach) > 0.75
    assert np.array_equal(dark & ~reach, clear & ~reach)


def test_no_data_is_no_water_and_no_shadow() -> None:
    bands, cloud, truth = frame(LOW)
    valid = np.ones(cloud.shape, dtype=bool)
    valid[:, :40] = False
    whole = cloud_shadow(bands, cloud, **OPTIONS)
    for empty in (0, np.nan):
        holed = np.where(valid[..., None], bands, np.float32(empty))
        mask = cloud_shadow(holed, cloud, valid=valid, **OPTIONS)
        assert (mask[~valid] == 255).all()
        assert f1(mask[valid] == 1, truth[valid]) > 0.97
    clm = np.where(valid, cloud, np.uint8(255)).astype(np.uint8)
    assert np.array_equal(cloud_shadow(holed, clm, **OPTIONS), mask)
    assert not np.array_equal(whole, mask)


def test_grids_of_angles_equal_numbers() -> None:
    bands, cloud, _ = frame(LOW)
    grid = np.broadcast_to(np.array(SUN), (*cloud.shape, 2)).copy()
    numbers = cloud_shadow(bands, cloud, **OPTIONS)
    assert np.array_equal(cloud_shadow(bands, cloud, **{**OPTIONS, "sun": grid}), numbers)
    grid[:, :130] = np.nan
    assert np.array_equal(cloud_shadow(bands, cloud, **{**OPTIONS, "sun": grid}), numbers)


def test_digital_numbers_and_names() -> None:
    bands, cloud, _ = frame(LOW)
    dn = np.rint(bands * 10_000).astype(np.uint16)
    all_bands = np.zeros((*cloud.shape, 13), dtype=np.uint16)
    all_bands[..., [1, 7, 11]] = dn
    expected = cloud_shadow(dn / np.float32(10_000), cloud, **OPTIONS)
    assert np.array_equal(cloud_shadow(all_bands, cloud, sun=SUN, pixel_size=PIXEL), expected)
    with pytest.raises(BandError, match="B11 is missing"):
        cloud_shadow(bands[..., :2], cloud, **{**OPTIONS, "names": NAMES[:2]})


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (1, 7), (3, 3)])
@pytest.mark.parametrize("covered", [False, True])
@pytest.mark.parametrize("method", ["geometric", "projection"])
def test_small_clear_and_overcast_frames(shape: tuple[int, int], covered: bool, method: Any) -> None:
    bands, cloud = np.full((*shape, 3), 0.2, dtype=np.float32), np.full(shape, covered)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        mask = cloud_shadow(bands, cloud, method=method, **OPTIONS)
    assert [each.category for each in told] == [ShadowWarning] * int(cloud.any())
    assert mask.shape == shape
    assert mask.dtype == np.uint8
    assert not mask.any()
    nothing = cloud_shadow(bands, cloud, valid=np.zeros(shape, dtype=bool), method=method, **OPTIONS)
    assert (nothing == 255).all()


@pytest.mark.filterwarnings("ignore::eotasks.errors.ShadowWarning")
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["geometric", "projection"]), st.integers(1, 40), st.integers(1, 40))
def test_whatever_the_input(seed: int, method: Any, height: int, width: int) -> None:
    random = np.random.default_rng(seed)
    bands = random.random((height, width, 3), dtype=np.float32)
    cloud = random.random((height, width)) < random.random()
    valid = random.random((height, width)) < 0.9
    before = [each.copy() for each in (bands, cloud, valid)]
    sun = (float(random.uniform(0, 85)), float(random.uniform(0, 360)))
    mask = cloud_shadow(bands, cloud, sun=sun, pixel_size=PIXEL, names=NAMES, valid=valid, method=method)
    assert np.array_equal(mask == 255, ~valid)
    assert not (mask[cloud & valid]).any()
    assert set(np.unique(mask)) <= {0, 1, 255}
    view = np.asfortranarray(bands)[::1]
    again = cloud_shadow(view, cloud, sun=sun, pixel_size=PIXEL, names=NAMES, valid=valid, method=method)
    assert np.array_equal(mask, again)
    assert all(np.array_equal(a, b) for a, b in zip(before, (bands, cloud, valid), strict=True))


def test_samples_of_clouds_stand_for_all_their_pixels() -> None:
    cloud = np.zeros((200, 200), dtype=bool)
    cloud[10:110, 10:110] = cloud[150:153, 150:153] = cloud[180, 180] = True
    clouds = clouds_of(cloud, np.ones_like(cloud), np.array([0.0, 0.0]), where="here")
    some = clouds.sample(500)
    assert clouds.sample(100_000) is clouds
    assert len(some.rows) <= 500
    assert np.bincount(some.owners)[1:].tolist() == [9, 1]
    assert np.bincount(some.owners, weights=some.weights) == pytest.approx([10_000, 9, 1])


def test_what_does_not_fit_is_refused() -> None:
    bands, cloud, _ = frame(LOW)
    with pytest.raises(GridError, match="the cloud mask has shape"):
        cloud_shadow(bands, cloud[:-1], **OPTIONS)
    with pytest.raises(GridError, match="a grid of angles"):
        cloud_shadow(bands, cloud, **{**OPTIONS, "sun": np.full((4, 4, 2), 40.0)})
    with pytest.raises(FeatureError, match="holds 7, a mask is"):
        cloud_shadow(bands, np.where(cloud, 7, 0), **OPTIONS)
    with pytest.raises(ReflectanceError, match="the frame: values up to"):
        cloud_shadow(bands * 10_000, cloud, **OPTIONS)
    with pytest.raises(ConfigurationError, match="method='fmask' is unknown"):
        cloud_shadow(bands, cloud, **OPTIONS, method="fmask")  # type: ignore[arg-type]  # what is tested
    with pytest.raises(ConfigurationError, match="beyond='grey'"):
        GeometricMethod(beyond="grey")  # type: ignore[arg-type]  # what is tested
    with pytest.raises(ConfigurationError, match="lowest=900 is not below highest=800"):
        GeometricMethod(lowest=900, highest=800)
    with pytest.raises(ConfigurationError, match="highest=-1"):
        GeometricMethod(highest=-1)
