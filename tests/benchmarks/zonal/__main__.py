"""Field statistics: seconds per field and date against rasterstats on the same rasters, and a whole run.

``python -m tests.benchmarks.zonal`` makes fields over the embedded scene, and a simulated year over it at 10 m.

1. Some dates as arrays, in seconds of the processor, one thread each: rasterstats (``pip install rasterstats``) over
   all pixels with data and over clear ones, and ours, which makes both at once with the fractions of cloud, shadow and
   no data. Its pixels are those whose centre lies in a field, here parts of them count: how far means are apart is
   printed.
2. `zonal_stats` over the whole year by worker processes, once for a quarter of the dates and once for all: memory may
   not grow with them. And by Ray, on a cluster that is started for it. Most of the time is the simulation's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray

from eotasks.models.zonal import ALL_ROW, CLEAR_ROW, MEAN, PixelState, frame_statistics
from eotasks.sources.bbox import grid_of_bbox
from eotasks.sources.sample import SAMPLE_BBOX
from eotasks.workflows.zonal_stats.run import ZonalResult, zonal_stats
from eotasks.workflows.zonal_stats.sources.images.simulated import SimulatedSource
from eotasks.zonal.coverage import coverage_of
from eotasks.zonal.frames import ZonalFrame
from eotasks.zonal.polygons import polygons_of
from eotasks.zonal.quantities import quantities_of
from tests.benchmarks.figures import Figure, keep
from tests.benchmarks.zonal.fields import fields
from tests.benchmarks.zonal.memory import Peak, Watch

RESOLUTION = 10.0
PERCENTILES = (5.0, 95.0)
_PEER_STATS = ["mean", "std", "min", "max", "median", "count", "percentile_5", "percentile_95"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs it; 1 when ours is less than ten times as fast, or a run fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", type=int, default=10_000, metavar="N")
    parser.add_argument("--dates", type=int, default=70, metavar="N", help="of the whole run; 0: none")
    parser.add_argument("--peer-dates", type=int, default=2, metavar="N", help="that rasterstats is given")
    parser.add_argument("--no-ray", action="store_true", help="leave out the run by Ray")
    parser.add_argument("--keep", action="store_true", help="keep the figures, and print them against the last run's")
    options = parser.parse_args(arguments)
    made = fields(options.fields)
    figures = against_rasterstats(made, options.peer_dates)
    fast_enough = figures[0].value >= 10
    if options.dates:
        figures += whole_runs(made, options.dates, ray=not options.no_ray)
    if options.keep:
        print(keep("zonal", figures))
    return 0 if fast_enough else 1


def against_rasterstats(made: gpd.GeoDataFrame, dates: int) -> list[Figure]:
    """Both on the same arrays."""
    from rasterstats import zonal_stats as peer

    grid = grid_of_bbox(SAMPLE_BBOX, RESOLUTION)
    frames = whole_frames(dates)
    polygons = polygons_of(made)
    begun = time.process_time()
    coverage = coverage_of(polygons, grid)
    parts = time.process_time() - begun
    frame_statistics(frames[0].values[:1, :1], frames[0].states[:1, :1], coverage.pixels.part(np.array([], dtype=int)))
    ours, theirs, apart = 0.0, [0.0, 0.0], []
    for frame in frames:
        begun = time.process_time()
        found = frame_statistics(frame.values, frame.states, coverage.pixels, percentiles=PERCENTILES)
        ours += time.process_time() - begun
        for row in (CLEAR_ROW, ALL_ROW):
            begun = time.process_time()
            table = peer(made, shown(frame, row), affine=grid.transform, nodata=np.nan, stats=_PEER_STATS)
            theirs[row] += time.process_time() - begun
            means = np.array([each["mean"] if each["mean"] is not None else np.nan for each in table], dtype=float)
            apart.append(np.nanmedian(np.abs(means - found.values[coverage.polygons.argsort(), 0, row, MEAN])))
    count = len(made) * dates
    one, both, own = theirs[ALL_ROW] / count, sum(theirs) / count, ours / count
    print(f"{len(made):,} fields, {dates} dates, NDVI, {coverage.pixels.starts[-1] / len(made):.0f} pixels a field\n")
    print(f"{'':44}{'CPU us a field and date':>24}{'times ours':>12}")
    print(f"{'ours: clear and all, with fractions':44}{own * 1e6:24.1f}{1:12.1f}")
    print(f"{'rasterstats, all pixels':44}{one * 1e6:24.1f}{one / own:12.1f}")
    print(f"{'rasterstats, clear pixels and all':44}{both * 1e6:24.1f}{both / own:12.1f}")
    print(f"\nparts of pixels, once for all dates: {parts:.1f} s, {parts / len(made) * 1e6:.0f} us a field")
    print(f"means apart, median: {np.median(apart):.4f} NDVI\n", flush=True)
    with_parts = one / (own + parts / len(made) / 70)
    print(f"with the parts of pixels shared by 70 dates, against one call of rasterstats: {with_parts:.1f} times\n")
    return [Figure("against rasterstats, all pixels", one / own, "x", "more"), Figure("ours", own * 1e6, "us")]


def whole_frames(dates: int) -> list[ZonalFrame]:
    """Images of the whole scene, the first without cloud among the last."""
    source = SimulatedSource(acquisitions=12, resolution=RESOLUTION)
    source.indices = source.indices[4 : 4 + dates]
    quantities = quantities_of(["NDVI"])
    places = source.places(quantities)
    grid = grid_of_bbox(SAMPLE_BBOX, RESOLUTION)
    found = []
    for parts in zip(*(source.frames(place, quantities) for place in places), strict=True):
        values = np.full((*grid.shape, 1), np.nan)
        states = np.full(grid.shape, PixelState.NO_DATA, dtype=np.uint8)
        for place, part in zip(places, parts, strict=True):
            row = round((grid.top - place.grid.top) / RESOLUTION)
            column = round((place.grid.left - grid.left) / RESOLUTION)
            at = (slice(row, row + place.grid.height), slice(column, column + place.grid.width))
            values[at], states[at] = part.values, part.states
        found.append(ZonalFrame(parts[0].time, values, states))
    return found


def shown(frame: ZonalFrame, row: int) -> NDArray[np.float64]:
    """NDVI where pixels count."""
    counted = frame.states == PixelState.CLEAR if row == CLEAR_ROW else frame.states != PixelState.NO_DATA
    return np.where(counted, frame.values[..., 0], np.nan)


def whole_runs(made: gpd.GeoDataFrame, dates: int, *, ray: bool) -> list[Figure]:
    """By worker processes, with few dates and with all, and by Ray."""
    print(f"{'whole run':24}{'dates':>7}{'seconds':>10}{'rows':>14}{'MB all':>10}{'MB largest':>12}")
    runs = [("processes", max(1, dates // 4)), ("processes", dates), *([("ray", dates)] if ray else [])]
    peaks: dict[tuple[str, int], Peak] = {}
    tables = []
    for executor, count in runs:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Watch() as peak:
                begun = time.perf_counter()
                result = one_run(made, count, executor, Path(folder))
                seconds = time.perf_counter() - begun
            if count == dates:
                tables.append(result.table().drop(columns="id").select_dtypes("number").to_numpy())
        peaks[executor, count] = peak
        print(
            f"{executor:24}{count:7}{seconds:10.1f}{result.totals.rows:14,}{peak.together:10.0f}{peak.largest:12.0f}",
            flush=True,
        )
        assert not result.failed, result.failed
    few, all_of = peaks[runs[0]], peaks[runs[1]]
    print(f"\nmemory of {dates} dates against {runs[0][1]}: {all_of.together / few.together:.2f} times")
    if ray:
        same = np.array_equal(tables[0], tables[1], equal_nan=True)
        print(f"processes and Ray give the same numbers: {same}")
        assert same
    return [Figure("memory of all dates against a quarter", all_of.together / few.together, "x")]


def one_run(made: gpd.GeoDataFrame, dates: int, executor: str, folder: Path) -> ZonalResult:
    """One of them."""
    return zonal_stats(
        polygons_of(made),
        SimulatedSource(acquisitions=dates, resolution=RESOLUTION),
        folder,
        percentiles=PERCENTILES,
        executor="ray" if executor == "ray" else "processes",
        ray="local" if executor == "ray" else None,
        workers=2,
    )


if __name__ == "__main__":
    sys.exit(main())
