from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eotasks.errors import ModelError
from eotasks.models.classes import SLOVENIAN_CLASSES, ClassTable, LandCoverClass
from eotasks.models.landcover.areas import areas_of, estimate_areas
from eotasks.models.landcover.validation import confusion_matrix

TABLE = ClassTable(
    tuple(
        LandCoverClass(number, name, "#000000")
        for number, name in enumerate(["Deforestation", "Forest gain", "Stable forest", "Stable non-forest"], start=1)
    )
)
COUNTS = [[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]]
PIXELS = [200_000, 150_000, 3_200_000, 6_450_000]


def test_worked_example_of_the_paper() -> None:
    """Olofsson et al. 2014, section 5: Landsat pixels of 30 m, areas in hectares."""
    result = estimate_areas(COUNTS, PIXELS, pixel_area=900, classes=TABLE)
    assert [item.mapped_ha for item in result.classes] == [18_000, 13_500, 288_000, 580_500]
    assert [round(item.area_ha.value) for item in result.classes] == [21_158, 11_686, 285_770, 581_386]
    assert [round(item.area_ha.ci95) for item in result.classes] == [6_158, 3_756, 15_510, 16_282]
    assert round(result.overall_accuracy.value, 2) == 0.95
    assert round(result.overall_accuracy.ci95, 2) == 0.02
    assert [round(item.users_accuracy.value, 2) for item in result.classes] == [0.88, 0.73, 0.93, 0.96]
    assert [round(item.users_accuracy.ci95, 2) for item in result.classes] == [0.07, 0.10, 0.04, 0.02]
    assert [round(item.producers_accuracy.value, 2) for item in result.classes] == [0.75, 0.85, 0.93, 0.96]
    assert round(result.classes[0].producers_accuracy.ci95, 2) == 0.21
    assert (result.total_ha, result.excluded_ha, result.note) == (900_000, 0, "")


def test_two_class_example_of_an_independent_implementation() -> None:
    """Numbers printed in the manual of the R package mapac, aa_card(matrix(c(410, 67, 26, 369), 2), ...)."""
    table = TABLE.select([1, 2])
    result = estimate_areas([[410, 26], [67, 369]], [828_837, 33_067_283], pixel_area=10_000, classes=table)
    total = result.total_ha
    first, second = result.classes
    assert first.area_ha.value / total == pytest.approx(0.1729063, abs=5e-8)
    assert first.area_ha.standard_error / total == pytest.approx(0.01687046, abs=5e-9)
    assert result.overall_accuracy.value == pytest.approx(0.84862969, abs=5e-9)
    assert result.overall_accuracy.standard_error == pytest.approx(0.01687046, abs=5e-9)
    assert first.users_accuracy.value == pytest.approx(0.9403670, abs=5e-8)
    assert second.producers_accuracy.value == pytest.approx(0.998237, abs=5e-7)


def test_a_mapped_class_without_samples_is_left_out_with_its_reason() -> None:
    table = TABLE.select([1, 2, 3])
    result = estimate_areas([[0, 0, 0], [0, 18, 2], [1, 1, 28]], [5_000, 20_000, 75_000], pixel_area=100, classes=table)
    missing, sampled, _ = result.classes
    assert math.isnan(missing.area_ha.value)
    assert math.isnan(missing.area_ha.ci95)
    assert math.isnan(missing.users_accuracy.value)
    assert math.isnan(missing.producers_accuracy.value)
    assert missing.mapped_ha == 50
    assert missing.reason == "0 test samples in the mapped class, 2 are needed"
    assert (result.total_ha, result.excluded_ha) == (950, 50)
    assert result.note == "50.0 ha mapped as Deforestation have fewer than 2 test samples and are part of no estimate."
    assert sampled.reason == ""
    assert sampled.area_ha.value == pytest.approx(950 * (20 / 95 * 0.9 + 75 / 95 / 30))
    json.dumps(result.to_dict(), allow_nan=False)


def test_a_class_that_is_in_the_reference_only_has_an_area() -> None:
    table = TABLE.select([1, 2])
    result = estimate_areas([[8, 2], [0, 0]], [1_000, 0], pixel_area=10_000, classes=table)
    missed = result.classes[1]
    assert missed.area_ha.value == pytest.approx(200)
    assert missed.producers_accuracy.value == 0
    assert math.isnan(missed.users_accuracy.value)
    assert missed.reason == "the map does not have the class"


