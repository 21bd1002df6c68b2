"""A simulated year on the command line."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, ClassVar

from eotasks.workflows.zonal_stats.sources.entry import WORKER_OPTIONS, time_of
from eotasks.workflows.zonal_stats.sources.vocabulary import ACQUISITIONS, RESOLUTION

if TYPE_CHECKING:
    from eotasks.workflows.zonal_stats.sources.images.simulated import SimulatedSource


class SimulatedEntry:
    """``--simulated``."""

    name: ClassVar[str] = "simulated"
    options: ClassVar[tuple[str, ...]] = ("--seed", "--dates", "--resolution", *WORKER_OPTIONS)

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        """Adds its options."""
        group = parser.add_argument_group("images: a simulated year over the embedded scene, west of Berlin")
        group.add_argument("--simulated", action="store_true", help="simulated images, of known clouds and shadows")
        group.add_argument("--seed", type=int, metavar="N", help="of the simulation (42)")
        group.add_argument("--dates", type=int, metavar="N", help=f"dates of the year ({ACQUISITIONS})")
        group.add_argument(
            "--resolution",
            type=float,
            metavar="M",
            help=f"metres of a pixel ({RESOLUTION:g}; of products and services 10)",
        )

    @staticmethod
    def is_chosen(arguments: argparse.Namespace) -> bool:
        """Whether it is asked for."""
        return bool(arguments.simulated)

    @staticmethod
    def open(arguments: argparse.Namespace) -> SimulatedSource:
        """The source.

        :raises ConfigurationError: its options do not fit.
        """
        from eotasks.workflows.zonal_stats.sources.images.simulated import SimulatedSource

        given = {"seed": arguments.seed, "acquisitions": arguments.dates, "resolution": arguments.resolution}
        options = {name: value for name, value in given.items() if value is not None}
        return SimulatedSource(**options, time=time_of(arguments.time))
