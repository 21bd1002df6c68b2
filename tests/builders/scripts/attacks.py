"""Evalscripts of attackers: what of time, memory, stack and trust a script can try to take.

The first 24 are those of the prototype that the service was designed by; the others are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

SETUP = '{input: ["B04"], output: {bands: 1, sampleType: "FLOAT32"}}'


@dataclass(frozen=True)
class Attack:
    """A script, and how it ends."""

    script: str
    harmless: bool = False
    """It is answered: what it does has no effect. Otherwise it fails, as the client's fault."""


def evalscript(pixel: str = "return [sample.B04]", *, setup: str = SETUP, top: str = "") -> str:
    """A script by the body of its `evaluatePixel`, what its `setup` gives, and what stands beside them."""
    return f"//VERSION=3\n{top}\nfunction setup() {{ return {setup} }}\nfunction evaluatePixel(sample) {{ {pixel} }}\n"


def _wasm(*body: int) -> str:
    """A WebAssembly module with one exported function `f`, without arguments or results."""
    code = [len(body) + 2, 0, *body, 0x0B]
    module = [
        *(0, 0x61, 0x73, 0x6D, 1, 0, 0, 0),
        *(1, 4, 1, 0x60, 0, 0),
        *(3, 2, 1, 0),
        *(7, 5, 1, 1, 0x66, 0, 0),
        *(10, len(code) + 1, 1, *code),
    ]
    return f"new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array({module}))).exports.f()"


HONEST = evalscript("return [sample.B04 * 2]")

PROTOTYPE: dict[str, Attack] = {
    "endless loop": Attack(evalscript("while (true);")),
    "endless loop in setup": Attack(evalscript(setup="(() => { while (true); })()")),
    "endless loop at the top": Attack(evalscript(top="while (true);")),
    "large array filled": Attack(evalscript("new Array(1e9).fill(0)")),
    "endless async loop": Attack(evalscript("(async () => { while (true) await null })(); return [1]")),
    "endless chain of promises": Attack(evalscript(top="(function f() { Promise.resolve().then(f) })()")),
    "heap": Attack(evalscript(top="const all = []; while (true) all.push({a: [1.5, 2.5, 'x' + all.length]});")),
    "buffers": Attack(evalscript(top="const all = []; while (true) all.push(new ArrayBuffer(5e7));")),
    "filled buffers": Attack(evalscript(top="const all = []; while (true) all.push(new Uint8Array(1e7).fill(1));")),
    "shared buffers": Attack(evalscript(top="const all = []; while (true) all.push(new SharedArrayBuffer(5e7));")),
    "doubled text": Attack(evalscript(top="let text = 'x'; while (true) text += text;")),
    "deep recursion": Attack(evalscript(top="function f() { return f() + 1 } f();")),
    "regular expression": Attack(evalscript(top="/^(a+)+$/.test('a'.repeat(40) + 'b');")),
    "comparator that never agrees": Attack(
        evalscript(top="new Array(1e7).fill(0).map(Math.random).sort(() => { while (true); });")
    ),
    "toJSON in the set-up": Attack(evalscript(setup="{toJSON() { while (true); }}")),
    "getter in the set-up": Attack(evalscript(setup="{get input() { while (true); }, output: {bands: 1}}")),
    "Atomics.wait": Attack(
        evalscript(top="Atomics.wait(new Int32Array(new SharedArrayBuffer(8)), 0, 0, Infinity); while (true);")
    ),
    "WebAssembly loop": Attack(evalscript(top=_wasm(0x03, 0x40, 0x0C, 0, 0x0B))),
    "WebAssembly memory": Attack(
        evalscript(top="const all = []; while (true) all.push(new WebAssembly.Memory({initial: 16384}));")
    ),
    "bigint": Attack(evalscript(top="2n ** (2n ** 29n) * 3n ** (2n ** 24n); while (true);")),
    "source of 10 MB": Attack(evalscript(top="// " + "x" * 10_000_000)),
    "deep nesting": Attack(evalscript(top="(" * 300_000 + "1" + ")" * 300_000)),
    "polluted prototypes": Attack(
        evalscript(
            top="for (const kind of [Object, Array, Function, String, Number, Promise, Float32Array, ArrayBuffer])"
            " for (const name of Object.getOwnPropertyNames(kind.prototype))"
            " try { kind.prototype[name] = () => { while (true); } } catch {} while (true);"
        )
    ),
    "globals taken over": Attack(
        evalscript(
            top="for (const name of Object.getOwnPropertyNames(globalThis))"
            " try { globalThis[name] = new Proxy(function () {}, {get() { while (true); }}) } catch {} while (true);"
        )
    ),
}

