"""What a hostile hand does to a file: bytes spoiled anywhere, and single values of a document replaced by extremes.

Everything is drawn from one `random.Random`: the same seed gives the same file.
"""

from __future__ import annotations

import json
import random
import re
import struct
from collections.abc import Callable, Sequence
from typing import Any, Literal

from tests.benchmarks.hostile.guard import CANARY

Grammar = Literal["json", "jsonl", "xml", "lines", "bytes"]
"""How a format is taken apart: JSON, JSON by line, elements of XML, lines of ``key = value``, or not at all."""

DEEP = 100_000
"""Levels of nesting."""

WORDS = (
    "", " ", "many", "null", "NaN", "inf", "-inf", "1e400", "5e-324", "-0", "1e308", "1e-300", "1e18", "0", "-1", "1",
    "2", "255", "256", "65536", "2147483648", "-9223372036854775809", "18446744073709551616", "0.5", "1e5", "²", "٣",
    "1" + "0" * 4000, "1" + "0" * 5000, "0x10", "1_000", "+1", "00", "x" * 100_000, "\n", "a\nb", "\x1b[31m",
    "\u202eabc", f"../../../../../../../..{CANARY}", str(CANARY), f"file://{CANARY}", "/vsicurl/http://127.0.0.1:9/x",
    f"/vsisubfile/0_10,{CANARY}", "http://127.0.0.1:9/x", "http://169.254.169.254/latest", "s3://bucket/../key", "*",
    "?", "[a]", "%s%n", "{0}", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01", "9999-12-31",
    "0000-01-01", "2024-02-30T00:00:00Z", "2024-01-01T00:00:00+23:59", "2024-W05-1", "20240101T000000", "EPSG:0",
    "EPSG:99999", "EPSG:4326", "EPSG:32661", "B13", "B8A", "99.99", "04.00", "L1C", "S2Z", "00AAA", "99ZZZ", "60XZZ",
)  # fmt: skip
"""Text in place of text or of a number."""

_RAW_JSON = (
    "null", "true", "false", "[]", "{}", "[[]]", "[null]", '{"a": null}', "1e400", "-1e400", "NaN", "Infinity",
    "-Infinity", "5e-324", "-0", "-0.0", "1e308", "1e-300", "1e18", "0", "1", "-1", "2", "0.5", "255", "256", "65536",
    "2147483648", "9007199254740993", "-9223372036854775809", "18446744073709551616", "1" + "0" * 4000,
    "1" + "0" * 5000, '"\\ud800"', '"\\udcff/x"', '"\\u0000"', '"a\\u0000b"', "[" * DEEP + "]" * DEEP,
    '{"a":' * DEEP + "1" + "}" * DEEP, "[" * 900 + "]" * 900, "[" + "0," * 50_000 + "0]", "\\", "1 2", "'a'",
)  # fmt: skip
"""Written as they are: some of them no JSON writer would write."""

_XML_EXTREMES = (
    "&lt;", "&#x10FFFF;", "&#0;", "&nothing;", "<![CDATA[x]]>", "<!-- -->", "<a/>", "<a>" * DEEP + "</a>" * DEEP,
    "<a>" * DEEP, "&#178;", "1 2 3", "NaN NaN",
)  # fmt: skip
_XML_HEADS = (
    '<!DOCTYPE a [<!ENTITY b "c">]>', f'<!DOCTYPE a SYSTEM "file://{CANARY}">',
    f'<!DOCTYPE a [<!ENTITY b SYSTEM "file://{CANARY}">]>', '<?xml version="1.0" encoding="utf-7"?>',
    '<?xml version="1.0" encoding="utf-16"?>', '<?xml version="1.0" encoding="nothing"?>',
    '<?xml version="1.0" encoding="idna"?>', '<?xml version="1.1"?>', f'<?xml-stylesheet href="file://{CANARY}"?>',
)  # fmt: skip
_LINE_EXTREMES = (
    "[" * DEEP + "]" * DEEP, "[" * 900 + "]" * 900, "{a=" * 5000 + "1" + "}" * 5000, '"x"', "''", "[1, 'a']", "true",
    "2024-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1" + "0" * 5000, "{ }", "nan", "+inf",
)  # fmt: skip
_XML_TEXT = re.compile(rb">([^<>]+)<")
_XML_ATTRIBUTE = re.compile(rb'="([^"<>]*)"')
_XML_LEAF = re.compile(rb"<(\w[\w:]*)\b[^<>]*>[^<>]*</\1>")
_LINE = re.compile(rb"^[^\n=]+=[^\n]*$", re.MULTILINE)
_NUMBER = re.compile(rb"-?\d[\d.e+-]*")
_CHANGED_BYTES = 1_000_000
_WHOLE = (0, 1, -1, 2, 7, 127, 128, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1)


