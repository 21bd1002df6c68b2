"""Cloud masks of a lazy stack of dask against the eager tasks: seconds, equality, and memory of either.

    python -m tests.benchmarks.xarray [--frames 5] [--side 2048] [--chunk 512] [--repeats 3]

The stack is the embedded scene, tiled: uint16, 13 bands. Both get it from memory, with the same threads, in turns; look
at the ratio, that of CPU seconds where other processes run. For the memory, chunks are made when they are asked for and
the masks are dropped: what a process needs beyond what it needs for a stack of one chunk.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
from concurrent.futures import ProcessPoolExecutor

from eotasks.models.threads import available_cores
from tests.benchmarks.xarray.worker import LAYOUTS, measure, memory, stack

SPAWN = multiprocessing.get_context("spawn")
MEGABYTE = 1 << 20


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--side", type=int, default=2048, help="pixels; default: %(default)s")
    parser.add_argument("--chunk", type=int, default=512, help="pixels; default: %(default)s")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=available_cores())
    options = parser.parse_args(arguments)
    values = stack(options.frames, options.side)
    shape = " x ".join(map(str, values.shape))
    print(f"{shape} uint16 ({values.nbytes / MEGABYTE:.0f} MB), chunks of {options.chunk}, {options.threads} threads\n")
    print("| layout | eager s | lazy s | lazy / eager | of CPU seconds | pixels that differ |")
    print("| --- | --- | --- | --- | --- | --- |")
    for layout in LAYOUTS:
        row = measure(values, layout, options.chunk, options.repeats, options.threads)
        eager, lazy = statistics.median(row.eager), statistics.median(row.lazy)
        times = f"{eager:.2f} | {lazy:.2f} | {row.ratio:.2f} | {row.cpu_ratio:.2f}"
        print(f"| {layout} | {times} | {row.different} |", flush=True)
    chunk_mb = options.chunk**2 * 26 / MEGABYTE
    measured: tuple[str | None, ...] = (*LAYOUTS, None)
    for each in measured:
        with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
            mb = pool.submit(memory, each, options.frames, options.side, options.chunk, options.threads).result()
        called = "eager" if each is None else f"lazy, {each}"
        print(f"\nmemory, {called}: {mb:.0f} MB, {mb / chunk_mb:.1f} chunks of {chunk_mb:.1f} MB (all bands)")


if __name__ == "__main__":
    main()
