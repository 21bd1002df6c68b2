"""From a product to masks at 160 m: `eotasks cloud-mask` against decoding all, resizing and s2cloudless, as users do.

Run it with ``python -m tests.benchmarks.imagery`` (``--help`` for more). It builds a full-size tile once
(tests/builders/tile.py: 0.5 GB, a minute) and keeps it under ``--folder`` or EOTASKS_IMAGERY_TILE. Both sides
are processes of their own, called in turns, and write CLP and CLM as Cloud Optimized GeoTIFF; neither draws a
picture. The default is run once more on the product behind a web server, whose bytes are counted. Look at the ratio:
times of a shared machine mean little by themselves. A second table says how near the masks of each sampling come to
those of the exact mean, on the embedded scene packed like a product.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from eotasks.imagery.pixels.resampling import ResamplingName
from eotasks.imagery.scene import open_scene
from eotasks.models.clouds.pixel import cloud_probability
from eotasks.models.sentinel2 import CLOUD_BANDS
from eotasks.models.threads import available_cores
from eotasks.workflows.product_masks.options import DEFAULT_SAMPLING, RESOLUTIONS
from eotasks.workflows.product_masks.reading import product_grid
from tests import ROOT
from tests.benchmarks.figures import Figure, check, environment, keep
from tests.benchmarks.imagery.web import WebRun, measure_web
from tests.builders.tile import SCENE_PIXELS, TILE_PIXELS, build_tile

SPAWN = multiprocessing.get_context("spawn")

FOLDER_VARIABLE = "EOTASKS_IMAGERY_TILE"
RESOLUTION = 160
THRESHOLD = 0.4
WANTED_RATIO, WANTED_MEGABYTES, WANTED_AGREEMENT = 14.0, 300.0, 0.95
SAMPLINGS: tuple[ResamplingName, ...] = ("fast", "nearest")


@dataclass(frozen=True)
class Run:
    """One process."""

    seconds: float
    """Wall clock, from start to end."""

    cpu_seconds: float
    megabytes: float
    """Peak of its resident memory."""


@dataclass(frozen=True)
class Agreement:
    """How near a sampling comes to the exact mean."""

    resolution: int
    sampling: ResamplingName
    mask: float
    """Share of pixels whose CLP lies on the same side of 0.4."""

    probability: float
    """Mean absolute difference of CLP."""


def ours(product: Path | str, out: Path, sampling: str) -> list[str]:
    """The command of this project."""
    command = [
        sys.executable,
        "-m",
        "eotasks.workflows.cli",
        "cloud-mask",
        str(product),
        "--out",
        str(out),
        "--overwrite",
    ]
    return [*command, "--resolution", str(RESOLUTION), "--sampling", sampling, "--no-quicklook"]


def peer(product: Path, out: Path) -> list[str]:
    """What users do."""
    return [sys.executable, "-m", "tests.benchmarks.imagery.peer", str(product), str(out)]


def measure(command: Sequence[str]) -> Run:
    """Run a command in a process of its own.

    :raises RuntimeError: when it fails, with what it said.
    """
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, env={**environment(), "PYTHONPATH": path}, cwd=ROOT, stdout=said, stderr=said
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {said.read()[-2000:].decode()}")
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return Run(seconds, usage.ru_utime + usage.ru_stime, kilobytes / 1024)


def compare_speed(
    product: Path, out: Path, repeats: int, samplings: Sequence[str], tell: Callable[[str], None]
) -> dict[str, list[Run]]:
    """All sides in turns."""
    sides = {f"eotasks, {each}": ours(product, out / each, each) for each in samplings}
    sides["full decode + resize + s2cloudless"] = peer(product, out / "peer")
    runs: dict[str, list[Run]] = {name: [] for name in sides}
    for number in range(repeats):
        for name, command in sides.items():
            tell(f"{number + 1}/{repeats} {name}")
            runs[name].append(measure(command))
    return runs


def compare_masks(product: Path, resolutions: Sequence[int] = RESOLUTIONS) -> list[Agreement]:
    """Every sampling against the exact mean."""
    scene = open_scene(product)
    found = []
    for resolution in resolutions:
        grid = product_grid(scene, resolution)
        exact = cloud_probability(scene.read(CLOUD_BANDS, grid, resampling="mean"))
        for sampling in SAMPLINGS:
            probability = cloud_probability(scene.read(CLOUD_BANDS, grid, resampling=sampling))
            same = (probability > THRESHOLD) == (exact > THRESHOLD)
            found.append(Agreement(resolution, sampling, float(same.mean()), float(np.abs(probability - exact).mean())))
    return found


def same_masks(out: Path, name: str) -> float:
    """Share of pixels of our CLM that the peer has too, whose pixels are a little larger: they fill the tile."""
    theirs = _read(out / "peer" / "CLM.tif")
    height, width = theirs.shape
    return float((_read(next((out / name).glob("*/*_CLM.tif")))[:height, :width] == theirs).mean())


def _read(path: Path) -> NDArray[np.uint8]:
    with rasterio.open(path) as dataset:
        values: NDArray[np.uint8] = dataset.read(1)
    return values


def report(
    runs: dict[str, list[Run]], agreements: Sequence[Agreement], with_peer: float | None, web: WebRun | None = None
) -> str:
    """The tables as text."""
    lines = [
        f"{platform.processor() or platform.machine()}, {available_cores()} cores, Python {platform.python_version()}"
    ]
    if runs:
        *own, other = runs
        reference = _middle(runs[other], "seconds")
        lines += ["", f"{'':38}{'wall s':>8}{'CPU s':>8}{'peak MB':>9}{'ratio':>8}"]
        lines += [
            f"{name:38}{_middle(runs[name], 'seconds'):8.1f}{_middle(runs[name], 'cpu_seconds'):8.1f}"
            f"{max(run.megabytes for run in runs[name]):9.0f}{reference / _middle(runs[name], 'seconds'):7.1f}x"
            for name in [*own, other]
        ]
    if with_peer is not None:
        lines += ["", f"CLM of the default and of the peer are equal in {with_peer:.1%} of the pixels."]
    if web is not None:
        lines += ["", web.told()]
    lines += ["", f"{'pixels of':>10}  {'sampling':10}{'mask as mean':>14}{'CLP off by':>12}"]
    lines += [
        f"{each.resolution:8d} m  {each.sampling:10}{each.mask:14.1%}{each.probability:12.4f}" for each in agreements
    ]
    return "\n".join(lines)


def verdict(runs: dict[str, list[Run]], agreements: Sequence[Agreement], web: WebRun | None = None) -> list[str]:
    """What misses its target; empty when nothing does."""
    missed = [] if web is None else web.missed()
    if runs:
        *_, other = runs
        default = runs[f"eotasks, {DEFAULT_SAMPLING}"]
        ratio = _middle(runs[other], "seconds") / _middle(default, "seconds")
        peak = max(run.megabytes for run in default)
        if ratio < WANTED_RATIO:
            missed.append(f"{ratio:.1f} times as fast, wanted {WANTED_RATIO:g}")
        if peak > WANTED_MEGABYTES:
            missed.append(f"{peak:.0f} MB at its peak, wanted {WANTED_MEGABYTES:g}")
    shares = [each.mask for each in agreements if (each.resolution, each.sampling) == (RESOLUTION, DEFAULT_SAMPLING)]
    low = [share for share in shares if share < WANTED_AGREEMENT]
    missed += [f"masks agree to {share:.1%}, wanted {WANTED_AGREEMENT:.0%}" for share in low]
    return missed


def figures(runs: dict[str, list[Run]], agreements: Sequence[Agreement], web: WebRun | None = None) -> list[Figure]:
    """What is kept of a run."""
    found = []
    if runs:
        *own, other = runs
        for name in own:
            mine = runs[name]
            found += [
                Figure(
                    f"{name}, against the peer", _middle(runs[other], "seconds") / _middle(mine, "seconds"), "x", "more"
                ),
                Figure(f"{name}, CPU", _middle(mine, "cpu_seconds"), "s"),
                Figure(f"{name}, peak memory", max(run.megabytes for run in mine), "MB"),
            ]
    if web is not None:
        found += [Figure("from the web", web.taken / 1e6, "MB"), Figure("requests", web.requests, "")]
    found += [
        Figure(f"{each.resolution} m, {each.sampling}: masks as of the mean", each.mask, "", "more")
        for each in agreements
    ]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    options = _parser().parse_args(arguments)
    if options.keep:
        check("imagery")
    folder = Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    _tell(f"tile in {folder}")
    small = build_tile(folder / "scene", pixels=SCENE_PIXELS)
    runs: dict[str, list[Run]] = {}
    with_peer = web = None
    if options.repeats:
        # Elsewhere: what is started counts the memory of the process that starts it, and building takes 1.4 GB.
        with ProcessPoolExecutor(1, mp_context=SPAWN) as builder:
            side = (options.pixels, options.pixels)
            product = builder.submit(build_tile, folder / f"tile-{options.pixels}", pixels=side).result()
        out = Path(tempfile.mkdtemp(prefix="eotasks-imagery-"))
        try:
            runs = compare_speed(product, out, options.repeats, options.samplings, _tell)
            with_peer = same_masks(out, options.samplings[0])
            _tell("from a web server")
            web = measure_web(
                product, out / "web", out / DEFAULT_SAMPLING,
                lambda address, target: measure(ours(address, target, DEFAULT_SAMPLING)).seconds,
            )  # fmt: skip
        finally:
            shutil.rmtree(out)
    agreements = compare_masks(small)
    print(report(runs, agreements, with_peer, web))
    if options.keep:
        print("\n" + keep("imagery", figures(runs, agreements, web)))
    missed = verdict(runs, agreements, web)
    print("\n" + ("Targets missed: " + "; ".join(missed) if missed else "All targets are met."))
    return 0


def add_tile_options(parser: argparse.ArgumentParser) -> None:
    """Where the tile is, and how large: the same for all benchmarks that use it."""
    default = os.environ.get(FOLDER_VARIABLE) or str(Path(tempfile.gettempdir()) / "eotasks-imagery-tile")
    parser.add_argument("--folder", default=default, help=f"where the tile is kept ({FOLDER_VARIABLE}, {default})")
    parser.add_argument("--pixels", type=int, default=TILE_PIXELS, help=f"side of the tile ({TILE_PIXELS})")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_tile_options(parser)
    parser.add_argument("--keep", action="store_true", help="keep the figures, and print them against the last run's")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side; 0 for the agreement alone (3)")
    parser.add_argument(
        "--samplings", nargs="+", default=[DEFAULT_SAMPLING], help=f"of ours, the default first ({DEFAULT_SAMPLING})"
    )
    return parser


def _middle(runs: Sequence[Run], what: str) -> float:
    return float(statistics.median(getattr(run, what) for run in runs))


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
