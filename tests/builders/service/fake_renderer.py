"""An engine and a reader without JavaScript and without files: what a script draws is a function of place and day."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.features import geometry_mask
from shapely.geometry import box

from eotasks.errors import WARNING_FILTERS
from eotasks.service.contract.area import OutputArea
from eotasks.service.contract.data import DataRequest
from eotasks.service.errors import NotFoundError, RequestError, ScriptError, TooLargeError
from eotasks.service.evalscript.engine import Description, Evaluated
from eotasks.service.evalscript.planes import Pixels, Plane, SceneInfo, SourcePixels, TileInfo
from eotasks.service.evalscript.setup import Input, InputBand, Mosaicking, Output, SampleType, Setup
from eotasks.service.pixels.reader import Found
from eotasks.service.render import Renderer

Bands = Mapping[str, NDArray[np.float64]]
"""(h, w) by name, of SIMPLE mosaicking."""


@dataclass(frozen=True)
class Product:
    """A product of the fake reader."""

    time: dt.datetime
    cloud_cover: float | None = 0.0
    bounds: tuple[float, float, float, float] = (10.0, 50.0, 20.0, 55.0)
    """Degrees."""

    collection: str = "sentinel-2-l1c"

    @property
    def id(self) -> str:
        return f"product-{self.time:%Y%m%dT%H%M%S}"


@dataclass(frozen=True)
class FakeScript:
    """What stands for a script: its text is only a name."""

    setup: Setup
    draw: Callable[[Bands], Mapping[str, Sequence[NDArray[Any]]]]
    """From bands to the bands of each output."""


def setup_of(bands: Sequence[str], outputs: Mapping[str, Sequence[str]], **types: SampleType) -> Setup:
    """A set-up with one source. Outputs whose type is not said have none."""
    return Setup(
        (Input(tuple(InputBand(band) for band in bands)),),
        tuple(Output(name, tuple(names), types.get(name, SampleType.AUTO)) for name, names in outputs.items()),
    )


@dataclass
class FakeEngine:
    """Runs the scripts that it knows."""

    scripts: dict[str, FakeScript]
    runs: list[SceneInfo] = field(default_factory=list)
    """The first scene of each evaluation."""

    faults: dict[dt.date, list[Exception]] = field(default_factory=dict)
    """By day of the first product, what evaluations of it raise, one after the other."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    at_once: int = 0
    most_at_once: int = 0

    def describe(self, script: str, sources: Sequence[SourcePixels] = ()) -> Description:
        if script not in self.scripts:
            raise ScriptError("SyntaxError: the fake engine does not know this script.")
        return Description(self.scripts[script].setup, tuple(tuple(range(len(each.scenes))) for each in sources))

    def evaluate(self, script: str, pixels: Pixels, *, auto: SampleType = SampleType.AUTO) -> Evaluated:
        with self.lock:
            scene = pixels.sources[0].scenes[0]
            self.runs.append(scene)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            faults = self.faults.get(scene.date_from.date(), [])
            fault = faults.pop(0) if faults else None
        try:
            if fault is not None:
                raise fault
            known = self.scripts[script]
            bands = {
                plane.band: plane.values[0].astype(np.float64) / plane.divisor
                for source in pixels.sources
                for plane in source.planes
            }
            drawn = known.draw(bands)
            images = {
                output.id: _converted(np.stack(drawn[output.id], axis=-1), output.sample_type, auto)
                for output in known.setup.outputs
            }
            return Evaluated(images, None, known.setup)
        finally:
            with self.lock:
                self.at_once -= 1


def _converted(image: NDArray[Any], kind: SampleType, auto: SampleType) -> NDArray[Any]:
    kind = auto if kind is SampleType.AUTO else kind
    if kind is SampleType.AUTO:
        return np.asarray(np.clip(np.rint(image * 255), 0, 255), dtype=np.uint8)
    if kind is SampleType.FLOAT32:
        return image.astype(np.float32)
    limits = np.iinfo(kind.lower())
    return np.asarray(np.clip(np.rint(image), limits.min, limits.max), dtype=kind.lower())


