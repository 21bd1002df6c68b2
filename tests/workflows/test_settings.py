from __future__ import annotations

from typing import Any

import pytest

from eotasks.workflows.settings import changed_keys


@pytest.mark.parametrize(
    ("before", "now", "changed"),
    [
        ({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "9", "d": "4"}, ["b", "c", "d"]),
        ({"a": {"x": 1, "y": {"z": 2}}}, {"a": {"x": 1, "y": {"z": 3, "new": 1}}}, ["a.y.new", "a.y.z"]),
        ({"a": {"x": 1}}, {"a": 1}, ["a"]),
        ({"a": {}, "b": [1, 2]}, {"a": {}, "b": [2, 1]}, ["b"]),
        ({"a": None}, {}, []),
        ({"a": {"b": None}}, {}, []),
        ({"a": {"b": None, "c": {"d": None}}}, {"a": None}, []),
        ({"a": {"b": None, "c": {"d": 1}}}, {}, ["a.c.d"]),
        ({"a": {"b": None}}, {"a": 0}, ["a"]),
        ({"b": 1, "a": 1}, {"a": 1.0, "b": 1}, []),
    ],
)
def test_keys_that_differ_come_or_go_are_named(before: dict[str, Any], now: dict[str, Any], changed: list[str]) -> None:
    assert changed_keys(before, now) == changed
    assert changed_keys(now, before) == changed
