"""Build or refresh an environment that holds this checkout: `python3 tools/environment.py run|serve|dev|lowest|newest`.

An environment is stale when pyproject.toml, the interpreter or the folder's path changed since it was built; then it
is built anew. `dev` holds all of `run`, so a fresh `dev` also serves `run`. `lowest` has every direct dependency at its
floor, on the oldest Python; `newest` is upgraded each time to what pyproject.toml admits, on the newest Python found.
Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"run": ".venv", "serve": ".venv", "dev": ".venv", "lowest": ".venv-lowest", "newest": ".venv-newest"}
REQUIREMENTS = {"run": ".", "serve": ".[service]", "dev": ".[dev]", "lowest": ".[dev]", "newest": ".[dev]"}
WIDER = {"run": ("serve", "dev"), "serve": ("dev",)}
"""Environments that hold all of another."""
OLDEST, NEWEST = (3, 11), (3, 13)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in REQUIREMENTS:
        print(f"usage: environment.py {'|'.join(REQUIREMENTS)}", file=sys.stderr)
        return 2
    wanted = arguments[0]
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        found = ".".join(map(str, sys.version_info[:3]))
        print(
            f"eotasks needs Python 3.11 to 3.13, this is {found}: give one with `make PYTHON=/path/to/python3.12 ...`.",
            file=sys.stderr,
        )
        return 2
    interpreter = find_interpreter(wanted)
    if interpreter is None:
        print("The floors are those of Python 3.11, which was not found: put python3.11 on PATH.", file=sys.stderr)
        return 2
    if interpreter != sys.executable:
        return subprocess.run([interpreter, __file__, wanted], check=False).returncode
    fingerprint = environment_fingerprint()
    if wanted != "newest" and any(is_fresh(kind, fingerprint) for kind in (wanted, *WIDER.get(wanted, ()))):
        return 0
    return build(wanted, fingerprint)


def find_interpreter(kind: str) -> str | None:
    """The Python that an environment of this kind is made with; None where there is none."""
    if kind == "lowest":
        return python_of(OLDEST)
    if kind == "newest":
        minors = range(NEWEST[1], OLDEST[1] - 1, -1)
        return next(filter(None, (python_of((NEWEST[0], minor)) for minor in minors)), None)
    return outermost_python()


def outermost_python() -> str:
    """The Python that this one's environment was made with, since an activated .venv may be removed below."""
    return sys.executable if sys.prefix == sys.base_prefix else sys._base_executable


def python_of(version: tuple[int, int]) -> str | None:
    """A Python of this version: the one that runs, one on PATH, or one of pyenv's, which answer when named."""
    if sys.version_info[:2] == version:
        return outermost_python()
    name = ".".join(map(str, version))
    for environment in (os.environ, {**os.environ, "PYENV_VERSION": name}):
        ask = [f"python{name}", "-c", "import ensurepip, sys; print(sys._base_executable)"]
        try:
            answer = subprocess.run(ask, env=environment, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return answer.stdout.strip()
    return None


def environment_fingerprint() -> str:
    """What the environment depends on: the project's metadata, the interpreter, and where the checkout lies."""
    parts = [(ROOT / "pyproject.toml").read_bytes(), sys.version.encode(), sys.base_prefix.encode(), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_fresh(kind: str, fingerprint: str) -> bool:
    stamp = stamp_path(kind)
    return stamp.exists() and stamp.read_text() == fingerprint and venv_python(kind).exists()


def stamp_path(kind: str) -> Path:
    return ROOT / FOLDERS[kind] / f".eotasks-{kind}"


def venv_python(kind: str) -> Path:
    return ROOT / FOLDERS[kind] / "bin" / "python"


def build(kind: str, fingerprint: str) -> int:
    """Make the environment from nothing, unless the present one only lacks packages of the wider kind or newer ones."""
    folder = ROOT / FOLDERS[kind]
    if not any(is_fresh(other, fingerprint) for other in FOLDERS if FOLDERS[other] == FOLDERS[kind]):
        shutil.rmtree(folder, ignore_errors=True)
        version = ".".join(map(str, sys.version_info[:2]))
        print(f"Building {folder.name} with Python {version} (about a minute) ...", flush=True)
        try:
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        except subprocess.CalledProcessError:
            print(
                "No virtual environment could be made: install Python's venv module (Debian: python3-venv).",
                file=sys.stderr,
            )
            return 2
    options = []
    if kind == "lowest":
        constraints = folder / "floors.txt"
        constraints.write_text("".join(f"{line}\n" for line in floors((ROOT / "pyproject.toml").read_text())))
        options = ["--constraint", str(constraints)]
    if kind == "newest":
        options = ["--upgrade", "--upgrade-strategy", "eager"]
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    install = [str(venv_python(kind)), "-m", "pip", "install", "--quiet", *options, "--editable", REQUIREMENTS[kind]]
    outcome = subprocess.run(install, cwd=ROOT, env=environment, check=False)
    if outcome.returncode:
        print("The packages could not be installed: see pip's message above.", file=sys.stderr)
        return outcome.returncode
    stamp_path(kind).write_text(fingerprint)
    return 0


def floors(pyproject: str) -> list[str]:
    """`name==floor` for every direct dependency of a pyproject.toml, extras too, as constraints for pip.

    Raises ValueError for a dependency that has no floor.
    """
    project = tomllib.loads(pyproject)["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    constraints = []
    for requirement in itertools.chain.from_iterable(groups):
        name, versions = re.fullmatch(r"([\w.-]+)(?:\[.*?\])?([^;]*)(?:;.*)?", requirement).groups()
        if name == project["name"]:
            continue
        floor = re.search(r"[>=~]=\s*(\d[\w.]*)", versions)
        if floor is None:
            raise ValueError(f"pyproject.toml: {requirement!r} has no floor; write `{name}>=VERSION`.")
        constraints.append(f"{name}=={floor[1]}")
    return constraints


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
