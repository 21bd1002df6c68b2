"""The sources of field statistics, and which of them a command line means."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from eotasks.errors import ConfigurationError
from eotasks.workflows.zonal_stats.sources.entry import SourceEntry
from eotasks.workflows.zonal_stats.sources.eopatches import EOPatchEntry
from eotasks.workflows.zonal_stats.sources.products import ProductEntry
from eotasks.workflows.zonal_stats.sources.sentinelhub import StatisticalEntry
from eotasks.workflows.zonal_stats.sources.simulated import SimulatedEntry

if TYPE_CHECKING:
    from eotasks.workflows.zonal_stats.sources.base import Source

SOURCES: tuple[type[SourceEntry], ...] = (EOPatchEntry, ProductEntry, StatisticalEntry, SimulatedEntry)
"""A line for each; all else is in its module."""


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of all sources."""
    for entry in SOURCES:
        entry.add_options(parser)


def source_of(arguments: argparse.Namespace) -> Source:
    """The source that a command line asks for.

    :raises ConfigurationError: when it names none, or several.
    """
    chosen = [entry for entry in SOURCES if entry.is_chosen(arguments)]
    if len(chosen) != 1:
        options = ", ".join(f"--{entry.name}" for entry in SOURCES)
        found = f"{' and '.join(f'--{entry.name}' for entry in chosen)} are several sources" if chosen else "no source"
        raise ConfigurationError(f"{found}: say where the images are, by one of {options}.")
    return chosen[0].open(arguments)
