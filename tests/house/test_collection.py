"""The suite is the same in every process: the workers of pytest-xdist refuse to run when their test ids differ."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests import ROOT

COLLECT = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "--assert=plain", "-p", "no:cacheprovider"]
"""Plain asserts: rewriting those of all tests is half the time where no bytecode may be written."""

APART = 1.5
"""Seconds between the two: gzip and many others write times in whole seconds."""


@pytest.fixture(scope="module")
def ids(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """Ids in order of two processes with other hash seeds, started apart, one of them in another folder."""
    folder = elsewhere(tmp_path_factory.mktemp("elsewhere") / "eotasks")
    first = start_collecting(ROOT, hash_seed=1)
    time.sleep(APART)
    second = start_collecting(folder, hash_seed=2)
    return [collected(first), collected(second)]


def elsewhere(folder: Path) -> Path:
    """The checkout in another folder, its tests as a copy, the rest by links."""
    folder.mkdir()
    for path in ROOT.iterdir():
        if path.name == "tests":
            shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif not path.name.startswith("."):
            (folder / path.name).symlink_to(path)
    return folder


def start_collecting(folder: Path, *, hash_seed: int) -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COV"))}
    environment |= {"PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(folder)}
    return subprocess.Popen(COLLECT, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)


def collected(process: subprocess.Popen[str]) -> list[str]:
    output, _ = process.communicate()
    assert process.returncode == 0, output[-2000:]
    return [line for line in output.splitlines() if "::" in line]


@pytest.mark.trial
def test_ids_depend_on_no_time_hash_seed_or_folder(ids: list[list[str]]) -> None:
    here, there = ids
    assert len(here) > 1000
    assert [pair for pair in zip(here, there, strict=False) if pair[0] != pair[1]] == []
    assert len(here) == len(there)


@pytest.mark.trial
def test_ids_name_nothing_of_this_machine(ids: list[list[str]]) -> None:
    assert [name for name in ids[0] if names_machine(name)] == []


def names_machine(name: str) -> bool:
    """Whether an id holds a memory address, a path of this machine, or bytes that pytest had to escape."""
    paths = [str(ROOT), str(ROOT.parent), sys.prefix, tempfile.gettempdir(), str(Path.home())]
    return any(f"{path}/" in name for path in paths) or bool(re.search(r"0x[0-9a-f]{6,}|\\x1f\\x8b", name))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("test_a[<Scene object at 0x7f3bc09d5e50>]", id="address"),
        pytest.param(f"test_a[{ROOT}/eotasks]", id="checkout"),
        pytest.param(f"test_a[{tempfile.gettempdir()}/results]", id="temporary"),
        pytest.param(r"test_a[\x1f\x8b\x08\x00]", id="gzip"),
    ],
)
def test_sees_what_it_forbids(name: str) -> None:
    assert names_machine(name)
    assert not names_machine("test_a[/a-C:/a-0x1f]")