def value(band: str, x: NDArray[Any], y: NDArray[Any], time: dt.datetime) -> NDArray[np.float32]:
    """Of a band at a place: 0..1, in steps of 0.0001 as reflectance has them."""
    number = x // 10 * 13 + y // 10 * 7 + time.timetuple().tm_yday * 101 + sum(band.encode()) * 17
    return np.asarray(np.mod(number, 10_000) / 10_000, dtype=np.float32)


@dataclass
class FakeReader:
    """Knows products, and makes their pixels."""

    products: list[Product]
    searches: list[tuple[DataRequest, Mosaicking]] = field(default_factory=list)
    most: int = 1_000

    def check(self, data: DataRequest, bands: Sequence[InputBand]) -> None:
        if data.collection not in ("sentinel-2-l1c", "sentinel-2-l2a"):
            raise NotFoundError(f"There is no collection {data.collection!r}.")
        unknown = [band.name for band in bands if not (band.name[0] == "B" or band.name in ("dataMask", "CLM", "CLP"))]
        if unknown:
            raise RequestError(f"{data.collection} has no band {unknown[0]!r}.")

    def find(self, data: DataRequest, area: OutputArea, mosaicking: Mosaicking) -> Found:
        self.searches.append((data, mosaicking))
        to_degrees = Transformer.from_crs(area.crs, "EPSG:4326", always_xy=True)
        ground = box(*to_degrees.transform_bounds(*area.bounds))
        found = [
            product
            for product in sorted(self.products, key=lambda each: each.time)
            if data.start <= product.time <= data.end
            and product.collection == data.collection
            and (product.cloud_cover or 0) <= data.max_cloud_coverage
            and ground.intersects(box(*product.bounds))
        ]
        if len(found) > self.most:
            raise TooLargeError(f"{len(found)} products are more than {self.most}.")
        tiles = [TileInfo(product.time, product.id, product.cloud_cover) for product in found]
        if mosaicking is Mosaicking.SIMPLE:
            times = [tile.time for tile in tiles] or [data.start]
            return Found((SceneInfo(times[0], times[-1], tuple(tiles)),), (tuple(found),))
        scenes = tuple(SceneInfo(tile.time, tile.time, (tile,)) for tile in tiles)
        return Found(scenes, tuple((product,) for product in found))

    def read(self, data: DataRequest, area: OutputArea, found: Found, bands: Sequence[InputBand]) -> tuple[Plane, ...]:
        x, y = centres(area)
        inside = inside_of(area)
        planes = []
        for band in bands:
            images = []
            for products in found.products:
                if not products:
                    images.append(np.zeros((area.height, area.width), np.float32))
                elif band.name == "dataMask":
                    images.append(inside.astype(np.float32))
                else:
                    images.append(np.where(inside, value(band.name, x, y, products[-1].time), 0))
            planes.append(Plane(band.name, np.stack(images).astype(np.float32)))
        return tuple(planes)


def centres(area: OutputArea) -> tuple[NDArray[Any], NDArray[Any]]:
    """(1, w) and (h, 1) middles of pixels."""
    left, _, _, top = area.bounds
    across, down = area.pixel_size
    x = left + (np.arange(area.width) + 0.5) * across
    y = top - (np.arange(area.height) + 0.5) * down
    return x[np.newaxis], y[:, np.newaxis]


def inside_of(area: OutputArea) -> NDArray[np.bool_]:
    """(h, w) pixels whose middle lies in the geometry."""
    if area.geometry is None:
        return np.ones((area.height, area.width), dtype=bool)
    left, _, _, top = area.bounds
    across, down = area.pixel_size
    transform = Affine(across, 0, left, 0, -down, top)
    with WARNING_FILTERS:  # which rasterio changes: intervals are drawn by several threads
        return np.asarray(geometry_mask([area.geometry], (area.height, area.width), transform, invert=True))


def renderer_of(scripts: dict[str, FakeScript], products: list[Product]) -> Renderer:
    """A renderer of fakes."""
    return Renderer(FakeEngine(scripts), FakeReader(products), 1 << 30)


def days(first: str, count: int, step: int = 1) -> Iterator[dt.datetime]:
    """Times of acquisitions, at ten past ten."""
    start = dt.datetime.fromisoformat(f"{first}T10:10:00")
    for number in range(count):
        yield start + dt.timedelta(days=number * step)
