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

    :raises ConfigurationError: when it names none, or several, or gives options of another one.
    """
    chosen = [entry for entry in SOURCES if entry.is_chosen(arguments)]
    if len(chosen) != 1:
        options = ", ".join(f"--{entry.name}" for entry in SOURCES)
        found = f"{' and '.join(f'--{entry.name}' for entry in chosen)} are several sources" if chosen else "no source"
        raise ConfigurationError(f"{found}: say where the images are, by one of {options}.")
    _refuse_options_of_others(chosen[0], arguments)
    return chosen[0].open(arguments)


def _refuse_options_of_others(chosen: type[SourceEntry], arguments: argparse.Namespace) -> None:
    """An option that would do nothing is a mistake of whoever gives it.

    :raises ConfigurationError: names it, and the sources that it belongs to.
    """
    for option in dict.fromkeys(option for entry in SOURCES for option in entry.options):
        given = getattr(arguments, option.removeprefix("--").replace("-", "_")) is not None
        if given and option not in chosen.options:
            owners = " and ".join(f"--{entry.name}" for entry in SOURCES if option in entry.options)
            raise ConfigurationError(
                f"{option} belongs to {owners}, and does nothing with --{chosen.name}: leave it out, or choose the"
                " other source."
            )
