"""One run of one way in a fresh process, its memory sampled from outside, so that nothing disturbs it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from eotasks.documents import parse_json_object
from eotasks.errors import BatchError
from eotasks.models.threads import thread_environment
from eotasks.workflows.compare_mask_sources.endpoint import Endpoint
from eotasks.workflows.compare_mask_sources.plan import Job
from eotasks.workflows.compare_mask_sources.processes import Process, cpu_of_family, last_words, running

MEGABYTE = 1024.0**2
SAMPLE_SECONDS = 0.02
MOST_SAMPLES = 3_000
"""Of a run that are kept; of longer ones neighbours are one, the largest."""

WORKER = "eotasks.workflows.compare_mask_sources.worker"

Sample = tuple[float, float]
"""Seconds since the process began, and its resident set in MB of 1024² bytes."""


@dataclass(frozen=True)
class Run:
    """What one run took. Seconds are of the wall where nothing else is said; of all patches together."""

    way: str
    repeat: int
    seconds: float
    """From the beginning of each patch to its masks, without loading libraries."""

    answers_s: float
    """Of them, waiting for answers of the service."""

    pauses_s: float
    """Of them, pauses of the client: 50 ms from one request to the next."""

    computing_s: float
    """Of them, computing masks."""

    start_s: float
    """From the beginning of the process to that of the first patch: loading libraries."""

    whole_s: float
    """From the beginning of the process to its end."""

    cpu_s: float
    """Processor time of the patches."""

    whole_cpu_s: float
    """Of the process, with its start."""

    service_cpu_s: float | None
    """Processor time of the service meanwhile; None where it was not started here."""

    bytes: int
    requests: dict[str, int]
    """Kind -> number."""

    loaded_mb: float
    """Resident set when the first patch begins."""

    peak_mb: float
    patch_ends: tuple[float, ...]
    """Seconds since the process began."""

    samples: tuple[Sample, ...]
    acquisitions: tuple[tuple[str, ...], ...]
    """Times of each patch."""

    @property
    def other_s(self) -> float:
        """Of the seconds, those that are none of the parts: unpacking answers, making arrays."""
        return max(self.seconds - self.answers_s - self.pauses_s - self.computing_s, 0.0)

    @property
    def request_count(self) -> int:
        """Of all kinds."""
        return sum(self.requests.values())


def measure(job: Job, endpoint: Endpoint, folder: Path, *, repeat: int = 0) -> Run:
    """Runs a way in a process of one thread.

    :param folder: For what the process reads and writes, which is this run's alone.
    :raises BatchError: when it fails, with its reason.
    """
    folder.mkdir(parents=True, exist_ok=True)
    job_file, report_file, log = folder / "job.json", folder / "report.json", folder / "log"
    job_file.write_text(job.as_json(), encoding="utf-8")
    environment = {**thread_environment(1), **endpoint.environment(folder / "settings")}
    service_before, began = cpu_of_family(endpoint.pid), time.monotonic()
    with running(WORKER, [str(job_file), str(report_file)], environment, folder / "output", log) as process:
        samples = sampled(process, began)
        whole = time.monotonic() - began
    service_after = cpu_of_family(endpoint.pid)
    report = _report(report_file, job.way, process.returncode, log)
    service = None if service_before is None or service_after is None else service_after - service_before
    return run_of(job.way, repeat, report, samples, began=began, whole_s=whole, service_cpu_s=service)


def sampled(process: Process, began: float) -> list[Sample]:
    """The resident set of a process until it ends."""
    watched = psutil.Process(process.pid)
    samples: list[Sample] = []
    while process.poll() is None:
        try:
            resident = watched.memory_info().rss
        except psutil.Error:  # it has just ended
            break
        if resident:
            samples.append((time.monotonic() - began, resident / MEGABYTE))
        time.sleep(SAMPLE_SECONDS)
    process.wait()
    return samples


def _report(file: Path, way: str, code: int, log: Path) -> dict[str, Any]:
    try:
        content = file.read_bytes()
    except OSError:
        raise BatchError(f"The way {way!r} ended with {code} and no report: {last_words(log)}") from None
    report = parse_json_object(content, lambda reason: BatchError(f"The report of the way {way!r} is {reason}."))
    if "error" in report:
        raise BatchError(f"The way {way!r} failed: {report['error']}")
    return report


def run_of(
    way: str,
    repeat: int,
    report: Mapping[str, Any],
    samples: Sequence[Sample],
    *,
    began: float,
    whole_s: float,
    service_cpu_s: float | None,
) -> Run:
    """Figures of a run, from what its process has said of each patch and what was sampled of it.

    :param began: By time.monotonic, which all processes of a machine share.
    """
    patches = report["patches"]

    def total(name: str) -> float:
        return float(sum(each[name] for each in patches))

    counts: Counter[str] = Counter()
    for each in patches:
        counts.update(each["requests"])
    start = patches[0]["start"] - began
    loaded = [megabytes for second, megabytes in samples if second <= start]
    peaks = [megabytes for _, megabytes in samples]
    if report.get("peak_mb") is not None:
        peaks.append(float(report["peak_mb"]))  # what passed between two samples
    return Run(
        way=way,
        repeat=repeat,
        seconds=total("download_s") + total("computing_s"),
        answers_s=total("answers_s"),
        pauses_s=total("pauses_s"),
        computing_s=total("computing_s"),
        start_s=start,
        whole_s=whole_s,
        cpu_s=total("cpu_s"),
        whole_cpu_s=float(report["cpu_s"]),
        service_cpu_s=service_cpu_s,
        bytes=int(total("bytes")),
        requests=dict(counts),
        loaded_mb=loaded[-1] if loaded else 0.0,
        peak_mb=max(peaks, default=0.0),
        patch_ends=tuple(each["end"] - began for each in patches),
        samples=tuple(thinned(samples)),
        acquisitions=tuple(tuple(each["acquisitions"]) for each in patches),
    )


def thinned(samples: Sequence[Sample], most: int = MOST_SAMPLES) -> list[Sample]:
    """At most so many samples: the largest of each group of neighbours, so that peaks stay."""
    step = -(-len(samples) // most) or 1
    return [max(samples[first : first + step], key=lambda each: each[1]) for first in range(0, len(samples), step)]
