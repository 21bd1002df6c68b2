"""The engine of the service: worker processes, each of which runs one script at a time and may die of it.

Only the parent ends a script: V8's own limit of time does not hold (an array that is filled, a promise that never
rests). A worker that is late is killed; one that dies takes only its script along, and a spare stands ready, as a new
one needs a third of a second. Scripts that take longer than others run beside them: they leave their place to those
that wait, and lose their priority.
"""

from __future__ import annotations

import logging
import math
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from eotasks.errors import ConfigurationError
from eotasks.service.errors import BusyError, EngineError, ScriptError, ScriptTimeoutError, ServiceError
from eotasks.service.evalscript.descriptions import Descriptions
from eotasks.service.evalscript.engine import Description, Evaluated
from eotasks.service.evalscript.planes import Pixels, SourcePixels
from eotasks.service.evalscript.setup import SampleType
from eotasks.service.evalscript.workers.channel import Channel, WorkerAnswerError, WorkerGoneError, WorkerLateError
from eotasks.service.evalscript.workers.places import Lease
from eotasks.service.evalscript.workers.process import (
    WORKER,
    Progress,
    WorkerProcess,
    describe_status,
    ended_from_outside,
)
from eotasks.service.evalscript.workers.protocol import (
    OUT_OF_MEMORY,
    Bounds,
    Job,
    describe_job,
    evaluate_job,
    read_description,
    read_evaluated,
)
from eotasks.service.evalscript.workers.sandbox import SandboxLimits, SandboxState
from eotasks.service.evalscript.workers.supervisor import Places, Supervisor

LOGGER = logging.getLogger(__name__)

_DESCRIPTIONS, _NAMES = 512, 20_000
"""That are kept, and names of bands in them."""
_START_SECONDS = 120.0
_WORKER_JOBS = 4
"""Jobs of the longest kind that a worker must be able to do: it is replaced when half of its time is spent."""

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class JobLimits:
    """What one job may take."""

    base_s: float = 2.0
    sample_s: float = 20e-6
    """Seconds for each pixel of each scene, on top: honest scripts need up to 13 us."""

    ceiling_s: float = 60.0
    wait_s: float = 10.0
    """For a worker."""

    slow_s: float = 1.0
    """After so long at most a job runs beside the others; after less, where others take much less."""

    script_bytes: int = 1 << 20
    """Public scripts reach 411 kB."""

    image_bytes: int = 1 << 30
    user_data_bytes: int = 1 << 20

    @property
    def worker_cpu_seconds(self) -> int:
        """Processor time that a worker has to have at least."""
        return math.ceil(_WORKER_JOBS * self.ceiling_s)

    def seconds(self, samples: int) -> float:
        """Deadline of a job.

        :param samples: Pixels times scenes, of all sources.
        """
        return min(self.base_s + samples * self.sample_s, self.ceiling_s)


