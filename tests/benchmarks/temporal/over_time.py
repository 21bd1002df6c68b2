"""What a series and the height of the ground add on simulated years: ``python -m tests.benchmarks.temporal.over_time``.

Prints precision, recall and F1 of clouds and of shadows, each date by itself and compared with others, and what hills
shade that is called cloud shadow with and without their heights (``--relief`` makes mountains of hills). Every number
is about the simulation; haze and cirrus count as clear in it. Seeds 1 to 3 were looked at when the methods were set.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eotasks.models.clouds.shadows.frame import cloud_shadow
from eotasks.models.clouds.shadows.light import light_of
from eotasks.models.clouds.shadows.series import Tell, shadows_of_series
from eotasks.models.clouds.shadows.terrain import terrain_shade
from eotasks.models.clouds.temporal.consensus import cloud_consensus
from eotasks.models.simulation.terrain import terrain_of
from eotasks.models.simulation.year import (
    REALISTIC,
    SimulatedAcquisition,
    SimulationSettings,
    acquisition_times,
    simulate,
)
from eotasks.sources.simulated import sample_ground
from tests.benchmarks.shadows import Counts, clouds_of

Masks = NDArray[np.uint8]

_LEVEL = np.float32(1500)
"""Metres of the mean ground above the sea, which makes no difference."""


@dataclass(frozen=True)
class Series:
    """A simulated year."""

    seen: list[SimulatedAcquisition]
    times: list[Any]
    heights: list[NDArray[np.float32]]
    """Of every date the same hills: (h, w) metres."""

    pixel: tuple[float, float]

    @property
    def valid(self) -> NDArray[np.bool_]:
        return np.stack([each.is_data for each in self.seen])

    def truth(self, name: str) -> NDArray[np.bool_]:
        return np.stack([getattr(each, name) for each in self.seen])

    def shadows(self, mask: Masks, outlines: Masks, *, over_time: bool = False, terrain: bool = False) -> Masks:
        """Shadows (t, h, w) of all dates."""

        def search(frame: int, *, expected: NDArray[np.float32] | None, tell: Tell) -> Masks:
            seen = self.seen[frame]
            sun = (seen.sun_zenith, seen.sun_azimuth)
            shade = terrain_shade(self.heights[frame], sun, pixel_size=self.pixel) if terrain else None
            return cloud_shadow(
                seen.bands,
                mask[frame],
                outlines=outlines[frame],
                sun=sun,
                pixel_size=self.pixel,
                valid=seen.is_data,
                terrain_shade=shade,
                expected=expected,
                tell=tell,
            )

        if not over_time:
            return np.stack([search(index, expected=None, tell=_quiet) for index in range(len(self.seen))])
        sunlight = np.stack([light_of(each.bands, each.is_data).sunlight for each in self.seen])
        return shadows_of_series(search, sunlight, mask == 1, self.valid, self.times, tell=_quiet)


def _quiet(*_: object) -> None:
    """Overcast dates have no shadows that can be told."""


def years(seeds: list[int], resolution: float, acquisitions: int, relief: float) -> Iterator[Series]:
    """A realistic year of every seed over the whole scene."""
    ground = sample_ground(resolution, 42)
    for seed in seeds:
        settings = SimulationSettings(
            seed=seed, acquisitions=acquisitions, realism=dataclasses.replace(REALISTIC, relief=relief)
        )
        window = (ground.left, ground.top, *ground.shape)
        seen = [simulate(ground, settings, index, *window) for index in range(acquisitions)]
        hills = []
        for each in seen:
            sun = {"sun_zenith": each.sun_zenith, "sun_azimuth": each.sun_azimuth}
            terrain = terrain_of(ground, relief, *window, **sun)
            hills.append(_LEVEL + (np.zeros(ground.shape, np.float32) if terrain is None else terrain.elevation))
        yield Series(seen, acquisition_times(settings), hills, (resolution, resolution))


def over_time(series: Iterator[Series], min_brightening: float) -> dict[str, Counts]:
    """Clouds of s2cloudless and shadows of these and of the true clouds, by how they were found."""
    counts: dict[str, Counts] = {}
    for year in series:
        shadow, cloud, valid = year.truth("shadow"), year.truth("cloud"), year.valid
        by_model = [clouds_of(each, "model") for each in year.seen]
        own, outlines = (np.stack(masks) for masks in zip(*by_model, strict=True))
        true, _ = (np.stack(masks) for masks in zip(*(clouds_of(each, "truth") for each in year.seen), strict=True))
        blue = np.stack([np.where(each.is_data, each.bands[..., 1], 0) for each in year.seen]).astype(np.float32)
        options: dict[str, Any] = {"valid": valid, "min_brightening": min_brightening}
        agreed = cloud_consensus(blue, own, year.times, margin=1, **options)
        agreed_outlines = cloud_consensus(blue, outlines, year.times, margin=0, **options)
        found = {
            "clouds of s2cloudless": (own, cloud),
            "clouds, consensus": (agreed, cloud),
            "shadows of the true clouds": (year.shadows(true, true), shadow),
            "shadows of the true clouds, dates": (year.shadows(true, true, over_time=True), shadow),
            "shadows of s2cloudless": (year.shadows(own, outlines), shadow),
            "shadows of s2cloudless, dates": (year.shadows(own, outlines, over_time=True), shadow),
            "shadows, consensus": (year.shadows(agreed, agreed_outlines), shadow),
            "shadows, consensus and dates": (year.shadows(agreed, agreed_outlines, over_time=True), shadow),
        }
        for name, (mask, truth) in found.items():
            counts.setdefault(name, Counts()).add(mask == 1, truth)
    return counts


def terrain(series: Iterator[Series]) -> dict[str, Counts]:
    """Shadows with and without the heights: on ground that hills do not shade, and what is called shadow there."""
    counts: dict[str, Counts] = {}
    for year in series:
        shadow, hills = year.truth("shadow"), year.truth("terrain_shade")
        by_model = [clouds_of(each, "model") for each in year.seen]
        own, outlines = (np.stack(masks) for masks in zip(*by_model, strict=True))
        for name, known in (("flat", False), ("with heights", True)):
            mask = year.shadows(own, outlines, terrain=known) == 1
            counts.setdefault(f"{name}, sunny slopes", Counts()).add(mask & ~hills, shadow & ~hills)
            counts.setdefault(f"{name}, in the shade of hills", Counts()).add(mask & hills, shadow & hills)
    return counts


def table(counts: dict[str, Counts]) -> str:
    """A Markdown table."""
    lines = ["| | precision | recall | F1 | false pixels |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*lines, *(f"| {name} | {each.cells()} | {each.false} |" for name, each in counts.items())])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13, 14], help="years to simulate")
    parser.add_argument("--acquisitions", type=int, default=12, help="dates a year")
    parser.add_argument("--resolution", type=float, default=40, help="metres of a pixel")
    parser.add_argument("--min-brightening", type=float, default=0.03, help="of cloud against its ground")
    parser.add_argument("--relief", type=float, help="terrain instead: standard deviation of hills in metres, as 250")
    args = parser.parse_args(arguments)
    relief = REALISTIC.relief if args.relief is None else args.relief
    series = years(args.seeds, args.resolution, args.acquisitions, relief)
    print(f"Simulated, realistic, seeds {args.seeds}, {args.acquisitions} dates each, {args.resolution:g} m\n")
    print(table(over_time(series, args.min_brightening) if args.relief is None else terrain(series)))


if __name__ == "__main__":
    main()
