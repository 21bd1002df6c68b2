"""What `setup` may say, and what is refused of it."""

from __future__ import annotations

import numpy as np
import pytest

from eotasks.service.errors import ScriptError
from eotasks.service.evalscript.isolate import Isolate
from eotasks.service.evalscript.planes import Pixels
from eotasks.service.evalscript.setup import Input, InputBand, Mosaicking, Output, SampleType, Setup
from tests.builders.service.evalscripts import pixels, scene, source


def described(isolate: Isolate, setup: str, rest: str = "") -> Setup:
    text = f"//VERSION=3\nfunction setup() {{ return {setup}; }}\nfunction evaluatePixel(s) {{ return [1]; }}\n{rest}"
    return isolate.describe(text).setup


RED, NIR = InputBand("B04"), InputBand("B08")
INPUTS: dict[str, tuple[Input, ...]] = {
    "[]": (Input((InputBand("dataMask"),)),),
    "[{bands: [], units: []}]": (Input((InputBand("dataMask"),)),),
    "'B04'": (Input((RED,)),),
    "['B04', 'B08']": (Input((RED, NIR)),),
    "['B04', 'B04']": (Input((RED,)),),
    "{bands: ['B04']}": (Input((RED,)),),
    "[{bands: ['B04', 'B08'], units: 'reflectance'}]": (
        Input((InputBand("B04", "REFLECTANCE"), InputBand("B08", "REFLECTANCE"))),
    ),
    "[{bands: ['B04', 'B08'], units: ['DN']}]": (Input((InputBand("B04", "DN"), InputBand("B08", "DN"))),),
    "[{bands: ['B04', 'B08'], units: ['Dn', 'REFLECTANCE']}]": (
        Input((InputBand("B04", "DN"), InputBand("B08", "REFLECTANCE"))),
    ),
    "[{bands: ['B04'], metadata: ['bounds']}]": (Input((RED,), metadata=frozenset({"bounds"})),),
    "[{bands: ['B04'], mosaicking: 'tile'}]": (Input((RED,), mosaicking=Mosaicking.TILE),),
    "[{bands: ['B04'], units: 'DN'}, {bands: ['B08']}]": (Input((InputBand("B04", "DN"), NIR)),),
    "[{datasource: 'l1c', bands: ['B04']}, {datasource: 'l2a', bands: ['B08'], mosaicking: 'ORBIT'}]": (
        Input((RED,), "l1c"),
        Input((NIR,), "l2a", Mosaicking.ORBIT),
    ),
    "[{bands: ['B04']}, {bands: ['B08'], mosaicking: 'ORBIT'}]": (
        Input((RED,)),
        Input((NIR,), mosaicking=Mosaicking.ORBIT),
    ),
}


@pytest.mark.parametrize("given", INPUTS)
def test_inputs(isolate: Isolate, given: str) -> None:
    assert described(isolate, f"{{input: {given}, output: {{bands: 1}}}}").inputs == INPUTS[given]


OUTPUTS: dict[str, tuple[Output, ...]] = {
    "{bands: 2}": (Output("default", ("B0", "B1")),),
    "{}": (Output("default", ("B0",)),),
    "[{bands: '2'}]": (Output("default", ("B0", "B1")),),
    "{bands: ['red', 'nir']}": (Output("default", ("red", "nir")),),
    "{id: 'x.1', bands: 1, sampleType: SampleType.INT16, nodataValue: -1}": (
        Output("x.1", ("B0",), SampleType.INT16, -1.0),
    ),
    "{bands: 1, sampleType: 'float32', nodataValue: 1e3}": (Output("default", ("B0",), SampleType.FLOAT32, 1_000.0),),
    "[{id: 'a', bands: 1}, {id: 'b', bands: 3, sampleType: 'UINT8'}]": (
        Output("a", ("B0",)),
        Output("b", ("B0", "B1", "B2"), SampleType.UINT8),
    ),
}


@pytest.mark.parametrize("given", OUTPUTS)
def test_outputs(isolate: Isolate, given: str) -> None:
    assert described(isolate, f"{{input: ['B04'], output: {given}}}").outputs == OUTPUTS[given]


def test_a_nodata_value_that_is_no_number(isolate: Isolate) -> None:
    setup = described(isolate, "{input: ['B04'], output: {bands: 1, sampleType: 'FLOAT32', nodataValue: NaN}}")

    assert np.isnan(setup.outputs[0].nodata or 0)


