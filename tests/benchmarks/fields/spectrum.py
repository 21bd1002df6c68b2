"""How the cloud probability of a field's mean spectrum agrees with its pixels.

``python -m tests.benchmarks.fields.spectrum``

Fields are squares over simulated years, where the truth is known, and over the cropharvest series of ../shared/data
(real L1C, no truth). For each field and date three numbers: the probability of the mean spectrum, the share of pixels
that the mask of s2cloudless calls cloud, and the share that is cloud in truth. Numbers of simulated years are about the
simulation.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import rasterio
from numpy.typing import NDArray
from scipy.stats import spearmanr

from eotasks.models.clouds.pixel import cloud_probability
from eotasks.models.clouds.postprocess import cloud_mask
from eotasks.models.sentinel2 import BANDS, CLOUD_BANDS, band_indices
from eotasks.models.simulation.year import PLAIN, REALISTIC, SimulationSettings, simulate
from eotasks.sources.simulated import sample_ground
from eotasks.zonal.spectrum import mean_spectrum_probability
from tests import ROOT

THRESHOLD = 0.4
CLASSES = ((0.0, 0.0), (0.0, 0.1), (0.1, 0.3), (0.3, 0.7), (0.7, 0.9), (0.9, 1.0), (1.0, 1.0))
"""Shares of a field that is cloud: beyond the first number, to the second; the ends by themselves."""

SERIES = ROOT.parent / "shared" / "data" / "crop_series" / "togo_12x13.tif"
_BANDS_OF_MONTH, _FIRST, _OTHERS = 17, 2, 2


@dataclass(frozen=True)
class Observations:
    """Of each field and date."""

    probability: NDArray[np.float64]
    """Of the mean spectrum."""

    pixels: NDArray[np.float64]
    """Share that the mask calls cloud."""

    truth: NDArray[np.float64] | None = None
    """Share that is cloud, or cirrus, in truth."""


def squares(values: NDArray[np.generic], side: int) -> NDArray[np.float64]:
    """Means of whole squares of (h, w) or (h, w, bands): (n) or (n, bands)."""
    rows, columns = values.shape[0] // side, values.shape[1] // side
    cut = values[: rows * side, : columns * side].astype(np.float64)
    means = cut.reshape(rows, side, columns, side, -1).mean(axis=(1, 3)).reshape(rows * columns, -1)
    return means[:, 0] if values.ndim == 2 else means


def observed(
    bands: NDArray[np.float32], sides: Sequence[int], truth: NDArray[np.bool_] | None = None
) -> list[Observations]:
    """Squares of a frame that has data everywhere, for each side.

    :param bands: (h, w, 13) reflectance.
    :param sides: Pixels.
    """
    chosen = bands[..., band_indices(CLOUD_BANDS)]
    probability = cloud_probability(chosen, check_bands=False)
    mask = cloud_mask(probability[np.newaxis], threshold=THRESHOLD)[0] == 1
    return [
        Observations(
            mean_spectrum_probability(squares(chosen, side)),
            squares(mask, side),
            None if truth is None else squares(truth, side),
        )
        for side in sides
    ]


def together(parts: list[Observations]) -> Observations:
    """All of them."""
    truths = [each.truth for each in parts if each.truth is not None]
    return Observations(
        np.concatenate([each.probability for each in parts]),
        np.concatenate([each.pixels for each in parts]),
        np.concatenate(truths) if truths else None,
    )


def simulated(
    seeds: Sequence[int], dates: int, sides: Sequence[int], *, realistic: bool, resolution: float = 20.0
) -> list[Observations]:
    """Squares over simulated years, for each side.

    :param sides: Pixels.
    :param resolution: Metres of a pixel.
    """
    ground = sample_ground(resolution, 42)
    parts = []
    for seed in seeds:
        settings = SimulationSettings(
            seed=seed, acquisitions=dates, swath_edges=0, realism=REALISTIC if realistic else PLAIN
        )
        for index in range(dates):
            seen = simulate(ground, settings, index, ground.left, ground.top, *ground.shape)
            parts.append(observed(seen.bands, sides, seen.cloud | seen.cirrus))
    return [together(list(each)) for each in zip(*parts, strict=True)]


def real() -> Iterator[tuple[str, Observations]]:
    """The months of the cropharvest series, as one field of 170 m and as four of 80 m."""
    with rasterio.open(SERIES) as source:
        values = source.read()
    months = values[: values.shape[0] - _OTHERS].reshape(-1, _BANDS_OF_MONTH, *values.shape[1:])
    reflectance = [month[_FIRST : _FIRST + len(BANDS)].transpose(1, 2, 0) / 10_000 for month in months]
    parts = [observed(each.astype(np.float32), (17, 8)) for each in reflectance]
    names = ("one field of 170 m", "four fields of 80 m")
    yield from ((name, together(list(each))) for name, each in zip(names, zip(*parts, strict=True), strict=True))


def by_pixels(found: Observations) -> str:
    """A Markdown table: what the mean spectrum says, by the share of pixels that are cloud."""
    lines = [
        "| pixels called cloud | fields x dates | probability, median | 10 % .. 90 % | > 0.4 |",
        "| --- " * 5 + "|",
    ]
    for low, high in CLASSES:
        chosen = found.pixels == low if low == high else (found.pixels > low) & (found.pixels <= min(high, 1 - 1e-9))
        values = found.probability[chosen]
        label = f"{low:.0%}" if low == high else f"to {high:.0%}" if high < 1 else "below 100%"
        if not values.size:
            lines.append(f"| {label} | 0 | - | - | - |")
            continue
        lowest, middle, highest = np.percentile(values, [10, 50, 90])
        share = (values > THRESHOLD).mean()
        lines.append(f"| {label} | {values.size} | {middle:.2f} | {lowest:.2f} .. {highest:.2f} | {share:.1%} |")
    return "\n".join(lines)


def agreement(found: Observations) -> str:
    """A line: how often both say the same of a field, and how both stand to the truth where it is known."""
    by_mean, by_pixel = found.probability > THRESHOLD, found.pixels > 0.5
    rank = spearmanr(found.probability, found.pixels).statistic
    text = f"same verdict (mean spectrum > 0.4, more than half of the pixels): {(by_mean == by_pixel).mean():.1%};"
    text += f" rank correlation {rank:.2f}"
    if found.truth is None:
        return text
    lines = [
        text,
        "",
        "| truth | fields x dates | mean spectrum > 0.4 | more than half of the pixels |",
        "| --- " * 4 + "|",
    ]
    for label, chosen in (
        ("no cloud", found.truth == 0),
        ("some, to a tenth", (found.truth > 0) & (found.truth <= 0.1)),
        ("a tenth to a half", (found.truth > 0.1) & (found.truth <= 0.5)),
        ("more than half", (found.truth > 0.5) & (found.truth < 1)),
        ("all", found.truth == 1),
    ):
        count = int(chosen.sum())
        shares = [f"{each[chosen].mean():.1%}" if count else "-" for each in (by_mean, by_pixel)]
        lines.append(f"| {label} | {count} | {' | '.join(shares)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[21, 22], help="years to simulate")
    parser.add_argument("--dates", type=int, default=12, help="of each year")
    parser.add_argument("--sides", type=int, nargs="+", default=[5, 10, 20], help="of fields, in pixels of 20 m")
    args = parser.parse_args(arguments)
    for kind, realistic in (("plain", False), ("realistic", True)):
        years = simulated(args.seeds, args.dates, args.sides, realistic=realistic)
        for side, found in zip(args.sides, years, strict=True):
            print(f"\nSimulated years ({kind}), seeds {args.seeds}, {args.dates} dates, fields of {side * 20} m\n")
            print(by_pixels(found), agreement(found), sep="\n\n")
    if SERIES.is_file():
        for name, found in real():
            print(f"\nTogo, 12 monthly mosaics of real L1C (cropharvest), {name}\n")
            print(by_pixels(found), agreement(found), sep="\n\n")
    else:
        print(f"\nNo {SERIES}: the real series is left out.")


if __name__ == "__main__":
    main()
