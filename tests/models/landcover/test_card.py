from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from eotasks.errors import ModelError
from eotasks.models.classes import SLOVENIAN_CLASSES
from eotasks.models.landcover.card import CARD_VERSION, ModelCard, build_card, iso

CONTENT: dict[str, Any] = {
    "feature_names": ["B04", "B08", "NDVI"],
    "dates": ["2019-01-01", "2019-03-02", "2019-06-30T10:21:01"],
    "bands": ["B04", "B08"],
    "indices": {"NDVI": ["B08", "B04"]},
    "classes": SLOVENIAN_CLASSES.select([2, 5]).to_list(),
    "samples": {"Forest": 12, "Water": 3},
    "extent": {"crs": "EPSG:32633", "bbox": [0, 0, 10, 10]},
    "simulated": True,
    "seed": 42,
    "metrics": {"overall_accuracy": 0.5, "classes": {"Forest": {"users_accuracy": None}}},
    "sha256": "0" * 64,
}


def _card(**changes: Any) -> ModelCard:
    return build_card(CONTENT | changes)


def test_json_round_trip_is_stable() -> None:
    text = _card().to_json()
    assert ModelCard.from_json(text) == _card()
    assert ModelCard.from_json(text).to_json() == text
    assert json.loads(text)["version"] == CARD_VERSION
    assert _card().class_table == SLOVENIAN_CLASSES.select([2, 5])
    assert _card().columns == 9


def test_a_newer_card_asks_for_an_upgrade() -> None:
    # A newer card may have fields and rules of its own: the version decides before anything else is read.
    newer = json.dumps({"version": CARD_VERSION + 1, "new_field": 1})
    with pytest.raises(ModelError, match=r"'m/model\.json' has version 2, .* reads up to 1: upgrade eotasks"):
        ModelCard.from_json(newer, where="'m/model.json'")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": "1"}', "\x00"])
def test_text_that_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match=r"is no JSON|is no model card"):
        ModelCard.from_json(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
        ({"feature_names": []}, "feature_names"),
        ({"feature_names": ["B04", "B04"]}, "feature names must be unique"),
        ({"feature_names": ["B04,B05"]}, "feature_names"),
        ({"dates": ["2019-01-02", "2019-01-01"]}, "ascending"),
        ({"dates": ["2019-01-01", "2019-01-01T00:00:00"]}, "ascending"),
        ({"dates": ["spring"]}, "'spring' is no date"),
        ({"classes": SLOVENIAN_CLASSES.select([0, 2]).to_list()}, "classes"),
        ({"classes": SLOVENIAN_CLASSES.select([2]).to_list()}, "classes"),
        ({"classes": 2 * SLOVENIAN_CLASSES.select([2]).to_list()}, "unique"),
        ({"extent": {"crs": "EPSG:32633", "bbox": [10, 0, 0, 10]}}, "left < right"),
        ({"sha256": "abc"}, "sha256"),
    ],
)
def test_a_card_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        _card(**changes)
    assert "\n" not in str(caught.value)


def test_input_must_have_the_columns_of_the_card() -> None:
    _card().check_columns(9)
    with pytest.raises(ModelError, match=r"the input has 6 columns, the model expects 9 = 3 dates x 3 features"):
        _card().check_columns(6)
    _card().check_features(["B04", "B08", "NDVI"])
    with pytest.raises(ModelError, match="the input has the features B08, B04, NDVI"):
        _card().check_features(["B08", "B04", "NDVI"])


def test_dates_fit_by_season_not_by_year() -> None:
    start = date(2019, 1, 1)
    grid = [start + timedelta(15 * step) for step in range(25)]
    card = _card(dates=[iso(day) for day in grid])
    for year in (2016, 2019, 2020, 2024):
        card.check_dates([date(year, 1, 1) + timedelta(15 * step) for step in range(25)])
        card.check_dates([day.replace(year=year) for day in grid])
    with pytest.raises(ModelError, match="24 dates, the model expects 25 from 2019-01-01 to 2019-12-27"):
        card.check_dates(grid[1:])
    with pytest.raises(ModelError, match="the date 2019-01-16 where the model expects the season of 2019-01-01"):
        card.check_dates([*grid[1:], date(2020, 1, 11)])
    late = [day + timedelta(8) for day in grid]
    with pytest.raises(ModelError, match="the date 2019-01-09"):
        card.check_dates(late)
    card.check_dates(late, tolerance_days=8)


def test_dates_as_text() -> None:
    assert iso("2019-01-31") == iso(date(2019, 1, 31)) == iso(datetime(2019, 1, 31)) == "2019-01-31"  # noqa: DTZ001
    assert iso(datetime(2019, 1, 31, 10, 21, 1, tzinfo=UTC)) == "2019-01-31T10:21:01"
    assert iso(datetime(2019, 1, 31, 1, tzinfo=timezone(timedelta(hours=2)))) == "2019-01-30T23:00:00"
    with pytest.raises(ModelError, match=r"'31\.1\.2019' is no date"):
        iso("31.1.2019")
