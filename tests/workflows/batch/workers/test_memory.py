from __future__ import annotations

import mmap
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from eotasks.workflows.batch.workers import memory as monitor
from eotasks.workflows.batch.workers.memory import MemoryMonitor, ResettablePeak, SampledPeak, StepMemory, oom_kills

HOLD = "data = bytearray(80 * 1024**2); print('held', flush=True); import time; time.sleep(60)"


def new_pages(megabytes: int) -> mmap.mmap:
    """Memory that the system has just given, every page of it touched.

    An array may lie in what earlier tests of this process have freed, and then it adds nothing.
    """
    pages = mmap.mmap(-1, megabytes * 1024**2)
    for start in range(0, len(pages), mmap.PAGESIZE):
        pages[start] = 1
    return pages


ALONE = """
import subprocess, sys
from eotasks.workflows.batch.workers.memory import MemoryMonitor
with MemoryMonitor(interval=0.02) as monitor:
    before = monitor.sample()
    with subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        with_child = monitor.sample()
        child.kill()
print(before, with_child, monitor.peak_mb, monitor.sample())
"""


def test_children_count_and_the_peak_stays() -> None:
    """In a process of its own: other tests of this one leave children, which end when they like."""
    done = subprocess.run([sys.executable, "-c", ALONE, HOLD], capture_output=True, text=True, check=True)
    before, with_child, peak, after = map(float, done.stdout.split())
    assert with_child - before > 75
    assert peak >= with_child
    assert after < with_child - 60


def test_the_thread_sees_a_peak_between_two_looks() -> None:
    with MemoryMonitor(interval=0.01) as monitor:
        before = monitor.peak_mb
        data = new_pages(120)
        deadline = time.monotonic() + 300
        while monitor.peak_mb < before + 100 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert monitor.peak_mb >= before + 100
        data.close()


def test_where_the_system_has_no_pss_it_is_rss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda _: False)
    monitor = MemoryMonitor()
    monkeypatch.undo()
    assert monitor.measure == "RSS"
    assert monitor.sample() > 10


needs_reset = pytest.mark.skipif(not ResettablePeak.available(), reason="the kernel cannot reset the peak of a process")


@pytest.mark.parametrize(
    "make", [pytest.param(ResettablePeak, marks=needs_reset), SampledPeak], ids=["kernel", "sampled"]
)
def test_a_step_has_its_own_peak(make: Callable[[], StepMemory]) -> None:
    memory = make()
    memory.start()
    before = memory.stop()
    memory.start()
    data = new_pages(100)
    large = memory.stop()
    data.close()
    memory.start()
    after = memory.stop()
    assert large - before == pytest.approx(100, abs=10)
    assert after == pytest.approx(before, abs=10)


@needs_reset
def test_the_kernel_sees_what_is_gone_before_the_step_ends() -> None:
    memory = ResettablePeak()
    memory.start()
    before = memory.stop()
    memory.start()
    new_pages(100).close()
    assert memory.stop() - before == pytest.approx(100, abs=10)


def test_kills_for_lack_of_memory_are_counted_where_the_kernel_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "events").write_text("low 1\noom 5\noom_kill 3\n")
    (tmp_path / "vmstat").write_text("nr_free_pages 12\noom_kill 7\n")
    monkeypatch.setattr(monitor, "OOM_COUNTERS", (tmp_path / "events", tmp_path / "vmstat"))
    assert oom_kills() == 3
    (tmp_path / "events").unlink()
    assert oom_kills() == 7
    (tmp_path / "vmstat").write_text("nr_free_pages 12\n")
    assert oom_kills() == 0
