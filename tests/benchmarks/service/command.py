"""What the benchmarks of the service are called with, and how they print."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.benchmarks.figures import Figure, check, keep


def run(
    name: str,
    description: str | None,
    measure: Callable[[Path, int, int, int], list[Figure]],
    arguments: Sequence[str] | None,
) -> None:
    """Measures, and prints the table.

    :param name: Under which figures are kept.
    :param measure: Of a folder, rows and columns of the tile, windows, and clients at a time.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=3072, help="rows and columns of the tile (3072)")
    parser.add_argument("--repeats", type=int, default=12, help="windows (12)")
    parser.add_argument("--clients", type=int, default=8, help="at a time (8)")
    parser.add_argument("--folder", type=Path, help="where the tile is kept; else it is made anew")
    parser.add_argument("--keep", action="store_true", help="keep the figures, and show them against the last run's")
    options = parser.parse_args(arguments)
    if options.keep:
        check(name)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        figures = measure(folder, options.pixels, options.repeats, options.clients)
    if options.keep:
        print(keep(name, figures))
        return
    for figure in figures:
        print(f"{figure.name:36} {figure.value:10.4g} {figure.unit}")
