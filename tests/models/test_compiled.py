"""Kept code: used when it is there, made anew when it is damaged, and never in the way."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import pytest

from eotasks.models import kept_code
from eotasks.models.compiled import kernel
from tests import ROOT

pytestmark = pytest.mark.slow

CODE = """
import logging
logging.basicConfig(format="%(message)s")
import numpy as np
from eotasks.models.forest import kernels
result = np.zeros((3, 1))
kernels.logistic(result, 1.0)
print(result[:, 0].tolist(), sum(kernels.logistic.stats.cache_hits.values()))
"""


def first_call(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )


def test_code_is_kept_and_the_first_call_says_what_it_does(tmp_path: Path) -> None:
    cold, warm = first_call(tmp_path), first_call(tmp_path)
    assert cold.stdout == "[0.5, 0.5, 0.5] 0\n"
    assert "Compiling array kernels for this machine: once" in cold.stderr
    assert warm.stdout == "[0.5, 0.5, 0.5] 1\n"
    assert warm.stderr == ""


def test_of_processes_that_begin_at_once_one_compiles(tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as threads:
        told = [call.stdout for call in threads.map(first_call, [tmp_path] * 3)]
    assert sorted(told) == ["[0.5, 0.5, 0.5] 0\n", "[0.5, 0.5, 0.5] 1\n", "[0.5, 0.5, 0.5] 1\n"]


HOLDER = "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.lockf(file, fcntl.LOCK_EX); print('held', flush=True)"


def test_nobody_waits_for_ever_for_code_of_a_process_that_is_stuck(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = kept_code._CompileLock(tmp_path / "kernel.lock")
    command = [sys.executable, "-c", f"{HOLDER}; sys.stdin.read()", str(tmp_path / "kernel.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        monkeypatch.setattr(kept_code, "_PATIENCE_S", 0.05)
        assert not lock.acquire()
        monkeypatch.undo()
        holder.kill()
    assert lock.acquire()  # a process that has died holds nothing
    lock.release()


def test_code_that_cannot_be_compiled_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    @kernel
    def broken(values: object) -> object:
        return values.no_such_thing  # type: ignore[attr-defined]

    with pytest.raises(numba.TypingError):
        broken(np.zeros(1))
    (path,) = tmp_path.rglob("*broken*.lock")
    lock = [sys.executable, "-c", HOLDER, str(path)]
    assert subprocess.run(lock, capture_output=True, text=True, timeout=60, check=True).stdout == "held\n"


@pytest.mark.parametrize("ending", [".nbi", pytest.param(".nbc", marks=pytest.mark.trial)])
@pytest.mark.parametrize("share", [pytest.param(0, marks=pytest.mark.trial), 0.5])
def test_damaged_code_is_made_anew(tmp_path: Path, ending: str, share: float) -> None:
    first_call(tmp_path)
    for path in tmp_path.rglob(f"kernels.logistic*{ending}"):
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
    damaged, after = first_call(tmp_path), first_call(tmp_path)
    assert damaged.stdout == "[0.5, 0.5, 0.5] 0\n"
    assert "is made anew" in damaged.stderr
    assert after.stdout == "[0.5, 0.5, 0.5] 1\n"


def test_a_folder_that_takes_no_code(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)){CODE}"],
        cwd=ROOT,
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "[0.5, 0.5, 0.5] 0\n"


class Payload:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.trial
@pytest.mark.parametrize("way", ["the folder", "the upper folder", "the file", "a link", "another user", "its owner"])
def test_kept_code_that_others_can_have_written_is_not_opened(tmp_path: Path, way: str) -> None:
    """Numba's index and code are pickles."""
    if way in ("another user", "its owner") and os.geteuid() != 0:
        pytest.skip("only the administrator gives files away")
    folder, marker = tmp_path / "cache", tmp_path / "it ran"
    assert first_call(folder).stdout == "[0.5, 0.5, 0.5] 0\n"
    inner, index = next((path.parent, path) for path in folder.rglob("kernels.logistic*.nbi"))
    assert inner.stat().st_mode & 0o077 == 0
    for path in (index, *inner.glob("kernels.logistic*.nbc")):
        path.write_bytes(pickle.dumps(Payload(marker)))
        if way == "the file":
            path.chmod(0o664)
        if way == "another user":
            os.chown(path, 12345, 12345)
        if way == "a link":
            path.rename(tmp_path / path.name)
            path.symlink_to(tmp_path / path.name)
    if way == "the folder":
        inner.chmod(0o770)
    if way == "the upper folder":
        folder.chmod(0o777)
    if way == "its owner":
        os.chown(inner, 12345, 12345)
    found = first_call(folder)
    assert found.stdout.startswith("[0.5, 0.5, 0.5] ")
    assert not marker.exists()
    assert "is not read" in found.stderr or "is not kept there" in found.stderr
