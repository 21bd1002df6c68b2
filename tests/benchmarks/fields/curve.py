"""How well curves tell an observation that they have not seen: ``python -m tests.benchmarks.fields.curve``.

Each of the 500 French fields of ../shared/data (real L2A, ten-day periods, 46 % of them gaps) gives NDVI series; some
observations are left out one at a time, and the smoother's curve, its strength of the V-curve of all others or fixed,
is compared with them. So is the straight line between the neighbours.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eotasks.zonal.smoothing import smooth_series
from tests import ROOT

SERIES = ROOT.parent / "shared" / "data" / "crop_series" / "dekad_2023_FRA_LPIS_POLY_110.geoparquet"
STRENGTHS = (1e2, 1e3, 1e4, 1e5, 1e6)
_MISSING = 65_535
_FEWEST = 12

Series = tuple[NDArray[np.datetime64], NDArray[np.float64]]


def fields() -> Iterator[Series]:
    """NDVI of each field."""
    columns = ["sample_id", "timestamp", "S2-L2A-B04", "S2-L2A-B08"]
    table = pd.read_parquet(SERIES, columns=columns)
    there = table[(table["S2-L2A-B04"] != _MISSING) & (table["S2-L2A-B08"] != _MISSING)]
    for _, own in there.sort_values("timestamp").groupby("sample_id"):
        red, near = (own[f"S2-L2A-{band}"].to_numpy(np.float64) for band in ("B04", "B08"))
        if len(own) >= _FEWEST and (red + near > 0).all():
            yield own["timestamp"].to_numpy(), (near - red) / (near + red)


def left_out(
    series: Iterator[Series], count: int, seed: int
) -> tuple[dict[str, list[float]], list[float], list[float]]:
    """Errors of each way, the strengths of the V-curve, and the seconds that a curve with one took."""
    random = np.random.default_rng(seed)
    names = ["V-curve", *(f"strength {each:g}" for each in STRENGTHS), "straight line"]
    errors: dict[str, list[float]] = {name: [] for name in names}
    strengths, seconds = [], []
    for times, values in series:
        for index in random.choice(np.arange(1, len(values) - 1), count, replace=False):
            kept = np.arange(len(values)) != index
            began = time.perf_counter()
            curve = smooth_series(times[kept], values[kept])
            seconds.append(time.perf_counter() - began)
            strengths.append(curve.smoothing)
            there = times[index : index + 1]
            found = [curve.at(there)[0]]
            found += [smooth_series(times[kept], values[kept], smoothing=each).at(there)[0] for each in STRENGTHS]
            moments = times.astype("datetime64[D]").astype(float)
            found.append(np.interp(moments[index], moments[kept], values[kept]))
            for name, each in zip(names, found, strict=True):
                errors[name].append(float(each - values[index]))
    return errors, strengths, seconds


def table(errors: dict[str, list[float]]) -> str:
    """A Markdown table of errors."""
    lines = ["| curve | RMSE | median of the absolute error |", "| --- | --- | --- |"]
    for name, own in errors.items():
        lines.append(f"| {name} | {np.sqrt(np.mean(np.square(own))):.4f} | {np.median(np.abs(own)):.4f} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=4, help="observations left out of each field")
    parser.add_argument("--fields", type=int, help="the first N (all)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(arguments)
    if not SERIES.is_file():
        print(f"No {SERIES}: nothing to measure.")
        return
    chosen = list(fields())[: args.fields]
    errors, strengths, seconds = left_out(iter(chosen), args.count, args.seed)
    print(f"\nNDVI of {len(chosen)} fields (real L2A), {len(strengths)} observations left out one at a time\n")
    print(table(errors))
    low, middle, high = np.percentile(np.log10(strengths), [10, 50, 90])
    print(f"\nStrength of the V-curve: 10^{middle:.1f} (10 %: 10^{low:.1f}, 90 %: 10^{high:.1f})")
    print(f"A curve with its V-curve: {1000 * np.median(seconds):.1f} ms (median)")


if __name__ == "__main__":
    main()
