"""Scripts over the features that public scripts use, each with a numpy version that knows nothing of the prelude:
equal to the last float32 and uint8.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eotasks.service.evalscript.isolate import Isolate
from eotasks.service.evalscript.planes import Pixels, SourcePixels
from tests.builders.service.evalscripts import dn, planes, scene, source
from tests.builders.service.features import CASES, FLOAT, HEIGHT, SERIES, WIDTH, Bands, made, script, stack
from tests.builders.service.numbers import (
    single,
)


@pytest.mark.parametrize("name", CASES)
def test_script_equals_numpy(isolate: Isolate, name: str) -> None:
    case = CASES[name]
    bands = made(case)
    months = range(1, case.scenes + 1)
    scenes = [scene(month, mosaicking=case.mosaicking, cloud_cover=10.0 * month) for month in months] or None
    described = isolate.describe(case.script, [source({}, scenes)])
    read = {band.name: bands[band.name] for band in described.setup.inputs[0].bands}
    kept = list(described.kept[0])
    given = source({key: values[kept] if scenes else values for key, values in read.items()}, scenes)
    given = replace(given, scenes=tuple(given.scenes[i] for i in kept), considered=given.scenes)
    divisor = case.options.get("divisor")
    if divisor is not None:
        given = replace(given, planes=tuple(replace(plane, divisor=divisor) for plane in given.planes))

    result = isolate.evaluate(case.script, Pixels(HEIGHT, WIDTH, (given,)))

    seen: Bands = {}
    for plane in planes(bands):
        values = plane.values / (divisor or plane.divisor) if plane.values.dtype.kind == "u" else plane.values
        seen[plane.band] = np.asarray(values if scenes else values[0], float)
    expected = case.expected(seen)
    assert result.setup == described.setup
    assert list(result.images) == list(expected)
    for key, image in expected.items():
        assert result.images[key].dtype == image.dtype
        np.testing.assert_array_equal(result.images[key], image)


@pytest.mark.parametrize("by", ["datasource", "order"])
def test_fusion_equals_numpy(isolate: Isolate, by: str) -> None:
    names = {"datasource": ("l1c", "l2a"), "order": ("0", "1")}[by]
    keys = ["datasource: 'l1c', ", "datasource: 'l2a', "] if by == "datasource" else ["", ""]
    text = (
        f"//VERSION=3\nfunction setup() {{ return {{input: [{{{keys[0]}bands: ['B04'], mosaicking: 'ORBIT'}},"
        f" {{{keys[1]}bands: ['SCL', 'B04']}}], output: {{bands: 2, sampleType: 'FLOAT32'}}}}; }}\n"
        f"function evaluatePixel(s, scenes) {{ const a = s['{names[0]}'], b = s['{names[1]}'];"
        f" return [a[0].B04 + a[1].B04 * scenes['{names[0]}'].orbits.length, b[0].SCL + b[0].B04]; }}"
    )
    series, classes = dn(1, 2, HEIGHT, WIDTH), (dn(2, HEIGHT, WIDTH) % 12).astype(np.uint8)
    other = dn(3, HEIGHT, WIDTH)
    ids = names if by == "datasource" else (None, None)
    first = source({"B04": series}, [scene(1), scene(2)], datasource=ids[0])
    second = source({"SCL": classes, "B04": other}, datasource=ids[1])

    result = isolate.evaluate(text, Pixels(HEIGHT, WIDTH, (first, second)))

    expected = stack(series[0] / 10_000 + series[1] / 10_000 * 2, classes + other / 10_000)
    np.testing.assert_array_equal(result.images["default"], single(expected))


def test_there_are_forty_scripts() -> None:
    assert len(CASES) + 2 >= 40


def test_a_script_without_scenes_that_throws_gives_no_data(isolate: Isolate) -> None:
    text = script(SERIES % FLOAT, "return [s[0].B04];")
    empty = SourcePixels((), planes({"B04": np.zeros((0, 2, 3), np.uint16), "B08": np.zeros((0, 2, 3), np.uint16),
                                     "dataMask": np.zeros((0, 2, 3), np.uint8)}))  # fmt: skip

    result = isolate.evaluate(text, Pixels(2, 3, (empty,)))

    assert np.isnan(result.images["default"]).all()


def test_a_script_without_scenes_may_say_what_it_gives(isolate: Isolate) -> None:
    text = script(SERIES % FLOAT, "return [s.length === 0 ? -1 : s[0].B04];")
    empty = SourcePixels((), planes({"B04": np.zeros((0, 2, 3), np.uint16), "B08": np.zeros((0, 2, 3), np.uint16),
                                     "dataMask": np.zeros((0, 2, 3), np.uint8)}))  # fmt: skip

    assert (isolate.evaluate(text, Pixels(2, 3, (empty,))).images["default"] == -1).all()
