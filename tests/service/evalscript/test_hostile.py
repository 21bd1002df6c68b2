"""Scripts of strangers: what they may change, what they may say, and that nothing of ours is told."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from eotasks.service.errors import ScriptError, TooLargeError
from eotasks.service.evalscript.isolate import Isolate
from eotasks.service.evalscript.planes import Pixels
from tests.builders.service.evalscripts import dn, pixels, scene, simple, source
from tests.builders.service.numbers import auto

IMAGE = pixels({"B04": dn(1, 3, 4)})
ONE = pixels({"B04": np.full((1, 1), 5_000, np.uint16)})

TAMPERING = {
    "Array.isArray": "Array.isArray = () => false;",
    "Array.prototype": "for (const k of ['map', 'push', 'slice', 'forEach', 'sort', Symbol.iterator])"
    " Array.prototype[k] = () => { throw new Error('mine'); };",
    "setters of indices": "for (const i of [0, 1, 2]) Object.defineProperty(Array.prototype, i,"
    " {set(v) { globalThis.caught = v; }, get() { return 7; }, configurable: true});",
    "Math": "Math.round = Math.floor = Math.min = Math.max = () => 42;",
    "JSON": "JSON.parse = () => ({}); JSON.stringify = () => '{\"ok\": 5}';",
    "setters of names": "for (const k of ['id', 'type', 'bands', 'values', 'fill', 'offset', 'length', 'code', 'views',"
    " 'ok', 'error', 'stack', 'kind']) Object.defineProperty(Object.prototype, k,"
    " {set(v) {}, get() { return undefined; }, configurable: true});",
    "Function.prototype": "Function.prototype.call = Function.prototype.apply = Function.prototype.bind = () => 1;",
    "Function": "globalThis.Function = () => () => 1;",
    "Reflect": "Reflect.apply = () => 1; Map.prototype.get = () => 0; Map.prototype.set = () => 0;",
    "typed arrays": "globalThis.Uint8Array = globalThis.Float32Array = globalThis.ArrayBuffer = class {};"
    " Object.defineProperty(Object.getPrototypeOf(Int8Array.prototype), 'length', {get: () => 0});",
    "texts": "String.fromCharCode = () => 'x'; String.prototype.slice = () => '';"
    " String.prototype.toWellFormed = () => '';",
    "global names": "globalThis.state = globalThis.progress = globalThis.put = globalThis.isArray = 5;",
    "undefined names": "globalThis.Object = globalThis.Error = globalThis.Date = globalThis.Map = undefined;",
    "Error": "Error.prepareStackTrace = () => { throw 1; }; Error.stackTraceLimit = 0;",
    "deleted helpers": "for (const k of Object.getOwnPropertyNames(globalThis))"
    " if (/Visualizer|index|evaluateBody|setInput/.test(k)) delete globalThis[k];",
}


@pytest.mark.parametrize("what", TAMPERING)
def test_results_do_not_depend_on_what_a_script_changes(isolate: Isolate, what: str) -> None:
    text = simple("return [samples.B04];")
    functions = text.replace("function setup", "var setup0; function setup")

    image = isolate.evaluate(f"{functions}\n(() => {{ {TAMPERING[what]} }})();", IMAGE).images["default"]

    np.testing.assert_array_equal(image[..., 0], auto(IMAGE.sources[0].planes[0].values[0] / 10_000))


def test_what_a_script_makes_of_its_own_json_is_an_error(isolate: Isolate) -> None:
    text = simple("return [samples.B04];") + "Object.prototype.toJSON = () => 5; Array.prototype.toJSON = () => 5;"

    with pytest.raises(ScriptError):
        isolate.evaluate(text, IMAGE)


def test_setters_in_prototypes_catch_nothing_of_ours(isolate: Isolate) -> None:
    """A stolen buffer could be taken away while it is read."""
    text = (
        simple("return [samples.B04];", output="[{id: 'a', bands: 1}]")
        + """
        var caught = [];
        const names = Array.from({length: 20}, (_, i) => i).concat(["values", "buffer", "v", "o", "views", "outputs",
            "results", "inputs", "written", "from", "to", "__idx", "fill", "loop", "listed", "chosen"]);
        for (const name of names) for (const prototype of [Object.prototype, Array.prototype])
            Object.defineProperty(prototype, name, {set(value) { caught.push(Object.prototype.toString.call(value)); },
                configurable: true});
        function updateOutput() {}
        function updateOutputMetadata(s, i, out) {
            for (const name of names) { delete Object.prototype[name]; delete Array.prototype[name]; }
            out.userData = caught;
        }
    """
    )

    told = isolate.evaluate(text, IMAGE).user_data

    assert not [each for each in told if "Array" in each or "Buffer" in each]


def test_a_script_finds_nothing_of_the_driver(isolate: Isolate) -> None:
    text = simple("return [samples.B04];") + (
        "function updateOutputMetadata(s, i, out) { out.userData = Object.getOwnPropertyNames(globalThis); }"
    )

    names = isolate.evaluate(text, ONE).user_data

    assert not {"mailbox", "progress", "state", "driver", "letters", "loop"} & set(names)
    assert {"index", "ColorRampVisualizer", "SampleType"} <= set(names)


def test_nothing_outlives_a_call(isolate: Isolate) -> None:
    writes = simple("globalThis.kept = 5; Array.prototype.kept = 5; return [1];")
    reads = simple("return [typeof kept === 'undefined' && [].kept === undefined ? 1 : 0];")

    isolate.evaluate(writes, ONE)

    assert isolate.evaluate(reads, ONE).images["default"].item() == 255


THROWN = {
    "error": ("throw new Error('no cloud')", "Error: no cloud"),
    "text": ("throw 'no cloud'", "no cloud"),
    "null": ("throw null", "null"),
    "undefined": ("throw undefined", "undefined"),
    "object": ("throw {}", "[object Object]"),
    "symbol": ("throw Symbol('cloud')", "Symbol(cloud)"),
    "no text": ("throw {toString() { throw 1; }}", "something that has no text"),
    "evil message": ("throw {get message() { throw 1; }}", "cannot be read"),
    "half a character": ("throw new Error('\\ud800')", "Error:"),
    "a long one": ("throw new Error('x'.repeat(1e6))", "Error: xxx"),
    "the stack": ("(function f() { f(); })()", "RangeError"),
    "a proxy": ("throw new Proxy({}, {get() { throw 1; }})", "cannot be read"),
}


@pytest.mark.parametrize("where", ["pixel", "setup", "top", "hook"])
@pytest.mark.parametrize("what", THROWN)
def test_whatever_is_thrown_is_told_in_words(isolate: Isolate, what: str, where: str) -> None:
    statement, told = THROWN[what]
    text = {
        "pixel": simple(f"{statement};"),
        "setup": f"//VERSION=3\nfunction setup() {{ {statement}; }}\nfunction evaluatePixel() {{ return [1]; }}",
        "top": f"{simple('return [1];')}\n{statement};",
        "hook": f"{simple('return [1];')}\nfunction updateOutputMetadata() {{ {statement}; }}",
    }[where]

    with pytest.raises(ScriptError) as caught:
        isolate.evaluate(text, ONE)

    message = str(caught.value)
    assert len(message) < 1_000
    assert message.startswith("The evalscript fails")
    if where != "top":
        assert told in message
    assert not re.search(r"service:|prelude|driver|eotasks|py_mini_racer|<anonymous>|/tmp|/work", message)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (simple("\n  return [samples.B04.x.y];\n"), 4),
        ("//VERSION=3\nfunction setup() {\n  return nothing;\n}\nfunction evaluatePixel() {}", 3),
        ("//VERSION=3\n\nthrow new Error('x');\nfunction evaluatePixel() {}", 3),
        ("//VERSION=3\nfunction setup() {\n  return {;\n}\nfunction evaluatePixel() {}", 3),
        ("let x = B04;\nlet y = nothing;\nreturn [x];", 2),
        ("let x = B04;\nlet y = ;\nreturn [x];", 2),
        ("let x = B04;\nnothing;\n[x]", 2),
    ],
)  # fmt: skip
def test_errors_name_the_line(isolate: Isolate, text: str, line: int) -> None:
    with pytest.raises(ScriptError, match=rf"line {line}\b"):
        isolate.evaluate(text, ONE)


def test_errors_say_how_many_pixels_were_done(isolate: Isolate) -> None:
    text = simple("if (n++ === 6) throw new Error('stop'); return [1];") + "let n = 0;"

    with pytest.raises(ScriptError, match=r"Error: stop\. Mend it there\. 6 of 12 pixels were done"):
        isolate.evaluate(text, IMAGE)


USER_DATA: dict[str, tuple[str, Any]] = {
    "numbers": ("[1, 0.5, NaN, Infinity]", [1, 0.5, None, None]),
    "dates": ("new Date(0)", "1970-01-01T00:00:00.000Z"),
    "half a character": ("'a\\ud800b'", "a?b"),
    "emoji": ("'\\ud83d\\ude00'", "\N{GRINNING FACE}"),
    "raw JSON": ("JSON.rawJSON('1e400')", None),
    "functions": ("{f: () => 1, a: 1}", {"a": 1}),
    "scenes of one mosaic": ("s", {}),
}


@pytest.mark.parametrize("what", USER_DATA)
def test_user_data(isolate: Isolate, what: str) -> None:
    expression, expected = USER_DATA[what]
    text = simple("return [1];") + f"function updateOutputMetadata(s, i, out) {{ out.userData = {expression}; }}"

    told = isolate.evaluate(text, ONE).user_data

    if what == "raw JSON":
        assert told is None or told == float("inf")
    else:
        assert told == expected
    json.dumps(told, allow_nan=what == "raw JSON").encode()


@pytest.mark.parametrize(
    "expression",
    [
        "'x'.repeat(5e6)",
        "(() => { const a = []; a.push(a); return a; })()",
        "(() => { let a = []; for (let i = 0; i < 5000; ++i) a = [a]; return a; })()",
        "{get x() { throw new Error('x'); }}",
        "JSON.rawJSON('9'.repeat(5000))",
        "10n",
        "new Proxy({}, {ownKeys() { throw 1; }})",
    ],
)
def test_user_data_that_are_refused(isolate: Isolate, expression: str) -> None:
    text = simple("return [1];") + f"function updateOutputMetadata(s, i, out) {{ out.userData = {expression}; }}"

    with pytest.raises(ScriptError):
        isolate.evaluate(text, ONE)


@pytest.mark.parametrize(
    "last",
    ["'\\ud800'", "new Date(1e18)", "new Date(8e15)", "10n", "Symbol('x')", "Promise.reject(1)", "new ArrayBuffer(8)",
     "(() => {})"],
)  # fmt: skip
def test_whatever_a_script_ends_with(isolate: Isolate, last: str) -> None:
    """Values that py_mini_racer cannot turn into Python would make it wait for good."""
    assert isolate.evaluate(f"{simple('return [1];')}\n{last}", ONE).images["default"].item() == 255


@pytest.mark.parametrize(
    "text",
    [
        "/*",
        "`",
        "function evaluatePixel(",
        "}); evaluateBody(() => [1]); (function () {",
        "\x00",
        "evaluatePixel",
        "let evaluatePixel = 5;",
        "class evaluatePixel {}",
        "//VERSION=3\nfunction evaluatePixel() { return [1]; }",
        "//VERSION=9\nreturn [1]",
        "#!/usr/bin/node\nevaluatePixel",
        "\ud800",
        "x" * 1_000_001,
        "import fs from 'fs'; evaluatePixel",
        "require('fs')",
        "with (",
    ],
    ids=range(16),
)
def test_texts_that_are_no_scripts(isolate: Isolate, text: str) -> None:
    with pytest.raises(ScriptError):
        isolate.evaluate(text, ONE)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("async function", "return [1];"),
        ("function*", "yield [1];"),
    ],
)
def test_functions_that_give_no_pixel(isolate: Isolate, head: str, body: str) -> None:
    text = (
        "//VERSION=3\nfunction setup() { return {input: ['B04'], output: {bands: 1}}; }\n"
        f"{head} evaluatePixel() {{ {body} }}"
    )

    with pytest.raises(ScriptError, match="evaluatePixel returns an object"):
        isolate.evaluate(text, ONE)


def test_setups_that_change_are_refused(isolate: Isolate) -> None:
    text = (
        "//VERSION=3\nfunction setup() { return {input: Math.random() < 2 ? ['B08'] : ['B04'], output: {bands: 1}}; }\n"
        "function evaluatePixel() { return [1]; }"
    )

    with pytest.raises(ScriptError, match="reads other bands when it is run again: B08"):
        isolate.evaluate(text, ONE)
    with pytest.raises(ScriptError, match="declares 1 inputs"):
        isolate.evaluate(simple("return [1];"), Pixels(1, 1, ONE.sources * 2))


HOOKS = {
    "of numbers": "c.scenes.orbits = [1, 2]; return c;",
    "no array": "c.scenes.orbits = 5; return c;",
    "nothing": "return null;",
    "another": "c.scenes.orbits = [{dateFrom: '2024-01-01T00:00:00Z'}]; return c;",
    "out of range": "c.scenes.orbits[0].__idx = 1e9; c.scenes.orbits = c.scenes.orbits.map(o => ({...o})); return c;",
    "half": "c.scenes.orbits = [{__idx: 0.5}]; return c;",
}


@pytest.mark.parametrize("what", HOOKS)
def test_hooks_that_leave_scenes_that_there_are_not(isolate: Isolate, what: str) -> None:
    text = (
        "//VERSION=3\nfunction setup() { return {input: ['B04'], output: {bands: 1}, mosaicking: 'ORBIT'}; }\n"
        f"function evaluatePixel() {{ return [1]; }}\nfunction preProcessScenes(c) {{ {HOOKS[what]} }}"
    )

    with pytest.raises(ScriptError):
        isolate.describe(text, [source({}, [scene(1), scene(2)])])


def test_hooks_may_copy_and_repeat_scenes(isolate: Isolate) -> None:
    text = (
        "//VERSION=3\nfunction setup() { return {input: ['B04'], output: {bands: 1}, mosaicking: 'ORBIT'}; }\n"
        "function evaluatePixel() { return [1]; }\nfunction preProcessScenes(c) { const o = c.scenes.orbits;"
        " c.scenes.orbits = [{...o[2]}, o[0], o[2]]; return c; }"
    )

    assert isolate.describe(text, [source({}, [scene(1), scene(2), scene(3)])]).kept == ((2, 0),)


def test_a_heap_that_is_full_is_the_scripts_fault() -> None:
    text = simple("const kept = []; for (;;) kept.push(new Array(1000).fill(samples.B04));")

    with Isolate(heap_bytes=50_000_000) as small:
        with pytest.raises(ScriptError, match="more memory than it may"):
            small.evaluate(text, ONE)
        assert small.evaluate(simple("return [1];"), ONE).images["default"].item() == 255


def test_more_pixels_than_may_be_are_refused() -> None:
    with Isolate(max_bytes=100) as small, pytest.raises(TooLargeError, match="more than 100"):
        small.evaluate(simple("return [1];"), pixels({"B04": dn(1, 10, 10)}))


def test_more_memory_than_there_is_is_refused(isolate: Isolate) -> None:
    text = simple(
        "return [1];",
        output="[" + ", ".join(f"{{id: 'o{i}', bands: 300, sampleType: 'FLOAT32'}}" for i in range(100)) + "]",
    )

    with pytest.raises(TooLargeError, match="no memory"):
        isolate.evaluate(text, pixels({"B04": np.ones((2_500, 2_500), np.uint8)}))
