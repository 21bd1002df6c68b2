"""The supervisor: workers that hang, die, are killed or lie; deadlines, queues, forks, ends."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import psutil
import pytest

from eotasks.errors import ConfigurationError
from eotasks.service.errors import BusyError, EngineError, ScriptError, ScriptTimeoutError
from eotasks.service.evalscript.pool import EnginePool, JobLimits
from eotasks.service.evalscript.setup import SampleType
from eotasks.service.evalscript.workers.sandbox import SandboxLimits
from eotasks.service.evalscript.workers.supervisor import Places
from tests import ROOT
from tests.builders.scripts.pixels import script_pixels

MODULE = "tests.servers.workers.python"
PATIENT = JobLimits(base_s=30, wait_s=60)
HASTY = JobLimits(base_s=0.3, sample_s=0.3, slow_s=0.1, wait_s=60)
"""Of one pixel 0.6 s; a job of hundreds has a minute."""

ONE = script_pixels(1, 1)
MANY = script_pixels(20, 20)
PID = "import os; report(os.getpid())"


@pytest.fixture(scope="module")
def hasty() -> Iterator[EnginePool]:
    with EnginePool(Places(2), jobs=HASTY, module=MODULE) as pool:
        pool.start()
        yield pool


@pytest.fixture
def single() -> Iterator[EnginePool]:
    with EnginePool(Places(1, spares=0, slow=0), jobs=PATIENT, module=MODULE) as pool:
        pool.start()
        yield pool


def ask(pool: EnginePool, script: str) -> Any:
    with pytest.raises(ScriptError) as told:
        pool.evaluate(script, ONE)
    return json.loads(str(told.value))


def soon(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 30
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def is_zombie(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    return False


def test_honest_jobs(single: EnginePool) -> None:
    result = single.evaluate("pass", MANY)
    np.testing.assert_array_equal(result.images["default"][..., 0], MANY.sources[0].planes[0].values[0])
    assert single.describe("pass").setup.outputs[0].id == "default"
    assert single.describe("pass", [script_pixels(1, 1, scenes=3).sources[0]]).kept == ((0, 1, 2),)


ENDS = {
    "hangs": ("while True: pass", ScriptTimeoutError, "took more than the 0.6 s"),
    "sleeps": ("import time; time.sleep(1e6)", ScriptTimeoutError, "took more than"),
    "is broken": ("1 / 0", ScriptError, "the log of the service says why"),
    "traps": ("import os; os.abort()", ScriptError, "SIGABRT"),
    "faults": ("import ctypes; ctypes.string_at(0)", ScriptError, "SIGSEGV"),
    "eats": ("bytearray(2 * 10**9)", ScriptError, "exit status 12.*1,024 MiB"),
    "leaves": ("import os; os._exit(0)", ScriptError, "the log"),
    "closes its end": ("import os\nfor each in range(3, 64):\n  os.close(each)", ScriptError, None),
    "other type": ("answer = Evaluated({'default': np.ones((1, 1, 1))})", ScriptError, "broken the engine"),
    "other size": ("answer = Evaluated({'default': np.ones((0, 1, 2000), 'u1')})", ScriptTimeoutError, None),
    "many": ("answer = Evaluated({str(i): np.ones((1, 1, 0), 'u1') for i in range(500)})", ScriptError, "'images'"),
    "user data": ("answer = Evaluated({}, {'a': float('inf')})", ScriptError, "JSON"),
    "much user data": ("answer = Evaluated({}, 'a' * 2**21)", ScriptError, "2,097,154 bytes"),
}  # fmt: skip


@pytest.mark.parametrize(("script", "error", "message"), ENDS.values(), ids=ENDS)
def test_a_job_that_fails_takes_only_itself_along(
    hasty: EnginePool, script: str, error: type[Exception], message: str | None
) -> None:
    with pytest.raises(error, match=message) as told:
        hasty.evaluate(script, ONE)
    assert type(told.value) is error
    assert hasty.evaluate("pass", MANY).images["default"].shape == (20, 20, 1)


def test_a_worker_that_tells_a_failure_of_no_known_kind_is_not_used_again(single: EnginePool) -> None:
    script = (
        "import eotasks.service.evalscript.workers.main as worker\n"
        "worker.failed = lambda error: worker.Job({'say': 'failed', 'error': 'odd', 'message': 'x'})\n"
        "report(1)"
    )
    before = ask(single, PID)
    with pytest.raises(ScriptError, match="broken the engine"):
        single.evaluate(script, ONE)
    assert ask(single, PID) != before


def test_a_worker_that_floods(hasty: EnginePool) -> None:
    script = """
