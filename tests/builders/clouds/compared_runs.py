"""Runs of `eotasks compare-mask-sources` that nobody measured: figures made up, masks on disk; and such a worker.

As a program (``python -m tests.builders.clouds.compared_runs JOB REPORT``) it stands in for the comparison's worker.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

DATES = ["2024-01-16T10:21:01", "2024-02-15T10:21:01"]


def patch_report(
    start: float, seconds: float, *, computing: float = 0.0, times: Sequence[str] = DATES
) -> dict[str, Any]:
    """What a worker says of a patch."""
    return {
        "start": start,
        "end": start + seconds,
        "download_s": seconds - computing,
        "computing_s": computing,
        "cpu_s": seconds / 2,
        "answers_s": (seconds - computing) / 2,
        "pauses_s": (seconds - computing) / 4,
        "bytes": 1000,
        "requests": {"process": len(times), "catalog": 1},
        "acquisitions": list(times),
    }


def made_up(job: Any, endpoint: Any, folder: Path, *, repeat: int = 0) -> Any:
    """Stands in for `eotasks.workflows.compare_mask_sources.measure.measure`: computing takes twice the time."""
    import numpy as np

    from eotasks.workflows.compare_mask_sources.agreement import write_masks
    from eotasks.workflows.compare_mask_sources.measure import run_of

    computing = 0.0 if job.way == "service" else 1.0 + repeat
    patches = [
        patch_report(2.0 + 3 * number, 1.0 + repeat + computing, computing=computing)
        for number in range(len(job.boxes))
    ]
    if job.masks:
        for number in range(len(job.boxes)):
            mask = np.zeros((2, 5, 5), np.uint8)
            mask[0, : 2 if job.way == "service" else 3] = 1
            mask[1, 0, 0] = 255
            write_masks(Path(job.masks) / f"{number:05d}.npy", mask, np.where(mask == 1, 204, 51).astype(np.uint8))
    samples = [(second / 10, 100.0 + second + 50 * computing) for second in range(100)]
    report = {"patches": patches, "peak_mb": None, "cpu_s": 9.0}
    return run_of(job.way, repeat, report, samples, began=0.0, whole_s=10.0, service_cpu_s=4.0)


@contextlib.contextmanager
def no_demonstration(folder: Path, cores: Sequence[int]) -> Iterator[Any]:
    """Stands in for the service that the command starts."""
    from eotasks.workflows.compare_mask_sources.endpoint import Endpoint

    yield Endpoint("http://127.0.0.1:9", "http://127.0.0.1:9/token", "any", "any secret", os.getpid())


def main(job_file: str, report_file: str) -> int:
    """A patch of 0.2 s, whose acquisitions are what the process was given; a job without boxes leaves no report."""
    job = json.loads(Path(job_file).read_text())
    if not job["boxes"]:
        sys.exit("nothing to do")
    if job["way"] == "fails":
        Path(report_file).write_text(json.dumps({"error": "no acquisitions", "cpu_s": 0}))
        return 1
    start = time.monotonic()
    time.sleep(0.2)
    given = [os.environ[name] for name in ("SH_PROFILE", "SH_CLIENT_SECRET", "OMP_NUM_THREADS", "XDG_CONFIG_HOME")]
    report = {"patches": [patch_report(start, 0.2, times=given)], "peak_mb": 12_345.0, "cpu_s": 0.1}
    Path(report_file).write_text(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
