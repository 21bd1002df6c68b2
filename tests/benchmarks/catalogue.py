"""Searching 100,000 STAC items: our catalogue, as a file and in parts, against geopandas, which reads the whole file.

    python -m tests.benchmarks.catalogue [--items 100000] [--searches 200]

The items are simulated: squares of the size of a tile over the land latitudes, ten years of time, one asset each of the
13 bands. All answer the same searches (a box of a patch, half a year, a cloud limit) and have to find the same items.
Then a day's products are added to both. Beside the wall clock stand CPU seconds, which other work on the machine
changes less.
"""

from __future__ import annotations

import argparse
import datetime as dt
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pystac
from shapely.geometry import box, mapping
from shapely.geometry.base import BaseGeometry

from eotasks.catalogue import Catalogue
from eotasks.catalogue.fields import PRODUCT_ASSET
from eotasks.catalogue.items import extensions_of
from eotasks.catalogue.table import sorted_table, table_of, to_parquet
from eotasks.models.sentinel2 import BANDS, NATIVE_RESOLUTION

Search = dict[str, Any]
START = dt.datetime(2015, 7, 1, tzinfo=dt.UTC)
DAYS = 3650
PORTION = 5_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--searches", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report(Path(folder) / "catalogue.parquet", arguments.items, arguments.searches)


def report(path: Path, items: int, searches: int) -> None:
    """Builds the file, times both, prints a table."""
    began = time.perf_counter()
    build(path, items)
    print(f"{items} simulated items: {path.stat().st_size / 1e6:.1f} MB, built in {time.perf_counter() - began:.0f} s")
    queries = make_searches(searches)
    began = time.perf_counter()
    Catalogue(path).search(**queries[0])
    print(f"first search of a process, libraries loaded on the way: {time.perf_counter() - began:.3f} s")
    parts = Catalogue(path).split(path.with_name("parts.parquet"))
    runs = {
        "eotasks, one file": (Catalogue(path), queries),
        "eotasks, parts": (parts, queries),
        "geopandas, whole file, no items": (None, queries[: min(3, searches)]),
    }
    print(f"{'search':<34}{'median':>10}{'99 %':>10}{'slowest':>10}{'CPU median':>12}{'99 %':>10}")
    found: dict[str, list[list[str]]] = {}
    medians = []
    for name, (catalogue, asked) in runs.items():
        seconds, used, found[name] = timed(_search_of(catalogue, path), asked)
        medians.append(statistics.median(seconds))
        figures = (medians[-1], np.percentile(seconds, 99), max(seconds))
        print(f"{name:<34}" + "".join(f"{each * 1e3:>7.1f} ms" for each in figures), end="")
        print(f"{statistics.median(used) * 1e3:>9.1f} ms{np.percentile(used, 99) * 1e3:>7.1f} ms")
    ours, in_parts, theirs = found.values()
    assert ours == in_parts, "file and parts do not find the same items"
    assert ours[: len(theirs)] == theirs, "eotasks and geopandas do not find the same items"
    average = sum(map(len, ours)) / searches
    print(f"{average:.1f} items found on average; {medians[2] / medians[1]:.1f} x")
    rng = np.random.default_rng(5)
    day = [_item(items + index, rng) for index in range(min(300, items))]
    for name, (catalogue, _) in list(runs.items())[:2]:
        assert catalogue is not None
        began = time.perf_counter()
        catalogue.add(day)
        print(f"{name}: {len(day)} products added in {time.perf_counter() - began:.2f} s")


def _search_of(catalogue: Catalogue | None, path: Path) -> Callable[[Search], list[str]]:
    """What answers a search: a catalogue, or None for geopandas."""
    if catalogue is None:
        return lambda query: by_geopandas(path, query)
    return lambda query: sorted(item.id for item in catalogue.search(**query))


def timed(
    search: Callable[[Search], list[str]], queries: list[Search]
) -> tuple[list[float], list[float], list[list[str]]]:
    """Seconds by the wall and of CPU, and results of each search; one is made before that does not count."""
    search(queries[0])
    seconds, used, results = [], [], []
    for query in queries:
        began, cpu = time.perf_counter(), time.process_time()
        results.append(search(query))
        seconds.append(time.perf_counter() - began)
        used.append(time.process_time() - cpu)
    return seconds, used, results


