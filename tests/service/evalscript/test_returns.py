"""The table of odd returns of docs/evalscripts.md, a test a row and type."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eotasks.service.errors import ScriptError
from eotasks.service.evalscript.isolate import Isolate
from tests.builders.service.evalscripts import pixels, simple

TYPES = ("FLOAT32", "AUTO", "UINT8", "INT8", "UINT16", "INT16")
NAN = math.nan
INFINITE = math.inf
RANGES = {"AUTO": (0, 255), "UINT8": (0, 255), "INT8": (-128, 127), "UINT16": (0, 65_535), "INT16": (-32_768, 32_767)}
NONE = object()
"""No number: NaN, or 0 of integers; the no-data value where one is declared."""

ROWS: dict[str, tuple[str, list[Any]]] = {
    "longer": ("[1, 0, 1, 1, 1]", [1, 0, 1]),
    "shorter": ("[1]", [1, NONE, NONE]),
    "empty": ("[]", [NONE, NONE, NONE]),
    "nested": ("[[1, 0], 1]", [1, 0, 1]),
    "deeply nested": ("[[[1]], [[0], [[1]]], 1]", [1, 0, 1]),
    "typed array": ("new Float64Array([1, 0, 1])", [1, 0, 1]),
    "number": ("1", [1, NONE, NONE]),
    "boolean": ("true", [1, NONE, NONE]),
    "booleans": ("[true, false, true]", [1, 0, 1]),
    "undefined": ("undefined", [NONE, NONE, NONE]),
    "null": ("null", [NONE, NONE, NONE]),
    "undefined in an array": ("[1, undefined, null]", [1, NONE, NONE]),
    "hole": ("[1, , 1]", [1, NONE, 1]),
    "NaN": ("[1, NaN, 1]", [1, NAN, 1]),
    "infinite": ("[Infinity, -Infinity, 1]", [INFINITE, -INFINITE, 1]),
    "texts": ('["1", "cloud", ""]', [1, NONE, NONE]),
    "big integers": ("[1n, 0n, 1n]", [1, 0, 1]),
    "objects in an array": ("[1, {}, () => 1]", [1, NONE, NONE]),
    "symbol": ("Symbol('x')", [NONE, NONE, NONE]),
    "by id": ("({default: [1, 0, 1]})", [1, 0, 1]),
    "by id, number": ("({default: 1})", [1, NONE, NONE]),
    "by id, null": ("({default: null})", [NONE, NONE, NONE]),
    "by id, more": ("({default: [1, 0, 1], other: [9]})", [1, 0, 1]),
}

ERRORS: dict[str, str] = {
    "object without an output": "({other: [1]})",
    "function": "(() => [1])",
    "date": "new Date()",
    "promise": "Promise.resolve([1, 0, 1])",
    "object by id": "({default: {a: 1}})",
    "endless array": "(() => { const a = []; a.push(a); return a; })()",
}

PAGE = Path(__file__).parents[3] / "docs" / "evalscripts.md"


Images = dict[tuple[str, str], dict[str, list[float]]]


def one(isolate: Isolate, expression: str, output: str) -> NDArray[Any]:
    """The numbers of one pixel for which a script returns an expression."""
    script = simple(f"return {expression};", output=output)
    image = isolate.evaluate(script, pixels({"B04": np.ones((1, 1), np.uint16)})).images["default"]
    return np.asarray(image[0, 0])


@pytest.fixture(scope="module")
def written_by(isolate: Isolate) -> Images:
    """By type and no-data value: what each row becomes. A pixel of one image is a row, so that six isolates do."""
    images: Images = {}
    returns = ", ".join(f"() => {expression}" for expression, _ in ROWS.values())
    for kind in TYPES:
        for nodata in ("", ", nodataValue: 99"):
            script = simple("return rows[row++]();", output=f'{{bands: 3, sampleType: "{kind}"{nodata}}}')
            script += f"const rows = [{returns}]; let row = 0;"
            image = isolate.evaluate(script, pixels({"B04": np.ones((1, len(ROWS)), np.uint16)})).images["default"]
            images[kind, nodata] = {row: [float(x) for x in image[0, i]] for i, row in enumerate(ROWS)}
    return images


def written(value: Any, kind: str, nodata: float | None) -> float:
    """What a number becomes, by the rules of the page alone."""
    if kind == "FLOAT32":
        return (NAN if nodata is None else nodata) if value is NONE else float(value)
    low, high = RANGES[kind]
    if value is NONE or math.isnan(value):
        return 0 if nodata is None else nodata
    return min(max(value * 255 if kind == "AUTO" else value, low), high)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("row", ROWS)
def test_return(written_by: Images, row: str, kind: str) -> None:
    expected = [written(value, kind, None) for value in ROWS[row][1]]

    np.testing.assert_equal(written_by[kind, ""][row], expected)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("row", ROWS)
def test_return_with_a_no_data_value(written_by: Images, row: str, kind: str) -> None:
    expected = [written(value, kind, 99) for value in ROWS[row][1]]

    np.testing.assert_equal(written_by[kind, ", nodataValue: 99"][row], expected)


@pytest.mark.parametrize("row", ERRORS)
def test_return_that_is_an_error(isolate: Isolate, row: str) -> None:
    with pytest.raises(ScriptError, match=r"evaluatePixel returns .* 0 of 1 pixels were done"):
        one(isolate, ERRORS[row], "{bands: 3}")


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("({a: [1], b: [0, 1]})", [[1], [0, 1]]),
        ("({a: 1})", [[1], [NAN, NAN]]),
        ("({b: [[0], [1]], a: [true, 5]})", [[1], [0, 1]]),
        ("undefined", [[NAN], [NAN, NAN]]),
        ("null", [[NAN], [NAN, NAN]]),
    ],
)
def test_return_of_several_outputs(isolate: Isolate, expression: str, values: list[list[float]]) -> None:
    outputs = '[{id: "a", bands: 1, sampleType: "FLOAT32"}, {id: "b", bands: ["x", "y"], sampleType: "FLOAT32"}]'

    result = isolate.evaluate(
        simple(f"return {expression};", output=outputs), pixels({"B04": np.ones((1, 1), np.uint16)})
    )

    assert result.setup is not None
    assert [each.bands for each in result.setup.outputs] == [("B0",), ("x", "y")]
    np.testing.assert_equal([list(result.images[name][0, 0]) for name in "ab"], values)


@pytest.mark.parametrize("expression", ["[1, 2]", "5", "({c: 1})", "'text'"])
def test_several_outputs_need_an_object(isolate: Isolate, expression: str) -> None:
    outputs = '[{id: "a", bands: 1}, {id: "b", bands: 2}]'

    with pytest.raises(ScriptError, match="'a', 'b'"):
        isolate.evaluate(simple(f"return {expression};", output=outputs), pixels({"B04": np.ones((1, 1), np.uint16)}))


def test_nothing_is_needed_where_only_user_data_are_wanted(isolate: Isolate) -> None:
    script = simple("outputMetadata.userData = {seen: samples.B04};")

    result = isolate.evaluate(script, pixels({"B04": np.full((1, 1), 5_000, np.uint16)}))

    assert result.user_data == {"seen": 0.5}
    assert result.images["default"].item() == 0


@pytest.mark.parametrize("row", [*ROWS, *ERRORS])
def test_the_page_has_the_row(row: str) -> None:
    expression = ROWS[row][0] if row in ROWS else ERRORS[row]
    table = re.sub(r"\\\|", "|", PAGE.read_text())

    assert f"| `{expression}` |" in table
