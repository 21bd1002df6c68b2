"""Texts of others in CSV files, which people open with spreadsheets: these run what looks like a formula."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import pandas as pd

from eotasks.text import printable

_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]")
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)

_Value = TypeVar("_Value")


def cell_text(value: _Value) -> _Value | str:
    """A text of which everything is seen, and that is no formula: an apostrophe before it, as spreadsheets have it.

    Numbers that are written as texts, and what is no text, stay as they are. A text that begins with an apostrophe gets
    one more, so that no two texts give one cell: `text_of_cell` takes them away.
    """
    if not isinstance(value, str):
        return value
    seen = printable(value)
    is_formula = _FORMULA.match(seen) and not _NUMBER.fullmatch(seen)
    return f"'{seen}" if is_formula or seen.startswith("'") else seen


def text_of_cell(cell: str) -> str:
    """The text of which `cell_text` has made a cell; characters that were written out stay so."""
    return cell.removeprefix("'")


def with_plain_cells(table: pd.DataFrame) -> pd.DataFrame:
    """A table for a CSV file: `cell_text` of every text, those of a category once."""
    changed: dict[Any, Any] = {}
    for name in table.columns:
        column = table[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            if any(cell_text(each) != each for each in column.cat.categories):
                changed[name] = column.astype(object).map(cell_text)
        elif column.dtype == object or pd.api.types.is_string_dtype(column.dtype):
            changed[name] = column.map(cell_text, na_action="ignore")
    return table.assign(**changed) if changed else table