def by_geopandas(path: Path, query: Search) -> list[str]:
    """The same by what is at hand without a catalogue."""
    import geopandas

    frame = geopandas.read_parquet(path, columns=["id", "geometry", "datetime", "eo:cloud_cover"])
    first, last = (np.datetime64(day) for day in query["time_interval"])
    moments = frame["datetime"].dt.tz_localize(None)
    chosen = (
        frame.intersects(box(*query["bbox"]))
        & (moments >= first)
        & (moments < last + np.timedelta64(1, "D"))
        & (frame["eo:cloud_cover"] <= query["max_cloud_cover"] * 100)
    )
    return sorted(frame.loc[chosen, "id"])


def make_searches(count: int) -> list[Search]:
    """Boxes of 10 km, half a year, at most 80 % cloud."""
    rng = np.random.default_rng(7)
    searches = []
    for _ in range(count):
        west, south = rng.uniform(-20, 40), rng.uniform(35, 65)
        first = START + dt.timedelta(days=int(rng.integers(0, DAYS - 183)))
        last = first + dt.timedelta(days=183)
        searches.append(
            {
                "bbox": (west, south, west + 0.14, south + 0.09),
                "time_interval": (first.date().isoformat(), last.date().isoformat()),
                "max_cloud_cover": 0.8,
            }
        )
    return searches


def build(path: Path, count: int) -> None:
    """A catalogue of simulated items, as `Catalogue.add` would write it."""
    import pyarrow as pa

    rng = np.random.default_rng(3)
    tables = [table_of([_item(index, rng) for index in range(start, min(start + PORTION, count))])
              for start in range(0, count, PORTION)]  # fmt: skip
    path.write_bytes(to_parquet(sorted_table(pa.concat_tables(tables))))


def _item(index: int, rng: np.random.Generator) -> pystac.Item:
    """Tiles of a European grid, so that many items share their place."""
    west, south = -20 + rng.integers(0, 60) * 1.0, 35 + rng.integers(0, 30) * 1.0
    time = START + dt.timedelta(seconds=int(rng.integers(0, DAYS * 86_400)))
    area = box(west, south, west + 1.4, south + 1.0)
    return simulated_item(index, area=area, time=time, cloud=float(rng.uniform(0, 100)))


def simulated_item(
    index: int,
    *,
    time: dt.datetime,
    name: str | None = None,
    area: BaseGeometry | None = None,
    tile: str = "33UUU",
    cloud: float = 50.0,
) -> pystac.Item:
    """An item with thirteen bands, of a product that is not there.

    :param area: Its place; None: that of its number in a grid of tiles over Europe.
    """
    if area is None:
        west, south = -20 + index % 60 * 1.0, 35 + index // 60 % 30 * 1.0
        area = box(west, south, west + 1.4, south + 1.0)
    name = name or f"S2A_{index:07}"
    item = pystac.Item(
        id=name,
        geometry=mapping(area),
        bbox=list(area.bounds),
        datetime=time,
        properties={
            "platform": "sentinel-2a", "eo:cloud_cover": cloud, "proj:code": "EPSG:32633",
            "grid:code": f"MGRS-{tile}", "processing:level": "L1C", "s2:processing_baseline": "05.10",
        },
    )  # fmt: skip
    item.add_asset(PRODUCT_ASSET, pystac.Asset(f"s3://archive/{name}.SAFE", roles=["data", "archive"]))
    for band in BANDS:
        size = NATIVE_RESOLUTION[band]
        fields = {
            "gsd": float(size), "eo:bands": [{"name": band}], "proj:shape": [109_800 // size] * 2,
            "raster:bands": [{"nodata": 0.0, "data_type": "uint16", "scale": 1e-4, "offset": -0.1}],
            "proj:transform": [float(size), 0.0, 300_000.0, 0.0, -float(size), 5_900_040.0],
        }  # fmt: skip
        item.add_asset(band, pystac.Asset(f"s3://archive/{name}.SAFE/{band}.jp2", roles=["data"], extra_fields=fields))
    item.stac_extensions = extensions_of(item)
    return item


if __name__ == "__main__":
    main()
