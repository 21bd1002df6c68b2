"""A batch on a Ray cluster, the way past one machine: the queue, jobs and reports of worker processes, on actors.

eo-learn's RayExecutor submits all patches at once and loses those whose worker dies. Here each worker is an actor that
has one patch at a time, and another one takes its place when it is gone.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from platform import python_version_tuple
from typing import Any

from eolearn.core.eoexecution import EOExecutor
from eolearn.core.eoworkflow import WorkflowResults

from eotasks.errors import BatchError, MissingDependencyError
from eotasks.models.threads import available_cores, resolve_threads, thread_environment
from eotasks.workflows.batch.ray import actor
from eotasks.workflows.batch.ray.cluster import Node, Request, module_paths, nodes, ray_cluster, worker_environment
from eotasks.workflows.batch.workers.attempt import Attempt, StepWatch, hand_on
from eotasks.workflows.batch.workers.executor import WorkerExecutor
from eotasks.workflows.batch.workers.job import PatchJob, PatchReport, pack_job
from eotasks.workflows.batch.workers.kinds import no_ray
from eotasks.workflows.batch.workers.memory import MEGABYTE
from eotasks.workflows.batch.workers.messages import decode
from eotasks.workflows.batch.workers.pickling import pickled_workflow
from eotasks.workflows.batch.workers.queue import PatchQueue
from eotasks.workflows.batch.workers.sizing import MEMORY_SHARE, Size, Sizing, asked_size

try:
    import ray
    from eolearn.core.extra.ray import RayExecutor
except ImportError as error:
    raise MissingDependencyError(no_ray()) from error

LOGGER = logging.getLogger(__name__)

_STARTS = 10
"""Workers that may die one after the other while they start."""

_POLL_SECONDS = 2.0
"""Between two questions for the nodes of the cluster, which may have grown."""

_WARN_SECONDS = 60.0
"""Between two lines about a batch that waits for the cluster."""

_PLACEMENT_SECONDS = 900.0
"""How long a batch waits for a node that is large enough; a cluster that scales needs minutes for one."""


class RayWorkerExecutor(WorkerExecutor, RayExecutor):
    """A RayExecutor with one patch in flight in each worker: a worker that dies takes only its own patch along.

    Use it like a RayExecutor, with the options of `WorkerExecutor`. Unlike eo-learn's, it joins or starts a cluster
    when there is none (`ray_cluster`). ``run(workers=None)`` takes what the cluster has: the first patch runs alone,
    its peak of memory is what each worker asks Ray for, and Ray places as many on each machine as fit there.

    :param options: As for `WorkerExecutor`; ``ray_remote_kwargs`` go to the actors, such as ``resources``.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **({"executor": "ray"} | options))

    def run(self, workers: int | None = None, **_: Any) -> list[WorkflowResults]:  # type: ignore[override]
        """Runs the patches.

        :param workers: Patches at a time; None as many as fit.
        :raises BatchError: when there is no cluster, or no worker can start.
        """
        return EOExecutor.run(self, workers=workers)

    def _reports(self, queue: PatchQueue, workers: int | None) -> Generator[PatchReport, None, None]:
        asked_size(workers, self.threads, "ray", len(queue))
        payload = pickled_workflow(self.workflow, queue.waiting, ray.cloudpickle.dumps)
        return self._on_a_cluster(payload, queue, workers)

    def _on_a_cluster(
        self, payload: bytes, queue: PatchQueue, workers: int | None
    ) -> Generator[PatchReport, None, None]:
        cpus = max(available_cores(), (workers or 1) * resolve_threads(self.threads or 1))
        with ray_cluster(cpus=cpus):
            found = nodes()
            threads, wanted = shares(found, workers, self.threads, jobs=len(queue))
            sizing = Sizing(ClusterCapacity(wanted, threads)) if workers is None else None
            start_with = Size(wanted, threads) if sizing is None else sizing.trial
            options = self.ray_remote_kwargs or {}
            pool = RayPool(payload, start_with, steps=self._steps, options=options, patch_timeout=self.patch_timeout)
            pool.grows = workers is None
            yield from self._reports_of(pool, queue, sizing)


