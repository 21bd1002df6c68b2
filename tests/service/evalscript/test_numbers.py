"""Numbers on their way through a script: what it sees of a plane, and what its doubles become, exactly."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eotasks.service.evalscript.isolate import Isolate
from eotasks.service.evalscript.loop import DTYPES, limits
from eotasks.service.evalscript.planes import Pixels, Plane, SourcePixels
from eotasks.service.evalscript.setup import SampleType
from tests.builders.service.evalscripts import pixels, scene, simple

EDGES = [
    0.0, -0.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999999999999994, 0.50000000000000011, -0.50000000000000011,
    254.5, 255.49999999999997, 255.5, 127.5, 126.49999999999999, -128.5, -127.5, 32766.5, 32767.5, -32768.5, 65534.5,
    65535.5, 1.0, 0.99999999999999989, 0.5 / 255, 1.5 / 255, 254.5 / 255, 5e-324, -5e-324, 1e308, -1e308, 2**53 + 1.0,
    math.pi, 1 / 3, 16777217.0, 3.4028235677973366e38, 1e39, math.inf, -math.inf,
]  # fmt: skip


def exact(value: float, kind: SampleType) -> float:
    """The nearest integer, halves up, in whole numbers."""
    if kind is SampleType.FLOAT32:
        return float(np.float32(value))
    low, high = limits(kind)
    if kind is SampleType.AUTO:
        value = 0.0 if value <= 0 else 255.0 if value >= 1 else value * 255
    if math.isinf(value):
        return low if value < 0 else high
    return min(max(math.floor(Fraction(value) + Fraction(1, 2)), low), high)


def spelled(value: float) -> str:
    return json.dumps(value).replace("NaN", "(0/0)")


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("kind", SampleType)
def test_numbers_at_the_edges(isolate: Isolate, kind: SampleType) -> None:
    check(isolate, EDGES, kind)


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.one_of(st.floats(allow_nan=False), st.floats(-300, 300), st.integers(-600, 600).map(lambda i: i / 2)),
             min_size=1, max_size=200),
    st.sampled_from(SampleType),
)  # fmt: skip
def test_any_number(isolate: Isolate, values: list[float], kind: SampleType) -> None:
    check(isolate, values, kind)


def check(isolate: Isolate, values: list[float], kind: SampleType) -> None:
    """In the loop itself, and by the way that odd returns go."""
    text = simple("const x = values[n++]; return {fast: [x], slow: [[x]]};", output=(
        f"[{{id: 'fast', bands: 1, sampleType: '{kind}'}}, {{id: 'slow', bands: 1, sampleType: '{kind}'}}]"
    )) + f"const values = [{', '.join(spelled(value) for value in values)}]; let n = 0;"  # fmt: skip

    images = isolate.evaluate(text, pixels({"B04": np.ones((1, len(values)), np.uint16)})).images

    expected = np.array([exact(value, kind) for value in values]).astype(DTYPES[kind])
    np.testing.assert_array_equal(images["fast"][0, :, 0], expected)
    np.testing.assert_array_equal(images["slow"][0, :, 0], expected)


@pytest.mark.parametrize("divisor", [1.0, 10_000.0, 100.0, 3.0])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_script_sees_doubles(isolate: Isolate, dtype: str, divisor: float) -> None:
    """Told apart by user data, which have all digits."""
    random = np.random.default_rng(3)
    values = random.uniform(0, 250, (1, 1, 50)).astype(dtype)
    plane = Plane("B04", values, divisor)
    text = simple("seen.push(samples.B04); return [1];") + (
        "const seen = []; function updateOutputMetadata(s, i, out) { out.userData = seen; }"
    )

    seen = isolate.evaluate(text, Pixels(1, 50, (SourcePixels((scene(1),), (plane,)),))).user_data

    assert seen == [float(value) / divisor for value in values[0, 0]]


def test_planes_need_not_be_contiguous(isolate: Isolate) -> None:
    whole = np.arange(48, dtype=np.float32).reshape(1, 6, 8)
    plane = Plane("B04", whole[:, ::2, ::-1])
    text = simple("return [samples.B04];", output='{bands: 1, sampleType: "FLOAT32"}')

    image = isolate.evaluate(text, Pixels(3, 8, (SourcePixels((scene(1),), (plane,)),))).images["default"]

    np.testing.assert_array_equal(image[..., 0], whole[0, ::2, ::-1])
