"""A batch on a Ray cluster: the same jobs and reports as with worker processes."""

from __future__ import annotations

import pickle
from collections.abc import Generator
from datetime import datetime
from typing import Any

from models.errors import BatchError, MissingDependencyError
from models.threads import thread_environment
from workflows.attempts import PatchQueue
from workflows.execution import PatchJob, PatchReport, execute_job
from workflows.monitor import ResettablePeak, SampledPeak

try:
    import ray
except ImportError as error:
    raise MissingDependencyError(
        "executor='ray' needs Ray, which is not installed: pip install 'eotasks[ray]', or use executor='processes'."
    ) from error


def run_on_ray(workflow: bytes, queue: PatchQueue, *, workers: int, threads: int) -> Generator[PatchReport, None, None]:
    """Runs jobs as Ray tasks, as many at a time as there are workers.

    Uses the cluster that `ray.init` has joined; without one it joins ``RAY_ADDRESS`` or starts one here.

    :param workflow: The pickled workflow.
    :param threads: Threads of every engine, and the CPUs that a job asks for.
    """
    started = not ray.is_initialized()
    if started:
        ray.init(log_to_driver=False, include_dashboard=False)
    try:
        settings = {"env_vars": thread_environment(threads)}
        remote = ray.remote(num_cpus=threads, max_retries=0, runtime_env=settings)(_execute)
        payload = ray.put(workflow)
        start = datetime.now()  # noqa: DTZ005  # eo-learn's times are naive
        running: dict[Any, PatchJob] = {}
        while queue:
            while len(running) < workers and (following := queue.take()) is not None:
                running[remote.remote(payload, following)] = following
            finished, _ = ray.wait(list(running), num_returns=1)
            job = running.pop(finished[0])
            report: PatchReport | None
            try:
                report = queue.finish(ray.get(finished[0]))
            except ray.exceptions.RayError as error:
                report = queue.lose(job, BatchError(f"Ray lost the patch ({type(error).__name__})."), since=start)
            if report is not None:
                yield report
    finally:
        if started:
            ray.shutdown()


def _execute(workflow: bytes, job: PatchJob) -> PatchReport:
    memory = ResettablePeak() if ResettablePeak.available() else SampledPeak()
    return execute_job(pickle.loads(workflow), job, memory=memory)  # noqa: S301  # of our own driver
