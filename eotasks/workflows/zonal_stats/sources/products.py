"""Products on the command line, and the options that they share with a Statistical API."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, ClassVar

from eotasks.errors import ConfigurationError
from eotasks.workflows.zonal_stats.sources.entry import time_of

if TYPE_CHECKING:
    from eotasks.workflows.zonal_stats.sources.tables.products import ProductSource

_CLOUDS = ("s2cloudless", "stored", "scl", "none")


class ProductEntry:
    """``--products PLACE``."""

    name: ClassVar[str] = "products"
    options: ClassVar[tuple[str, ...]] = ("--masks", "--level", "--maxcc", "--clouds", "--resolution")

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        """Adds its options."""
        group = parser.add_argument_group("products: a catalogue, an archive of masks, a STAC API, a folder")
        group.add_argument(
            "--products", metavar="PLACE", help="catalogue (.parquet), archive, https:// API, folder, or s3:// prefix"
        )
        group.add_argument("--masks", metavar="DIR", help="eotasks cloud-mask files of a folder of products")
        group.add_argument("--level", choices=("L1C", "L2A"), help="of the products (L1C)")
        group.add_argument("--maxcc", type=float, metavar="C", help="greatest cloud cover of a whole scene, 0..1 (1)")
        group.add_argument(
            "--clouds", metavar="NAME",
            help="of products: s2cloudless, stored, scl or none (stored where there are masks, scl of L2A,"
            " s2cloudless); of a Statistical API: clm, clm+shadow, scl or none (clm, scl of L2A)",
        )  # fmt: skip

    @staticmethod
    def is_chosen(arguments: argparse.Namespace) -> bool:
        """Whether it is named."""
        return arguments.products is not None

    @staticmethod
    def open(arguments: argparse.Namespace) -> ProductSource:
        """The source.

        :raises ConfigurationError: its options do not fit.
        """
        if arguments.clouds is not None and arguments.clouds not in _CLOUDS:
            raise ConfigurationError(f"--clouds {arguments.clouds}: of products give one of {', '.join(_CLOUDS)}.")
        from eotasks.workflows.zonal_stats.sources.tables.products import ProductSource

        named = {name: getattr(arguments, name) for name in ("level", "maxcc", "resolution", "clouds")}
        return ProductSource(
            arguments.products, masks=arguments.masks, time=time_of(arguments.time), **without_none(named)
        )


def without_none(options: dict[str, Any]) -> dict[str, Any]:
    """Options that were given."""
    return {name: value for name, value in options.items() if value is not None}