@pytest.mark.parametrize(
    ("setup", "message"),
    [
        ("5", "declares no input"),
        ("null", "declares no input"),
        ("{output: {bands: 1}}", "declares no input"),
        ("{input: [5], output: {bands: 1}}", "no object"),
        ("{input: [{}], output: {bands: 1}}", "names of bands"),
        ("{input: [{bands: [5]}], output: {bands: 1}}", "names of bands"),
        ("{input: ['B04/../x'], output: {bands: 1}}", "names of bands"),
        ("{input: ['__proto__'], output: {bands: 1}}", "names of bands"),
        ("{input: Array(200).fill('B04'), output: {bands: 1}}", "reads 200 bands"),
        ("{input: Array(21).fill({bands: ['B04']}), output: {bands: 1}}", "21 inputs"),
        ("{input: [{bands: ['B04'], units: ['DN', 'DN']}], output: {bands: 1}}", "units of an input"),
        ("{input: [{bands: ['B04', 'B08'], units: [5, 5]}], output: {bands: 1}}", "unit of band B04"),
        ("{input: [{bands: ['B04'], units: 5}], output: {bands: 1}}", "units of an input"),
        ("{input: [{bands: ['B04'], units: 'DN'}, {bands: ['B04']}], output: {bands: 1}}", "in two units"),
        ("{input: [{bands: ['B04'], datasource: '../x'}], output: {bands: 1}}", "datasource"),
        ("{input: [{bands: ['B04'], datasource: '__proto__'}], output: {bands: 1}}", "datasource"),
        ("{input: [1, 2].map(() => ({bands: ['B04'], datasource: 'a'})), output: {bands: 1}}", "datasource 'a'"),
        ("{input: [{bands: ['B04'], metadata: 5}], output: {bands: 1}}", "metadata"),
        ("{input: ['B04'], output: {bands: 1}, mosaicking: 'ALL'}", "mosaicking"),
        ("{input: ['B04'], output: {bands: 1}, mosaicking: {}}", "mosaicking"),
        ("{input: ['B04'], output: []}", "0 outputs"),
        ("{input: ['B04'], output: Array.from({length: 101}, (_, i) => ({id: 'o' + i, bands: 1}))}", "101 outputs"),
        ("{input: ['B04'], output: 5}", "no object"),
        ("{input: ['B04'], output: {bands: 301}}", "has 301 bands"),
        ("{input: ['B04'], output: {bands: 1.5}}", "has 1.5 bands"),
        ("{input: ['B04'], output: {bands: -1}}", "has -1 bands"),
        ("{input: ['B04'], output: {bands: 1e300}}", "bands"),
        ("{input: ['B04'], output: {bands: NaN}}", "has NaN bands"),
        ("{input: ['B04'], output: {bands: true}}", "has True bands"),
        ("{input: ['B04'], output: {bands: null}}", "has None bands"),
        ("{input: ['B04'], output: {bands: ['a', 'a']}}", "different names"),
        ("{input: ['B04'], output: {bands: []}}", "different names"),
        ("{input: ['B04'], output: {bands: ['a\\nb']}}", "cannot be printed"),
        ("{input: ['B04'], output: {id: '../../etc/passwd', bands: 1}}", "id of an output"),
        ("{input: ['B04'], output: {id: '', bands: 1}}", "id of an output"),
        ("{input: ['B04'], output: {id: 'a/b', bands: 1}}", "id of an output"),
        ("{input: ['B04'], output: {id: '.hidden', bands: 1}}", "id of an output"),
        ("{input: ['B04'], output: {id: 'userdata', bands: 1}}", "id of an output"),
        ("{input: ['B04'], output: {id: '__proto__', bands: 1}}", "id of an output"),
        ("{input: ['B04'], output: {id: 'x'.repeat(65), bands: 1}}", "id of an output"),
        ("{input: ['B04'], output: {id: 'ä', bands: 1}}", "id of an output"),
        ("{input: ['B04'], output: {id: 5, bands: 1}}", "id of an output"),
        ("{input: ['B04'], output: [{id: 'a', bands: 1}, {id: 'a', bands: 1}]}", "id 'a'"),
        ("{input: ['B04'], output: {bands: 1, sampleType: 'FLOAT64'}}", "there are INT8"),
        ("{input: ['B04'], output: {bands: 1, sampleType: 5}}", "there are INT8"),
        ("{input: ['B04'], output: {bands: 1, nodataValue: 'x'}}", "no number"),
        ("{input: ['B04'], output: {bands: 1, nodataValue: Infinity}}", "infinite"),
        ("{input: ['B04'], output: {bands: 1, nodataValue: {}}}", "no number"),
    ],
)
def test_what_is_refused(isolate: Isolate, setup: str, message: str) -> None:
    with pytest.raises(ScriptError, match=message):
        described(isolate, setup)


