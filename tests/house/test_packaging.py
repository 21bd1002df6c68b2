"""The Makefile, the environments it builds, the hooks and the source distribution fit together."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests import ROOT
from tools import environment

MAKEFILE = (ROOT / "Makefile").read_text()


def test_every_phony_target_has_a_rule() -> None:
    phony = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony
    assert set(phony[0].split()) == set(re.findall(r"^([a-z-]+):(?!=)", MAKEFILE, re.MULTILINE))


def test_what_make_runs_is_in_the_source_distribution() -> None:
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]
    scripts = set(re.findall(r"(\w+)/[\w/]+\.py|-m (tests)\.", MAKEFILE))
    scripts = {first or second for first, second in scripts}
    assert scripts == {"tools", "tests"}
    assert scripts <= set(hatch["build"]["targets"]["sdist"]["include"])


def test_what_tests_read_is_in_the_source_distribution() -> None:
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]
    read = re.findall(r"ROOT / \"([^\"]+)\"", "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py")))
    there = {name.partition("/")[0] for name in read if (ROOT / name).exists()} - {"models", "workflows"}
    assert {".ci", ".pre-commit-config.yaml"} <= there  # the links for readers are for checkouts
    assert there - {"pyproject.toml", ".gitignore"} <= set(hatch["build"]["targets"]["sdist"]["include"])


@pytest.mark.parametrize(("oldest", "ran"), [("(3, 4)", False), (repr(sys.version_info[:2]), True)], ids=["no", "yes"])
def test_ci_leaves_out_a_python_that_is_not_there(tmp_path: Path, oldest: str, ran: bool) -> None:
    for folder in (".ci", "tools", "bin", ".venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    text = (ROOT / "tools" / "environment.py").read_text()
    assert "OLDEST, NEWEST = (3, 11), " in text
    (tmp_path / "tools" / "environment.py").write_text(
        text.replace("OLDEST, NEWEST = (3, 11)", f"OLDEST, NEWEST = {oldest}")
    )
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    make = tmp_path / "bin" / "make"
    make.write_text('#!/bin/sh\necho "made $1"\n')
    make.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    ended = subprocess.run([tmp_path / ".ci" / "run"], env=environment, capture_output=True, text=True, check=True)
    lowest = "made test-lowest" if ran else "SKIPPED make test-lowest: no Python for it was found on this machine."
    assert ended.stdout.splitlines() == ["made test", "made trials", lowest, "made test-newest"]


def test_hooks_run_what_make_runs() -> None:
    """`make lint` and `make types`, and one test that is quick: the contract of the house."""
    rules = re.findall(r"^(?:lint|types):.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    checks = set(re.findall(r"-m (\w+(?: check| format --check)?)", "".join(rules)))
    hooks = re.findall(r"entry: \.venv/bin/python -m (.+)", (ROOT / ".pre-commit-config.yaml").read_text())
    assert {"ruff check", "ruff format --check", "codespell_lib", "mypy"} == checks
    assert {hook.removesuffix(" --force-exclude") for hook in hooks if not hook.startswith("pytest")} == checks
    (test,) = [word for hook in hooks if hook.startswith("pytest") for word in hook.split() if word.endswith(".py")]
    assert (ROOT / test).is_file()


def test_every_dependency_has_a_floor_to_test_at() -> None:
    floors = environment.floors((ROOT / "pyproject.toml").read_text())
    assert "eo-learn==1.5.7" in floors
    assert not [line for line in floors if not re.fullmatch(r"[\w.-]+==\d[\w.]*", line)]


def test_an_activated_environment_builds_with_the_python_that_made_it(tmp_path: Path) -> None:
    """Its own Python goes when it is stale and removed."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "active"], check=True)
    ask = "from tools import environment; print(environment.find_interpreter('dev'))"
    command = [tmp_path / "active" / "bin" / "python", "-c", ask]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    assert Path(found).is_file()
    assert tmp_path not in Path(found).parents
    assert environment.find_interpreter("dev") == found


def test_floors_are_read_from_every_group() -> None:
    project = """
        [project]
        name = "mine"
        dependencies = ["a-b>=1.2,<2", "c == 3", "d[extra]<9, >= 4.0.0.84; python_version > '3'"]
        [project.optional-dependencies]
        dev = ["mine[other]", "e~=5.1"]
        other = ["f>=6"]
    """
    assert environment.floors(project) == ["a-b==1.2", "c==3", "d==4.0.0.84", "e==5.1", "f==6"]


@pytest.mark.parametrize("requirement", ["a", "a<2", "a!=1.5", "a>1"])
def test_a_dependency_without_a_floor_is_refused(requirement: str) -> None:
    with pytest.raises(ValueError, match="has no floor; write `a>=VERSION`"):
        environment.floors(f'[project]\nname = "mine"\ndependencies = ["{requirement}"]\noptional-dependencies = {{}}')


def test_every_pin_has_its_reason_beside_it() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    pins = [number for number, line in enumerate(lines) if re.search(r'"[\w.-]+(\[.*\])?[^"#]*(==|<)\d', line)]
    assert len(pins) > 3
    assert not [lines[at] for at in pins if "#" not in lines[at] and not lines[at - 1].lstrip().startswith("#")]


def test_each_kind_of_environment_is_git_ignored_and_cleaned() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    cleaned = re.findall(r"^clean:\n\trm -rf (.*)$", MAKEFILE, re.MULTILINE)[0].split()
    for folder in environment.FOLDERS.values():
        assert f"{folder}/" in ignored
        assert folder in cleaned


def test_cleaning_spares_the_history_of_the_benchmarks(tmp_path: Path) -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed: its rule `clean` cannot be run")
    for file in ("results/benchmarks/start.json", "results/land-cover/map.tif", "results/a.txt"):
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for _ in range(2):
        subprocess.run([make, "-f", ROOT / "Makefile", "clean"], cwd=tmp_path, check=True, capture_output=True)
        assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["start.json"]
        assert [path.name for path in (tmp_path / "results").iterdir()] == ["benchmarks"]
    shutil.rmtree(tmp_path / "results")
    subprocess.run([make, "-f", ROOT / "Makefile", "clean"], cwd=tmp_path, check=True, capture_output=True)


def test_the_oldest_and_newest_python_are_those_of_the_metadata() -> None:
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    (major, oldest), (_, newest) = environment.OLDEST, environment.NEWEST
    assert requires == f">={major}.{oldest},<{major}.{newest + 1}"
