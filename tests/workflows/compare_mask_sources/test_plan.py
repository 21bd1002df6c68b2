"""What is compared, in which order, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from eotasks.errors import ConfigurationError, EOTasksError
from eotasks.sources.sample import SAMPLE_BBOX
from eotasks.workflows.compare_mask_sources.plan import COMPUTED, S2CLOUDLESS, SERVICE, Job, Plan, make_plan

YEAR = ("2024-01-01", "2024-12-31")


def test_the_comparison_of_the_article() -> None:
    plan = make_plan(dates=YEAR)
    assert len(set(plan.boxes)) == 25
    assert plan.pixels == 50
    assert plan.crs == "EPSG:32633"
    assert {(east - west, north - south) for west, south, east, north in plan.boxes} == {(500, 500)}
    west, south = (min(box[side] for box in plan.boxes) for side in (0, 1))
    east, north = (max(box[side] for box in plan.boxes) for side in (2, 3))
    assert (east - west, north - south) == (2500, 2500)
    assert abs((west + east) / 2 - SAMPLE_BBOX.middle[0]) <= 5
    assert abs((south + north) / 2 - SAMPLE_BBOX.middle[1]) <= 5
    assert all(side % 10 == 0 for box in plan.boxes for side in box)


def test_patches_stand_side_by_side_in_rows() -> None:
    plan = make_plan(dates=YEAR, patches=5, size=100, resolution=20)
    (first, second, *_), west, north = plan.boxes, plan.boxes[0][0], plan.boxes[0][3]
    assert (second[0], second[3]) == (first[2], north)
    assert [box[0] - west for box in plan.boxes] == [0, 100, 200, 0, 100]
    assert [north - box[3] for box in plan.boxes] == [0, 0, 0, 100, 100]


def test_a_place_of_ones_own_lies_in_its_zone() -> None:
    plan = make_plan(dates=YEAR, patches=1, center=(-70.65, -33.45))
    ((west, south, east, north),) = plan.boxes
    assert plan.crs == "EPSG:32719"
    assert west < 346_700 < east
    assert south < 6_297_600 < north


def test_every_other_repeat_goes_backwards() -> None:
    plan = make_plan(dates=YEAR, repeats=3, with_s2cloudless=True)
    assert [way for _, way in plan.order] == [
        SERVICE, COMPUTED, S2CLOUDLESS, S2CLOUDLESS, COMPUTED, SERVICE, SERVICE, COMPUTED, S2CLOUDLESS,
    ]  # fmt: skip
    assert [repeat for repeat, _ in plan.order] == [0] * 3 + [1] * 3 + [2] * 3


def test_the_round_before_has_the_first_patch() -> None:
    plan = make_plan(dates=YEAR)
    assert plan.one_patch().boxes == plan.boxes[:1]
    assert plan.one_patch().job(SERVICE).boxes == plan.boxes[:1]


def test_jobs_go_through_a_file() -> None:
    plan = Plan(((0.0, 0.0, 10.0, 10.0),), "EPSG:32633", 10, 10, YEAR, mask_resolution=160)
    job = plan.job(COMPUTED, masks="/masks", core=1)
    assert Job.of_json(job.as_json().encode()) == job


@pytest.mark.parametrize(
    "content", [b"[]", b"{}", b'{"boxes": [[1, 2]], "dates": ["a", "b"]}'], ids=["list", "empty", "half"]
)
def test_what_is_no_job_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigurationError, match="job"):
        Job.of_json(content)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"patches": 0}, "--patches 0"),
        ({"patches": 2501}, "1 to 2500"),
        ({"repeats": 0}, "--repeats 0"),
        ({"size": 505}, "50.5 pixels"),
        ({"size": float("nan")}, "nan pixels"),
        ({"size": 26_000}, "2600 pixels"),
        ({"resolution": 0}, "resolution=0"),
        ({"mask_resolution": -1}, "resolution=-1"),
        ({"mask_resolution": 160, "with_s2cloudless": True}, "Leave one out"),
        ({"dates": ("2024-06-01", "2024-05-01")}, "time_interval"),
        ({"dates": ("soon", "later")}, "time_interval"),
        ({"patches": 900}, "15.36 x 7.68 km"),
        ({"center": (12.0, 89.0)}, "no UTM zone"),
        ({"center": (float("nan"), 0.0)}, "no UTM zone"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_cannot_work_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(EOTasksError, match=message):
        make_plan(**{"dates": YEAR, **given})
