"""Snow masks on simulated years, where the truth is known: ``python -m tests.benchmarks.snow``.

Prints the share of the pixels of each kind of ground that ``AddSnowMaskTask`` calls snow, with its limits and with
those of Hall et al. 1995 beside it: snow of every age, and what is taken for it. Dates are free of cloud, and pixels
under cirrus are left out; water and land are those of dates without snow, but for the last rows. Every number is about
the simulation; its spectra of snow, ice, foam and mud are published ones, mixed. The default seeds were not tuned on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from eotasks.models.clouds.surface import MAX_SNOW_CIRRUS, snow_in, snow_mask
from eotasks.models.sentinel2 import BANDS
from eotasks.models.simulation.year import (
    PLAIN,
    REALISTIC,
    SimulatedAcquisition,
    SimulationSettings,
    WaterKind,
    simulate,
)
from eotasks.sources.sample import SAMPLE_BBOX
from eotasks.sources.simulated import sample_ground

Mask = NDArray[np.bool_]


def _ours(bands: NDArray[np.float32]) -> Mask:
    return snow_in(bands, None, BANDS, max_cirrus=MAX_SNOW_CIRRUS)


def _hall(bands: NDArray[np.float32]) -> Mask:
    green, nir, swir = (bands[..., BANDS.index(name)] for name in ("B03", "B08", "B11"))
    return snow_mask(green, nir, swir, min_green=0.10, min_nir_ratio=0)


RULES: dict[str, Callable[[NDArray[np.float32]], Mask]] = {"ours": _ours, "Hall et al. 1995": _hall}


def kinds(seen: SimulatedAcquisition) -> dict[str, Mask]:
    """Pixels by kind of ground, lit by the sun but for the shade of hills, and without cirrus."""
    free = seen.is_data & ~seen.cirrus
    lit, water = free & ~seen.terrain_shade, seen.water_kind
    bare = lit & (not seen.snow.any())
    snowy = lit & bool(seen.snow.any())
    ice = water == WaterKind.ICE
    return {
        "full snow (nine tenths of the pixel)": seen.snow & (seen.snow_share >= 0.9) & lit,
        "snow, half to nine tenths of the pixel": seen.snow & (seen.snow_share < 0.9) & lit,
        "snow in the shade of hills": seen.snow & seen.terrain_shade & free,
        "land": (water == WaterKind.NONE) & bare,
        "clear water": (water == WaterKind.CLEAR) & bare,
        "muddy water": (water == WaterKind.MUDDY) & bare,
        "flooded fields": (water == WaterKind.FLOODED) & bare,
        "surf": (water == WaterKind.SURF) & bare,
        "dates with snow: ice": ice & ~seen.snow & snowy,
        "dates with snow: open water": seen.water & ~seen.snow & snowy,
        "dates with snow: land, less than half snow": (water == WaterKind.NONE) & ~seen.snow & snowy,
    }


def years(seeds: list[int], resolution: float, acquisitions: int, realistic: bool) -> Iterator[SimulatedAcquisition]:
    """The dates of all seeds over the whole scene, without opaque cloud."""
    ground = sample_ground(resolution, 42)
    realism = REALISTIC if realistic else PLAIN
    for seed in seeds:
        settings = SimulationSettings(
            seed=seed, acquisitions=acquisitions, snow=True, cloudiness=0, swath_edges=0, realism=realism
        )
        for index in range(acquisitions):
            yield simulate(ground, settings, index, ground.left, ground.top, *ground.shape)


def count(frames: Iterator[SimulatedAcquisition]) -> dict[str, NDArray[np.int64]]:
    """Kind of ground -> its pixels, and those of them that each rule calls snow."""
    counts: dict[str, NDArray[np.int64]] = {}
    for seen in frames:
        found = [rule(seen.bands) for rule in RULES.values()]
        for kind, where in kinds(seen).items():
            row = [np.count_nonzero(where), *(np.count_nonzero(mask & where) for mask in found)]
            counts[kind] = counts.get(kind, np.zeros(len(row), dtype=np.int64)) + np.array(row)
    return counts


def table(counts: dict[str, NDArray[np.int64]]) -> str:
    """A Markdown table: the share of each kind of ground that is called snow, in percent."""
    lines = [f"| ground in truth | pixels | {' | '.join(RULES)} |", "| --- | --- |" + " --- |" * len(RULES)]
    for kind, (pixels, *found) in counts.items():
        shares = [f"{100 * each / pixels:.2f} %" if pixels else "-" for each in found]
        lines.append(f"| {kind} | {pixels} | {' | '.join(shares)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13, 14], help="years to simulate")
    parser.add_argument("--acquisitions", type=int, default=12, help="dates a year")
    parser.add_argument("--resolution", type=float, default=20, help="metres of a pixel")
    args = parser.parse_args(arguments)
    for kind, realistic in (("plain", False), ("realistic", True)):
        where = f"over {tuple(SAMPLE_BBOX)}, seeds {args.seeds}, {args.acquisitions} dates each, {args.resolution:g} m"
        print(f"\nSimulated years with snow ({kind}) {where}: called snow\n")
        print(table(count(years(args.seeds, args.resolution, args.acquisitions, realistic))))


if __name__ == "__main__":
    main()
