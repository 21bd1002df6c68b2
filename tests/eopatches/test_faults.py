"""Disks that fail at any step of a save: the patch that was there stays, nothing half-written does, and it is told."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from eolearn.core import EOPatch

from eotasks.eopatches.clean import clean
from eotasks.eopatches.load import load_eopatch
from eotasks.eopatches.save import export_eopatch, save_eopatch
from eotasks.errors import StorageError
from eotasks.storage.place import Place
from tests.builders.eopatches import make_eopatch

NAME = "patch"


_WITHOUT_CONSEQUENCE = [("mkdir",), ("open",)]
"""Of which some fail and harm nothing: mkdir of a folder that is there, a trial of the file system by `fs`."""


class Fault:
    """Counts the calls of functions of `os`, and has one of them fail."""

    def __init__(self, patched: pytest.MonkeyPatch, error: int, number: int, functions: tuple[str, ...]) -> None:
        self.seen, self.number, self.error = 0, number, error
        self.lock = threading.Lock()  # files are flushed side by side
        for name in functions:
            patched.setattr(os, name, self.failing(getattr(os, name)))

    def failing(self, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            with self.lock:
                self.seen += 1
                fails = self.seen == self.number
            if fails:
                raise OSError(self.error, os.strerror(self.error))
            return real(*arguments, **options)

        return call

    @property
    def happened(self) -> bool:
        return self.seen >= self.number


@pytest.mark.parametrize(
    ("functions", "error"),
    [(("fsync",), errno.EIO), (("fsync",), errno.ESTALE), (("rename", "replace"), errno.ENOSPC),
     (("mkdir",), errno.EDQUOT), (("open",), errno.EROFS)],
    ids=["fsync EIO", "fsync ESTALE", "rename", "mkdir", "open"],
)  # fmt: skip
def test_a_fault_at_any_step_of_a_save_leaves_the_old_patch_or_the_new_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    functions: tuple[str, ...],
    error: int,
) -> None:
    place = Place(tmp_path)
    save_eopatch(place, NAME, make_eopatch(0.25))
    for number in itertools.count(1):
        caplog.clear()
        told = None
        with monkeypatch.context() as patched:
            fault = Fault(patched, error, number, functions)
            try:
                save_eopatch(place, NAME, make_eopatch(0.5))
            except StorageError as failure:
                told = str(failure)
        if not fault.happened:
            assert number > 1
            return
        assert load_eopatch(place, NAME) == make_eopatch(0.5 if told is None else 0.25)
        left = [path for path in tmp_path.rglob("*") if path.name.startswith(".tmp-")]
        assert not left or "is left behind" in caplog.text
        if told is not None:
            assert os.strerror(error) in told
            assert place.names() == [NAME], "nothing of the save that failed"
            assert EOPatch.load(str(tmp_path / NAME)) == make_eopatch(0.25)
        else:  # it was in place already when the fault came
            assert EOPatch.load(str(tmp_path / NAME)) == make_eopatch(0.5)
            assert os.strerror(error) in caplog.text or functions in _WITHOUT_CONSEQUENCE
            save_eopatch(place, NAME, make_eopatch(0.25))
            clean(place, unfinished_after=timedelta(seconds=-60))


def test_an_export_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path / "place")
    save_eopatch(place, NAME, make_eopatch())
    for number in itertools.count(1):
        with monkeypatch.context() as patched:
            fault = Fault(patched, errno.ENOSPC, number, ("fsync", "rename"))
            with contextlib.suppress(StorageError):
                export_eopatch(place, NAME, tmp_path / "plain" / "patch")
            if not fault.happened:
                break
        there = tmp_path / "plain" / "patch"
        assert not there.exists() or EOPatch.load(str(there)) == make_eopatch()
        assert [path.name for path in (tmp_path / "plain").iterdir()] in ([], ["patch"])
        shutil.rmtree(tmp_path / "plain")
