"""Which STAC items a frame is made of, and what they say of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pystac
import pytest

from eotasks.errors import EOTasksError, FeatureError, ImageryError
from eotasks.xarray.bands.items import numbers_of_items, sun_of_items
from eotasks.xarray.layout import layout_of
from tests.builders.clouds.xarrays import START, dataset, item, scene

VALUES = scene(3, 4, 5)


def layout(times: Any = None) -> Any:
    band = dataset(VALUES)["B02"]
    return layout_of(band if times is None else band.assign_coords(time=times), {}, "the dataset")


def offsets(items: list[Any], times: Any = None) -> list[float]:
    scale, found = numbers_of_items(items, layout(times))["B02"]
    assert scale == 0.0001
    return [float(each) for each in found]


def test_items_in_any_order_as_json_or_of_pystac() -> None:
    items = [item(day=2, offset=0), item(day=0), item(day=1)]
    assert offsets(items) == [-0.1, -0.1, 0]
    assert offsets([pystac.Item.from_dict(each) for each in items]) == [-0.1, -0.1, 0]


def test_a_group_has_the_time_of_its_first_item() -> None:
    late = item(day=0)
    late["properties"]["datetime"] = "2023-06-01T10:10:45Z"
    others = [item(day=1), item(day=2)]
    assert offsets([item(day=0), late, *others]) == [-0.1, -0.1, -0.1]
    whole_days = START.astype("datetime64[D]").astype("datetime64[ns]") + np.arange(3) * np.timedelta64(5, "D")
    assert offsets([item(day=0), late, *others], whole_days) == [-0.1, -0.1, -0.1]
    late["assets"]["B02"]["raster:bands"][0]["offset"] = 0
    with pytest.raises(FeatureError, match=r"of one frame and their numbers have different offsets.*groupby='id'"):
        offsets([item(day=0), late, *others])


def test_frames_that_were_left_out_do_no_harm() -> None:
    items = [item(day=0), item(day=1), item(day=2), item(day=3, offset=0), item(day=4, offset=0)]
    assert offsets(items) == [-0.1, -0.1, -0.1]


def test_what_an_item_says_by_its_baseline_or_its_flag() -> None:
    old = item(day=0, offset=None, **{"s2:processing_baseline": "03.01"})
    removed = item(day=1, offset=0, **{"earthsearch:boa_offset_applied": True})
    assert offsets([old, removed, item(day=2)]) == [0, 0, -0.1]


@pytest.mark.parametrize(
    ("items", "kind", "message"),
    [
        ([item(day=0), item(day=1)], FeatureError, "none of the 2 STAC items is of frame 2023-06-11T10:10"),
        ([], FeatureError, "none of the 0 STAC items is of frame 2023-06-01T10:10"),
        ([item(day=day, offset=None) for day in range(3)], ImageryError, "does not say the offset"),
        ([{**item(), "properties": {"datetime": "soon"}}], ImageryError, "'soon' is no time"),
        ([{**item(), "assets": {}}, item(day=1), item(day=2)], ImageryError, "no assets"),
        ([3], FeatureError, "items holds a int"),
    ],
    ids=["one missing", "none", "no offset", "no time", "no assets", "no item"],
)
def test_items_that_do_not_say_it(items: list[Any], kind: type[EOTasksError], message: str) -> None:
    with pytest.raises(kind, match=message):
        offsets(items)


def test_the_sun() -> None:
    items = [
        item(day=0, **{"view:sun_elevation": 40.0, "view:sun_azimuth": 150.0}),
        item(day=1, **{"s2:mean_solar_zenith": 45, "s2:mean_solar_azimuth": 155}),
        item(day=2, **{"view:sun_elevation": 42.0, "view:sun_azimuth": 151.0}),
    ]
    np.testing.assert_array_equal(sun_of_items(items, layout()), [[50, 150], [45, 155], [48, 151]])
    with pytest.raises(FeatureError, match=r"item-1.* does not say where the sun stands"):
        sun_of_items([items[0], item(day=1), items[2]], layout())


@pytest.mark.parametrize(("azimuths", "mean"), [((359.0, 2.0), 0.5), ((150.0, 152.0), 151.0), ((-10.0, 340.0), 345.0)])
def test_the_sun_of_neighbours_is_a_mean_of_directions(azimuths: tuple[float, float], mean: float) -> None:
    items = [item(day=0, **{"view:sun_elevation": 40.0 + each % 2, "view:sun_azimuth": each}) for each in azimuths]
    others = [item(day=day, **{"view:sun_elevation": 40.0, "view:sun_azimuth": 150.0}) for day in (1, 2)]
    assert sun_of_items([*items, *others], layout())[0, 1] == pytest.approx(mean)


def test_frames_that_are_seconds_apart_have_the_nearest_item() -> None:
    time = np.datetime64("2023-06-01T10:10:00", "ns")
    times = time + np.array([0, 1, 4], "timedelta64[s]")
    items = [item(day=0, offset=offset) for offset in (0, -0.1, 0)]
    for each, moment in zip(items, ("00", "01", "04.4"), strict=True):
        each["properties"]["datetime"] = f"2023-06-01T10:10:{moment}Z"
    assert offsets(items, times) == [0, -0.1, 0]
