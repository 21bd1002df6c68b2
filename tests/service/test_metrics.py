"""What processes that were killed had under way is forgotten."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from eotasks.service.metrics import forget_dead


def test_the_dead_have_nothing_under_way(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    names = [f"gauge_livesum_{ended.pid}.db", f"counter_{ended.pid}.db", f"gauge_livesum_{os.getpid()}.db"]
    for name in (*names, "gauge_live_of_nobody.db"):
        tmp_path.joinpath(name).touch()
    forget_dead(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {*names[1:], "gauge_live_of_nobody.db"}
