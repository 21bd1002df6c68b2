"""Processes of this interpreter that run programs of ours, and the cores that they keep to."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

Process = subprocess.Popen[bytes]

_ENDS_WITHIN = 40.0
"""Seconds that a process has to end by itself once it is asked to."""

_LAST_WORDS = 4_000
"""Bytes."""


@contextlib.contextmanager
def running(
    module: str, arguments: Sequence[str], environment: Mapping[str, str], output: Path, errors: Path
) -> Iterator[Process]:
    """A module in a process of its own, with the packages of this one; it is ended when the block is left.

    :param module: Such as ``eotasks.workflows.cli``.
    :param environment: Variables beside those of this process.
    :param output: File for what it prints.
    :param errors: File for what it logs.
    """
    known = os.pathsep.join(each for each in sys.path if Path(each).is_absolute())
    with output.open("wb") as out, errors.open("wb") as err:
        process = subprocess.Popen(  # noqa: S603 - this interpreter, and a program of ours
            [sys.executable, "-P", "-m", module, *arguments],
            env={**os.environ, "PYTHONPATH": known, **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    try:
        yield process
    finally:
        end(process)


def end(process: Process) -> None:
    """Asks a process to end, and ends it when it does not."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def last_words(file: Path) -> str:
    """The last line that a process has written to a file; empty without any."""
    try:
        lines = file.read_bytes()[-_LAST_WORDS:].decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def cores() -> tuple[int | None, tuple[int, ...]]:
    """The core for what is measured, and the others for the service; None where processes cannot be held to cores.

    With one core alone both share it.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None, ()
    known = sorted(os.sched_getaffinity(0))
    return known[-1], tuple(known[:-1] or known)


def hold(pid: int, to: Collection[int]) -> None:
    """Holds a process that has just begun, and what it starts, to cores."""
    if to and hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(ProcessLookupError):  # it has ended already, and says why elsewhere
            os.sched_setaffinity(pid, to)


def cpu_of_family(pid: int | None) -> float | None:
    """Seconds of processor time of a process, of those that it has started, and of those of them that have ended.

    None without a process, or when it has ended.
    """
    if pid is None:
        return None
    try:
        parent = psutil.Process(pid)
        total = sum(parent.cpu_times()[:4])
        for child in parent.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                total += sum(child.cpu_times()[:2])
    except psutil.Error:
        return None
    return float(total)