def mutated(
    rng: random.Random, samples: Sequence[bytes], grammar: Grammar, tokens: Sequence[bytes] = (), head: int = 0
) -> bytes:
    """A spoiled sample.

    :param tokens: Words of the format, set in anywhere.
    :param head: Bytes at the start, and at the end, where most of the spoiling of bytes goes; 0 for everywhere.
    """
    data = rng.choice(samples)
    structured = _BY_GRAMMAR.get(grammar)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if structured is not None and rng.random() < 0.75:
            data = structured(rng, data)
        else:
            data = _spoiled(rng, data, samples, tokens, head)
    return data


def _json(rng: random.Random, data: bytes) -> bytes:
    """One value or key of a document changed; bytes that are no JSON any more stay as they are.

    So do very large ones: the memory that it takes to change them would be taken for that of the reader.
    """
    if len(data) > _CHANGED_BYTES:
        return data
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return data
    raws: list[str] = []

    def raw(text: str) -> str:
        raws.append(text)
        return f"\x01{len(raws) - 1}\x01"

    holders: list[tuple[Any, Any]] = [([document], 0)]
    below = [document]
    while below:
        node = below.pop()
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in items:
            holders.append((node, key))
            if isinstance(value, dict | list):
                below.append(value)
    holder, key = rng.choice(holders)
    if holder[key] is document:
        return raw_json(rng).encode("utf-8", "surrogatepass")
    _change(rng, holder, key, raw)
    text = json.dumps(document)
    for number, inserted in enumerate(raws):
        text = text.replace(f'"\\u0001{number}\\u0001"', inserted)
    return text.encode("utf-8", "surrogatepass")


def _change(rng: random.Random, holder: Any, key: Any, raw: Callable[[str], str]) -> None:
    choice = rng.random()
    if choice < 0.6:
        holder[key] = raw(raw_json(rng))
    elif choice < 0.7:
        del holder[key]
    elif isinstance(holder, dict):
        value = holder[key]
        if choice < 0.8:  # the key twice
            holder[raw(json.dumps(key))] = raw(raw_json(rng))
        elif choice < 0.9:
            holder[rng.choice((*WORDS, key.upper()))] = holder.pop(key)
        else:
            holder[key] = rng.choice(([value], {"a": value}, str(value), [value] * 3, {str(key): value}))
    elif choice < 0.85:
        holder.insert(key, holder[key])
    else:
        holder[:] = rng.choice((holder[::-1], holder[:1], [], holder * 50))


def raw_json(rng: random.Random) -> str:
    """A value as JSON text, mostly one that no honest document has there."""
    return rng.choice(_RAW_JSON) if rng.random() < 0.5 else json.dumps(rng.choice(WORDS))


