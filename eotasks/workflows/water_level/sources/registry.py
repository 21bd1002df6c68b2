"""The sources of pixels, each with its option of the command; their modules are loaded when one is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eotasks.workflows.water_level.sources.base import PixelSource, SourceRequest


@dataclass(frozen=True)
class SourceOption:
    """How the command names a source."""

    option: str
    help: str
    module: str
    """Whose function ``open_source(request)`` makes it."""

    metavar: str | None = None
    """Of the location that it takes; None for a source without one."""

    @property
    def name(self) -> str:
        """As argparse keeps it."""
        return self.option.removeprefix("--").replace("-", "_")

    def open(self, request: SourceRequest) -> PixelSource:
        """The source.

        :raises EOTasksError: it cannot be used as asked.
        """
        source: PixelSource = import_module(self.module).open_source(request)
        return source


_HERE = "eotasks.workflows.water_level.sources"

SOURCES: tuple[SourceOption, ...] = (
    SourceOption("--demo", "simulated lakes whose true levels are known: from nothing to report", f"{_HERE}.demo"),
    SourceOption("--sample", "the embedded scene of 16 February 2017; its lakes, or yours", f"{_HERE}.sample"),
    SourceOption("--simulated", "a simulated year over the embedded scene; its lakes, or yours", f"{_HERE}.simulated"),
    SourceOption(
        "--products",
        "folder of Sentinel-2 L1C products, one of them, or a catalogue (.parquet) or STAC API (https://…)",
        f"{_HERE}.products",
        metavar="PLACE",
    ),
    SourceOption(
        "--eopatches", "folder or s3:// prefix of EOPatches with data/BANDS", f"{_HERE}.eopatches", metavar="PLACE"
    ),
)
