"""Scripts without functions: the body of a function whose arguments are bands."""

from __future__ import annotations

import json
import re

from eotasks.service.errors import ScriptError
from eotasks.service.evalscript.context import Context
from eotasks.service.evalscript.script import Script, expressions, scanned

_DECLARED_TWICE = re.compile(r"Identifier '([\w$]+)' has already been declared")

_NO_EXPRESSION = re.compile(r"\s*(?:\{|(?:async\s+)?function\b|class\b|let\s*\[)")
"""With these no statement begins that is an expression."""


def load_body(context: Context, script: Script) -> tuple[str, ...]:
    """Make the function of a body and give it to the driver.

    A body ends with `return`, or gives the value of its last expression.

    :return: The bands that are its arguments: those that it names, but for those that it declares itself.
    :raises ScriptError: when it is no JavaScript; says the line.
    """
    text, bands = script.text, script.bands
    if not context.is_script(text):  # it has a return, or is no JavaScript
        return _load(context, bands, text)
    for start in expressions(text):
        before, last = text[:start], text[start:].rstrip().rstrip(";")
        if last.strip() and not _NO_EXPRESSION.match(scanned(last).code):
            candidate = f"{before}return ({last}\n);"
            if context.parses(candidate):
                return _load(context, bands, candidate)
    # The value of a statement, such as an if: V8 knows it, at the price of compiling for each pixel.
    return _load(context, bands, f"return eval({json.dumps(text)});")


def _load(context: Context, bands: tuple[str, ...], body: str) -> tuple[str, ...]:
    try:
        context.load(f"evaluateBody(function ({', '.join(bands)}) {{{body}\n}})")
    except ScriptError as error:
        again = _DECLARED_TWICE.search(str(error))
        if again is None or again.group(1) not in bands:
            raise
        return _load(context, tuple(band for band in bands if band != again.group(1)), body)
    return bands