def _json_lines(rng: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    choice = rng.random()
    if choice < 0.9:
        lines[at] = _json(rng, lines[at])
    elif choice < 0.95:
        lines.insert(at, rng.choice(lines))
    else:
        del lines[at]
    return b"\n".join(lines)


def _xml(rng: random.Random, data: bytes) -> bytes:
    choice = rng.random()
    if choice < 0.1:
        head = rng.choice(_XML_HEADS).encode()
        return head + (data.partition(b"?>")[2] if head.startswith(b"<?xml ") else data)
    pattern = _XML_TEXT if choice < 0.6 else _XML_ATTRIBUTE if choice < 0.75 else _XML_LEAF
    spans = [match.span(1 if pattern is not _XML_LEAF else 0) for match in pattern.finditer(data)]
    if not spans:
        return data
    start, stop = rng.choice(spans)
    if pattern is _XML_LEAF:
        element = data[start:stop]
        return data[:start] + rng.choice((b"", element * 2, element * 200, element.lower())) + data[stop:]
    value = rng.choice(_XML_EXTREMES if rng.random() < 0.2 else WORDS).encode()
    if rng.random() < 0.3:  # one number of several
        numbers = [match.span() for match in _NUMBER.finditer(data, start, stop)]
        start, stop = rng.choice(numbers) if numbers else (start, stop)
    return data[:start] + value + data[stop:]


def _lines(rng: random.Random, data: bytes) -> bytes:
    spans = [match.span() for match in _LINE.finditer(data)]
    if not spans:
        return data
    start, stop = rng.choice(spans)
    line = data[start:stop]
    choice = rng.random()
    if choice < 0.12:
        return data[:start] + rng.choice((b"", line + b"\n" + line)) + data[stop:]
    if choice < 0.2:
        other = rng.choice(spans)
        return data[:start] + data[other[0] : other[1]] + data[stop:]
    at = start + line.index(b"=") + 1
    if choice < 0.75:
        numbers = [match.span() for match in _NUMBER.finditer(data, at, stop)]
        if numbers:
            at, stop = rng.choice(numbers)
    word = rng.choice(_LINE_EXTREMES if rng.random() < 0.3 else WORDS)
    return data[:at] + (word if rng.random() < 0.8 else json.dumps(word)).encode() + data[stop:]


_BY_GRAMMAR: dict[Grammar, Callable[[random.Random, bytes], bytes]] = {
    "json": _json,
    "jsonl": _json_lines,
    "xml": _xml,
    "lines": _lines,
}


def _spoiled(rng: random.Random, data: bytes, samples: Sequence[bytes], tokens: Sequence[bytes], head: int) -> bytes:
    if not data:
        return bytes(rng.randrange(256) for _ in range(8))
    at = _position(rng, len(data), head)
    length = min(rng.choice((1, 1, 2, 4, 8, 64, 1000)), len(data) - at)
    kind = rng.randrange(11)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if kind == 2:
        return data[:at] + bytes(rng.randrange(256) for _ in range(length)) + data[at + length :]
    if kind == 3:
        return data[:at] + data[at + length :]
    if kind == 4:
        return data[:at] + data[at : at + length] * rng.choice((2, 3, 1000)) + data[at + length :]
    if kind == 5:
        other = rng.choice(samples)
        return data[:at] + other[_position(rng, len(other), head) :]
    if kind == 6 and tokens:
        return data[:at] + rng.choice(tokens) + data[at + rng.choice((0, length)) :]
    if kind == 7:
        code = rng.choice(("<b", "<h", ">h", "<i", ">i", "<q", ">q", "<d", "<f"))
        value = rng.choice((0.0, float("nan"), float("inf"), 5e-324)) if code[1] in "df" else rng.choice(_WHOLE)
        packed = struct.pack(code, value) if code[1] in "df" else _wrapped(code, int(value))
        return data[:at] + packed + data[at + len(packed) :]
    if kind == 8:
        return rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"\n", b" " * 1000)) + data
    if kind == 9:
        return rng.choice((b"", data + data, data.swapcase(), data[::-1], data + b"\0" * 1000, _as_utf16(data)))
    return data[:at] + rng.choice((b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x1b", b"\r\n")) + data[at + length :]


def _position(rng: random.Random, length: int, head: int) -> int:
    if head and rng.random() < 0.8:
        return min(rng.randrange(head), length - 1) if rng.random() < 0.7 else max(length - 1 - rng.randrange(head), 0)
    return rng.randrange(length)


def _wrapped(code: str, value: int) -> bytes:
    size = struct.calcsize(code)
    return (value % (1 << 8 * size)).to_bytes(size, "little" if code[0] == "<" else "big")


def _as_utf16(data: bytes) -> bytes:
    return data.decode("latin-1").encode("utf-16")
