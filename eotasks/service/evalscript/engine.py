"""What the service asks of an engine of evalscripts; how it does it is its own business."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from eotasks.service.evalscript.planes import Pixels, SourcePixels
from eotasks.service.evalscript.setup import SampleType, Setup


@dataclass(frozen=True)
class Description:
    """What a script declares, once it knows its scenes."""

    setup: Setup
    kept: tuple[tuple[int, ...], ...] = ()
    """Of each source the positions of the scenes that the script's hooks leave; empty while no scenes were given."""


@dataclass(frozen=True)
class Evaluated:
    """What a script gives."""

    images: Mapping[str, NDArray[Any]]
    """By output: (h, w, bands), int8, uint8, int16, uint16 or float32 as its sample type says; AUTO is uint8, or
    float32 where that was asked for."""

    user_data: Any | None = None
    """`outputMetadata.userData`, JSON; None where the script sets none."""

    setup: Setup | None = None
    """As the script declared it in this run."""


class Engine(Protocol):
    """Runs scripts of strangers. May be used by several threads."""

    def describe(self, script: str, sources: Sequence[SourcePixels] = ()) -> Description:
        """Ask a script what it declares, and with scenes also which of them it keeps and what `updateOutput` changes.

        :param script: Its text.
        :param sources: Scenes, without pixels, one for each input of the script; empty to ask for the set-up only.
        :raises ScriptError: when the script fails; ScriptTimeoutError when its time is over.
        :raises BusyError: when no worker is free in time.
        """
        ...

    def evaluate(self, script: str, pixels: Pixels, *, auto: SampleType = SampleType.AUTO) -> Evaluated:
        """Run a script on pixels, in a world of its own that nothing of it outlives.

        Hooks that leave out scenes have been asked before (`describe`): the pixels are of those that are kept.

        :param auto: What outputs give whose sample type is AUTO or not declared: FLOAT32 for statistics, which the
            values enter as the script returns them; AUTO for images.
        :raises ScriptError: as `describe`.
        :raises BusyError: as `describe`.
        """
        ...
