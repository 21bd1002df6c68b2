"""What a format is to the fuzzer: samples, how they are spoiled, and the readers that are fed with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.hostile.mutations import Grammar

Read = Callable[[bytes], object]
"""Feeds the readers of a format with a file."""


@dataclass(frozen=True)
class Format:
    """A kind of file that is read."""

    name: str
    grammar: Grammar

    prepare: Callable[[Path], tuple[Sequence[bytes], Read]]
    """Makes sound samples, and what reads them, in a folder. Starts no thread that has to be there afterwards: the
    process is forked."""

    tokens: tuple[bytes, ...] = ()
    """Words of the format."""

    head: int = 0
    """Bytes at either end that hold most of the structure of a binary file; 0 where all of it does."""

    online: bool = False
    """Whether its readers may ask for addresses that a file names."""
