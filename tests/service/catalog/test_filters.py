"""Filters: text and JSON mean the same, and what is not understood is refused within bounds."""

from __future__ import annotations

import operator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eotasks.service.catalog.filters import MOST_CHARACTERS, QUERYABLES, Comparison, Filter, parse_filter
from eotasks.service.errors import RequestError

CLOUDS = "eo:cloud_cover"


def read(text: str) -> tuple[Comparison, ...]:
    return parse_filter(text, "cql2-text").comparisons


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("eo:cloud_cover < 80", [(CLOUDS, "<", 80)]),
        ("eo:cloud_cover<80", [(CLOUDS, "<", 80)]),
        ("eo:cloud_cover >= 1.5e1", [(CLOUDS, ">=", 15)]),
        ("80 > eo:cloud_cover", [(CLOUDS, "<", 80)]),
        ("eo:cloud_cover <> -.5", [(CLOUDS, "<>", -0.5)]),
        ("eo:cloud_cover != 5.", [(CLOUDS, "<>", 5)]),
        ("eo:cloud_cover lte 80 and eo:cloud_cover GT 3", [(CLOUDS, "<=", 80), (CLOUDS, ">", 3)]),
        ('"eo:cloud_cover" = 7', [(CLOUDS, "=", 7)]),
        ("eo:cloud_cover BETWEEN 10 AND 20", [(CLOUDS, ">=", 10), (CLOUDS, "<=", 20)]),
        (
            "eo:cloud_cover between 1 and 2 AND platform='sentinel-2a'",
            [(CLOUDS, ">=", 1), (CLOUDS, "<=", 2), ("platform", "=", "sentinel-2a")],
        ),
        ("((eo:cloud_cover<80)) AND (sat:orbit_state='ascending')",
         [(CLOUDS, "<", 80), ("sat:orbit_state", "=", "ascending")]),
        ("platform = 'it''s AND (odd)'", [("platform", "=", "it's AND (odd)")]),
        ("(eo:cloud_cover < 1 AND eo:cloud_cover > 0) AND platform = ''",
         [(CLOUDS, "<", 1), (CLOUDS, ">", 0), ("platform", "=", "")]),
    ],
)  # fmt: skip
def test_filters_of_text(text: str, expected: list[tuple[str, str, Any]]) -> None:
    assert list(read(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "eo:cloud_cover", "eo:cloud_cover <", "< 80", "eo:cloud_cover < 80 AND", "AND eo:cloud_cover < 80",
        "eo:cloud_cover < 80 OR eo:cloud_cover > 90", "NOT eo:cloud_cover < 80", "eo:cloud_cover IS NULL",
        "eo:cloud_cover IN (1, 2)", "platform LIKE 'a%'", "(eo:cloud_cover < 80", "eo:cloud_cover < 80)", "()",
        "eo:cloud_cover < 80 80", "eo:cloud_cover << 80", "eo:cloud_cover < '80'", "platform = 5", "platform = x",
        "1 < 2", "eo:cloud_cover < eo:cloud_cover", "eo:cloud_cover BETWEEN 1", "eo:cloud_cover BETWEEN 1 OR 2",
        "eo:cloud_cover < 80; DROP TABLE items", "eo:cloud_cover < 80 -- x", "platform = 'open", 'platform = "a"',
        "eo:cloud_cover < 8_0", "eo:cloud_cover < 0x10", "eo:cloud_cover < 1e", "geometry = 'x'", "datetime = '2020'",
        "S_INTERSECTS(geometry, POINT(0 0))", "eo:cloud_cover < \x0080", "eo:cloud_cover < ٣", "ео:cloud_cover < 80",
        "((((((((((((eo:cloud_cover < 80))))))))))))", "eo:cloud_cover < 80 AND " * 60 + "eo:cloud_cover < 80",
        "(" * 3_999, "'" * 3_999, "9" * 5_000, "a" * (MOST_CHARACTERS + 1),
    ],
    ids=lambda text: text[:40].encode("unicode_escape").decode(),
)  # fmt: skip
def test_text_that_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="filter"):
        read(text)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"op": "<", "args": [{"property": CLOUDS}, 80]}, [(CLOUDS, "<", 80)]),
        ({"op": "lte", "args": [80, {"property": CLOUDS}]}, [(CLOUDS, ">=", 80)]),
        ({"op": "between", "args": [{"property": CLOUDS}, 10, 20]}, [(CLOUDS, ">=", 10), (CLOUDS, "<=", 20)]),
        (
            {
                "op": "and",
                "args": [
                    {"op": "=", "args": [{"property": "sat:orbit_state"}, "ascending"]},
                    {"op": "AND", "args": [{"op": "neq", "args": [{"property": CLOUDS}, 1]}]},
                    {"op": ">", "args": [{"property": CLOUDS}, 0.5]},
                ],
            },
            [("sat:orbit_state", "=", "ascending"), (CLOUDS, "<>", 1), (CLOUDS, ">", 0.5)],
        ),
    ],
)
def test_filters_of_json(content: dict[str, Any], expected: list[tuple[str, str, Any]]) -> None:
    assert list(parse_filter(content, "cql2-json").comparisons) == expected


