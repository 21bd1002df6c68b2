"""A workflow over many patches: worker processes, threads or Ray; outcomes, progress, manifest.

Results go through storage: a workflow ends with tasks that save, and what comes back from a worker are times, memory
and errors only. A batch can be stopped and killed at any moment, and the same call goes on with what is missing.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

from eolearn.core import EOWorkflow

from eotasks.errors import (
    BatchError,
    ConfigurationError,
    EOTasksError,
    PatchesFailedError,
    PatchFailedWarning,
    warn_caller,
)
from eotasks.storage.lease import Lease, ensure_lease
from eotasks.storage.place import Place, PlaceLike
from eotasks.text import did_you_mean
from eotasks.workflows.batch.history import History, Patches
from eotasks.workflows.batch.manifest import ManifestWriter
from eotasks.workflows.batch.outcomes import PatchOutcome
from eotasks.workflows.batch.result import BatchResult
from eotasks.workflows.batch.shown import each_of, shown_progress
from eotasks.workflows.batch.workers.executor import WorkerExecutor
from eotasks.workflows.batch.workers.kinds import EXECUTORS, ExecutorName, StartMethod, checked_timeout
from eotasks.workflows.batch.workers.sizing import Size, asked_size

LOGGER = logging.getLogger(__name__)


def run_batch(
    workflow: EOWorkflow,
    patches: Patches,
    *,
    executor: ExecutorName = "processes",
    workers: int | Literal["auto"] | None = None,
    threads: int | None = None,
    patch_timeout: float | None = None,
    place: PlaceLike | None = None,
    stage: str = "batch",
    skip: Callable[[str], bool] | None = None,
    again: Collection[str] = (),
    configuration: Mapping[str, Any] | None = None,
    retry_quarantined: bool = False,
    overwrite: bool = False,
    on_progress: Callable[[PatchOutcome], None] | None = None,
    progress: bool | None = None,
    raise_on_failure: bool = False,
    start_method: StartMethod = "forkserver",
) -> BatchResult:
    """Runs a workflow over patches. A patch that fails has its error in its outcome, the others go on.

    A worker that is killed costs its patch one attempt: another worker tries it again, and after three lost workers the
    patch is ``quarantined`` (`eotasks.workflows.batch.workers.queue` has the rule). Repeating the call with the same
    place and stage does only what is missing or failed. Code does not count: when the ``execute`` of a task has
    changed, or a function that it calls, give ``overwrite`` or another configuration. Ctrl-C, SIGTERM or a closed
    terminal end the workers within seconds, and the manifest has the patches that were interrupted; a second one
    leaves at once.

    :param patches: Arguments of the nodes' execute for each patch, by its name.
    :param executor: ``processes``: worker processes, never forked from this one. ``threads`` and ``serial``: in this
        process, for tasks that cannot be pickled and for debugging. ``ray``: a Ray cluster.
    :param workers: Patches that run at the same time. None or ``"auto"``: with ``processes`` the first patch runs
        alone, and its peak of memory says how many fit into 80 % of what is free, up to the cores; with ``threads``
        the cores.
    :param threads: Threads of every engine inside a worker; None shares the cores among the workers. In ``threads``
        and ``serial`` it reaches the engines that ask `eotasks.models.threads`.
    :param patch_timeout: Seconds that a patch may take, with ``processes`` and ``ray``: then its worker is ended, which
        counts as the patch's own doing, so that it is quarantined when it hangs three times. None: any time; a step
        that takes far longer than that of other patches is warned of.
    :param place: A folder or ``s3://bucket/prefix``, as a `Place`, a text or a path: the manifest grows there by lines
        for each patch, and the logs of those that fail go there; None keeps none. No other run may have it meanwhile
        (`eotasks.storage.lease`); a lease that this thread has of the place, or of one around it, counts.
    :param stage: Name of the batch in the manifest and the report.
    :param skip: Whether a patch is complete already: then nothing runs for it. Asked once for each patch, here; where
        it raises a StorageError, the patch is made anew. None: a patch is complete when the manifest says that it was
        done with the same arguments and configuration.
    :param again: Patches that run although they would be skipped: their results are known to be lost.
    :param configuration: What the results depend on, nested as it likes. Only its fingerprints are kept. A batch that
        is repeated in its place with another one is refused. None: what the steps were made with counts instead, and
        what was done otherwise is done anew.
    :param retry_quarantined: Try patches again that an earlier run has quarantined; by default they stay so.
    :param overwrite: Run every patch, whatever was done before and with whichever configuration.
    :param on_progress: Called here with each outcome as it comes.
    :param progress: Whether stderr shows how far the batch is: a bar in a terminal or a notebook, a line now and then
        elsewhere. None: unless ``on_progress`` is given.
    :param raise_on_failure: Raise an error at the end, instead of the warning, when patches failed.
    :param start_method: How worker processes start: ``forkserver`` or ``spawn``.
    :return: An outcome for each patch, in their order; as a text, a summary of one screen.
    :raises ConfigurationError: when an argument cannot be used, or the configuration is not that of the results that
        are there; it names the keys.
    :raises BatchError: when nothing can run at all: no patches, a workflow that cannot be pickled, workers that do not
        start.
    :raises PatchesFailedError: when patches failed and ``raise_on_failure`` asks for it; its ``result`` is the result.
    :raises StorageError: when the place cannot be written, or another run has it.
    :raises MissingDependencyError: when Ray is asked for and not installed.
    :warns EOTasksWarning: at the end, what patches warned of in worker processes, once for each kind; the manifest has
        all of it. In ``threads`` and ``serial`` warnings are given where they arise.
    :warns PatchFailedWarning: at the end, when patches failed or are quarantined.
    :warns PlaceInUseWarning: when another run seems to write to this place under the lease of a place around it.
    """
    start = time.perf_counter()
    place = None if place is None else Place(place)
    wanted = None if workers == "auto" else workers
    _check(executor, wanted, threads, patches, stage)
    checked_timeout(patch_timeout, executor)
    with _terminable(), _leased(place, stage) as lease:
        history = History(place, stage, workflow, patches, configuration=configuration)
        history.warn_of_another_run()
        if not overwrite:
            history.check_configuration()
        known = {} if overwrite else history.known(patches, skip=skip, retry_quarantined=retry_quarantined)
        known = {name: outcome for name, outcome in known.items() if outcome.state != "skipped" or name not in again}
        remaining = {name: arguments for name, arguments in patches.items() if name not in known}
        shows = on_progress is None if progress is None else progress
        with shown_progress(stage, len(patches), wanted=shows) as show:
            run = _Run(place, stage, history, each_of(show, on_progress), lease)
            with run.recorded(patches=len(patches), executor=executor, workers=wanted):
                run.record_known(known.values())
                size = run.execute(
                    workflow,
                    remaining,
                    executor=executor,
                    workers=wanted,
                    threads=threads,
                    start_method=start_method,
                    patch_timeout=patch_timeout,
                )
    result = _result(run, patches, size, time.perf_counter() - start)
    for text, category in result.warning_messages():
        warn_caller(text, category)
    if result.failed:
        if raise_on_failure:
            raise PatchesFailedError(result.failure_message(), result)
        warn_caller(result.failure_message(), PatchFailedWarning)
    return result


def _check(
    executor: str, workers: int | str | None, threads: int | None, patches: Mapping[str, object], stage: str
) -> None:
    if executor not in EXECUTORS:
        raise ConfigurationError(
            f"Executor {executor!r} is unknown{did_you_mean(executor, EXECUTORS)}:"
            f" choose one of {', '.join(EXECUTORS)}."
        )
    if isinstance(workers, str):
        raise ConfigurationError(f"workers={workers!r} is no number of workers: give a whole number, or 'auto'.")
    asked_size(workers, threads, "processes", 1)
    if not patches:
        raise BatchError(f"Batch {stage!r} has no patches: check the area, or the filter of the patches.")
    if executor == "ray":
        executor_class(executor)  # a missing Ray is an error before any work
    try:
        Path.cwd()
    except OSError as error:
        raise BatchError(f"The working directory is gone ({error}): change to one that is there.") from error


def _result(run: _Run, patches: Mapping[str, object], size: Size, seconds: float) -> BatchResult:
    return BatchResult(
        run.stage, [run.outcomes[name] for name in patches], seconds, size.workers, size.threads, size.note, run.place
    )


def _leased(place: Place | None, stage: str) -> AbstractContextManager[Lease | None]:
    return contextlib.nullcontext() if place is None else ensure_lease(place, f"batch {stage!r}")


class _Run:
    """One run of a batch: it keeps manifest and logs, and reports to whoever watches."""

    def __init__(
        self,
        place: Place | None,
        stage: str,
        history: History,
        on_progress: Callable[[PatchOutcome], None] | None,
        lease: Lease | None,
    ) -> None:
        self.place = place
        self.stage = stage
        self.history = history
        self.outcomes: dict[str, PatchOutcome] = {}
        self._writer = ManifestWriter(place, stage)
        self._on_progress = on_progress
        self._lease = lease
        self._running: dict[str, None] = {}

    @contextlib.contextmanager
    def recorded(self, **facts: object) -> Iterator[None]:
        """Writes to the manifest that the batch begins, and how it ended."""
        history = self.history
        self._writer.batch(settings=history.settings, asked=history.asked, sequence=history.sequence, **facts)
        try:
            yield
        except BaseException as error:
            with contextlib.suppress(EOTasksError):  # the error that ended the batch counts
                self._writer.interrupted(self._running)
                self._writer.end("interrupted" if isinstance(error, KeyboardInterrupt) else "stopped")
            raise
        self._writer.end("complete")

    def execute(
        self, workflow: EOWorkflow, patches: Patches, *, executor: ExecutorName, workers: int | None, **options: Any
    ) -> Size:
        """Runs patches, if there are any.

        :param options: Of `WorkerExecutor`.
        """
        size = asked_size(workers, options["threads"], executor, max(1, len(patches)))
        if not patches:
            return size
        runner = executor_class(executor)(
            workflow,
            [{node: dict(kwargs) for node, kwargs in arguments.items()} for arguments in patches.values()],
            execution_names=patches,
            executor=executor,
            on_outcome=self.finish,
            on_start=self.start,
            on_lost=self.lose,
            raise_on_temporal_mismatch=executor != "threads",  # warning filters belong to a process
            **options,
        )
        runner.run(workers=workers)
        return runner.size or size

    def start(self, name: str, attempt: int) -> None:
        """A patch begins."""
        self._running[name] = None
        self._writer.running(name, attempt)

    def lose(self, outcome: PatchOutcome) -> None:
        """The worker of a patch is gone; it will run again."""
        self._running.pop(outcome.name, None)
        self._writer.lost(outcome.name, outcome.attempts, step=outcome.error_step, error=outcome.error)

    def finish(self, outcome: PatchOutcome) -> None:
        """A patch ended, well or not."""
        self._running.pop(outcome.name, None)
        if outcome.missing:
            self._keep_log(outcome)
        self.record(outcome)
        if self._lease is not None:
            self._lease.check()

    def record_known(self, outcomes: Iterable[PatchOutcome]) -> None:
        """Keeps outcomes of patches for which nothing has to run, those that are skipped in few lines."""
        skipped = []
        for outcome in outcomes:
            if outcome.state == "skipped":
                skipped.append(outcome.name)
                self._keep(outcome)
            else:
                self.record(outcome)
        self._writer.skipped(skipped)

    def record(self, outcome: PatchOutcome) -> None:
        """Keeps an outcome, notes it in the manifest, and reports it."""
        self._writer.outcome(outcome, fingerprint=self.history.fingerprints.get(outcome.name))
        self._keep(outcome)

    def _keep(self, outcome: PatchOutcome) -> None:
        self.outcomes[outcome.name] = outcome
        if self._on_progress is not None:
            self._on_progress(outcome)

    def _keep_log(self, outcome: PatchOutcome) -> None:
        parts = [f"step {outcome.error_step}: {outcome.error}", outcome.log, outcome.traceback]
        try:
            self._writer.log(outcome.name, "\n\n".join(part.rstrip() for part in parts if part) + "\n")
        except EOTasksError as error:  # the manifest has the message; the batch goes on without the details
            LOGGER.warning("The log of patch %s cannot be kept: %s", outcome.name, error)


def executor_class(executor: ExecutorName) -> type[WorkerExecutor]:
    """The class that runs patches in this way.

    :raises MissingDependencyError: when it is Ray and Ray is not installed.
    """
    if executor != "ray":
        return WorkerExecutor
    from eotasks.workflows.batch.ray.executor import RayWorkerExecutor

    return RayWorkerExecutor


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM, as schedulers send it, and SIGHUP of a terminal that is closed end the batch as Ctrl-C does, unless the
    program has a handler of its own, or ignores them (nohup).
    """
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    is_main = threading.current_thread() is threading.main_thread()
    numbers = [
        signal.Signals[name] for name in names if is_main and signal.getsignal(signal.Signals[name]) == signal.SIG_DFL
    ]

    def interrupt(number: int, _: object) -> None:
        if number != signal.SIGTERM:  # the kernel and the shell send one each: no reason to leave before all is noted
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt("terminated")

    for number in numbers:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