def test_samples_of_a_class_that_the_map_does_not_have_are_left_out() -> None:
    table = TABLE.select([1, 2])
    result = estimate_areas([[9, 1], [2, 5]], [1_000, 0], pixel_area=10_000, classes=table)
    alone = estimate_areas([[9, 1], [0, 0]], [1_000, 0], pixel_area=10_000, classes=table)
    assert [item.area_ha for item in result.classes] == [item.area_ha for item in alone.classes]
    assert result.overall_accuracy == alone.overall_accuracy
    assert math.isnan(result.classes[1].users_accuracy.value)
    assert result.note.startswith("Test samples predicted as Forest gain (7) are part of no estimate")


def test_without_any_samples_nothing_is_estimated() -> None:
    table = TABLE.select([1, 2])
    result = estimate_areas([[1, 0], [0, 1]], [100, 300], pixel_area=10_000, classes=table)
    assert math.isnan(result.overall_accuracy.value)
    assert all(math.isnan(item.area_ha.value) and item.reason for item in result.classes)
    assert (result.total_ha, result.excluded_ha) == (0, 400)


@given(
    arrays(np.int64, (3, 3), elements=st.integers(0, 50)),
    st.lists(st.integers(1, 10**7), min_size=3, max_size=3),
)
def test_areas_add_up_and_a_perfect_map_keeps_its_areas(counts: np.ndarray, pixels: list[int]) -> None:
    table = TABLE.select([1, 2, 3])
    counts = counts + 2 * np.eye(3, dtype=np.int64)
    result = estimate_areas(counts, pixels, pixel_area=100, classes=table)
    assert sum(item.area_ha.value for item in result.classes) == pytest.approx(result.total_ha)
    perfect = estimate_areas(np.diag(np.diag(counts)), pixels, pixel_area=100, classes=table)
    for item in perfect.classes:
        assert item.area_ha.value == pytest.approx(item.mapped_ha)
        assert item.area_ha.standard_error == 0
        assert (item.users_accuracy.value, item.producers_accuracy.value) == (1, 1)


def test_a_confusion_matrix_is_read_by_prediction() -> None:
    truth = np.repeat([2, 2, 3, 3], [18, 2, 1, 29])
    predicted = np.repeat([2, 3, 2, 3], [18, 2, 1, 29])
    matrix = confusion_matrix(np.append(truth, 3), np.append(predicted, 0), SLOVENIAN_CLASSES)
    result = areas_of(matrix, {0: 77, 2: 300, 3: 700}, pixel_area=10_000, classes=SLOVENIAN_CLASSES)
    assert [item.class_id for item in result.classes] == [2, 3]
    assert [item.samples for item in result.classes] == [19, 31]
    assert result.classes[0].users_accuracy.value == pytest.approx(18 / 19)
    assert result.classes[0].area_ha.value == pytest.approx(300 * 18 / 19 + 700 * 2 / 31)
    assert result.total_ha == 1000


@pytest.mark.parametrize(
    ("counts", "pixels", "pixel_area", "message"),
    [
        ([[1, 0]], [1, 2], 100, "need \\(2, 2\\)"),
        ([[1, 0], [0, -1]], [1, 2], 100, "whole numbers of at least 0"),
        ([[1.5, 0], [0, 1]], [1, 2], 100, "whole numbers of at least 0"),
        ([[5, 0], [0, 5]], [1, 2], 0, "pixel_area=0"),
    ],
)
def test_input_that_does_not_fit_is_refused(
    counts: list[list[float]], pixels: list[int], pixel_area: float, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        estimate_areas(counts, pixels, pixel_area=pixel_area, classes=TABLE.select([1, 2]))


def test_a_mapped_id_that_is_not_in_the_table_is_named() -> None:
    matrix = confusion_matrix([1, 1, 2, 2], [1, 1, 2, 2], TABLE)
    with pytest.raises(ModelError, match="class id 9 is not in the class table"):
        areas_of(matrix, {1: 5, 9: 3}, pixel_area=100, classes=TABLE)
