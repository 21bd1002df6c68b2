"""Figures of benchmarks: kept, and shown against the last."""

from __future__ import annotations

import contextlib
import importlib
import json
import time
from pathlib import Path

import psutil
import pytest

from tests.benchmarks import __main__ as benchmarks
from tests.benchmarks import start
from tests.benchmarks.figures import FOLDER_VARIABLE, RUNS, Figure, keep

CPU, RATIO = Figure("CPU", 2.0, "s"), Figure("against the peer", 10.0, "x", "more")


def test_a_first_run_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    table = keep("forest", [CPU, RATIO], tmp_path / "new")
    assert "last" not in table
    (run,) = json.loads((tmp_path / "new" / "forest.json").read_text())["runs"]
    assert run["figures"][1] == {"name": "against the peer", "value": 10.0, "unit": "x", "better": "more"}
    assert {"time", "commit", "machine", "load"} <= set(run)


@pytest.mark.parametrize(
    ("cpu", "ratio", "worse"), [(2.1, 9.5, []), (2.3, 12.0, ["CPU"]), (1.0, 8.9, ["against the peer"])]
)
def test_what_is_worse_than_the_last_is_marked(tmp_path: Path, cpu: float, ratio: float, worse: list[str]) -> None:
    keep("forest", [CPU, RATIO], tmp_path)
    table = keep("forest", [Figure("CPU", cpu, "s"), Figure("against the peer", ratio, "x", "more")], tmp_path)
    marked = [line.split("  ")[0].strip() for line in table.splitlines() if "WORSE" in line]
    assert marked == worse
    assert f"{cpu / 2 - 1:+.1%}" in table


def test_a_figure_is_compared_with_the_last_run_that_has_it(tmp_path: Path) -> None:
    keep("forest", [CPU, RATIO], tmp_path)
    keep("forest", [RATIO], tmp_path)
    assert "+50.0%  WORSE" in keep("forest", [Figure("CPU", 3.0, "s"), Figure("new", 0.0, "s")], tmp_path)
    assert "last" not in keep("forest", [Figure("other", 1.0, "s")], tmp_path)


def test_runs_are_not_kept_for_ever(tmp_path: Path) -> None:
    kept = {"commit": "abc", "load": "0.1", "figures": [{"name": "CPU", "value": 2, "unit": "s", "better": "less"}]}
    (tmp_path / "forest.json").write_text(json.dumps({"runs": [kept] * RUNS}))
    keep("forest", [CPU], tmp_path)
    assert len(json.loads((tmp_path / "forest.json").read_text())["runs"]) == RUNS


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"runs": [1]}', '{"runs": [{"commit": "a"}]}'])
def test_damaged_figures_are_refused_and_left(tmp_path: Path, content: str) -> None:
    path = tmp_path / "forest.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="move it away"):
        keep("forest", [CPU], tmp_path)
    assert path.read_text() == content


@pytest.mark.parametrize(
    "module", ["start", "forest.__main__", "temporal.__main__", "land_cover.__main__", "imagery.__main__"]
)
def test_damaged_figures_are_told_before_a_run(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    (tmp_path / f"{module.partition('.')[0]}.json").write_text("")
    with pytest.raises(ValueError, match="move it away"):
        importlib.import_module(f"tests.benchmarks.{module}").main(["--keep"])


@pytest.mark.slow
def test_a_benchmark_that_takes_too_long_ends_with_its_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\nsleep 600 & echo $! > '{tmp_path}/worker'\nwait\n")
    script.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(script))
    assert benchmarks.run("start", limit=2) == "ended after 2 s"
    worker = int((tmp_path / "worker").read_text())
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(worker)
        for _ in range(200):
            if process.status() == psutil.STATUS_ZOMBIE:
                return
            time.sleep(0.05)
        pytest.fail("it runs on")


def test_a_benchmark_that_fails_or_takes_too_long_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmarks, "BENCHMARKS", {"start": ["--no-such-option"]})
    assert benchmarks.main([]) == 1
    assert "start: exit code 2" in capsys.readouterr().out
    assert benchmarks.run("start", limit=0.001) == "ended after 0.001 s"
    with pytest.raises(SystemExit):
        benchmarks.main(["nothing"])


def test_figures_of_a_start() -> None:
    ours, other = [start.Start(1.0, 2.0, 300), start.Start(3.0, 2.5, 310)], [start.Start(4.0, 5.0, 400)]
    found = {figure.name: figure.value for figure in start.figures({"here": ours, "there": other})}
    assert found == {"CPU": 2.0, "wall clock": 2.25, "peak memory": 310, "CPU, share of the other's": 0.5}