def shares(found: list[Node], workers: int | None, threads: int | None, *, jobs: int) -> tuple[int, int]:
    """Threads of each worker, and how many workers there are to be.

    :param found: The nodes of the cluster; one that scales from nothing has none yet.
    :param workers: What is asked for; None as many as the CPUs allow.
    :param threads: What is asked for; None shares the CPUs among the workers.
    """
    total, largest = sum(node.cpus for node in found), max((node.cpus for node in found), default=0)
    if threads is None:
        each = total // max(1, min(workers or total, jobs))
        threads = max(1, min(each, largest))
    fitting = Request(resolve_threads(threads)).capacity(found)
    return threads, max(1, min(workers or fitting, jobs))


@dataclass(frozen=True)
class ClusterCapacity:
    """CPUs and memory that Ray gives away on the nodes of the cluster.

    :param workers: How many there are to be, by CPUs.
    :param threads: Of each, which are the CPUs that it asks for.
    """

    workers: int
    threads: int

    def size(self, peak_mb: float) -> Size:
        """As many as fit when each asks Ray for the memory that a patch takes.

        :param peak_mb: Peak of a patch that ran alone.
        """
        found = nodes()
        most = max((node.memory_mb for node in found if node.cpus >= self.threads), default=0.0)
        by_cpus = Request(self.threads).capacity(found)
        request = Request(self.threads, memory_mb=min(peak_mb / MEMORY_SHARE, most))
        fitting = max(1, request.capacity(found))
        reason = "memory sets the limit" if fitting < by_cpus else f"{sum(node.cpus for node in found)} CPUs"
        count = f"{len(found)} node{'s' * (len(found) > 1)}"
        workers = min(self.workers, fitting)
        note = f"{workers} workers on {count} ({reason}): a patch alone took {peak_mb:,.0f} MB."
        return Size(workers, self.threads, note, memory_mb=request.memory_mb)


