"""Requests of many kinds, the same for the same seed: what a service is asked in a day, in little."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pyproj import Transformer

CATALOG = "/api/v1/catalog/1.0.0"
PROCESS, STATISTICS, FIS, TOKEN = "/api/v1/process", "/api/v1/statistics", "/ogc/fis/any", "/oauth/token"
LEFT, BOTTOM, RIGHT, TOP = 330_000, 5_814_360, 345_360, 5_822_040
"""The ground of the embedded scene, EPSG:32633."""
PERIOD = {"from": "2017-01-01T00:00:00Z", "to": "2017-12-31T23:59:59Z"}

_SIMPLE = {
    "colours": ('["B02","B03","B04"]', "{bands: 3}", "return [2.5 * s.B04, 2.5 * s.B03, 2.5 * s.B02];"),
    "clouds": ('["CLM","CLP","dataMask"]', '{bands: 3, sampleType: "UINT8"}', "return [s.CLM, s.CLP, s.dataMask];"),
    "index": (
        '["B04","B08"]',
        '{bands: 1, sampleType: "FLOAT32"}',
        "return [(s.B08 - s.B04) / (s.B08 + s.B04)];",
    ),
    "numbers": (
        '{bands: ["B01","B8A","B12"], units: "DN"}',
        '{bands: 3, sampleType: "UINT16"}',
        "return [s.B01, s.B8A, s.B12];",
    ),
}
_STATISTICS = """//VERSION=3
function setup() {
  return { input: ["B04", "B08", "CLM", "dataMask"], output: [
    {id: "default", bands: 2, sampleType: "FLOAT32"}, {id: "dataMask", bands: 1}] };
}
function evaluatePixel(s) {
  return { default: [(s.B08 - s.B04) / (s.B08 + s.B04), s.CLM], dataMask: [s.dataMask] };
}"""
_USER_DATA = """//VERSION=3
function setup() {
  return { input: ["B04", "CLP"], mosaicking: "ORBIT", output: [
    {id: "default", bands: 1, sampleType: "UINT8"}, {id: "clouds", bands: 1, sampleType: "UINT8"}] };
}
let pixels = 0;
function evaluatePixel(samples) {
  pixels += samples.length;
  let most = 0, sum = 0;
  for (const s of samples) { sum += s.B04; if (s.CLP > most) most = s.CLP; }
  return { default: [200 * sum / samples.length], clouds: [most] };
}
function updateOutputMetadata(scenes, inputMetadata, outputMetadata) {
  outputMetadata.userData = { pixels: pixels, scenes: scenes.orbits.length };
}"""


@dataclass(frozen=True)
class Asked:
    """One request. Its answer is the same whenever it is asked, but for what is new in every token."""

    kind: str
    method: str
    path: str
    content: dict[str, Any] = field(default_factory=dict)
    """Of `requests.request`: "json", "data", "params", "headers"."""
    authorized: bool = True
    is_exact: bool = True
    """Whether all of its answer is the same, and not its status alone."""

    @property
    def is_login(self) -> bool:
        """Whether a token is asked for."""
        return self.path == TOKEN


def requests_of(seed: int, count: int, client_id: str, secret: str) -> list[Asked]:
    """Different requests, of all kinds.

    :param client_id: Of a client that there is, with its secret.
    """
    chance = random.Random(seed)
    kinds: dict[Callable[[random.Random], Asked], int] = {
        _process: 54,
        _statistics: 6,
        _catalog: 17,
        _fis: 4,
        lambda chance: _login(chance, client_id, secret): 2,
        _bad: 17,
    }
    makers = chance.choices(list(kinds), list(kinds.values()), k=count)
    return [make(chance) for make in makers]


def _process(chance: random.Random) -> Asked:
    name = chance.choice([*_SIMPLE, "orbits", "tiles", "user data", "user data"])
    accept = {}
    responses: list[dict[str, Any]] = []
    if name == "user data":
        script = _USER_DATA
        parts = ("default", "image/png"), ("clouds", "image/tiff"), ("userdata", "application/json")
        responses = [{"identifier": part, "format": {"type": form}} for part, form in parts]
        accept = {"Accept": "application/x-tar"}
    else:
        script, forms = _script(name)
        responses = [{"identifier": "default", "format": {"type": chance.choice(forms)}}]
    output: dict[str, Any] = {"responses": responses}
    side = chance.choice((8, 16, 33))
    bounds, metres = _ground(chance)
    if metres is not None and chance.random() < 0.3:
        output |= {"resx": metres / side, "resy": metres / side}
    else:
        output |= {"width": side, "height": chance.choice((8, 16, 33))}
    document = {"input": {"bounds": bounds, "data": [_data(chance)]}, "evalscript": script, "output": output}
    return Asked(f"process: {name}", "POST", PROCESS, {"json": document, "headers": accept})


def _script(name: str) -> tuple[str, tuple[str, ...]]:
    """A script, and the formats that its image may have."""
    if name in ("orbits", "tiles"):
        setup = f'["B02","CLM"], mosaicking: "{name[:-1].upper()}"'
        body = "let n = 0; for (const each of s) n += each.CLM === 1 ? 100 : each.B02; return [n / s.length];"
        return declared_script(setup, '{bands: 1, sampleType: "FLOAT32"}', body), ("image/tiff",)
    bands, output, body = _SIMPLE[name]
    pictures = ("image/png", "image/jpeg", "image/tiff")
    return declared_script(bands, output, body), (
        "image/tiff",
    ) if "FLOAT32" in output or "UINT16" in output else pictures


def declared_script(bands: str, output: str, body: str) -> str:
    """A script of version 3; its samples are `s`."""
    return (
        f"//VERSION=3\nfunction setup() {{ return {{input: {bands}, output: {output}}}; }}\n"
        f"function evaluatePixel(s) {{ {body} }}"
    )


def _box(chance: random.Random) -> tuple[float, float, float, float]:
    """Of one to five kilometres, some of them over the edge."""
    side = chance.randrange(1000, 5000)
    x, y = chance.randrange(LEFT - 500, RIGHT - side), chance.randrange(BOTTOM, TOP + 500 - side)
    return x, y, x + side, y + side


def _ground(chance: random.Random) -> tuple[dict[str, Any], float | None]:
    """Bounds, and how wide they are in metres where their CRS has metres."""
    box = _box(chance)
    code = chance.choice((32633, 32633, 3857, 4326))
    if code != 32633:
        box = _reprojection(code).transform_bounds(*box)
    bounds: dict[str, Any] = {"properties": {"crs": f"http://www.opengis.net/def/crs/EPSG/0/{code}"}}
    if chance.random() < 0.2:
        left, bottom, right, top = box
        ring = [[left, bottom], [right, bottom], [left, top], [left, bottom]]
        bounds["geometry"] = {"type": "Polygon", "coordinates": [ring]}
    else:
        bounds["bbox"] = list(box)
    return bounds, None if code == 4326 else box[2] - box[0]


@cache
def _reprojection(code: int) -> Transformer:
    return Transformer.from_crs(32633, code, always_xy=True)


def _data(chance: random.Random) -> dict[str, Any]:
    filters: dict[str, Any] = {"timeRange": PERIOD}
    filters["mosaickingOrder"] = chance.choice(("mostRecent", "leastRecent", "leastCC"))
    if chance.random() < 0.3:
        filters["maxCloudCoverage"] = chance.choice((20, 60, 100))
    ways = ("NEAREST", "NEAREST", "BILINEAR", "BICUBIC")
    processing = {"upsampling": chance.choice(ways), "downsampling": chance.choice(ways)}
    return {"type": "sentinel-2-l1c", "dataFilter": filters, "processing": processing}


def _statistics(chance: random.Random) -> Asked:
    bounds, _ = _ground(chance)
    side = chance.choice((8, 20))
    calculations = {
        "default": {
            "histograms": {"default": {"nBins": 5, "lowEdge": -1, "highEdge": 1}},
            "statistics": {"default": {"percentiles": {"k": [25, 50, 90]}}},
        }
    }
    aggregation = {
        "evalscript": _STATISTICS,
        "timeRange": {"from": "2017-01-01T00:00:00Z", "to": "2017-01-02T23:59:59Z"},
        "aggregationInterval": {"of": chance.choice(("P1D", "P2D")), "lastIntervalBehavior": "EXTEND"},
        "width": side,
        "height": side,
    }
    document: dict[str, Any] = {"input": {"bounds": bounds, "data": [_data(chance)]}, "aggregation": aggregation}
    if chance.random() < 0.7:
        document["calculations"] = calculations
    return Asked("statistics", "POST", STATISTICS, {"json": document})


def _catalog(chance: random.Random) -> Asked:
    way = chance.randrange(4)
    box = list(_reprojection(4326).transform_bounds(*_box(chance)))
    interval = f"{PERIOD['from']}/{PERIOD['to']}"
    if way == 0:
        search = {"collections": ["sentinel-2-l1c"], "datetime": interval, "bbox": box, "limit": chance.randint(1, 9)}
        if chance.random() < 0.5:
            search |= {"filter": f"eo:cloud_cover < {chance.randint(1, 100)}", "filter-lang": "cql2-text"}
        if chance.random() < 0.2:
            search |= {"distinct": "date"}
        return Asked("catalog: search", "POST", f"{CATALOG}/search", {"json": search})
    if way == 1:
        text = {"collections": "sentinel-2-l1c", "datetime": interval, "bbox": ",".join(map(str, box)), "limit": 3}
        return Asked("catalog: search", "GET", f"{CATALOG}/search", {"params": text})
    if way == 2:
        paths = "/collections", "/collections/sentinel-2-l1c", "/collections/sentinel-2-l2a/queryables"
        return Asked("catalog: collections", "GET", f"{CATALOG}{chance.choice(paths)}")
    text = {"limit": chance.randint(1, 5)}
    return Asked("catalog: items", "GET", f"{CATALOG}/collections/sentinel-2-l1c/items", {"params": text})


def _fis(chance: random.Random) -> Asked:
    left, bottom, right, top = _box(chance)
    parameters: dict[str, Any] = {
        "LAYER": chance.choice(("NDVI", "CLOUDS")),
        "CRS": "EPSG:32633",
        "TIME": "2017-01-01/2017-01-02",
        "RESOLUTION": "100m",
        "GEOMETRY": f"POLYGON (({left} {bottom}, {right} {bottom}, {left} {top}, {left} {bottom}))",
    }
    if chance.random() < 0.5:
        parameters |= {"BINS": 5, "TYPE": "EQUIDISTANT"}
    if chance.random() < 0.5:
        return Asked("fis", "GET", FIS, {"params": parameters})
    return Asked("fis", "POST", FIS, {"json": parameters})


def _login(chance: random.Random, client_id: str, secret: str) -> Asked:
    good = chance.random() < 0.7
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret if good else "wrong"}
    return Asked("token" if good else "token: refused", "POST", TOKEN, {"data": form}, authorized=False)


def _bad(chance: random.Random) -> Asked:
    """What is to be refused, each in another way."""
    good = _process(chance)
    document = json.loads(json.dumps(good.content["json"]))
    way = chance.choices(range(12), [4] * 11 + [1])[0]  # the last takes seconds
    content: dict[str, Any] = {"json": document}
    match way:
        case 0:
            return Asked("bad: no JSON", "POST", PROCESS, {"data": '{"input": ', "headers": _JSON})
        case 1:
            document["input"]["data"][0]["type"] = "sentinel-9"
        case 2:
            document["evalscript"] = declared_script('["B99"]', "{bands: 1}", "return [1];")
        case 3:
            document["evalscript"] = "//VERSION=3\nfunction setup( {"
        case 4:
            document["evalscript"] = declared_script('["B02"]', "{bands: 1}", "throw new Error('on purpose');")
        case 5:
            document["output"] = {"width": 2501, "height": 16}
        case 6:
            return Asked("bad: no token", "POST", PROCESS, content, authorized=False)
        case 7:
            content["headers"] = {"Authorization": "Bearer forged.token.of-nobody"}
            return Asked("bad: forged token", "POST", PROCESS, content, authorized=False)
        case 8:
            return Asked("bad: no address", "GET", "/api/v1/nothing")
        case 9:
            search = {"collections": ["sentinel-2-l1c"], "filter": "eo:cloud_cover <", "filter-lang": "cql2-text"}
            return Asked("bad: filter", "POST", f"{CATALOG}/search", {"json": search})
        case 10:
            document["input"]["bounds"] = {"bbox": [1e300, 0, -1e300, "x"]}
        case _:
            bomb = "const a = []; for (;;) a.push(new Array(1e6));"
            document["evalscript"] = declared_script('["B02"]', "{bands: 1}", bomb)
            return Asked("bad: a script that fills the memory", "POST", PROCESS, content, is_exact=False)
    return Asked(f"bad: process {way}", "POST", PROCESS, content)


_JSON = {"Content-Type": "application/json"}
