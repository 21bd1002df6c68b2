"""What a batch costs beside its work: many trivial patches by `run_batch` and by eo-learn's EOExecutor, in turns.

Run it with ``python -m tests.benchmarks.batch`` (``--help`` for more). A patch does next to nothing, so the wall clock
over the number of patches is what the coordination of one costs, the start of the workers included. In every repeat
each side runs once, in turns, so that noise of the machine meets all alike. Look at the ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from eolearn.core import EOExecutor, EONode, EOWorkflow

from eotasks.storage.place import Place
from eotasks.workflows.batch.run import run_batch
from tests.builders.batch_tasks import AllocateTask, PassOnTask
from tests.builders.batches import manifest_outcomes
from tests.servers.s3 import NoS3ServerError, running_server

LIMIT_MS = 20.0
"""Milliseconds a patch that the project promises to stay below."""

Side = Callable[[int, int], float]
"""Runs a number of patches with a number of workers; milliseconds a patch."""


def trivial(count: int) -> tuple[EOWorkflow, dict[str, dict[EONode, dict[str, object]]]]:
    """Two steps that do nothing."""
    first = EONode(AllocateTask(0))
    last = EONode(PassOnTask(), inputs=[first])
    return EOWorkflow([first, last]), {f"patch {index}": {} for index in range(count)}


def ours(location: str | None, *, executor: str = "processes") -> Side:
    """`run_batch`, with a manifest in a place or without one."""

    def run(count: int, workers: int) -> float:
        workflow, patches = trivial(count)
        place = None if location is None else Place(f"{location}/{time.monotonic_ns()}")
        start = time.perf_counter()
        result = run_batch(
            workflow, patches, executor=executor, workers=workers, threads=1, place=place  # type: ignore[arg-type]
        )  # fmt: skip
        seconds = time.perf_counter() - start
        assert len(result.done) == count
        assert place is None or len(manifest_outcomes(place)) == count
        return 1000 * seconds / count

    return run


def eo_learn(count: int, workers: int) -> float:
    """EOExecutor, as eo-learn starts it: a pool of forked processes, no manifest."""
    workflow, patches = trivial(count)
    executor = EOExecutor(workflow, list(patches.values()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it forks a process that has threads
        start = time.perf_counter()
        results = executor.run(workers=workers, disable=True)
        seconds = time.perf_counter() - start
    assert len(results) == count
    assert not executor.get_failed_executions()
    return 1000 * seconds / count


def measure(
    sides: Mapping[str, Side], count: int, workers: int, repeats: int, report: Callable[[str], None] = lambda text: None
) -> dict[str, list[float]]:
    """Milliseconds a patch of each side in each repeat."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(repeats):
        for name, side in sides.items():
            report(f"{repeat + 1} of {repeats}: {name}")
            found[name].append(side(count, workers))
    return found


def table(found: Mapping[str, Sequence[float]], count: int, workers: int) -> str:
    """The figures as Markdown."""
    rows = [
        f"| {count:,} trivial patches, {workers} workers | ms a patch, median | least to most | |",
        "|---|---|---|---|",
    ]
    for name, values in found.items():
        middle = statistics.median(values)
        verdict = "" if name.startswith("eo-learn") else "met" if middle < LIMIT_MS else "missed"
        target = f"under {LIMIT_MS:g} ms: {verdict}" if verdict else ""
        rows.append(f"| {name} | {middle:.2f} | {min(values):.2f} to {max(values):.2f} | {target} |")
    return "\n".join(rows)


@contextlib.contextmanager
def sides(*, ray: bool = False) -> Iterator[dict[str, Side]]:
    """What is compared; the S3 server is there while the block runs, where there is one."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="eotasks-batch-"))
        chosen: dict[str, Side] = {
            "eo-learn EOExecutor": eo_learn,
            "run_batch, no manifest": ours(None),
            "run_batch, manifest on disk": ours(folder),
        }
        try:
            server = stack.enter_context(running_server(Path(folder) / "s3"))
        except NoS3ServerError as error:
            print(f"no row for S3: {error}", file=sys.stderr)
        else:
            os.environ.update(server.environment)
            chosen["run_batch, manifest on S3"] = ours(server.location("batch"))
        if ray and importlib.util.find_spec("ray") is not None:
            chosen["run_batch on Ray, manifest on disk"] = ours(folder, executor="ray")
        yield chosen


def main() -> int:
    """Measure and print the table; 1 when the promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patches", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--ray", action="store_true", help="a row for Ray too; it starts a cluster")
    arguments = parser.parse_args()
    with sides(ray=arguments.ray) as chosen:
        found = measure(
            chosen,
            arguments.patches,
            arguments.workers,
            arguments.repeats,
            report=lambda text: print(text, file=sys.stderr, flush=True),
        )
    print(table(found, arguments.patches, arguments.workers))
    ours_only = [values for name, values in found.items() if not name.startswith("eo-learn")]
    return 0 if all(statistics.median(values) < LIMIT_MS for values in ours_only) else 1


if __name__ == "__main__":
    sys.exit(main())
