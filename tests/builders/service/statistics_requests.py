"""Requests of the Statistical API, as they should be and as they should not."""

from __future__ import annotations

import copy
from typing import Any

BOX = (330_000.0, 5_814_000.0, 330_400.0, 5_814_300.0)
CRS = {"crs": "http://www.opengis.net/def/crs/EPSG/0/32633"}


def request(script: str = "red", **changes: Any) -> dict[str, Any]:
    """Of the documentation's kind."""
    document: dict[str, Any] = {
        "input": {
            "bounds": {"bbox": list(BOX), "properties": CRS},
            "data": [{"type": "sentinel-2-l1c", "dataFilter": {"mosaickingOrder": "leastRecent"}}],
        },
        "aggregation": {
            "timeRange": {"from": "2019-06-01T00:00:00Z", "to": "2019-06-30T00:00:00Z"},
            "aggregationInterval": {"of": "P1D"},
            "evalscript": script,
            "resx": 10,
            "resy": 10,
        },
    }
    document["aggregation"] |= changes
    return document


def changed(path: str, content: Any) -> dict[str, Any]:
    document = copy.deepcopy(request())
    document["calculations"] = {"default": {"histograms": {"default": {"nBins": 5}}, "statistics": {}}}
    *parents, last = path.split(".")
    node: Any = document
    for name in parents:
        node = node[int(name) if name.isdigit() else name]
    node[last] = content
    return document


HISTOGRAM = "calculations.default.histograms.default"
HOSTILE: dict[str, tuple[str, Any, str, int]] = {
    "no script": ("aggregation.evalscript", None, "evalscript", 400),
    "unknown script": ("aggregation.evalscript", "while(true);", "SyntaxError", 400),
    "no mask": ("aggregation.evalscript", "unmasked", "dataMask", 400),
    "no intervals": ("aggregation.aggregationInterval", None, "aggregationInterval", 400),
    "hours": ("aggregation.aggregationInterval.of", "PT1H", "a day at least", 400),
    "not a duration": ("aggregation.aggregationInterval.of", "P" + "9" * 100_000 + "D", "of", 400),
    "a million intervals": (
        "aggregation.timeRange", {"from": "0001-01-01T00:00:00Z", "to": "2739-01-01T00:00:00Z"}, "4,000", 413,
    ),
    "backwards": ("aggregation.timeRange", {"from": "2019-06-02", "to": "2019-06-01"}, "before", 400),
    "no moment": ("aggregation.timeRange", {"from": "2019-06-01", "to": "2019-06-01T00:00:00Z"}, "later", 400),
    "after the calendar": ("aggregation.timeRange", {"from": "9999-12-01", "to": "9999-12-31"}, "9999", 400),
    "no time": ("aggregation.timeRange", {"from": "yesterday", "to": "2019-06-01"}, "no time", 400),
    "unknown word": ("aggregation.aggregationInterval", {"of": "P1D", "lastIntervalBehaviour": "SKIP"}, "unknown", 400),
    "huge nBins": (f"{HISTOGRAM}.nBins", 10**9, "10,000", 400),
    "huge float nBins": (f"{HISTOGRAM}.nBins", 1e300, "10,000", 400),
    "half a bin": (f"{HISTOGRAM}.nBins", 2.5, "nBins", 400),
    "a true bin": (f"{HISTOGRAM}.nBins", True, "nBins", 400),
    "no bins": (f"{HISTOGRAM}.nBins", 0, "1 or more", 400),
    "two ways": (f"{HISTOGRAM}.binWidth", 1, "one of", 400),
    "NaN edge": (f"{HISTOGRAM}.lowEdge", float("nan"), "finite", 400),
    "infinite edge": (f"{HISTOGRAM}.highEdge", float("inf"), "finite", 400),
    "edge beyond numbers": (f"{HISTOGRAM}.highEdge", 10**400, "finite", 400),
    "many edges": (HISTOGRAM, {"bins": list(range(20_000))}, "bins", 400),
    "edges that fall": (HISTOGRAM, {"bins": [1, 0]}, "greater", 400),
    "edges of texts": (HISTOGRAM, {"bins": ["0", "1"]}, "bins", 400),
    "narrow bins": (HISTOGRAM, {"binWidth": 1e-12, "lowEdge": 0, "highEdge": 1}, "10,000", 400),
    "percentile": ("calculations.default.statistics", {"default": {"percentiles": {"k": [101]}}}, "percent", 400),
    "NaN percentile": (
        "calculations.default.statistics", {"default": {"percentiles": {"k": [float("nan")]}}}, "percent", 400,
    ),
    "huge percentile": (
        "calculations.default.statistics", {"default": {"percentiles": {"k": [10**400]}}}, "percent", 400,
    ),
    "many percentiles": (
        "calculations.default.statistics", {"default": {"percentiles": {"k": list(range(100)) * 2}}}, "100", 400,
    ),
    "unknown output": ("calculations.nothing", {"statistics": {}}, "nothing", 400),
    "unknown band": ("calculations.default.histograms.B7", {"nBins": 3}, "B7", 400),
    "unknown collection": ("input.data.0.type", "landsat", "landsat", 404),
    "time of its own": (
        "input.data.0.dataFilter.timeRange", {"from": "2019-06-02", "to": "2019-06-03"}, "aggregation.timeRange", 400,
    ),
    "no data": ("input.data", [], "data", 400),
    "no ground": ("input.bounds", {}, "bbox", 400),
    "too many pixels": ("aggregation.resx", 0.001, "width", 400),
    "NaN resolution": ("aggregation.resx", float("nan"), "resx", 400),
    "resolution of zero": ("aggregation.resy", 0, "resy", 400),
}  # fmt: skip