class EnginePool:
    """An `Engine`. May be used by several threads, and after a fork.

    :param places: How many workers, and how many jobs may wait.
    :param jobs: What one job may take.
    :param limits: What a worker may take.
    :param module: Whose `main` workers run.
    """

    def __init__(
        self,
        places: Places,
        *,
        jobs: JobLimits | None = None,
        limits: SandboxLimits | None = None,
        module: str = WORKER,
    ) -> None:
        self.jobs = jobs or JobLimits()
        limits = limits or SandboxLimits()
        if limits.cpu_seconds < self.jobs.worker_cpu_seconds:
            raise ConfigurationError(
                f"A worker gets {limits.cpu_seconds} s of processor time, a job up to {self.jobs.ceiling_s:g} s: give a"
                f" worker at least {_WORKER_JOBS} times as much."
            )
        self._supervisor = Supervisor(places, limits, module)
        self._descriptions = Descriptions(_DESCRIPTIONS, _NAMES)

    def __enter__(self) -> EnginePool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> SandboxState:
        """Start the workers, and wait for the first one.

        :return: What of the sandbox holds on this machine.
        :raises EngineError: when none starts.
        """
        return self._supervisor.wait_ready(_START_SECONDS)

    @property
    def sandbox(self) -> SandboxState | None:
        """What of the sandbox holds; None until a worker was ready."""
        return self._supervisor.state

    @property
    def works(self) -> bool:
        """Whether scripts can be run: not when no worker starts any more."""
        return self._supervisor.works

    @property
    def fault(self) -> str:
        """Why no worker starts; empty while all is well."""
        return self._supervisor.fault

    @property
    def counts(self) -> dict[str, int]:
        """Workers: "idle", "busy", "slow", "starting"; and jobs that are "waiting"."""
        return self._supervisor.counts()

    @property
    def pids(self) -> list[int]:
        """Of the workers."""
        return self._supervisor.pids()

    def close(self, grace_s: float = 0.0) -> None:
        """End the workers. Scripts that run get some seconds of grace."""
        self._supervisor.close(grace_s)

    def describe(self, script: str, sources: Sequence[SourcePixels] = ()) -> Description:
        """As `Engine.describe`. What a script declares without scenes is kept."""
        if not sources:
            known = self._descriptions.get(script)
            if known is not None:
                return known
        scenes = [len(source.scenes) for source in sources]
        description = self._run(
            describe_job(script, sources),
            0,
            lambda header, *_: read_description(header, scenes),
            "to say what it needs",
        )
        if not sources:
            self._descriptions.put(script, description)
        return description

    def evaluate(self, script: str, pixels: Pixels, *, auto: SampleType = SampleType.AUTO) -> Evaluated:
        """As `Engine.evaluate`."""
        shape = (pixels.height, pixels.width)
        scenes = sum(len(source.scenes) for source in pixels.sources)
        bounds = Bounds(self.jobs.image_bytes, self.jobs.user_data_bytes)

        def read(header: dict[str, Any], channel: Channel, deadline: float) -> Evaluated:
            return read_evaluated(header, channel, shape, bounds, deadline)

        samples = pixels.height * pixels.width * max(1, scenes)
        what = f"for {pixels.width} x {pixels.height} pixels of {scenes} scenes"
        return self._run(evaluate_job(script, pixels, auto), samples, read, what, pixels.height * pixels.width)

    def _run(
        self,
        job: Job,
        samples: int,
        read: Callable[[dict[str, Any], Channel, float], _Result],
        what: str,
        pixels: int = 0,
    ) -> _Result:
        """One job; again, where its worker was ended from outside."""
        size = int(job.header["script"])
        if size > self.jobs.script_bytes:
            raise ScriptError(f"The evalscript has {size:,} bytes; up to {self.jobs.script_bytes:,} are taken.")
        for _ in range(2):
            try:
                return self._run_once(job, self.jobs.seconds(samples), read, what, pixels)
            except _EndedFromOutsideError as error:
                LOGGER.warning("A worker of the engine was ended from outside (%s).", error)
        raise BusyError("Workers of the engine are ended from outside: try again in 5 s.", wait_s=5.0)

    def _run_once(
        self,
        job: Job,
        seconds: float,
        read: Callable[[dict[str, Any], Channel, float], _Result],
        what: str,
        pixels: int,
    ) -> _Result:
        lease = self._supervisor.take(self.jobs.wait_s)
        worker, fit = lease.worker, False
        progress = Progress(pixels, time.monotonic() + seconds)
        try:
            header = self._exchange(lease, job, progress)
            fit = header.get("say") == "failed" and header.get("error") != "timeout"  # nothing is left of the script
            result = read(header, worker.channel, progress.deadline)
            fit = True
        except WorkerLateError:
            raise ScriptTimeoutError(_late(what, seconds, progress)) from None
        except WorkerGoneError:
            raise _end_of(worker, what, self._supervisor.limits) from None
        except WorkerAnswerError as error:
            fit = False  # also of one that says that a script has failed, and how in no way that there is
            LOGGER.error("A worker of the engine was ended for its answer: %s", error)
            raise ScriptError(f"The evalscript has broken the engine. {error}") from error
        finally:
            self._supervisor.give_back(lease, fit=fit)
        return result

    def _exchange(self, lease: Lease, job: Job, progress: Progress) -> dict[str, Any]:
        """Give a worker a job, and wait for the header of its answer."""
        try:
            lease.worker.send(job, progress.deadline)
        except WorkerGoneError:  # while it was idle: not this script's doing
            raise _EndedFromOutsideError(describe_status(lease.worker.reap())) from None
        slow_at = min(lease.started + self._supervisor.slow_after(self.jobs.slow_s), progress.deadline)
        header = lease.worker.hear(slow_at, progress)
        if header is None and slow_at < progress.deadline:
            self._supervisor.slow_down(lease)
            header = lease.worker.hear(progress.deadline, progress)
        if header is None:
            raise WorkerLateError("An engine took too long.")
        return header


class _EndedFromOutsideError(EngineError):
    """A worker that somebody else has ended: its job was not at fault."""


def _late(what: str, seconds: float, progress: Progress) -> str:
    done = f"; {progress.done:,} of {progress.pixels:,} pixels were done" if progress.done else ""
    return (
        f"The evalscript took more than the {seconds:.1f} s that it gets {what}{done}. Ask for fewer pixels or scenes,"
        " or let the script do less."
    )


def _end_of(worker: WorkerProcess, what: str, limits: SandboxLimits) -> ServiceError:
    """The error of a job whose worker has ended."""
    status = worker.reap()
    if ended_from_outside(status):
        return _EndedFromOutsideError(describe_status(status))
    if status == -signal.SIGXCPU:
        return ScriptTimeoutError(f"The evalscript took more processor time than it gets {what}: let it do less.")
    if status >= 0 and status != OUT_OF_MEMORY:
        LOGGER.error("A worker of the engine has ended (%s): %s", describe_status(status), worker.last_words)
        return ScriptError("The engine cannot run this evalscript: the log of the service says why.")
    LOGGER.info("An evalscript has ended its worker (%s).", describe_status(status))
    return ScriptError(
        f"The evalscript has ended its process ({describe_status(status)}): it took more than the"
        f" {limits.memory_bytes >> 20:,} MiB of memory that it gets, or broke the engine. Let it keep less, or ask for"
        " fewer pixels or scenes."
    )
