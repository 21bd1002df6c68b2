"""One way in a process of its own: ``python -m eotasks.workflows.compare_mask_sources.worker JOB REPORT``.

Nothing heavy is imported before the job is read: what the libraries of a way take is a part of what is measured.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eotasks.errors import EOTasksError, message_of
from eotasks.workflows.compare_mask_sources.plan import Box, Job

if TYPE_CHECKING:
    from eolearn.core import EOPatch, EOTask

    from eotasks.workflows.compare_mask_sources.meter import Meter


@dataclass(frozen=True)
class PatchFigures:
    """What one patch took. Seconds are of the wall where nothing else is said."""

    start: float
    """By time.monotonic."""

    end: float
    download_s: float
    computing_s: float
    cpu_s: float
    answers_s: float
    pauses_s: float
    bytes: int
    requests: dict[str, int]
    acquisitions: list[str]


def main(arguments: Sequence[str]) -> int:
    """Reads the job, does it, and writes the report.

    :param arguments: Paths of both.
    :return: 0, or 1 when it failed: the report has the reason then.
    """
    warnings.simplefilter("ignore")  # of libraries, which a user cannot act on; as the command has it
    job_file, report_file = map(Path, arguments)
    report: dict[str, Any]
    try:
        job = Job.of_json(job_file.read_bytes())
        keep_to(job.core)
        from eotasks.workflows.compare_mask_sources.ways import steps_of

        download, computing = steps_of(job)
        report = {"patches": [asdict(each) for each in run_patches(job, download, computing)], "peak_mb": kernel_peak()}
    except EOTasksError as error:
        report = {"error": message_of(error)}
    report["cpu_s"] = time.process_time()
    report_file.write_text(json.dumps(report), encoding="utf-8")
    return int("error" in report)


def keep_to(core: int | None) -> None:
    """Holds this process, and all its threads to come, to one core where the system can do so."""
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def run_patches(job: Job, download: EOTask, computing: Sequence[EOTask]) -> list[PatchFigures]:
    """All patches, one after the other; the masks of each go to a file outside of what is measured.

    :raises EOTasksError: when one fails: a way without some patches could not be compared.
    """
    from eotasks.workflows.compare_mask_sources.agreement import ENDING, save_masks
    from eotasks.workflows.compare_mask_sources.meter import metered

    found = []
    with metered() as meter:
        for number, box in enumerate(job.boxes):
            figures, patch = _measured(job, box, download, computing, meter)
            found.append(figures)
            if job.masks:
                save_masks(patch, Path(job.masks) / f"{number:05d}{ENDING}")
    return found


def _measured(
    job: Job, box: Box, download: EOTask, computing: Sequence[EOTask], meter: Meter
) -> tuple[PatchFigures, EOPatch]:
    from sentinelhub.constants import CRS
    from sentinelhub.geometry import BBox

    before, cpu, start = meter.reading, time.process_time(), time.monotonic()
    patch: EOPatch = download(bbox=BBox(box, CRS(job.crs)), time_interval=job.dates)
    downloaded = time.monotonic()
    for task in computing:
        patch = task(patch)
    end = time.monotonic()
    cpu, read = time.process_time() - cpu, meter.reading - before
    times = [f"{each:%Y-%m-%dT%H:%M:%S}" for each in patch.get_timestamps()]
    figures = PatchFigures(
        start, end, downloaded - start, end - downloaded, cpu, read.answers_s, read.pauses_s, read.bytes,
        dict(read.requests), times,
    )  # fmt: skip
    return figures, patch


def kernel_peak() -> float | None:
    """The largest resident set of this process, in MB of 1024² bytes, as the kernel has it; None where it has not."""
    from eotasks.workflows.batch.workers.memory import ResettablePeak

    with contextlib.suppress(OSError, StopIteration, ValueError):
        return ResettablePeak().stop()
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
