"""Searching 100,000 STAC items: our catalogue against geopandas, which reads the whole file and then looks.

    python -m tests.benchmarks.catalogue [--items 100000] [--searches 20]

The items are simulated: squares of the size of a tile over the land latitudes, ten years of time, one asset each of the
13 bands. Both answer the same searches (a box of a patch, a month, a cloud limit) and have to find the same items.
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
    parser.add_argument("--searches", type=int, default=20)
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
    catalogue = Catalogue(path)
    ours, ours_found = timed(lambda query: sorted(item.id for item in catalogue.search(**query)), queries)
    theirs, theirs_found = timed(lambda query: by_geopandas(path, query), queries[: min(3, searches)])
    assert ours_found[: len(theirs_found)] == theirs_found, "the two do not find the same items"
    found = sum(map(len, ours_found)) / searches
    print(f"{'search':<34}{'median':>10}{'slowest':>10}")
    for name, seconds in (("eotasks (DuckDB, items made)", ours), ("geopandas (whole file, no items)", theirs)):
        print(f"{name:<34}{statistics.median(seconds) * 1e3:>7.1f} ms{max(seconds) * 1e3:>7.1f} ms")
    print(f"{found:.1f} items found on average; {statistics.median(theirs) / statistics.median(ours):.1f} x")


def timed(search: Callable[[Search], list[str]], queries: list[Search]) -> tuple[list[float], list[list[str]]]:
    """Seconds and results of each search."""
    seconds, results = [], []
    for query in queries:
        began = time.perf_counter()
        results.append(search(query))
        seconds.append(time.perf_counter() - began)
    return seconds, results


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
    area = box(west, south, west + 1.4, south + 1.0)
    name = f"S2A_{index:07}"
    item = pystac.Item(
        id=name,
        geometry=mapping(area),
        bbox=list(area.bounds),
        datetime=START + dt.timedelta(seconds=int(rng.integers(0, DAYS * 86_400))),
        properties={
            "platform": "sentinel-2a", "eo:cloud_cover": float(rng.uniform(0, 100)), "proj:code": "EPSG:32633",
            "grid:code": "MGRS-33UUU", "processing:level": "L1C", "s2:processing_baseline": "05.10",
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
