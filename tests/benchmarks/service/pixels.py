"""Pixels of a request against rasterio reading the same windows: ``python -m tests.benchmarks.service.pixels``.

The product is the embedded scene repeated over a tile (tests/builders/tile.py), packed as the ground segment packs one.
A request is 512 x 512 pixels of 10 m: six bands, CLP and CLM. Both sides read the same windows in turns in one process;
rasterio opens each file of a band, and reads the window to 512 x 512 pixels. Rows: requests whose ground was read
before ("kept", as a map or a series of fields asks), with nothing kept but open products ("decoded anew"), several
clients at a time, and three bands of a field of a square kilometre on sixty dates (the tile under other dates), whose
blocks are more than is kept, asked twice. Look at the ratios: seconds of a shared machine mean little.
"""

from __future__ import annotations

import datetime as dt
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import from_bounds

from eotasks.catalogue.items import item_of
from eotasks.catalogue.store import Catalogue
from eotasks.imagery.scene import Scene, open_scene
from eotasks.service.contract.area import OutputArea
from eotasks.service.contract.data import DataRequest
from eotasks.service.evalscript.setup import InputBand, Mosaicking
from eotasks.service.pixels.read import CatalogueReader, ReadingLimits
from tests.benchmarks.archive.tiles import add_products
from tests.benchmarks.figures import Figure
from tests.benchmarks.service.command import run
from tests.builders.tile import EPSG, LEFT, TOP, build_tile

BANDS = ("B02", "B03", "B04", "B08", "B11", "B12")
SIDE = 512
FIELD, FIELD_BANDS, DATES = 100, ("B02", "B03", "B04"), 60
NAME = "service-pixels"
DATA = DataRequest("sentinel-2-l1c", dt.datetime(2017, 2, 1), dt.datetime(2017, 3, 1))  # noqa: DTZ001
WANTED = tuple(InputBand(name) for name in (*BANDS, "CLP", "CLM"))


def areas(pixels: int, count: int) -> list[OutputArea]:
    """Windows of the tile, the same every time."""
    free = pixels - SIDE
    corners = np.random.default_rng(1).integers(0, free + 1, (count, 2)) * 10 if free else np.zeros((count, 2), int)
    return [
        OutputArea(
            f"EPSG:{EPSG}",
            (LEFT + float(x), TOP - float(y) - SIDE * 10, LEFT + float(x) + SIDE * 10, TOP - float(y)),
            SIDE,
            SIDE,
        )
        for x, y in corners
    ]


def ours(reader: CatalogueReader, area: OutputArea) -> None:
    """One request."""
    reader.check(DATA, WANTED)
    reader.read(DATA, area, reader.find(DATA, area, Mosaicking.SIMPLE), WANTED)


def peer(scene: Scene, area: OutputArea, bands: Sequence[str] = BANDS) -> None:
    """The same windows by rasterio, without clouds."""
    for band in bands:
        with rasterio.open(scene.product.files.raster_path(scene.product.bands[band].name)) as source:
            window = from_bounds(*area.bounds, transform=source.transform)
            source.read(1, window=window, out_shape=(area.height, area.width))


def series(product: Path, folder: Path, pixels: int) -> list[Figure]:
    """The rows of the field: by rasterio, when it is asked for first, and again."""
    catalogue = Catalogue(folder / f"dates-{pixels}.parquet")
    products = add_products(product, folder / f"dates-{pixels}", DATES) if not catalogue.exists() else []
    if products:
        catalogue.add([item_of(open_scene(str(each))) for each in products])
    reader = CatalogueReader.open([catalogue.location])
    corner = (pixels - FIELD) // 2 * 10
    west, north = LEFT + corner, TOP - corner
    field = OutputArea(f"EPSG:{EPSG}", (west, north - FIELD * 10, west + FIELD * 10, north), FIELD, FIELD)
    period = dt.datetime(2017, 2, 1), dt.datetime(2018, 2, 1)  # noqa: DTZ001
    data, wanted = DataRequest("sentinel-2-l1c", *period), tuple(InputBand(name) for name in FIELD_BANDS)

    def ask(area: OutputArea) -> None:
        reader.read(data, area, reader.find(data, area, Mosaicking.ORBIT), wanted)

    scene = open_scene(str(product))

    def by_rasterio(area: OutputArea) -> None:
        for _ in range(DATES):  # the pixels of all dates are the same files
            peer(scene, area, FIELD_BANDS)

    (theirs,), (first,), (again,) = (seconds(work, [field]) for work in (by_rasterio, ask, ask))
    return [
        Figure(f"a field on {DATES} dates: rasterio", theirs, "s"),
        Figure("the same: asked first / rasterio", first / theirs, "x"),
        Figure("the same: asked again / rasterio", again / theirs, "x"),
    ]


def seconds(work: Callable[[OutputArea], None], grounds: Sequence[OutputArea]) -> list[float]:
    """Of each request."""
    found = []
    for ground in grounds:
        begun = time.perf_counter()
        work(ground)
        found.append(time.perf_counter() - begun)
    return found


def by_clients(work: Callable[[OutputArea], None], grounds: Sequence[OutputArea], clients: int) -> list[float]:
    """Of each request of several clients at a time, each with all of them."""
    with ThreadPoolExecutor(clients) as pool:
        return [each for found in pool.map(lambda _: seconds(work, grounds), range(clients)) for each in found]


def measure(folder: Path, pixels: int, repeats: int, clients: int) -> list[Figure]:
    """All rows."""
    product = build_tile(folder / f"tile-{pixels}", pixels=(pixels, pixels))
    catalogue = Catalogue(folder / f"products-{pixels}.parquet")
    if not catalogue.exists():
        catalogue.add([item_of(open_scene(str(product)))])
    scene, grounds = open_scene(str(product)), areas(pixels, repeats)
    kept = CatalogueReader.open([catalogue.location])
    anew = CatalogueReader.open([catalogue.location], limits=ReadingLimits(decoded_bytes=0))
    for reader in (kept, anew):  # masks are computed, files opened
        for ground in grounds:
            ours(reader, ground)
    rows: dict[str, list[float]] = {"rasterio": [], "kept": [], "decoded anew": []}
    for ground in grounds:
        rows["rasterio"] += seconds(lambda area: peer(scene, area), [ground])
        rows["kept"] += seconds(lambda area: ours(kept, area), [ground])
        rows["decoded anew"] += seconds(lambda area: ours(anew, area), [ground])
    middle = {name: statistics.median(found) for name, found in rows.items()}
    several = by_clients(lambda area: ours(kept, area), grounds * 3, clients)
    last = float(np.percentile(several, 99))
    return [
        Figure("rasterio, six bands", middle["rasterio"], "s"),
        Figure("ours, kept: six bands, CLP, CLM", middle["kept"], "s"),
        Figure("ours, kept / rasterio", middle["kept"] / middle["rasterio"], "x"),
        Figure("ours, decoded anew / rasterio", middle["decoded anew"] / middle["rasterio"], "x"),
        Figure(f"{clients} clients, kept: p99 / p50", last / statistics.median(several), "x"),
        *series(product, folder, pixels),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table."""
    run(NAME, __doc__, measure, arguments)


if __name__ == "__main__":
    main()
