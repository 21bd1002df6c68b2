"""The contract of the house: floors, no circles, no private imports across folders, rooms of a readable size.

Every import counts: those inside functions and those for type checkers only, too. What is not seen: modules named in
strings, as the commands of `eotasks.workflows.cli` are, which are loaded when they are asked for.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from eotasks.workflows.cli import COMMANDS
from tests import ROOT

PACKAGE = ROOT / "eotasks"

FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "limits", "text", "durable", "reading", "documents", "times", "extras", "allocator"),
    ("parquet_heads", "parquet_pages"),
    ("models", "network"),
    ("storage", "features", "geometry"),
    ("imagery", "clouds", "eopatches", "export", "reference", "series", "prediction", "xarray", "s2cloudless"),
    ("catalogue", "area", "zonal", "water"),
    ("sources",),
    (
        "workflows.report",
        "workflows.console",
        "workflows.arguments",
        "workflows.bars",
        "workflows.notices",
        "workflows.settings",
    ),
    ("workflows.batch", "workflows.product_masks"),
    ("workflows.*",),  # the commands: a new one needs no line here
    ("workflows.land_cover", "workflows.new_config"),
    ("workflows.cli",),
    ("service",),
)
"""Lowest first. A room imports from its own floor and from those below. "workflows.*" are the modules there without a
line of their own."""

MODULES_OF_A_FOLDER = 14


@dataclass(frozen=True)
class Import:
    """One module that imports another."""

    source: str
    target: str
    name: str
    """What is imported; empty for the module itself."""


def module_name(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__")


def imports_of(root: Path) -> Iterator[Import]:
    """All imports of a package from itself."""
    paths = {module_name(path, root): path for path in sorted(root.rglob("*.py"))}
    for source, path in paths.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found = [(alias.name, "") for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = absolute(node, source, is_package=path.name == "__init__.py")
                inner = [f"{base}.{alias.name}" for alias in node.names]
                found = [
                    (full, "") if full in paths else (base, alias.name)
                    for full, alias in zip(inner, node.names, strict=True)
                ]
            else:
                continue
            for target, name in found:
                if target in paths:
                    yield Import(source, target, name)


def absolute(node: ast.ImportFrom, source: str, *, is_package: bool) -> str:
    """The module that an import names, relative ones too."""
    if not node.level:
        return node.module or ""
    parts = source.split(".") if is_package else source.split(".")[:-1]
    return ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])])


def floor_of(module: str, floors: Mapping[str, int]) -> int | None:
    """The floor of a module's room, None for modules that belong to none."""
    parts = module.split(".")[1:]
    rooms = [".".join(parts[:2]), *([f"{parts[0]}.*"] if parts[1:] else []), *parts[:1]]
    return next((floors[room] for room in rooms if room in floors), None)


def upward(imports: Iterable[Import], rooms: tuple[tuple[str, ...], ...]) -> list[Import]:
    """Imports from a higher floor."""
    floors = {room: number for number, names in enumerate(rooms) for room in names}
    found = []
    for one in imports:
        here, there = floor_of(one.source, floors), floor_of(one.target, floors)
        if here is not None and there is not None and there > here:
            found.append(one)
    return found


def circles(imports: Iterable[Import]) -> list[str]:
    """Circles among the modules and folders of each folder: two rooms that need each other are one."""
    graphs: dict[str, dict[str, set[str]]] = {}
    for one in imports:
        source, target = one.source.split("."), one.target.split(".")
        common = next((i for i, (a, b) in enumerate(zip(source, target, strict=False)) if a != b), None)
        if common is not None:
            graph = graphs.setdefault(".".join(source[:common]), {})
            graph.setdefault(source[common], set()).add(target[common])
    found = []
    for folder, graph in sorted(graphs.items()):
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            found.append(f"{folder}: {' -> '.join(reversed(error.args[1]))}")
    return found


