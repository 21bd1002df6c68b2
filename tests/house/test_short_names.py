"""The folders `models` and `workflows` at the top are links for readers: code, texts and commands say `eotasks.` first.

Ruff's rule on banned imports sees import statements only. A name in a string is seen here: what a worker preloads,
`python -m` in a message, a command in a notebook.
"""

from __future__ import annotations

import re
import subprocess

import pytest

from tests import ROOT

ROOMS = ("models", "workflows", "service")
LINKS = {"models": "eotasks/models", "workflows": "eotasks/workflows"}
TEXTS = {".cfg", ".ini", ".ipynb", ".j2", ".md", ".py", ".pyi", ".sh", ".toml", ".txt", ".yaml", ".yml", ""}
SHORT = re.compile(
    r"""
      (?<![\w.]) from \s+ ROOM (?:\.\w+)* \s+ import \b    # from models.x import y
    | (?<!\w[ ]) (?<![\w.]) import \s+ ROOM \b             # import models.x, but not: from eotasks import models
    | (?<!\S) -m [ ",']+ ROOM \b                           # python -m models.x, also as a list of arguments
    | ["'] ROOM (?:\.\w+)+ [:"']                           # "models.forest", "workflows.cli:main"
    | (?:import_module|__import__) \( ["'] ROOM \b
    """.replace("ROOM", f"(?:{'|'.join(ROOMS)})"),
    re.VERBOSE,
)
ELSEWHERE = {"tests/house/test_short_names.py", "tests/house/test_wheel.py", "tests/house/test_contract.py"}
"""They name what is forbidden; the contract names rooms inside the package."""


def tracked() -> list[str]:
    """Files of the checkout, also those that git does not know yet; all, where there is no git."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listing.returncode == 0:
        return sorted(set(filter(None, listing.stdout.split("\0"))))
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if not any(part.startswith(".") for part in path.parts))


def test_no_file_names_a_room_by_its_short_name() -> None:
    files = [ROOT / name for name in tracked() if name not in ELSEWHERE and name not in LINKS]
    texts = [path for path in files if path.is_file() and path.suffix in TEXTS]
    assert len(texts) > 300
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in texts
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if SHORT.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("name", LINKS)
def test_the_links_lead_into_the_package(name: str) -> None:
    link = ROOT / name
    assert str(link.readlink()) == LINKS[name]
    assert (link / "__init__.py").is_file()


@pytest.mark.parametrize(
    "line",
    [
        "import models",
        "    from workflows.batch import run",
        "from models import (",
        "python -m models.clouds.weights WHEEL",
        '"models.forest.engine",',
        "'workflows.cli:main'",
        'importlib.import_module("workflows")',
        "run([sys.executable, '-m', 'workflows.cli'])",
        "x = 1; import service",
    ],
)
def test_sees_a_short_name(line: str) -> None:
    assert SHORT.search(line)


@pytest.mark.parametrize(
    "line",
    [
        "import eotasks.models",
        "from eotasks.workflows.batch import run",
        "from eotasks import models",
        "from models of the same year to others",
        '"models" is a link, "service" comes later',
        "python -m eotasks.workflows.cli",
        "from .models import forest",
    ],
)
def test_leaves_other_lines_alone(line: str) -> None:
    assert not SHORT.search(line)
