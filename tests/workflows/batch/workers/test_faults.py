"""Whatever a patch raises, logs or does to its process: it is a failure of that patch with its name, and no other's."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import psutil
import pytest

from eotasks.errors import BatchError, ConfigurationError, PatchFailedWarning, ReflectanceError
from eotasks.storage.place import Place
from eotasks.workflows.batch.result import BatchResult
from eotasks.workflows.batch.run import run_batch
from eotasks.workflows.batch.workers import attempt as attempts
from eotasks.workflows.batch.workers import pool as pools
from eotasks.workflows.batch.workers.executor import WorkerExecutor
from eotasks.workflows.batch.workers.job import _LastLines
from eotasks.workflows.batch.workers.kinds import process_context
from eotasks.workflows.batch.workers.messages import decode, encode
from tests.builders.batch_tasks import LOGGED, RAISED, TwoArgumentsError, Unprintable, Unrebuildable
from tests.builders.batches import facts_batch, faulty, hanging, run_failing_batch, states

VALUES = {
    "argument": Unrebuildable(),
    "argument that leaves": Unrebuildable(SystemExit),
    "argument without text": Unprintable(),
}
ERRORS = {
    "two arguments": "TwoArgumentsError: 1 and 2",
    "of the worker only": "MadeError: made here",
    "mute": "MuteError: its message cannot be read (RuntimeError)",
    "leaving": "LeavingError: its message cannot be read (SystemExit)",
    "deadly": "DeadlyError: unpickle me",
    "system exit": "SystemExit: 3",
    "interrupt": "KeyboardInterrupt: not by the user",
    "wrapped interrupt": "RuntimeError: error while a class was made",
    "generator exit": "GeneratorExit",
    "memory": "MemoryError: all gone",
    "group": "ExceptionGroup: several (2 sub-exceptions)",
    "large number": "ValueError: its message cannot be read (ValueError)",
    "recursion": "RecursionError: maximum recursion depth exceeded",
    "argument without text": "RuntimeError: no text",
}
OF_PROCESSES = {
    "argument": "RuntimeError: made only where it was born",
    "argument that leaves": "SystemExit: made only where it was born",
    "descriptors": "OSError: [Errno 24] Too many open files: '/dev/null'",
}


BAD_CALLS = ("log mute", "log arguments", "log key", "log message")


def check(result: BatchResult, errors: dict[str, str], place: Place) -> None:
    """Those that raise have failed at their first attempt with their own message and log, the others are done."""
    found = {outcome.name: str(outcome.error) for outcome in result.failed}
    assert {name: found.get(name) for name in errors} == errors
    assert "cannot read /data/m" in found.pop("undecodable")
    assert len(found.pop("long")) < 3_000
    assert found == errors
    assert {outcome.attempts for outcome in result.outcomes} == {1}
    assert set(result.done) == set(states(result)) - {*errors, "undecodable", "long"}
    log = place.read_bytes("batch/logs/test/mute.log").decode()
    assert "WARNING tests.faults: about to raise" in log
    assert "raise RAISED[name]()" in log


@pytest.mark.slow
def test_processes_whatever_is_raised_or_logged_is_of_its_patch_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["a", *RAISED, *LOGGED, *ERRORS, *OF_PROCESSES, "unprintable result", "twice", "pool", "b"]
    workflow, patches = faulty(*dict.fromkeys(names), values=VALUES)
    failed = f" of {len(patches)} patches of batch 'test' failed"
    with caplog.at_level(logging.WARNING), pytest.warns(PatchFailedWarning, match=failed):
        result = run_batch(workflow, patches, workers=2, place=Place(tmp_path), stage="test")
    check(result, ERRORS | OF_PROCESSES, Place(tmp_path))
    by_extra = next(record for record in caplog.records if record.getMessage() == "by extra")
    assert (by_extra.__dict__["error"], by_extra.__dict__["count"]) == ("1 and 2", 3)
    said = [record.getMessage() for record in caplog.records if record.name == "tests.faults"]
    assert {"by argument %s", "%d items", "%(absent)s", "<Unprintable>"} <= {*said}
    assert max(map(len, said)) < 5_000


@pytest.mark.parametrize("executor", ["serial", "threads"])
def test_in_this_process_the_same_and_an_interrupt_of_the_user_ends_the_batch(executor: str, tmp_path: Path) -> None:
    errors = dict(ERRORS)
    logged = [name for name in LOGGED if name not in BAD_CALLS]  # pytest's own handler raises for those
    names = dict.fromkeys(["a", *RAISED, *logged, *ERRORS, "unprintable result", "b"])
    if executor == "serial":
        for name in ("interrupt", "wrapped interrupt"):
            del names[name], errors[name]
    workflow, patches = faulty(*names, values=VALUES)
    with pytest.warns(PatchFailedWarning, match=f" of {len(patches)} patches of batch 'test' failed"):
        result = run_batch(workflow, patches, executor=executor, workers=2, place=Place(tmp_path), stage="test")  # type: ignore[arg-type]
    check(result, errors, Place(tmp_path))
    for name in ("interrupt", "wrapped interrupt") if executor == "serial" else ():
        workflow, patches = faulty(name, "a")
        with pytest.raises(KeyboardInterrupt):
            run_batch(workflow, patches, executor="serial")


def test_what_stays_of_an_exception_is_of_its_class_where_that_is_known(tmp_path: Path) -> None:
    workflow, patches = faulty("memory", "two arguments", "group", "a")
    executor = WorkerExecutor(workflow, [dict(of) for of in patches.values()], execution_names=list(patches))  # type: ignore[arg-type]
    executor.run(workers=1)
    kinds = [
        None if of.error_node_uid is None else type(of.stats[of.error_node_uid].exception_info.exception)  # type: ignore[union-attr]
        for of in executor.execution_results
    ]
    assert kinds == [MemoryError, TwoArgumentsError, RuntimeError, None]  # no plain arguments


@pytest.mark.slow
def test_a_patch_that_cuts_or_garbles_the_connection_costs_its_workers_only() -> None:
    workflow, patches = faulty("a", "closes all", "writes anywhere", "b")
    result = run_failing_batch(workflow, patches, workers=2)
    assert states(result) == {"a": "done", "closes all": "quarantined", "writes anywhere": "quarantined", "b": "done"}


@pytest.mark.slow
def test_a_patch_that_hangs_is_ended_with_all_that_it_has_started(tmp_path: Path) -> None:
    bad = ["hang", "stopped", "fork"]
    (tmp_path / "children").mkdir()
    workflow, patches = hanging(tmp_path / "children", "a", *bad, "b")
    result = run_failing_batch(workflow, patches, workers=2, patch_timeout=2.0, place=Place(tmp_path / "place"))
    assert states(result) == {"a": "done", **dict.fromkeys(bad, "quarantined"), "b": "done"}
    assert {outcome.attempts for outcome in result.failed} == {3}
    assert {outcome.error for outcome in result.failed} == {
        "It took more than 2 s, and its worker was ended: look why this step hangs, or raise patch_timeout."
    }
    assert {outcome.error_step for outcome in result.failed} == {"Hang"}
    children = [int(file.name) for file in (tmp_path / "children").iterdir()]
    assert len(children) > 10
    until = time.monotonic() + 300  # on a loaded machine, processes that are killed still take their time
    while any(map(runs, children)) and time.monotonic() < until:
        time.sleep(0.1)
    assert [child for child in children if runs(child)] == []


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_dead_worker_whose_child_keeps_the_connection_is_noticed(tmp_path: Path) -> None:
    workflow, patches = hanging(tmp_path, "orphan", "a")
    result = run_failing_batch(workflow, patches, workers=1)  # the children sleep for a minute each
    assert states(result) == {"orphan": "quarantined", "a": "done"}
    assert result.seconds < 60


@pytest.mark.parametrize(
    ("options", "message"),
    [({"patch_timeout": 0}, "is no time"), ({"patch_timeout": float("nan")}, "is no time"),
     ({"patch_timeout": 5, "executor": "threads"}, "needs a process to end"),
     ({"patch_timeout": 5, "executor": "serial"}, "needs a process to end")],
    ids=["zero", "nan", "threads", "serial"],
)  # fmt: skip
def test_a_patch_timeout_that_cannot_be_kept_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        run_batch(*faulty("a"), **options)


def test_a_step_far_slower_than_the_others_is_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "_SLOW_SECONDS", 0.5)
    monkeypatch.setattr(attempts, "LOOK_SECONDS", 0.1)
    workflow, patches = hanging(tmp_path, "a", "stopped")
    with caplog.at_level(logging.WARNING):
        run_failing_batch(workflow, patches, workers=1, patch_timeout=1.5)
    slow = [record.getMessage() for record in caplog.records if "has been in step Hang" in record.getMessage()]
    assert len(slow) == 3  # once an attempt


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_that_the_system_refuses_are_an_error_and_no_wait_for_ever(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow, patches = facts_batch(tmp_path, 4)
    monkeypatch.setattr(pools, "_PAUSE_SECONDS", 0.05)

    def refuse(*_: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    context = type(process_context("forkserver"))
    monkeypatch.setattr(context, "Pipe", refuse)
    with pytest.raises(BatchError, match=r"do not start .*temporarily unavailable"):
        run_batch(workflow, patches, workers=workers)
    monkeypatch.undo()
    monkeypatch.setattr(pools, "_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(context.Process, "start", refuse)
    with pytest.raises(BatchError, match=r"do not start .*temporarily unavailable"):
        run_batch(workflow, patches, workers=workers)


def test_the_batch_goes_on_with_the_workers_that_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    process = type(process_context("forkserver")).Process
    start, started = process.start, []

    def start_one(self: Any) -> None:
        started.append(self)
        if len(started) > 1:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        start(self)

    monkeypatch.setattr(process, "start", start_one)
    monkeypatch.setattr(pools, "LOOK_SECONDS", 0.0)
    workflow, patches = facts_batch(tmp_path, 5)
    with caplog.at_level(logging.WARNING):
        assert run_batch(workflow, patches, workers=3).exit_code == 0
    assert len(started) > 3
    assert [message for message in caplog.messages if "The batch goes on with 1 workers" in message]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no fork server here")
@pytest.mark.parametrize("workers", [1, None])
def test_a_fork_server_that_was_just_killed_is_started_again(workers: int | None, tmp_path: Path) -> None:
    workflow, patches = facts_batch(tmp_path, 2)
    run_batch(workflow, patches, workers=1)
    server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    os.kill(server, signal.SIGKILL)
    assert run_batch(workflow, patches, workers=workers).exit_code == 0


def test_two_batches_in_two_threads_leave_the_environment_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EOTASKS_NUM_THREADS", raising=False)
    before = dict(os.environ)

    def run(executor: str) -> None:
        workflow, patches = facts_batch(tmp_path, 6)
        run_batch(workflow, patches, executor=executor, workers=1, threads=2)  # type: ignore[arg-type]

    threads = [threading.Thread(target=run, args=(name,)) for name in ("serial", "processes", "serial", "processes")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'["report", 3]', b'["log", {}]', b"\xff", b"[" * 100_000, b'["report", {"index": 1}]'],
    ids=["empty", "list", "object", "number", "record", "bytes", "deep", "part"],
)
def test_what_is_no_message_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the message is Python's own
        decode(data)


@pytest.mark.parametrize("name", BAD_CALLS)
def test_a_bad_log_call_is_a_line_of_the_log(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("tests.faults"), "propagate", False)  # pytest's handler raises
    lines = _LastLines(threading.get_ident())
    monkeypatch.setattr(logging.getLogger("tests.faults"), "handlers", [lines])
    LOGGED[name]()
    assert len(lines.lines) == 1
    assert " WARNING tests.faults: " in lines.lines[0]


def test_a_record_travels_as_its_texts() -> None:
    record = logging.LogRecord("a.b", logging.ERROR, "file.py", 7, "%s of %d", (ReflectanceError("x"), 3), None)
    kind, copy = decode(encode("log", record))
    assert (kind, copy.getMessage(), copy.lineno, copy.created) == ("log", "x of 3", 7, record.created)