import gc
from eotasks.service.evalscript.workers.channel import Channel
channel = next(each for each in gc.get_objects() if isinstance(each, Channel))
while True:
    channel.send({"say": "progress", "done": 1})
"""
    with pytest.raises(ScriptError):
        hasty.evaluate(script, ONE)


def test_a_worker_that_writes_what_it_likes(hasty: EnginePool) -> None:
    script = """
import gc
from eotasks.service.evalscript.workers.channel import Channel
channel = next(each for each in gc.get_objects() if isinstance(each, Channel))
channel.end.sendall(b"EOW1" + b"\\xff" * 1000)
"""
    with pytest.raises(ScriptError, match="no header"):
        hasty.evaluate(script, ONE)


@pytest.mark.parametrize("end", ["raise SystemError", "os._exit(1)", "os.abort()"])
def test_a_worker_that_ends_once_it_has_answered_gets_no_job(end: str) -> None:
    script = f"import os\ndef prepare():\n    {end}\nworld.prepare = prepare\nreport(1)"
    with EnginePool(Places(1, spares=0), jobs=PATIENT, module=MODULE) as pool:
        for _ in range(3):
            assert ask(pool, script) == 1


def test_how_far_it_was(hasty: EnginePool) -> None:
    with pytest.raises(ScriptTimeoutError, match=r"; 1 of 1 pixels were done\. Ask"):
        hasty.evaluate("world.done = 10**9\nwhile True: pass", ONE)


def test_errors_of_scripts_keep_the_worker(single: EnginePool) -> None:
    assert len({ask(single, PID) for _ in range(3)}) == 1


def test_a_worker_is_replaced_after_its_jobs() -> None:
    with EnginePool(Places(1, spares=0, slow=0, jobs=2), jobs=PATIENT, module=MODULE) as pool:
        assert [ask(pool, PID) == ask(pool, PID) for _ in range(2)] == [True, True]


def test_a_worker_that_has_grown_is_replaced() -> None:
    with EnginePool(Places(1, spares=0, resident_bytes=250 << 20), jobs=PATIENT, module=MODULE) as pool:
        first = ask(pool, PID)
        ask(pool, "world.__class__.kept = b'x' * 250_000_000; report(1)")
        assert ask(pool, PID) != first


def test_a_dead_worker_at_rest_is_replaced(single: EnginePool) -> None:
    first = ask(single, PID)
    os.kill(first, signal.SIGKILL)
    assert ask(single, PID) != first
    assert soon(lambda: not psutil.pid_exists(first))


def test_a_job_whose_worker_is_killed_runs_again(hasty: EnginePool) -> None:
    """As when the kernel is out of memory, or an operator ends what he sees; never the client's fault."""
    slow = "import time; time.sleep(1)"
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(hasty.evaluate, slow, MANY)
        assert soon(lambda: hasty.counts["slow"] == 1)
        busy = [lease.worker.pid for lease in hasty._supervisor._leases]
        os.kill(busy[0], signal.SIGTERM)
        assert answer.result(60).images["default"].shape == (20, 20, 1)


