"""How a source is chosen on the command line. Entries load what they open when it is opened."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from eotasks.workflows.zonal_stats.sources.base import Source


WORKER_OPTIONS = ("--executor", "--ray", "--workers", "--timeout")
"""Of sources whose images are measured by a batch."""


class SourceEntry(Protocol):
    """How a source is chosen on the command line."""

    name: ClassVar[str]

    options: ClassVar[tuple[str, ...]]
    """Options that it makes use of, some of which others do too; those of workers are among them."""

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        """Adds the option that chooses it, and those that it alone has; all are None where they are not given."""

    @staticmethod
    def is_chosen(arguments: argparse.Namespace) -> bool:
        """Whether the command line asks for it."""

    @staticmethod
    def open(arguments: argparse.Namespace) -> Source:
        """The source that a command line asks for.

        :raises ConfigurationError: its options do not fit.
        """


def time_of(text: str | None) -> tuple[str | None, str | None]:
    """First and last day of ``FIRST[/LAST]``, where .. leaves an end open."""
    if text is None:
        return None, None
    first, slash, last = text.partition("/")
    ends = [None if end in ("", "..") else end for end in (first, last if slash else first)]
    return ends[0], ends[1]
