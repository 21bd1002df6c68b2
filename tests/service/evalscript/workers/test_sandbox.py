"""The drill: what a script that has taken over its worker can do."""

from __future__ import annotations

import json
import logging
import platform
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from eotasks.service.errors import ScriptError
from eotasks.service.evalscript.pool import EnginePool, JobLimits
from eotasks.service.evalscript.workers import sandbox
from eotasks.service.evalscript.workers.sandbox import SandboxLimits, SandboxState
from eotasks.service.evalscript.workers.supervisor import Places

PATIENT = JobLimits(base_s=60, wait_s=60)
"""A loaded machine is no fault of a script."""

pytest.importorskip("py_mini_racer", reason="needs the extra 'service'")

DRILL = """
import ctypes, os, resource, signal, socket, subprocess, threading
C = ctypes.CDLL(None, use_errno=True)
found = {}

def attempt(name, act):
    try:
        act()
        found[name] = "succeeded"
    except PermissionError:
        found[name] = "refused"
    except Exception as error:
        found[name] = type(error).__name__

def call(number, *arguments):
    if C.syscall(number, *arguments) == -1:
        raise OSError(ctypes.get_errno(), "no")

parent = os.getppid()
attempt("read a file", lambda: open("/etc/passwd"))
attempt("write a file", lambda: open("/tmp/written", "w"))
attempt("list a folder", lambda: os.listdir("/"))
attempt("stat", lambda: os.stat("/"))
attempt("change folder", lambda: os.chdir("/tmp"))
attempt("socket", lambda: socket.socket())
attempt("datagrams", lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
attempt("exec", lambda: os.execv("/bin/true", ["true"]))
attempt("fork", lambda: os.fork())
attempt("subprocess", lambda: subprocess.run(["true"]))
attempt("kill the parent", lambda: os.kill(parent, signal.SIGKILL))
attempt("kill all", lambda: os.kill(-1, signal.SIGKILL))
attempt("set a user", lambda: os.setuid(0))
attempt("raise a limit", lambda: resource.prlimit(0, resource.RLIMIT_NOFILE, (1, 1)))
attempt("look at the parent's limits", lambda: resource.prlimit(parent, resource.RLIMIT_CPU))
attempt("priority", lambda: os.setpriority(os.PRIO_PROCESS, parent, 19))
attempt("file in memory", lambda: os.memfd_create("x"))
attempt("shared memory", lambda: open("/dev/shm/x", "w"))
attempt("link", lambda: os.symlink("/etc/passwd", "/tmp/link"))
attempt("remove", lambda: os.unlink("/etc/hostname"))
attempt("send a signal to itself", lambda: os.kill(os.getpid(), signal.SIGTERM))
if MACHINE == "x86_64":
    attempt("ptrace", lambda: call(101, 16, parent, 0, 0))
    attempt("read the parent's memory", lambda: call(310, parent, 0, 0, 0, 0, 0))
    attempt("unshare", lambda: call(272, 0x10000000))
    attempt("mount", lambda: call(165, 0, 0, 0, 0, 0))
    attempt("bpf", lambda: call(321, 0, 0, 0))
    attempt("io_uring", lambda: call(425, 1, 0))
    attempt("userfaultfd", lambda: call(323, 0))
    attempt("keys", lambda: call(250, 0, 0, 0, 0))
    attempt("pidfd", lambda: call(434, parent, 0))
    attempt("clone of a process", lambda: call(56, 17, 0, 0, 0, 0))
    attempt("chroot", lambda: call(161, 0))
    attempt("filter of its own", lambda: call(317, 1, 0, 0))
report(found)
"""
ASK = """
import os, threading
thread = threading.Thread(target=print)
thread.start()
thread.join()
def is_open(number):
    try:
        return os.get_blocking(number) is not None
    except OSError:
        return False
report({
    "environment": sorted(os.environ),
    "descriptors": sum(is_open(number) for number in range(4096)),
    "user": os.getuid(),
    "javascript": world.javascript("let all = new Float32Array(1e6).fill(2); all[5]"),
    "random": len(os.urandom(8)),
})
"""


def ask(pool: EnginePool, script: str) -> Any:
    with pytest.raises(ScriptError) as told:
        pool.describe(f"MACHINE = {platform.machine()!r}\n{script}")
    return json.loads(str(told.value))


