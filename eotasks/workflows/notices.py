"""Warnings of ours as lines of a command's summary: the command hides warnings, which are for developers."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from eotasks.errors import EOTasksWarning
from eotasks.workflows.console import print_line

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def typed_warnings(told: list[str]) -> Iterator[None]:
    """Collects what warnings of ours say in its block, each text once; others stay hidden.

    Of this thread's block: the filters of warnings belong to the whole process.

    :param told: Gets the texts, in their order.
    """
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", EOTasksWarning)
            yield
    finally:
        told += [text for text in dict.fromkeys(str(each.message) for each in caught) if text not in told]


def print_warnings(console: Console, told: Iterable[str]) -> None:
    """Shows warnings as lines of a summary."""
    for text in told:
        print_line(console, f"Warning: {text}")
