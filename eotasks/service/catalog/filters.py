"""Filters of CQL2, as text and as JSON, as far as the Catalog API has them: comparisons, and AND between them.

The text is read by one pass over words, the JSON by a walk without calls of itself; both have a bound of length and
depth. Nothing of a filter reaches a database: items that were found are compared here.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from eotasks.service.errors import RequestError
from eotasks.text import excerpt

LANGUAGES = ("cql2-text", "cql2-json")

MOST_CHARACTERS = 4_000
MOST_COMPARISONS = 50
MOST_LEVELS = 10

CLOUD_COVER = "eo:cloud_cover"

QUERYABLES: Mapping[str, type] = {
    CLOUD_COVER: float,
    "sat:orbit_state": str,
    "sat:relative_orbit": float,
    "platform": str,
    "grid:code": str,
    "view:sun_elevation": float,
    "view:sun_azimuth": float,
    "s2:processing_baseline": str,
}
"""Properties that filters may name, and of what kind they are."""

Value = float | str

_OPERATORS: Mapping[str, str] = {
    "=": "=", "eq": "=", "<>": "<>", "!=": "<>", "neq": "<>", "<": "<", "lt": "<", "<=": "<=", "lte": "<=",
    ">": ">", "gt": ">", ">=": ">=", "gte": ">=",
}  # fmt: skip
_MIRRORED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "<>": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip

_WORD = re.compile(
    r"\s*(?:(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w:])"
    r"|'(?P<text>(?:[^']|'')*)'"
    r'|"(?P<quoted>[^"]+)"'
    r"|(?P<name>[A-Za-z_][\w:.]*)"
    r"|(?P<sign><=|>=|<>|!=|[=<>()]))",
    re.ASCII,
)


class Comparison(NamedTuple):
    """One condition."""

    property: str
    sign: str
    """One of = <> < <= > >=."""

    value: Value


@dataclass(frozen=True)
class Filter:
    """Conditions that all have to hold."""

    comparisons: tuple[Comparison, ...] = ()

    def holds(self, properties: Mapping[str, Any]) -> bool:
        """Whether an item with these properties is found.

        What an item does not say fits no condition, but for its cloud cover: as in a request for pixels, an item
        that does not say its own is found by whoever sets an upper limit.
        """
        return all(_holds(each, properties.get(each.property)) for each in self.comparisons)

    @property
    def most_clouds(self) -> float | None:
        """Percent of clouds beyond which no item is found; None for any."""
        limits = [
            each.value
            for each in self.comparisons
            if each.property == CLOUD_COVER and each.sign in ("<", "<=", "=") and isinstance(each.value, float)
        ]
        return min(limits, default=None)


def parse_filter(content: str | Mapping[str, Any] | None, language: str | None) -> Filter:
    """A filter of a request.

    :param language: "cql2-text" or "cql2-json"; None for that of the filter's kind.
    :raises RequestError: for what is no filter, or one that is not known here; it says what is.
    """
    if language is not None and language.lower() not in LANGUAGES:
        raise RequestError(f"filter-lang is {excerpt(language)}: known are {' and '.join(LANGUAGES)}.")
    if content is None:
        return Filter()
    expected = "cql2-text" if isinstance(content, str) else "cql2-json"
    if (language or expected).lower() != expected:
        raise RequestError(f"filter-lang is {excerpt(language)}, and the filter is {expected}: make them agree.")
    comparisons = _of_text(content) if isinstance(content, str) else list(_of_json(content))
    return Filter(tuple(_checked(each) for each in comparisons))


def _holds(comparison: Comparison, value: Any) -> bool:
    if value is None:
        return comparison.property == CLOUD_COVER and comparison.sign in ("<", "<=")
    if isinstance(comparison.value, str) != isinstance(value, str) or isinstance(value, bool):
        return False
    return bool(_COMPARE[comparison.sign](value, comparison.value))


def _checked(comparison: Comparison) -> Comparison:
    name, value = comparison.property, comparison.value
    kind = QUERYABLES.get(name)
    if kind is None:
        raise RequestError(f"filter: items cannot be searched by {excerpt(name)}: known are {', '.join(QUERYABLES)}.")
    if not isinstance(value, kind):
        what = "a number" if kind is float else "a text in single quotes"
        raise RequestError(f"filter: {name} is compared with {excerpt(value)}: give {what}.")
    return comparison


# ---- text ----


class _Words:
    """Words of a filter, one after the other."""

    def __init__(self, text: str) -> None:
        if len(text) > MOST_CHARACTERS:
            raise RequestError(f"The filter has {len(text):,} characters, more than {MOST_CHARACTERS:,}.")
        self._words = list(_split(text))
        self._place = 0

    @property
    def next(self) -> tuple[str, str]:
        """Kind and content of the next word; ("end", "") after the last."""
        return self._words[self._place] if self._place < len(self._words) else ("end", "")

    def take(self) -> tuple[str, str]:
        word = self.next
        self._place += 1
        return word

    def take_keyword(self, keyword: str) -> bool:
        kind, content = self.next
        found = kind == "name" and content.upper() == keyword
        self._place += found
        return found


def _split(text: str) -> Iterator[tuple[str, str]]:
    place, text = 0, text.rstrip()
    while place < len(text):
        found = _WORD.match(text, place)
        if found is None:
            raise RequestError(
                f"The filter cannot be read at {excerpt(text[place:].lstrip())}: write it as eo:cloud_cover < 80 AND"
                " sat:orbit_state = 'ascending'."
            )
        place = found.end()
        kind = str(found.lastgroup)
        content = found[kind]
        yield ("name" if kind == "quoted" else kind), content.replace("''", "'") if kind == "text" else content


def _of_text(text: str) -> list[Comparison]:
    words, found, level = _Words(text), list[Comparison](), 0
    while True:
        while words.next == ("sign", "("):
            words.take()
            level += 1
            if level > MOST_LEVELS:
                raise RequestError(f"The filter has more than {MOST_LEVELS} brackets in one another.")
        found += _comparison(words)
        _check_count(found)
        while words.next == ("sign", ")") and level:
            words.take()
            level -= 1
        if words.next[0] == "end" and not level:
            return found
        if not words.take_keyword("AND"):
            raise _not_understood(words.next)


def _comparison(words: _Words) -> list[Comparison]:
    left = _operand(words.take())
    if words.take_keyword("BETWEEN"):
        low = _operand(words.take())
        if not words.take_keyword("AND"):
            raise _not_understood(words.next)
        return _between(left, low, _operand(words.take()))
    kind, content = words.next
    sign = _OPERATORS.get(content.lower()) if kind in ("sign", "name") else None
    if sign is None:
        raise _not_understood((kind, content))
    words.take()
    return [_compared(left, sign, _operand(words.take()))]


class _Property(str):
    """The name of a property, where a text is meant otherwise."""

    __slots__ = ()


def _operand(word: tuple[str, str]) -> Value:
    kind, content = word
    if kind == "number":
        return float(content)
    if kind == "text":
        return content
    if kind == "name" and content.upper() not in ("AND", "OR", "NOT", "BETWEEN", "IN", "LIKE", "IS"):
        return _Property(content)
    raise _not_understood(word)


def _compared(left: Value, sign: str, right: Value) -> Comparison:
    if isinstance(left, _Property) and not isinstance(right, _Property):
        return Comparison(str(left), sign, right)
    if isinstance(right, _Property) and not isinstance(left, _Property):
        return Comparison(str(right), _MIRRORED[sign], left)
    raise RequestError("filter: a condition compares a property with a value, such as eo:cloud_cover < 80.")


def _between(value: Value, low: Value, high: Value) -> list[Comparison]:
    return [_compared(value, ">=", low), _compared(value, "<=", high)]


def _not_understood(word: tuple[str, str]) -> RequestError:
    kind, content = word
    what = "ends too early" if kind == "end" else f"has {excerpt(content)} where it is not understood"
    return RequestError(
        f"The filter {what}: known are = <> < <= > >= and BETWEEN ... AND ..., and AND between conditions."
    )


def _check_count(found: Sequence[object]) -> None:
    if len(found) > MOST_COMPARISONS:
        raise RequestError(f"The filter has more than {MOST_COMPARISONS} conditions.")


# ---- JSON ----


def _of_json(content: Mapping[str, Any]) -> Iterator[Comparison]:
    nodes: list[tuple[Any, int]] = [(content, 1)]
    count = 0
    while nodes:
        node, level = nodes.pop()
        if level > MOST_LEVELS:
            raise RequestError(f"The filter has more than {MOST_LEVELS} conditions in one another.")
        name, arguments = _operation(node)
        if name == "and":
            count += len(arguments)
            nodes += [(each, level + 1) for each in reversed(arguments[: MOST_COMPARISONS + 1])]
        elif name == "between" and len(arguments) == 3:
            yield from _between(*(_json_operand(each) for each in arguments))
        elif name in _OPERATORS and len(arguments) == 2:
            left, right = (_json_operand(each) for each in arguments)
            yield _compared(left, _OPERATORS[name], right)
        else:
            raise RequestError(
                f"filter: {excerpt(name)} with {len(arguments)} arguments is not known: known are"
                f" {', '.join(_OPERATORS)} with two, between with three, and `and`."
            )
        _check_count(range(count))


def _operation(node: Any) -> tuple[str, list[Any]]:
    name, arguments = (node.get("op"), node.get("args")) if isinstance(node, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(arguments, list) or not arguments or len(node) != 2:
        raise RequestError(
            f"filter: {excerpt(node)} is no condition: write it as"
            ' {"op": "<", "args": [{"property": "eo:cloud_cover"}, 80]}.'
        )
    return name.lower(), arguments


def _json_operand(value: Any) -> Value:
    if isinstance(value, dict) and list(value) == ["property"] and isinstance(value["property"], str):
        return _Property(value["property"])
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
        return float(value)
    raise RequestError(f"filter: {excerpt(value)} is neither a property nor a number nor a text.")
