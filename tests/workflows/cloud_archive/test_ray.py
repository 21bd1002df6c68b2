"""`eotasks archive build --ray`: on a real cluster of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders.clouds.archives import add_product, build, images, too_bright
from tests.builders.command_line import command

pytest.importorskip("ray", reason="the extra ray is not installed")


@pytest.mark.trial
def test_a_cluster_gives_what_worker_processes_give(tmp_path: Path) -> None:
    for day in range(3):
        add_product(tmp_path / "source", f"P{day}", 10 + day)
    add_product(tmp_path / "source", "bright", 20, change=too_bright)
    build(tmp_path / "source", tmp_path / "expected")
    result = command("archive", "build", tmp_path / "source", "--out", tmp_path / "out", "--ray", "local")
    assert (result.code, "Products: 3 done, 1 failed" in result.out) == (1, True), result
    assert images(tmp_path / "out") == images(tmp_path / "expected")