@pytest.mark.parametrize("bands", ["-1", "301", "'x'", "{}", "1e9", "0.5"])
def test_update_output_may_not_say_anything(isolate: Isolate, bands: str) -> None:
    text = (
        "//VERSION=3\nfunction setup() { return {input: ['B04'], output: {bands: 1}, mosaicking: 'ORBIT'}; }\n"
        f"function evaluatePixel() {{ return [1]; }}\nfunction updateOutput(o) {{ o.default.bands = {bands}; }}"
    )

    with pytest.raises(ScriptError, match="Output 'default'"):
        isolate.describe(text, [source({}, [scene(1)])])


def test_no_bands_are_one_without_data(isolate: Isolate) -> None:
    """Scripts say as many bands as there are scenes, and there may be none; others want user data only."""
    text = (
        "//VERSION=3\nfunction setup() { return {input: [{bands: []}], output: {bands: 0, sampleType: 'FLOAT32'},"
        " mosaicking: 'ORBIT'}; }\nfunction evaluatePixel(s) { return s.map(e => e.dataMask); }\n"
        "function updateOutput(o, c) { o.default.bands = c.scenes.length; }"
    )
    empty = source({"dataMask": np.zeros((0, 2, 3), np.uint8)}, [])

    result = isolate.evaluate(text, Pixels(2, 3, (empty,)))

    np.testing.assert_array_equal(result.images["default"], np.full((2, 3, 1), np.nan, np.float32))


def test_update_output_that_forgets_outputs_leaves_them(isolate: Isolate) -> None:
    text = (
        "//VERSION=3\nfunction setup() { return {input: ['B04'], output: {bands: ['a', 'b']}}; }\n"
        "function evaluatePixel() { return [1]; }\nfunction updateOutput(o, c) { delete o.default; c.scenes.length; }"
    )

    assert isolate.describe(text, [source({})]).setup.outputs == (Output("default", ("a", "b")),)


def test_hooks_are_named(isolate: Isolate) -> None:
    hooks = ["preProcessScenes", "filterScenes", "updateOutput", "updateOutputMetadata"]
    rest = "".join(f"function {hook}() {{}}\n" for hook in hooks)

    assert described(isolate, "{input: ['B04'], output: {bands: 1}}").hooks == frozenset()
    assert described(isolate, "{input: ['B04'], output: {bands: 1}}", rest).hooks == frozenset(hooks)


@pytest.mark.parametrize(
    ("text", "mosaicking", "bands", "outputs"),
    [
        ("function setup(d) { setInputComponents([d.B04]); } function evaluatePixel(s) { return [s[0].B04]; }",
         "SIMPLE", ("B04",), {"default": 3}),
        (("function setup(d) { setInputComponents([d.B04, d.B08]); setOutputComponentCount(1); }"
         " function evaluatePixel(s) { return [s.length]; }"), "ORBIT", ("B04", "B08"), {"default": 1}),
        ("function evaluatePixel(s) { return [s[0].B8A]; }", "SIMPLE", ("B8A",), {"default": 3}),
        (("//VERSION=2\nfunction setup(d) { return {components: [d.CLM], mosaicking: 'TILE'}; }"
         " function evaluatePixel(s) { return [s[0].CLM]; }"), "TILE", ("CLM",), {"default": 3}),
        ("return [B04, B08]", "SIMPLE", ("B04", "B08"), {"default": 2}),
        ("return B04 > 0.1 ? [1, 1, 1, 1] : [0]", "SIMPLE", ("B04",), {"default": 4}),
        ("return B04 > 100 ? [1] : nothing", "SIMPLE", ("B04",), {"default": 3}),
        ("return new Array(50).fill(B04)", "SIMPLE", ("B04",), {"default": 4}),
        ("return 1", "SIMPLE", ("dataMask",), {"default": 1}),
    ],
)  # fmt: skip
def test_older_dialects(
    isolate: Isolate, text: str, mosaicking: str, bands: tuple[str, ...], outputs: dict[str, int]
) -> None:
    setup = isolate.describe(text).setup

    assert setup.mosaicking == mosaicking
    assert tuple(band.name for band in setup.inputs[0].bands) == bands
    assert {output.id: len(output.bands) for output in setup.outputs} == outputs


def test_a_type_for_outputs_without_one(isolate: Isolate) -> None:
    text = (
        "//VERSION=3\nfunction setup() { return {input: ['B04'], output: [{id: 'a', bands: 2}, {id: 'b', bands: 1,"
        " sampleType: 'UINT8'}]}; }\nfunction evaluatePixel(s) { return {a: [s.B04 * 3], b: [s.B04 * 3]}; }"
    )

    result = isolate.evaluate(text, pixels({"B04": np.full((1, 1), 5_000, np.uint16)}), auto=SampleType.FLOAT32)

    np.testing.assert_array_equal(result.images["a"], np.array([[[1.5, np.nan]]], np.float32))
    assert result.images["b"].item() == 2
    assert result.setup is not None
    assert result.setup.outputs[0].sample_type is SampleType.FLOAT32
