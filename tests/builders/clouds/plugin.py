"""The plugin of docs/how-to-detector.md, built from that very page, and spoilt ones."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests import ROOT

PAGE = ROOT / "docs" / "how-to-detector.md"
MODULE = "eotasks_bright"


def write_source(folder: Path) -> Path:
    """The two files of the page, in a folder."""
    page = PAGE.read_text()
    folder.mkdir(parents=True)
    for name, language in (("pyproject.toml", "toml"), (f"{MODULE}.py", "python")):
        found = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
        assert len(found) == 1, f"the page shows {name} once"
        (folder / name).write_text(found[0])
    return folder


def install(source: Path, target: Path) -> Path:
    """Build a package and put it, with its dist-info, into a folder for sys.path; without a network."""
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--no-build-isolation", "--no-deps", "--quiet"]
    subprocess.run([*command, "--target", str(target), str(source)], check=True, capture_output=True, text=True)
    return target


def write_installed(
    target: Path, package: str, *, entries: dict[str, str], code: str = "", summary: str = "Spoilt", version: str = "1"
) -> Path:
    """What an installed package looks like, with whatever entry points.

    :param code: Of its module, which is called as the package with underscores; no module where it is empty.
    """
    module = package.replace("-", "_")
    info = target / f"{module}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\nSummary: {summary}\n")
    lines = [f"{name} = {value}" for name, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(["[eotasks.detectors]", *lines, ""]))
    if code:
        (target / f"{module}.py").write_text(code)
    return target