def nested(levels: int) -> dict[str, Any]:
    node: dict[str, Any] = {"op": "<", "args": [{"property": CLOUDS}, 80]}
    for _ in range(levels):
        node = {"op": "and", "args": [node]}
    return node


@pytest.mark.parametrize(
    "content",
    [
        {}, {"op": "<"}, {"args": []}, {"op": "<", "args": []}, {"op": "<", "args": [{"property": CLOUDS}]},
        {"op": "<", "args": [{"property": CLOUDS}, 80, 90]}, {"op": "or", "args": [nested(0), nested(0)]},
        {"op": "not", "args": [nested(0)]}, {"op": ["<"], "args": [{"property": CLOUDS}, 80]},
        {"op": "<", "args": {"property": CLOUDS}}, {"op": "<", "args": [{"property": 5}, 80]},
        {"op": "<", "args": [{"property": CLOUDS}, None]}, {"op": "<", "args": [{"property": CLOUDS}, True]},
        {"op": "<", "args": [{"property": CLOUDS}, [1]]}, {"op": "<", "args": [{"property": CLOUDS}, float("nan")]},
        {"op": "<", "args": [{"property": CLOUDS}, 10**400]}, {"op": "<", "args": [{"property": CLOUDS}, "80"]},
        {"op": "=", "args": [{"property": "platform"}, 5]}, {"op": "=", "args": [{"property": "nothing"}, 5]},
        {"op": "<", "args": [{"property": CLOUDS}, 80], "more": 1}, {"op": "and", "args": [80]}, nested(20),
        {"op": "and", "args": [nested(0)] * 60}, {"op": "and", "args": [{"op": "and", "args": [nested(0)] * 30}] * 30},
    ],
    ids=lambda content: str(content)[:60],
)  # fmt: skip
def test_json_that_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="filter"):
        parse_filter(content, None)


@pytest.mark.parametrize(
    ("content", "language"), [("eo:cloud_cover < 8", "cql2-json"), (nested(0), "cql2-text"), (None, "sql")], ids=str
)
def test_languages(content: Any, language: str) -> None:
    with pytest.raises(RequestError, match="filter-lang"):
        parse_filter(content, language)


def test_without_a_filter() -> None:
    assert parse_filter(None, "cql2-text").holds({})


def test_what_an_item_does_not_say() -> None:
    """A product that does not say its clouds is found below a limit, as requests for pixels take it."""
    assert parse_filter("eo:cloud_cover < 80", None).holds({})
    assert parse_filter("eo:cloud_cover <= 80", None).holds({})
    assert not parse_filter("eo:cloud_cover > 80", None).holds({})
    assert not parse_filter("eo:cloud_cover = 80", None).holds({})
    assert not parse_filter("sat:orbit_state <> 'ascending'", None).holds({})
    assert not parse_filter("eo:cloud_cover < 80", None).holds({CLOUDS: "none"})
    assert not parse_filter("eo:cloud_cover < 80", None).holds({CLOUDS: True})


def test_the_upper_limit_of_clouds() -> None:
    assert parse_filter("eo:cloud_cover < 80 AND eo:cloud_cover <= 70 AND 90 >= eo:cloud_cover", None).most_clouds == 70
    assert parse_filter("eo:cloud_cover > 80", None).most_clouds is None


COMPARE = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
NUMBERS = st.integers(-5, 105) | st.floats(-5, 105, allow_nan=False)


@given(st.lists(st.tuples(st.sampled_from(sorted(COMPARE)), NUMBERS), min_size=1, max_size=5), NUMBERS)
def test_text_and_json_mean_the_same(conditions: list[tuple[str, float]], value: float) -> None:
    text = " AND ".join(f"{CLOUDS} {sign} {number!r}" for sign, number in conditions)
    content = {
        "op": "and",
        "args": [{"op": sign, "args": [{"property": CLOUDS}, number]} for sign, number in conditions],
    }
    of_text, of_json = parse_filter(text, "cql2-text"), parse_filter(content, "cql2-json")
    assert of_text == of_json
    assert of_text.holds({CLOUDS: value}) == all(COMPARE[sign](value, number) for sign, number in conditions)


@settings(max_examples=60)
@given(st.text("eo:cludvr<>=()' \"ANDBTWE109.-\n\0é", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_filter(text, None)
    except RequestError:
        return
    assert isinstance(found, Filter)
    assert found.comparisons
    assert all(each.property in QUERYABLES for each in found.comparisons)
