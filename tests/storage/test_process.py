"""`eotasks.storage.process`: one rule for whether a process still lives, in containers too."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from eotasks.storage import process as process_module
from eotasks.storage.process import ProcessIdentity

SAY_WHO = "import json; from dataclasses import asdict; from eotasks.storage.process import ProcessIdentity\n"
SAY_WHO += "print(json.dumps(asdict(ProcessIdentity.current())), flush=True)\n"
WAIT = "input()\n"
ASK = "import sys; print(ProcessIdentity.parse(json.loads(sys.argv[1])).state())\n"
IN_A_NEW_NAMESPACE = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")


@pytest.fixture
def other() -> Iterator[subprocess.Popen[str]]:
    """A process that waits until it is told to end, and says first who it is."""
    program = [sys.executable, "-c", SAY_WHO + WAIT]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def identity_of(process: subprocess.Popen[str]) -> ProcessIdentity:
    assert process.stdout is not None
    found = ProcessIdentity.parse(json.loads(process.stdout.readline()))
    assert found is not None
    return found


def in_a_container(*arguments: str) -> str:
    """What a Python program says that has its own numbers of processes, as one in a container."""
    unshare = shutil.which(IN_A_NEW_NAMESPACE[0])
    if unshare is None or subprocess.run([*IN_A_NEW_NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives no namespace of processes to its users")
    command = [*IN_A_NEW_NAMESPACE, sys.executable, "-c", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=400).stdout.strip()


def test_the_current_process_lives() -> None:
    current = ProcessIdentity.current()
    assert (current.pid, current.state(), current.is_current) == (os.getpid(), "alive", True)
    assert ProcessIdentity.parse(json.loads(json.dumps(asdict(current)))) == current


def test_another_process_is_seen_to_end(other: subprocess.Popen[str]) -> None:
    identity = identity_of(other)
    assert (identity.state(), identity.is_current) == ("alive", False)
    other.kill()
    other.wait()
    assert identity.state() == "gone"


def test_a_process_that_nobody_waits_for_is_gone(other: subprocess.Popen[str]) -> None:
    """In a container whose first process is no init, the dead stay in the table."""
    identity = identity_of(other)
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.Process(other.pid).status() == psutil.STATUS_ZOMBIE
    assert identity.state() == "gone"


def test_a_number_that_came_again_is_another_process() -> None:
    before = replace(ProcessIdentity.current(), started=ProcessIdentity.current().started - 1)
    assert (before.state(), before.is_current) == ("gone", False)


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 5, 2**70])
def test_numbers_that_no_process_has(pid: int) -> None:
    assert replace(ProcessIdentity.current(), pid=pid).state() == "gone"


def test_of_another_machine_nothing_is_known() -> None:
    for pid in (os.getpid(), 2**22 + 5):
        assert replace(ProcessIdentity.current(), machine="another boot", pid=pid).state() == "unknown"


def test_of_another_container_nothing_is_known(other: subprocess.Popen[str]) -> None:
    """Same host, same boot, and the same numbers for other processes."""
    inside = ProcessIdentity.parse(json.loads(in_a_container(SAY_WHO)))
    assert inside is not None
    assert inside.host == ProcessIdentity.current().host
    assert inside.machine != ProcessIdentity.current().machine
    assert inside.state() == "unknown"
    outside = json.dumps(asdict(identity_of(other)))
    assert in_a_container(SAY_WHO + ASK, outside).splitlines()[-1] == "unknown"


@pytest.mark.parametrize("seconds", [5, -7200])
def test_a_clock_that_is_set_ends_no_process(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """The time of the boot moves with it, and psutil adds the age of a process to that."""
    identity = ProcessIdentity.current()
    began = psutil.Process().create_time()
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: began + seconds)
    assert (identity.state(), ProcessIdentity.current()) == ("alive", identity)


def test_a_name_with_brackets_hides_no_start() -> None:
    identity, name = ProcessIdentity.current(), Path("/proc/self/comm")
    before = name.read_text()
    name.write_text(") Z 1 2 (")
    try:
        assert (identity.state(), ProcessIdentity.current()) == ("alive", identity)
    finally:
        name.write_text(before)


@pytest.mark.parametrize("error", [PermissionError(), OSError(5, "Input/output error"), FileNotFoundError()])
def test_a_process_that_may_not_be_looked_at_is_unknown(monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    """The last one is what /proc says of the processes of others where it is mounted with hidepid."""
    identity = ProcessIdentity.current()

    def denied(_: int) -> tuple[int, str]:
        raise error

    monkeypatch.setattr(process_module, "_started", denied)
    assert identity.state() == "unknown"


@pytest.mark.parametrize(
    "change",
    [{"pid": "x"}, {"started": None}, {"machine": ...}, {"started": "9e999x"}],
    ids=["pid", "none", "lacks", "text"],
)
def test_what_is_no_identity_is_none(change: dict[str, object]) -> None:
    content = {**asdict(ProcessIdentity.current()), **change}
    assert ProcessIdentity.parse({key: value for key, value in content.items() if value is not ...}) is None
    for other_kind in (None, [], "a", 1):
        assert ProcessIdentity.parse(other_kind) is None
