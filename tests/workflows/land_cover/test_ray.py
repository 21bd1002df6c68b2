"""`eotasks land-cover` on a Ray cluster: the options, and the same results as without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eotasks.storage.place import Place
from tests.builders.command_line import command, merged, write_config, write_eopatches
from tests.builders.land_cover_runs import SECTIONS, assert_equal_places, run_to

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("options", "run", "expected"),
    [
        (["--ray", "auto"], {}, ["executor = 'ray'", "ray = 'auto'"]),
        (["--ray", "10.0.0.1:6379", "--executor", "ray"], {}, ["executor = 'ray'", "ray = '10.0.0.1:6379'"]),
        (["--executor", "threads"], {"executor": "ray", "ray": "auto"}, ["executor = 'threads'", "# ray ="]),
        ([], {"executor": "ray", "ray": "local"}, ["executor = 'ray'", "ray = 'local'"]),
    ],
    ids=["ray", "both", "another executor", "of the file"],
)
def test_options_choose_the_executor(
    tmp_path: Path, options: list[str], run: dict[str, object], expected: list[str]
) -> None:
    write_eopatches(tmp_path / "eopatches")
    config = write_config(tmp_path, {**SECTIONS, "run": run})
    printed = command("land-cover", "--config", config, "--print-config", *options)
    assert printed.code == 0, printed.err
    section = printed.out[printed.out.index("[run]") :].replace('"', "'")
    assert [line for line in expected if line in section] == expected


def test_a_cluster_for_another_executor_is_refused(tmp_path: Path) -> None:
    config = write_config(tmp_path, SECTIONS)
    refused = command("land-cover", "--config", config, "--ray", "auto", "--executor", "processes")
    assert refused.code == 2
    assert "ray = 'auto' belongs to executor 'ray', not 'processes'" in refused.err
    assert "Traceback" not in refused.err


@pytest.mark.trial
def test_results_are_those_of_one_process(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed (eotasks[ray])")
    write_eopatches(tmp_path / "eopatches")
    alone, on_ray = Place(tmp_path / "alone"), Place(tmp_path / "on ray")
    assert run_to(alone, tmp_path, SECTIONS).code == 0
    config = write_config(tmp_path, merged(SECTIONS, {"output": {"folder": on_ray.location}}), "ray.toml")
    arguments = ["land-cover", "--config", str(config), "--ray", "local", "--workers", "2"]
    run = subprocess.run(
        [sys.executable, "-m", "eotasks.workflows.cli", *arguments],
        capture_output=True, text=True, timeout=500, env=dict(os.environ), check=False,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    assert "Ray:" not in run.stdout
    assert "(raylet)" not in run.stdout
    assert_equal_places(alone, on_ray)
