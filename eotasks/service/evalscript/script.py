"""The text of an evalscript: its dialect, and what of it has to be known before it runs.

A text is scanned, not parsed: V8 alone knows the language. What is read here is the version it claims, whether it is a
body or has functions, which bands a body names, and how V1 and V2 use their samples.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import NamedTuple

from eotasks.models.sentinel2 import BANDS
from eotasks.service.errors import ScriptError

BODY_BANDS = (
    *BANDS, "dataMask", "SCL", "CLM", "CLP", "SNW", "CLD", "AOT", "SHADOW",
    "sunAzimuthAngles", "sunZenithAngles", "viewAzimuthMean", "viewZenithMean",
)  # fmt: skip
"""Names that a script without functions reads as bands."""

_VERSION = re.compile(r"(?m)^[ \t\ufeff]*//[ \t]*VERSION[ \t]*=[ \t]*(\d{1,9})")
_WORD = r"[A-Za-z_$][\w$]*"
_PLAIN = re.compile(r"[^/'\"\\`]+")
_ENDS_LINE = re.compile(r"[\n\r\u2028\u2029]")
_REGEX_BEFORE = frozenset("(,=:[!&|?{};+-*%~^<>\n")
_REGEX_WORDS = frozenset({"return", "typeof", "case", "in", "of", "delete", "void", "throw", "else", "do"})


class Samples(Enum):
    """How a function gets the samples of a source with SIMPLE mosaicking."""

    OBJECT = "object"
    """One sample, as V3 has it."""

    ARRAY = "array"
    """An array of samples, as V1 and V2 have it."""


@dataclass(frozen=True)
class Script:
    """The text of a script."""

    text: str

    def __post_init__(self) -> None:
        try:
            self.text.encode()
        except UnicodeEncodeError as error:
            raise ScriptError("The evalscript is no text: it has half a character. Send it in UTF-8.") from error
        if self.version not in (None, 1, 2, 3):
            raise ScriptError(f"The evalscript claims version {self.version}: there are //VERSION=1, 2 and 3.")

    @cached_property
    def version(self) -> int | None:
        """As the marker says; None without one, which means 1."""
        found = _VERSION.search(self.text)
        return int(found.group(1)) if found else None

    @cached_property
    def scan(self) -> Scan:
        return scanned(self.text)

    @property
    def code(self) -> str:
        """The text without comments, and with nothing between its quotes."""
        return self.scan.code

    @cached_property
    def is_body(self) -> bool:
        """Whether the script has no `evaluatePixel`: it is the body of a function of bands then."""
        code = self.text if self.scan.doubtful else self.code
        return re.search(r"\bevaluatePixel\b", code) is None

    @cached_property
    def bands(self) -> tuple[str, ...]:
        """Bands that the code names and does not declare itself, in a fixed order."""
        code = self.text if re.search(r"\b(?:eval|Function)\b", self.code) else self.code
        return tuple(
            band
            for band in BODY_BANDS
            if re.search(rf"(?<![\w$.]){band}(?![\w$])", code)
            and not re.search(rf"\b(?:var|let|const|function|class)\s+{band}(?![\w$])", code)
        )

    @cached_property
    def sample_bands(self) -> tuple[str, ...]:
        """Bands that the code takes from something, as in `samples.B04`."""
        return tuple(band for band in BODY_BANDS if re.search(rf"(?<![\w$]){band}(?![\w$])", self.code))

    @cached_property
    def parameters(self) -> tuple[str, ...] | None:
        """Names of the parameters of `evaluatePixel`; None where they are no plain names or it is declared oddly."""
        head = r"(?:function\s*\*?\s*evaluatePixel|\bevaluatePixel\s*=\s*(?:function(?:\s+[\w$]+)?)?)\s*\(([^()]*)\)"
        found = re.findall(head, self.code)
        bare = re.findall(rf"\bevaluatePixel\s*=\s*({_WORD})\s*=>", self.code)
        given = re.findall(r"\bfunction\s*\*?\s*evaluatePixel\b|\bevaluatePixel\s*=(?!=)", self.code)
        if len(found) + len(bare) != 1 or len(given) != 1:
            return None
        names = [name.strip() for name in (found or bare)[0].split(",")]
        if names == [""]:
            return ()
        return tuple(names) if all(re.fullmatch(_WORD, name) for name in names) else None

    @cached_property
    def takes_sources_by_number(self) -> bool:
        """Whether the code has `samples["0"]` or `samples[0][0]`: sources of data by their order in the request."""
        return re.search(r"""[\w$)\]]\[\s*(?:""|'')\s*\]|[\w$)\]]\[\s*\d+\s*\]\s*\[""", self.code) is not None

    @cached_property
    def reads_first_sample_only(self) -> bool:
        """Whether V1 or V2 code uses its samples as `samples[0]` only: one mosaic is all it asks for."""
        if self.parameters is None:
            return False
        if len(self.parameters) != 1:
            return not self.parameters
        name = re.escape(self.parameters[0])
        code = re.sub(rf"\(\s*{name}\s*\)|(?<![\w$]){name}\s*=>", "", self.code)
        return re.search(rf"(?<![\w$.]){name}(?![\w$])(?!\s*\[\s*0\s*\])", code) is None


class Scan(NamedTuple):
    """What is code in a text."""

    code: str
    """The text without its comments and with nothing between its quotes, but for templates that have code in them."""

    doubtful: bool
    """Whether a slash or a quote may have been taken for what it is not, so that code may be missing."""


def scanned(text: str) -> Scan:
    """Tell code from comments, texts and patterns, as far as that can be done without parsing."""
    parts: list[str] = []
    doubtful = False
    hopeless = 0  # before it no pattern ends
    i, n = 0, len(text)
    last = ""
    while i < n:
        plain = _PLAIN.match(text, i)
        if plain is not None:
            parts.append(plain.group())
            last = plain.group().rstrip()[-1:] or last
            i = plain.end()
            continue
        char = text[i]
        if char == "/" and text[i + 1 : i + 2] == "/":
            i = _line_end(text, i)
            continue
        if char == "/" and text[i + 1 : i + 2] == "*":
            end = text.find("*/", i + 2)
            parts.append("\n" if "\n" in text[i : end if end >= 0 else n] else " ")
            i = n if end < 0 else end + 2
            continue
        if char in "'\"":
            end = _quoted_end(text, i, char)
            doubtful |= text[end - 1] != char or end == i + 1
            parts.append(char + char)
            i, last = end, char
            continue
        if char == "`":
            end = _template_end(text, i)
            template = text[i + 1 : end - 1]
            has_code = "${" in template
            doubtful |= has_code or text[end - 1] != char or end == i + 1
            parts.append(f"`{template if has_code else ''}`")
            i, last = end, char
            continue
        if char == "/":
            end = 0 if i < hopeless else _regex_end(text, i)
            if not end and i >= hopeless:
                hopeless = _line_end(text, i)
            ambiguous = last in ("}", ")") or "".join(parts[-2:]).rstrip()[-2:] in ("++", "--")
            doubtful |= ambiguous and end > 0
            if end and not ambiguous and _regex_may_begin(parts, last):
                parts.append("/./")
                i, last = end, "/"
                continue
        doubtful |= char == "\\"
        parts.append(char)
        last = char
        i += 1
    return Scan("".join(parts), doubtful)


def _line_end(text: str, i: int) -> int:
    end = _ENDS_LINE.search(text, i)
    return len(text) if end is None else end.start()


def _quoted_end(text: str, i: int, quote: str) -> int:
    i += 1
    while i < len(text) and text[i] not in (quote, "\n"):
        i += 2 if text[i] == "\\" else 1
    return min(i + 1, len(text))


def _regex_may_begin(parts: list[str], last: str) -> bool:
    if last == "" or last in _REGEX_BEFORE:
        return True
    word = re.search(r"([A-Za-z]+)\s*$", "".join(parts[-4:])[-16:])
    return word is not None and word.group(1) in _REGEX_WORDS


def _regex_end(text: str, i: int) -> int:
    """After the literal that begins at a slash; 0 where none ends in the line."""
    in_class = False
    i += 1
    while i < len(text) and text[i] not in "\n\r\u2028\u2029":
        char = text[i]
        if char == "\\":
            i += 1
        elif char == "[":
            in_class = True
        elif char == "]":
            in_class = False
        elif char == "/" and not in_class:
            return i + 1
        i += 1
    return 0


def expressions(text: str) -> list[int]:
    """Where the last statement of a body may begin, the earliest first: `return` is put before the one that V8 takes.

    :return: Positions in the text after which an expression may stand, at most 200.
    """
    depth = hopeless = 0
    starts = [0]
    i, n = 0, len(text)
    last = ""
    while i < n:
        char = text[i]
        if char == "/" and text[i + 1 : i + 2] == "/":
            i = _line_end(text, i)
            continue
        if char == "/" and text[i + 1 : i + 2] == "*":
            end = text.find("*/", i + 2)
            i = n if end < 0 else end + 2
            continue
        if char in "'\"`":
            i = _quoted_end(text, i, char) if char != "`" else _template_end(text, i)
            last = char
            continue
        if char == "/" and i >= hopeless and _regex_may_begin([text[max(0, i - 16) : i]], last):
            end = _regex_end(text, i)
            if end:
                i, last = end, "/"
                continue
            hopeless = _line_end(text, i)
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        i += 1
        if depth == 0 and char in ";\n\r}":
            starts.append(i)
        if not char.isspace():
            last = char
    return starts[-200:]


def _template_end(text: str, i: int) -> int:
    i += 1
    while i < len(text) and text[i] != "`":
        i += 2 if text[i] == "\\" else 1
    return min(i + 1, len(text))
