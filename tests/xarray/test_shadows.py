"""Cloud shadows of chunks equal those of whole frames, by both methods."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import xarray

from eotasks.errors import ConfigurationError, EOTasksError, FeatureError, GridError, ShadowWarning
from eotasks.models.clouds.shadows.frame import cloud_shadow as shadow_of_frame
from eotasks.models.clouds.shadows.projection import ProjectionMethod
from eotasks.xarray import cloud_shadow
from tests.builders.clouds.shadow_scene import NAMES, PIXEL, SUN, Blob, frame
from tests.builders.clouds.xarrays import EPSG, coordinates, item

BLOBS = [Blob(60, 150, 18, 900), Blob(170, 200, 12, 1500), Blob(120, 90, 9, 700)]
FRAMES = [frame(BLOBS)[:2], frame(BLOBS, sun=(45.0, 165.0), seed=2)[:2]]
CHUNKS = [{"time": 1, "y": 100, "x": 90}, {"y": 30, "x": 260}]
METHODS = ["geometric", "projection", ProjectionMethod(distance=700, erosion=20, dilation=30)]


def images(values: Any) -> xarray.DataArray:
    made = xarray.DataArray(values, coordinates(*values.shape), ("time", "y", "x"))
    return made.rio.write_crs(EPSG)


def data() -> xarray.Dataset:
    stack = np.stack([bands for bands, _ in FRAMES])
    return xarray.Dataset({name: images(stack[..., index]) for index, name in enumerate(NAMES)})


def cloud() -> xarray.DataArray:
    return images(np.stack([mask for _, mask in FRAMES]).astype(np.uint8))


def due(method: Any, sun: Any = (SUN, SUN)) -> Any:
    return np.stack([
        shadow_of_frame(bands, mask, sun=each, pixel_size=PIXEL, names=NAMES, method=method)
        for (bands, mask), each in zip(FRAMES, sun, strict=True)
    ])  # fmt: skip


@pytest.mark.parametrize("method", METHODS, ids=["geometric", "projection", "short projection"])
@pytest.mark.parametrize("chunks", [None, *CHUNKS], ids=str)
def test_shadows_are_those_of_whole_frames(method: Any, chunks: dict[str, int] | None) -> None:
    given = (data(), cloud()) if chunks is None else (data().chunk(chunks), cloud().chunk(chunks))
    found = cloud_shadow(*given, sun=SUN, method=method)
    assert (found.chunks is not None) is (chunks is not None)
    assert (found == 1).any()
    np.testing.assert_array_equal(found.values, due(method))
    assert found.rio.crs.to_epsg() == EPSG


def test_rows_from_south_to_north() -> None:
    found = cloud_shadow(data().isel(y=slice(None, None, -1)), cloud().isel(y=slice(None, None, -1)), sun=SUN)
    np.testing.assert_array_equal(found.values[:, ::-1], due("geometric"))


def test_the_sun_of_each_frame_wherever_it_is_said() -> None:
    suns = np.array([SUN, (40.0, 170.0)])
    values = due("geometric", suns)
    beside = {"view:sun_elevation": ("time", 90 - suns[:, 0]), "view:sun_azimuth": ("time", suns[:, 1])}
    items = [
        item(list(NAMES), day=day, offset=0, **{"view:sun_elevation": 90 - sun[0], "view:sun_azimuth": sun[1]})
        for day, sun in enumerate(suns)
    ]
    for found in (
        cloud_shadow(data(), cloud(), sun=suns),
        cloud_shadow(data().assign_coords(beside), cloud()),
        cloud_shadow(data(), cloud(), items=items, scale=1, offset=0),
    ):
        np.testing.assert_array_equal(found.values, values)


def test_the_sun_is_computed_from_time_and_place() -> None:
    # NOAA's solar calculator for 46.9 N, 16.3 E on 2023-06-01 and -06 at 10:10:31 UTC: about 27 and 155 degrees
    computed = cloud_shadow(data(), cloud())
    stated = cloud_shadow(data(), cloud(), sun=(26.8, 155.6))
    assert float((computed == stated).mean()) > 0.99


def told(work: Any) -> list[tuple[str, str]]:
    """Frames and reasons that warnings name, in the order of the frames."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        work()
    assert all(each.category is ShadowWarning for each in caught), [str(each.message) for each in caught]
    return sorted((str(each.message).partition(": has clouds")[0], each.message.reason) for each in caught)  # type: ignore[union-attr]


