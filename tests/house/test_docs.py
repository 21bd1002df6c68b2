"""What the texts name exists: files, folders and modules, and the links between pages."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from tests import ROOT

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
BASES = (
    ROOT,
    ROOT / "eotasks",
    ROOT / "eotasks/workflows",
    ROOT / "eotasks/workflows/land_cover",
    ROOT / "eotasks/clouds",
)
"""Where a path in a text may begin: texts leave out what is clear."""

PATH = re.compile(r"`((?:[\w.-]+/)+(?:[\w.-]+\.(?:py|pyi|toml|md|yaml))?)`")
MODULE = re.compile(r"`(eotasks(?:\.\w+)+)`|-m ((?:eotasks|tests)(?:\.\w+)+)")
LINK = re.compile(r"\]\((?!https?://)([^)#]+)")

ENTRY_POINTS = {"eotasks.detectors"}
"""Groups of entry points, which are named like modules."""


def by_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_paths_and_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    paths = [
        path for path in PATH.findall(text) if "NAME" not in path and not path.startswith(("results/", "archive/"))
    ]
    absent = [path for path in paths if not any((base / path).exists() for base in BASES)]
    assert absent == []
    assert [link for link in LINK.findall(text) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_modules_are_there(page: Path) -> None:
    names = ["".join(found) for found in MODULE.findall(page.read_text())]
    assert [name for name in names if name not in ENTRY_POINTS and not is_there(name)] == []


def is_there(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    parent, _, last = name.rpartition(".")
    try:
        return importlib.util.find_spec(name) is not None or hasattr(importlib.import_module(parent), last)
    except ModuleNotFoundError:
        return hasattr(importlib.import_module(parent), last)


def test_sees_what_is_not_there() -> None:
    assert PATH.findall("`models/nowhere/`, `a.b` and `eotasks/nowhere.py`") == [
        "models/nowhere/",
        "eotasks/nowhere.py",
    ]
    assert is_there("eotasks.run_batch")
    assert is_there("tests.benchmarks.forest")
    assert not is_there("eotasks.nowhere")
