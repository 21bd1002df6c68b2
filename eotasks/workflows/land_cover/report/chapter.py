"""A part of the report about one chain: its pictures say when they are simulated, and those missing are listed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from eotasks.workflows.land_cover.report.results import ChainResult, Layer
from eotasks.workflows.report.page import CellValue, ImageFormat, Section
from eotasks.workflows.report.raster import Raster
from eotasks.workflows.report.style import styled

SIMULATED = "Simulated data."
SIMULATED_ACCURACY = "Simulated data: says nothing about accuracy in the field."

_MAP_DPI = 132


@dataclass
class Chapter:
    """A section of the report together with the chain it is about."""

    section: Section
    result: ChainResult
    accuracy: bool = False
    """The section is about accuracy: the captions of simulated data then say that it is none of the field."""

    absent: dict[str, str] = field(default_factory=dict)
    """Pictures that are not there -> reason."""

    def map(self, figure: Figure, caption: str, *, alt: str, real: bool = False) -> None:
        """Add a map (a PNG).

        :param real: nothing in it is simulated, whatever the chain.
        """
        self._figure(figure, caption, alt, "png", real)

    def chart(self, figure: Figure, caption: str, *, alt: str, real: bool = False) -> None:
        """Add a chart (an SVG)."""
        self._figure(figure, caption, alt, "svg", real)

    def table(
        self,
        header: Sequence[str],
        rows: Iterable[Sequence[CellValue]],
        caption: str,
        *,
        folded: bool = False,
        real: bool = False,
    ) -> None:
        """Add a table."""
        self.section.table(header, rows, caption if real else self.caption(caption), folded=folded)

    def layer(self, name: Layer, what: str) -> Raster | None:
        """A map of the chain, or None after noting that it is missing."""
        raster = self.result.maps.get(name)
        if raster is None or raster.values.size == 0:
            self.miss(name, what)
            return None
        return raster

    def miss(self, name: str, what: str, reason: str = "") -> None:
        """Note that something is not shown.

        :param name: key of :attr:`ChainResult.reasons`.
        :param what: what the reader would have seen.
        :param reason: used when the chain gives none.
        """
        reasons = self.result.reasons
        self.absent[what] = reasons.get(name) or reason or reasons.get("*", "")

    def close(self) -> None:
        """List what is not shown at the end of the section."""
        self.section.absent(self.absent)

    def caption(self, text: str) -> str:
        """The caption, marked when the chain is simulated."""
        if not self.result.simulated:
            return text
        return f"{text} {SIMULATED_ACCURACY if self.accuracy else SIMULATED}"

    @styled  # ticks are made when the figure is drawn, with the settings of that moment
    def _figure(self, figure: Figure, caption: str, alt: str, image_format: ImageFormat, real: bool) -> None:
        if not real:
            caption = self.caption(caption)
            alt = f"Simulated data: {alt}" if self.result.simulated else alt
        self.section.figure(figure, caption, alt=alt, image_format=image_format, dpi=_MAP_DPI)