def private(imports: Iterable[Import]) -> list[Import]:
    """Imports of private modules or names from outside their folder."""
    found = []
    for one in imports:
        parts = one.target.split(".")
        hidden = next((i for i, part in enumerate(parts) if part.startswith("_")), None)
        outside = hidden is not None and one.source.split(".")[:hidden] != parts[:hidden]
        name_outside = one.name.startswith("_") and not one.name.startswith("__")
        if outside or (name_outside and one.source.rpartition(".")[0] != one.target.rpartition(".")[0]):
            found.append(one)
    return found


def crowded(root: Path) -> list[str]:
    """Folders with more modules than a reader takes in."""
    counts = {
        folder: sum(path.name not in ("__init__.py", "__main__.py") for path in folder.glob("*.py"))
        for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]
    }
    return [f"{folder.relative_to(root.parent)}: {n}" for folder, n in counts.items() if n > MODULES_OF_A_FOLDER]


@pytest.fixture(scope="module")
def imports() -> list[Import]:
    return list(imports_of(PACKAGE))


def test_no_import_runs_up(imports: list[Import]) -> None:
    assert upward(imports, FLOORS) == []


def test_every_room_has_a_floor() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    inner = PACKAGE / "workflows"
    commands = {f"workflows.{path.split('.')[2]}" for path in COMMANDS.values()}
    named = {room for floor in FLOORS for room in floor}
    assert rooms - {"__init__", "workflows"} == {room for room in named if "." not in room}
    modules = {path.stem for path in inner.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    others = {f"workflows.{name}" for name in modules - {"__init__"}} - commands
    assert others == {room for room in named if "." in room} - commands - {"workflows.*"}


def test_no_circles(imports: list[Import]) -> None:
    assert circles(imports) == []


def test_no_private_imports_across_folders(imports: list[Import]) -> None:
    assert private(imports) == []


@pytest.mark.parametrize("root", [PACKAGE, ROOT / "tests"], ids=["eotasks", "tests"])
def test_no_folder_is_crowded(root: Path) -> None:
    assert crowded(root) == []


def test_no_test_imports_another_test_module() -> None:
    imports = imports_of(ROOT / "tests")
    assert [one for one in imports if one.target.rpartition(".")[2].startswith("test_")] == []


def test_sees_what_it_forbids(tmp_path: Path) -> None:
    """A small house with each fault: an upward import in a function, a circle of folders, a private name, a crowd."""
    files = {
        "errors.py": "def f():\n    from house.models import table\n",
        "models/table.py": "from house.storage._hidden import x\nfrom . import chair\n",
        "models/chair.py": "if TYPE_CHECKING:\n    from house.models.table import T\n",
        "storage/_hidden.py": "",
        "storage/place.py": "from house.storage import _hidden\nfrom house.models.table import _t\n",
        "work/console.py": "from house.work.unknown import run\n",
        "work/unknown.py": "from house.work.cli import main\n",
        "work/cli.py": "from house.work.unknown import run\n",
    } | {f"storage/m{i}.py": "" for i in range(MODULES_OF_A_FOLDER)}
    for name, text in files.items():
        path = tmp_path / "house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    imports = list(imports_of(tmp_path / "house"))
    floors = (("errors",), ("models",), ("storage",), ("work.console",), ("work.*",), ("work.cli",))
    assert [(one.source, one.target) for one in upward(imports, floors)] == [
        ("house.errors", "house.models.table"),
        ("house.models.table", "house.storage._hidden"),
        ("house.work.console", "house.work.unknown"),
        ("house.work.unknown", "house.work.cli"),
    ]
    assert circles(imports) == [
        "house: models -> storage -> models",
        "house.models: chair -> table -> chair",
        "house.work: cli -> unknown -> cli",
    ]
    assert [(one.source, one.target) for one in private(imports)] == [
        ("house.models.table", "house.storage._hidden"),
        ("house.storage.place", "house.models.table"),
    ]
    assert crowded(tmp_path / "house") == [f"house/storage: {MODULES_OF_A_FOLDER + 2}"]
