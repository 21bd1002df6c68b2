"""Layers: names that stand for a collection and a script, for interfaces whose requests have no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eotasks.errors import BandError
from eotasks.models.sentinel2 import BANDS
from eotasks.service.contract.names import L1C, L2A
from eotasks.service.errors import NotFoundError
from eotasks.text import did_you_mean, excerpt


@dataclass(frozen=True)
class Layer:
    """A named script."""

    name: str
    title: str
    collection: str
    script: str | None
    """None for a collection whose scripts are in requests."""


def _of_bands(bands: Sequence[str], units: str = "REFLECTANCE") -> str:
    """A script that gives bands as they are, and which pixels have data."""
    if not bands:
        raise BandError("No bands: name at least one.")
    names = ", ".join(f'"{band}"' for band in bands)
    kinds = ", ".join(f'"{units}"' for _ in bands)
    values = ", ".join(f"sample.{band}" for band in bands)
    return f"""//VERSION=3
function setup() {{
  return {{
    input: [{{bands: [{names}, "dataMask"], units: [{kinds}, "DN"]}}],
    output: [
      {{id: "default", bands: {len(bands)}, sampleType: "FLOAT32"}},
      {{id: "dataMask", bands: 1, sampleType: "UINT8"}},
    ],
  }};
}}
function evaluatePixel(sample) {{
  return {{default: [{values}], dataMask: [sample.dataMask]}};
}}
"""


_NDVI = """//VERSION=3
function setup() {
  return {
    input: [{bands: ["B04", "B08", "dataMask"]}],
    output: [
      {id: "default", bands: 1, sampleType: "FLOAT32"},
      {id: "dataMask", bands: 1, sampleType: "UINT8"},
    ],
  };
}
function evaluatePixel(sample) {
  const sum = sample.B08 + sample.B04;
  return {
    default: [sum === 0 ? 0 : (sample.B08 - sample.B04) / sum],
    dataMask: [sum === 0 ? 0 : sample.dataMask],
  };
}
"""

_CLOUD = """//VERSION=3
function setup() {
  return {
    input: [{bands: ["CLM", "CLP", "dataMask"], units: "DN"}],
    output: [
      {id: "default", bands: ["cloud", "probability"], sampleType: "FLOAT32"},
      {id: "dataMask", bands: 1, sampleType: "UINT8"},
    ],
  };
}
function evaluatePixel(sample) {
  return {
    default: [sample.CLM, sample.CLP / 255],
    dataMask: [sample.CLM === 255 ? 0 : sample.dataMask],
  };
}
"""

LAYERS: Mapping[str, Layer] = {
    layer.name: layer
    for layer in (
        Layer("BANDS-S2-L1C", "All bands of L1C", L1C, _of_bands(BANDS)),
        Layer("BANDS-S2-L2A", "All bands of L2A", L2A, _of_bands([band for band in BANDS if band != "B10"])),
        Layer("NDVI", "NDVI of L1C", L1C, _NDVI),
        Layer("NDVI-L2A", "NDVI of L2A", L2A, _NDVI),
        Layer("CLOUDS", "Cloud mask (1 cloud, 0 clear) and probability (0..1)", L1C, _CLOUD),
        Layer(L1C, "Scripts of requests, over L1C", L1C, None),
        Layer(L2A, "Scripts of requests, over L2A", L2A, None),
    )
}
"""By name."""


def layer_of(name: str) -> Layer:
    """A layer by its name, in any case.

    :raises NotFoundError: names those that there are.
    """
    by_lower = {each.name.lower(): each for each in LAYERS.values()}
    if name.lower() not in by_lower:
        raise NotFoundError(
            f"There is no layer {excerpt(name)}{did_you_mean(name, LAYERS)}. There are {', '.join(LAYERS)}."
        )
    return by_lower[name.lower()]