class RayPool:
    """Actors for one workflow, one patch in flight in each.

    :param workflow: The pickled workflow.
    :param size: How many workers there are to be, and what each asks Ray for.
    :param steps: Names of the steps by node uid, for messages.
    :param options: Further options of the actors.
    :param patch_timeout: Seconds after which the worker of a patch is ended; None for never.
    """

    def __init__(
        self,
        workflow: bytes,
        size: Size,
        *,
        steps: Mapping[str, str],
        options: Mapping[str, Any],
        patch_timeout: float | None = None,
    ) -> None:
        self.size = size
        self.steps = steps
        self.grows = False
        """Whether the number of workers follows the cluster."""
        self.on_trial = False
        """While it is true, a worker that has ended a patch gets the next one only after its report was handled."""
        self._options = dict(options)
        self._payload = ray.put(workflow)
        ray.cloudpickle.register_pickle_by_value(actor)  # type: ignore[no-untyped-call]  # Ray has few hints
        self._actor_class: Any = ray.remote(actor.RayWorker)
        self._watch = StepWatch(steps, patch_timeout)
        self._workers: list[_Worker] = []
        self._failed_starts = 0
        self._polled = self._placed = self._warned = time.monotonic()

    def run(self, queue: PatchQueue) -> Generator[PatchReport, None, None]:
        """Runs the patches; reports come in the order in which patches are finished. Closing it ends the workers.

        :raises BatchError: when workers cannot start, or the cluster has no place for one.
        """
        try:
            while queue:
                self._follow_cluster(queue)
                self._assign_work(queue)
                for worker in self._workers_with_messages():
                    report = self._receive(worker, queue)
                    if report is not None:
                        yield report
                yield from self._end_overdue(queue)
        finally:
            for worker in self._workers:
                worker.end()
            self._workers.clear()

    @property
    def request(self) -> Request:
        """What each worker asks Ray for."""
        return Request(self.size.threads, self.size.memory_mb)

    def _follow_cluster(self, queue: PatchQueue) -> None:
        """Follows a cluster that grows, and warns when it has no place."""
        now = time.monotonic()
        if now - self._polled < _POLL_SECONDS:
            return
        self._polled = now
        found = nodes()
        fitting = self.request.capacity(found)
        if self.grows and not self.on_trial:
            workers = max(1, fitting, self.size.workers if not found else 0)
            self.size = replace(self.size, workers=workers)
        if any(worker.ready for worker in self._workers):
            self._placed = now
        elif not fitting and self._warned > self._placed and now - self._placed > _PLACEMENT_SECONDS:
            raise BatchError(f"No node of the Ray cluster has {self.request}: use fewer threads, or larger nodes.")
        elif now - max(self._placed, self._warned) > _WARN_SECONDS:
            self._warned = now
            LOGGER.warning("%d patches wait for a place with %s on the Ray cluster.", len(queue), self.request)

    def _assign_work(self, queue: PatchQueue) -> None:
        """Gives work to workers that have none, and starts those that are missing."""
        for worker in [worker for worker in self._workers if worker.stream is None]:
            if worker.request != self.request:
                self._workers.remove(worker)
                worker.end()
            elif queue.waiting:
                worker.call()  # it may have died while it was idle, which is no fault of the patch
        for _ in range(min(self.size.workers, len(queue)) - len(self._workers)):
            self._start_worker()

    def _start_worker(self) -> None:
        options = {"num_cpus": self.request.cpus, "scheduling_strategy": "SPREAD", "max_restarts": 0}
        if self.request.memory_mb:
            options["memory"] = int(self.request.memory_mb * MEGABYTE)
        environment = worker_environment() | {"OMP_WAIT_POLICY": "PASSIVE"} | thread_environment(self.request.cpus)
        level = logging.getLogger().getEffectiveLevel()
        worker = self._actor_class.options(**(options | self._options)).remote(
            environment, module_paths(), str(Path.cwd()), level
        )
        self._workers.append(_Worker(worker, self.request, worker.prepare.remote(self._payload, _versions())))

    def _workers_with_messages(self) -> list[_Worker]:
        """Workers that have sent a message, or have died; none when nothing came for a while."""
        streams = [worker.stream for worker in self._workers if worker.stream is not None]
        if not streams:
            return []
        attempts = [worker.attempt for worker in self._workers if worker.attempt is not None]
        timeout = min(_POLL_SECONDS, self._watch.seconds_to_wait(attempts))
        first, _ = ray.wait(streams, num_returns=1, timeout=timeout)
        if not first:
            return []
        ready, _ = ray.wait(streams, num_returns=len(streams), timeout=0)
        received = {id(stream) for stream in ready or first}
        return [worker for worker in self._workers if id(worker.stream) in received]

    def _receive(self, worker: _Worker, queue: PatchQueue) -> PatchReport | None:
        """Takes one message of a worker."""
        try:
            kind, content = worker.message()
        except (ray.exceptions.RayError, ValueError) as error:
            return self._handle_lost_worker(worker, queue, error)
        attempt, report = worker.attempt, None
        if kind == "facts":
            if "refused" in content:
                raise BatchError(content["refused"])
            worker.place = f"process {content['pid']} on {content['host']}"
        elif kind == "log":
            if attempt is not None:
                attempt.keep_log(content)
            hand_on(content)
        elif kind == "step" and attempt is not None:
            attempt.begin_step(content)
        elif attempt is not None and content.index == attempt.job.index:
            worker.attempt, worker.stream, report = None, None, queue.finish(content)
            self._watch.end(report)
            if kind == "last report":
                self._workers.remove(worker)
                worker.end()
                return report
        if worker.stream is None:
            worker.ready, self._failed_starts = True, 0
            if not self.on_trial or kind != "report":
                self._send_job(worker, queue)  # before the report is handled, which may take its time
        return report

    def _send_job(self, worker: _Worker, queue: PatchQueue) -> None:
        job = queue.take() if worker.request == self.request else None
        if job is not None:
            worker.begin(job)

    def _end_overdue(self, queue: PatchQueue) -> Generator[PatchReport, None, None]:
        """Ends workers whose patch takes too long; reports of those that are quarantined."""
        for worker in list(self._workers):
            overdue = None if worker.attempt is None else self._watch.overdue(worker.attempt)
            if overdue is not None:
                report = self._handle_lost_worker(worker, queue, overdue)
                if report is not None:
                    yield report

    def _handle_lost_worker(self, worker: _Worker, queue: PatchQueue, error: Exception) -> PatchReport | None:
        """Removes a worker that died, or that has to; its patch runs again or is quarantined."""
        self._workers.remove(worker)
        worker.end()
        if worker.attempt is None:
            self._failed_starts += not worker.ready
            if self._failed_starts >= _STARTS:
                raise BatchError(f"Workers on the Ray cluster die while they start ({_exit_reason(error)}).") from error
            LOGGER.warning("A Ray worker without a patch ended (%s). Another one takes its place.", _exit_reason(error))
            return None
        if isinstance(error, BatchError):
            return worker.attempt.lose(queue, error, self.steps, caused_by_patch=True)
        died = BatchError(f"The Ray worker ({worker.place}) ended ({_exit_reason(error)}).")
        return worker.attempt.lose(queue, died, self.steps)


