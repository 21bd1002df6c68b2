"""EOPatches on the command line."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, ClassVar

from eotasks.workflows.zonal_stats.sources.entry import WORKER_OPTIONS, time_of
from eotasks.workflows.zonal_stats.sources.vocabulary import MASKS

if TYPE_CHECKING:
    from eotasks.workflows.zonal_stats.sources.images.eopatches import EOPatchSource


class EOPatchEntry:
    """``--eopatches FOLDER``."""

    name: ClassVar[str] = "eopatches"
    options: ClassVar[tuple[str, ...]] = (
        "--bands-feature",
        "--band-names",
        "--cloud-mask",
        "--shadow",
        "--is-data",
        *WORKER_OPTIONS,
    )

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        """Adds its options."""
        group = parser.add_argument_group("images: EOPatches")
        group.add_argument("--eopatches", metavar="PLACE", help="folder or s3://bucket/prefix of EOPatches, or one")
        group.add_argument("--bands-feature", metavar="TYPE/NAME", help="of the numbers (data/BANDS)")
        group.add_argument("--band-names", metavar="B,B,...", help="of the bands, in order (told by their count)")
        group.add_argument("--cloud-mask", metavar="TYPE/NAME", help="0 clear, 1 cloud, 255 none (mask/CLM); or none")
        group.add_argument("--shadow", metavar="TYPE/NAME", help="1 shadow, 255 none (mask/SHADOW); or none")
        group.add_argument("--is-data", metavar="TYPE/NAME", help="pixels with data (mask/IS_DATA); or none")

    @staticmethod
    def is_chosen(arguments: argparse.Namespace) -> bool:
        """Whether it is named."""
        return arguments.eopatches is not None

    @staticmethod
    def open(arguments: argparse.Namespace) -> EOPatchSource:
        """The source.

        :raises ConfigurationError: its options do not fit.
        """
        from eotasks.workflows.zonal_stats.sources.images.eopatches import EOPatchSource

        masks = {name: getattr(arguments, name) for name in MASKS if getattr(arguments, name) is not None}
        names = arguments.band_names
        return EOPatchSource(
            arguments.eopatches,
            bands=arguments.bands_feature or "data/BANDS",
            band_names=None if names is None else [each.strip() for each in names.split(",")],
            masks=masks,
            time=time_of(arguments.time),
        )
