"""Runs the cases of one format in processes that may die, and tells what came of each.

A process makes the samples of a format once and forks the one that runs the cases: when that dies or hangs, the next
one goes on behind the case that did it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import mmap
import os
import random
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from eotasks.errors import EOTasksError
from tests.benchmarks.hostile.formats import FORMATS, Format
from tests.benchmarks.hostile.guard import MEGABYTE, Guard, limit_memory, peak_memory
from tests.benchmarks.hostile.mutations import mutated

MEMORY = 2048 * MEGABYTE
"""Address space that a process may take beyond what it has when it begins."""

MEMORY_OF_CASE = 300 * MEGABYTE
"""By which a case may raise what a process holds at most: samples have some kilobytes."""

MEMORY_OF_CASES = 400 * MEGABYTE
"""By which all cases of a process may: libraries keep something of each file that they opened, and each has another
name. What they keep would be taken for what a case takes.
"""

LONGEST_MESSAGE = 5_000
POLL_SECONDS = 0.05
SECONDS_TO_WARM = 120.0
"""More, before the first case: kernels may have to be compiled."""
CASES_OF_SEED = 1_000_000
_HEAD = struct.Struct("q")
_NOT_RUN, _ACCEPTED, _REFUSED, _FAULT = range(4)
_RECYCLED = 75
"""Exit status of a process whose memory has grown too much to measure the next case."""


@dataclass(frozen=True)
class Fault:
    """What no reader may do."""

    format: str
    seed: int
    """Of the case: with `--replay FORMAT:SEED` it comes again."""

    kind: str
    """"crash", "hang", "bare", "memory", "outside" or "message"."""

    detail: str
    """The same for the same fault."""


@dataclass
class Result:
    """What came of the cases of a format."""

    format: str
    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    faults: list[Fault] = field(default_factory=list)

    @property
    def cases(self) -> int:
        """All that ran."""
        return self.accepted + self.refused + len({fault.seed for fault in self.faults})

    def kinds(self) -> Counter[tuple[str, str]]:
        """How often each fault came."""
        return Counter((fault.kind, fault.detail) for fault in self.faults)


def run_format(name: str, count: int, seed: int, seconds: float) -> Result:
    """Runs cases of a format. The process that calls is given its samples and forks: let it be one of its own.

    :param seed: Of the whole run, 0 to 1,000.
    :param seconds: How long a case may take.
    """
    result = Result(name)
    folder = Path(tempfile.mkdtemp(prefix="eotasks-hostile-"))
    try:
        warnings.simplefilter("ignore")
        cases = _Cases(FORMATS[name], folder, seed * CASES_OF_SEED)
        shared = mmap.mmap(-1, _HEAD.size + count)
        began = time.monotonic()
        at = 0
        while at < count:
            at = _run_until_dead(cases, shared, at, count, seconds, result)
        result.seconds = time.monotonic() - began
        outcomes = Counter(shared[_HEAD.size :])
        result.accepted, result.refused = outcomes[_ACCEPTED], outcomes[_REFUSED]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return result


def run_here(name: str, seeds: range | list[int], folder: Path) -> list[tuple[int, str, BaseException | None]]:
    """Runs cases in this process, for tests and to show one: seed, fault or "", and what was raised.

    No process is there to catch a crash or a hang.
    """
    cases = _Cases(FORMATS[name], folder, 0)
    found = []
    for seed in seeds:
        error = cases.run(seed)
        fault = _fault_of(error)
        found.append((seed, "" if fault is None else " ".join(fault), error))
    return found


class _Cases:
    """The cases of a format in a folder of their own."""

    def __init__(self, format_: Format, folder: Path, first: int) -> None:
        self.format, self.folder, self.first = format_, folder, first
        self.samples, self.read = format_.prepare(folder)

    def content(self, seed: int) -> bytes:
        """The file of a case."""
        rng = random.Random(f"{self.format.name}:{seed}")  # the same in every run, no secret
        return mutated(rng, self.samples, self.format.grammar, self.format.tokens, self.format.head)

    def run(self, seed: int) -> BaseException | None:
        """What a case raises."""
        content = self.content(seed)
        try:
            self.read(content)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is looked at
            return error
        return None


def _run_until_dead(cases: _Cases, shared: mmap.mmap, at: int, count: int, seconds: float, result: Result) -> int:
    """Forks a process that runs cases from a number on; gives the number of the next one to run."""
    log, crashes = cases.folder / ".faults", cases.folder / ".crash"
    log.write_text("")
    _HEAD.pack_into(shared, 0, ~at)  # below 0: it has not begun
    parent = os.getppid()
    child = os.fork()
    if not child:
        _run_to_the_end(cases, shared, at, count, log, crashes)
    status, seen, since = None, ~at, time.monotonic() + SECONDS_TO_WARM
    while status is None:
        time.sleep(POLL_SECONDS)
        ended, code = os.waitpid(child, os.WNOHANG)
        (number,) = _HEAD.unpack_from(shared, 0)  # while it is written, it may be another one for a moment
        if number != seen:
            seen, since = number, time.monotonic()
        if ended:
            status = os.waitstatus_to_exitcode(code)
        elif os.getppid() != parent:  # nobody waits for the rest
            os.kill(child, signal.SIGKILL)
            os._exit(1)
        elif time.monotonic() - since > seconds:
            os.kill(child, signal.SIGABRT)  # faulthandler writes where it hangs
            time.sleep(POLL_SECONDS)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            now = _running(shared)
            result.faults.append(Fault(cases.format.name, cases.first + now, "hang", _where(crashes)))
            shared[_HEAD.size + now] = _FAULT
            status = -signal.SIGKILL
    now = _running(shared)
    result.faults += [Fault(**json.loads(line)) for line in log.read_text().splitlines()]
    if status in (0, _RECYCLED):
        return count if status == 0 else now + 1
    if shared[_HEAD.size + now] != _FAULT:
        name = signal.Signals(-status).name if status < 0 else f"exit {status}"
        result.faults.append(Fault(cases.format.name, cases.first + now, "crash", f"{name} {_where(crashes)}"))
        shared[_HEAD.size + now] = _FAULT
    return now + 1


def _running(shared: mmap.mmap) -> int:
    """Number of the case that runs, or is the first one to."""
    (number,) = _HEAD.unpack_from(shared, 0)
    return int(number) if number >= 0 else ~int(number)


def _run_to_the_end(cases: _Cases, shared: mmap.mmap, at: int, count: int, log: Path, crashes: Path) -> None:
    """In the forked process, which ends here."""
    status = 1
    try:
        guard = Guard(cases.folder, online=cases.format.online)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        tempfile.tempdir = os.environ["TMPDIR"] = str(cases.folder)
        limit_memory(MEMORY)
        with log.open("a") as faults, crashes.open("w") as stack:
            faulthandler.enable(stack)
            status = _run_all(cases, guard, shared, range(at, count), lambda line: print(line, file=faults, flush=True))
    except BaseException:  # noqa: BLE001  # told by the exit status; the stack must not go on into the parent's
        crashes.write_text(traceback.format_exc())
    os._exit(status)


def _run_all(cases: _Cases, guard: Guard, shared: mmap.mmap, numbers: range, note: Callable[[str], None]) -> int:
    for sample in cases.samples:  # what is loaded when it is first needed is no fault of a case
        with contextlib.suppress(EOTasksError):  # some belong to another place, or lie on a server
            guard.watching(partial(cases.read, sample))
    guard.noted()
    begun, parent = peak_memory(), os.getppid()
    peak = begun
    for number in numbers:
        if os.getppid() != parent:
            os._exit(1)
        _HEAD.pack_into(shared, 0, number)
        error = guard.watching(partial(cases.run, cases.first + number))
        faults = [fault for fault in [_fault_of(error)] if fault is not None]
        if guard.noted():  # again: the watched file is that of every run on this machine
            guard.watching(partial(cases.run, cases.first + number))
            faults += [("outside", noted) for noted in guard.noted()]
        grown = peak_memory()
        if grown - peak > MEMORY_OF_CASE:
            faults.append(("memory", f"{_frame(error)}: {(grown - peak) // MEGABYTE >> 8 << 8} MB or more"))
        for kind, detail in faults:
            note(json.dumps(asdict(Fault(cases.format.name, cases.first + number, kind, detail))))
        shared[_HEAD.size + number] = _FAULT if faults else _ACCEPTED if error is None else _REFUSED
        if grown - peak > MEMORY_OF_CASE or grown - begun > MEMORY_OF_CASES:
            return _RECYCLED if number + 1 < numbers.stop else 0
        peak = grown
    return 0


def _fault_of(error: BaseException | None) -> tuple[str, str] | None:
    """Kind and place of what may not be raised; None for a refusal by name, or for none."""
    if error is None:
        return None
    if isinstance(error, MemoryError):
        return "memory", f"MemoryError at {_frame(error)}"
    if not isinstance(error, EOTasksError) or type(error) is EOTasksError:
        return "bare", f"{type(error).__name__} at {_frame(error)}"
    if len(str(error)) > LONGEST_MESSAGE:
        return "message", f"{type(error).__name__} of thousands of characters at {_frame(error)}"
    return None


def _frame(error: BaseException | None) -> str:
    """The last place in eotasks that an error went through."""
    frames = [] if error is None else traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/eotasks/" in frame.filename]
    if not ours:
        return "nowhere"
    path = ours[-1].filename.rpartition("/eotasks/")[2]
    return f"{path}:{ours[-1].name}"


def _where(crashes: Path) -> str:
    """The first place in eotasks of a stack that faulthandler wrote."""
    lines = crashes.read_text(errors="replace").splitlines() if crashes.exists() else []
    ours = next((line.strip() for line in lines if "/eotasks/" in line), "")
    if not ours:
        return lines[-1][:200] if lines else ""
    path, _, name = ours.rpartition("/eotasks/")[2].partition('", line ')
    return f"in {path}:{name.rpartition(' in ')[2]}"


if sys.platform == "win32":  # pragma: no cover
    raise ImportError("hostile cases run in forked processes, which this system has not")
