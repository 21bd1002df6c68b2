"""What is read of a script's text before it runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eotasks.service.errors import ScriptError
from eotasks.service.evalscript.script import Script, expressions, scanned


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("//VERSION=3\n", 3),
        ("// VERSION = 3\r\n", 3),
        ("\ufeff\n  //VERSION=3 (auto-converted from 1)\n", 3),
        ("//VERSION=3.A_name\n", 3),
        ("/* author */\n//VERSION=2\n", 2),
        ("//VERSION=1", 1),
        ("// version 3", None),
        ("return [B04]", None),
        ('"//VERSION=3"', None),
    ],
)
def test_version(text: str, version: int | None) -> None:
    assert Script(text).version == version


@pytest.mark.parametrize("text", ["//VERSION=4", "//VERSION=0", "//VERSION=33"])
def test_versions_that_there_are_not(text: str) -> None:
    with pytest.raises(ScriptError, match="claims version"):
        Script(text)


def test_how_long_a_script_may_be_is_for_whoever_takes_it_to_say() -> None:
    Script(f"//VERSION=3\n/*{'é' * 1_000_000}*/")
    with pytest.raises(ScriptError, match="half a character"):
        Script("\ud800")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a // b\nc", "a \nc"),
        ("a /* b */ c", "a   c"),
        ("a /* b\n */ c", "a \n c"),
        ("a 'b' c", "a '' c"),
        ('a "b\\"b" c', 'a "" c'),
        ("a `it's // b\n'` d", "a `` d"),
        ("a `\\`'` d", "a `` d"),
        ("a / b / c", "a / b / c"),
        ("x = /[/'\"]/.test(y)", "x = /./.test(y)"),
        ("return /'/.test(y)", "return /./.test(y)"),
        ("'//' + b // c", "'' + b "),
        ("http: //x", "http: "),
        ("a /* b", "a  "),
        ("", ""),
    ],
)
def test_code(text: str, code: str) -> None:
    assert scanned(text).code == code
    assert not scanned(text).doubtful


@pytest.mark.parametrize(
    "text", ["if (a) /'/.test(b)", "} / x; s.y = 1; z / 2", "i++ / 2 / 3", "'a", "\\u0061 = 1", "`${a}`", "`a"]
)
def test_doubtful_code(text: str) -> None:
    assert scanned(text).doubtful


@given(st.text(alphabet="/*'\"`\\\n ab;(){}[]=.+", max_size=40))
def test_any_text_is_scanned(text: str) -> None:
    assert len(scanned(text).code) <= 2 * len(text) + 1
    assert all(0 <= start <= len(text) for start in expressions(text))


@pytest.mark.parametrize("piece", ["=/[", "/[", "=/a/ ", "a/b ", "`${", "'", "/ ", "evaluatePixel(", "\\"])
def test_long_lines_are_scanned_once(piece: str) -> None:
    """A square of their length would be hours."""
    text = piece * (250_000 // len(piece))

    assert scanned(text).code
    assert expressions(text)


@pytest.mark.parametrize(
    ("text", "is_body"),
    [
        ("return [B04]", True),
        ("// evaluatePixel\nreturn [B04]", True),
        ("let s = 'evaluatePixel'; return [B04]", True),
        ("function evaluatePixel() {}", False),
        ("const evaluatePixel = x => x", False),
        ("let myevaluatePixel2 = 1; return [1]", True),
        ("let s = `it's`; function evaluatePixel() {} let t = 'x'", False),
    ],
)
def test_body(text: str, is_body: bool) -> None:
    assert Script(text).is_body == is_body


@pytest.mark.parametrize(
    ("text", "bands"),
    [
        ("return [B04, B8A, B02]", ("B02", "B04", "B8A")),
        ("return [samples.B04, B08]", ("B08",)),
        ("let B04 = 1; return [B04, B08]", ("B08",)),
        ("// B01\nreturn ['B02', B03, B04x, xB05, B$06]", ("B03",)),
        ("return dataMask ? [CLM, SCL] : [sunZenithAngles]", ("dataMask", "SCL", "CLM", "sunZenithAngles")),
        ("return eval('B04 + B08')", ("B04", "B08")),
        ("return [1]", ()),
    ],
)
def test_bands_of_a_body(text: str, bands: tuple[str, ...]) -> None:
    assert Script(text).bands == bands


@pytest.mark.parametrize(
    ("function", "names"),
    [
        ("function evaluatePixel(samples) {}", ("samples",)),
        ("function evaluatePixel (s, scenes) {}", ("s", "scenes")),
        ("function evaluatePixel() {}", ()),
        ("const evaluatePixel = (s) => [1]", ("s",)),
        ("const evaluatePixel = s => [1]", ("s",)),
        ("var evaluatePixel = function named(s) {}", ("s",)),
        ("var evaluatePixel = function (s) {}", ("s",)),
        ("function evaluatePixel({B04}) {}", None),
        ("function evaluatePixel(s = {}) {}", None),
        ("function evaluatePixel(...s) {}", None),
        ("const evaluatePixel = other;", None),
        ("function evaluatePixel(s) {} evaluatePixel = other", None),
        ("function evaluatePixel(s) {} function evaluatePixel(t) {}", None),
    ],
)
def test_parameters(function: str, names: tuple[str, ...] | None) -> None:
    assert Script(function).parameters == names


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("function evaluatePixel(s) { return [s[0].B04]; }", True),
        ("function evaluatePixel(s) { const x = s[0]; return [x.B04]; }", True),
        ("function evaluatePixel(s) { return [s[1].B04]; }", False),
        ("function evaluatePixel(s) { return s.map(x => x.B04); }", False),
        ("function evaluatePixel(s, scenes) { return [s[0].B04]; }", False),
        ("const evaluatePixel = s => [s[0].B04]", True),
        ("function evaluatePixel({length}) { return [length]; }", False),
    ],
)
def test_scripts_that_use_the_first_sample_only(text: str, first: bool) -> None:
    assert Script(text).reads_first_sample_only == first


@pytest.mark.parametrize(
    ("code", "numbered"),
    [
        ("return s['0'][0].B04", True),
        ('return s["1"]', True),
        ("return s[0][0].B04", True),
        ("return [s.B04, s.SCL]", False),
        ("const a = ['B04']; return [s.B04]", False),
        ("return s[0].B04", False),
    ],
)
def test_sources_by_number(code: str, numbered: bool) -> None:
    assert Script(f"function evaluatePixel(s) {{ {code} }}").takes_sources_by_number == numbered
