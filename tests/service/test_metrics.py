"""What processes that were killed had under way is forgotten."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eotasks.service import metrics
from eotasks.service.metrics import forget_dead


def test_the_dead_have_nothing_under_way(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    names = [f"gauge_livesum_{ended.pid}.db", f"counter_{ended.pid}.db", f"gauge_livesum_{os.getpid()}.db"]
    for name in (*names, "gauge_live_of_nobody.db"):
        tmp_path.joinpath(name).touch()
    forget_dead(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {*names[1:], "gauge_live_of_nobody.db"}


def test_who_has_ended_and_was_not_asked_for_its_status_is_dead(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as ended:
        assert ended.stdout is not None
        ended.stdout.read()  # to its end: it has closed it
        path = tmp_path / f"gauge_livesum_{ended.pid}.db"
        path.touch()
        until = time.monotonic() + 60
        while path.exists() and time.monotonic() < until:
            forget_dead(tmp_path)
        assert not path.exists()
        assert ended.returncode is None


def test_another_process_may_forget_them_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "gauge_livesum_1.db"
    path.touch()

    def forgotten_by_another(_: int) -> bool:
        path.unlink()
        return False

    monkeypatch.setattr(metrics, "is_running", forgotten_by_another)
    forget_dead(tmp_path)
    assert not path.exists()
