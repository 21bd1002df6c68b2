"""What statistics are made of: bands, indices by name, and indices as formulas of bands."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.errors import BandError, ConfigurationError
from eotasks.models.series import normalized_difference
from eotasks.series import INDICES
from eotasks.text import did_you_mean, excerpt

FORMULAS: Mapping[str, str] = MappingProxyType(
    {
        "EVI": "2.5 * (B08 - B04) / (B08 + 6 * B04 - 7.5 * B02 + 1)",  # vegetation: Huete et al. 2002
        "EVI2": "2.5 * (B08 - B04) / (B08 + 2.4 * B04 + 1)",  # the same without blue: Jiang et al. 2008
        "SAVI": "1.5 * (B08 - B04) / (B08 + B04 + 0.5)",  # vegetation over bare soil: Huete 1988
    }
)
"""Indices that are no normalised difference, of reflectance."""

_NAME = re.compile(r"[A-Za-z_]\w*")
_LONGEST = 500
_TRIED = (0.0371, 0.223, 0.6113)
"""Reflectances that a formula is tried with."""
_OPERATORS: Mapping[type[ast.AST], Callable[..., Any]] = MappingProxyType(
    {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: operator.truediv,
        ast.USub: operator.neg,
        ast.UAdd: operator.pos,
    }
)
Numbers = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Quantity:
    """Something that a pixel has a number of."""

    name: str
    """Of the column ``band``."""

    bands: tuple[str, ...]
    """That it is made of: one, those of a normalised difference, or those of the formula."""

    formula: str = ""
    """Of bands; empty for a band, or a normalised difference."""

    def of(self, bands: Mapping[str, NDArray[Any]]) -> Numbers:
        """Its values, of bands of one shape; NaN or infinity where it has none, as 0/0.

        :param bands: At least its own.
        """
        if self.formula:
            numbers = {name: _numbers(bands[name]) for name in self.bands}
            with np.errstate(all="ignore"):
                value = _value(_parsed(self.name, self.formula).body, numbers)
            shape = np.broadcast_shapes(np.shape(value), *(each.shape for each in numbers.values()))
            return np.broadcast_to(np.asarray(value, dtype=np.float64), shape)
        if len(self.bands) == 2:
            return normalized_difference(bands[self.bands[0]], bands[self.bands[1]])
        return _numbers(bands[self.bands[0]])


def quantity_of(text: str) -> Quantity:
    """A quantity of its name (B04, NDVI), or of a name and a formula: ``NDVI=(B08-B04)/(B08+B04)``.

    :raises ConfigurationError: when it is neither.
    """
    name, equals, formula = (part.strip() for part in text.partition("="))
    if not _NAME.fullmatch(name) or (equals and not formula) or len(text) > _LONGEST:
        raise ConfigurationError(
            f"{excerpt(text)} is no band or index: give a name as B04 or NDVI, or NAME=FORMULA as"
            " 'NDVI=(B08-B04)/(B08+B04)'."
        )
    if name in INDICES and not formula:
        return Quantity(name, INDICES[name])
    formula = formula or FORMULAS.get(name, "")
    if not formula:
        return Quantity(name, (name,))
    tree = _parsed(name, formula)
    _check(tree.body, text)
    bands = tuple(dict.fromkeys(node.id for node in ast.walk(tree) if isinstance(node, ast.Name)))
    if not bands:
        raise _no_formula(text)
    _try(found := Quantity(name, bands, formula), text)
    return found


def quantities_of(texts: Iterable[str]) -> tuple[Quantity, ...]:
    """Several of them.

    :raises ConfigurationError: when there is none, one is none, or two have one name.
    """
    found = tuple(quantity_of(each) for each in texts)
    names = [each.name for each in found]
    if not found or len(set(names)) != len(names):
        raise ConfigurationError(f"bands and indices {names!r}: give at least one, and each once.")
    return found


def resolved(quantities: Sequence[Quantity], there: Sequence[str], *, where: str) -> tuple[Quantity, ...]:
    """Quantities of the bands that are there; one that is there under its own name is taken as it is.

    :raises BandError: one needs a band that is not there; names it, and what may have been meant.
    """
    found = []
    for quantity in quantities:
        own = quantity.name in there and quantity.formula in ("", FORMULAS.get(quantity.name))
        chosen = Quantity(quantity.name, (quantity.name,)) if own else quantity
        for band in chosen.bands:
            if band not in there:
                known = (*there, *INDICES, *FORMULAS)
                of = "" if quantity.name == band else f", which {quantity.name} is made of"
                raise BandError(
                    f"{where}: no band {band!r}{of}{did_you_mean(band, known)}; there are {', '.join(there)}, and"
                    f" indices of them: {', '.join((*INDICES, *FORMULAS))}."
                )
        found.append(chosen)
    return tuple(found)


def stacked(quantities: Sequence[Quantity], bands: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """(..., quantities): values of each, of bands (...)."""
    return np.stack([quantity.of(bands).astype(np.float64, copy=False) for quantity in quantities], axis=-1)


def _numbers(band: NDArray[Any]) -> Numbers:
    return band if band.dtype.kind == "f" else band.astype(np.float64)


def _parsed(name: str, formula: str) -> ast.Expression:
    try:
        return ast.parse(formula, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _no_formula(f"{name}={formula}") from error


def _check(node: ast.AST, text: str) -> None:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        _check(node.left, text)
        _check(node.right, text)
    elif isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        _check(node.operand, text)
    elif not (isinstance(node, ast.Name) or (isinstance(node, ast.Constant) and type(node.value) in (int, float))):
        raise _no_formula(text)


def _no_formula(text: str) -> ConfigurationError:
    return ConfigurationError(
        f"{excerpt(text, longest=80)}: a formula has names of bands, numbers, + - * / and brackets, as"
        " 'NDVI=(B08-B04)/(B08+B04)'."
    )


def _try(quantity: Quantity, text: str) -> None:
    """Refuse a formula that cannot be counted, or has no value whatever the bands are, as one with 1/0.

    :raises ConfigurationError: for these.
    """
    some = {band: np.array(_TRIED) * (1 + number / 7) for number, band in enumerate(quantity.bands)}
    try:
        has_value = bool(np.isfinite(quantity.of(some)).any())
    except (ArithmeticError, TypeError, RecursionError):  # numbers that are none, or of hundreds of digits
        has_value = False
    if not has_value:
        raise ConfigurationError(
            f"{excerpt(text, longest=80)} has no value, whatever the bands are: look for a division by zero and for"
            " numbers that are too large."
        )


def _value(node: ast.AST, bands: Mapping[str, Numbers]) -> Any:
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_value(node.left, bands), _value(node.right, bands))
    if isinstance(node, ast.UnaryOp):
        return _OPERATORS[type(node.op)](_value(node.operand, bands))
    if isinstance(node, ast.Name):
        return bands[node.id]
    assert isinstance(node, ast.Constant)
    return node.value
