"""A Statistical API on the command line."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, ClassVar

from eotasks.errors import ConfigurationError
from eotasks.workflows.zonal_stats.sources.entry import time_of
from eotasks.workflows.zonal_stats.sources.products import without_none

if TYPE_CHECKING:
    from eotasks.workflows.zonal_stats.sources.tables.sentinelhub import StatisticalSource

_CLOUDS = {"clm": "CLM", "clm+shadow": "CLM+SHADOW", "scl": "SCL", "none": "none"}
_DEFAULT = ""


class StatisticalEntry:
    """``--sentinelhub [PROFILE]``."""

    name: ClassVar[str] = "sentinelhub"
    options: ClassVar[tuple[str, ...]] = ("--collection", "--level", "--maxcc", "--clouds", "--resolution")

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        """Adds its options."""
        group = parser.add_argument_group("tables: a Statistical API, such as Sentinel Hub or eotasks serve")
        group.add_argument(
            "--sentinelhub", nargs="?", const=_DEFAULT, metavar="PROFILE",
            help="of the sentinelhub package, which says the service and the account (its default)",
        )  # fmt: skip
        group.add_argument("--collection", metavar="NAME", help="SENTINEL2_L1C or SENTINEL2_L2A (by --level)")

    @staticmethod
    def is_chosen(arguments: argparse.Namespace) -> bool:
        """Whether it is named."""
        return arguments.sentinelhub is not None

    @staticmethod
    def open(arguments: argparse.Namespace) -> StatisticalSource:
        """The source.

        :raises ConfigurationError: its options do not fit.
        """
        if arguments.clouds is not None and arguments.clouds not in _CLOUDS:
            raise ConfigurationError(
                f"--clouds {arguments.clouds}: of a Statistical API give one of {', '.join(_CLOUDS)}."
            )
        from eotasks.workflows.zonal_stats.sources.tables.sentinelhub import StatisticalSource

        named = {
            "resolution": arguments.resolution,
            "maxcc": arguments.maxcc,
            "clouds": None if arguments.clouds is None else _CLOUDS[arguments.clouds],
            "data_collection": arguments.collection or f"SENTINEL2_{arguments.level or 'L1C'}",
        }
        return StatisticalSource(
            arguments.sentinelhub or None, time=time_of(arguments.time), **without_none(named)
        )  # fmt: skip
