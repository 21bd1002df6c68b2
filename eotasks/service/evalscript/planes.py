"""What an engine gets besides the script: scenes and pixels, and nothing else."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry


@dataclass(frozen=True)
class TileInfo:
    """A product, as `scenes.tiles` of a script tells it."""

    time: dt.datetime
    """UTC, naive."""

    id: str
    """The product's name, for `shId` and `dataPath`: never its place, which is not the client's business."""

    cloud_cover: float | None = None
    """Percent of the whole product, 0..100."""

    footprint: BaseGeometry | None = None
    """Where it has data, degrees. Workers are not given it."""

    bounds: str | None = None
    """JSON of `dataGeometry` and `dataEnvelope`, where a script asks for them."""


@dataclass(frozen=True)
class SceneInfo:
    """One sample of a pixel, as `scenes.orbits` and `scenes.tiles` of a script tell it: all (SIMPLE), the products of
    a day (ORBIT), or one (TILE).
    """

    date_from: dt.datetime
    date_to: dt.datetime
    """UTC, naive; the bounds of the day for ORBIT."""

    tiles: tuple[TileInfo, ...]


@dataclass(frozen=True)
class Plane:
    """A band of all scenes. What a script sees is ``values / divisor``, computed in double precision."""

    band: str
    """The name in the samples."""

    values: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]
    """(scenes, h, w), C order."""

    divisor: float = 1.0


@dataclass(frozen=True)
class SourcePixels:
    """Scenes of one source of data, and their pixels."""

    scenes: tuple[SceneInfo, ...]
    """In the order in which a script gets them. Of SIMPLE mosaicking exactly one, also where no product is found."""

    planes: tuple[Plane, ...] = ()
    """Each with as many scenes. None while a script is only described."""

    datasource: str | None = None
    metadata: dict[str, object] = field(default_factory=dict)
    """`inputMetadata` of the script: "normalizationFactor", "serviceVersion"."""

    period: tuple[dt.datetime, dt.datetime] | None = None
    """What the request asked for, UTC, naive: `from` and `to` of `preProcessScenes`."""

    considered: tuple[SceneInfo, ...] = ()
    """The scenes that the script's hooks chose `scenes` from, which are among them: hooks remember what they saw, so
    they are called again where pixels are. Empty where none was left out."""


@dataclass(frozen=True)
class Pixels:
    """All that a script is run on."""

    height: int
    width: int
    sources: tuple[SourcePixels, ...]
