"""Pixels for evalscripts, without products, and the pieces that scripts of tests have in common."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.service.evalscript.planes import Pixels, Plane, SceneInfo, SourcePixels, TileInfo

PERIOD = (dt.datetime.fromisoformat("2024-01-01"), dt.datetime.fromisoformat("2024-12-31T23:59:59"))
MASKS = frozenset({"dataMask", "SCL", "CLM", "CLP", "SNW", "CLD"})
"""Bands that scripts see as they are; of all others a ten thousandth."""


def scene(month: int, *, day: int = 5, mosaicking: str = "ORBIT", cloud_cover: float | None = None) -> SceneInfo:
    """A scene of 2024: its day (ORBIT), or its product (TILE)."""
    time = dt.datetime.fromisoformat(f"2024-{month:02}-{day:02}T10:06:07")
    tile = TileInfo(time, f"S2A_2024{month:02}{day:02}", cloud_cover)
    if mosaicking == "TILE":
        return SceneInfo(time, time, (tile,))
    midnight = time.replace(hour=0, minute=0, second=0)
    return SceneInfo(midnight, midnight + dt.timedelta(hours=23, minutes=59, seconds=59), (tile,))


def planes(bands: Mapping[str, NDArray[Any]]) -> tuple[Plane, ...]:
    """Bands of (scenes, h, w), or of (h, w) for one scene. Integers but masks are DN of reflectances."""
    made = []
    for name, values in bands.items():
        whole = values[None] if values.ndim == 2 else values
        is_dn = whole.dtype.kind == "u" and name not in MASKS
        made.append(Plane(name, whole, 10_000.0 if is_dn else 1.0))
    return tuple(made)


def source(
    bands: Mapping[str, NDArray[Any]],
    scenes: Sequence[SceneInfo] | None = None,
    *,
    datasource: str | None = None,
    considered: Sequence[SceneInfo] = (),
) -> SourcePixels:
    """Pixels of one source; without scenes those of one mosaic."""
    return SourcePixels(
        tuple(scenes) if scenes is not None else (scene(6),),
        planes(bands),
        datasource,
        {"serviceVersion": "1.0.0", "normalizationFactor": 0.0001},
        PERIOD,
        tuple(considered),
    )


def pixels(bands: Mapping[str, NDArray[Any]], scenes: Sequence[SceneInfo] | None = None, **options: Any) -> Pixels:
    """Pixels of a request with one source."""
    height, width = next(iter(bands.values())).shape[-2:]
    return Pixels(height, width, (source(bands, scenes, **options),))


def dn(seed: int, *shape: int, low: int = 1, high: int = 12_000) -> NDArray[np.uint16]:
    """Digital numbers, some of them brighter than 1."""
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.uint16)


def simple(body: str, *, bands: str = '"B04"', output: str = "{bands: 1}") -> str:
    """A V3 script with one sample a pixel."""
    return (
        f"//VERSION=3\nfunction setup() {{ return {{input: [{bands}], output: {output}}}; }}\n"
        f"function evaluatePixel(samples, scenes, inputMetadata, customData, outputMetadata) {{ {body} }}\n"
    )
