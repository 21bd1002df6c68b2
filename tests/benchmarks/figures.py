"""Figures of benchmarks, kept as JSON and shown against those of the last run, so that a slow-down is seen.

One file a benchmark, ``results/benchmarks/NAME.json`` (not part of the repository; EOTASKS_BENCHMARK_RESULTS names
another folder), with the last hundred runs: when, of which commit, on which machine under which load. A figure is
compared with the last run that has it. Ratios to a peer in the same run say more than seconds, which the load decides.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from eotasks.durable import atomic_path
from tests import ROOT

FOLDER_VARIABLE = "EOTASKS_BENCHMARK_RESULTS"
RUNS = 100
WORSE = 0.1
"""A figure that is worse by more than this share of the last one is marked."""


@dataclass(frozen=True)
class Figure:
    """One number of a benchmark."""

    name: str
    value: float
    unit: str
    better: Literal["less", "more"] = "less"


def keep(benchmark: str, figures: Sequence[Figure], folder: Path | None = None) -> str:
    """Keeps the figures of a run; a table of them against the last run's.

    :param folder: Where; None for the usual one.
    :raises ValueError: when what is kept there is damaged.
    """
    path = _file_of(benchmark, folder)
    runs = _kept(path)
    table = compared(figures, runs)
    path.parent.mkdir(parents=True, exist_ok=True)
    this = {**_circumstances(), "figures": [asdict(figure) for figure in figures]}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({"version": 1, "runs": [*runs, this][-RUNS:]}, indent=1) + "\n")
    return f"{table}\n\nKept in {path}."


def check(benchmark: str, folder: Path | None = None) -> None:
    """What is kept of earlier runs can be read: for before a run, which takes minutes.

    :raises ValueError: when it is damaged.
    """
    _kept(_file_of(benchmark, folder))


def compared(figures: Sequence[Figure], runs: Sequence[dict[str, Any]]) -> str:
    """The table of figures, each against the last run that has it."""
    last = {kept["name"]: (float(kept["value"]), run) for run in runs for kept in run["figures"]}
    width = max((len(figure.name) for figure in figures), default=0)
    lines = []
    for figure in figures:
        line = f"{figure.name:{width}}  {figure.value:10.4g} {figure.unit:4}"
        if figure.name in last:
            before, run = last[figure.name]
            line += f"  last {before:10.4g}  {_change(figure, before)}  ({run['commit']}, load {run['load']})"
        lines.append(line.rstrip())
    return "\n".join(lines)


def _change(figure: Figure, before: float) -> str:
    if not before:
        return ""
    change = figure.value / before - 1
    worse = change if figure.better == "less" else -change
    return f"{change:+7.1%}{'  WORSE' if worse > WORSE else ''}"


def environment() -> dict[str, str]:
    """That of processes which are measured: they keep bytecode, as those of users do, or each compiles the package."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def results_folder() -> Path:
    """Where figures are kept: no part of what is handed out."""
    return Path(os.environ.get(FOLDER_VARIABLE) or ROOT.joinpath("results", "benchmarks"))


def _file_of(benchmark: str, folder: Path | None) -> Path:
    return (folder or results_folder()) / f"{benchmark}.json"


def _kept(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        runs: list[dict[str, Any]] = json.loads(path.read_text())["runs"]
        for run in runs:
            _ = run["commit"], run["load"], [(kept["name"], float(kept["value"])) for kept in run["figures"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no figures of benchmarks, or is damaged: move it away.") from error
    return runs


def _circumstances() -> dict[str, str]:
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": found.stdout.strip() or "unknown",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown",
    }