def test_a_job_whose_workers_are_always_killed_is_to_come_again(hasty: EnginePool) -> None:
    stop = threading.Event()

    def kill() -> None:
        while not stop.wait(0.02):
            with contextlib.suppress(OSError):
                for lease in list(hasty._supervisor._leases):
                    os.kill(lease.worker.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        with pytest.raises(BusyError) as told:
            hasty.evaluate("import time; time.sleep(50)", MANY)
        assert told.value.wait_s > 0
    finally:
        stop.set()
        thread.join()


@pytest.mark.trial
def test_workers_that_are_killed_all_the_time_cost_no_answer(hasty: EnginePool) -> None:
    end = time.monotonic() + 20

    def be_honest(number: int) -> int:
        count = 0
        while time.monotonic() < end:
            shape = hasty.evaluate("import time; time.sleep(0.01)", script_pixels(20, number)).images["default"].shape
            assert shape == (20, number, 1)
            count += 1
        return count

    draw, before = random.Random(0), psutil.Process().memory_info().rss
    with ThreadPoolExecutor(4) as threads:
        counts = [threads.submit(be_honest, number) for number in range(20, 24)]
        while time.monotonic() < end:
            time.sleep(1)
            with contextlib.suppress(OSError, IndexError):
                os.kill(draw.choice(hasty.pids), signal.SIGKILL)
        assert min(count.result(60) for count in counts) > 0
    assert psutil.Process().memory_info().rss - before < 32 << 20
    assert soon(lambda: hasty.counts["idle"] >= 3)
    assert soon(lambda: not any(map(is_zombie, psutil.Process().children())))  # one may have been killed just now


def test_slow_jobs_leave_their_place() -> None:
    with EnginePool(Places(1, spares=1, slow=1), jobs=HASTY, module=MODULE) as pool, ThreadPoolExecutor(1) as threads:
        slow = threads.submit(pool.evaluate, "import time; time.sleep(1)", MANY)
        assert soon(lambda: pool.counts["slow"] == 1)
        pool.evaluate("pass", MANY)
        assert not slow.done()
        slow.result(60)


def test_who_waits_too_long_is_told_when_to_come(single: EnginePool) -> None:
    impatient = EnginePool(Places(1, spares=0, slow=0, waiting=1), jobs=JobLimits(30, wait_s=0.2), module=MODULE)
    with impatient as pool, ThreadPoolExecutor(2) as threads:
        pool.start()
        slow = threads.submit(pool.evaluate, "import time; time.sleep(1)", ONE)
        assert soon(lambda: pool.counts["busy"] == 1)
        with pytest.raises(BusyError, match=r"0\.2 s: try again in") as told:
            pool.evaluate("pass", ONE)
        assert told.value.wait_s >= 1
        slow.result(60)


def test_a_queue_that_is_full() -> None:
    jobs = JobLimits(30, wait_s=30)
    with EnginePool(Places(1, spares=0, slow=0, waiting=1), jobs=jobs, module=MODULE) as pool:
        pool.start()
        with ThreadPoolExecutor(2) as threads:
            both = [threads.submit(pool.evaluate, "import time; time.sleep(0.5)", ONE) for _ in range(2)]
            assert soon(lambda: pool.counts["waiting"] == 1)
            with pytest.raises(BusyError, match="Too many"):
                pool.evaluate("pass", ONE)
            assert [each.result(60) is not None for each in both] == [True, True]


def test_many_threads_get_their_own_answers(hasty: EnginePool) -> None:
    with ThreadPoolExecutor(8) as threads:
        sizes = [*range(15, 40)]
        results = list(threads.map(lambda n: hasty.evaluate("pass", script_pixels(n, n + 1)), sizes))
    shapes = [result.images["default"].shape for result in results]
    assert shapes == [(n, n + 1, 1) for n in sizes]


def test_what_outputs_without_a_type_give_is_told(single: EnginePool) -> None:
    with pytest.raises(ScriptError, match="FLOAT32"):
        single.evaluate("report(auto)", ONE, auto=SampleType.FLOAT32)


def test_descriptions_are_kept(single: EnginePool) -> None:
    jobs = [ask(single, "import os; report(world.__class__.__dict__.get('count', 0))")]
    for _ in range(3):
        single.describe("world.__class__.count = world.__class__.__dict__.get('count', 0) + 1")
    jobs.append(ask(single, "report(world.__class__.count)"))
    assert jobs == [0, 1]


def test_failures_are_not_kept(single: EnginePool) -> None:
    for _ in range(2):
        with pytest.raises(ScriptError, match=r"^1$"):
            single.describe("report(1)")


def test_long_scripts_are_refused_before_a_worker_sees_them() -> None:
    with EnginePool(Places(1), module="no.such.module") as pool, pytest.raises(ScriptError, match="10,000,000 bytes"):
        pool.describe("x" * 10_000_000)


def test_an_engine_that_does_not_start_says_why() -> None:
    with EnginePool(Places(1), module="no.such.module") as pool:
        with pytest.raises(EngineError, match="No module named 'no'"):
            pool.start()
        with pytest.raises(EngineError, match="No module named 'no'"):
            pool.describe("pass")
        assert "No module named 'no'" in pool.fault


def test_it_is_known_when_no_worker_starts_any_more(single: EnginePool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert single.works
    monkeypatch.setattr(single._supervisor, "_module", "no.such.module")
    for pid in single.pids:
        os.kill(pid, signal.SIGKILL)
    assert soon(lambda: not single.works)
    monkeypatch.undo()
    single._supervisor._next_start = 0.0  # at once
    assert soon(lambda: single.works)


def test_time_of_a_worker_and_of_its_jobs_must_fit() -> None:
    with pytest.raises(ConfigurationError, match="at least 4 times"):
        EnginePool(Places(1), jobs=JobLimits(ceiling_s=300), limits=SandboxLimits(cpu_seconds=600))


@pytest.mark.slow
def test_processor_time_ends_a_worker() -> None:
    limits = SandboxLimits(cpu_seconds=2)
    jobs = JobLimits(base_s=100, ceiling_s=0.5, slow_s=100)
    pool = EnginePool(Places(1), jobs=jobs, limits=limits, module=MODULE)
    object.__setattr__(pool.jobs, "ceiling_s", 100)  # so that nobody else ends it
    with pool, pytest.raises(ScriptTimeoutError, match="processor time"):
        pool.evaluate("while True: pass", ONE)


def test_closed_it_runs_nothing_and_leaves_nothing() -> None:
    pool = EnginePool(Places(2), jobs=PATIENT, module=MODULE)
    pool.start()
    with ThreadPoolExecutor(1) as threads:
        job = threads.submit(pool.evaluate, "while True: pass", ONE)
        assert soon(lambda: pool.counts["busy"] == 1)
        pids = pool.pids
        pool.close()
        with pytest.raises(EngineError, match="ends"):
            job.result(60)
    assert not any(psutil.pid_exists(pid) for pid in pids)
    with pytest.raises(EngineError, match="ends"):
        pool.describe("pass")
    pool.close()


def test_a_job_that_runs_gets_its_grace() -> None:
    pool = EnginePool(Places(1), jobs=PATIENT, module=MODULE)
    with ThreadPoolExecutor(1) as threads:
        job = threads.submit(pool.evaluate, "import time; time.sleep(0.5)", ONE)
        assert soon(lambda: pool.counts["busy"] == 1)
        pool.close(grace_s=30)
        assert job.result(60).images["default"].shape == (1, 1, 1)


def test_a_fork_has_workers_of_its_own(single: EnginePool) -> None:
    mine = ask(single, PID)
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12: this process has threads
        child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            os.write(write, json.dumps(ask(single, PID)).encode())
            single.close()
            code = 0
        os._exit(code)
    os.close(write)
    with os.fdopen(read) as pipe:
        theirs = json.load(pipe)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert theirs != mine
    assert ask(single, PID) == mine


PARENT = """
import os, sys, threading, time
from eotasks.service.evalscript.pool import EnginePool, JobLimits
from eotasks.service.evalscript.workers.supervisor import Places
from tests.builders.scripts.pixels import script_pixels

jobs = JobLimits(100, ceiling_s=100, slow_s=100)
pool = EnginePool(Places(2), jobs=jobs, module="tests.servers.workers.python")
pool.start()
threading.Thread(target=pool.evaluate, args=("while True: pass", script_pixels(1, 1)), daemon=True).start()
while pool.counts["busy"] < 1 or pool.counts["idle"] < 2:
    time.sleep(0.01)
print(*pool.pids, flush=True)
{end}
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", ["time.sleep(100)", "sys.exit(0)", "os._exit(1)"])
def test_no_worker_outlives_the_parent(end: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(end=end)], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    if "sleep" in end:
        parent.kill()
    parent.wait(60)
    parent.stdout.close()
    assert len(pids) == 3
    assert soon(lambda: all(map(is_gone, pids)))
