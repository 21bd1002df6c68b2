"""What the service asks of its pixels; where they come from is the reader's business."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from eotasks.service.contract.area import OutputArea
from eotasks.service.contract.data import DataRequest
from eotasks.service.evalscript.planes import Plane, SceneInfo
from eotasks.service.evalscript.setup import InputBand, Mosaicking


class Found(NamedTuple):
    """Products of a request as the scenes that a script sees; no pixel of them is read."""

    scenes: tuple[SceneInfo, ...]
    """One, of all products, for SIMPLE (also of none); else as many as there are, in the order of the mosaic."""

    products: tuple[Any, ...]
    """For the reader: what each scene is read from."""


class PixelReader(Protocol):
    """Finds products and reads bands of them. May be used by several threads."""

    def check(self, data: DataRequest, bands: Sequence[InputBand]) -> None:
        """Refuse a collection, bands or units that do not exist, before anything is searched.

        :raises RequestError: says which there are.
        :raises NotFoundError: for an unknown collection.
        """
        ...

    def find(self, data: DataRequest, area: OutputArea, mosaicking: Mosaicking) -> Found:
        """Search for the scenes of a request.

        :raises RequestError: when pixels are wider than what is served of the collection.
        """
        ...

    def read(self, data: DataRequest, area: OutputArea, found: Found, bands: Sequence[InputBand]) -> tuple[Plane, ...]:
        """Read bands of scenes, 0 where there are none: outside products, outside the geometry.

        :param found: What `find` gave, or some of its scenes.
        :param bands: As `check` let them pass.
        :return: A plane for each band, in order; of each as many scenes as found.
        """
        ...
