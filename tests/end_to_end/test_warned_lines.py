"""A typed warning names the user's line, however deep the function that found its cause, and whoever runs the task."""

from __future__ import annotations

import datetime as dt
import re
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from eolearn.core import EONode, EOPatch, EOWorkflow, FeatureType
from sentinelhub.constants import CRS
from sentinelhub.geometry import BBox

import eotasks
from eotasks import errors
from eotasks.errors import EOTasksWarning, ScaleWarning, warn_caller
from eotasks.s2cloudless import S2PixelCloudDetector

BANDS_8_BITS = np.full((8, 8, 10), 40, dtype=np.uint8)
BANDS_8_BITS[..., 7] = 0  # B10 of clear ground
PERCENT = np.array([[0, 100]], dtype=np.uint8)
DATA_CLP, MASK_CLM = (FeatureType.DATA, "CLP"), (FeatureType.MASK, "CLM")
IS_DATA = (FeatureType.MASK, "IS_DATA")


def patch_of_percent() -> EOPatch:
    box = BBox((330_000, 5_814_360, 330_020, 5_814_370), CRS("EPSG:32633"))
    patch = EOPatch(bbox=box, timestamps=[dt.datetime(2020, 1, 1)])  # noqa: DTZ001 - EOPatch timestamps are naive UTC
    patch[DATA_CLP] = PERCENT[np.newaxis, ..., np.newaxis]
    patch[IS_DATA] = np.ones((1, 1, 2, 1), dtype=bool)
    return patch


def masks_of_percent() -> eotasks.AddCloudMaskTask:
    return eotasks.AddCloudMaskTask(DATA_CLP, MASK_CLM, is_data_feature=IS_DATA)


CALLS: dict[str, Callable[[], object]] = {
    "probability of 8 bits": lambda: eotasks.cloud_probability(BANDS_8_BITS, scale="0..255"),
    "mask of percentages": lambda: eotasks.cloud_mask(PERCENT[np.newaxis], threshold=0.4),
    "a task": lambda: masks_of_percent().execute(patch_of_percent()),
    "a task that is called": lambda: masks_of_percent()(patch_of_percent()),
    "a workflow": lambda: EOWorkflow([node := EONode(masks_of_percent())]).execute(
        {node: {"eopatch": patch_of_percent()}}
    ),
    "s2cloudless": lambda: S2PixelCloudDetector().get_cloud_probability_maps(np.zeros((1, 4, 4, 10), np.float32)),
}


@pytest.mark.parametrize("case", CALLS)
def test_the_line_of_the_caller(case: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        CALLS[case]()
    ours = [each for each in caught if issubclass(each.category, EOTasksWarning)]
    assert ours
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    for each in ours:
        assert each.filename == __file__
        assert re.search(r"lambda|patch_of_percent\(\)", lines[each.lineno - 1])


def test_in_a_thread_of_a_pool_it_is_a_warning_too() -> None:
    with warnings.catch_warnings(record=True) as caught, ThreadPoolExecutor(1) as pool:
        warnings.simplefilter("always")
        pool.submit(warn_caller, "coarse", ScaleWarning).result()
    assert [(str(each.message), each.category) for each in caught] == [("coarse", ScaleWarning)]


def test_a_line_warns_once_of_the_same() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            warn_caller("coarse", ScaleWarning)
    assert len(caught) == 1


def test_every_typed_warning_goes_this_way() -> None:
    package = Path(eotasks.__file__).parent
    files = [path for path in package.rglob("*.py") if path != Path(errors.__file__)]
    assert [path.name for path in files if re.search(r"\bwarnings\.warn\(", path.read_text(encoding="utf-8"))] == []
