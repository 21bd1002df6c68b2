"""Build or refresh `.venv` so that it holds this checkout: `python3 tools/environment.py run|dev`.

The environment is stale when pyproject.toml, the interpreter or the folder's path changed since it was built; then it
is built anew. `dev` holds all of `run`, so a fresh `dev` also serves `run`. Standard library only: it runs before
anything is installed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
REQUIREMENTS = {"run": ".", "dev": ".[dev]"}
OLDEST, NEWEST = (3, 11), (3, 13)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in REQUIREMENTS:
        print(f"usage: environment.py {'|'.join(REQUIREMENTS)}", file=sys.stderr)
        return 2
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        found = ".".join(map(str, sys.version_info[:3]))
        print(
            f"eotasks needs Python 3.11 to 3.13, this is {found}: give one with `make PYTHON=/path/to/python3.12 ...`.",
            file=sys.stderr,
        )
        return 2
    wanted = arguments[0]
    fingerprint = environment_fingerprint()
    if any(is_fresh(kind, fingerprint) for kind in {wanted, "dev"}):
        return 0
    return build(wanted, fingerprint)


def environment_fingerprint() -> str:
    """What the environment depends on: the project's metadata, the interpreter, and where the checkout lies."""
    parts = [(ROOT / "pyproject.toml").read_bytes(), sys.version.encode(), sys.base_prefix.encode(), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_fresh(kind: str, fingerprint: str) -> bool:
    stamp = stamp_path(kind)
    return stamp.exists() and stamp.read_text() == fingerprint and venv_python().exists()


def stamp_path(kind: str) -> Path:
    return VENV / f".eotasks-{kind}"


def venv_python() -> Path:
    return VENV / "bin" / "python"


def build(kind: str, fingerprint: str) -> int:
    """Make the environment from nothing, unless the present one only lacks packages of the wider kind."""
    if not any(is_fresh(other, fingerprint) for other in REQUIREMENTS):
        shutil.rmtree(VENV, ignore_errors=True)
        print("Building .venv (about a minute) ...", flush=True)
        try:
            subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        except subprocess.CalledProcessError:
            print(
                "No virtual environment could be made: install Python's venv module (Debian: python3-venv).",
                file=sys.stderr,
            )
            return 2
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    install = [str(venv_python()), "-m", "pip", "install", "--quiet", "--editable", REQUIREMENTS[kind]]
    outcome = subprocess.run(install, cwd=ROOT, env=environment, check=False)
    if outcome.returncode:
        print("The packages could not be installed: see pip's message above.", file=sys.stderr)
        return outcome.returncode
    stamp_path(kind).write_text(fingerprint)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