class _Worker:
    """The driver's view of an actor.

    :param handle: Of the actor.
    :param prepared: Comes with the facts of the actor once it can take patches.
    """

    def __init__(self, handle: Any, request: Request, prepared: Any) -> None:
        self.handle = handle
        self.request = request
        self.stream: Any = prepared
        """What is waited for: one answer, or the messages of a patch; None when it is idle."""
        self.ready = False
        self.place = "no node yet"
        self.attempt: Attempt | None = None

    def call(self) -> None:
        """Asks whether it is still there."""
        self.stream = self.handle.facts.remote()

    def begin(self, job: PatchJob) -> None:
        """Gives it a patch."""
        self.attempt = Attempt(job)
        packed = pack_job(job, ray.cloudpickle.dumps)
        streaming = {"num_returns": "streaming", "_generator_backpressure_num_objects": 1}
        self.stream = self.handle.execute.options(**streaming).remote(packed)

    def message(self) -> tuple[str, Any]:
        """Its next message, which has arrived.

        :raises ray.exceptions.RayError: when it died.
        :raises ValueError: when it is none of ours.
        """
        if self.attempt is None:
            facts, self.stream = ray.get(self.stream), None
            return "facts", facts
        return decode(ray.get(next(self.stream)))

    def end(self) -> None:
        """Ends its process at once, in the middle of a patch too."""
        self.stream = None
        with contextlib.suppress(ray.exceptions.RayError, ValueError):  # it is gone, or was never placed
            ray.kill(self.handle, no_restart=True)


def _versions() -> dict[str, str]:
    """What has to be the same where patches run: whatever reads what the driver has pickled."""
    return {"Python": ".".join(python_version_tuple()[:2]), "eotasks": version("eotasks")}


def _exit_reason(error: Exception) -> str:
    """Why a worker ended, as far as Ray knows, in a few words."""
    text = " ".join(str(error).split())
    if isinstance(error, ray.exceptions.OutOfMemoryError) or "memory pressure" in text:
        return "ended by Ray for lack of memory: use fewer workers or smaller patches"
    if isinstance(error, ray.exceptions.RayTaskError):
        return f"{type(error.cause).__name__}: {error.cause}"
    if "node has died" in text or "node was terminated" in text:
        return "its node is gone"
    if "exit type: SYSTEM_ERROR" in text:
        return "its process was killed or crashed, mostly for lack of memory: use fewer workers or smaller patches"
    return f"{type(error).__name__}: {text[:200]}"
