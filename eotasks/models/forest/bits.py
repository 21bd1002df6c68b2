"""Bits of numbers in compiled code."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def _lowest_bit(_typing_context: Any, _number: Any) -> Any:
    def code(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], cgutils.true_bit)  # true: never asked of 0

    return types.uint64(types.uint64), code


lowest_bit: Any = intrinsic(_lowest_bit)
"""The number of the lowest bit that is set in a uint64 above 0: one instruction of the processor."""
