"""The loop over pixels, a fresh isolate each time, against node with the same script in a fresh one too, in turns:
``python -m tests.benchmarks.evalscript``.

Rows are scripts of our own: cloud painting over eight bands (to be within 1.5 times), true colour, a neural network of
the size of that of LAI, ten dates, visualizers. The peer (`peer.js`) is what somebody would write for node: its loop
knows the names of the bands when it is compiled, as ours does, and it makes an object a pixel. Times are calls without
processes. Ours is all of one: isolate, copies, script, loop. Node's is without the start of its isolate, and with it in
the last column. The seconds of the processor tell more on a shared machine; node compiles in threads beside, whose time
is in them. Images are checked to be equal.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eotasks.service.evalscript.isolate import Isolate
from eotasks.service.evalscript.planes import Pixels
from tests.builders.service.evalscripts import dn, pixels, scene

SIZE = 512
PEER = Path(__file__).with_name("peer.js")


class Work(NamedTuple):
    """A script, and how many dates and bands it is run on."""

    script: str
    bands: tuple[str, ...]
    outputs: int
    dates: int = 0
    is_auto: bool = True


def _script(bands: Sequence[str], output: str, body: str, *, rest: str = "", mosaicking: str = "SIMPLE") -> str:
    names = ", ".join(f'"{band}"' for band in bands)
    return (
        f"//VERSION=3\nfunction setup() {{ return {{input: [{names}], output: {output},"
        f' mosaicking: "{mosaicking}"}}; }}\n'
        f"{rest}\nfunction evaluatePixel(s) {{\n{body}\n}}\n"
    )


PAINTED = ("B02", "B03", "B04", "B08", "B11", "CLP", "CLM", "dataMask")
NETWORK = (
    "B03",
    "B04",
    "B05",
    "B06",
    "B07",
    "B8A",
    "B11",
    "B12",
    "viewZenithMean",
    "sunZenithAngles",
    "sunAzimuthAngles",
)
SERIES = ("B03", "B04", "B08", "B11", "dataMask")


def _network() -> str:
    """Five neurons over eleven inputs, as the public networks of leaf area have them; the weights are random."""
    weights = np.random.default_rng(4).normal(size=(5, 12))
    inputs = [f"s.{name}" if name.startswith("B") else f"Math.cos(s.{name} * Math.PI / 180)" for name in NETWORK]
    lines = [f"const x{i} = 2 * {value} / 0.9 - 1;" for i, value in enumerate(inputs)]
    for k, row in enumerate(weights):
        total = " + ".join(f"({weight:.12f}) * x{i}" for i, weight in enumerate(row[:-1]))
        lines.append(f"const n{k} = 2 / (1 + Math.exp(-2 * (({row[-1]:.12f}) + {total}))) - 1;")
    lines.append("return [0.2 + 0.3 * n0 - 0.7 * n1 + 0.5 * n2 + 0.11 * n3 - 0.4 * n4];")
    return _script(NETWORK, '{bands: 1, sampleType: "FLOAT32"}', "\n".join(lines))


WORKS: dict[str, Work] = {
    "cloud painting, 8 bands": Work(
        _script(
            PAINTED,
            "{bands: 4}",
            "const ndvi = (s.B08 - s.B04) / (s.B08 + s.B04);\n"
            "if (s.CLM === 1) return [0.7 + 0.3 * s.CLP / 255, s.B03, s.B02, s.dataMask];\n"
            "if (ndvi > 0.6 && s.B11 < 0.3) return [s.B04 * 2, s.B03 * 3, s.B02 * 2, s.dataMask];\n"
            "return [2.5 * s.B04, 2.5 * s.B03, 2.5 * s.B02, s.dataMask];",
        ),
        PAINTED,
        4,
    ),
    "true colour": Work(
        _script(("B02", "B03", "B04"), "{bands: 3}", "return [2.5 * s.B04, 2.5 * s.B03, 2.5 * s.B02];"),
        ("B02", "B03", "B04"),
        3,
    ),
    "network of the size of LAI's": Work(_network(), NETWORK, 1, is_auto=False),
    "10 dates, greatest of an index": Work(
        _script(
            SERIES,
            '{bands: 1, sampleType: "FLOAT32"}',
            "let best = -2;\nfor (let i = 0; i < s.length; i++) {\n  const e = s[i];\n"
            "  if (e.dataMask === 0) continue;\n  const v = (e.B03 - e.B11) / (e.B03 + e.B11) - 0.1 * e.B08 * e.B04;\n"
            "  if (v > best) best = v;\n}\nreturn [best];",
            mosaicking="ORBIT",
        ),
        SERIES,
        1,
        dates=10,
        is_auto=False,
    ),
}

OURS_ALONE: dict[str, str] = {
    "HighlightCompressVisualizer, 3 bands": "return viz.processList([s.B04, s.B03, s.B02]);",
    "ColorRampVisualizer": "return ramp.process((s.B04 - s.B03) / (s.B04 + s.B03));",
    "colorBlend": "return colorBlend(s.B04, [0, 0.2, 0.4, 0.6, 1], colours);",
}
"""Visualizers, which node does not have."""


def _pixels(work: Work, size: int) -> Pixels:
    shape = (work.dates, size, size) if work.dates else (size, size)
    bands: dict[str, Any] = {}
    for i, name in enumerate(work.bands):
        if name in ("CLM", "dataMask"):
            bands[name] = (dn(i, *shape) % 2).astype(np.uint8)
        elif name == "CLP":
            bands[name] = (dn(i, *shape) % 256).astype(np.uint8)
        elif name.startswith("B"):
            bands[name] = dn(i, *shape)
        else:
            bands[name] = (dn(i, *shape) / 200).astype(np.float32)
    return pixels(bands, [scene(1, day=1 + i) for i in range(work.dates)] if work.dates else None)


class Node:
    """The peer: one process, a fresh context a call."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        node = shutil.which("node")
        assert node is not None, "node is not installed"
        self.process = subprocess.Popen([node, str(PEER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, work: Work, given: Pixels) -> tuple[float, float, float, np.ndarray[Any, Any]]:
        """Milliseconds without the start of the isolate, those of the processor, those with it, and the image."""
        planes, data, offset = [], [], 0
        for plane in given.sources[0].planes:
            raw = plane.values.tobytes()
            raw += bytes(-len(raw) % 8)
            kind = plane.values.dtype.str[1:]
            told = {"name": plane.band, "type": kind, "offset": offset, "length": plane.values.size}
            planes.append(told | {"divisor": plane.divisor})
            data.append(raw)
            offset += len(raw)
        file, result = self.folder / "planes", self.folder / "image"
        if not file.exists() or file.stat().st_size != offset:
            file.write_bytes(b"".join(data))
        told = {
            "file": str(file), "result": str(result), "script": work.script, "planes": planes,
            "size": given.height * given.width, "bands": work.outputs, "loop": _loop(work),
        }  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(told), file=self.process.stdin, flush=True)
        took, computed, whole = json.loads(self.process.stdout.readline())
        dtype = np.uint8 if work.is_auto else np.float32
        return took, computed, whole, np.fromfile(result, dtype).reshape(given.height, given.width, work.outputs)

    def close(self) -> None:
        self.process.communicate(timeout=10)


def _loop(work: Work) -> str:
    """A loop that knows the names of the bands, with one object a pixel."""
    at = "i" if work.dates else "p"
    fields = ", ".join(f"{name}: planes.{name}.values[{at}] / d{i}" for i, name in enumerate(work.bands))
    divisors = "".join(f"const d{i} = planes.{name}.divisor;" for i, name in enumerate(work.bands))
    views = "".join(f"const v{i} = planes.{name}.values;" for i, name in enumerate(work.bands))
    for i, name in enumerate(work.bands):
        fields = fields.replace(f"planes.{name}.values", f"v{i}")
    samples = f"{{{fields}}}"
    before = ""
    if work.dates:
        before = f"const list = []; for (let t = 0, i = p; t < {work.dates}; ++t, i += size) list.push({samples});"
        samples = "list"
    image = "Uint8Array" if work.is_auto else "Float32Array"
    x = "Math.round(Math.min(Math.max(r[b], 0), 1) * 255)" if work.is_auto else "r[b]"
    return (
        f"(function (evaluatePixel, planes, size, bands) {{ {divisors} {views} const image = new {image}(size * bands);"
        f" for (let p = 0, q = 0; p < size; ++p) {{ {before} const r = evaluatePixel({samples});"
        f" for (let b = 0; b < bands; ++b, ++q) image[q] = {x}; }} return image; }})"
    )


def _ours(isolate: Isolate, script: str, given: Pixels) -> tuple[float, float, np.ndarray[Any, Any]]:
    """Milliseconds, those of the processor, and the image."""
    begin, before = time.perf_counter(), time.process_time()
    isolate.prepare()
    image = isolate.evaluate(script, given).images["default"]
    return 1e3 * (time.perf_counter() - begin), 1e3 * (time.process_time() - before), image


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size", type=int, default=SIZE)
    options = parser.parse_args()
    print(f"{options.size} x {options.size} pixels, {options.rounds} rounds in turns, milliseconds: least, median")
    print(f"{'':34}{'elapsed':>32}{'of the processor':>36}{'node with its start':>24}")
    print(f"{'script':34}{'ours':>12}{'node':>12}{'ratio':>8}{'ours':>16}{'node':>12}{'ratio':>8}{'ratio':>24}")
    with Isolate() as isolate:
        for name, work in WORKS.items():
            given = _pixels(work, options.size)
            ours, theirs = [], []
            with tempfile.TemporaryDirectory() as folder:
                node = Node(Path(folder))
                try:
                    for _ in range(options.rounds):
                        *times, image = _ours(isolate, work.script, given)
                        ours.append(times)
                        *times, other = node.run(work, given)
                        theirs.append(times)
                        np.testing.assert_array_equal(image, other)
                finally:
                    node.close()
            elapsed, computed = zip(*ours, strict=True)
            node_elapsed, node_computed, started = zip(*theirs, strict=True)
            print(
                f"{name:34}{_told(elapsed):>12}{_told(node_elapsed):>12}{_ratio(elapsed, node_elapsed):8.2f}"
                f"{_told(computed):>16}{_told(node_computed):>12}{_ratio(computed, node_computed):8.2f}"
                f"{_ratio(elapsed, started):24.2f}"
            )
        _visualizers(isolate, options.size, options.rounds)


def _visualizers(isolate: Isolate, size: int, rounds: int) -> None:
    rest = (
        "const viz = new HighlightCompressVisualizer(0, 0.4); const ramp = new ColorRampVisualizer([[-1, 0xff0000],"
        " [0, 0xffffff], [0.5, 0x80b300], [1, 0x006600]]);"
        " const colours = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 1, 1]];"
    )
    bands = ("B02", "B03", "B04")
    for name, body in OURS_ALONE.items():
        work = Work(_script(bands, "{bands: 3}", body, rest=rest), bands, 3)
        given = _pixels(work, size)
        elapsed, computed, _ = zip(*(_ours(isolate, work.script, given) for _ in range(rounds)), strict=True)
        print(f"{name:34}{_told(elapsed):>12}{'':20}{_told(computed):>16}")


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(ours) / statistics.median(theirs)


def _told(times: Sequence[float]) -> str:
    return f"{min(times):.0f}, {statistics.median(times):.0f}"


if __name__ == "__main__":
    main()
