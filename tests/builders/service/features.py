"""Scripts over the features that public scripts use, each with a numpy version that knows nothing of the prelude."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.builders.service.evalscripts import dn, simple
from tests.builders.service.numbers import (
    auto,
    blended,
    compressed,
    mapped,
    ramped,
    ratio,
    rgb,
    single,
    whole,
)

HEIGHT, WIDTH = 7, 11
Bands = dict[str, NDArray[np.float64]]
"""As a script sees them: (h, w), or (scenes, h, w)."""


@dataclass(frozen=True)
class Case:
    """A script, and what it has to give."""

    script: str
    expected: Callable[[Bands], dict[str, NDArray[Any]]]
    scenes: int = 0
    """0 for one mosaic."""

    mosaicking: str = "ORBIT"
    options: dict[str, Any] = field(default_factory=dict)


def script(setup: str, body: str, rest: str = "") -> str:
    return (
        f"//VERSION=3\nfunction setup() {{ return {setup}; }}\nfunction evaluatePixel(s, scenes) {{ {body} }}\n{rest}"
    )


def stack(*layers: Any) -> NDArray[Any]:
    return np.stack(np.broadcast_arrays(*layers), axis=-1)


def one(image: Any) -> dict[str, NDArray[Any]]:
    return {"default": image if np.ndim(image) == 3 else np.asarray(image)[..., None]}


def ndvi(b: Bands) -> NDArray[np.float64]:
    return ratio(b["B08"], b["B04"])


INT16 = 'sampleType: "INT16"'
FLOAT = '{bands: 1, sampleType: "FLOAT32"}'
RED_NIR = '"B04", "B08"'
SERIES = "{input: ['B04', 'B08', 'dataMask'], output: %s, mosaicking: 'ORBIT'}"


def eob(b: Bands) -> dict[str, NDArray[Any]]:
    value, valid, cloudy = ndvi(b), b["dataMask"] == 1, b["CLM"] == 1
    shown = np.where(cloudy[..., None], 1.0, blended(value, [-1, 0, 1], [[0, 0, 1], [1, 1, 1], [0, 1, 0]]))
    return {
        "default": auto(stack(*np.moveaxis(shown, -1, 0), b["dataMask"])),
        "index": single(np.where(valid, value, np.nan))[..., None],
        "eobrowserStats": single(stack(value, cloudy)),
        "dataMask": auto(b["dataMask"])[..., None],
    }


def masked_mean(b: Bands) -> NDArray[np.float64]:
    total, count = np.zeros((HEIGHT, WIDTH)), np.zeros((HEIGHT, WIDTH))
    for i in range(len(b["B04"])):
        valid = b["dataMask"][i] == 1
        total = np.where(valid, total + b["B04"][i], total)
        count += valid
    with np.errstate(invalid="ignore"):
        return total / count


def compositions(b: Bands) -> NDArray[np.float64]:
    best = np.full((HEIGHT, WIDTH), -2.0)
    for i in range(len(b["B04"])):
        value = ratio(b["B08"][i], b["B04"][i])
        best = np.where(value > best, value, best)
    return best


def quartile(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sort(values, axis=0)[int(np.floor(len(values) / 4))]


def running_maximum(b: Bands) -> NDArray[np.float64]:
    return np.maximum.accumulate(b["B04"].ravel()).reshape(HEIGHT, WIDTH)


CASES: dict[str, Case] = {
    "true colour": Case(
        simple("return [2.5 * samples.B04, 2.5 * samples.B03];", bands='"B03", "B04"', output="{bands: 2}"),
        lambda b: one(auto(2.5 * stack(b["B04"], b["B03"]))),
    ),
    "uint8": Case(
        simple("return [samples.B04 * 255];", output='{bands: 1, sampleType: "UINT8"}'),
        lambda b: one(whole(b["B04"] * 255, "uint8")),
    ),
    "uint16 of digital numbers": Case(
        script(
            "{input: [{bands: ['B04'], units: 'DN'}], output: {bands: 1, sampleType: SampleType.UINT16}}",
            "return [s.B04];",
        ),
        lambda b: one(whole(b["B04"], "uint16")),
        options={"divisor": 1.0},
    ),
    "int16": Case(
        simple("return [(samples.B04 - samples.B08) * 12345.5];", bands=RED_NIR, output=f"{{bands: 1, {INT16}}}"),
        lambda b: one(whole((b["B04"] - b["B08"]) * 12345.5, "int16")),
    ),
    "int8": Case(
        simple("return [(samples.B04 - 0.5) * 300];", output='{bands: 1, sampleType: "INT8"}'),
        lambda b: one(whole((b["B04"] - 0.5) * 300, "int8")),
    ),
    "halves round up": Case(
        simple("return [Math.floor(samples.B04 * 10) - 5.5];", output='{bands: 1, sampleType: "INT16"}'),
        lambda b: one(whole(np.floor(b["B04"] * 10) - 5.5, "int16")),
    ),
    "float32": Case(
        simple("return [(samples.B08 - samples.B04) / (samples.B08 + samples.B04)];", bands=RED_NIR, output=FLOAT),
        lambda b: one(single(ndvi(b))),
    ),
    "index()": Case(
        simple("return [index(samples.B08, samples.B04)];", bands=RED_NIR, output=FLOAT),
        lambda b: one(single(np.where(b["B08"] + b["B04"] == 0, 0, ndvi(b)))),
    ),
    "own index": Case(
        simple("return [index];", output=FLOAT) + "let index = 0.25;",
        lambda b: one(single(np.full((HEIGHT, WIDTH), 0.25))),
    ),
    "eob.js": Case(
        script(
            "{input: ['B04', 'B08', 'CLM', 'dataMask'], output: [{id: 'default', bands: 4}, {id: 'index', bands: 1,"
            " sampleType: 'FLOAT32'}, {id: 'eobrowserStats', bands: 2, sampleType: 'FLOAT32'},"
            " {id: 'dataMask', bands: 1}]}",
            "const v = (s.B08 - s.B04) / (s.B08 + s.B04); const cloudy = s.CLM === 1;"
            "const c = cloudy ? [1, 1, 1] : colorBlend(v, [-1, 0, 1], [[0, 0, 1], [1, 1, 1], [0, 1, 0]]);"
            "return {default: [...c, s.dataMask], index: [s.dataMask === 1 ? v : NaN],"
            " eobrowserStats: [v, cloudy ? 1 : 0], dataMask: [s.dataMask]};",
        ),
        eob,
    ),
    "bands by name": Case(
        simple("return [samples.B04, samples.B08, 1];", bands=RED_NIR, output="{bands: ['red', 'nir', 'one']}"),
        lambda b: one(auto(stack(b["B04"], b["B08"], 1.0))),
    ),
    "colorBlend": Case(
        simple(
            "return colorBlend(samples.B04, [0.1, 0.3, 0.9], [[1, 0, 0.5], [0, 1, 0.25], [0.2, 0.2, 1]]);",
            output='{bands: 3, sampleType: "FLOAT32"}',
        ),
        lambda b: one(single(blended(b["B04"], [0.1, 0.3, 0.9], [[1, 0, 0.5], [0, 1, 0.25], [0.2, 0.2, 1]]))),
    ),
    "colorBlend of what is no number": Case(
        simple(
            "return [colorBlend((samples.B08 - samples.B04) / (samples.B08 + samples.B04), [0, 1], [0.25, 0.75])];",
            bands=RED_NIR,
        ),
        lambda b: one(auto(blended(ndvi(b), [0, 1], [0.25, 0.75])[..., 0])),
    ),
    "valueInterpolate": Case(
        simple("return [valueInterpolate(samples.B04, [0, 0.5, 1], [-7, 3, 50])];", output=FLOAT),
        lambda b: one(single(blended(b["B04"], [0, 0.5, 1], [-7, 3, 50])[..., 0])),
    ),
    "valueMap": Case(
        simple("return [valueMap(samples.B04, [0.2, 0.4, 0.8], [1, 2, 3])];", output='{bands: 1, sampleType: "UINT8"}'),
        lambda b: one(np.array([1, 2, 3, 3], np.uint8)[np.searchsorted([0.2, 0.4, 0.8], b["B04"], side="left")]),
    ),
    "ColorRampVisualizer": Case(
        simple("return viz.process(samples.B04);", output='{bands: 3, sampleType: "FLOAT32"}')
        + "const viz = new ColorRampVisualizer([[0.9, 0x102030], [0.1, 0xff8000], [0.4, [0, 1, 0.2]]]);",
        lambda b: one(single(ramped(b["B04"], [0.1, 0.4, 0.9], [0xFF8000, 0x00FF33, 0x102030]))),
    ),
    "ColorRampVisualizer, other ends": Case(
        simple("return viz.process(samples.B04);", output="{bands: 3}")
        + "const viz = new ColorRampVisualizer([[0, 0x000000], [0.5, 0xffee00], [1, 0x00ff7f]], 0.25, 0.75);",
        lambda b: one(auto(ramped(b["B04"], [0.25, 0.5, 0.75], [0x000000, 0xFFEE00, 0x00FF7F]))),
    ),
    "ColorRampVisualizer, inverse": Case(
        simple("return viz.process(samples.B04);", output="{bands: 3}")
        + "const viz = new ColorRampVisualizer([[0, 0x0000ff], [0.25, 0xffee00], [1, 0x00ff7f]]).inverse();",
        lambda b: one(auto(ramped(b["B04"], [0, 0.25, 1], [0x00FF7F, 0xFFEE00, 0x0000FF]))),
    ),
    "ColorGradientVisualizer": Case(
        simple("return viz.process(samples.B04);", output="{bands: 3}")
        + "const viz = ColorGradientVisualizer.createWhiteGreen(0.0, 0.5);",
        lambda b: one(
            auto(ramped(b["B04"], [0.0, 0.2, 0.35, 0.5], [0x000000, 0x006600, 0x80B300, 0xFFFFFF], nearest=True))
        ),
    ),
    "ColorMapVisualizer": Case(
        simple(
            "return [...viz.process(samples.B04), viz.getColorFromValue(samples.B04)];",
            output='{bands: 4, sampleType: "FLOAT32"}',
        )
        + "const viz = new ColorMapVisualizer([[0, 0x00ff00], [0.3, 0x336699], [0.6, 0xff0000]]);",
        lambda b: one(
            single(
                np.concatenate(
                    [
                        mapped(b["B04"], [0, 0.3, 0.6], [0x00FF00, 0x336699, 0xFF0000]),
                        np.array([0x00FF00, 0x336699, 0xFF0000])[
                            np.searchsorted([0.3, 0.6], b["B04"], side="right"), None
                        ],
                    ],
                    axis=-1,
                )
            )
        ),
    ),
    "HighlightCompressVisualizer": Case(
        simple(
            "const v = viz.processList([samples.B04, samples.B08]); v.push(samples.dataMask); return v;",
            bands='"B04", "B08", "dataMask"',
            output="{bands: 3}",
        )
        + "let viz = new HighlightCompressVisualizer(0.0, 0.4);",
        lambda b: one(auto(stack(compressed(b["B04"], 0, 0.4), compressed(b["B08"], 0, 0.4), b["dataMask"]))),
    ),
    "HighlightCompressVisualizerSingle": Case(
        simple("return viz.process(samples.B04);", output=FLOAT)
        + "let viz = new HighlightCompressVisualizerSingle(0.1, 0.6);",
        lambda b: one(single(compressed(b["B04"], 0.1, 0.6))),
    ),
    "DefaultVisualizer": Case(
        simple("return [samples.B04, samples.B08].map(v => viz.process(v));", bands=RED_NIR, output="{bands: 2}")
        + "let viz = new DefaultVisualizer(0.1, 0.6, 1.5, 0.05);",
        lambda b: one(auto(1.5 * (stack(b["B04"], b["B08"]) - 0.1) * (1 / (0.6 - 0.1)) + 0.05)),
    ),
    "Identity": Case(
        simple("return viz.process(samples.B04);", output=FLOAT) + "let viz = new Identity();",
        lambda b: one(single(b["B04"])),
    ),
    "colours as numbers": Case(
        simple(
            "return normalizeRGB(combine(int2rgb(0x336699), [255, 0, 51], samples.B04));",
            output='{bands: 3, sampleType: "FLOAT32"}',
        ),
        lambda b: one(
            single(
                (
                    np.array(rgb(0x336699)) * b["B04"][..., None]
                    + np.array([255, 0, 51]) * (1 - b["B04"][..., None])
                )
                / 255
            )
        ),
    ),
    "classes": Case(
        simple(
            "switch (samples.SCL) { case 4: return [0, 1, 0]; case 6: return [0, 0, 1];"
            " default: return [0.5, 0.5, 0.5]; }",
            bands='"SCL"',
            output="{bands: 3}",
        ),
        lambda b: one(
            auto(np.select([b["SCL"][..., None] == 4, b["SCL"][..., None] == 6], [[0, 1, 0], [0, 0, 1]], [0.5] * 3))
        ),
    ),
    "cloud painting": Case(
        simple(
            "return samples.CLM === 1 ? [0.75 + samples.B04, samples.CLP / 255, 0] : [samples.B04, 0, 0];",
            bands='"B04", "CLM", "CLP"',
            output="{bands: 3}",
        ),
        lambda b: one(
            auto(
                np.where(
                    b["CLM"][..., None] == 1,
                    stack(0.75 + b["B04"], b["CLP"] / 255, 0.0),
                    stack(b["B04"], 0.0, 0.0),
                )
            )
        ),
    ),
    "angles": Case(
        simple(
            "return [samples.sunZenithAngles * 2, samples.viewAzimuthMean];",
            bands='"sunZenithAngles", "viewAzimuthMean"',
            output='{bands: 2, sampleType: "FLOAT32"}',
        ),
        lambda b: one(single(stack(b["sunZenithAngles"] * 2, b["viewAzimuthMean"]))),
    ),
    "state across pixels": Case(
        simple("if (samples.B04 > most) most = samples.B04; return [most];", output=FLOAT) + "var most = 0;",
        lambda b: one(single(running_maximum(b))),
    ),
    "arrow function": Case(
        "//VERSION=3\nconst setup = () => ({input: ['B04'], output: {bands: 1}});\nconst evaluatePixel = s => [s.B04];",
        lambda b: one(auto(b["B04"])),
    ),
    "destructured samples": Case(
        "//VERSION=3\nfunction setup() { return {input: ['B04', 'B08'], output: {bands: 1}}; }\n"
        "var evaluatePixel = ({B08, B04}) => [B08 - B04];",
        lambda b: one(auto(b["B08"] - b["B04"])),
    ),
    "samples that are written to": Case(
        simple(
            "if (samples.seen) return [1]; samples.seen = true; samples.B04 += 0.1; return [samples.B04];",
            output=FLOAT,
        ),
        lambda b: one(single(b["B04"] + 0.1)),
    ),
    "samples that are kept": Case(
        simple("const last = before; before = samples; return [last === null ? 0 : last.B04];", output=FLOAT)
        + "let before = null;",
        lambda b: one(single(np.concatenate([[0], b["B04"].ravel()[:-1]]).reshape(HEIGHT, WIDTH))),
    ),
    "frozen samples": Case(
        simple("return [Object.freeze(samples).B04];", output=FLOAT), lambda b: one(single(b["B04"]))
    ),
    "many bands": Case(
        simple(
            "return Array.from({length: 40}, (_, i) => samples.B04 * i);", output='{bands: 40, sampleType: "UINT16"}'
        ),
        lambda b: one(whole(b["B04"][..., None] * np.arange(40), "uint16")),
    ),
    "two units in two inputs": Case(
        script("{input: [{bands: ['B04'], units: 'REFLECTANCE'}, {bands: ['SCL'], units: 'DN'}], output: {bands: 2}}",
               "return [s.B04, s.SCL / 11];"),
        lambda b: one(auto(stack(b["B04"], b["SCL"] / 11))),
    ),
    "mean of dates": Case(
        script(
            SERIES % FLOAT,
            "let sum = 0, n = 0; for (var i = 0; i < s.length; i++) { if (s[i].dataMask == 1)"
            " { sum += s[i].B04; n++; } } return [sum / n];",
        ),
        lambda b: one(single(masked_mean(b))),
        scenes=4,
    ),
    "greatest index of dates": Case(
        script(
            SERIES % FLOAT,
            "return [s.map(e => (e.B08 - e.B04) / (e.B08 + e.B04)).reduce((a, v) => v > a ? v : a, -2)];",
        ),
        lambda b: one(single(compositions(b))),
        scenes=5,
    ),
    "first quartile": Case(
        script(
            SERIES % "{bands: 1, sampleType: 'UINT16'}",
            "const v = s.map(e => e.B04 * 10000).sort((a, b) => a - b); return [v[Math.floor(v.length / 4)]];",
        ),
        lambda b: one(whole(quartile(b["B04"] * 10_000), "uint16")),
        scenes=6,
    ),
    "a band of each date": Case(
        script(
            SERIES % FLOAT,
            "return s.map(e => e.B04);",
            "function updateOutput(o, c) { o.default.bands = c.scenes.length; }",
        ),
        lambda b: one(single(np.moveaxis(b["B04"], 0, -1))),
        scenes=3,
    ),
    "months chosen by preProcessScenes": Case(
        script(
            SERIES % FLOAT,
            "return s.map(e => e.B04);",
            "function preProcessScenes(c) { c.scenes.orbits = c.scenes.orbits.filter(o =>"
            " new Date(o.dateFrom).getUTCMonth() % 2 === 1 && o.dateFrom < c.to.toISOString()); return c; }"
            "function updateOutput(o, c) { o.default.bands = c.scenes.length; }",
        ),
        lambda b: one(single(np.moveaxis(b["B04"][1::2], 0, -1))),
        scenes=5,
    ),
    "sorted by preProcessScenes": Case(
        script(
            SERIES % FLOAT,
            "return [s[0].B04];",
            "function preProcessScenes(c) { const date = o => new Date(o.dateFrom);"
            " c.scenes.orbits.sort((a, b) => date(b) - date(a)); return c; }",
        ),
        lambda b: one(single(b["B04"][-1])),
        scenes=3,
    ),
    "clouds of tiles": Case(
        script(
            "{input: ['B04'], output: {bands: 1, sampleType: 'FLOAT32'}, mosaicking: Mosaicking.TILE}",
            "let sum = 0; for (let i = 0; i < s.length; i++) sum += s[i].B04 * scenes.tiles[i].cloudCoverage;"
            " return [sum];",
        ),
        lambda b: one(single(b["B04"][0] * 10.0 + b["B04"][1] * 20.0 + b["B04"][2] * 30.0)),
        scenes=3,
        mosaicking="TILE",
    ),
    "dates of scenes as an array": Case(
        script(
            SERIES % FLOAT,
            "let i = 0; scenes.forEach((x, k) => { if (x.date.getUTCMonth() === 2) i = k; }); return [s[i].B08];",
        ),
        lambda b: one(single(b["B08"][2])),
        scenes=4,
    ),
    "filterScenes of version 1": Case(
        "function setup(dss) { setInputComponents([dss.B04]); setOutputComponentCount(1); }\n"
        "function filterScenes(scenes, meta) {"
        " return scenes.filter(s => s.date.getMonth() >= 2 && s.date <= meta.to); }\n"
        "function evaluatePixel(samples, scenes) { return [samples.length / 10 + samples[0].B04 / scenes.length]; }",
        lambda b: one(auto(2 / 10 + b["B04"][2] / 2)),
        scenes=4,
    ),
    "version 1": Case(
        "function setup(ds) { setInputComponents([ds.B04, ds.B08]); setOutputComponentCount(2); }\n"
        "function evaluatePixel(s) { return [s[0].B08, s[0].B04]; }",
        lambda b: one(auto(stack(b["B08"], b["B04"]))),
    ),
    "version 2": Case(
        "//VERSION=2\nfunction setup(dss) { return {components: [dss.B04, dss.B08], output: [{id: 'out',"
        " sampleType: SampleType.FLOAT32, componentCount: 2}]}; }\n"
        "function evaluatePixel(samples) { const x = samples[0]; return {out: [x.B04, x.B08 * 2]}; }",
        lambda b: {"out": single(stack(b["B04"], b["B08"] * 2))},
    ),
    "body": Case("return [B04 * 2.5, B08, B03]", lambda b: one(auto(stack(b["B04"] * 2.5, b["B08"], b["B03"])))),
    "body with a marker": Case(
        "//VERSION=3\r\nlet index = (B08 - B04) / (B08 + B04);\r\nif (index < 0.1) return [1, 0, 0];\r\n"
        "function half(x) { return x / 2; }\r\nreturn [0, half(index), B04];\r\n",
        lambda b: one(
            auto(np.where(ndvi(b)[..., None] < 0.1, [1.0, 0, 0], stack(0.0, ndvi(b) / 2, b["B04"])))
        ),
    ),
    "last expression": Case(
        "// gray\nvar gain = 2.5\nfunction twice(x) { return 2 * x }\n[twice(B04) * gain / 2, B08 /* nir */]\n",
        lambda b: one(auto(stack(2 * b["B04"] * 2.5 / 2, b["B08"]))),
    ),
    "last statement": Case(
        "if (B04 > 0.5) { [1, B08] } else { [0, B04] }",
        lambda b: one(auto(np.where(b["B04"][..., None] > 0.5, stack(1.0, b["B08"]), stack(0.0, b["B04"])))),
    ),
}  # fmt: skip


def made(case: Case) -> dict[str, NDArray[Any]]:
    """Bands with pixels that are dark, bright and black in both."""
    shape = (case.scenes, HEIGHT, WIDTH) if case.scenes else (HEIGHT, WIDTH)
    bands: dict[str, NDArray[Any]] = {name: dn(i, *shape) for i, name in enumerate(("B03", "B04", "B08"))}
    for name in bands:
        bands[name][..., 0, :2] = 0
    random = np.random.default_rng(9)
    bands["SCL"] = random.integers(0, 12, shape).astype(np.uint8)
    bands["CLM"] = random.integers(0, 2, shape).astype(np.uint8)
    bands["CLP"] = random.integers(0, 256, shape).astype(np.uint8)
    bands["dataMask"] = random.integers(0, 2, shape).astype(np.uint8)
    bands["sunZenithAngles"] = random.uniform(20, 70, shape).astype(np.float32)
    bands["viewAzimuthMean"] = random.uniform(0, 360, shape).astype(np.float32)
    return bands