@pytest.mark.parametrize("chunks", [None, *CHUNKS], ids=str)
@pytest.mark.parametrize("method", ["geometric", "projection"])
def test_what_cannot_be_told_is_told_once_a_frame(method: Any, chunks: dict[str, int] | None) -> None:
    """A chunk full of clouds or water is no frame without ground, and one without clouds has no say."""
    bands, mask = data(), cloud()
    mask[0, :100, :90] = 1  # more than a chunk
    bands["B08"][0, :, 100:] = 0.01
    bands["B11"][0, :, 100:] = 0.01
    given = (bands, mask) if chunks is None else (bands.chunk(chunks), mask.chunk(chunks))
    if method == "projection":
        assert told(lambda: cloud_shadow(*given, sun=SUN, method=method).compute()) == []
    both = told(lambda: cloud_shadow(*given, sun=[SUN, (0, 0)], method=method).compute())
    assert [reason for _, reason in both][-1] == "sun"
    assert len(both) == (2 if method == "geometric" else 1)
    drowned = bands.assign(B08=bands["B08"] * 0 + 0.01, B11=bands["B11"] * 0 + 0.01)
    given = (drowned, mask) if chunks is None else (drowned.chunk(chunks), mask.chunk(chunks))
    made: list[xarray.DataArray] = []
    said = told(lambda: made.append(cloud_shadow(*given, sun=SUN, method=method).compute()))
    assert [reason for _, reason in said] == ["ground", "ground"]
    assert len({name for name, _ in said}) == 2


@pytest.mark.slow
@pytest.mark.parametrize("method", ["geometric", "projection"])
def test_a_worker_of_dask_tells_the_user(method: Any) -> None:
    from distributed import Client, LocalCluster

    shadow = cloud_shadow(data().chunk({"x": 90}), cloud().chunk({"x": 90}), sun=(0, 0), method=method)
    quiet: dict[str, Any] = {"protocol": "tcp", "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=True, **quiet) as cluster,
        Client(cluster) as client,
    ):
        said = told(lambda: (shadow.compute(), client.run_on_scheduler(lambda: None)))
    assert [reason for _, reason in said] == ["sun", "sun"]


@pytest.mark.parametrize(
    ("change", "options", "kind", "message"),
    [
        (lambda each: each.assign_coords(time=each["time"].values.astype("datetime64[D]").astype("datetime64[ns]")), {},
         FeatureError, "2023-06-01 is a date without a time of day"),
        (lambda each: each.assign_coords(time=each["time"] + np.timedelta64(12, "h")), {}, FeatureError,
         "below the horizon at 2023-06-01T22:10"),
        (lambda each: each.drop_vars("time"), {}, FeatureError, "has no times, so the sun is not known"),
        (lambda each: each, {"sun": (160, 50)}, ConfigurationError, "zenith comes first"),
        (lambda each: each, {"sun": (1, 2, 3)}, ConfigurationError, r"shape \(3,\) where \(2,\), or \(2, 2\)"),
        (lambda each: each, {"method": "guess"}, ConfigurationError, "method='guess' is unknown"),
        (lambda each: each.drop_vars("spatial_ref"), {"sun": SUN}, GridError, "no CRS"),
    ],
    ids=["dates", "night", "no times", "azimuth first", "three numbers", "no method", "no CRS"],
)  # fmt: skip
def test_what_shadows_cannot_be_made_of(
    change: Any, options: dict[str, Any], kind: type[EOTasksError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        cloud_shadow(change(data()), change(cloud()), **options)


def test_masks_that_are_none() -> None:
    with pytest.raises(FeatureError, match="cloud: holds 7"):
        cloud_shadow(data(), cloud() * np.uint8(7), sun=SUN)
    with pytest.raises(FeatureError, match="holds 7"):
        cloud_shadow(data(), (cloud() * np.uint8(7)).chunk({"x": 50}), sun=SUN).compute()
    with pytest.raises(GridError, match="cloud has other 'time'"):
        cloud_shadow(data(), cloud().isel(time=[0]), sun=SUN)
