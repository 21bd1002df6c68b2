"""The loop over pixels: JavaScript written for one set-up, so that V8 makes machine code of it.

It builds what a script gets of a pixel, calls it, and writes numbers of the output's type. Returns that are not arrays
of numbers of the declared length go to the driver's `put`, which decides them by the same rules, slower.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from eotasks.service.evalscript.script import Samples
from eotasks.service.evalscript.setup import Output, SampleType

UNROLLED_BANDS = 16
"""Of an output; more are written by a loop."""

AT_ONCE = 256
"""Pixels of a call of what is compiled: V8 makes its best code of a function when it is called again, and not of one
long loop."""

DTYPES: dict[SampleType, DTypeLike] = {
    SampleType.INT8: np.int8,
    SampleType.UINT8: np.uint8,
    SampleType.INT16: np.int16,
    SampleType.UINT16: np.uint16,
    SampleType.FLOAT32: np.float32,
    SampleType.AUTO: np.uint8,
}


@dataclass(frozen=True)
class Band:
    """A band of a source, and the typed array that has it."""

    name: str
    view: int
    divisor: float


@dataclass(frozen=True)
class Source:
    """What a script gets of one source of a pixel."""

    key: str
    scenes: int
    bands: tuple[Band, ...]


@dataclass(frozen=True)
class Loop:
    """What is to be run."""

    height: int
    width: int
    sources: tuple[Source, ...]
    outputs: tuple[Output, ...]
    shape: Samples | None
    """Of one source with SIMPLE mosaicking; None for a body, which gets bands as its arguments."""

    single: bool
    """Whether there is one source, with SIMPLE mosaicking."""

    def code(self) -> str:
        """The body of the function that the driver compiles."""
        lines = ["'use strict';"]
        lines += [f"const v{band.view} = v[{band.view}];" for source in self.sources for band in source.bands]
        lines += [f"const o{k} = o[{k}];" for k in range(len(self.outputs))]
        inside, samples = self._samples()
        lines += [f"const size = {self.height * self.width};"]
        lines += ["const some = (p, end) => {", "try {", "for (; p < end; ++p) {"]
        lines += inside
        rest = "" if self.shape is None else ", scenes, metadata, custom, outputMetadata"
        lines += [f"const r = evaluate({samples}{rest});"]
        lines += self._written()
        lines += ["}", "} catch (error) { progress[0] = p; throw error; }", "};"]
        lines += ["for (let p = 0; p < size;) {", f"const end = p + {AT_ONCE} < size ? p + {AT_ONCE} : size;"]
        lines += ["some(p, end);", "p = end;", "progress[0] = p;", "}"]
        return "\n".join(lines)

    def _samples(self) -> tuple[list[str], str]:
        """What comes first in the loop, and the argument of the call.

        Each pixel has objects of its own: scripts keep them, and write to them. One for all was 5 % faster.
        """
        if self.shape is None:
            return [], ", ".join(_value(band, "p") for band in self.sources[0].bands)
        if not self.single:
            return self._scenes()
        fresh = "{" + ", ".join(f"{_key(band.name)}: {_value(band, 'p')}" for band in self.sources[0].bands) + "}"
        return [], f"[{fresh}]" if self.shape is Samples.ARRAY else fresh

    def _scenes(self) -> tuple[list[str], str]:
        inside = []
        for k, source in enumerate(self.sources):
            fields = ", ".join(f"{_key(band.name)}: {_value(band, 'i')}" for band in source.bands)
            if source.scenes == 1:
                inside += [f"const i{k} = p;", f"const s{k} = [{{{fields.replace('[i]', f'[i{k}]')}}}];"]
                continue
            inside += [
                f"const s{k} = [];",
                f"for (let s = 0, i = p; s < {source.scenes}; ++s, i += size) s{k}[s] = {{{fields}}};",
            ]
        if len(self.sources) == 1:
            return inside, "s0"
        return inside, "{" + ", ".join(f"{_key(each.key)}: s{k}" for k, each in enumerate(self.sources)) + "}"

    def _written(self) -> list[str]:
        outputs = self.outputs
        if len(outputs) == 1:
            return [
                "let a0 = r;",
                "if (!isArray(r) && typeof r === 'object' && r !== null && !isView(r)) {",  # arrays are the rule
                f"a0 = r[{_key(outputs[0].id)}]; if (a0 === undefined) mistaken(r); }}",
                *_stored(0, outputs[0]),
            ]
        names = [f"a{k}" for k in range(len(outputs))]
        lines = [f"let {', '.join(names)};", "if (r !== undefined && r !== null) {"]
        lines += ["if (typeof r !== 'object' || isArray(r)) mistaken(r);"]
        lines += [f"a{k} = r[{_key(output.id)}];" for k, output in enumerate(outputs)]
        lines += [f"if ({' && '.join(f'{name} === undefined' for name in names)}) mistaken(r);", "}"]
        for k, output in enumerate(outputs):
            lines += _stored(k, output)
        return lines


def fill_value(output: Output) -> float:
    """What is written where a script gives no number: the no-data value as the type can have it, else NaN or 0."""
    kind = output.sample_type
    if kind is SampleType.FLOAT32:
        return float("nan") if output.nodata is None else output.nodata
    if output.nodata is None or output.nodata != output.nodata:
        return 0.0
    low, high = limits(kind)
    return float(min(max(np.floor(output.nodata + 0.5), low), high))


def limits(kind: SampleType) -> tuple[int, int]:
    """The least and the greatest integer of a type."""
    info = np.iinfo(np.dtype(DTYPES[kind]))
    return int(info.min), int(info.max)


def _stored(k: int, output: Output) -> list[str]:
    count = len(output.bands)
    at = "p" if count == 1 else f"p * {count}"
    if count > UNROLLED_BANDS:
        x = _converted("x", output)
        return [
            f"{{ const q = {at}; let b = 0;",
            f"if (isArray(a{k}) && a{k}.length >= {count}) for (; b < {count}; ++b) {{",
            f"const x = a{k}[b]; if (typeof x !== 'number') break; o{k}[q + b] = {x}; }}",
            f"if (b < {count}) put({k}, a{k}, q); }}",
        ]
    names = [f"x{k}_{b}" for b in range(count)]
    numbers = " && ".join(f"typeof ({name} = a{k}[{b}]) === 'number'" for b, name in enumerate(names))
    stores = " ".join(
        f"o{k}[{at}{f' + {b}' if b else ''}] = {_converted(name, output)};" for b, name in enumerate(names)
    )
    lines = [f"let {', '.join(names)};"]
    first = f"if (typeof a{k} === 'number') {{ {names[0]} = a{k}; {stores} }} else " if count == 1 else ""
    lines.append(f"{first}if (isArray(a{k}) && a{k}.length >= {count} && {numbers}) {{ {stores} }}")
    lines.append(f"else put({k}, a{k}, {at});")
    return lines


def _converted(x: str, output: Output) -> str:
    kind = output.sample_type
    if kind is SampleType.FLOAT32:
        return x
    fill = _number(fill_value(output))
    if kind is SampleType.AUTO:
        return _clamped(x, 0, 1, "0", "255", f"round({x} * 255)", fill)
    low, high = limits(kind)
    return _clamped(x, low, high, str(low), str(high), f"round({x})", fill)


def _clamped(x: str, low: int, high: int, at_low: str, at_high: str, between: str, fill: str) -> str:
    """NaN is on neither side of anything, so it is asked for last: most numbers lie between."""
    below = at_low if fill == at_low else f"{x} !== {x} ? {fill} : {at_low}"
    return f"{x} >= {high} ? {at_high} : {x} > {low} ? {between} : {below}"


def _value(band: Band, at: str) -> str:
    return f"v{band.view}[{at}]" if band.divisor == 1 else f"v{band.view}[{at}] / {_number(band.divisor)}"


def _number(value: float) -> str:
    return repr(int(value)) if float(value).is_integer() else repr(float(value))


def _key(name: str) -> str:
    return json.dumps(name)


def kinds(arrays: Sequence[np.dtype[np.generic]]) -> list[str]:
    """The driver's names for types of planes."""
    return [{"u1": "UINT8", "u2": "UINT16", "f4": "FLOAT32"}[each.str[1:]] for each in arrays]
