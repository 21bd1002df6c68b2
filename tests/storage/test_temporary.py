"""`eotasks.storage.temporary`: temporary files are private, and gone when their process is, however it ends."""

from __future__ import annotations

import multiprocessing.util
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from eolearn.core import EONode, EOWorkflow

from eotasks.storage import local_copy, temporary
from eotasks.storage.temporary import OwnFolder, temporary_folder
from tests.builders.batch_tasks import LeaveFilesTask
from tests.builders.batches import run_failing_batch


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of the system."""
    multiprocessing.util.get_temp_dir()  # where its sockets are: one in a process, and not in the folder of a test
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(temporary, "_of_process", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def run(program: str) -> int:
    program = f"import os, signal, sys\nfrom eotasks.storage.temporary import OwnFolder, temporary_folder\n{program}"
    return subprocess.run([sys.executable, "-c", program], timeout=400, check=False).returncode


def test_folders_are_private_and_go_with_their_block(folder: Path) -> None:
    before = os.umask(0)
    try:
        with temporary_folder() as name:
            inner = Path(name)
            assert [stat.S_IMODE(each.stat().st_mode) for each in (inner, inner.parent)] == [0o700, 0o700]
    finally:
        os.umask(before)
    assert not inner.exists()


def test_a_folder_that_others_have_cleaned_away_is_made_anew(folder: Path) -> None:
    with temporary_folder() as name:
        first = Path(name).parent
    (first / ".owner.json").unlink()
    first.rmdir()
    with temporary_folder() as name:
        assert Path(name).is_dir()


@pytest.mark.parametrize("exit_", ["", "sys.exit(3)", "raise SystemExit", "raise KeyboardInterrupt"])
def test_they_go_with_a_process_that_ends(folder: Path, exit_: str) -> None:
    run(f"folder, block = OwnFolder(), temporary_folder()\nblock.__enter__()\n{exit_}")
    assert list(folder.iterdir()) == []


def test_what_was_killed_is_cleaned_up_after_and_nothing_else(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="eotasks-", dir=folder) as foreign:
        run("OwnFolder(), temporary_folder().__enter__(); os.kill(os.getpid(), signal.SIGKILL)")
        link = folder / "eotasks-link"
        link.symlink_to(next(each for each in folder.iterdir() if each != Path(foreign)), target_is_directory=True)
        living = OwnFolder()
        assert sorted(folder.iterdir()) == sorted([Path(foreign), link, living.path])
        living.remove()


def test_a_forked_child_leaves_what_is_its_parents(folder: Path) -> None:
    """Also when it ends as a program does, by way of what is registered for the exit."""
    assert (
        run(
            "folder, block = OwnFolder(), temporary_folder(); inner = block.__enter__()\n"
            "if os.fork() == 0: sys.exit()\n"
            "os.wait(); sys.exit(0 if folder.path.is_dir() and inner.is_dir() else 1)"
        )
        == 0
    )
    assert list(folder.iterdir()) == []


def test_a_fork_while_a_copy_is_made_stops_nobody(folder: Path) -> None:
    with local_copy._copies._lock:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = int(local_copy._copies._lock.locked() or bool(local_copy._copies._made))
            finally:
                os._exit(status)  # also of an error: the child would go on with the other tests
    assert os.waitpid(child, 0)[1] == 0


def test_workers_leave_nothing_however_they_end(folder: Path) -> None:
    node = EONode(LeaveFilesTask())
    patches = {name: {node: {"name": name}} for name in ("a", "killed")}
    result = run_failing_batch(EOWorkflow([node]), patches, workers=1)
    assert (result.done, result.quarantined) == (["a"], ["killed"])
    assert list(folder.iterdir()) == []
