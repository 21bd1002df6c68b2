"""The worked examples of the helpers on the Functions page of the public documentation (eu-cdse/documentation,
f65bac2): values, restated.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from eotasks.service.evalscript.isolate import Isolate
from tests.builders.service.evalscripts import pixels, simple

RAMP_OF_INTEGERS = "new ColorRampVisualizer([[200, 0xFF0000], [300, 0x0000FF]])"
RAMP_OF_ARRAYS = "new ColorRampVisualizer([[200, [1, 0, 0]], [300, [0, 0, 1]]])"
MAP = "new ColorMapVisualizer([[200, 0xff0000], [300, 0x0000ff]])"
COMPRESS = "new HighlightCompressVisualizer(0.1, 0.4)"
STEPS = "[1, 3, 5, 7, 10], [100, 300, 500, 700, 900]"
SLOPES = "[-10, -5, 0, 5, 10], [-1000, -50, 0, 50, 1000]"
COLOURS = (
    "[0, 0.2, 0.4, 0.6, 0.8, 1], [[0, 0, 0], [0.1, 0.2, 0.5], [0.25, 0.4, 0.5], [0.4, 0.6, 0.5], [0.75, 0.8, 0.5],"
    " [1, 1, 0.5]]"
)

RED, BLUE = [1, 0, 0], [0, 0, 1]
EXACT: list[tuple[str, Any]] = [
    *[(f"{MAP}.process({value})", colour) for value, colour in zip(
        (199, 200, 250, 299, 300), (RED, RED, RED, RED, BLUE), strict=True)],
    *[
        (f"{ramp}.process({value})", colour)
        for ramp in (RAMP_OF_INTEGERS, RAMP_OF_ARRAYS)
        for value, colour in [
            (199, RED),
            (200, RED),
            (250, [0.4980392156862745, 0, 0.4980392156862745]),
            (299, [0.00784313725490196, 0, 0.9882352941176471]),
            (300, BLUE),
        ]
    ],
    *[
        (f"ColorRampVisualizer.{make}(0.0, 1.0).process({value})", colour)
        for make, colours in {
            "createRedTemperature": (
                [0, 0, 0], [1, 0.43137254901960786, 0], [1, 0.5137254901960784, 0], [1, 0.8, 0.5764705882352941],
                [1, 1, 1],
            ),
            "createWhiteGreen": (
                [0, 0, 0], [0, 0.4, 0], [0.3333333333333333, 0.6, 0],
                [0.7490196078431373, 0.8509803921568627, 0.4980392156862745], [1, 1, 1],
            ),
            "createBlueRed": (
                [0, 0, 0.5019607843137255], [0, 0.6980392156862745, 1], [0.4980392156862745, 1, 0.4980392156862745],
                [1, 0.2980392156862745, 0], [0.5019607843137255, 0, 0],
            ),
        }.items()
        for value, colour in zip((0.0, 0.3, 0.5, 0.8, 1.0), colours, strict=True)
    ],
    *[
        (f"ColorGradientVisualizer.{make}(0.0, 1.0).process({value})", colour)
        for make, colours in {
            "createRedTemperature": (
                [0, 0, 0], [0.43137254901960786, 0, 0], [0.7176470588235294, 0.047058823529411764, 0],
                [1, 0.6196078431372549, 0.2], [1, 1, 1],
            ),
            "createWhiteGreen": (
                [0, 0, 0], [0, 0.2980392156862745, 0], [0.16862745098039217, 0.5019607843137255, 0],
                [0.6666666666666666, 0.8, 0.3333333333333333], [1, 1, 1],
            ),
            "createBlueRed": (
                [0, 0, 0.5019607843137255], [0, 0.7019607843137254, 1], [0.5019607843137255, 1, 0.5019607843137255],
                [1, 0.2980392156862745, 0], [0.5019607843137255, 0, 0],
            ),
        }.items()
        for value, colour in zip((0.0, 0.3, 0.5, 0.8, 1.0), colours, strict=True)
    ],
    *[(f"{COMPRESS}.process({value})", result) for value, result in ((0, 0), (0.1, 0), (0.7, 1), (1.1, 1))],
    ("int2rgb(255)", [0, 0, 255]),
    ("int2rgb(256)", [0, 1, 0]),
    ("int2rgb(65537)", [1, 0, 1]),
    ("rgb2int([0, 0, 255])", 255),
    ("rgb2int([0, 1, 0])", 256),
    ("rgb2int([1, 0, 1])", 65537),
    ("combine([100, 0, 0], [0, 100, 0], 1)", [100, 0, 0]),
    ("combine([100, 0, 0], [0, 100, 0], 0)", [0, 100, 0]),
    ("combine([100, 0, 0], [0, 100, 0], 0.5)", [50, 50, 0]),
    ("inverse(2.0)", 0.5),
    ("inverse(5.0)", 0.2),
    ("inverse(0)", 1.7976931348623157e308),
    (f"valueMap(5, {STEPS})", 500),
    (f"valueMap(1, {STEPS})", 100),
    (f"valueMap(2, {STEPS})", 300),
    (f"valueMap(12, {STEPS})", 900),
    ("valueMap(50)", 50),
    (f"valueInterpolate(0, {SLOPES})", 0),
    (f"valueInterpolate(-10, {SLOPES})", -1000),
    (f"valueInterpolate(9, {SLOPES})", 810),
    ("valueInterpolate(50)", 50),
    (f"valueInterpolate(0.1, {COLOURS})", [0.05, 0.1, 0.25]),
    (
        "decodeL8C2Qa(55052)",
        {
            "cirrus": 1, "cirrusConfidence": 3, "clear": 0, "cloud": 1, "cloudConfidence": 3, "cloudShadow": 0,
            "cloudShadowConfidence": 1, "dilatedCloud": 0, "fill": 0, "snow": 0, "snowIceConfidence": 1, "water": 0,
        },
    ),
]  # fmt: skip
"""To the last bit."""

ROUNDED: list[tuple[str, float]] = [
    (f"{COMPRESS}.process(0.25)", 0.5),
    (f"{COMPRESS}.process(0.376)", 0.92),
    (f"{COMPRESS}.process(0.4)", 0.9259),
    ("index(0.6, 0.4)", 0.2),
    ("index(0.5, -0.5)", 0.0),
]
"""As the page rounds them."""


@pytest.fixture(scope="module")
def given(isolate: Isolate) -> dict[str, Any]:
    calls = [call for call, _ in EXACT] + [call for call, _ in ROUNDED]
    told = ", ".join(f"{json.dumps(call)}: {call}" for call in calls)
    script = simple("return [0];") + f"function updateOutputMetadata(s, i, out) {{ out.userData = {{{told}}}; }}"
    return dict(isolate.evaluate(script, pixels({"B04": np.zeros((1, 1), np.uint16)})).user_data)


def test_there_are_the_examples_of_the_page() -> None:
    assert len(EXACT) + len(ROUNDED) >= 70


@pytest.mark.parametrize(("call", "expected"), EXACT, ids=range(len(EXACT)))
def test_example(given: dict[str, Any], call: str, expected: object) -> None:
    assert given[call] == expected


@pytest.mark.parametrize(("call", "expected"), ROUNDED, ids=range(len(ROUNDED)))
def test_rounded_example(given: dict[str, Any], call: str, expected: float) -> None:
    assert given[call] == pytest.approx(expected, abs=5e-5)


def test_helpers_may_be_declared_by_the_script(isolate: Isolate) -> None:
    script = simple("return [index(1, 2)];", output='{bands: 1, sampleType: "FLOAT32"}')
    image = pixels({"B04": np.ones((1, 1), np.uint16)})

    for own in (
        "let index = () => 7;",
        "function index() { return 7; }",
        "const index = (a, b) => 7;",
        "class index0 {} var index = () => 7",
    ):
        assert isolate.evaluate(f"{script}\n{own}", image).images["default"].item() == 7