@pytest.fixture(scope="module")
def pool() -> Iterator[EnginePool]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EOTASKS_TEST_SECRET_TOKEN", "hush")
        with EnginePool(Places(1, spares=0), jobs=PATIENT, module="tests.servers.workers.python_beside_v8") as pool:
            pool.start()
            yield pool


def test_nothing_succeeds_with_seccomp(pool: EnginePool) -> None:
    if pool.sandbox is None or not pool.sandbox.seccomp:
        pytest.skip(f"no seccomp here: {pool.sandbox and pool.sandbox.reason}")
    assert set(ask(pool, DRILL).values()) == {"refused"}


def test_what_a_worker_has_and_needs(pool: EnginePool) -> None:
    told = ask(pool, ASK)
    assert "hush" not in str(told)
    allowed = {"LANG", "TZ", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MALLOC_ARENA_MAX", "LC_CTYPE"}
    assert {name for name in told["environment"] if not name.endswith("LIBRARY_PATH")} <= allowed
    assert told["descriptors"] == 4  # no input, no output, errors, the stream
    assert told["user"] != 0
    assert told["javascript"] == 2
    assert told["random"] == 8


@pytest.mark.skipif(sys.platform != "linux", reason="numbers of Linux")
def test_no_code_is_made_without_a_compiler() -> None:
    script = """
import ctypes
C = ctypes.CDLL(None)
C.mmap.restype = ctypes.c_void_p
def refused(rights, flags):
    return C.mmap(None, ctypes.c_size_t(4096), rights, flags, -1, 0) == 2**64 - 1
report([refused(3, 0x22), refused(7, 0x22), refused(3, 0x21)])
"""
    limits = SandboxLimits(jitless=True)
    with EnginePool(Places(1, spares=0), jobs=PATIENT, limits=limits, module="tests.servers.workers.python") as pool:
        state = pool.start()
        assert state.jitless
        if not state.seccomp:
            pytest.skip(f"no seccomp here: {state.reason}")
        assert ask(pool, script) == [False, True, True]  # memory; what can be run; what is shared


def test_without_seccomp_it_runs_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    limits = SandboxLimits(seccomp=False)
    with (
        caplog.at_level(logging.INFO),
        EnginePool(Places(1, spares=0), jobs=PATIENT, limits=limits, module="tests.servers.workers.python") as pool,
    ):
        state = pool.start()
        assert not state.seccomp
        assert state.as_json()["reason"] == "turned off"
        assert ask(pool, "report(1)") == 1
    assert [record.levelname for record in caplog.records if "seccomp OFF (turned off)" in record.message] == [
        "WARNING"
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is of Linux")
def test_why_there_is_no_seccomp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    assert sandbox._prepare_filter(jitless=False) == (None, "the package pyseccomp is not installed")
    monkeypatch.delitem(sys.modules, "pyseccomp")
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None if name == "seccomp" else "libc.so.6")
    assert sandbox._prepare_filter(jitless=False) == (None, "Unable to find libseccomp: install libseccomp2")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert sandbox._prepare_filter(jitless=False) == (None, "darwin has none")


def test_memory_is_what_a_script_may_take_on_top() -> None:
    limits = SandboxLimits(memory_bytes=300 << 20)
    with EnginePool(
        Places(1, spares=0), jobs=PATIENT, limits=limits, module="tests.servers.workers.python_beside_v8"
    ) as pool:
        set_ones = pool.start().limits
        assert set_ones["core_bytes"] == set_ones["file_bytes"] == 0
        if "memory_bytes" not in set_ones:
            pytest.skip("no limit of memory here")
        assert ask(pool, "bytearray(200 << 20); report(1)") == 1
        with pytest.raises(ScriptError, match="300 MiB"):
            pool.describe("bytearray(310 << 20)")


def test_state_in_one_line() -> None:
    state = SandboxState(True, "", "nobody", False, {"memory_bytes": 1024})
    assert state.text == "seccomp on; user: nobody; memory_bytes 1,024"
    assert SandboxState(False, "darwin has none", "own").text == "seccomp OFF (darwin has none); user: own; NO LIMITS"