OURS: dict[str, Attack] = {
    "no JavaScript": Attack("//VERSION=3\nfunction setup( {"),
    "nothing": Attack(""),
    "NUL": Attack("//VERSION=3\n\0\0"),
    "halves of characters": Attack("//VERSION=3\n'\ud800'"),
    "throws a proxy": Attack(evalscript("throw new Proxy({}, {get() { while (true); }})")),
    "throws an error with getters": Attack(
        evalscript("throw Object.defineProperty(new Error(), 'message', {get() { while (true); }})")
    ),
    "throws a long text": Attack(evalscript("throw 'x'.repeat(4e8)")),
    "stack that is prepared": Attack(
        evalscript("null.x", top="Error.prepareStackTrace = () => { while (true); }; Error.stackTraceLimit = 1e9;")
    ),
    "promise in the place of numbers": Attack(evalscript("return new Promise(() => {})")),
    "thenable": Attack(evalscript("return {then(f) { while (true); }}")),
    "proxy of an array": Attack(evalscript("return new Proxy([1], {get() { while (true); }})")),
    "array with getters": Attack(
        evalscript("const a = [1]; Object.defineProperty(a, 0, {get() { while (true); }}); return a")
    ),
    "length of a billion": Attack(evalscript("const a = []; a.length = 4294967295; return [a.join()]")),
    "species": Attack(
        evalscript(
            top="class A extends Array { static get [Symbol.species]() { return function () { while (true); } } }"
            " new A(1, 2, 3).map(x => x);"
        )
    ),
    "toPrimitive": Attack(evalscript("return [`${{[Symbol.toPrimitive]() { while (true); }}}`]")),
    "iterator": Attack(evalscript("return [...{[Symbol.iterator]() { return {next: () => ({value: 1})} }}]")),
    "generator": Attack(evalscript(top="function* g() { while (true) yield [1] } for (const x of g());")),
    "eval of eval": Attack(evalscript(top="(function f(n) { eval('f(n + 1)') })(0); while (true);")),
    "functions without end": Attack(evalscript(top="for (let i = 0; ; ++i) new Function('return ' + i)();")),
    "symbols without end": Attack(
        evalscript(top="const all = []; for (let i = 0; ; ++i) all.push(Symbol.for('s' + i));")
    ),
    "map without end": Attack(evalscript(top="const all = new Map(); for (let i = 0; ; ++i) all.set(i, {i});")),
    "weak references": Attack(
        evalscript(top="const r = new FinalizationRegistry(() => {}); for (;;) r.register({}, new WeakRef({}));")
    ),
    "concatenated text": Attack(
        evalscript(top="let t = 'ab'; for (let i = 0; i < 28; ++i) t += t; [...t].length; while (true);")
    ),
    "replaced text": Attack(evalscript(top="'a'.repeat(1e8).replace(/a/g, 'b'.repeat(1e4));")),
    "padded text": Attack(evalscript(top="const all = []; while (true) all.push('x'.padEnd(5e8, 'y') + 1);")),
    "JSON without end": Attack(
        evalscript(top="const a = Array(3e6).fill({b: 'x'.repeat(99)}); while (true) JSON.stringify(a);")
    ),
    "JSON that is deep": Attack(
        evalscript(top="let a = []; for (let i = 0; i < 1e6; ++i) a = [a]; JSON.stringify(a);")
    ),
    "expression with a look behind": Attack(
        evalscript(top="/(?<=(x+x+)+y)z/.test('x'.repeat(50) + 'z'); while (true);")
    ),
    "date that is formatted": Attack(
        evalscript(top="while (true) new Date(1e12).toLocaleString('ar-EG', {dateStyle: 'full'});")
    ),
    "normalised text": Attack(evalscript(top="while (true) '\ufdfa'.repeat(1e6).normalize('NFKD');")),
    "timers": Attack(evalscript(top="setTimeout(function f() { while (true); }, 0); while (true);")),
    "dynamic import": Attack(evalscript("import('fs'); throw 1")),
    "require": Attack(evalscript("require('fs')")),
    "process": Attack(evalscript("process.exit()")),
    "network": Attack(evalscript("fetch('http://169.254.169.254/')")),
    "parent by a constructor": Attack(evalscript("return [sample.constructor.constructor('return process')().pid]")),
    "a billion bands": Attack(evalscript(setup='{input: ["B04"], output: {bands: 1e9}}')),
    "negative bands": Attack(evalscript(setup='{input: ["B04"], output: {bands: -1}}')),
    "a million inputs": Attack(evalscript(setup='{input: new Array(1e6).fill("B04"), output: {bands: 1}}')),
    "a million outputs": Attack(
        evalscript(setup='{input: ["B04"], output: Array.from({length: 1e6}, (_, i) => ({id: "o" + i, bands: 1}))}')
    ),
    "output with a path": Attack(evalscript(setup='{input: ["B04"], output: {id: "../../etc/passwd", bands: 1}}')),
    "output with a long id": Attack(evalscript(setup='{input: ["B04"], output: {id: "x".repeat(1e6), bands: 1}}')),
    "output of the prototype": Attack(evalscript(setup='{input: ["B04"], output: {id: "__proto__", bands: 1}}')),
    "long user data": Attack(evalscript(top="function updateOutputMetadata(a, b, o) { o.userData = 'x'.repeat(3e8) }")),
    "user data that never end": Attack(
        evalscript(top="function updateOutputMetadata(a, b, o) { o.userData = {toJSON() { while (true); }} }")
    ),
    "user data in a circle": Attack(
        evalscript(top="function updateOutputMetadata(a, b, o) { o.userData = {}; o.userData.a = o.userData }")
    ),
    "user data that are deep": Attack(
        evalscript(
            top="function updateOutputMetadata(a, b, o) { let d = []; for (let i = 0; i < 1e4; ++i) d = [d];"
            " o.userData = d }"
        )
    ),
    "no number in user data": Attack(evalscript(top="function updateOutputMetadata(a, b, o) { o.userData = 1n }")),
    "promise that never settles": Attack(
        evalscript(top="new Promise(() => {}).then(() => { while (true); });"), harmless=True
    ),
    "listener of garbage": Attack(
        evalscript(top="const r = new FinalizationRegistry(() => { while (true); }); r.register({}, 1);"), harmless=True
    ),
    "buffer of pixels detached": Attack(
        evalscript("return [sample.B04]", top="try { new ArrayBuffer(8).transfer() } catch {}"), harmless=True
    ),
    "frozen world": Attack(
        evalscript(top="Object.freeze(Object.prototype); Object.freeze(Array.prototype);"), harmless=True
    ),
    "pushes that do nothing": Attack(
        evalscript(top="Array.prototype.push = () => 0; JSON.stringify = () => '';"), harmless=True
    ),
}

ATTACKS: dict[str, Attack] = PROTOTYPE | OURS
